//! The marked block in a startup file: put in, renewed, taken out byte for byte. Pure.
//!
//! What is needed to take it out again stands in the block itself, behind the first
//! mark, so that it works without any other record. Bytes outside the block are not
//! looked at, but for the marks; a text that is none (UTF-16) is refused.

const BEGIN: &str = "# >>> awskeep >>>";
const END: &str = "# <<< awskeep <<<";
const MADE: &str = " made this file";
const NO_END: &str = " the line above had no end";

/// What a file should become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockChange {
    /// It is so already.
    Nothing,
    Write(Vec<u8>),
    /// Nothing is left of a file that was made for the block.
    Delete,
}

/// Why a file must not be edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// From 1 on.
    pub line: usize,
    pub what: &'static str,
}

/// What the file was like before the block came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Whole,
    NotThere,
    /// Its last line had no end; it was given one.
    NoLastEnd,
}

impl Before {
    fn note(self) -> &'static str {
        match self {
            Before::Whole => "",
            Before::NotThere => MADE,
            Before::NoLastEnd => NO_END,
        }
    }
}

/// A block that was found.
struct Found {
    /// Its bytes, the end of its last line included.
    range: std::ops::Range<usize>,
    before: Before,
    line_end: &'static str,
}

/// Puts the block at the end, or renews the one that is there in its place.
///
/// `body` is text with `\n` at the end of each line; the file's own line ends are used.
///
/// # Errors
/// Where marks are damaged, or the text is none.
pub fn put(text: Option<&[u8]>, body: &str) -> Result<BlockChange, Damage> {
    let Some(text) = text else {
        let block = written(body, Before::NotThere, "\n");
        return Ok(BlockChange::Write(block.into_bytes()));
    };
    let new = match find(text)? {
        Some(found) => {
            let block = written(body, found.before, found.line_end);
            [
                &text[..found.range.start],
                block.as_bytes(),
                &text[found.range.end..],
            ]
            .concat()
        }
        None => {
            let line_end = line_end_of(text);
            let (before, missing) = match text {
                [] | [.., b'\n'] => (Before::Whole, ""),
                _ => (Before::NoLastEnd, line_end),
            };
            let block = written(body, before, line_end);
            [text, missing.as_bytes(), block.as_bytes()].concat()
        }
    };
    Ok(if new == text {
        BlockChange::Nothing
    } else {
        BlockChange::Write(new)
    })
}

/// Takes the block out: what is left is what was there before, and what came since.
///
/// # Errors
/// Where marks are damaged, or the text is none.
pub fn take_out(text: Option<&[u8]>) -> Result<BlockChange, Damage> {
    let Some(text) = text else {
        return Ok(BlockChange::Nothing);
    };
    let Some(found) = find(text)? else {
        return Ok(BlockChange::Nothing);
    };
    let (mut above, below) = (&text[..found.range.start], &text[found.range.end..]);
    if found.before == Before::NoLastEnd && below.is_empty() {
        above = above
            .strip_suffix(found.line_end.as_bytes())
            .unwrap_or(above);
    }
    if found.before == Before::NotThere && above.is_empty() && below.is_empty() {
        return Ok(BlockChange::Delete);
    }
    Ok(BlockChange::Write([above, below].concat()))
}

/// The block, marks and all; none if there is no whole one.
pub fn text(file: &[u8]) -> Option<String> {
    let found = find(file).ok().flatten()?;
    Some(String::from_utf8_lossy(&file[found.range]).into_owned())
}

fn written(body: &str, before: Before, line_end: &str) -> String {
    format!("{BEGIN}{}\n{body}{END}\n", before.note()).replace('\n', line_end)
}

fn line_end_of(text: &[u8]) -> &'static str {
    match text.iter().position(|byte| *byte == b'\n') {
        Some(end) if end > 0 && text[end - 1] == b'\r' => "\r\n",
        Some(_) | None => "\n",
    }
}

fn find(text: &[u8]) -> Result<Option<Found>, Damage> {
    if text.contains(&0) {
        return Err(Damage {
            line: 1,
            what: "it is not plain text (UTF-16?)",
        });
    }
    let mut found: Option<Found> = None;
    let mut open: Option<(usize, usize, Before, &'static str)> = None;
    let mut at = 0;
    for (number, line) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        let damage = |what| Err(Damage { line: number, what });
        let words = String::from_utf8_lossy(line);
        let words = words.trim();
        if let Some(note) = words.strip_prefix(BEGIN) {
            if open.is_some() {
                return damage("a block begins inside another");
            }
            if found.is_some() {
                return damage("there is a second block");
            }
            let before = match note {
                MADE => Before::NotThere,
                NO_END => Before::NoLastEnd,
                _ => Before::Whole,
            };
            open = Some((at, number, before, line_end_of(line)));
        } else if words == END {
            let Some((start, _, before, line_end)) = open.take() else {
                return damage("a block ends that does not begin");
            };
            found = Some(Found {
                range: start..at + line.len(),
                before,
                line_end,
            });
        }
        at += line.len();
    }
    match open {
        Some((_, line, ..)) => Err(Damage {
            line,
            what: "a block begins that does not end",
        }),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &str = "one\ntwo\n";

    fn put_text(text: Option<&[u8]>, body: &str) -> Vec<u8> {
        match put(text, body).unwrap() {
            BlockChange::Write(new) => new,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_block_goes_to_the_end_in_the_files_own_line_ends() {
        for (text, expected) in [
            (
                None,
                "# >>> awskeep >>> made this file\none\ntwo\n# <<< awskeep <<<\n",
            ),
            (Some(""), "# >>> awskeep >>>\none\ntwo\n# <<< awskeep <<<\n"),
            (
                Some("a\n"),
                "a\n# >>> awskeep >>>\none\ntwo\n# <<< awskeep <<<\n",
            ),
            (
                Some("a\nb"),
                "a\nb\n# >>> awskeep >>> the line above had no end\none\ntwo\n# <<< awskeep <<<\n",
            ),
            (
                Some("a\r\nb"),
                "a\r\nb\r\n# >>> awskeep >>> the line above had no end\r\none\r\ntwo\r\n# <<< awskeep <<<\r\n",
            ),
        ] {
            let new = put_text(text.map(str::as_bytes), BODY);
            assert_eq!(String::from_utf8(new.clone()).unwrap(), expected);
            assert_eq!(
                put(Some(&new), BODY),
                Ok(BlockChange::Nothing),
                "a second time"
            );
        }
    }

    #[test]
    fn an_older_block_is_renewed_in_its_place() {
        let old = put_text(Some(b"a"), "old\n");
        let text = [&old[..], b"later\n"].concat();
        let new = put_text(Some(&text), BODY);
        assert_eq!(
            String::from_utf8(new.clone()).unwrap(),
            "a\n# >>> awskeep >>> the line above had no end\none\ntwo\n# <<< awskeep <<<\nlater\n"
        );
        // What came after the block keeps its own line.
        assert_eq!(
            take_out(Some(&new)),
            Ok(BlockChange::Write(b"a\nlater\n".to_vec()))
        );
    }

    #[test]
    fn a_file_that_was_made_for_the_block_goes_with_it() {
        let new = put_text(None, BODY);
        assert_eq!(take_out(Some(&new)), Ok(BlockChange::Delete));
        let grown = [&new[..], b"mine\n"].concat();
        assert_eq!(
            take_out(Some(&grown)),
            Ok(BlockChange::Write(b"mine\n".to_vec()))
        );
        let was_empty = put_text(Some(b""), BODY);
        assert_eq!(
            take_out(Some(&was_empty)),
            Ok(BlockChange::Write(Vec::new()))
        );
        assert_eq!(take_out(None), Ok(BlockChange::Nothing));
        assert_eq!(take_out(Some(b"a")), Ok(BlockChange::Nothing));
    }

    #[test]
    fn damaged_marks_are_refused_with_their_line() {
        for (text, line, what) in [
            (
                "a\n# >>> awskeep >>>\nb\n",
                2,
                "a block begins that does not end",
            ),
            ("# <<< awskeep <<<\n", 1, "a block ends that does not begin"),
            (
                "# >>> awskeep >>>\n  # >>> awskeep >>>\n# <<< awskeep <<<\n",
                2,
                "a block begins inside another",
            ),
            (
                "# >>> awskeep >>>\n# <<< awskeep <<<\n# >>> awskeep >>>\n# <<< awskeep <<<\n",
                3,
                "there is a second block",
            ),
            ("\u{0}a", 1, "it is not plain text (UTF-16?)"),
        ] {
            let damage = Damage { line, what };
            assert_eq!(
                put(Some(text.as_bytes()), BODY),
                Err(damage.clone()),
                "{text}"
            );
            assert_eq!(take_out(Some(text.as_bytes())), Err(damage), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_put_in_comes_out_byte_for_byte(
            text in prop::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), Just(b'#'), 1_u8..=255], 0..60),
            body in "[a-z \n]{0,20}\n",
        ) {
            let new = put_text(Some(&text), &body);
            prop_assert_eq!(put(Some(&new), &body), Ok(BlockChange::Nothing));
            prop_assert_eq!(take_out(Some(&new)), Ok(BlockChange::Write(text)));
        }
    }
}

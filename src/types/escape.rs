//! Words of others (AWS, a proxy, files, stored items), made safe to print: what steers
//! a terminal, cannot be seen, or turns text around is shown as an escape. And one
//! argument, quoted for a command that will be pasted. Pure.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

/// Text of several lines: line ends and tabs stay as they are.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !matches!(c, '\n' | '\t') && is_unseen(c), shown)
}

/// Text that is one line, and stays one: line ends and tabs are shown, too.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unseen, shown)
}

/// A JSON document. Outside strings it has no such character, so JSON's own escape
/// means the same value.
pub fn json(text: &str) -> Cow<'_, str> {
    let shown = |c: char| {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units);
        units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
    };
    escaped(
        text,
        |c| !matches!(c, '\n' | '\t' | '\r') && is_unseen(c),
        shown,
    )
}

/// A text as one argument of a command line that is printed to be pasted; bare if it
/// is plain. Every shell that awskeep knows takes single quotes.
pub fn argument(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:@%+,".contains(c);
    let bare = text.strip_prefix("~/").unwrap_or(text);
    if !text.is_empty() && bare.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let home = if bare.len() < text.len() { "~/" } else { "" };
    Cow::Owned(format!("{home}'{}'", bare.replace('\'', "'\\''")))
}

/// Whether a character leaves no mark of its own on a screen, or moves those of others:
/// controls, format and bidi marks, zero-width and odd spaces, fillers.
pub fn is_unseen(c: char) -> bool {
    // Marked as printable in Unicode, and drawn as nothing (Default_Ignorable_Code_Point).
    let is_filler = matches!(c,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}');
    is_filler || !is_printable(c)
}

/// As std's `escape_debug` has it, which knows Unicode's categories: no controls, format
/// marks, private or unassigned characters, and no space but the plain one.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    // After another character: only a first one is escaped for being a combining mark.
    let mut text = [b'a'; 5];
    let length = 1 + c.encode_utf8(&mut text[1..]).len();
    std::str::from_utf8(&text[..length]).is_ok_and(|text| text.escape_debug().count() == 2)
}

fn escaped(
    text: &str,
    hides: impl Fn(char) -> bool,
    shown: impl Fn(char) -> String,
) -> Cow<'_, str> {
    if !text.contains(&hides) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match hides(c) {
            true => out.push_str(&shown(c)),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn shown(c: char) -> String {
    c.escape_default().to_string()
}

/// For the words of a stored item that are shown somewhere: they are made safe as they
/// are read, so that no place that prints them can forget it.
pub fn as_read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(match line(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(shown) => shown,
    })
}

/// The same for words that may be missing.
pub fn if_read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    as_read(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown() {
        for (text, as_line, as_lines) in [
            ("plain, ünï 漢 e\u{301}\\'\"", None, None),
            ("two\nlines\tof", Some("two\\nlines\\tof"), None),
            (
                "\u{1b}[2J\r\u{9b}\u{7f}",
                Some("\\u{1b}[2J\\r\\u{9b}\\u{7f}"),
                Some("\\u{1b}[2J\\r\\u{9b}\\u{7f}"),
            ),
            (
                "a\u{202e}b\u{2066}c\u{200e}",
                Some("a\\u{202e}b\\u{2066}c\\u{200e}"),
                Some("a\\u{202e}b\\u{2066}c\\u{200e}"),
            ),
            (
                "\u{200b}\u{feff}\u{ad}\u{2060}",
                Some("\\u{200b}\\u{feff}\\u{ad}\\u{2060}"),
                Some("\\u{200b}\\u{feff}\\u{ad}\\u{2060}"),
            ),
            (
                "\u{2028}\u{2029}\u{a0}",
                Some("\\u{2028}\\u{2029}\\u{a0}"),
                Some("\\u{2028}\\u{2029}\\u{a0}"),
            ),
            (
                "\u{3164}\u{fe0f}\u{e0041}",
                Some("\\u{3164}\\u{fe0f}\\u{e0041}"),
                Some("\\u{3164}\\u{fe0f}\\u{e0041}"),
            ),
        ] {
            assert_eq!(line(text), as_line.unwrap_or(text));
            assert_eq!(lines(text), as_lines.unwrap_or(text));
        }
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({"a\u{202e}": "b\u{9b}\u{e0041}\n\t\u{1b} ünï"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let safe = json(&text);
        assert!(!safe.contains(|c| c != '\n' && is_unseen(c)), "{safe}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&safe).unwrap(),
            value
        );
    }

    #[test]
    fn arguments_are_one_word_each() {
        for (text, quoted) in [
            ("bob", "bob"),
            ("~/.aws/config", "~/.aws/config"),
            ("a/b.c_d-e:f@g%h+i,j", "a/b.c_d-e:f@g%h+i,j"),
            ("", "''"),
            ("bob;touch x", "'bob;touch x'"),
            ("~/my files/it's", "~/'my files/it'\\''s'"),
            ("=ls", "'=ls'"),
            ("$(id)", "'$(id)'"),
            ("`id`", "'`id`'"),
            ("~root", "'~root'"),
        ] {
            assert_eq!(argument(text), quoted);
        }
    }
}

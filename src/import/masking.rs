//! Hides what may be secret in words and lines of a user's files before they are shown. Pure.
//!
//! Three rules, each enough by itself: what follows a word such as `secret` or `token`,
//! with the indented lines below it; the arguments of a program that is not ours; and
//! whatever has the form of a secret access key or a session token, wherever it stands.

use crate::profiles::command_line;
use crate::profiles::parse_helper;

/// What stands for a hidden value.
pub const MASK: &str = "[secret]";

/// A secret access key has this many characters of the alphabet below; tokens have more.
const SECRET_LENGTH: usize = 40;

/// Lines without what may be secret.
pub fn lines(lines: &[&str]) -> Vec<String> {
    let mut below_secret = false;
    lines
        .iter()
        .map(|line| {
            let indented = line.starts_with([' ', '\t']);
            if indented && below_secret {
                return format!("  {MASK}");
            }
            let (shown, hidden) = masked_line(line);
            below_secret = hidden;
            shown
        })
        .collect()
}

/// The text without runs of characters that have the form of a secret.
///
/// Source: 40 of `[A-Za-z0-9/+]`, as AWS makes them, also percent-encoded. In a run of
/// that length from a random secret, capital and small letters stand together all but
/// certainly; hex digests and most paths have one kind only.
pub fn by_shape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (bytes, length) = run(rest);
        if length == 0 {
            shown.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(bytes);
        let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
        let is_secret =
            length >= SECRET_LENGTH && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
        shown.push_str(if is_secret { MASK } else { word });
        rest = after;
    }
    shown
}

/// The bytes and the characters of the run of a secret's alphabet that the text starts with.
fn run(text: &str) -> (usize, usize) {
    let bytes = text.as_bytes();
    let (mut at, mut length) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = |n: usize| bytes.get(at + n).is_some_and(u8::is_ascii_hexdigit);
        at += match byte {
            b'%' if escaped(1) && escaped(2) => 3,
            b'/' | b'+' => 1,
            byte if byte.is_ascii_alphanumeric() => 1,
            _ => break,
        };
        length += 1;
    }
    (at, length)
}

/// A command line that is not awskeep's: its program, and how many arguments it has.
pub fn foreign_command(line: &str) -> String {
    let words = command_line::words(line);
    let (program, arguments) = match words.split_first() {
        // Not a program: a variable for the shell, or an odd thing altogether.
        Some((first, _)) if first.contains('=') => {
            return "a command line that sets variables".into();
        }
        Some((program, arguments)) => (by_shape(program), arguments.len()),
        None => return "an empty command line".into(),
    };
    match arguments {
        0 => program,
        1 => format!("{program} with 1 argument"),
        n => format!("{program} with {n} arguments"),
    }
}

/// The line as it may be shown, and whether the indented lines below it may not.
fn masked_line(line: &str) -> (String, bool) {
    // `to_ascii_lowercase` keeps every byte's place.
    let low = line.to_ascii_lowercase();
    if let Some((start, value)) = command_of(line, &low) {
        if parse_helper(value).is_some() {
            return (line.to_owned(), false);
        }
        return (format!("{start} {}", foreign_command(value)), true);
    }
    let word = ["secret", "token", "passw", "private"]
        .into_iter()
        .filter_map(|word| low.find(word).map(|at| at + word.len()))
        .min();
    if let Some(at) = word
        && let Some(gap) = line[at..].find(['=', ':', ' ', '\t'])
        && !line.starts_with('[')
    {
        let rest = line[at + gap..].trim_matches(['=', ':', ' ', '\t', '\r', '\n']);
        if rest.is_empty() {
            return (by_shape(line), true);
        }
        let separator = line[at + gap..].find(['=', ':']).unwrap_or(0);
        let shown = line[..=at + gap + separator].trim_end();
        return (format!("{} {MASK}", by_shape(shown)), true);
    }
    if low.contains("aws_access_key_id") {
        let value = line.split(['=', ':']).nth(1).unwrap_or_default().trim();
        let is_id = value.is_empty() || value.parse::<crate::types::keys::AccessKeyId>().is_ok();
        if !is_id || value.len() > 32 {
            return (format!("aws_access_key_id = {MASK}"), true);
        }
        return (line.to_owned(), true);
    }
    (by_shape(line), false)
}

/// A `credential_process`, in a comment too: what stands up to the equals sign, and the value.
fn command_of<'a>(line: &'a str, low: &str) -> Option<(&'a str, &'a str)> {
    let key = "credential_process";
    let before = low.find(key)?;
    let equals = before + key.len() + low[before + key.len()..].find(['=', ':'])?;
    let is_key = low[before + key.len()..equals].trim().is_empty();
    let is_first = !low[..before].contains(|c: char| c.is_ascii_alphanumeric());
    (is_key && is_first).then(|| (&line[..=equals], line[equals + 1..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCY1234567890";

    #[test]
    fn what_has_the_form_of_a_secret_is_hidden_wherever_it_stands() {
        let encoded = SECRET.replace('/', "%2F");
        let token = SECRET.repeat(9);
        for (line, shown) in [
            (format!("# was {SECRET}\n"), "# was [secret]\n"),
            (format!("; {SECRET}, before May"), "; [secret], before May"),
            (format!("[{SECRET}]"), "[[secret]]"),
            (format!("region = {SECRET}"), "region = [secret]"),
            (
                format!("u = https://x/?a={encoded}&b=1"),
                "u = https://x/?a=[secret]&b=1",
            ),
            (format!("# {token}=="), "# [secret]=="),
            (
                format!("{SECRET} old secret {SECRET}"),
                "[secret] old secret [secret]",
            ),
            (format!("# „{SECRET}“"), "# „[secret]“"),
            // A commit, a path, and an access key id are none.
            (
                "# 0123456789abcdef0123456789abcdef01234567".into(),
                "# 0123456789abcdef0123456789abcdef01234567",
            ),
            (
                "ca_bundle = /usr/local/share/certificates/of/the/company/all".into(),
                "ca_bundle = /usr/local/share/certificates/of/the/company/all",
            ),
            ("# AKIAIOSFODNN7EXAMPLE".into(), "# AKIAIOSFODNN7EXAMPLE"),
            ("# 100% of it, 50%2".into(), "# 100% of it, 50%2"),
        ] {
            assert_eq!(lines(&[&line]), [shown], "{line}");
        }
    }

    #[test]
    fn a_foreign_program_is_shown_without_its_arguments() {
        let own = "credential_process = /Very/Long/Path/Of/Some/Install/Folder/awskeep credential-process work\n";
        for (line, shown) in [
            (own, own),
            (
                "credential_process = /b/other -p hunter2\n",
                "credential_process = /b/other with 2 arguments",
            ),
            (
                "# Credential_Process=\"/my b/other\" hunter2",
                "# Credential_Process= /my b/other with 1 argument",
            ),
            (
                "  credential_process: KEY=hunter2 /b/other",
                "  credential_process: a command line that sets variables",
            ),
            (
                "credential_process =\n",
                "credential_process = an empty command line",
            ),
            (
                "# no credential_process here",
                "# no credential_process here",
            ),
        ] {
            assert_eq!(lines(&[line]), [shown], "{line}");
        }
        assert_eq!(
            lines(&[
                "credential_process = /b/other\n",
                "  hunter2\n",
                "region = x\n"
            ]),
            [
                "credential_process = /b/other",
                "  [secret]",
                "region = x\n"
            ]
        );
    }

    #[test]
    fn odd_lines_are_masked_too() {
        for line in [
            "aws_access_key_id = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AWS_SECRET_ACCESS_KEY: wJalr",
            "#aws_secret_access_key = wJalr",
            "aws_session_token\t=\twJalr",
            "password wJalr",
            "x_security_token = wJalr",
        ] {
            let (shown, _) = masked_line(line);
            assert!(!shown.contains("wJalr"), "{line}: {shown}");
        }
        let shown = lines(&["aws_secret_access_key =\n", "  wJalr\n", "region = x\n"]);
        assert!(!shown.concat().contains("wJalr"), "{shown:?}");
        assert_eq!(shown[2], "region = x\n");
    }

    #[test]
    fn a_foreign_line_shows_its_program_only() {
        for (line, shown) in [
            ("/b/other", "/b/other"),
            ("/b/other --token=hidden", "/b/other with 1 argument"),
            (
                "\"/my b/other\" -p hidden x",
                "/my b/other with 3 arguments",
            ),
            (
                "TOKEN=hidden /b/other",
                "a command line that sets variables",
            ),
            ("curl -H 'Authorization: hidden'", "curl with 3 arguments"),
            ("  ", "an empty command line"),
            (SECRET, "[secret]"),
        ] {
            assert_eq!(foreign_command(line), shown, "{line}");
        }
    }
}

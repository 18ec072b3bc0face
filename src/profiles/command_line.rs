//! The value of `credential_process`: builds ours so that every SDK splits it the
//! same way, and knows ours again. Pure. Starts nothing and looks at no file.
//!
//! The AWS CLI splits words by itself, the others give the line to a shell, and Go
//! strips quotes, comments and `\n` first. What all of them leave alone is allowed.

use crate::error::{Error, Kind, Result};
use crate::types::keys::EntryName;

/// A command line that is awskeep's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    /// The program's path as it is written, without quotes.
    pub path: String,
    pub entry: EntryName,
}

/// Whose paths and shell the line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    Unix,
    Windows,
}

impl Platform {
    pub const HERE: Platform = if cfg!(windows) {
        Platform::Windows
    } else {
        Platform::Unix
    };
}

/// The value of `credential_process` for this program and entry. A path with blanks
/// is quoted; the entry, which never is, ends the line, because Go strips a pair of
/// quotes that surrounds the whole value.
pub fn build(path: &str, entry: &EntryName, platform: Platform) -> Result<String> {
    let path = match platform {
        Platform::Unix => path.to_owned(),
        // Go reads the two characters `\n` as a line break.
        Platform::Windows if path.contains(r"\n") => path.replace('\\', "/"),
        Platform::Windows => path.to_owned(),
    };
    refuse_path(&path, platform)?;
    let quote = if path.contains(' ') { "\"" } else { "" };
    Ok(format!("{quote}{path}{quote} credential-process {entry}"))
}

/// Takes our own command line apart; None for anybody else's.
pub fn parse_helper(value: &str) -> Option<Helper> {
    let value = value.trim();
    let (path, rest) = match value.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => value.split_once([' ', '\t'])?,
    };
    let program = path.rsplit(['/', '\\']).next()?;
    let is_ours = program == "awskeep" || program.eq_ignore_ascii_case("awskeep.exe");
    if !is_ours || !rest.starts_with([' ', '\t']) && value.starts_with('"') {
        return None;
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    let entry = match words.as_slice() {
        ["credential-process", "--entry" | "--profile" | "-p", entry] => entry,
        ["credential-process", flag] if flag.starts_with('-') => flag
            .strip_prefix("--entry=")
            .or_else(|| flag.strip_prefix("--profile="))?,
        ["credential-process", entry] => entry,
        _ => return None,
    };
    Some(Helper {
        path: path.to_owned(),
        entry: entry.trim_matches('"').parse().ok()?,
    })
}

/// The words of a line, as the AWS CLI splits it: blanks separate words; double quotes keep them together.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' | '\t' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn refuse_path(path: &str, platform: Platform) -> Result<()> {
    let absolute = match platform {
        Platform::Unix => path.starts_with('/'),
        Platform::Windows => {
            let drive = path.get(..3).unwrap_or_default().as_bytes();
            matches!(drive, [letter, b':', b'/' | b'\\'] if letter.is_ascii_alphabetic())
        }
    };
    if !absolute {
        return Err(Error::new(
            Kind::Usage,
            format!("{path:?} is not an absolute path, which the AWS CLI needs"),
        ));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@, ".contains(c);
    let allowed = |c: char| match platform {
        Platform::Unix => plain(c) || c == ':' || c.is_alphanumeric(),
        // The AWS CLI reads the file in the machine's code page: ASCII only.
        Platform::Windows => plain(c) || c == ':' || c == '\\',
    };
    let odd = path.chars().find(|&c| !allowed(c));
    match odd {
        _ if path.contains("  ") || path.ends_with(' ') => Err(Error::new(
            Kind::Usage,
            format!("{path:?} has spaces that SDKs read differently"),
        )
        .hint("give a path without spaces with --helper-path")),
        Some(odd) => Err(Error::new(
            Kind::Usage,
            format!("{path:?} has {odd:?} in it, which SDKs read differently"),
        )
        .hint("give a path of letters, digits and / . _ - with --helper-path")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_built_so_that_all_sdks_split_them_alike() {
        use Platform::{Unix, Windows};
        for (path, platform, expected) in [
            (
                "/usr/bin/awskeep",
                Unix,
                Some("/usr/bin/awskeep credential-process me@corp"),
            ),
            (
                "/opt/my apps/awskeep",
                Unix,
                Some("\"/opt/my apps/awskeep\" credential-process me@corp"),
            ),
            (
                "/home/josé/awskeep",
                Unix,
                Some("/home/josé/awskeep credential-process me@corp"),
            ),
            (
                r"C:\tools\awskeep.exe",
                Windows,
                Some(r"C:\tools\awskeep.exe credential-process me@corp"),
            ),
            (
                r"C:\tools\new\awskeep.exe",
                Windows,
                Some("C:/tools/new/awskeep.exe credential-process me@corp"),
            ),
            (
                r"C:\Program Files\awskeep.exe",
                Windows,
                Some("\"C:\\Program Files\\awskeep.exe\" credential-process me@corp"),
            ),
            (r"C:\Program Files (x86)\awskeep.exe", Windows, None),
            (r"C:\josé\awskeep.exe", Windows, None),
            ("awskeep", Unix, None),
            ("~/awskeep", Unix, None),
            (r"tools\awskeep.exe", Windows, None),
            ("/a#b/awskeep", Unix, None),
            ("/a;b/awskeep", Unix, None),
            ("/a\"b/awskeep", Unix, None),
            ("/a'b/awskeep", Unix, None),
            ("/a\nb/awskeep", Unix, None),
            ("/a$b/awskeep", Unix, None),
            (r"/a\b/awskeep", Unix, None),
            ("/a\u{1b}b/awskeep", Unix, None),
            ("/a  b/awskeep", Unix, None),
            ("/a\u{a0}b/awskeep", Unix, None),
        ] {
            let entry: EntryName = "me@corp".parse().unwrap();
            let built = build(path, &entry, platform);
            assert_eq!(built.as_deref().ok(), expected, "{path}");
            let Ok(built) = built else { continue };
            let helper = parse_helper(&built).unwrap();
            assert_eq!(helper.entry, entry);
            let same = |p: &str| p.replace('\\', "/");
            assert_eq!(same(&helper.path), same(path));
        }
    }

    #[test]
    fn our_own_lines_are_known_again() {
        for (value, expected) in [
            (
                "/usr/bin/awskeep credential-process work",
                Some(("/usr/bin/awskeep", "work")),
            ),
            (
                "awskeep credential-process --entry work",
                Some(("awskeep", "work")),
            ),
            (
                "/b/awskeep  credential-process\t--profile work ",
                Some(("/b/awskeep", "work")),
            ),
            (
                "/b/awskeep credential-process --entry=work",
                Some(("/b/awskeep", "work")),
            ),
            (
                "\"/my b/awskeep\" credential-process work",
                Some(("/my b/awskeep", "work")),
            ),
            (
                r"C:\b\AwsKeep.EXE credential-process work",
                Some((r"C:\b\AwsKeep.EXE", "work")),
            ),
            ("/usr/bin/awskeep", None),
            ("/usr/bin/awskeep list", None),
            ("/usr/bin/awskeep credential-process", None),
            ("/usr/bin/awskeep credential-process a b", None),
            ("/usr/bin/awskeep credential-process --json", None),
            ("/usr/bin/awskeep credential-process 'work'", None),
            ("/usr/bin/notawskeep credential-process work", None),
            ("\"/b/awskeep\"x credential-process work", None),
            ("aws-vault exec work --json", None),
            ("sh -c 'awskeep credential-process work'", None),
            ("", None),
        ] {
            let helper = parse_helper(value);
            let got = helper.as_ref().map(|h| (h.path.as_str(), h.entry.as_str()));
            assert_eq!(got, expected, "{value}");
        }
    }

    #[test]
    fn lines_are_split_like_the_cli_does() {
        for (line, expected) in [
            (
                "/b/awskeep credential-process work",
                &["/b/awskeep", "credential-process", "work"][..],
            ),
            (
                "\"/my b/awskeep\"  credential-process\twork ",
                &["/my b/awskeep", "credential-process", "work"],
            ),
            ("a \"\" b", &["a", "", "b"]),
            ("", &[]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}

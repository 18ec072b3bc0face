//! Who may name what: the rules of ARCHITECTURE.md, checked on the source text.

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file below `src`, with its path from there and its text without tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files
        .into_iter()
        .filter(|path| !path.to_string_lossy().ends_with("tests.rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let tests = ["#[cfg(test)]", "#[cfg(all(test"]
                .iter()
                .filter_map(|mark| text.find(mark))
                .min();
            let code = text[..tests.unwrap_or(text.len())].to_owned();
            (
                path.strip_prefix(&root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned(),
                code,
            )
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// Lines of code (not comments) that hold the word, outside the files that may.
fn offenders(words: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources() {
        if allowed.iter().any(|prefix| path.starts_with(prefix)) {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    found
}

#[test]
fn only_live_names_the_aws_sdk() {
    let allowed = [
        "iam_account/live",
        "profile_files/sdk_reader.rs",
        "vault/keychain/zbus_connection.rs",
    ];
    assert_eq!(
        offenders(
            &[
                "aws_sdk_",
                "aws_config::",
                "aws_smithy_",
                "aws_types::",
                "aws_runtime::",
                "tokio::",
                "rustls::"
            ],
            &allowed
        ),
        [] as [String; 0]
    );
}

#[test]
fn only_ui_prints() {
    let words = [
        "println!",
        "eprintln!",
        "print!(",
        "eprint!(",
        "io::stdout()",
        "io::stderr()",
        "dbg!(",
    ];
    assert_eq!(offenders(&words, &["ui.rs"]), [] as [String; 0]);
}

#[test]
fn the_hot_path_sees_little() {
    for (path, text) in sources() {
        if path != "credential_process.rs" {
            continue;
        }
        for line in text.lines().filter(|line| line.starts_with("use crate::")) {
            let module = line
                .trim_start_matches("use crate::")
                .split([':', ';'])
                .next()
                .unwrap_or_default();
            let allowed = ["failure", "keys", "lease", "machine", "time", "vault"];
            assert!(allowed.contains(&module), "{line}");
        }
        for word in [
            "clap",
            "profile_files",
            "profiles::",
            "iam_account",
            "fs::",
            "thread",
        ] {
            assert!(
                !text
                    .lines()
                    .any(|line| !line.starts_with("//!") && line.contains(word)),
                "{word}"
            );
        }
    }
}

#[test]
fn no_command_imports_another() {
    for (path, text) in sources() {
        if path.starts_with("commands/") && path != "commands/mod.rs" {
            // A command's own folder sees that command.
            let (all_commands, other) = match path.matches('/').count() {
                1 => ("use super::", "crate::commands"),
                _ => ("use crate::commands::", "super::super"),
            };
            for line in text
                .lines()
                .filter(|line| line.trim_start().starts_with(all_commands))
            {
                let names = line
                    .trim()
                    .trim_start_matches(all_commands)
                    .trim_matches(['{', '}', ';']);
                for name in names
                    .trim_end_matches(';')
                    .trim_matches(['{', '}'])
                    .split(", ")
                {
                    assert!(
                        ["Context", "Form", "Imported", "Mode"].contains(&name),
                        "{path}: {line}"
                    );
                }
            }
            assert!(!text.contains(other), "{path} imports a command");
        }
    }
}

#[test]
fn secrets_are_exposed_in_few_places() {
    let allowed = [
        "keys.rs",
        "key_source.rs",
        "credential_process.rs",
        "commands/add.rs",
        "handing_out.rs",
        "iam_account/live",
        "import/aws_vault/",
        "profile_files/",
        "vault/file/",
    ];
    assert_eq!(offenders(&[".expose()"], &allowed), [] as [String; 0]);
}

#[test]
fn time_comes_from_the_machine() {
    let words = ["SystemTime::now", "Timestamp::now", "thread::sleep"];
    assert_eq!(
        offenders(&words, &["machine.rs", "disk/lock"]),
        [] as [String; 0]
    );
}

/// Arithmetic on the bare numbers could overflow: `Time` and `Length` do it within bounds.
#[test]
fn only_time_makes_times_of_numbers() {
    let made = |line: &String| {
        ["Time(", "Length("].iter().any(|word| {
            line.match_indices(word)
                .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        }) || ["map(Time)", "map(Length)"]
            .iter()
            .any(|word| line.contains(word))
    };
    let mut found = offenders(&["Time(", "Length(", "(Time)", "(Length)"], &["time.rs"]);
    found.retain(made);
    assert_eq!(found, [] as [String; 0]);
}

#[test]
fn no_unwrap_outside_tests() {
    assert_eq!(offenders(&[".unwrap()"], &[]), [] as [String; 0]);
}

#[test]
fn modules_say_what_they_are_for() {
    for (path, text) in sources() {
        assert!(
            text.starts_with("//! "),
            "{path} does not open with its purpose"
        );
    }
}

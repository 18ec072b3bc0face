//! The rules of ARCHITECTURE.md that the compiler cannot hold, checked on the source text:
//! who may name what, which way the arrows go, and that there are no circles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A source file below `src`.
struct Source {
    /// From there, such as `store/item.rs`.
    path: String,
    /// Such as `["store", "item"]`.
    module: Vec<String>,
    /// Its text without what is for tests only.
    text: String,
}

impl Source {
    /// Its lines without comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = |line| str::split(line, "//").next().unwrap_or_default();
        (1..).zip(self.text.lines().map(code))
    }

    /// The paths from `crate::` on that it names, in `use` and elsewhere.
    fn names(&self) -> Vec<Vec<String>> {
        let code: String = self.code().map(|(_, line)| format!("{line}\n")).collect();
        let starts = code.match_indices("crate::");
        starts
            .filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            .flat_map(|(at, start)| paths(&code[at + start.len()..]))
            .collect()
    }
}

/// All paths in `a::{b, c::d}`, or the one in `a::b`, at the start of the text.
fn paths(text: &str) -> Vec<Vec<String>> {
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(text.len());
    let segments = |text: &str| -> Vec<String> {
        let parts = text.split("::").filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let stem = segments(&text[..end]);
    let Some(group) = text[end..]
        .strip_prefix('{')
        .filter(|_| text[..end].ends_with("::"))
    else {
        return vec![stem];
    };
    let mut depth = 0;
    let mut found = Vec::new();
    let mut from = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let inner = paths(group[from..at].trim());
                found.extend(inner.into_iter().map(|more| [stem.clone(), more].concat()));
                from = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let mut found: Vec<Source> = files
        .iter()
        .filter(|path| !path.to_string_lossy().ends_with("tests.rs"))
        .map(|file| {
            let path = file
                .strip_prefix(&root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
            Source {
                module: match stem {
                    "lib" | "main" => Vec::new(),
                    stem => stem.split('/').map(str::to_owned).collect(),
                },
                text: without_tests(&fs::read_to_string(file).unwrap()),
                path,
            }
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 100, "{} files were found", found.len());
    found
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

/// Leaves empty lines in the place of every item that is compiled for tests only.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let bare = line.trim_start();
        if !bare.starts_with("#[cfg(test)]") && !bare.starts_with("#[cfg(all(test") {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        kept.push('\n');
        let indent = &line[..line.len() - bare.len()];
        for line in lines.by_ref() {
            kept.push('\n');
            let is_attribute = line.trim_start().starts_with("#[");
            let is_end = line == format!("{indent}}}")
                || (line.starts_with(&format!("{indent}}}")) && line.ends_with([')', ';']));
            if is_end || (!is_attribute && line.ends_with(';') && is_at(line, indent)) {
                break;
            }
        }
    }
    kept
}

fn is_at(line: &str, indent: &str) -> bool {
    line.strip_prefix(indent)
        .is_some_and(|rest| !rest.starts_with(' '))
}

/// Lines of code that hold one of the words, outside the files that may.
fn offenders(words: &[&str], allowed: &[&str]) -> Vec<String> {
    let sources = sources();
    for prefix in allowed {
        let is_there = sources.iter().any(|source| source.path.starts_with(prefix));
        assert!(is_there, "no source is called {prefix}");
    }
    let mut found = Vec::new();
    for source in &sources {
        if allowed.iter().any(|prefix| source.path.starts_with(prefix)) {
            continue;
        }
        for (number, code) in source.code() {
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!("{}:{number}: {}", source.path, code.trim()));
            }
        }
    }
    found
}

const NONE: [&str; 0] = [];

#[test]
fn what_is_for_tests_is_left_out_and_nothing_else() {
    for (text, kept) in [
        ("a\n#[cfg(test)]\nmod tests;\nb\n", "a\nb\n"),
        (
            "#[cfg(test)]\nmod tests {\n    fn a() {\n    }\n}\nb\n",
            "b\n",
        ),
        ("#[cfg(test)]\nuse a::{\n    b,\n};\nc\n", "c\n"),
        (
            "    #[cfg(test)]\n    fn a() {\n        b;\n    }\n    c\n",
            "    c\n",
        ),
        ("#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;\nb\n", "b\n"),
    ] {
        let bare: String = without_tests(text)
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(bare, kept, "{text:?}");
    }
    assert_eq!(
        paths("a::{b, c::{self, D}, e::F};\nuse crate::x;"),
        [
            vec!["a", "b"],
            vec!["a", "c", "self"],
            vec!["a", "c", "D"],
            vec!["a", "e", "F"]
        ]
    );
}

#[test]
fn only_live_names_the_aws_sdk() {
    let allowed = [
        "aws/live",
        "profiles/sdk_reader.rs",
        "store/keychain/zbus_connection.rs",
    ];
    let words = [
        "aws_sdk_",
        "aws_config::",
        "aws_smithy_",
        "aws_types::",
        "aws_runtime::",
        "tokio::",
        "rustls::",
    ];
    assert_eq!(offenders(&words, &allowed), NONE);
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
    assert_eq!(offenders(&words, &["ui/"]), NONE);
}

#[test]
fn secrets_are_exposed_in_few_places() {
    let allowed = [
        "types/keys.rs",
        "serve.rs",
        "commands/add.rs",
        "shell/env_export.rs",
        "aws/live",
        "import/sources/",
        "profiles/",
        "store/file/",
    ];
    assert_eq!(offenders(&[".expose()"], &allowed), NONE);
}

#[test]
fn time_comes_from_the_environment() {
    let words = [
        "SystemTime::now",
        "Timestamp::now",
        "thread::sleep",
        "Clock::System.now",
    ];
    assert_eq!(offenders(&words, &["system/", "aws/live.rs"]), NONE);
}

/// Arithmetic on the bare numbers could overflow: `Timestamp` and `Span` do it within bounds.
#[test]
fn only_time_makes_times_of_numbers() {
    let made = |line: &String| {
        ["Timestamp(", "Span("].iter().any(|word| {
            line.match_indices(word)
                .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        }) || ["map(Timestamp)", "map(Span)"]
            .iter()
            .any(|word| line.contains(word))
    };
    let words = ["Timestamp(", "Span(", "(Timestamp)", "(Span)"];
    let mut found = offenders(&words, &["types/time.rs"]);
    found.retain(made);
    assert_eq!(found, NONE);
}

#[test]
fn modules_say_what_they_are_for() {
    for source in sources() {
        assert!(
            source.text.starts_with("//! "),
            "{} does not open with its purpose",
            source.path
        );
    }
}

/// Words that no message uses, each with what it says instead.
#[test]
fn messages_are_plain_english() {
    let odd = [
        ("left alone", "skipped"),
        ("passed over", "skipped"),
        ("gone at AWS", "no longer exists in AWS"),
        ("by itself", "automatically"),
        ("by themselves", "automatically"),
        ("stands in", "is in"),
        ("stands there", "is there"),
        ("go on", "continue"),
        ("goes on", "continues"),
        ("may not look", "is not allowed to"),
        ("blanks", "spaces"),
        ("is inactive since", "has been inactive since"),
        ("is due since", "has been due since"),
        ("a person is needed", "interactive input is needed"),
    ];
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in source.code() {
            for text in line.split('"').skip(1).step_by(2) {
                let word = odd.iter().find(|(odd, _)| text.contains(odd));
                found.extend(word.map(|word| format!("{}:{number}: {word:?}", source.path)));
            }
        }
    }
    assert_eq!(found, NONE);
}

/// What the helper passes through, and the rooms that it may see.
#[test]
fn the_hot_path_sees_little() {
    let path: [(&str, &[&str]); 3] = [
        ("serve.rs", &["error", "store", "system", "types"]),
        (
            "commands/credential_process.rs",
            &[
                "cli", "commands", "config", "error", "serve", "store", "system", "types", "ui",
            ],
        ),
        ("store/", &["error", "store", "system", "types", "ui"]),
    ];
    // Not on its way: they look for the entries of commands.
    let aside = ["store/entries.rs", "store/file/passphrase.rs"];
    let words = ["clap", "aws::", "profiles::", "env::vars"];
    for (prefix, rooms) in path {
        let sources: Vec<Source> = sources()
            .into_iter()
            .filter(|source| source.path.starts_with(prefix))
            .collect();
        assert!(!sources.is_empty(), "no source is called {prefix}");
        for source in sources
            .iter()
            .filter(|source| !aside.contains(&&*source.path))
        {
            for name in source.names() {
                assert!(rooms.contains(&&*name[0]), "{}: {name:?}", source.path);
            }
            for (number, code) in source.code() {
                let word = words.iter().find(|word| code.contains(*word));
                assert_eq!(word, None, "{}:{number}", source.path);
            }
        }
    }
    // The short way: it is served before the command line's parser is built.
    let lib = sources().into_iter().find(|source| source.path == "lib.rs");
    let lib = lib.expect("src/lib.rs").text;
    let at = |word: &str| {
        lib.find(word)
            .unwrap_or_else(|| panic!("lib.rs has no {word}"))
    };
    assert!(at("served_entry(&arguments)") < at("Cli::try_parse_from"));
}

#[test]
fn no_command_imports_another() {
    let shared = ["Invocation", "Form", "Imported", "Mode"];
    for source in sources() {
        let [room, verb, ..] = &source.module[..] else {
            continue;
        };
        if room != "commands" {
            continue;
        }
        for name in source.names().iter().filter(|name| name[0] == "commands") {
            let what = name.get(1).map_or("", String::as_str);
            assert!(
                shared.contains(&what) || what == verb,
                "{}: {name:?}",
                source.path
            );
        }
    }
}

/// Rooms from the top down: an arrow goes to a lower row or stays in its own.
const ROWS: [&[&str]; 7] = [
    &["commands"],
    &["import", "automation", "shell"],
    &["lifecycle", "sessions"],
    &["serve", "aws", "store", "resolve"],
    &["profiles", "config", "records"],
    &["system", "ui", "cli"],
    &["types", "error"],
];

/// What still goes up, and why.
const UPWARD: [(&str, &str); 1] = [
    // Which entry a profile means is asked of both.
    ("store/entries.rs", "profiles"),
];

#[test]
fn arrows_go_one_way() {
    let row = |room: &str| ROWS.iter().position(|row| row.contains(&room));
    let mut wrong = BTreeSet::new();
    for source in sources() {
        let Some(room) = source.module.first() else {
            continue;
        };
        let from = row(room).unwrap_or_else(|| panic!("no row has {room}"));
        for name in source.names() {
            // What lib.rs itself holds is no room.
            let Some(to) = row(&name[0]) else { continue };
            if to < from && !UPWARD.contains(&(&source.path, &name[0])) {
                wrong.insert(format!("{} -> {}", source.path, name[0]));
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

/// No file needs another that needs it, by whatever way; a module and what is inside it
/// count as one.
#[test]
fn there_are_no_circles() {
    let sources = sources();
    let modules: BTreeSet<&[String]> = sources.iter().map(|source| &source.module[..]).collect();
    let mut needs: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
    for source in &sources {
        let from = &source.module[..];
        let needed = needs.entry(from).or_default();
        for name in source.names() {
            let to = (1..=name.len()).rev().find_map(|n| modules.get(&name[..n]));
            needed.extend(to.filter(|to| !from.starts_with(to) && !to.starts_with(from)));
        }
    }
    let mut circles = Vec::new();
    for start in needs.keys() {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&[String]> = needs[start].iter().copied().collect();
        while let Some(next) = open.pop() {
            if next == *start {
                circles.push(start.join("/"));
                break;
            }
            if seen.insert(next) {
                open.extend(needs.get(next).into_iter().flatten());
            }
        }
    }
    assert_eq!(circles, NONE);
}

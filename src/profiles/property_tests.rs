//! Checks of the document and its edits against the SDK's own test vectors, and
//! against random messy files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use proptest::prelude::*;
use serde_json::Value;

use crate::profiles::document::{Role, is_identifier};
use crate::profiles::edits::{
    Inserts, Removals, drop_empty_section, keys_in, remove_property, set_property,
};
use crate::profiles::lint::KEY_LINES;
use crate::profiles::sdk_reader::{Change, differs_by_exactly, read};
use crate::profiles::undo::{Edited, KeyField, put_back};
use crate::profiles::{Checked, Document, FileKind, Header};
use crate::types::keys::{ProfileName, Secret};

type Plain = BTreeMap<String, BTreeMap<String, String>>;

/// The folder of the aws-runtime crate that this build uses.
fn aws_runtime_folder() -> PathBuf {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|l| l.strip_prefix("host: "));
    // Of this platform only: the others' crates need not be on the disk.
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .args(["--filter-platform", host.unwrap()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let found = packages.iter().find(|p| p["name"] == "aws-runtime");
    let manifest = found.unwrap()["manifest_path"].as_str().unwrap();
    PathBuf::from(manifest).parent().unwrap().to_owned()
}

/// Both documents merged: the credentials file's properties win.
fn merged(documents: [&Document; 2]) -> Plain {
    let mut all = Plain::new();
    for document in documents {
        for name in document.profile_names() {
            let sections = document.sections_of(&name).into_iter();
            let properties = sections.flat_map(|section| &section.properties);
            let read = properties.filter(|p| is_identifier(&p.key));
            let profile = all.entry(name.clone()).or_default();
            profile.extend(read.map(|p| (p.key.clone(), p.value.to_string())));
        }
    }
    all
}

fn has_strays(document: &Document) -> bool {
    let stray = |role: &Role| matches!(role, Role::Stray(_));
    document.lines.iter().any(|line| stray(&line.role))
}

#[test]
fn the_specifications_own_vectors_read_the_same() {
    let path = aws_runtime_folder().join("test-data/profile-parser-tests.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let vectors = vectors["tests"].as_array().unwrap();
    assert_eq!(vectors.len(), 65);
    for vector in vectors {
        let name = vector["name"].as_str().unwrap();
        let text = |file: &str| vector["input"][file].as_str().unwrap_or_default();
        let (config, credentials) = (text("configFile"), text("credentialsFile"));
        let documents = [
            Document::parse(FileKind::Config, config),
            Document::parse(FileKind::Credentials, credentials),
        ];
        assert_eq!(documents[0].text(), config, "{name}");
        assert_eq!(documents[1].text(), credentials, "{name}");
        let output = &vector["output"];
        if output["errorContaining"].is_string() {
            assert!(documents.iter().any(has_strays), "{name}");
            continue;
        }
        assert!(!documents.iter().any(has_strays), "{name}");
        let expected: Plain = serde_json::from_value(output["config"]["profiles"].clone()).unwrap();
        assert_eq!(merged([&documents[0], &documents[1]]), expected, "{name}");
        let sessions = output["config"]["sso_sessions"].as_object();
        let is_session = |h: &Header| matches!(h, Header::SsoSession(_));
        let found = documents[0]
            .sections()
            .iter()
            .filter(|s| is_session(&s.header));
        assert_eq!(found.count(), sessions.map_or(0, |s| s.len()), "{name}");
    }
}

fn line() -> impl Strategy<Value = String> {
    let header = prop::sample::select(vec![
        "[profile p]",
        "[p]",
        "[default]",
        "[profile q]",
        "[q]",
        "[profile r] # note",
        "[sso-session s]",
        "[services v]",
    ]);
    let odd = prop::sample::select(vec![
        "[profile default]",
        "[DEFAULT]",
        "[ p ]",
        "[profile \"p\"]",
        "[profile  p]",
        "[p] ; c ]",
        "[p",
        "  # indented",
        "  [p]",
        "a b = c",
        "key: value",
        "nothing",
        "= nothing",
        "\u{feff}[p]",
        "a = 1\r",
        "\u{a0}x = \u{2003}1",
        "aws_secret_access_key",
        "  aws_secret_access_key = s3cret",
        "aws_secret_access_key = s3cret # old",
        "AWS_SECRET_ACCESS_KEY = s3cret",
    ]);
    let key = prop::sample::select(vec![
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "credential_process",
        "region",
        "Output",
    ]);
    let key = prop_oneof![
        1 => key.prop_map(str::to_owned),
        2 => "[a-zK]{2,4}",
    ];
    let equals = prop::sample::select(vec![" = ", "=", "\t=\t", " =", "= "]);
    let tail = prop::sample::select(vec!["", "", "", "  ", "\t"]);
    let property = (key, equals, tail).prop_map(|(key, equals, tail)| {
        let value = match key.as_str() {
            "aws_access_key_id" => "AKIAIOSFODNN7EXAMPLE",
            "aws_secret_access_key" | "aws_session_token" => "s3cret/+=",
            "credential_process" => "/bin/other x",
            _ => "value",
        };
        format!("{key}{equals}{value}{tail}")
    });
    let pair = prop::sample::select(vec![
        "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = s3cret/+=",
        "aws_secret_access_key=s3cret/+=\r\n# note\naws_access_key_id=AKIAIOSFODNN7EXAMPLE",
    ]);
    let nested = prop::sample::select(vec!["s3 =\n  a = b\n  c = d", "ec2 =\r\n\tx = y", "x2 ="]);
    let quiet = prop::sample::select(vec!["", "", "# note", "; note", "  "]);
    prop_oneof![
        4 => header.prop_map(str::to_owned),
        3 => "\\[profile [a-z]{2}\\]",
        12 => property,
        3 => pair.prop_map(str::to_owned),
        2 => nested.prop_map(str::to_owned),
        5 => quiet.prop_map(str::to_owned),
        1 => odd.prop_map(str::to_owned),
    ]
}

fn messy_text() -> impl Strategy<Value = String> {
    let end = prop::sample::select(vec!["\n", "\n", "\n", "\r\n"]);
    let one = prop::sample::select(vec!["\n", "\r\n"]);
    let lines = prop::collection::vec((line(), end), 0..16);
    (lines, any::<bool>(), one, any::<bool>()).prop_map(|(lines, mixed, one, ended)| {
        let mut text = String::new();
        let last = lines.len().saturating_sub(1);
        for (n, (line, end)) in lines.into_iter().enumerate() {
            text.push_str(&line);
            match (n == last && !ended, mixed) {
                (true, _) => {}
                (false, true) => text.push_str(end),
                (false, false) => text.push_str(one),
            }
        }
        text
    })
}

fn kind() -> impl Strategy<Value = FileKind> {
    prop::sample::select(vec![FileKind::Config, FileKind::Credentials])
}

fn name() -> impl Strategy<Value = ProfileName> {
    prop::sample::select(vec!["p", "q", "default"]).prop_map(|n| n.parse().unwrap())
}

/// Old lines that are not in the new text, and new ones that are not in the old,
/// when line ends do not count; by a longest common subsequence.
fn line_diff<'a>(old: &'a str, new: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut common = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut gone, mut come) = (0, 0, Vec::new(), Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || i < a.len() && common[i + 1][j] >= common[i][j + 1] {
            gone.push(a[i]);
            i += 1;
        } else {
            come.push(b[j]);
            j += 1;
        }
    }
    (gone, come)
}

/// The way back is exact, and what is remembered for it holds no secret.
fn check_undo(old: &Document, edited: &Edited, profile: &ProfileName) {
    let found = keys_in(&Checked::of(old), profile).unwrap();
    let secret_of = |field: KeyField, _: Option<&_>| match field {
        KeyField::Secret => found.secret.as_ref().map(|f| f.value.duplicate()),
        KeyField::Token => found.token.as_ref().map(|f| f.value.duplicate()),
        KeyField::NotAnId => found.id.as_ref().map(|f| f.value.duplicate()),
    };
    let back = put_back(&edited.document, &edited.undo, secret_of).unwrap();
    assert_eq!(back.text(), old.text());
    let remembered = serde_json::to_string(&edited.undo).unwrap();
    assert!(!remembered.contains("s3cret"), "{remembered}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_text_comes_out_as_it_went_in(kind in kind(), text in "\\PC{0,40}(\r?\n|\r|[ \t#;=\\[\\]]|\\PC){0,40}") {
        let document = Document::parse(kind, &text);
        prop_assert_eq!(document.text(), &text);
        let lines: String = (0..document.lines.len()).map(|i| document.whole_line(i)).collect();
        prop_assert_eq!(lines, text);
    }

    #[test]
    fn messy_files_read_as_the_sdk_reads_them(kind in kind(), text in messy_text()) {
        let document = Document::parse(kind, &text);
        prop_assert_eq!(document.text(), &text);
        let (config, credentials) = match kind {
            FileKind::Config => (text.as_str(), ""),
            FileKind::Credentials => ("", text.as_str()),
        };
        let sdk = read(config, credentials);
        prop_assert_eq!(sdk.is_err(), has_strays(&document), "{:?}", sdk.err());
        let Ok(sdk) = sdk else { return Ok(()) };
        // Headers that differ in blanks only are merged in no fixed order by the SDK.
        let twice = |name: &String| {
            let sections = document.sections_of(name);
            sections.iter().any(|s| s.inner != sections[0].inner)
        };
        prop_assume!(!document.profile_names().iter().any(twice));
        let sdk: Plain = sdk.into_iter().map(|(name, properties)| {
            (name, properties.into_iter().map(|(k, v)| (k, v.to_string())).collect())
        }).collect();
        prop_assert_eq!(merged([&document, &Document::parse(kind, "")]), sdk);
    }

    #[test]
    fn setting_changes_one_line_and_can_be_undone(kind in kind(), text in messy_text(), name in name()) {
        let (key, value) = ("credential_process", "/b/awskeep credential-process me");
        let old = Document::parse(kind, &text);
        let had_section = old.section_of(&name).is_some();
        let had = old.property(name.as_str(), key).is_some();
        let Ok(edited) = set_property(&old, &name, key, value) else {
            prop_assert!(!Checked::of(&old).lints(&name).is_empty());
            return Ok(());
        };
        let new = edited.document.text();
        prop_assert_eq!(differs_by_exactly(kind, &text, new, &[Change::set(&name, key)]), Ok(()));
        prop_assert_eq!(edited.document.property(name.as_str(), key).unwrap().value.as_str(), value);
        prop_assert!(Checked::of(&edited.document).lints(&name).is_empty());
        let (gone, come) = line_diff(&text, new);
        prop_assert_eq!(gone.len(), usize::from(had));
        prop_assert!(come.iter().all(|l| l.starts_with(key) || !had_section), "{:?}", come);
        check_undo(&old, &edited, &name);
        if had_section && !had {
            let back = remove_property(&edited.document, &name, key).unwrap();
            prop_assert_eq!(back.document.text(), &text);
        }
    }

    #[test]
    fn keys_are_taken_out_whole_and_come_back(kind in kind(), text in messy_text(), name in name()) {
        let old = Document::parse(kind, &text);
        let checked = Checked::of(&old);
        let mut takes = Removals::from(&checked);
        let Ok(count) = takes.keys(&name) else {
            prop_assert!(!checked.lints(&name).is_empty());
            return Ok(());
        };
        let taken = takes.done();
        let new = &taken.document;
        prop_assert!(keys_in(&Checked::of(new), &name).unwrap().is_none());
        let changes = KEY_LINES.map(|key| Change::removed(&name, key));
        prop_assert_eq!(differs_by_exactly(kind, &text, new.text(), &changes), Ok(()));
        let (gone, come) = line_diff(&text, new.text());
        prop_assert_eq!(gone.len(), count);
        prop_assert!(come.is_empty() && gone.iter().all(|l| l.starts_with("aws_")));
        check_undo(&old, &taken, &name);
        // The section too, as an import takes it: in the same pass.
        let mut takes = Removals::from(&checked);
        takes.keys(&name).unwrap();
        takes.section_if_empty(&name).unwrap();
        let dropped = takes.done();
        let changes: Vec<Change> = changes.into_iter().chain([Change::dropped(&name)]).collect();
        let new = dropped.document.text();
        prop_assert_eq!(differs_by_exactly(kind, &text, new, &changes), Ok(()));
        let (gone, come) = line_diff(&text, new);
        let key_or_bare = |l: &&str| l.starts_with("aws_") || l.starts_with('[') || l.trim().is_empty();
        prop_assert!(come.is_empty() && gone.iter().all(key_or_bare), "{:?} {:?}", gone, come);
        check_undo(&old, &dropped, &name);
    }
}

/// One profile's keys alone.
fn without_keys(document: &Document, name: &ProfileName) -> Document {
    let checked = Checked::of(document);
    let mut takes = Removals::from(&checked);
    takes.keys(name).unwrap();
    takes.done().document
}

const ALL: [&str; 3] = ["p", "q", "default"];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn many_edits_at_once_are_the_same_as_one_by_one(kind in kind(), text in messy_text()) {
        let old = Document::parse(kind, &text);
        let mut names: Vec<ProfileName> = ALL.iter().map(|name| name.parse().unwrap()).collect();
        names.retain(|name| Checked::of(&old).lints(name).is_empty());
        // In the order of the file, as a person would go through it.
        names.sort_by_key(|name| old.section_of(name).map_or(usize::MAX, |section| section.line));

        let checked = Checked::of(&old);
        let mut takes = Removals::from(&checked);
        let mut puts = Inserts::into(&checked);
        let (mut taken, mut put) = (old.clone(), old.clone());
        for name in &names {
            takes.keys(name).unwrap();
            takes.section_if_empty(name).unwrap();
            taken = without_keys(&taken, name);
            puts.set(name, "k", "v").unwrap();
            put = set_property(&put, name, "k", "v").unwrap().document;
        }
        for name in &names {
            taken = drop_empty_section(&taken, name).unwrap().document;
        }
        let (takes, puts) = (takes.done(), puts.done());
        // One by one, a blank line at the end may get its line end back on the way.
        let bare = |document: &Document| document.text().trim_end().to_owned();
        prop_assert_eq!(bare(&takes.document), bare(&taken));
        prop_assert_eq!(puts.document.text(), put.text());
        let secret = |_: KeyField, _: Option<&_>| Some(Secret::new("s3cret/+=".into()));
        for edited in [takes, puts] {
            let back = put_back(&edited.document, &edited.undo, secret).unwrap();
            prop_assert_eq!(back.text(), old.text());
        }
    }
}

#[test]
fn what_is_not_known_cannot_be_put_back() {
    let text = "[p]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = s3cret\n";
    let old = Document::parse(FileKind::Credentials, text);
    let checked = Checked::of(&old);
    let mut takes = Removals::from(&checked);
    takes.keys(&"p".parse().unwrap()).unwrap();
    let taken = takes.done();
    let lost = |_: KeyField, _: Option<&_>| None::<Secret>;
    let failure = put_back(&taken.document, &taken.undo, lost).unwrap_err();
    assert!(
        failure.message.contains("AKIAIOSFODNN7EXAMPLE"),
        "{failure}"
    );
}

//! Files that nobody would write: the texts of `tests/cases`, mutated. What reads them never
//! panics, never shows a secret, and what edits them can be taken back.
//!
//! A long run by hand: `AWSKEEP_FUZZ_CASES=1000000 cargo nextest run --release -E 'test(fuzz)'`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use awskeep::import::classify;
use awskeep::import::classify::changes;
use awskeep::import::classify::changes::FileWrite;
use awskeep::import::classify::{Stored, Verdict};
use awskeep::import::sources::key_input;
use awskeep::profiles::edits::{FoundKeys, Inserts, Removals};
use awskeep::profiles::lint::KEY_LINES;
use awskeep::profiles::sdk_reader::Change;
use awskeep::profiles::undo::{KeyField, put_back};
use awskeep::profiles::{AwsFiles, Checked, Document, FileKind, sdk_reader};
use awskeep::resolve::{Asked, Inputs, resolve_all};
use awskeep::types::keys::{AccessKeyId, ProfileName, Secret};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "s3cret";

/// The same few cases every time; others each time in a long run.
fn cases() -> ProptestConfig {
    let cases = std::env::var("AWSKEEP_FUZZ_CASES").ok();
    let cases: Option<u32> = cases.and_then(|cases| cases.parse().ok());
    ProptestConfig {
        failure_persistence: None,
        max_global_rejects: u32::MAX,
        rng_seed: cases.map_or(RngSeed::Fixed(1), |_| RngSeed::Random),
        ..ProptestConfig::with_cases(cases.unwrap_or(400))
    }
}

/// The texts of all cases, with one key in them.
fn seeds(file: &str) -> Vec<String> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut seeds: Vec<String> = ["import", "resolve"]
        .iter()
        .flat_map(|kind| fs::read_dir(cases.join(kind)).unwrap())
        .filter_map(|case| fs::read_to_string(case.unwrap().path().join(file)).ok())
        .map(|text| {
            let text = text.replace("ALICE_ID", ID).replace("BOB_ID", ID);
            text.replace("ALICE_SECRET", SECRET)
                .replace("BOB_SECRET", SECRET)
        })
        .collect();
    seeds.sort();
    seeds
}

/// One change to a text.
#[derive(Debug, Clone)]
enum Mutation {
    DropLine(Index),
    DoubleLine(Index, Index),
    /// Two texts in one.
    Append(Index),
    Insert(Index, &'static str),
    Cut(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let odd = vec![
        "\r",
        "\n",
        "\r\n",
        "\n ",
        " ",
        "\t",
        "=",
        " = ",
        "[",
        "]",
        "[p]\n",
        "#",
        " # ",
        ";",
        "\"",
        "\u{feff}",
        "\u{a0}",
        "\u{0}",
        ":",
        "é",
        "profile ",
        "\n[default]\n",
        "aws_secret_access_key = ",
        "\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = s3cret\n",
        "source_profile = p\n",
        "role_arn = r\n",
        "credential_process = /b/a x\n",
        ",",
        "\"\"",
    ];
    prop_oneof![
        1 => any::<Index>().prop_map(Mutation::DropLine),
        1 => any::<(Index, Index)>().prop_map(|(from, to)| Mutation::DoubleLine(from, to)),
        1 => any::<Index>().prop_map(Mutation::Append),
        4 => (any::<Index>(), prop::sample::select(odd)).prop_map(|(at, text)| Mutation::Insert(at, text)),
        1 => any::<Index>().prop_map(Mutation::Cut),
    ]
}

fn mutated(seeds: Vec<String>) -> impl Strategy<Value = String> {
    let all = seeds.clone();
    let start = prop::sample::select(seeds);
    (start, prop::collection::vec(mutation(), 0..5)).prop_map(move |(mut text, mutations)| {
        for mutation in mutations {
            text = apply(text, mutation, &all);
        }
        text
    })
}

fn apply(text: String, mutation: Mutation, seeds: &[String]) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let place = |at: Index| {
        let places: Vec<usize> = text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .collect();
        places[at.index(places.len())]
    };
    match mutation {
        Mutation::DropLine(_) | Mutation::DoubleLine(..) if lines.is_empty() => text,
        Mutation::DropLine(at) => {
            lines.remove(at.index(lines.len()));
            lines.concat()
        }
        Mutation::DoubleLine(from, to) => {
            let line = lines[from.index(lines.len())];
            lines.insert(to.index(lines.len()), line);
            lines.concat()
        }
        Mutation::Append(seed) => text + &seeds[seed.index(seeds.len())],
        Mutation::Insert(at, more) => {
            let at = place(at);
            format!("{}{more}{}", &text[..at], &text[at..])
        }
        Mutation::Cut(at) => text[..place(at)].to_owned(),
    }
}

fn pair() -> impl Strategy<Value = (String, String)> {
    (mutated(seeds("config")), mutated(seeds("credentials")))
}

/// Secrets by what stood in the section.
fn secret_of(_: KeyField, _: Option<&AccessKeyId>) -> Option<Secret> {
    Some(Secret::new(SECRET.into()))
}

/// The step passes the check that stands before every write, and comes back.
fn check_step(
    step: &FileWrite,
    old: &Document,
    secret_of: impl Fn(KeyField, Option<&AccessKeyId>) -> Option<Secret>,
) -> Result<(), TestCaseError> {
    let new = &step.edited.document;
    if new.text() == old.text() {
        // Not written, so not checked.
        return Ok(());
    }
    let checked = sdk_reader::differs_by_exactly(old.kind(), old.text(), new.text(), &step.changes);
    prop_assert_eq!(checked, Ok(()));
    // Only where each secret is the one that is known here.
    let remembered = serde_json::to_string(&step.edited.undo).unwrap();
    prop_assert!(!remembered.contains(SECRET), "{}", remembered);
    let back = put_back(new, &step.edited.undo, secret_of).unwrap();
    prop_assert_eq!(back.text(), old.text());
    Ok(())
}

/// No secret but that one stands in a key's line, so that `secret_of` is right.
fn has_odd_secrets(text: &str) -> bool {
    text.lines().any(|line| {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let key = key.trim().to_ascii_lowercase();
        let is_secret = key.contains("secret_access_key") || key.contains("session_token");
        is_secret && value.trim() != SECRET && !value.trim().is_empty()
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn imports_of_any_files_are_checked_and_come_back((config, credentials) in pair()) {
        prop_assume!(!has_odd_secrets(&config) && !has_odd_secrets(&credentials));
        let config = Document::parse(FileKind::Config, &config);
        let credentials = Document::parse(FileKind::Credentials, &credentials);
        let files = AwsFiles { config: &config, credentials: &credentials };
        let files = files.checked();
        let mut rows = classify::rows(&files, &Stored::default(), &[]);
        let made = changes::changes(&files, &mut rows, &Stored::default(), "/b/awskeep");
        check_step(&made.point, &config, secret_of)?;
        check_step(&made.take_from_credentials, &credentials, secret_of)?;
        check_step(&made.take_from_config, &made.point.edited.document, secret_of)?;
        for row in &rows {
            match &row.verdict {
                Verdict::Refused(refusal) => {
                    let told = format!("{refusal:?}");
                    prop_assert!(!told.contains(SECRET) && !refusal.fix().is_empty(), "{}", told);
                }
                Verdict::Move(found) => {
                    prop_assert!(found.key.id.as_str().starts_with("AKIA"));
                    let left = made.take_from_credentials.edited.document.property(&row.profile, "aws_access_key_id");
                    prop_assert!(left.is_none());
                }
                Verdict::Done(_) => {}
            }
        }
    }

    #[test]
    fn every_edit_of_any_file_is_refused_or_right(text in mutated(seeds("config")), is_config in any::<bool>()) {
        let kind = if is_config { FileKind::Config } else { FileKind::Credentials };
        let old = Document::parse(kind, &text);
        prop_assert_eq!(old.text(), &text);
        for name in old.profile_names().into_iter().chain(["new".to_owned()]) {
            let Ok(profile) = name.parse::<ProfileName>() else { continue };
            let (key, value) = ("credential_process", "/b/awskeep credential-process me");
            let checked = Checked::of(&old);
            let (mut puts, mut takes) = (Inserts::into(&checked), Removals::from(&checked));
            let set = puts.set(&profile, key, value);
            let taken = takes.keys(&profile);
            let dropped = takes.section_if_empty(&profile);
            let is_odd = !checked.lints(&profile).is_empty();
            prop_assert_eq!([set.is_err(), taken.is_err(), dropped.is_err()], [is_odd; 3]);
            if is_odd {
                continue;
            }
            let set = FileWrite { edited: puts.done(), changes: vec![Change::set(&profile, key)] };
            let stands = FoundKeys::of(&old, &profile);
            let secret_of = |field, _: Option<&AccessKeyId>| {
                let stood = match field {
                    KeyField::Secret => &stands.secret,
                    KeyField::Token => &stands.token,
                    KeyField::NotAnId => &stands.id,
                };
                stood.as_ref().map(|stood| stood.value.duplicate())
            };
            check_step(&set, &old, secret_of)?;
            let removed = KEY_LINES.map(|key| Change::removed(&profile, key)).into_iter();
            let changes = removed.chain([Change::dropped(&profile)]).collect();
            check_step(&FileWrite { edited: takes.done(), changes }, &old, secret_of)?;
        }
    }

    #[test]
    fn resolving_any_files_ends_and_shows_no_secret(
        (config, credentials) in pair(),
        name in prop::sample::select(vec!["p", "q", "default", "r", "nobody", "é", ""]),
        variables in prop::collection::btree_map(
            prop::sample::select(vec!["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"]),
            prop::sample::select(vec!["p", "q", "", SECRET]), 0..4),
    ) {
        let config = Document::parse(FileKind::Config, &config);
        let credentials = Document::parse(FileKind::Credentials, &credentials);
        let env: BTreeMap<String, String> =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for asked in [Asked::ByEnvironment, Asked::ByName(name)] {
            let files = AwsFiles { config: &config, credentials: &credentials };
            let inputs = Inputs { files, env: &env, asked };
            let told = serde_json::to_string(&resolve_all(inputs)).unwrap();
            let is_named = env.values().any(|value| value == SECRET);
            let is_elsewhere = has_secret_elsewhere(&config) || has_secret_elsewhere(&credentials);
            prop_assert!(is_named || is_elsewhere || !told.contains(SECRET), "{}", told);
        }
    }

    #[test]
    fn any_csv_is_read_or_refused_without_a_word_of_it(text in mutated(vec![
        "User Name,Access Key Id,Secret Access Key\n\"bob\",AKIAIOSFODNN7EXAMPLE,s3cret\n".into(),
        "User name,Password,Access key ID,Secret access key,Console login link\r\nbob,,AKIAIOSFODNN7EXAMPLE,s3cret,https://x\r\n".into(),
        "\u{feff}Access key ID,Secret access key\r\nAKIAIOSFODNN7EXAMPLE,s3cret".into(),
        "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE\nAWSSecretKey=s3cret\n".into(),
    ])) {
        match key_input::from_csv("k.csv", &text).and_then(|found| found.long_term()) {
            Ok(key) => {
                let shown = format!("{key:?}");
                prop_assert!(!shown.contains(SECRET));
            }
            Err(failure) => {
                let told = format!("{failure:?} {failure}");
                prop_assert!(!told.contains(SECRET), "{}", told);
            }
        }
    }
}

/// Whether the word stands where no secret is looked for: in a name, a path, a comment.
fn has_secret_elsewhere(document: &Document) -> bool {
    let is_secret = |key: &str| {
        [
            "aws_access_key_id",
            "aws_secret_access_key",
            "aws_session_token",
        ]
        .contains(&key)
    };
    document.sections().iter().any(|section| {
        section.inner.contains(SECRET)
            || section.properties.iter().any(|property| {
                !is_secret(&property.key)
                    && (property.value.contains(SECRET) || property.key.contains(SECRET))
            })
    })
}

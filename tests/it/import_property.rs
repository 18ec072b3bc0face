//! Over random messy files: what is not meant does not change, and the way back ends
//! where it began.

use awskeep::import::classify;
use awskeep::import::classify::changes;
use awskeep::import::classify::{Stored, Verdict};
use awskeep::profiles::undo::put_back;
use awskeep::profiles::{AwsFiles, Document, FileKind};
use awskeep::types::keys::Secret;
use proptest::prelude::*;

const IDS: [&str; 3] = [
    "AKIAIOSFODNN7EXAMPLE",
    "AKIAIOSFODNN7EXAMPL2",
    "AKIAIOSFODNN7EXAMPL3",
];

fn secret_of(id: &str) -> String {
    format!("wJalr/{id}")
}

fn line() -> impl Strategy<Value = String> {
    let key = (0..3usize).prop_map(|n| {
        format!(
            "aws_access_key_id = {id}\naws_secret_access_key={}",
            secret_of(IDS[n]),
            id = IDS[n]
        )
    });
    prop_oneof![
        4 => key,
        1 => Just("# a comment".to_owned()),
        1 => Just(String::new()),
        1 => Just("region = eu-west-1".to_owned()),
        1 => Just("s3 =\n  max_concurrent_requests = 2".to_owned()),
        1 => Just("role_arn = arn:aws:iam::1:role/r".to_owned()),
        1 => (0..4usize).prop_map(|n| format!("source_profile = {}", NAMES[n])),
        1 => Just("mfa_serial = x".to_owned()),
        1 => Just("aws_access_key_id =".to_owned()),
        1 => Just(" indented".to_owned()),
        1 => Just("stray".to_owned()),
    ]
}

const NAMES: [&str; 4] = ["default", "a", "b", "c/d"];

fn file(kind: FileKind) -> impl Strategy<Value = String> {
    let section = (0..4usize, prop::collection::vec(line(), 0..5));
    let sections = prop::collection::vec(section, 0..5);
    (sections, prop::bool::ANY, prop::bool::ANY).prop_map(move |(sections, crlf, final_end)| {
        let mut text = String::new();
        for (name, lines) in sections {
            let name = NAMES[name];
            match kind {
                FileKind::Config if name != "default" => text += &format!("[profile {name}]\n"),
                FileKind::Config | FileKind::Credentials => text += &format!("[{name}]\n"),
            }
            for line in lines {
                text += &line;
                text.push('\n');
            }
        }
        if !final_end {
            text.pop();
        }
        if crlf {
            text.replace('\n', "\r\n")
        } else {
            text
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn an_import_and_its_undo_are_nothing(config in file(FileKind::Config), credentials in file(FileKind::Credentials)) {
        let config = Document::parse(FileKind::Config, &config);
        let credentials = Document::parse(FileKind::Credentials, &credentials);
        let files = AwsFiles { config: &config, credentials: &credentials };
        let files = files.checked();
        let known = Stored::default();
        let mut rows = classify::rows(&files, &known, &[]);
        let made = changes::changes(&files, &mut rows, &known, "/usr/bin/awskeep");

        for row in &rows {
            if let Verdict::Move(found) = &row.verdict {
                for document in [&made.take_from_config, &made.take_from_credentials] {
                    let document = &document.edited.document;
                    prop_assert!(document.property(&row.profile, "aws_secret_access_key").is_none());
                    prop_assert!(document.property(&row.profile, "aws_access_key_id").is_none());
                }
                let _ = found;
            }
        }
        let after = [&made.take_from_config, &made.take_from_credentials]
            .map(|step| step.edited.document.text().to_owned());
        let moved = rows.iter().any(|row| matches!(row.verdict, Verdict::Move(_)));
        prop_assert_eq!(moved, after[0] != config.text() || after[1] != credentials.text());

        let secret = |_, id: Option<&awskeep::types::keys::AccessKeyId>| id.map(|id| Secret::new(secret_of(id.as_str())));
        let back = put_back(&made.take_from_config.edited.document, &made.take_from_config.edited.undo, secret).unwrap();
        let back = put_back(&back, &made.point.edited.undo, secret).unwrap();
        prop_assert_eq!(back.text(), config.text());
        let step = &made.take_from_credentials.edited;
        let back = put_back(&step.document, &step.undo, secret).unwrap();
        prop_assert_eq!(back.text(), credentials.text());
    }
}

//! Runs `resolve` over `tests/cases/resolve/NAME/{config,credentials,env,expected.json}`.
//! All files but the last are optional. Each case says what every consumer does, in
//! short: `static FILE:LINE`, `role(process FILE:LINE)`, `error`, …

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::profiles::{AwsFiles, Document, FileKind};
use crate::resolve::{Asked, Inputs, Location, Resolved, resolve_all};

#[test]
fn every_consumer_does_what_the_cases_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/resolve");
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        let (expected, got) = run(&case);
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        if expected != got {
            wrong.push(format!("{name}\n  expected {expected}\n  got      {got}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 38, "{count} cases");
}

/// The case's own words, and ours in the same form.
fn run(case: &Path) -> (Value, Value) {
    let text = |name: &str| fs::read_to_string(case.join(name)).unwrap_or_default();
    let config = Document::parse(FileKind::Config, &text("config")).named("config");
    let credentials = text("credentials");
    let credentials = Document::parse(FileKind::Credentials, &credentials).named("credentials");
    let variables = text("env");
    let variable = |line: &str| {
        let (name, value) = line.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    let env: BTreeMap<String, String> = variables.lines().map(variable).collect();
    let expected: Value = serde_json::from_str(&text("expected.json")).unwrap();
    let asked = expected["asked"].as_str();
    let resolutions = resolve_all(Inputs {
        files: AwsFiles {
            config: &config,
            credentials: &credentials,
        },
        env: &env,
        asked: asked.map_or(Asked::ByEnvironment, Asked::ByName),
    });
    let mut got = Map::new();
    got.extend(asked.map(|name| ("asked".to_owned(), name.into())));
    let mut shadows = Map::new();
    for resolution in resolutions {
        assert!(!format!("{resolution:?}").contains("s3cret"));
        let consumer = serde_json::to_value(resolution.consumer).unwrap();
        let consumer = consumer.as_str().unwrap().to_owned();
        let shadowed = resolution.shadows.iter();
        let shadowed = shadowed.map(|s| format!("{} {}", s.what, place(&s.place)));
        shadows.insert(consumer.clone(), shadowed.collect::<Vec<_>>().into());
        got.insert(consumer, short(&resolution.outcome).into());
    }
    if expected.get("shadows").is_some() {
        got.insert("shadows".to_owned(), shadows.into());
    }
    (expected, got.into())
}

fn place(place: &Location) -> String {
    match place {
        Location::Variable(name) => name.clone(),
        Location::Line(file, line) => format!("{file}:{line}"),
    }
}

fn short(outcome: &Resolved) -> String {
    match outcome {
        Resolved::Env => "env".to_owned(),
        Resolved::Static { place: at, id } => {
            let blank = if id.is_none() { "blank " } else { "" };
            format!("{blank}static {}", place(at))
        }
        Resolved::Process { place: at, .. } => format!("process {}", place(at)),
        Resolved::AssumeRole { from, .. } => format!("role({})", short(from)),
        Resolved::CredentialSource { source, .. } => source.clone(),
        Resolved::Sso { .. } => "sso".to_owned(),
        Resolved::WebIdentity { .. } => "web identity".to_owned(),
        Resolved::Login { .. } => "login".to_owned(),
        Resolved::Container => "container".to_owned(),
        Resolved::Nothing => "nothing".to_owned(),
        Resolved::Error { .. } => "error".to_owned(),
    }
}

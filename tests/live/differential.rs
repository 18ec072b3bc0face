//! What `resolve` says of odd files, against botocore and the JavaScript, Go and Rust SDKs. A
//! generator makes the files from a seed; each SDK reads all of them in one process. Compared is
//! which line's key or process a profile gives, or that it gives none; what an access key is
//! where its line holds more than the key, only as that. And `import`
//! sees every key that one of them reads.
//!
//! `AWSKEEP_SEEDS=20000 cargo test --test live differential` looks at more of them (nextest
//! would end it).

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use awskeep::profiles::lint::{HiddenKey, KEY_LINES};
use awskeep::profiles::{AwsFiles, Document, FileKind};
use awskeep::resolve::{Asked, Consumer, Inputs, Resolved, resolve};

use crate::programs::{in_test_env, run_with_input};

const USUAL_SEEDS: u64 = 200;

/// How many folders one process looks at: each ends within a minute.
const AT_ONCE: usize = 200;

/// Lines of a section, plain and odd; `{ID}` and `{PROCESS}` are put in, others on each line.
const LINES: [&str; 27] = [
    "aws_access_key_id = {ID}",
    "aws_access_key_id={ID}",
    "aws_access_key_id: {ID}",
    "  aws_access_key_id = {ID}",
    "\taws_access_key_id : {ID}",
    "AWS_ACCESS_KEY_ID = {ID}",
    "aws_access_key_id =",
    "aws_access_key_id = {ID} # mine",
    "aws_secret_access_key = s",
    "aws_secret_access_key=s",
    "aws_secret_access_key: s",
    "  aws_secret_access_key = s",
    "\taws_secret_access_key: s",
    "aws_secret_access_key =",
    "aws_session_token = t",
    "aws_session_token: t==",
    "credential_process = {PROCESS}",
    "credential_process: {PROCESS}",
    "  credential_process = {PROCESS}",
    "CREDENTIAL_PROCESS = {PROCESS}",
    "region = eu-west-1",
    "s3 =",
    "  addressing_style = path",
    "# note",
    "  # note",
    "nonsense",
    "region = x\raws_access_key_id = {ID}",
];

const CONFIG_HEADERS: [&str; 6] = [
    "[profile p]",
    "[profile p]",
    "[profile p] ; mine",
    "[p]",
    "[profile q]",
    "[DEFAULT]",
];

const CREDENTIALS_HEADERS: [&str; 5] = ["[p]", "[p]", "[p] # mine", "[q]", "[DEFAULT]"];

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let sides = u64::try_from(sides).unwrap();
        usize::try_from((mixed ^ (mixed >> 31)) % sides).unwrap()
    }

    /// `first` is the number of the first line.
    fn file(&mut self, headers: &[&str], process: &str, first: usize) -> String {
        let mut text = String::new();
        for _ in 0..self.roll(3) {
            text += headers[self.roll(headers.len())];
            text += "\n";
            for _ in 0..self.roll(6) {
                let number = first + text.lines().count();
                text += &LINES[self.roll(LINES.len())]
                    .replace("{PROCESS}", &format!("{process} {number}"))
                    .replace("{ID}", &format!("AKIAIOSFODNN7EXAM{number}"));
                text += "\n";
            }
        }
        text
    }
}

/// As `normal` has it.
fn said(outcome: &Resolved, consumer: Consumer) -> String {
    let is_text = |line: &str| !line.starts_with('#');
    match outcome {
        // Given more lines, Rust's shell finds no such commands.
        Resolved::Process { command, .. }
            if consumer == Consumer::Rust && command.lines().skip(1).any(is_text) =>
        {
            "none".to_owned()
        }
        Resolved::Static { id, .. } => id.clone().unwrap_or_else(|| "odd".to_owned()),
        Resolved::Process { command, .. } => {
            let number = command.split_whitespace().nth(1);
            format!("process {}", number.unwrap_or_default())
        }
        _ => "none".to_owned(),
    }
}

/// The id of an access key, of which processes make `process NUMBER`; `none`; or `odd`.
fn normal(answer: &str) -> &str {
    let is_id = answer.chars().all(|c| c.is_ascii_alphanumeric());
    match answer {
        "none" | "nothing" | "error" => "none",
        process if process.starts_with("process ") => process,
        id if is_id && id.starts_with("AKIA") => id,
        _ => "odd",
    }
}

type Answers = BTreeMap<String, String>;
type Ask = fn(&BTreeMap<String, PathBuf>) -> Answers;

fn in_parts(folders: &BTreeMap<String, PathBuf>, ask: Ask) -> Answers {
    let all: Vec<(String, PathBuf)> = folders.clone().into_iter().collect();
    all.chunks(AT_ONCE)
        .flat_map(|part| ask(&part.iter().cloned().collect()))
        .collect()
}

fn javascript(folders: &BTreeMap<String, PathBuf>) -> Answers {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_string(folders).unwrap()).unwrap();
    let program = r#"
import { readFileSync } from "node:fs";
import { fromIni, fromProcess } from "@aws-sdk/credential-providers";
const answers = {};
const asked = JSON.parse(readFileSync(process.env.QUESTIONS, "utf8"));
for (const [name, home] of Object.entries(asked)) {
  answers[name] = "none";
  // The default chain goes on to the process.
  for (const from of [fromIni, fromProcess]) {
    const files = { filepath: `${home}/credentials`, configFilepath: `${home}/config` };
    try {
      answers[name] = (await from({ profile: "p", ...files })()).accessKeyId;
      break;
    } catch (error) {}
  }
}
console.log(JSON.stringify(answers));
"#;
    let mut node = Command::new("node");
    node.args(["--input-type=module", "-"])
        .current_dir(in_test_env("node"))
        .env("QUESTIONS", file.path());
    serde_json::from_str(&run_with_input(&mut node, program).ok().stdout).unwrap()
}

/// The program of tests/env/go/reader.go.
fn go(folders: &BTreeMap<String, PathBuf>) -> Answers {
    let questions = serde_json::to_string(folders).unwrap();
    let mut reader = Command::new(in_test_env("go/reader"));
    serde_json::from_str(&run_with_input(&mut reader, &questions).ok().stdout).unwrap()
}

fn rust(folders: &BTreeMap<String, PathBuf>) -> Answers {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // Asked for, and never used: nothing in the files needs a service.
    let http = aws_smithy_http_client::Builder::new().build_http();
    let settings = ProviderConfig::without_region().with_http_client(http);
    let answer = |folder: &PathBuf| {
        let files = EnvConfigFiles::builder()
            .with_file(EnvConfigFileKind::Config, folder.join("config"))
            .with_file(EnvConfigFileKind::Credentials, folder.join("credentials"))
            .build();
        let provider = ProfileFileCredentialsProvider::builder()
            .configure(&settings)
            .profile_files(files)
            .profile_name("p")
            .build();
        let found = runtime.block_on(provider.provide_credentials());
        found.map_or("none".to_owned(), |found| found.access_key_id().to_owned())
    };
    folders
        .iter()
        .map(|(name, folder)| (name.clone(), answer(folder)))
        .collect()
}

fn botocore(folders: &BTreeMap<String, PathBuf>) -> Answers {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/botocore_resolves.py");
    let mut python = Command::new(in_test_env("venv/bin/python"));
    python.arg(script).arg("answers");
    let questions = serde_json::to_string(folders).unwrap();
    serde_json::from_str(&run_with_input(&mut python, &questions).ok().stdout).unwrap()
}

#[test]
fn the_sdks_read_odd_files_as_resolve_says() {
    let seeds = std::env::var("AWSKEEP_SEEDS").map_or(USUAL_SEEDS, |n| n.parse().unwrap());
    let home = tempfile::tempdir().unwrap();
    let process = home.path().join("process");
    let answer = r#"{"Version":1,"AccessKeyId":"process '"$1"'","SecretAccessKey":"x"}"#;
    std::fs::write(&process, format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
    std::fs::set_permissions(&process, std::fs::Permissions::from_mode(0o755)).unwrap();
    let process = process.display().to_string();
    let mut folders = BTreeMap::new();
    let mut files = BTreeMap::new();
    for seed in 0..seeds {
        let mut dice = Dice(seed);
        let config = dice.file(&CONFIG_HEADERS, &process, 100);
        let credentials = dice.file(&CREDENTIALS_HEADERS, &process, 200);
        let folder = home.path().join(seed.to_string());
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("config"), &config).unwrap();
        std::fs::write(folder.join("credentials"), &credentials).unwrap();
        let name = format!("{seed:06}");
        folders.insert(name.clone(), folder);
        files.insert(name, (config, credentials));
    }
    let sdks: [(&str, Consumer, Ask); 4] = [
        ("botocore", Consumer::CliV1, botocore),
        ("javascript", Consumer::JavaScript, javascript),
        ("go", Consumer::Go, go),
        ("rust", Consumer::Rust, rust),
    ];
    let folders = &folders;
    let answers = thread::scope(|all| {
        sdks.map(|(whose, consumer, ask)| {
            (whose, consumer, all.spawn(move || in_parts(folders, ask)))
        })
        .map(|(whose, consumer, asked)| (whose, consumer, asked.join().unwrap()))
    });
    let none = BTreeMap::new();
    let (mut wrong, mut unseen) = (Vec::new(), Vec::new());
    for (name, (config, credentials)) in &files {
        let inputs = Inputs {
            files: AwsFiles {
                config: &Document::parse(FileKind::Config, config),
                credentials: &Document::parse(FileKind::Credentials, credentials),
            },
            env: &none,
            asked: Asked::ByName("p"),
        };
        for (whose, consumer, answers) in &answers {
            let ours = said(&resolve(inputs, *consumer).outcome, *consumer);
            let theirs = normal(&answers[name]);
            let shown = || format!("\n--- config\n{config}--- credentials\n{credentials}");
            if ours != theirs {
                let what = format!("seed {name}, {whose}: resolve says {ours}, it is {theirs}");
                wrong.push(what + &shown());
            }
            let documents = [inputs.files.config, inputs.files.credentials];
            if theirs.starts_with("AKIA") && !documents.iter().any(|d| sees(d, theirs)) {
                unseen.push(format!("seed {name}, {whose}: {theirs}") + &shown());
            }
        }
    }
    println!(
        "{seeds} seeds, {} differ, {} unseen",
        wrong.len(),
        unseen.len()
    );
    let first = |found: &[String]| found.iter().take(12).cloned().collect::<String>();
    assert!(
        wrong.is_empty(),
        "{} differ, first: {}",
        wrong.len(),
        first(&wrong)
    );
    assert!(
        unseen.is_empty(),
        "{} unseen, first: {}",
        unseen.len(),
        first(&unseen)
    );
}

/// Whether `import` moves the section that has this key id, or names it.
fn sees(document: &Document, id: &str) -> bool {
    let hidden = document.hidden_keys();
    document.sections().iter().any(|section| {
        let is_key = |key: &str| section.get(key).is_some();
        let is_hidden = |key: &HiddenKey<'_>| key.section.is_some_and(|s| s.line == section.line);
        document.text_of(section).contains(id)
            && (KEY_LINES.into_iter().any(is_key) || hidden.iter().any(is_hidden))
    })
}

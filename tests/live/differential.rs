//! What `resolve` says of odd files, against botocore and the JavaScript SDK. A generator makes
//! the files from a seed; each SDK reads all of them in one process.
//!
//! `AWSKEEP_SEEDS=20000 cargo nextest run differential` looks at more of them. What is known to
//! differ is listed, with why, in `tests/cases/differences`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use awskeep::profile_files::resolve::{Asked, Consumer, Inputs, Outcome, resolve};
use awskeep::profile_files::{Document, FileKind};

use crate::programs::{in_test_env, run_with_input};

const USUAL_SEEDS: u64 = 200;

/// How many folders one process looks at: each ends within a minute.
const AT_ONCE: usize = 200;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";

/// Lines of a section, plain and odd; `{ID}` and `{PROCESS}` are put in.
const LINES: [&str; 26] = [
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

    fn file(&mut self, headers: &[&str], process: &str) -> String {
        let mut text = String::new();
        for _ in 0..self.roll(3) {
            text += headers[self.roll(headers.len())];
            text += "\n";
            for _ in 0..self.roll(6) {
                text += LINES[self.roll(LINES.len())];
                text += "\n";
            }
        }
        text.replace("{PROCESS}", process).replace("{ID}", ID)
    }
}

/// A difference that is known: whose, and what stands in the files.
fn known() -> Vec<(String, String)> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/differences");
    let table = std::fs::read_to_string(table).unwrap();
    let rows = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|line| {
        let parts: Vec<&str> = line.split(" | ").collect();
        let [whose, what, _why] = parts.as_slice() else {
            panic!("WHOSE | WHAT | WHY: {line}");
        };
        let what = what.replace("\\n", "\n").replace("\\t", "\t");
        ((*whose).to_owned(), what)
    })
    .collect()
}

fn said(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Static { .. } => "static",
        Outcome::Process { .. } => "process",
        _ => "none",
    }
}

fn normal(answer: &str) -> &'static str {
    match answer {
        "process" => "process",
        answer if answer.contains("static") || answer.contains(ID) => "static",
        _ => "none",
    }
}

type Answers = BTreeMap<String, String>;

fn in_parts(
    folders: &BTreeMap<String, PathBuf>,
    ask: fn(&BTreeMap<String, PathBuf>) -> Answers,
) -> Answers {
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
    let answer = r#"{"Version":1,"AccessKeyId":"process","SecretAccessKey":"x"}"#;
    std::fs::write(&process, format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
    std::fs::set_permissions(&process, std::fs::Permissions::from_mode(0o755)).unwrap();
    let process = process.display().to_string();
    let mut folders = BTreeMap::new();
    let mut files = BTreeMap::new();
    for seed in 0..seeds {
        let mut dice = Dice(seed);
        let config = dice.file(&CONFIG_HEADERS, &process);
        let credentials = dice.file(&CREDENTIALS_HEADERS, &process);
        let folder = home.path().join(seed.to_string());
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("config"), &config).unwrap();
        std::fs::write(folder.join("credentials"), &credentials).unwrap();
        let name = format!("{seed:06}");
        folders.insert(name.clone(), folder);
        files.insert(name, (config, credentials));
    }
    let answers = [
        ("botocore", Consumer::CliV1, in_parts(&folders, botocore)),
        (
            "javascript",
            Consumer::JavaScript,
            in_parts(&folders, javascript),
        ),
    ];
    let known = known();
    let none = BTreeMap::new();
    let (mut wrong, mut listed) = (Vec::new(), 0);
    for (name, (config, credentials)) in &files {
        let inputs = Inputs {
            config: &Document::parse(FileKind::Config, config),
            credentials: &Document::parse(FileKind::Credentials, credentials),
            env: &none,
            asked: Asked::ByName("p"),
        };
        for (whose, consumer, answers) in &answers {
            let ours = said(&resolve(inputs, *consumer).outcome);
            let theirs = normal(&answers[name]);
            let both = format!("{config}\n{credentials}");
            let is_known = |(who, what): &(String, String)| who == whose && both.contains(what);
            if ours == theirs {
                continue;
            }
            if known.iter().any(is_known) {
                listed += 1;
                continue;
            }
            wrong.push(format!(
                "seed {name}, {whose}: resolve says {ours}, it is {theirs}\n--- config\n{config}--- credentials\n{credentials}"
            ));
        }
    }
    println!("{seeds} seeds, {} differ, {listed} are listed", wrong.len());
    let first = wrong.iter().take(12).cloned().collect::<String>();
    assert!(wrong.is_empty(), "{} differ, first: {first}", wrong.len());
}

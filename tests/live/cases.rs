//! The cases of `tests/cases`, each in a home of its own: the files before an import, and
//! the same after one.
//!
//! In the cases' files the static key is alice's and what a process serves is bob's. A role
//! has the case's name, so that the server's journal tells who signed for it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::aws_server::{AwsServer, REGION};
use crate::programs::run;
use crate::sandbox::Sandbox;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Before,
    After,
}

impl Phase {
    pub const BOTH: [Phase; 2] = [Phase::Before, Phase::After];

    pub fn word(self) -> &'static str {
        match self {
            Phase::Before => "before",
            Phase::After => "after",
        }
    }
}

pub struct Case {
    pub name: String,
    pub expected: Value,
    /// The case's own variables; none: each profile is asked for by name.
    variables: Option<BTreeMap<String, String>>,
    pub sandbox: Sandbox,
    /// Whether the import touched a file.
    pub changed: bool,
    told: Value,
}

pub type Env = BTreeMap<String, String>;

impl Case {
    /// The case in a home of its own, imported in one of two copies.
    fn import(server: &AwsServer, folder: &Path) -> Case {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let sandbox = Sandbox::new();
        let made = ["store", "use", "file", "--without-passphrase", "--yes"];
        sandbox.awskeep(&made).ok();
        let bob = server.bob.key.as_cli_prints_it();
        let add = [
            "add",
            "p",
            "--stdin",
            "--no-profile",
            "--yes",
            "--region",
            REGION,
        ];
        let add = [&add[..], &["--endpoint-url", &server.endpoint]].concat();
        sandbox.awskeep_with_input(&add, &bob).ok();
        let other = sandbox.write(
            "other",
            &format!(
                "#!/bin/sh\necho '{}'\n",
                server.bob.key.as_credential_process()
            ),
        );
        fs::set_permissions(other, fs::Permissions::from_mode(0o755)).unwrap();
        let mut case = Case {
            expected: serde_json::from_str(&read(folder, "expected.json")).unwrap(),
            variables: folder.join("env").exists().then(|| {
                let variables = case_text(server, &sandbox, &read(folder, "env"));
                let pairs = variables.lines().filter_map(|line| line.split_once('='));
                pairs
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect()
            }),
            name,
            sandbox,
            changed: false,
            told: Value::Null,
        };
        for phase in Phase::BOTH {
            // The cases' roles are called r, or ROLE-1 and so on.
            for role in ["r", "ROLE-1", "ROLE-2"] {
                let role = format!("{}-{}-{role}", case.name, phase.word());
                server.order(json!({"do": "create-role", "role": role}));
            }
            for file in ["config", "credentials"] {
                let text = case_text(server, &case.sandbox, &read(folder, file));
                let text = text.replace("role/", &format!("role/{}-{}-", case.name, phase.word()));
                case.sandbox
                    .write(&format!("{}/{file}", phase.word()), &text);
            }
        }
        case.run_import(server);
        case
    }

    fn run_import(&mut self, server: &AwsServer) {
        let all = |case: &Case| {
            ["config", "credentials"].map(|file| case.sandbox.text(&format!("after/{file}")))
        };
        let before = all(self);
        let helper = self.sandbox.binary().display().to_string();
        let fixed = ["import", "--yes", "--json", "--region", REGION];
        let place = ["--endpoint-url", &server.endpoint, "--helper-path", &helper];
        let mut command = self.sandbox.command(self.sandbox.binary());
        command
            .args(fixed)
            .args(place)
            .envs(self.files(Phase::After));
        let ran = self.sandbox.note(run(&mut command));
        assert!(matches!(ran.code, Some(0 | 1)), "{}: {ran}", self.name);
        self.told = ran.json();
        self.changed = all(self) != before;
    }

    fn files(&self, phase: Phase) -> [(String, String); 2] {
        let path = |file: &str| {
            self.sandbox
                .home()
                .join(phase.word())
                .join(file)
                .display()
                .to_string()
        };
        [
            ("AWS_CONFIG_FILE".to_owned(), path("config")),
            (
                "AWS_SHARED_CREDENTIALS_FILE".to_owned(),
                path("credentials"),
            ),
        ]
    }

    pub fn profiles(&self, result: &str) -> Vec<&str> {
        let rows = self.told["profiles"].as_array().unwrap();
        let of = rows.iter().filter(|row| row["result"] == result);
        of.map(|row| row["profile"].as_str().unwrap()).collect()
    }

    /// What the clients are asked: a label, and the environment that makes the question.
    pub fn questions(&self, server: &AwsServer, phase: Phase) -> BTreeMap<String, Env> {
        let mut common: Env = server
            .env()
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        common.extend(self.files(phase));
        common.insert("HOME".into(), self.sandbox.home().display().to_string());
        let asked = |own: &Env| {
            common
                .iter()
                .chain(own)
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect()
        };
        if let Some(variables) = &self.variables {
            let mut variables = variables.clone();
            if let Some(profile) = self.expected["asked"].as_str() {
                // By name in code, for which an environment without keys stands.
                variables = Env::from([("AWS_PROFILE".into(), profile.into())]);
            }
            return BTreeMap::from([(self.label(phase, "env"), asked(&variables))]);
        }
        let profiles = self.profiles("imported").into_iter().chain(self.others());
        profiles
            .map(|profile| {
                let own = Env::from([("AWS_PROFILE".into(), profile.into())]);
                (self.label(phase, profile), asked(&own))
            })
            .collect()
    }

    /// Profiles of import cases that import does not move, but that may lean on one.
    fn others(&self) -> Vec<&str> {
        let listed = |field: &str| self.expected[field].as_array().cloned().unwrap_or_default();
        assert_eq!(
            json!(listed("moved")),
            json!(self.sorted("imported")),
            "{}: {}",
            self.name,
            self.told
        );
        assert_eq!(
            json!(listed("left")),
            json!(self.sorted("refused")),
            "{}: {}",
            self.name,
            self.told
        );
        let others = self.expected["others"].as_array();
        others
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .chain(self.profiles("refused"))
            .collect()
    }

    fn sorted(&self, result: &str) -> Vec<&str> {
        let mut profiles = self.profiles(result);
        profiles.sort_unstable();
        profiles
    }

    fn label(&self, phase: Phase, question: &str) -> String {
        format!("{} {} {question}", self.name, phase.word())
    }
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap_or_default()
}

/// The case's text with keys and programs that exist.
fn case_text(server: &AwsServer, sandbox: &Sandbox, text: &str) -> String {
    let (alice, bob) = (&server.alice.key, &server.bob.key);
    let other = sandbox.home().join("other").display().to_string();
    let account = server.alice.arn.split(':').nth(4).unwrap();
    let is_resolve_case = text.contains("s3cret");
    let mut text = text
        .replace("/b/awskeep", &sandbox.binary().display().to_string())
        .replace("/b/a", &other)
        .replace("OTHER", &other)
        .replace("s3cret", &alice.secret)
        .replace("ALICE_ID", &alice.id)
        .replace("ALICE_SECRET", &alice.secret)
        .replace("BOB_ID", &bob.id)
        .replace("BOB_SECRET", &bob.secret)
        .replace("123456789012", account);
    if is_resolve_case {
        text = text.replace("AKIAIOSFODNN7EXAMPLE", &alice.id);
    }
    text
}

pub fn all_cases(server: &AwsServer) -> Vec<Case> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders: Vec<PathBuf> = ["resolve", "import"]
        .iter()
        .flat_map(|kind| fs::read_dir(cases.join(kind)).unwrap())
        .map(|folder| folder.unwrap().path())
        .collect();
    folders.sort();
    folders
        .iter()
        .map(|folder| Case::import(server, folder))
        .collect()
}

//! Programs that use AWS as a user's do: each with its SDK's own default chain. Edge.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::aws_server::AwsServer;
use crate::programs::{Ran, in_env_sources, in_test_env, run, run_with_input};
use crate::sandbox::Sandbox;

/// An AWS client that asks STS who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    AwsCli,
    Boto3,
    NodeSdk,
    GoSdk,
    RustSdk,
}

impl Client {
    pub const ALL: [Client; 5] = [
        Client::AwsCli,
        Client::Boto3,
        Client::NodeSdk,
        Client::GoSdk,
        Client::RustSdk,
    ];

    /// The ARN that STS answers to this client, which finds its credentials through the
    /// profile in the sandbox' AWS files; else what it says on stderr.
    #[track_caller]
    pub fn caller_identity(
        self,
        sandbox: &Sandbox,
        server: &AwsServer,
        profile: &str,
    ) -> Result<String, String> {
        let ran = match self {
            Client::NodeSdk => {
                let program = std::fs::read_to_string(in_env_sources("caller.mjs")).unwrap();
                run_with_input(
                    ready(sandbox, server, profile, "node")
                        .args(["--input-type=module", "-"])
                        // Packages are looked up from here.
                        .current_dir(in_test_env("node")),
                    &program,
                )
            }
            Client::AwsCli | Client::Boto3 | Client::GoSdk | Client::RustSdk => {
                answered(|| self.program(|program| ready(sandbox, server, profile, program)))
            }
        };
        let ran = sandbox.note(ran);
        let arn = ran.stdout.lines().find(|line| line.starts_with("arn:"));
        match (ran.code, arn) {
            (Some(0), Some(arn)) => Ok(arn.to_owned()),
            _ => Err(ran.to_string()),
        }
    }

    /// The program that prints the ARN; `start` makes a command of its path.
    fn program(self, start: impl Fn(PathBuf) -> Command) -> Command {
        let mut command = match self {
            Client::AwsCli => start(in_test_env("venv/bin/aws")),
            Client::Boto3 => start(in_test_env("venv/bin/python")),
            Client::NodeSdk => start("node".into()),
            Client::GoSdk => start(in_test_env("go/caller")),
            // This binary again, because the SDK reads the environment of its process.
            Client::RustSdk => start(std::env::current_exe().unwrap()),
        };
        match self {
            Client::AwsCli => command
                .args(["sts", "get-caller-identity"])
                .args(["--query", "Arn", "--output", "text"]),
            Client::Boto3 => command.arg(in_env_sources("caller.py")),
            Client::RustSdk => command
                .args(["--exact", "clients::rust_sdk_program"])
                .args(["--ignored", "--nocapture"]),
            Client::NodeSdk | Client::GoSdk => &mut command,
        };
        command
    }
}

impl Client {
    /// The ARN that STS answers in each of these environments, or `error: …`.
    #[track_caller]
    pub fn caller_identities(
        self,
        asked: &BTreeMap<String, BTreeMap<String, String>>,
    ) -> BTreeMap<String, String> {
        let questions = serde_json::to_string(asked).unwrap();
        match self {
            Client::Boto3 => {
                let mut python = bare(in_test_env("venv/bin/python"));
                python.arg(in_env_sources("callers.py"));
                let ran = run_with_input(&mut python, &questions).ok();
                serde_json::from_str(&ran.stdout).unwrap()
            }
            Client::NodeSdk => {
                let file = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(file.path(), &questions).unwrap();
                let program = std::fs::read_to_string(in_env_sources("callers.mjs")).unwrap();
                let mut node = bare("node");
                node.args(["--input-type=module", "-"])
                    .current_dir(in_test_env("node"))
                    .env("QUESTIONS", file.path());
                let ran = run_with_input(&mut node, &program).ok();
                serde_json::from_str(&ran.stdout).unwrap()
            }
            // These read their environment once: one process for each question.
            Client::AwsCli | Client::GoSdk | Client::RustSdk => {
                let one = |variables: &BTreeMap<String, String>| {
                    let ran = answered(|| {
                        let mut command = self.program(bare);
                        command.envs(variables);
                        command
                    });
                    let arn = ran.stdout.lines().find(|line| line.starts_with("arn:"));
                    match (ran.code, arn) {
                        (Some(0), Some(arn)) => arn.to_owned(),
                        _ => format!("error: {ran}"),
                    }
                };
                asked
                    .iter()
                    .map(|(label, variables)| (label.clone(), one(variables)))
                    .collect()
            }
        }
    }
}

/// Runs it again where the answer itself was lost: now and then Debian's Go closes the
/// connection while its SDK still reads from it, on a busy machine.
fn answered(command: impl Fn() -> Command) -> Ran {
    let mut ran = run(&mut command());
    for _ in 0..3 {
        if !ran.stderr.contains("use of closed network connection") {
            break;
        }
        ran = run(&mut command());
    }
    ran
}

/// A program with no environment but the search path.
fn bare(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn ready(
    sandbox: &Sandbox,
    server: &AwsServer,
    profile: &str,
    program: impl AsRef<std::ffi::OsStr>,
) -> Command {
    let mut command = sandbox.command(program);
    command.envs(server.env()).env("AWS_PROFILE", profile);
    command
}

/// The Rust SDK's client: prints the ARN on a line of its own.
#[test]
#[ignore = "a program for `Client::RustSdk`, which starts it with an environment of its own"]
fn rust_sdk_program() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let who = runtime.block_on(async {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let settings = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .http_client(http)
            .load()
            .await;
        aws_sdk_sts::Client::new(&settings)
            .get_caller_identity()
            .send()
            .await
    });
    println!("\n{}", who.unwrap().arn().unwrap());
}

//! Every case of `tests/cases/resolve` and `tests/cases/import` through the real SDKs,
//! before and after an import: each profile is who it was, or its files are untouched.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::aws_server::AwsServer;
use crate::cases::{Case, Env, Phase, all_cases};
use crate::clients::Client;

/// The four whose SDKs differ; the AWS CLI is botocore too.
const CLIENTS: [(Client, &str); 4] = [
    (Client::Boto3, "cli_v1"),
    (Client::NodeSdk, "java_script"),
    (Client::GoSdk, "go"),
    (Client::RustSdk, "rust"),
];

/// Sources that lie beyond this machine: no client is run where one of them may win.
const OUTSIDE: [&str; 5] = ["sso", "login", "container", "web identity", "Ec2"];

/// Who a client was: an ARN, or `error`.
type Answers = BTreeMap<String, String>;

fn is_local(case: &Case) -> bool {
    let columns = CLIENTS
        .iter()
        .filter_map(|(_, column)| case.expected[column].as_str());
    !columns
        .into_iter()
        .any(|told| OUTSIDE.iter().any(|outside| told.contains(outside)))
}

/// What one client answered, and who signed for which role.
struct Asked {
    answers: Answers,
    signers: BTreeMap<String, BTreeSet<&'static str>>,
}

fn ask(server: &AwsServer, client: Client, cases: &[Case]) -> Asked {
    let seen = server
        .order(json!({"do": "calls"}))
        .as_array()
        .unwrap()
        .len();
    let mut questions: BTreeMap<String, Env> = BTreeMap::new();
    for case in cases.iter().filter(|case| is_local(case)) {
        for phase in Phase::BOTH {
            // What is untouched byte for byte needs no second look.
            if phase == Phase::Before || case.changed {
                questions.extend(case.questions(server, phase));
            }
        }
    }
    let answers = client.caller_identities(&questions);
    let calls = server.order(json!({"do": "calls"}));
    let mut signers: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for call in &calls.as_array().unwrap()[seen..] {
        if call["action"] == "AssumeRole" {
            let who = match call["key"].as_str().unwrap() {
                id if id == server.alice.key.id => "alice",
                id if id == server.bob.key.id => "bob",
                _ => "session",
            };
            let role = call["role"].as_str().unwrap().to_owned();
            signers.entry(role).or_default().insert(who);
        }
    }
    Asked {
        answers: answers
            .into_iter()
            .map(|(label, arn)| (label, normal(server, &arn)))
            .collect(),
        signers,
    }
}

/// The user's name, `role`, or `error`.
fn normal(server: &AwsServer, answer: &str) -> String {
    let who = if answer == server.alice.arn {
        "alice"
    } else if answer == server.bob.arn {
        "bob"
    } else if answer.contains(":assumed-role/") {
        "role"
    } else {
        "error"
    };
    who.to_owned()
}

/// What `resolve` says, in the same words; roles with whom they are signed by.
fn as_answer(told: &str) -> &'static str {
    match told.split([' ', '(']).next().unwrap_or_default() {
        "static" | "env" => "alice",
        "process" => "bob",
        "role" => "role",
        _ => "error",
    }
}

/// The Rust SDK gives the block that stands there to a shell, which finds no such command.
const NO_COMMAND: &str = "block-as-process";

/// What a client answered otherwise than it should.
fn wrong_answers(server: &AwsServer, case: &Case, asked: &[Asked]) -> Vec<String> {
    let mut wrong = Vec::new();
    for label in case.questions(server, Phase::Before).into_keys() {
        let later = label.replacen(" before ", " after ", 1);
        let everybody: Vec<&String> = asked.iter().map(|asked| &asked.answers[&label]).collect();
        for ((client, column), asked) in CLIENTS.iter().zip(asked) {
            let before = &asked.answers[&label];
            let is_by_name = !case.expected["asked"].is_null();
            let is_no_command = case.name == NO_COMMAND && *client == Client::RustSdk;
            if let Some(told) = case.expected[column].as_str()
                && as_answer(told) != before
                && !is_by_name
                && !is_no_command
            {
                wrong.push(format!(
                    "{client:?} {label}: resolve says {told}, it is {before}"
                ));
            }
            let Some(after) = asked.answers.get(&later) else {
                continue;
            };
            // What one SDK could not read may become what the others read all along.
            let is_mended = before == "error" && everybody.contains(&after);
            if before != after && !is_mended {
                wrong.push(format!("{client:?} {label}: {before}, afterwards {after}"));
            }
        }
    }
    wrong
}

/// Roles that somebody else signs for afterwards.
fn wrong_signers(case: &Case, asked: &[Asked]) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((client, _), asked) in CLIENTS.iter().zip(asked) {
        let of = |phase: Phase| -> BTreeMap<String, &BTreeSet<&str>> {
            let mark = format!(":role/{}-{}-", case.name, phase.word());
            let own = asked
                .signers
                .iter()
                .filter(|(role, _)| role.contains(&mark));
            own.map(|(role, who)| (role.replace(&mark, ""), who))
                .collect()
        };
        let (before, after) = (of(Phase::Before), of(Phase::After));
        if before != after {
            wrong.push(format!(
                "{client:?} {}: roles by {before:?}, afterwards {after:?}",
                case.name
            ));
        }
    }
    wrong
}

#[test]
fn every_case_resolves_as_before_or_is_untouched() {
    let server = AwsServer::start();
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["iam:*", "sts:*"], "Resource": "*"}],
    });
    server.set_policy(&server.alice, &policy);
    server.set_policy(&server.bob, &policy);
    let cases = all_cases(&server);
    let asked = CLIENTS.map(|(client, _)| ask(&server, client, &cases));
    let mut wrong = Vec::new();
    let (mut changed, mut outside) = (0, 0);
    for case in &cases {
        if !is_local(case) {
            outside += 1;
            assert!(
                !case.changed,
                "{} was changed; nobody can say who it is now",
                case.name
            );
            continue;
        }
        wrong.extend(wrong_answers(&server, case, &asked));
        if case.changed {
            changed += 1;
            wrong.extend(wrong_signers(case, &asked));
            no_plaintext(case, &server);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!(
        "{} cases, {changed} imported, {outside} with sources elsewhere",
        cases.len()
    );
    assert!(
        cases.len() >= 60 && changed >= 15,
        "{changed} of {}",
        cases.len()
    );
}

fn no_plaintext(case: &Case, server: &AwsServer) {
    if !case.profiles("refused").is_empty() {
        return;
    }
    let secrets = [server.alice.key.secret.as_str(), &server.bob.key.secret];
    let mut leaks = case.sandbox.leaks(&secrets);
    leaks.retain(|leak| !leak.contains("/before/") && !leak.contains("/other"));
    assert!(leaks.is_empty(), "{}: {leaks:?}", case.name);
}

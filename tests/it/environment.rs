//! What the environment says otherwise than the item, and what nobody can read in it.
#![cfg(unix)]

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::Sandbox;
use crate::sim::faults::{Fault, Script, When};

const ELSEWHERE: &str = "https://vpce-0a1b.iam.us-east-1.vpce.amazonaws.com";

/// A variable that is not UTF-8.
fn odd(name: &str) -> (String, OsString) {
    (name.into(), OsString::from_vec(b"caf\xe9".to_vec()))
}

#[test]
fn an_endpoint_in_the_environment_redirects_nothing_and_is_named() {
    for arguments in [
        &["status", "work", "--online"][..],
        &["rotate", "work", "--yes"],
        &["revoke", "work", "--yes"],
        &["remove", "work", "--delete-key", "--yes"],
    ] {
        let mut sandbox = Sandbox::with_work();
        sandbox
            .vars
            .push(("AWS_ENDPOINT_URL_IAM".into(), ELSEWHERE.into()));
        let said = format!(
            "warning: AWS_ENDPOINT_URL_IAM={ELSEWHERE} is not used: entry work has URL for IAM\n"
        );
        let ran = sandbox.run(arguments, &[]).exits(0);
        assert_eq!(ran.err.matches(&said).count(), 1, "{ran:?}");
    }
}

#[test]
fn an_endpoint_that_is_the_entrys_own_is_not_named() {
    let mut sandbox = Sandbox::with_work();
    let own = format!("{}/", sandbox.aws.url());
    sandbox.vars.push(("AWS_ENDPOINT_URL".into(), own));
    sandbox
        .vars
        .push(("AWS_ENDPOINT_URL_S3".into(), ELSEWHERE.into()));
    let ran = sandbox.run(&["rotate", "work", "--yes"], &[]).exits(0);
    assert!(!ran.err.contains("ENDPOINT"), "{ran:?}");
}

#[test]
fn without_a_person_another_endpoint_is_left_as_a_notice_once() {
    let mut sandbox = Sandbox::with_work();
    sandbox
        .vars
        .push(("AWS_ENDPOINT_URL_STS".into(), ELSEWHERE.into()));
    sandbox.run(&["config", "set", "auto", "on"], &[]).exits(0);
    let mut notices = Vec::new();
    for _ in 0..3 {
        let pass = 100 * 86_400;
        sandbox
            .clock
            .fetch_add(pass, std::sync::atomic::Ordering::SeqCst);
        sandbox.aws.clock().advance(pass);
        let ran = sandbox.run(&["rotate", "--if-due", "--all", "--no-input"], &[]);
        assert!(!ran.err.contains("ENDPOINT"), "{ran:?}");
        let folder = std::fs::read_dir(sandbox.path(".state/awskeep/notices"));
        notices = folder
            .unwrap()
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
            .filter(|notice| notice.contains("ENDPOINT"))
            .collect();
    }
    let own = sandbox.aws.url();
    let said =
        format!("work: AWS_ENDPOINT_URL_STS={ELSEWHERE} is not used: entry work has {own} for STS");
    assert_eq!(notices, [said]);
}

#[test]
fn a_variable_that_is_not_utf_8_is_named_and_not_taken_as_unset() {
    for (name, arguments) in [
        ("AWS_PROFILE", &["status"][..]),
        ("AWSKEEP_LEASE", &["credential-process", "work"]),
        ("AWSKEEP_DEADLINE", &["credential-process", "work"]),
        ("HTTPS_PROXY", &["rotate", "work", "--yes"]),
        ("no_proxy", &["rotate", "work", "--yes"]),
        ("AWS_REGION", &["add", "new", "--env"]),
        ("AWS_ENDPOINT_URL_IAM", &["rotate", "work", "--yes"]),
        ("AWS_ACCESS_KEY_ID", &["add", "new", "--env"]),
        (
            "DBUS_SESSION_BUS_ADDRESS",
            &["store", "use", "keychain", "--yes"],
        ),
    ] {
        let mut sandbox = Sandbox::with_work();
        sandbox.odd_vars = vec![odd(name)];
        let ran = sandbox.run(arguments, &[]);
        assert_eq!(ran.code, 2, "{name}: {ran:?}");
        let said = format!("awskeep: {name} is not UTF-8\nhint: unset {name}");
        assert_eq!(ran.err.trim_end(), said, "{name}");
    }
}

#[test]
fn ci_is_set_whatever_it_holds() {
    let mut sandbox = Sandbox::with_work();
    sandbox.odd_vars = vec![odd("CI")];
    let ran = sandbox
        .run(&["rotate", "--if-due", "--all", "--no-input"], &[])
        .exits(0);
    assert!(ran.err.starts_with("CI is set"), "{ran:?}");
}

#[test]
fn a_variable_that_nobody_obeys_may_be_anything() {
    let mut sandbox = Sandbox::with_work();
    sandbox.odd_vars = ["LESS", "AWS_CA_BUNDLE_OLD", "PS1", "PASSWORD_STORE_DIR"]
        .map(odd)
        .to_vec();
    for arguments in [&["status"][..], &["credential-process", "work"]] {
        let ran = sandbox.run(arguments, &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    }
}

/// The real program, its stderr read line by line.
struct Running {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn of(sandbox: &Sandbox, arguments: &[&str]) -> Running {
        let mut child = sandbox
            .program(&[])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        Running { child, err }
    }

    /// Ctrl-C; what it says from then on, and its exit code.
    fn interrupted(mut self) -> (i32, String) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let mut rest = String::new();
        self.err.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(255), rest)
    }
}

#[test]
fn a_wait_for_another_awskeep_ends_at_once_when_it_is_asked_to() {
    let sandbox = Sandbox::with_work();
    let (env, _) = sandbox.env(&[]);
    let account = sandbox.aws.account(|account| account.id.clone());
    let lock = env.lock(&format!("user-aws-{account}-bob.lock")).unwrap();
    let mut running = Running::of(&sandbox, &["rotate", "work", "--yes"]);
    let mut line = String::new();
    running.err.read_line(&mut line).unwrap();
    assert!(line.starts_with("waiting for another awskeep"), "{line}");
    let (code, rest) = running.interrupted();
    assert_eq!(code, 7, "{rest}");
    assert!(
        rest.contains("stopped waiting for another awskeep (pid "),
        "{rest}"
    );
    drop(lock);
}

#[test]
fn a_call_that_aws_does_not_answer_ends_at_once_when_it_is_asked_to() {
    let sandbox = Sandbox::with_work();
    sandbox.aws.take_journal();
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().unwrap();
    let (arrived, arrival) = mpsc::channel();
    let arrived = Mutex::new(arrived);
    let at_gate = Arc::clone(&gate);
    let silent = Fault::halt(When::Before, move || {
        let _ = arrived.lock().unwrap().send(());
        drop(at_gate.lock());
    });
    let script = Script::default().on("ListAccessKeys", 1, silent);
    sandbox.aws.set_script(script);
    let running = Running::of(&sandbox, &["rotate", "work", "--yes"]);
    arrival.recv_timeout(Duration::from_secs(60)).unwrap();
    let (code, rest) = running.interrupted();
    drop(held);
    assert_eq!(code, 7, "{rest}");
    assert!(rest.contains("entry work: stopped as asked"), "{rest}");
    // The SDK had no time to ask again.
    let asked = sandbox.aws.take_journal();
    let asked = asked.iter().filter(|call| call.action == "ListAccessKeys");
    assert_eq!(asked.count(), 1);
}

#[test]
fn a_wait_for_aws_of_more_than_a_second_is_told_on_a_pipe_too() {
    let sandbox = Sandbox::with_work();
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().unwrap();
    let at_gate = Arc::clone(&gate);
    let silent = Fault::halt(When::Before, move || drop(at_gate.lock()));
    let script = Script::default().on("ListAccessKeys", 1, silent);
    sandbox.aws.set_script(script);
    let mut running = Running::of(&sandbox, &["rotate", "work", "--yes"]);
    let mut line = String::new();
    running.err.read_line(&mut line).unwrap();
    drop(held);
    let host = sandbox.aws.url().replace("http://", "");
    assert!(
        line.starts_with(&format!("waiting for AWS (IAM, {host}), since 20"))
            && line.ends_with(" s at most; Ctrl-C is safe\n"),
        "{line}"
    );
    let mut rest = String::new();
    running.err.read_to_string(&mut rest).unwrap();
    assert!(running.child.wait().unwrap().success(), "{rest}");
    // What takes its time is told there as at a terminal.
    for said in [
        "work: asking AWS for a new key\n",
        "work: waiting until AWS knows ",
    ] {
        assert!(rest.contains(said), "{rest}");
    }
}

//! The real program as hooks call it: many shells at once, and a run that outlives them.
#![cfg(unix)]

use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;
use crate::sim::faults::{Fault, Script, When};

const SHELLS: usize = 30;

/// How long a run may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A user whose key is 100 days old and may replace itself.
fn with_a_due_key() -> Sandbox {
    let mut sandbox = Sandbox::new();
    let now = sandbox.aws.clock().now();
    (sandbox.key_id, sandbox.secret) = sandbox.aws.account(|account| {
        account.user_mut("bob").keys.clear();
        account.add_key("bob", now - 100 * 86_400)
    });
    sandbox.add("work", &["--no-profile"]).exits(0);
    sandbox.run(&["config", "set", "auto", "on"], &[]).exits(0);
    sandbox
}

/// What a hook calls, by a shell that has another descriptor open.
fn hook(sandbox: &Sandbox) -> Command {
    let mut command = sandbox.program(&["sh", "-c", "exec 9>&1; exec \"$@\"", "sh"]);
    command
        .args(["rotate", "--if-due", "--all", "--no-input", "--background"])
        .env("AWSKEEP_DEADLINE", "20s")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// All at once; each ends although the run that one of them started goes on, since
/// that holds none of the descriptors that are read to their end here.
fn many(sandbox: &Sandbox) -> Vec<Output> {
    let children: Vec<Child> = (0..SHELLS)
        .map(|_| hook(sandbox).spawn().unwrap())
        .collect();
    children
        .into_iter()
        .map(|child| child.wait_with_output().unwrap())
        .collect()
}

fn lines(outputs: &[Output]) -> Vec<String> {
    for output in outputs {
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    let said = outputs
        .iter()
        .map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    said.filter(|said| !said.is_empty()).collect()
}

fn wait_for(what: &str, there: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !there() {
        assert!(Instant::now() < end, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn many_shells_make_one_rotation_and_one_shows_it() {
    let sandbox = with_a_due_key();
    sandbox.aws.take_journal();
    // The run cannot end before all shells have asked.
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().unwrap();
    let at_gate = Arc::clone(&gate);
    let wait = Fault::halt(When::Before, move || drop(at_gate.lock()));
    sandbox
        .aws
        .set_script(Script::default().on("CreateAccessKey", 1, wait));
    let first = many(&sandbox);
    assert_eq!(lines(&first), [] as [String; 0]);
    drop(held);
    // It moves the time of the next look back to now, for its notice.
    wait_for("the end of the run", || {
        let next: i64 = sandbox
            .read(".state/awskeep/next-due")
            .trim()
            .parse()
            .unwrap();
        next <= sandbox.aws.clock().now()
    });
    let creates = |calls: Vec<crate::sim::Entry>| {
        let creates = calls.iter().filter(|call| call.action == "CreateAccessKey");
        creates.count()
    };
    assert_eq!(creates(sandbox.aws.take_journal()), 1);
    let shown = lines(&many(&sandbox));
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].starts_with("awskeep: work: …"), "{shown:?}");
    assert_eq!(shown[0].lines().count(), 1);
    assert_eq!(sandbox.aws.take_journal().len(), 0);
    assert_eq!(lines(&many(&sandbox)), [] as [String; 0]);
}

#[test]
fn where_it_may_not_run_it_does_nothing() {
    let sandbox = with_a_due_key();
    sandbox.aws.take_journal();
    let before = sandbox.everything();
    for (variable, value) in [
        ("CI", "true"),
        ("AWSKEEP_HOOK", "off"),
        ("XDG_STATE_HOME", "/proc/self"),
    ] {
        let output = hook(&sandbox).env(variable, value).output().unwrap();
        assert_eq!(lines(&[output]), [] as [String; 0], "{variable}");
    }
    assert_eq!(
        (sandbox.everything(), sandbox.aws.take_journal().len()),
        (before, 0)
    );
}

//! Two awskeeps at once for one IAM user: who waits is told for whom, who only looks
//! does not wait, and what another run has done meanwhile is not done again.

use std::sync::Mutex;
use std::sync::mpsc;
use std::thread::{Scope, ScopedJoinHandle, yield_now};
use std::time::{Duration, Instant};

use awskeep::ui::Captured;

use crate::sandbox::{Ran, Sandbox};
use crate::sim::faults::{Fault, Script, When};
use crate::sim::people::Status;

/// No step of these tests takes so long.
const MOST: Duration = Duration::from_secs(60);

/// A run in a thread of its own.
struct Running<'scope> {
    captured: Captured,
    thread: ScopedJoinHandle<'scope, u8>,
}

impl Running<'_> {
    fn waits_for_another(&self) {
        let end = Instant::now() + MOST;
        while !self
            .captured
            .err_text()
            .contains("waiting for another awskeep")
        {
            assert!(Instant::now() < end, "{}", self.captured.err_text());
            yield_now();
        }
    }

    fn ended(self) -> (u8, String) {
        let code = self.thread.join().unwrap();
        (code, self.captured.err_text())
    }
}

fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    sandbox: &'env Sandbox,
    arguments: &[&str],
) -> Running<'scope> {
    let (env, captured) = sandbox.env(&["y", "y"]);
    let arguments: Vec<_> = ["awskeep"]
        .iter()
        .chain(arguments)
        .map(|word| (*word).into())
        .collect();
    let thread = scope.spawn(move || awskeep::run(env, arguments).err().unwrap_or(0));
    Running { captured, thread }
}

/// While a first run, which has the lock, waits for the answer to CreateAccessKey, calls
/// `meanwhile` and starts the others; once they wait, the first one goes on.
fn while_one_rotates(
    sandbox: &Sandbox,
    arguments: &[&str],
    others: &[&[&str]],
    meanwhile: impl FnOnce(),
) -> Vec<(u8, String)> {
    let (go, gate) = mpsc::channel::<()>();
    let (arrived, arrival) = mpsc::channel();
    let gate = Mutex::new(gate);
    let arrived = Mutex::new(arrived);
    let halt = Fault::halt(When::Before, move || {
        arrived.lock().unwrap().send(()).unwrap();
        gate.lock().unwrap().recv_timeout(MOST).unwrap();
    });
    sandbox
        .aws
        .set_script(Script::default().on("CreateAccessKey", 1, halt));
    std::thread::scope(|scope| {
        let first = start(scope, sandbox, arguments);
        arrival.recv_timeout(MOST).unwrap();
        meanwhile();
        let others: Vec<_> = others
            .iter()
            .map(|arguments| start(scope, sandbox, arguments))
            .collect();
        for other in &others {
            other.waits_for_another();
        }
        go.send(()).unwrap();
        let all = std::iter::once(first).chain(others);
        all.map(Running::ended).collect()
    })
}

fn creates(sandbox: &Sandbox) -> usize {
    let journal = sandbox.aws.journal();
    let made = journal
        .iter()
        .filter(|call| call.action == "CreateAccessKey");
    made.count()
}

fn keys(sandbox: &Sandbox) -> Vec<(String, Status)> {
    sandbox.aws.account(|account| {
        let keys = account.user("bob").living_keys();
        keys.map(|key| (key.id.clone(), key.status.unwrap()))
            .collect()
    })
}

#[test]
fn six_hurried_rotations_at_once_make_one_key() {
    for flags in [&["--delete-now"][..], &["--retire-now"], &[]] {
        let sandbox = Sandbox::with_work();
        let rotate = [&["rotate", "work", "--yes"], flags].concat();
        let ended = while_one_rotates(&sandbox, &rotate, &[&rotate[..]; 5], || ());
        let replaced = format!(
            "work: {} was replaced while this waited for another awskeep\n",
            sandbox.key_id
        );
        for (n, (code, err)) in ended.iter().enumerate() {
            assert_eq!(*code, 0, "{flags:?}: {err}");
            assert_eq!(err.contains(&replaced), n > 0, "{flags:?} {n}: {err}");
        }
        assert_eq!(creates(&sandbox), 1, "{flags:?}");
        assert_ne!(sandbox.served("work"), sandbox.key_id);
    }
}

#[test]
fn revoke_means_the_key_that_was_current_when_it_began() {
    let sandbox = Sandbox::with_work();
    let rotate = ["rotate", "work", "--yes"];
    let ended = while_one_rotates(&sandbox, &rotate, &[&["revoke", "work"]], || ());
    for (code, err) in &ended {
        assert_eq!(*code, 0, "{err}");
    }
    let new = sandbox.served("work");
    assert_eq!(
        keys(&sandbox),
        [
            (sandbox.key_id.clone(), Status::Inactive),
            (new.clone(), Status::Active)
        ]
    );
    assert_ne!(new, sandbox.key_id);
    assert_eq!(creates(&sandbox), 1);
}

#[test]
fn who_only_looks_waits_for_nobody_and_is_told_who_is_at_work() {
    let sandbox = Sandbox::with_work();
    let who = format!("work: another awskeep (pid {}, ", std::process::id());
    let look = || {
        let looked = |arguments: &[&str]| -> Ran { sandbox.run(arguments, &[]).exits(0) };
        let status = looked(&["status", "--check"]);
        let line = status.out.lines().find(|line| line.starts_with(&who));
        assert!(
            line.is_some_and(|line| line.ends_with(") is at work on it")),
            "{status:?}"
        );
        assert!(!status.out.contains("no new key of it"), "{status:?}");
        for flag in ["--explain", "--dry-run"] {
            let said = looked(&["rotate", "work", flag]);
            let line = said.err.lines().next().unwrap_or_default();
            let end = ") is at work on it; this is the state now";
            assert!(line.starts_with(&who) && line.ends_with(end), "{said:?}");
        }
    };
    let ended = while_one_rotates(&sandbox, &["rotate", "work", "--yes"], &[], look);
    assert_eq!(ended[0].0, 0, "{ended:?}");
    let status = sandbox.run(&["status", "--check"], &[]);
    assert!(!status.out.contains("at work"), "{status:?}");
}

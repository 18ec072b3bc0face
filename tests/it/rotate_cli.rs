//! `awskeep rotate` as a person meets it: the whole program in-process, against
//! the simulated account over loopback HTTP, with the encrypted file as its store.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use awskeep::system::disk::LockPlaces;
use awskeep::system::env::{Clock, Env, Folders};
use awskeep::ui::{Person, Ui};
use serde_json::Value;
use tempfile::TempDir;

use crate::sim::account::Account;
use crate::sim::faults::{Fault, Script, When};
use crate::sim::people::{Because, Status};
use crate::sim::{SimConfig, SimServer};

/// What one run of the program gave.
struct Ran {
    code: u8,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{e}: {}\n{}", self.out, self.err))
    }

    #[track_caller]
    fn exits(self, code: u8) -> Ran {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }
}

/// A home, a server, and one entry `work` of a user whose name is the test's own:
/// locks are shared by everything that runs on the machine.
struct Sandbox {
    home: TempDir,
    server: SimServer,
    clock: Arc<AtomicI64>,
    user: String,
    first_id: String,
}

impl Sandbox {
    fn new(user: &str) -> Sandbox {
        let mut account = Account::new();
        // Locks are per account and user: another run of the tests has another account.
        account.id = format!("{:012}", std::process::id());
        account.add_user("/team/", user);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let now = i64::try_from(now).unwrap();
        let (id, secret) = account.add_key(user, now - 100 * 86_400);
        let server = SimServer::start(SimConfig {
            account,
            ..SimConfig::default()
        });
        let sandbox = Sandbox {
            home: tempfile::tempdir().unwrap(),
            server,
            clock: Arc::new(AtomicI64::new(now)),
            user: user.into(),
            first_id: id.clone(),
        };
        sandbox
            .run(&["store", "use", "file", "--without-passphrase", "--yes"])
            .exits(0);
        let url = sandbox.server.url();
        let pair = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)];
        let args = [
            "add",
            "work",
            "--env",
            "--no-profile",
            "--endpoint-url",
            &url,
        ];
        sandbox.run_with(&args, &pair).exits(0);
        sandbox
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[])
    }

    fn run_with(&self, args: &[&str], vars: &[(&str, String)]) -> Ran {
        let (mut ui, captured) = Ui::scripted(&[]);
        ui.person = Person::Absent("this is a test");
        let home = self.home.path();
        let mut all = BTreeMap::from([
            ("AWSKEEP_SETTLE".to_owned(), "0s".to_owned()),
            ("AWSKEEP_DEADLINE".to_owned(), "20s".to_owned()),
        ]);
        all.extend(
            vars.iter()
                .map(|(name, value)| (name.to_string(), value.clone())),
        );
        let env = Env {
            vars: all,
            odd_vars: BTreeMap::new(),
            folders: Folders {
                home: Some(home.into()),
                config: Some(home.join("config")),
                state: Some(home.join("state")),
                data: Some(home.join("data")),
            },
            locks: LockPlaces::below(home, home),
            here: home.into(),
            clock: Clock::Set(Arc::clone(&self.clock)),
            started: Instant::now(),
            program: home.join("awskeep"),
            ui,
            stop: Arc::default(),
        };
        let args: Vec<OsString> = ["awskeep"].iter().chain(args).map(OsString::from).collect();
        let code = awskeep::run(env, args).err().unwrap_or(0);
        Ran {
            code,
            out: captured.out_text(),
            err: captured.err_text(),
        }
    }

    fn rotate(&self, flags: &[&str]) -> Ran {
        let mut args = vec!["rotate", "work", "--json"];
        args.extend(flags);
        self.run(&args)
    }

    fn advance(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
        self.server.clock().advance(seconds);
    }

    fn served(&self) -> String {
        let ran = self.run(&["credential-process", "work"]).exits(0);
        ran.json()["AccessKeyId"].as_str().unwrap().to_owned()
    }

    /// Every living key and whether it is active.
    fn at_aws(&self) -> BTreeMap<String, bool> {
        self.server.account(|account| {
            let user = account.user(&self.user);
            let keys = user.living_keys();
            keys.map(|key| (key.id.clone(), key.status == Some(Status::Active)))
                .collect()
        })
    }

    fn calls(&self) -> Vec<String> {
        let journal = self.server.take_journal();
        journal.into_iter().map(|entry| entry.action).collect()
    }
}

fn not_known_yet() -> Fault {
    Fault::Refuse {
        status: 403,
        code: "InvalidClientTokenId",
        message: "The security token included in the request is invalid.",
    }
}

#[test]
fn a_rotation_from_first_to_last() {
    let sandbox = Sandbox::new("cli-plain");
    let old = sandbox.first_id.clone();
    // The first rotation asks whether the key is used elsewhere.
    let asked = sandbox.rotate(&[]).exits(5);
    assert!(
        asked.err.contains("used only through entry work"),
        "{}",
        asked.err
    );
    assert_eq!(sandbox.served(), old);

    sandbox.calls();
    let state = sandbox.rotate(&["--yes"]).exits(0).json();
    let new = sandbox.served();
    assert_eq!(
        (&state["key_id"], &state["rotated"]),
        (&new.clone().into(), &true.into())
    );
    assert_eq!(state["previous"]["key_id"], old);
    assert_eq!(state["next"], "deactivate");
    assert_eq!(
        sandbox.at_aws(),
        BTreeMap::from([(old.clone(), true), (new.clone(), true)])
    );
    let mut calls = sandbox.calls();
    calls.sort();
    calls.dedup();
    let proofs = [
        "CreateAccessKey",
        "GetCallerIdentity",
        "GetUser",
        "ListAccessKeys",
    ];
    assert_eq!(calls, proofs);

    // Again within the lease: that rotation is done, and no other begins.
    let again = sandbox.rotate(&[]).exits(0).json();
    assert_eq!(
        (again["rotated"].as_bool(), sandbox.served()),
        (Some(false), new.clone())
    );

    let retired = sandbox.rotate(&["--retire-now", "--yes"]).exits(0).json();
    assert_eq!(retired["next"], "delete");
    assert_eq!(
        sandbox.at_aws(),
        BTreeMap::from([(old.clone(), false), (new.clone(), true)])
    );
    // A held key is in the way of the next rotation: a person decides.
    let in_the_way = sandbox.rotate(&[]).exits(5);
    assert!(in_the_way.err.contains("--undo"), "{}", in_the_way.err);

    sandbox.rotate(&["--delete-now", "--yes"]).exits(0);
    assert_eq!(sandbox.at_aws(), BTreeMap::from([(new.clone(), true)]));
    assert_eq!(sandbox.served(), new);
    // The key is awskeep's own by now: nothing is asked.
    sandbox.rotate(&[]).exits(0);
    assert_ne!(sandbox.served(), new);
}

#[test]
fn a_cron_line_with_yes_does_not_give_up_a_held_key() {
    let sandbox = Sandbox::new("cli-held");
    let old = sandbox.first_id.clone();
    sandbox.rotate(&["--yes"]).exits(0);
    sandbox.rotate(&["--retire-now", "--yes"]).exits(0);
    let (new, keys) = (sandbox.served(), sandbox.at_aws());
    for flags in [&["--yes"][..], &[]] {
        let refused = sandbox.rotate(flags).exits(5);
        let told = format!(
            "awskeep: entry work: not rotated: the replaced key …{} is inactive, held until ",
            &old[old.len() - 4..]
        );
        let hints = "\nhint: delete it: awskeep rotate work --delete-now\nhint: then replace this one: awskeep rotate work\n\
                     hint: or bring it back: awskeep rotate work --undo\n";
        let said = &refused.err;
        assert!(said.starts_with(&told) && said.ends_with(hints), "{said}");
        assert_eq!(
            (sandbox.served(), sandbox.at_aws()),
            (new.clone(), keys.clone())
        );
    }
    sandbox.rotate(&["--delete-now", "--yes"]).exits(0);
    assert_eq!(sandbox.at_aws(), BTreeMap::from([(new.clone(), true)]));
    sandbox.rotate(&["--yes"]).exits(0);
    assert_ne!(sandbox.served(), new);
}

#[test]
fn finish_fails_only_for_what_is_ready() {
    let sandbox = Sandbox::new("cli-finish");
    let finish = |code: u8, next: &str| {
        let ran = sandbox.rotate(&["--finish"]).exits(code);
        if code == 0 {
            assert_eq!(ran.json()["next"], next, "{}", ran.err);
        }
        ran
    };
    finish(0, "none");
    // A new key that AWS does not take yet was ready to be proven.
    sandbox
        .server
        .set_script(Script::default().every("GetCallerIdentity", not_known_yet()));
    sandbox.rotate(&["--yes"]).exits(7);
    let stuck = finish(7, "");
    let hint = "\nhint: awskeep rotate work --finish\n";
    assert!(stuck.err.ends_with(hint), "{}", stuck.err);
    sandbox.server.set_script(Script::default());
    // The minutes that the proofs were waited for are on this machine's clock only.
    let here = sandbox.clock.load(Ordering::SeqCst);
    let clock = sandbox.server.clock();
    clock.advance(here - clock.now());
    finish(0, "deactivate");
    // Leased, then held, then an undo that must wait for a minute: nothing is ready.
    finish(0, "deactivate");
    sandbox.rotate(&["--retire-now", "--yes"]).exits(0);
    finish(0, "delete");
    sandbox.rotate(&["--undo"]).exits(7);
    finish(0, "look-again");
    sandbox.advance(61);
    finish(0, "deactivate");
    assert_eq!(sandbox.served(), sandbox.first_id);
}

#[test]
fn the_last_line_names_finish_and_says_whether_it_rotated() {
    let sandbox = Sandbox::new("cli-last-line");
    let rotate = |flags: &[&str]| {
        let ran = sandbox.run(&[&["rotate", "work"], flags].concat()).exits(0);
        assert!(
            ran.err.contains(" by awskeep rotate work --finish; undo: "),
            "{}",
            ran.err
        );
        ran.err
    };
    let first = rotate(&["--yes"]);
    let again = rotate(&["--yes"]);
    let not = "work: not rotated: the last rotation is not finished yet\n";
    assert_eq!(again, format!("{not}{first}"));
    let finished = rotate(&["--finish"]);
    assert_eq!(finished, first);
    rotate(&["--retire-now", "--yes"]);
    assert_eq!(
        rotate(&["--finish"])
            .matches("is inactive, deleted after")
            .count(),
        1
    );
}

#[test]
fn undo_brings_the_old_key_back() {
    let sandbox = Sandbox::new("cli-undo");
    let old = sandbox.first_id.clone();
    sandbox.rotate(&["--undo"]).exits(3);
    sandbox.rotate(&["--yes"]).exits(0);
    let new = sandbox.served();
    sandbox.rotate(&["--retire-now", "--yes"]).exits(0);
    // The deactivation may still be on its way to some server.
    sandbox.rotate(&["--undo"]).exits(7);
    assert_eq!(sandbox.served(), new);
    sandbox.advance(61);
    let state = sandbox.rotate(&["--undo"]).exits(0).json();
    assert_eq!(
        (sandbox.served(), &state["previous"]["key_id"]),
        (old.clone(), &new.clone().into())
    );
    assert_eq!(sandbox.at_aws(), BTreeMap::from([(old, true), (new, true)]));
}

#[test]
fn another_key_is_shown_and_only_deleted_by_name() {
    let sandbox = Sandbox::new("cli-two");
    let now = sandbox.clock.load(Ordering::SeqCst);
    let user = sandbox.user.clone();
    let (other, _) = sandbox
        .server
        .account(|account| account.add_key(&user, now - 86_400));
    let refused = sandbox.rotate(&["--yes"]).exits(5);
    assert!(
        refused.err.contains(&format!("--discard {other}")),
        "{}",
        refused.err
    );
    assert_eq!(sandbox.at_aws().len(), 2);
    sandbox
        .rotate(&["--discard", &sandbox.first_id, "--yes"])
        .exits(2);
    sandbox.rotate(&["--discard", &other, "--yes"]).exits(0);
    assert!(!sandbox.at_aws().contains_key(&other));
    assert_ne!(sandbox.served(), sandbox.first_id);
}

#[test]
fn a_lost_reply_to_create_ends_with_one_discard() {
    for fault in [
        Fault::LoseReply(When::After),
        Fault::CutBody,
        Fault::Garbage,
    ] {
        let sandbox = Sandbox::new("cli-lost");
        sandbox
            .server
            .set_script(Script::default().on("CreateAccessKey", 1, fault));
        let lost = sandbox.rotate(&["--yes"]).exits(5);
        let keys = sandbox.at_aws();
        let orphan = keys.keys().find(|id| **id != sandbox.first_id).unwrap();
        assert!(
            lost.err.contains(&format!("--discard {orphan}")),
            "{}",
            lost.err
        );
        assert_eq!(sandbox.served(), sandbox.first_id);
        sandbox.rotate(&["--discard", orphan, "--yes"]).exits(0);
        assert!(!sandbox.at_aws().contains_key(orphan));
        assert_ne!(sandbox.served(), sandbox.first_id);
    }
}

#[test]
fn a_new_key_that_aws_does_not_know_yet_waits_for_the_next_run() {
    let sandbox = Sandbox::new("cli-slow");
    sandbox
        .server
        .set_script(Script::default().every("GetCallerIdentity", not_known_yet()));
    let slow = sandbox.rotate(&["--yes"]).exits(7);
    assert!(slow.err.contains("awskeep rotate work"), "{}", slow.err);
    assert_eq!(sandbox.served(), sandbox.first_id);
    sandbox.server.set_script(Script::default());
    let state = sandbox.rotate(&[]).exits(0).json();
    assert_eq!(state["rotated"], true);
    assert_ne!(sandbox.served(), sandbox.first_id);
    assert_eq!(sandbox.at_aws().len(), 2);
}

#[test]
fn undo_before_the_promote_deletes_the_new_key() {
    let sandbox = Sandbox::new("cli-drop");
    let refuse = Fault::Bare(503);
    sandbox
        .server
        .set_script(Script::default().every("GetUser", refuse));
    sandbox.rotate(&["--yes"]).exits(7);
    assert_eq!(sandbox.at_aws().len(), 2);
    sandbox.server.set_script(Script::default());
    sandbox.rotate(&["--undo"]).exits(0);
    assert_eq!(
        sandbox.at_aws(),
        BTreeMap::from([(sandbox.first_id.clone(), true)])
    );
    assert_eq!(sandbox.served(), sandbox.first_id);
}

#[test]
fn denials_say_what_is_the_case_and_change_nothing() {
    for (action, because, words) in [
        ("CreateAccessKey", Because::Quarantine, "explicit deny"),
        ("CreateAccessKey", Because::Boundary, "permissions boundary"),
        (
            "CreateAccessKey",
            Because::ServiceControlPolicy,
            "organisation",
        ),
        (
            "ListAccessKeys",
            Because::NotAllowed,
            "no policy of the user",
        ),
    ] {
        let sandbox = Sandbox::new("cli-denied");
        let user = sandbox.user.clone();
        sandbox.server.account(|account| {
            account.user_mut(&user).deny(action, because);
        });
        let denied = sandbox.rotate(&["--yes"]).exits(6);
        assert!(
            denied.err.contains(words) && denied.err.contains("hint:"),
            "{}",
            denied.err
        );
        assert_eq!(sandbox.served(), sandbox.first_id);
        assert_eq!(sandbox.at_aws().len(), 1);
    }
}

#[test]
fn a_key_that_still_stands_in_a_file_is_refused_with_its_line() {
    let sandbox = Sandbox::new("cli-file");
    let aws = sandbox.home.path().join(".aws");
    std::fs::create_dir(&aws).unwrap();
    let text = format!(
        "[x]\naws_access_key_id = {}\naws_secret_access_key = s\n",
        sandbox.first_id
    );
    std::fs::write(aws.join("credentials"), text).unwrap();
    let refused = sandbox.rotate(&["--yes"]).exits(5);
    assert!(refused.err.contains("credentials:2"), "{}", refused.err);
    assert_eq!(sandbox.at_aws().len(), 1);
}

#[test]
fn what_only_looks_changes_nothing() {
    let sandbox = Sandbox::new("cli-look");
    let explained = sandbox.run(&["rotate", "work", "--explain"]).exits(0);
    assert!(
        explained.out.contains("next step: ask AWS for a new key"),
        "{}",
        explained.out
    );
    let said = sandbox.run(&["rotate", "work", "--dry-run"]).exits(0);
    assert!(
        said.err.contains("work: would ask AWS for a new key"),
        "{}",
        said.err
    );
    let not_due = sandbox.run(&["config", "set", "max_age", "never"]).exits(0);
    drop(not_due);
    sandbox.rotate(&["--if-due"]).exits(0);
    sandbox.rotate(&["--finish"]).exits(0);
    assert_eq!(
        sandbox.at_aws(),
        BTreeMap::from([(sandbox.first_id.clone(), true)])
    );
    sandbox
        .server
        .account(|account| account.set_by_hand(&sandbox.first_id, None, 0));
    let dead = sandbox.rotate(&[]);
    assert!(
        dead.err.contains("recover") || dead.code == 5,
        "{}",
        dead.err
    );
}

#[test]
fn several_at_once_make_one_rotation() {
    let sandbox = Sandbox::new("cli-many");
    let rotated: Vec<bool> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| sandbox.rotate(&["--yes"]).exits(0).json()))
            .collect();
        let states = runs.into_iter().map(|run| run.join().unwrap());
        states
            .map(|state| state["rotated"].as_bool().unwrap())
            .collect()
    });
    assert_eq!(rotated.iter().filter(|one| **one).count(), 1);
    let creates = sandbox
        .calls()
        .iter()
        .filter(|call| *call == "CreateAccessKey")
        .count();
    assert_eq!((creates, sandbox.at_aws().len()), (1, 2));
}

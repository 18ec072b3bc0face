//! Keys that replace themselves: what unattended runs do, remember, and leave for a
//! later prompt. The shell is played by `Shell`; the hooks themselves are tested live.

use std::fs;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;

use awskeep::automation::memory::{Memory, MemoryFile, Start};

use crate::sandbox::{Ran, Sandbox};
use crate::sim::faults::{Fault, Script, When};
use crate::sim::people::{Because, Status};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A user with one entry `work`, whose key was made a day ago, and the shells of a day.
pub struct Shell {
    pub sandbox: Sandbox,
    /// The runs that prompts have started.
    pub runs: Vec<Ran>,
}

impl Shell {
    pub fn new(settings: &[(&str, &str)]) -> Shell {
        let mut sandbox = Sandbox::new();
        sandbox.vars.push(("AWSKEEP_DEADLINE".into(), "20s".into()));
        sandbox.add("work", &["--no-profile"]).exits(0);
        for (key, value) in settings {
            sandbox.run(&["config", "set", key, value], &[]).exits(0);
        }
        Shell {
            sandbox,
            runs: Vec::new(),
        }
    }

    /// Time passes, here and at AWS.
    pub fn pass(&self, seconds: i64) {
        self.sandbox.clock.fetch_add(seconds, Ordering::SeqCst);
        let ahead = self.now() - self.sandbox.aws.clock().now();
        self.sandbox.aws.clock().advance(ahead);
    }

    pub fn now(&self) -> i64 {
        self.sandbox.now()
    }

    pub fn next_due(&self) -> i64 {
        let text = self.sandbox.read(".state/awskeep/next-due");
        text.trim().parse().unwrap()
    }

    /// What a hook does at a prompt; what it shows. A run that it starts is made at once.
    pub fn prompt(&mut self) -> Vec<String> {
        let due = self.next_due();
        if self.now() < due && due - self.now() < 8 * DAY {
            return Vec::new();
        }
        let (env, _) = self.sandbox.env(&[]);
        let glance = MemoryFile::of(&env).unwrap().glance(env.now()).unwrap();
        if glance.start == Start::Yes {
            self.run();
        }
        glance.notices
    }

    pub fn run(&mut self) -> &Ran {
        let arguments = ["rotate", "--if-due", "--all", "--no-input", "--json"];
        self.runs.push(self.sandbox.run(&arguments, &[]));
        self.runs.last().unwrap()
    }

    /// Prompts now and after a moment: the run, then its notice.
    fn two_prompts(&mut self) -> Vec<String> {
        let first = self.prompt();
        self.pass(1);
        [first, self.prompt()].concat()
    }

    fn at_aws(&self) -> Vec<Option<Status>> {
        self.sandbox.aws.account(|account| {
            let user = account.user("bob");
            user.keys.iter().map(|key| key.status).collect()
        })
    }

    fn served(&self) -> String {
        self.sandbox.served("work")
    }

    fn calls(&self) -> usize {
        self.sandbox.aws.take_journal().len()
    }
}

/// A key that is due and may rotate by itself, but for IAM's refusal of a new one.
fn due_but_denied() -> Shell {
    let mut shell = Shell::new(&[("auto", "on")]);
    shell.two_prompts();
    shell.pass(64 * DAY);
    shell.sandbox.aws.account(|account| {
        let bob = account.user_mut("bob");
        bob.deny("CreateAccessKey", Because::NotAllowed);
    });
    shell
}

/// `…ABCD`, as notices name a key.
fn short(id: &str) -> String {
    format!("…{}", &id[id.len() - 4..])
}

#[test]
fn a_key_replaces_itself_and_the_old_one_ends() {
    let mut shell = Shell::new(&[("max_age", "90d"), ("auto", "on")]);
    // Turning it on makes the next prompt look; nothing is due yet.
    assert_eq!(shell.next_due(), shell.now());
    assert_eq!(shell.two_prompts(), [] as [String; 0]);
    shell.calls();
    let day_of = |time: i64| awskeep::types::time::Timestamp(time).day();
    assert!(shell.next_due() > shell.now() + 6 * DAY);
    assert_eq!(shell.runs.len(), 1);
    shell.two_prompts();
    assert_eq!(
        (shell.runs.len(), shell.calls()),
        (1, 0),
        "nothing is due, nothing is started"
    );

    // Due after two thirds of 90 days, and at the latest a thirtieth later.
    shell.pass(64 * DAY);
    let before = shell.sandbox.key_id.clone();
    let said = shell.two_prompts();
    let new = shell.served();
    assert_ne!(new, before);
    assert_eq!(
        said,
        [format!(
            "work: {} is in service; the old {} is deactivated after {}; undo: awskeep rotate work --undo",
            short(&new),
            short(&before),
            day_of(shell.now() - 1 + DAY)
        )]
    );
    // `status` has the same day.
    let status = shell.sandbox.run(&["status", "work", "--json"], &[]).json();
    let keys = status["entries"][0]["keys"].as_array().unwrap();
    let mut old = keys.iter().filter(|key| key["next"] == "deactivate");
    let at = old.next().unwrap()["not_before"].clone();
    let at: awskeep::types::time::Timestamp = serde_json::from_value(at).unwrap();
    assert_eq!(at.day(), day_of(shell.now() - 1 + DAY), "{status}");
    assert_eq!(shell.two_prompts(), [] as [String; 0], "said once");
    assert_eq!(shell.at_aws(), [Some(Status::Active); 2]);

    // Without a person the last use is looked at a day later, not before.
    shell.pass(20 * HOUR);
    shell.two_prompts();
    assert_eq!(shell.at_aws(), [Some(Status::Active); 2]);
    shell.pass(5 * HOUR);
    let said = shell.two_prompts();
    let until = day_of(shell.now() - 1 + 14 * DAY);
    assert_eq!(
        said,
        [format!(
            "work: the old {} is inactive, deleted after {until}; undo: awskeep rotate work --undo",
            short(&before)
        )]
    );
    assert_eq!(
        shell.at_aws(),
        [Some(Status::Inactive), Some(Status::Active)]
    );
    for _ in 0..15 {
        shell.pass(DAY);
        let said = shell.two_prompts();
        if !said.is_empty() {
            assert_eq!(
                said,
                [format!("work: the old {} is deleted", short(&before))]
            );
        }
    }
    assert_eq!(shell.at_aws(), [None, Some(Status::Active)]);
    assert_eq!(shell.served(), new);
}

#[test]
fn without_auto_a_due_key_is_told_once_a_day() {
    let mut shell = Shell::new(&[]);
    shell.pass(61 * DAY);
    let line = format!(
        "work: {} is due; now: awskeep rotate work; automatically from now on: awskeep config set auto on --entry work",
        shell.sandbox.key_id
    );
    shell.calls();
    assert_eq!(shell.two_prompts(), [line.as_str()]);
    shell.pass(12 * HOUR);
    assert_eq!(shell.two_prompts(), [] as [String; 0]);
    shell.pass(12 * HOUR);
    assert_eq!(shell.two_prompts(), [line.as_str()]);
    assert_eq!(shell.calls(), 0, "nothing is asked of AWS");

    // What a person began is finished all the same.
    shell
        .sandbox
        .run(&["rotate", "work", "--yes"], &[])
        .exits(0);
    shell.pass(25 * HOUR);
    let said = shell.two_prompts();
    assert!(said[0].contains("is inactive"), "{said:?}");
    assert_eq!(
        shell.at_aws(),
        [Some(Status::Inactive), Some(Status::Active)]
    );
}

#[test]
fn a_killed_rotation_of_a_person_is_gone_on_with() {
    let mut shell = Shell::new(&[]);
    let not_yet = Fault::Refuse {
        status: 403,
        code: "InvalidClientTokenId",
        message: "The security token included in the request is invalid.",
    };
    let script = Script::default().every("GetCallerIdentity", not_yet);
    shell.sandbox.aws.set_script(script);
    shell
        .sandbox
        .run(&["rotate", "work", "--yes"], &[])
        .exits(7);
    shell.sandbox.aws.set_script(Script::default());
    let said = shell.two_prompts();
    assert!(said[0].contains("is in service"), "{said:?}");
}

#[test]
fn failures_back_off_and_are_said_when_they_last() {
    let mut shell = Shell::new(&[("auto", "on")]);
    shell.two_prompts();
    shell.pass(64 * DAY);
    shell.calls();
    let identity = shell.sandbox.path(".data/awskeep/identity.txt");
    let kept = fs::read(&identity).unwrap();
    fs::write(&identity, "damaged").unwrap();
    let start = shell.now();
    shell.runs.clear();
    let mut tried_after = Vec::new();
    let mut said = Vec::new();
    while shell.now() < start + 5 * DAY {
        let runs = shell.runs.len();
        let shown = shell.prompt();
        if shell.runs.len() > runs {
            tried_after.push((shell.now() - start) / HOUR);
        }
        said.extend(
            shown
                .into_iter()
                .map(|line| ((shell.now() - start) / DAY, line)),
        );
        shell.pass(HOUR / 4);
    }
    // An hour, doubled each time, never more than a day.
    assert_eq!(tried_after, [0, 1, 3, 7, 15, 31, 55, 79, 103]);
    let days: Vec<i64> = said.iter().map(|(day, _)| *day).collect();
    assert_eq!(days, [3, 4], "{said:?}");
    assert!(said[0].1.starts_with("not rotated: "), "{said:?}");
    assert_eq!((shell.runs.last().unwrap().code, shell.calls()), (4, 0));
    // Once the store opens again, the rotation takes place.
    fs::write(&identity, kept).unwrap();
    shell.pass(DAY);
    let said = shell.two_prompts();
    assert!(said.last().unwrap().contains("is in service"), "{said:?}");
    let mark = shell.sandbox.run(&["status", "--prompt"], &[]);
    assert_eq!((mark.code, mark.out.as_str()), (0, ""));
}

#[test]
fn a_refusal_waits_for_a_person_and_is_said_once_a_day() {
    let mut shell = Shell::new(&[("auto", "on")]);
    shell.two_prompts();
    shell.pass(64 * DAY);
    shell.sandbox.aws.account(|account| {
        account
            .user_mut("bob")
            .deny("CreateAccessKey", Because::NotAllowed);
    });
    let said = shell.two_prompts();
    assert!(said[0].contains("AWS denies CreateAccessKey"), "{said:?}");
    assert_eq!(said.len(), 1);
    let mark = shell.sandbox.run(&["status", "--prompt"], &[]);
    assert_eq!(mark.out, "key!\n");
    shell.calls();
    let mut again = 0;
    for _ in 0..(3 * 24) {
        shell.pass(HOUR);
        again += shell.two_prompts().len();
    }
    assert_eq!(
        (again, shell.calls()),
        (3, 0),
        "reminded daily, AWS left alone"
    );

    // The admin has given the right; the person says so by rotating.
    shell
        .sandbox
        .aws
        .account(|account| account.user_mut("bob").denials.clear());
    shell
        .sandbox
        .run(&["rotate", "work", "--yes"], &[])
        .exits(0);
    shell.two_prompts();
    let mark = shell.sandbox.run(&["status", "--prompt"], &[]);
    assert_eq!(mark.out, "");
}

#[test]
fn other_settings_make_a_new_beginning() {
    let mut shell = Shell::new(&[("auto", "on")]);
    shell.two_prompts();
    let first = shell.served();
    for (max_age, rotated) in [("never", false), ("80d", false), ("30d", true)] {
        if max_age == "30d" {
            shell.pass(25 * DAY);
        }
        shell
            .sandbox
            .run(&["config", "set", "max_age", max_age], &[])
            .exits(0);
        shell.two_prompts();
        assert_eq!(shell.served() != first, rotated, "{max_age}");
    }
}

#[test]
fn nothing_rotates_by_itself_where_it_must_not() {
    let mut shell = Shell::new(&[("auto", "on")]);
    shell.pass(70 * DAY);
    shell.calls();
    shell.sandbox.vars.push(("CI".into(), "true".into()));
    assert_eq!(shell.run().code, 0);
    assert!(shell.run().err.contains("CI is set"));
    shell.sandbox.vars.pop();
    let state = shell.sandbox.path(".state/awskeep");
    let kept = shell.sandbox.path("kept");
    fs::rename(&state, &kept).unwrap();
    assert!(shell.run().err.contains("no state folder"));
    assert!(!state.exists(), "and none is made");
    fs::rename(&kept, &state).unwrap();
    #[cfg(unix)]
    if fs::metadata(&state).unwrap().uid() == 0 {
        // As under sudo with HOME kept: what root wrote there, its owner could not write again.
        let whose = |uid| std::os::unix::fs::chown(&state, Some(uid), None).unwrap();
        whose(12_345);
        assert!(shell.run().err.contains("no state folder"));
        whose(0);
    }

    // Something that cannot be written in place of the schedule: nothing can be
    // remembered, so nothing is done.
    fs::remove_file(state.join("schedule.json")).unwrap();
    fs::create_dir(state.join("schedule.json")).unwrap();
    assert_eq!(shell.run().code, 1);
    let before = shell.sandbox.key_id.clone();
    assert_eq!((shell.served(), shell.calls()), (before.clone(), 0));
    fs::remove_dir(state.join("schedule.json")).unwrap();
    assert_eq!(shell.run().code, 0);
    assert_ne!(shell.served(), before);
}

#[test]
fn a_clock_that_was_wrong_stops_nothing_for_ever() {
    let mut shell = Shell::new(&[("auto", "on")]);
    // The machine's clock is years ahead, AWS's is not: nothing irreversible.
    shell.sandbox.clock.fetch_add(1_000 * DAY, Ordering::SeqCst);
    let first = shell.served();
    shell.prompt();
    assert_eq!(shell.served(), first);
    assert!(shell.next_due() > shell.now());
    // Then it is set right: the next look is years ahead, and is not waited for.
    shell
        .sandbox
        .clock
        .fetch_add(-1_000 * DAY, Ordering::SeqCst);
    shell.pass(64 * DAY);
    shell.runs.clear();
    shell.two_prompts();
    assert_eq!(shell.runs.len(), 1);
    assert_ne!(shell.served(), first);
}

/// A store fails, and when its back-off is over the settings have a mistake: the time
/// that was noted for the store must not start a run at each prompt.
#[test]
fn trouble_after_other_trouble_starts_no_run_at_each_prompt() {
    let mut shell = Shell::new(&[("auto", "on")]);
    shell.two_prompts();
    let config = shell.sandbox.read(".config/awskeep/config");
    let identity = shell.sandbox.path(".data/awskeep/identity.txt");
    fs::write(&identity, "damaged").unwrap();
    shell.pass(8 * DAY);
    shell.two_prompts();
    assert_eq!(shell.runs.last().unwrap().code, 4);
    shell.pass(HOUR);
    shell
        .sandbox
        .write(".config/awskeep/config", &format!("{config}hold = soon\n"));
    shell.runs.clear();
    let mut said = Vec::new();
    for _ in 0..60 {
        said.extend(shell.prompt());
        shell.pass(60);
    }
    let codes: Vec<u8> = shell.runs.iter().map(|run| run.code).collect();
    assert_eq!(codes, [2]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("hold"), "{said:?}");
}

/// A refusal that was about other settings must not stand in the way of the rotation
/// that comes due under these, nor of the prompt.
#[test]
fn a_refusal_under_other_settings_is_forgotten_before_the_key_is_due() {
    let mut shell = Shell::new(&[("auto", "on"), ("max_age", "90d")]);
    shell.two_prompts();
    shell.pass(64 * DAY);
    let deny = |shell: &Shell| {
        shell.sandbox.aws.account(|account| {
            let bob = account.user_mut("bob");
            bob.deny("CreateAccessKey", Because::NotAllowed);
        });
    };
    deny(&shell);
    shell.two_prompts();
    let mark = |shell: &Shell| shell.sandbox.run(&["status", "--prompt"], &[]).out;
    assert_eq!(mark(&shell), "key!\n");
    let set = ["config", "set", "max_age", "120d"];
    shell.sandbox.run(&set, &[]).exits(0);
    assert_eq!(shell.two_prompts(), [] as [String; 0]);
    assert_eq!(mark(&shell), "");
    let allow = |account: &mut crate::sim::account::Account| {
        account.user_mut("bob").denials.clear();
    };
    shell.sandbox.aws.account(allow);
    let before = shell.served();
    shell.pass(25 * DAY);
    let said = shell.two_prompts();
    assert_ne!(shell.served(), before, "{said:?}");
}

/// A store that is locked for a while: what is known of its entries is still known after.
#[test]
fn a_refusal_is_not_tried_again_because_the_store_was_locked() {
    let mut shell = due_but_denied();
    assert_eq!(shell.two_prompts().len(), 1);
    let identity = shell.sandbox.path(".data/awskeep/identity.txt");
    let kept = fs::read(&identity).unwrap();
    fs::write(&identity, "damaged").unwrap();
    assert_eq!(shell.run().code, 4);
    fs::write(&identity, kept).unwrap();
    shell.calls();
    shell.run();
    assert_eq!((shell.two_prompts(), shell.calls()), (Vec::new(), 0));
}

/// A setting that the schedule itself does not go by may be what was in the way.
#[test]
fn a_refusal_is_tried_again_when_a_person_has_changed_a_setting() {
    let mut shell = due_but_denied();
    shell.two_prompts();
    shell.pass(HOUR);
    for entry in [&["--entry", "work"][..], &[]] {
        shell.calls();
        let set = [&["config", "set", "mfa_serial", "x"][..], entry].concat();
        shell.sandbox.run(&set, &[]).exits(0);
        shell.two_prompts();
        assert_ne!(shell.calls(), 0, "{entry:?}");
    }
}

/// What an unattended run could not look at again is tried again after an hour, not
/// after a week.
#[test]
fn a_store_that_closes_in_the_middle_of_a_run_is_looked_at_again() {
    let mut shell = Shell::new(&[("auto", "on")]);
    shell.two_prompts();
    shell.pass(64 * DAY);
    let identity = shell.sandbox.path(".data/awskeep/identity.txt");
    let kept = fs::read(&identity).unwrap();
    let closing = identity.clone();
    let close = Fault::halt(When::Before, move || {
        fs::write(&closing, "damaged").unwrap()
    });
    let script = Script::default().on("CreateAccessKey", 1, close);
    shell.sandbox.aws.set_script(script);
    shell.prompt();
    shell.sandbox.aws.set_script(Script::default());
    fs::write(&identity, kept).unwrap();
    assert!(shell.next_due() <= shell.now() + HOUR);
    let path = shell.sandbox.path(".state/awskeep/schedule.json");
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains("\"failures\": 1"), "{text}");
}

fn memory(shell: &Shell) -> MemoryFile {
    MemoryFile::of(&shell.sandbox.env(&[]).0).unwrap()
}

#[test]
fn notices_are_few_and_only_text_of_one_line() {
    let mut shell = Shell::new(&[]);
    shell.two_prompts();
    let memory = memory(&shell);
    let now = awskeep::types::time::Timestamp(shell.now());
    for number in 0..150 {
        memory
            .leave_notice(now, &format!("notice {number}"))
            .unwrap();
    }
    let notices = shell.sandbox.path(".state/awskeep/notices");
    fs::write(notices.join("999999999999-1-0001"), b"two\nlines").unwrap();
    fs::write(notices.join("999999999999-1-0002"), b"no \xff text").unwrap();
    fs::create_dir(notices.join("999999999999-1-0003")).unwrap();
    let shown = memory.glance(now).unwrap().notices;
    assert_eq!(shown.len(), 102);
    assert_eq!(shown[0], "notice 50");
    assert_eq!(shown[99..], ["notice 149", "two", "no \u{fffd} text"]);
    assert_eq!(memory.glance(now).unwrap().notices, [] as [String; 0]);
}

/// A disk that is full, or a folder that cannot be written: what was to be shown waits.
#[test]
fn a_look_that_fails_loses_no_notice() {
    let mut shell = Shell::new(&[]);
    shell.two_prompts();
    let memory = memory(&shell);
    let now = awskeep::types::time::Timestamp(shell.now());
    memory.leave_notice(now, "work: something").unwrap();
    let due = shell.sandbox.path(".state/awskeep/next-due");
    fs::remove_file(&due).unwrap();
    fs::create_dir(&due).unwrap();
    assert!(memory.glance(now).is_err());
    fs::remove_dir(&due).unwrap();
    assert_eq!(memory.glance(now).unwrap().notices, ["work: something"]);
}

/// Runs that die before they end: ever later, and said once.
#[test]
fn runs_that_die_are_started_ever_later() {
    let mut shell = Shell::new(&[]);
    shell.two_prompts();
    let memory = memory(&shell);
    shell.pass(8 * DAY);
    let start = shell.now();
    let mut begun_after = Vec::new();
    while shell.now() < start + HOUR {
        let now = awskeep::types::time::Timestamp(shell.now());
        if memory.glance(now).unwrap().start == Start::Yes {
            memory.begin(now).unwrap();
            begun_after.push((shell.now() - start) / 60);
        }
        shell.pass(60);
    }
    assert_eq!(begun_after, [0, 10, 30]);
    shell.pass(HOUR);
    let line = "not rotated: the last 3 runs died half-way; awskeep rotate --if-due --all";
    assert_eq!(shell.two_prompts(), [line]);
    shell.pass(8 * DAY);
    assert_eq!(shell.two_prompts(), [] as [String; 0]);
}

#[test]
fn a_schedule_that_is_not_ours_to_believe_is_as_none() {
    let mut shell = Shell::new(&[]);
    shell.two_prompts();
    let memory = memory(&shell);
    let path = shell.sandbox.path(".state/awskeep/schedule.json");
    let good = fs::read_to_string(&path).unwrap();
    assert_ne!(memory.read(), Memory::default());
    fs::write(&path, "{\"next\": 12").unwrap();
    assert_eq!(memory.read(), Memory::default());
    fs::write(&path, format!("{good}{}", " ".repeat(5 << 20))).unwrap();
    assert_eq!(memory.read(), Memory::default());
    let now = awskeep::types::time::Timestamp(shell.now());
    assert_eq!(memory.glance(now).unwrap().start, Start::Yes);
}

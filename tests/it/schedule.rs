//! Keys that replace themselves: what unattended runs do, remember, and leave for a
//! later prompt. The shell is played by `Shell`; the hooks themselves are tested live.

use std::fs;
use std::sync::atomic::Ordering;

use awskeep::state::{Memory, Start};

use crate::sandbox::{Ran, Sandbox};
use crate::sim::faults::{Fault, Script};
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
        let vars = [("AWSKEEP_SETTLE", "0s"), ("AWSKEEP_DEADLINE", "20s")];
        sandbox.vars = vars.map(|(name, value)| (name.into(), value.into())).into();
        assert_eq!(sandbox.add("work", &["--no-profile"]).code, 0);
        for (key, value) in settings {
            assert_eq!(sandbox.run(&["config", "set", key, value], &[]).code, 0);
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
        self.sandbox.clock.load(Ordering::SeqCst)
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
        let (machine, _) = self.sandbox.machine(&[]);
        let glance = Memory::of(&machine).unwrap().glance(machine.now()).unwrap();
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
        let ran = self.sandbox.run(&["credential-process", "work"], &[]);
        let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        match json["AccessKeyId"].as_str().unwrap() {
            "KEY" => self.sandbox.key_id.clone(),
            other => other.to_owned(),
        }
    }

    fn calls(&self) -> usize {
        self.sandbox.aws.take_journal().len()
    }
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
    let day_of = |time: i64| awskeep::time::Time(time).day();
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
        "work: {} is due; now: awskeep rotate work; by itself from now on: awskeep config set auto on --entry work",
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
    let rotated = shell.sandbox.run(&["rotate", "work", "--yes"], &[]);
    assert_eq!(rotated.code, 0, "{rotated:?}");
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
    let ran = shell.sandbox.run(&["rotate", "work", "--yes"], &[]);
    assert_eq!(ran.code, 7, "{ran:?}");
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
    let ran = shell.sandbox.run(&["rotate", "work", "--yes"], &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
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
        let set = shell
            .sandbox
            .run(&["config", "set", "max_age", max_age], &[]);
        assert_eq!(set.code, 0);
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

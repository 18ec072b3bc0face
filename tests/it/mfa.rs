//! `rotate` and its kin where policies force MFA, as a person meets them.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use awskeep::ui::Person;

use expect_test::expect;

use crate::sandbox::{Ran, Sandbox};
use crate::sim::faults::{Fault, Script, When};
use crate::sim::people::{Because, MfaDevice, Status};

const HOUR: i64 = 3_600;
const SESSION_FILE: &str = ".data/awskeep/entries/mfa-session~work.age";
const FORCED: &[(&str, Because)] = &[("*", Because::MfaRequired)];

/// An entry `work` of a user under these policies, with these MFA devices; their
/// codes are 111111, 222222, 333333.
fn with_work(denials: &[(&str, Because)], devices: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.aws.account(|account| {
        let id = account.id.clone();
        let bob = account.user_mut("bob");
        for (action, because) in denials {
            bob.deny(action, *because);
        }
        for device in devices {
            let codes = ["111111", "222222", "333333"];
            let shows = if device.starts_with("u2f") { 0 } else { 3 };
            bob.mfa.push(MfaDevice {
                serial: format!("arn:aws:iam::{id}:{device}"),
                codes: codes[..shows].iter().map(ToString::to_string).collect(),
            });
        }
    });
    sandbox.add("work", &[]).exits(0);
    sandbox.aws.take_journal();
    sandbox
}

fn forced() -> Sandbox {
    with_work(FORCED, &["mfa/phone"])
}

impl Sandbox {
    /// Runs, and looks that no code got out.
    fn told(&self, arguments: &[&str], answers: &[&str]) -> Ran {
        let ran = self.run(arguments, answers);
        self.nothing_leaked(&ran);
        ran
    }

    fn nothing_leaked(&self, ran: &Ran) {
        for code in ["111111", "222222", "333333"] {
            let shown = format!("{}{}", ran.out, ran.err);
            assert!(!shown.contains(code), "{shown}");
            assert_eq!(self.files_with(code), [] as [String; 0]);
        }
    }

    #[track_caller]
    fn rotates(&self, flags: &[&str], answers: &[&str], code: u8) -> Ran {
        let mut arguments = vec!["rotate", "work"];
        arguments.extend(flags);
        let ran = self.told(&arguments, answers);
        assert_eq!(ran.code, code, "{ran:?}");
        ran
    }

    /// The same with nobody there.
    #[track_caller]
    fn alone(&self, arguments: &[&str], code: u8) -> Ran {
        let (mut env, captured) = self.env(&[]);
        env.ui.person = Person::Absent("nobody is there");
        let arguments = std::iter::once("awskeep").chain(arguments.iter().copied());
        let ended = awskeep::run(env, arguments.map(Into::into).collect());
        let ran = Ran {
            code: ended.err().unwrap_or(0),
            out: captured.out_text(),
            err: captured.err_text(),
        };
        self.nothing_leaked(&ran);
        assert_eq!(ran.code, code, "{ran:?}");
        ran
    }

    fn later(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
        self.aws.clock().advance(seconds);
    }

    fn has_session(&self) -> bool {
        self.path(SESSION_FILE).exists()
    }

    fn sessions_opened(&self) -> usize {
        self.aws.account(|account| account.sessions_given().len())
    }

    fn status(&self) -> Value {
        let ran = self.told(&["status", "work", "--json"], &[]);
        serde_json::from_str::<Value>(&ran.out).unwrap()["entries"][0].clone()
    }
}

#[test]
fn one_code_puts_a_new_key_into_service_and_deactivates_the_old_one() {
    let sandbox = forced();
    let asked = sandbox.rotates(&["--yes"], &["111111"], 0);
    asked.shows(expect![[r#"
        entry work: its IAM user may handle keys in an MFA session only; one code does for the whole rotation
        code of arn:aws:iam::ACCOUNT:mfa/phone: 
        work: asking AWS for a new key
        work: waiting until AWS knows AKIA…AAAD everywhere, for 2m at most; Ctrl-C is safe
        work: AKIA…AAAD has been in service since TIME
        …AAAB stays active for what still uses it; it is deactivated after TIME by awskeep rotate work --finish; undo: awskeep rotate work --undo
        exit 0
    "#]]);
    assert!(sandbox.has_session());
    let session = sandbox.status()["mfa_session_until"].clone();
    assert!(session.is_string(), "{session}");
    // A day later nobody is there.
    sandbox.later(25 * HOUR);
    let retired = sandbox.alone(&["rotate", "work", "--finish"], 0);
    assert!(retired.err.contains("is inactive"), "{retired:?}");
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Inactive));
    assert_eq!(sandbox.sessions_opened(), 1);
    assert!(!sandbox.has_session(), "the session is left behind");

    // The held key stays until a rotation opens a session anyway: nobody is nagged.
    sandbox.later(20 * 24 * HOUR);
    let held = sandbox.alone(&["rotate", "work", "--finish"], 0);
    held.shows(expect![[r#"
        work: AKIA…AAAD has been in service since TIME
        …AAAB is inactive, deleted in the MFA session of the next rotation; undo: awskeep rotate work --undo
        exit 0
    "#]]);
    assert_eq!(sandbox.status()["attention"], serde_json::json!([]));
    let again = sandbox.rotates(&["--yes"], &["222222"], 0);
    again.shows(expect![[r#"
        entry work: its IAM user may handle keys in an MFA session only; one code does for the whole rotation
        code of arn:aws:iam::ACCOUNT:mfa/phone: 
        work: deleting KEY
        work: asking AWS for a new key
        work: waiting until AWS knows AKIA…AAAF everywhere, for 2m at most; Ctrl-C is safe
        work: AKIA…AAAF has been in service since TIME
        …AAAD stays active for what still uses it; it is deactivated after TIME by awskeep rotate work --finish; undo: awskeep rotate work --undo
        exit 0
    "#]]);
    assert_eq!(
        sandbox.status_of(&sandbox.key_id),
        None,
        "the held key is gone"
    );
    assert_eq!(sandbox.sessions_opened(), 2);
    // The session is there for the key that was replaced now.
    assert!(sandbox.has_session());
}

#[test]
fn by_itself_it_retires_in_the_kept_session_and_then_asks_for_nothing() {
    let sandbox = forced();
    let by_itself = ["rotate", "--if-due", "--all"];
    sandbox.rotates(&["--yes"], &["111111"], 0);
    sandbox.later(25 * HOUR);
    sandbox.alone(&by_itself, 0);
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Inactive));
    assert!(!sandbox.has_session());
    // The hold is over: nothing is tried, for it would take a code.
    sandbox.later(30 * 24 * HOUR);
    sandbox.aws.take_journal();
    sandbox.alone(&by_itself, 0);
    assert_eq!(sandbox.aws.take_journal(), []);
    // Due, and on: it needs a code, says so, and does not try again.
    sandbox.told(&["config", "set", "auto", "on"], &[]);
    sandbox.later(40 * 24 * HOUR);
    let needs = sandbox.alone(&by_itself, 5);
    needs.shows(expect![[r#"
        awskeep: entry work: its IAM user may handle keys in an MFA session only, and none is open: a code is needed
        hint: at a terminal: awskeep rotate work
        hint: or with the code from another program: awskeep rotate work --mfa-code-stdin
        exit 5
    "#]]);
    sandbox.aws.take_journal();
    sandbox.later(2 * HOUR);
    sandbox.alone(&by_itself, 0);
    assert_eq!(sandbox.aws.take_journal(), []);
    sandbox.rotates(&["--yes"], &["222222"], 0);
    assert_eq!(sandbox.status_of(&sandbox.key_id), None);
}

#[test]
fn unattended_a_code_that_is_needed_waits_for_a_person_and_status_tells() {
    let sandbox = forced();
    for _ in 0..2 {
        let waits = sandbox.alone(&["rotate", "work", "--yes"], 5);
        assert_eq!(
            waits.err,
            "awskeep: entry work: its IAM user may handle keys in an MFA session only, and none is \
             open: a code is needed\n\
             hint: at a terminal: awskeep rotate work\n\
             hint: or with the code from another program: awskeep rotate work --mfa-code-stdin\n"
        );
    }
    let actions: Vec<String> = sandbox
        .aws
        .take_journal()
        .into_iter()
        .map(|entry| entry.action)
        .collect();
    assert_eq!(actions, ["ListAccessKeys", "ListAccessKeys"]);
    let told = sandbox.status();
    assert_eq!(told["attention"][0]["command"], "awskeep rotate work");
    let receipts = sandbox.told(&["log", "work", "--json"], &[]);
    assert_eq!(receipts.out.matches("a code is needed").count(), 1);
    // A code makes it good.
    sandbox.rotates(&["--yes"], &["111111"], 0);
    assert_eq!(sandbox.status()["attention"], serde_json::json!([]));
}

#[test]
fn a_session_that_ended_takes_another_code_and_says_which_command() {
    let sandbox = forced();
    sandbox.rotates(&["--yes"], &["111111"], 0);
    sandbox.later(37 * HOUR);
    let told = sandbox.status();
    let attention = &told["attention"][0];
    assert!(
        attention["why"]
            .as_str()
            .unwrap()
            .contains("MFA session ended"),
        "{told}"
    );
    assert_eq!(attention["command"], "awskeep rotate work --finish");
    sandbox.told(&["status", "--check"], &[]).exits(8);

    sandbox.alone(&["rotate", "work", "--finish"], 5);
    assert!(!sandbox.has_session(), "what is over is erased");
    let told = sandbox.status();
    assert_eq!(
        told["attention"][0]["command"],
        "awskeep rotate work --finish"
    );
    sandbox.rotates(&["--finish"], &["222222"], 0);
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Inactive));
    assert!(!sandbox.has_session());
    assert_eq!(sandbox.status()["attention"], serde_json::json!([]));
}

#[test]
fn wrong_and_used_codes_are_told_in_words_and_asked_for_once() {
    let sandbox = forced();
    // Used up elsewhere in this half minute.
    let mine = |account: &mut crate::sim::account::Account| {
        account.user_mut("bob").mfa[0]
            .codes
            .retain(|code| code != "111111");
    };
    sandbox.aws.account(mine);
    for code in ["111111", "999999"] {
        let refused = sandbox.rotates(&["--yes"], &[code, "222222"], 6);
        assert!(
            refused
                .err
                .contains("it is wrong, or was used before, for each is good once")
                && refused
                    .err
                    .contains("hint: wait until the device shows another code"),
            "{refused:?}"
        );
    }
    for typed in ["", "12 34", "abcdef"] {
        let refused = sandbox.rotates(&["--yes"], &[typed], 2);
        assert!(
            refused.err.contains("six digits are expected"),
            "{refused:?}"
        );
    }
    assert_eq!(
        (sandbox.sessions_opened(), sandbox.has_session()),
        (0, false)
    );
    let sent = sandbox.aws.take_journal();
    let sent = sent
        .iter()
        .filter(|entry| entry.action == "GetSessionToken");
    assert_eq!(sent.count(), 2, "a code was sent twice");
    sandbox.rotates(&["--yes"], &["222222"], 0);
}

#[test]
fn a_lost_answer_to_a_code_counts_it_as_used() {
    for fault in [
        Fault::LoseReply(When::After),
        Fault::server_error(),
        Fault::CutBody,
    ] {
        let sandbox = forced();
        sandbox
            .aws
            .set_script(Script::default().on("GetSessionToken", 1, fault));
        let lost = sandbox.rotates(&["--yes"], &["111111", "222222"], 7);
        assert!(lost.err.contains("the code counts as used"), "{lost:?}");
        let journal = sandbox.aws.take_journal();
        let sent = journal
            .iter()
            .filter(|entry| entry.action == "GetSessionToken");
        assert_eq!(sent.count(), 1, "a code is never sent again");
        sandbox.rotates(&["--yes"], &["222222"], 0);
    }
}

#[test]
fn devices_that_give_no_code_are_explained() {
    let fido = with_work(FORCED, &["u2f/user/bob/key"]);
    let only = fido.rotates(&["--yes"], &["111111"], 5);
    only.shows(expect![[r#"
        awskeep: entry work: arn:aws:iam::ACCOUNT:u2f/user/bob/key is a security key or passkey, which AWS takes in its console only, never from programs
        hint: register another device for the user that shows codes (up to eight are allowed), then run it again
        exit 5
    "#]]);
    let none = with_work(FORCED, &[]);
    let none = none.rotates(&["--yes"], &["111111"], 5);
    none.shows(expect![[r#"
        awskeep: entry work: its IAM user has no MFA device, and may handle keys with one only
        hint: register a device that shows codes in the AWS console, then run it again
        exit 5
    "#]]);
    // Beside a security key, the only other device is meant.
    let both = with_work(FORCED, &["u2f/user/bob/key", "mfa/phone"]);
    both.rotates(&["--yes"], &["111111"], 0);
    let set = with_work(FORCED, &["mfa/phone"]);
    let serial = "arn:aws:iam::1:u2f/user/bob/key";
    set.told(&["config", "set", "mfa_serial", serial], &[]);
    let named = set.rotates(&["--yes"], &["111111"], 5);
    named.shows(expect![[r#"
        awskeep: entry work: arn:aws:iam::1:u2f/user/bob/key is a security key or passkey, which AWS takes in its console only, never from programs
        hint: register another device for the user that shows codes (up to eight are allowed), then run it again
        exit 5
    "#]]);
}

#[test]
fn of_several_devices_a_person_chooses_one_and_a_setting_names_it() {
    let sandbox = with_work(FORCED, &["mfa/phone", "mfa/token"]);
    sandbox
        .aws
        .account(|account| account.user_mut("bob").mfa[0].codes.clear());
    for answer in ["0", "3", "phone"] {
        let wrong = sandbox.rotates(&["--yes"], &[answer, "111111"], 5);
        assert!(
            wrong.err.contains("there is no such device: 1 to 2"),
            "{wrong:?}"
        );
    }
    let unknown = "arn:aws:iam::1:mfa/none";
    sandbox.told(
        &["config", "set", "mfa_serial", unknown, "--entry", "work"],
        &[],
    );
    let refused = sandbox.rotates(&["--yes"], &["111111"], 6);
    refused.shows(expect![[r#"
        entry work: its IAM user may handle keys in an MFA session only; one code does for the whole rotation
        code of arn:aws:iam::1:mfa/none: 
        awskeep: entry work: AWS does not know arn:aws:iam::1:mfa/none as an MFA device of its IAM user: AccessDenied: MultiFactorAuthentication failed, unable to validate MFA code. Please verify your MFA serial number is valid and associated with this user.
        hint: awskeep config set mfa_serial SERIAL --entry work
        exit 6
    "#]]);
    sandbox.told(&["config", "unset", "mfa_serial", "--entry", "work"], &[]);
    sandbox.rotates(&["--yes"], &["2", "111111"], 0);
    assert_eq!(sandbox.sessions_opened(), 1);
}

#[test]
fn a_denial_that_is_not_of_mfa_leads_to_no_question() {
    for (action, because) in [
        ("*", Because::ServiceControlPolicy),
        ("*", Because::Boundary),
        ("*", Because::NotAllowed),
        ("CreateAccessKey", Because::Quarantine),
        ("CreateAccessKey", Because::ExplicitDeny),
    ] {
        let sandbox = with_work(&[(action, because)], &["mfa/phone"]);
        sandbox.rotates(&["--yes"], &["111111"], 6);
        let calls = sandbox.aws.take_journal();
        let asked = ["ListMFADevices", "GetSessionToken"];
        assert!(
            calls
                .iter()
                .all(|call| !asked.contains(&call.action.as_str())),
            "{calls:?}"
        );
    }
    // What is denied in the session, too, is told as it is.
    let sandbox = with_work(
        &[
            ("*", Because::MfaRequired),
            ("CreateAccessKey", Because::ExplicitDeny),
        ],
        &["mfa/phone"],
    );
    let denied = sandbox.rotates(&["--yes"], &["111111"], 6);
    denied.shows(expect![[r#"
        entry work: its IAM user may handle keys in an MFA session only; one code does for the whole rotation
        code of arn:aws:iam::ACCOUNT:mfa/phone: 
        work: asking AWS for a new key
        awskeep: entry work: AWS denies CreateAccessKey: an explicit deny; AWS also attaches one to users whose key has leaked (AWSCompromisedKeyQuarantine): User: arn:aws:iam::ACCOUNT:user/division/bob is not authorized to perform: iam:CreateAccessKey on resource: user bob with an explicit deny in an identity-based policy
        hint: an admin must look at the user's policies
        exit 6
    "#]]);
    assert!(!sandbox.has_session(), "a session is left behind");
}

#[test]
fn rights_given_with_mfa_only_are_recognised_by_the_setting() {
    let sandbox = with_work(&[("*", Because::AllowedWithMfa)], &["mfa/phone"]);
    let denied = sandbox.rotates(&["--yes"], &["111111"], 6);
    denied.shows(expect![[r#"
        awskeep: entry work: AWS denies ListAccessKeys: no policy of the user allows it: User: arn:aws:iam::ACCOUNT:user/division/bob is not authorized to perform: iam:ListAccessKeys on resource: user bob because no identity-based policy allows the iam:ListAccessKeys action
        hint: for the rights that it takes: awskeep policy work
        hint: if it has them with MFA only: awskeep config set mfa_serial SERIAL --entry work
        exit 6
    "#]]);
    let serial = sandbox
        .aws
        .account(|account| account.user("bob").mfa[0].serial.clone());
    sandbox.told(
        &["config", "set", "mfa_serial", &serial, "--entry", "work"],
        &[],
    );
    sandbox.rotates(&["--yes"], &["111111"], 0);
}

#[test]
fn a_command_of_the_settings_gives_the_code_and_needs_nobody() {
    let sandbox = forced();
    let set = |command: &str| {
        let arguments = ["config", "set", "mfa_process", command, "--entry", "work"];
        sandbox.run(&arguments, &[]).exits(0);
    };
    let rotate = |code| sandbox.alone(&["rotate", "work", "--yes"], code);
    // Its output is told nowhere, whatever it is.
    set("echo wJalrSECRET; echo seed-SECRET >&2");
    let garbage = rotate(2);
    set("echo wJalrSECRET; exit 3 # seed-SECRET");
    let failed = rotate(1);
    for ran in [&garbage, &failed] {
        assert!(!ran.err.contains("SECRET"), "{ran:?}");
        assert!(
            ran.err
                .contains("awskeep config get mfa_process --entry work"),
            "{ran:?}"
        );
    }
    set("printf 111%s 111 | cat");
    rotate(0);
    assert_eq!(sandbox.sessions_opened(), 1);
    assert!(sandbox.has_session());
}

#[cfg(unix)]
#[test]
fn the_command_is_told_no_secret_of_ours() {
    let sandbox = forced();
    let note = sandbox.path("note");
    let command = format!("env >'{}'; printf 111%s 111", note.display());
    let arguments = ["config", "set", "mfa_process", &command, "--entry", "work"];
    sandbox.run(&arguments, &[]).exits(0);
    let secrets = [
        "AWSKEEP_PASSPHRASE_FILE",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AMAZON_SECRET_ACCESS_KEY",
    ];
    let child = sandbox
        .program(&[])
        .args(["rotate", "work", "--yes"])
        .envs(secrets.map(|name| (name, "stale")))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let env = sandbox.read("note");
    assert!(env.contains("HOME="), "it was not run: {child:?}");
    assert!(!env.contains("stale"), "{env}");
}

#[cfg(unix)]
#[test]
fn a_settings_file_that_others_can_write_runs_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = forced();
    let ran = sandbox.path("ran");
    let command = format!("touch {}; printf 111%s 111", ran.display());
    let arguments = ["config", "set", "mfa_process", &command, "--entry", "work"];
    sandbox.run(&arguments, &[]).exits(0);
    let settings = sandbox.path(".config/awskeep/config");
    std::fs::set_permissions(&settings, std::fs::Permissions::from_mode(0o666)).unwrap();
    let refused = sandbox.alone(&["rotate", "work", "--yes"], 1);
    assert!(refused.err.contains("others can write"), "{refused:?}");
    assert!(!ran.exists(), "it was run");
}

/// The real program, with `stdin` as its stdin, and no terminal.
fn program(sandbox: &Sandbox, arguments: &[&str], stdin: &str) -> Ran {
    program_noting(sandbox, arguments, stdin, &AtomicU32::new(0))
}

/// The same, with its process id written down as soon as there is one.
fn program_noting(sandbox: &Sandbox, arguments: &[&str], stdin: &str, pid: &AtomicU32) -> Ran {
    let file = sandbox.path("stdin");
    std::fs::write(&file, stdin).unwrap();
    let child = sandbox
        .program(&[])
        .args(arguments)
        .stdin(Stdio::from(std::fs::File::open(&file).unwrap()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    pid.store(child.id(), Ordering::SeqCst);
    let output = child.wait_with_output().unwrap();
    std::fs::remove_file(&file).unwrap();
    let ran = Ran::from(output);
    sandbox.nothing_leaked(&ran);
    ran
}

#[test]
fn a_code_on_stdin_opens_the_session() {
    let sandbox = forced();
    let rotate = ["rotate", "work", "--yes", "--mfa-code-stdin"];
    program(&sandbox, &rotate, "nothing\n").exits(2);
    program(&sandbox, &rotate, "111111\n").exits(0);
    assert_eq!(sandbox.sessions_opened(), 1);
    // There is a session: this code is not used up.
    let finish = [
        "rotate",
        "work",
        "--retire-now",
        "--yes",
        "--mfa-code-stdin",
    ];
    program(&sandbox, &finish, "222222").exits(0);
    assert_eq!(sandbox.sessions_opened(), 1);
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Inactive));
    assert!(!sandbox.has_session());
    let another = ("AKIAQAAAAAAAAAAAAAAA", "secret");
    sandbox
        .add_pair(
            "other",
            another.0,
            another.1,
            &["--no-verify", "--no-profile"],
        )
        .exits(0);
    program(&sandbox, &["rotate", "--all", "--mfa-code-stdin"], "222222").exits(2);
}

#[cfg(unix)]
#[test]
fn the_real_program_killed_at_every_request_goes_on_in_the_same_session() {
    let rotate = ["rotate", "work", "--yes", "--mfa-code-stdin"];
    let whole = forced();
    assert_eq!(program(&whole, &rotate, "111111").code, 0);
    let requests = whole.aws.take_journal();
    for (nth, request) in (1..).zip(&requests) {
        for when in [When::Before, When::After] {
            let sandbox = forced();
            let pid = Arc::new(AtomicU32::new(0));
            let victim = Arc::clone(&pid);
            let kill = Fault::halt(when, move || {
                while victim.load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
                let id = victim.load(Ordering::SeqCst).to_string();
                assert!(
                    Command::new("kill")
                        .args(["-9", &id])
                        .status()
                        .unwrap()
                        .success()
                );
            });
            sandbox.aws.set_script(Script::default().at(nth, kill));
            let killed = program_noting(&sandbox, &rotate, "111111", &pid);
            let place = format!("{when:?} {nth} {}", request.action);
            assert_eq!(killed.code, Ran::KILLED, "{place} {killed:?}");
            sandbox.aws.set_script(Script::default());
            // A key whose reply was lost is named by a person; the session stays.
            let mut again = program(&sandbox, &rotate, "222222");
            if let Some(hint) = again.err.split("--discard ").nth(1) {
                let id = hint.trim().to_owned();
                let discard = [&rotate[..], &["--discard", &id]].concat();
                again = program(&sandbox, &discard, "333333");
            }
            assert_eq!(again.code, 0, "{place} {again:?}");
            // Only a session that never arrived takes a second one.
            let lost = request.action == "GetSessionToken";
            assert_eq!(sandbox.sessions_opened(), 1 + usize::from(lost), "{place}");
            let retire = ["rotate", "work", "--retire-now", "--yes"];
            let retired = program(&sandbox, &retire, "");
            assert_eq!(retired.code, 0, "{place} {retired:?}");
            assert_eq!(
                sandbox.status_of(&sandbox.key_id),
                Some(Status::Inactive),
                "{place}"
            );
            assert!(!sandbox.has_session(), "{place}");
        }
    }
    println!("{} kills", 2 * requests.len());
}

#[test]
fn a_code_that_a_person_gives_is_used_where_only_changes_are_denied() {
    let denials = &[
        ("CreateAccessKey", Because::MfaRequired),
        ("UpdateAccessKey", Because::MfaRequired),
    ];
    let sandbox = with_work(denials, &["mfa/phone"]);
    sandbox.rotates(&["--yes"], &["111111"], 6);
    let rotate = ["rotate", "work", "--yes", "--mfa-code-stdin"];
    program(&sandbox, &rotate, "111111").exits(0);
}

#[test]
fn undo_and_what_people_name_use_the_same_session() {
    let sandbox = forced();
    let now = sandbox.now();
    let (other, _) = sandbox
        .aws
        .account(|account| account.add_key("bob", now - 90));
    sandbox.rotates(&["--yes"], &["111111"], 5);
    sandbox.rotates(&["--discard", &other, "--yes"], &[], 0);
    assert_eq!(sandbox.status_of(&other), None);
    sandbox.rotates(&["--undo"], &[], 0);
    assert!(
        sandbox.has_session(),
        "the new key is still to be deactivated"
    );
    sandbox.rotates(&["--retire-now", "--yes"], &[], 0);
    assert!(!sandbox.has_session());
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Active));
    assert_eq!(sandbox.sessions_opened(), 1);
    // Undone before it was in service: nothing is left for the session to do.
    sandbox.rotates(&["--delete-now", "--yes"], &["222222"], 0);
    let unknown = Fault::Refuse {
        status: 403,
        code: "InvalidClientTokenId",
        message: "The security token included in the request is invalid.",
    };
    sandbox
        .aws
        .set_script(Script::default().every("GetUser", unknown));
    sandbox.rotates(&[], &["333333"], 7);
    sandbox.aws.set_script(Script::default());
    sandbox.rotates(&["--undo"], &[], 0);
    assert!(!sandbox.has_session());
    assert_eq!(sandbox.sessions_opened(), 3);
}

#[test]
fn revoke_takes_one_code() {
    let sandbox = forced();
    let needs = sandbox.alone(&["revoke", "work", "--yes"], 5);
    needs.shows(expect![[r#"
        awskeep: AKIA…AAAB is not revoked: entry work: its IAM user may handle keys in an MFA session only, and none is open: a code is needed
        hint: at a terminal: awskeep revoke work --key AKIA…AAAB
        hint: or with the code from another program: awskeep revoke work --key AKIA…AAAB --mfa-code-stdin
        hint: until then AKIA…AAAB may be active; whoever has the rights: aws iam update-access-key --user-name bob --access-key-id AKIA…AAAB --status Inactive
        exit 5
    "#]]);
    sandbox
        .told(&["revoke", "work", "--yes"], &["111111"])
        .exits(0);
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Inactive));
    assert!(!sandbox.has_session());
    // Again, with a held key in the way.
    sandbox
        .told(&["revoke", "work", "--yes"], &["222222"])
        .exits(0);
    assert_eq!(sandbox.status_of(&sandbox.key_id), None);
    assert_eq!(
        (sandbox.sessions_opened(), sandbox.has_session()),
        (2, false)
    );
}

#[test]
fn another_key_is_revoked_with_a_code_and_no_session_is_kept() {
    let sandbox = forced();
    let (other, _) = sandbox.aws.account(|account| account.add_key("bob", 0));
    let arguments = ["revoke", "work", "--key", &other, "--yes"];
    sandbox.told(&arguments, &["111111"]).exits(0);
    assert_eq!(sandbox.status_of(&other), Some(Status::Inactive));
    assert!(!sandbox.has_session());
}

#[test]
fn recover_takes_a_code_of_the_other_profiles_user() {
    let sandbox = with_work(&[], &[]);
    let (admin, secret) = sandbox.aws.account(|account| {
        let codes = vec!["111111".to_owned()];
        let serial = format!("arn:aws:iam::{}:mfa/boss", account.id);
        let boss = account.add_user("/", "boss");
        boss.rights = crate::sim::people::Rights::Everybody;
        boss.deny("*", Because::MfaRequired);
        boss.mfa.push(MfaDevice { serial, codes });
        account.add_key("boss", 0)
    });
    sandbox.add_pair("boss", &admin, &secret, &[]).exits(0);
    let now = sandbox.aws.clock().now();
    sandbox
        .aws
        .account(|account| account.set_by_hand(&sandbox.key_id, Some(Status::Inactive), now));
    let recover = ["recover", "work", "--via", "boss", "--yes"];
    let needs = sandbox.alone(&recover, 5);
    needs.shows(expect![[r#"
        awskeep: entry boss: its IAM user may handle keys in an MFA session only, and none is open: a code is needed
        hint: at a terminal: awskeep recover work --via boss
        hint: or with the code from another program: awskeep recover work --via boss --mfa-code-stdin
        exit 5
    "#]]);
    sandbox.told(&recover, &["111111", "y"]).exits(0);
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Active));
    assert!(!sandbox.has_session());
}

#[test]
fn a_session_is_no_entry_and_goes_where_its_entry_goes() {
    let sandbox = forced();
    sandbox.rotates(&["--yes"], &["111111"], 0);
    let listed = sandbox.told(&["list", "--json"], &[]);
    let listed = listed.json();
    assert_eq!(
        listed["entries"].as_array().map(Vec::len),
        Some(1),
        "{listed}"
    );
    let stores = sandbox.told(&["store", "list", "--json"], &[]);
    let stores = stores.json();
    let file = stores
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["store"] == "file");
    assert_eq!(file.unwrap()["entries"], 1);
    assert_eq!(sandbox.told(&["rename", "work", "office"], &[]).code, 0);
    assert!(!sandbox.has_session());
    // The session followed: no code is needed.
    sandbox.alone(&["rotate", "office", "--retire-now", "--yes"], 0);
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Inactive));

    // What is left of a session goes with its entry.
    let sandbox = forced();
    sandbox.rotates(&["--yes"], &["111111"], 0);
    let kept = std::fs::read(sandbox.path(SESSION_FILE)).unwrap();
    sandbox.rotates(&["--delete-now", "--yes"], &[], 0);
    assert!(!sandbox.has_session());
    std::fs::write(sandbox.path(SESSION_FILE), kept).unwrap();
    assert_eq!(sandbox.told(&["remove", "work", "--yes"], &[]).code, 0);
    assert!(!sandbox.has_session());
}

#[test]
fn removing_with_the_key_takes_a_code() {
    let sandbox = forced();
    let remove = ["remove", "work", "--delete-key", "--yes"];
    sandbox.alone(&remove, 6);
    assert_eq!(sandbox.told(&remove, &["111111"]).code, 0);
    assert_eq!(sandbox.status_of(&sandbox.key_id), None);
    assert!(!sandbox.has_session());
}

#[test]
fn looking_opens_no_session_and_uses_one_that_is_there() {
    let sandbox = forced();
    let before = sandbox.everything();
    let explained = sandbox.rotates(&["--explain"], &["111111"], 0);
    assert!(
        explained.out.contains("next step: ask for an MFA code"),
        "{explained:?}"
    );
    sandbox.rotates(&["--dry-run"], &["111111"], 0);
    assert_eq!(sandbox.everything(), before);
    let online = ["status", "work", "--online"];
    let shown = sandbox.told(&online, &[]).exits(6);
    assert!(shown.err.contains("in an MFA session only"), "{shown:?}");
    sandbox.rotates(&["--yes"], &["111111"], 0);
    let explained = sandbox.rotates(&["--explain"], &[], 0);
    assert!(
        explained.out.contains("next step: wait until 20"),
        "{explained:?}"
    );
    assert_eq!(sandbox.told(&online, &[]).code, 0);
    assert_eq!(sandbox.sessions_opened(), 1);
    assert!(sandbox.has_session());
}

//! `status`, `log` and `policy`: what they show, in which form, and when they fail.

use std::sync::atomic::Ordering;

use awskeep::types::time::Timestamp;
use serde_json::{Value, json};

use crate::sandbox::{Ran, Sandbox};
use crate::sim::people::Status;

fn let_pass(sandbox: &Sandbox, days: i64) {
    sandbox.clock.fetch_add(days * 86_400, Ordering::SeqCst);
}

/// Columns of a table's row, cut where two blanks stand.
fn rows(ran: &Ran) -> Vec<Vec<String>> {
    let lines = ran.out.lines().take_while(|line| !line.is_empty());
    let cells = lines.map(|line| {
        let cells = line.split("  ").map(str::trim);
        cells
            .filter(|cell| !cell.is_empty())
            .map(str::to_owned)
            .collect()
    });
    cells.collect()
}

#[test]
fn a_fresh_entry_needs_nothing() {
    let sandbox = Sandbox::with_work();
    let shown = sandbox.run(&["status", "--check"], &[]);
    assert_eq!((shown.code, shown.err.as_str()), (0, ""), "{shown:?}");
    // AWS says that the key was made a day before it was added.
    let due = (Timestamp(sandbox.now()) + awskeep::types::time::Span::days(59)).day();
    assert_eq!(
        rows(&shown),
        [
            vec![
                "ENTRY",
                "SLOT",
                "KEY",
                "AGE",
                "DUE",
                "LEASED UNTIL",
                "HELD UNTIL",
                "NEXT"
            ],
            vec![
                "work",
                "current",
                "KEY",
                "1d",
                &due,
                "-",
                "-",
                "stays until it is due"
            ],
        ]
    );
    assert_eq!(sandbox.aws.take_journal(), [], "nobody asked AWS");
}

#[test]
fn no_entries_is_no_failure() {
    let shown = Sandbox::new().run(&["status", "--check"], &[]);
    assert_eq!((shown.code, shown.out.as_str()), (0, ""));
    assert_eq!(
        shown.err,
        "there are no entries yet\nhint: awskeep add NAME\n"
    );
}

#[test]
fn a_due_key_wants_attention() {
    let sandbox = Sandbox::with_work();
    let_pass(&sandbox, 61);
    let shown = sandbox.run(&["status"], &[]);
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    let checked = sandbox
        .run(&["status", "work", "--check", "--json"], &[])
        .exits(8);
    assert!(
        checked
            .err
            .starts_with("awskeep: entry work: KEY has been due since ")
            && checked.err.ends_with("\nhint: awskeep rotate work\n"),
        "{checked:?}"
    );
    let told = checked.json();
    let entry = &told["entries"][0];
    assert_eq!(entry["attention"][0]["command"], "awskeep rotate work");
    assert_eq!(entry["keys"][0]["next"], "rotate");
    assert_eq!(entry["keys"][0]["age_s"], 62 * 86_400);
}

#[test]
fn a_rotated_entry_shows_both_lives() {
    let sandbox = Sandbox::with_work();
    sandbox.run(&["rotate", "work", "--yes"], &[]).exits(0);
    let told = sandbox.run(&["status", "--json"], &[]).json();
    let entry = &told["entries"][0];
    let previous = &entry["keys"][1];
    assert_eq!(previous["slot"], "previous");
    assert_eq!(previous["key_id"], "KEY");
    assert_eq!(previous["next"], "deactivate");
    assert_eq!(previous["command"], "awskeep rotate work --finish");
    assert_eq!(previous["not_before"], previous["leased_until"]);
    assert_eq!(entry["attention"], json!([]));
    assert_eq!(entry.get("at_aws"), None);

    // Nobody finished it for days.
    let_pass(&sandbox, 4);
    let late = sandbox.run(&["status", "--check"], &[]).exits(8);
    assert!(late.err.contains("the replaced key KEY is still active"));

    let hurried = sandbox.run(&["rotate", "work", "--retire-now", "--yes"], &[]);
    // Four days apart from AWS's clock: nothing irreversible is done.
    assert_eq!(hurried.code, 7, "{hurried:?}");
    let_pass(&sandbox, -4);
    sandbox
        .run(&["rotate", "work", "--retire-now", "--yes"], &[])
        .exits(0);
    let told = sandbox.run(&["status", "--json"], &[]).json();
    assert_eq!(told["entries"][0]["keys"][1]["next"], "delete");
}

#[test]
fn online_asks_aws_and_sees_what_people_did() {
    let sandbox = Sandbox::with_work();
    let foreign = sandbox
        .aws
        .account(|account| account.add_key("bob", sandbox.now() - 3_600).0);
    let told = sandbox
        .run(&["status", "work", "--online", "--json"], &[])
        .json();
    let seen = &told["entries"][0]["at_aws"];
    assert_eq!(
        (&seen[0]["key_id"], &seen[0]["slot"], &seen[0]["status"]),
        (&json!("KEY"), &json!("current"), &json!("active"))
    );
    assert_eq!(
        (&seen[1]["key_id"], &seen[1]["slot"], &seen[1]["last_used"]),
        (&json!(foreign), &Value::Null, &json!({"known": "never"}))
    );
    let shown = sandbox.run(&["status", "work", "--online"], &[]);
    assert!(shown.out.contains("not this entry's"), "{shown:?}");

    let at = sandbox.now();
    sandbox
        .aws
        .account(|account| account.set_by_hand(&sandbox.key_id, Some(Status::Inactive), at));
    let dead = sandbox
        .run(&["status", "--online", "--check"], &[])
        .exits(8);
    let next = rows(&dead)[1].last().cloned();
    let recover = "recover: awskeep recover work --via PROFILE";
    assert_eq!(next.as_deref(), Some(recover));
    assert_eq!(
        dead.err,
        "awskeep: entry work: KEY is not accepted at AWS\nhint: awskeep recover work --via PROFILE\n"
    );
}

#[test]
fn a_store_that_cannot_be_read_is_exit_4() {
    let sandbox = Sandbox::with_work();
    let folder = sandbox.path(".data/awskeep");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::write(path, "damaged").unwrap();
        }
    }
    for arguments in [&["status"][..], &["status", "work", "--check"]] {
        let ran = sandbox.run(arguments, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{ran:?}");
    }
}

#[test]
fn a_failure_is_shown_until_it_is_made_good() {
    let sandbox = Sandbox::with_work();
    sandbox.write(
        ".state/awskeep/log/receipts.jsonl",
        "{\"at\":\"2026-11-23T08:00:00Z\",\"entry\":\"work\",\"step\":\"delete\",\
         \"key_id\":\"AKIAIOSFODNN7EXAMPLE\",\"result\":\"failed: Throttling\"}\n",
    );
    let checked = sandbox.run(&["status", "--check"], &[]);
    assert_eq!(
        (checked.code, checked.err.as_str()),
        (
            8,
            "awskeep: entry work: delete of AKIAIOSFODNN7EXAMPLE at 2026-11-23T08:00:00Z: failed: Throttling\n\
             hint: awskeep log work\n"
        )
    );
    sandbox.run(&["rotate", "work", "--yes"], &[]).exits(0);
    sandbox.run(&["status", "--check"], &[]).exits(0);
}

#[test]
fn the_log_names_every_step_in_three_forms() {
    let sandbox = Sandbox::with_work();
    sandbox.run(&["rotate", "work", "--yes"], &[]).exits(0);
    // A power cut in the middle of a line.
    let path = ".state/awskeep/log/receipts.jsonl";
    let torn = format!("{}{{\"at\":\"2026-1", sandbox.read(path));
    sandbox.write(path, &torn);
    sandbox.run(&["rename", "work", "job"], &[]).exits(0);
    let told = sandbox.run(&["log", "--json"], &[]).json();
    let steps: Vec<&str> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| receipt["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["add", "create", "prove", "promote", "rename"]);
    assert!(told[1]["request_id"].is_string(), "{told}");
    assert_eq!(told[1]["slot"], "pending");
    let nonce = told[1]["intent"].as_str().unwrap();
    assert_eq!(told[1]["result"], format!("made under intent {nonce}"));
    assert_eq!(
        (&told[3]["slot"], &told[3]["outcome"]),
        (&"current".into(), &"done".into())
    );
    assert_eq!(told[4]["old_name"], "work");

    let all = sandbox.run(&["log"], &[]);
    assert_eq!(
        rows(&all)[0],
        ["TIME", "ENTRY", "STEP", "KEY", "REQUEST", "RESULT"]
    );
    // Under its new name the entry keeps what was done under the old one; the
    // profile that uses it means the same.
    for name in ["job", "work"] {
        let named = sandbox.run(&["log", name], &[]).exits(0);
        assert_eq!(
            named.out.lines().count(),
            if name == "job" { 6 } else { 5 },
            "{named:?}"
        );
    }
    let csv = sandbox.run(&["log", "--csv", "--profile", "work"], &[]).out;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "time,entry,step,key_id,request_id,result");
    assert_eq!(lines.len(), 6);
    assert!(lines[5].ends_with(",was work"), "{csv}");

    let none = sandbox.run(&["log", "nothing"], &[]);
    assert_eq!((none.code, none.out.as_str()), (3, ""));
}

#[test]
fn a_policy_is_for_the_users_own_path() {
    let sandbox = Sandbox::with_work();
    let named = sandbox.run(&["policy", "work"], &[]).exits(0);
    assert_eq!(
        named.err,
        "bob has the path /division/: a policy on user/${aws:username} would not match it\n"
    );
    assert_eq!(
        named.json(),
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "RotateOwnKeys",
                "Effect": "Allow",
                "Action": [
                    "iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:GetAccessKeyLastUsed",
                    "iam:GetUser", "iam:ListAccessKeys", "iam:UpdateAccessKey"
                ],
                "Resource": "arn:aws:iam::ACCOUNT:user/division/bob"
            }]
        })
    );
    let any = sandbox.run(&["policy", "--mfa"], &[]);
    assert!(any.err.starts_with("this matches users without a path"));
    let policy = any.json();
    assert_eq!(
        policy["Statement"][3]["Condition"],
        json!({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}})
    );
    assert_eq!(
        policy["Statement"][0]["Action"],
        json!(["sts:GetSessionToken"])
    );
    assert_eq!(policy["Statement"][0].get("Condition"), None);
    assert_eq!(
        policy["Statement"][3]["Resource"],
        "arn:aws:iam::*:user/${aws:username}"
    );
    sandbox.run(&["policy", "none"], &[]).exits(3);
}

#[test]
fn a_locked_store_is_exit_4_with_the_command_that_opens_it() {
    let sandbox = Sandbox::with_work();
    std::fs::remove_dir_all(sandbox.path(".data/awskeep")).unwrap();
    sandbox.write("pass", "correct horse");
    sandbox.chmod("pass", 0o600);
    sandbox
        .run(
            &["store", "use", "file", "--passphrase-file", "pass", "--yes"],
            &[],
        )
        .exits(0);
    sandbox.add("work", &[]).exits(0);
    sandbox.run(&["store", "lock"], &[]).exits(0);
    for arguments in [
        &["status", "--no-input"][..],
        &["status", "work", "--no-input"],
        &["status", "--check", "--json", "--no-input"],
    ] {
        let ran = sandbox.run(arguments, &[]).exits(4);
        assert!(ran.err.contains("hint: awskeep store unlock"), "{ran:?}");
    }
    // What was done to which key is known all the same.
    sandbox.run(&["log", "work"], &[]).exits(0);
}

#[test]
fn it_is_shown_which_keys_replace_themselves_and_what_makes_them() {
    let sandbox = Sandbox::with_work();
    let last_line = || {
        let shown = sandbox.run(&["status"], &[]);
        shown.out.lines().last().unwrap_or_default().to_owned()
    };
    let told = || sandbox.run(&["status", "--json"], &[]).json();
    assert_eq!(told()["entries"][0]["auto"], "off");
    assert!(last_line().starts_with("work"), "{}", last_line());
    sandbox.run(&["config", "set", "auto", "on"], &[]).exits(0);
    assert_eq!(
        last_line(),
        "auto is on for work, and no hook or timer of awskeep setup starts it: awskeep setup"
    );
    let flags = ["--auto", "none", "--yes"];
    for what in [
        &["setup", "zsh"][..],
        &["setup", "--systemd", "--helper-path", "bin/awskeep"],
    ] {
        sandbox.run(&[what, &flags].concat(), &[]).exits(0);
    }
    assert_eq!(
        last_line(),
        "automatic: work; started by the hook of zsh, the systemd timer"
    );
    assert_eq!(
        told()["started_by"],
        json!(["the hook of zsh", "the systemd timer"])
    );
    assert_eq!(told()["entries"][0]["auto"], "on");

    // The state may be deleted at any time; then no hook has anything to look at.
    std::fs::remove_dir_all(sandbox.path(".state/awskeep")).unwrap();
    assert_eq!(told()["started_by"], json!([]));
    assert!(last_line().ends_with(": awskeep setup"), "{}", last_line());
    sandbox
        .run(&[&["setup", "zsh"][..], &flags].concat(), &[])
        .exits(0);
    assert!(last_line().starts_with("automatic: "), "{}", last_line());
}

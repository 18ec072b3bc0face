//! `revoke`: the leaked key is inactive at once, whatever was in flight before.

use crate::sandbox::Sandbox;
use crate::sim::faults::{Fault, Script};
use crate::sim::people::{Rights, Status};

#[test]
fn a_leaked_key_is_replaced_and_inactive_at_once() {
    let sandbox = Sandbox::with_work();
    let before = sandbox.everything();
    let asked = sandbox.run(&["revoke", "work", "--no-input"], &[]);
    assert_eq!(asked.code, 5, "{asked:?}");
    assert!(asked.err.contains("would ask: replace KEY of entry work"));
    assert_eq!(sandbox.run(&["revoke", "work"], &[""]).code, 5);
    let said = sandbox.run(&["revoke", "work", "--dry-run"], &[]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (
            0,
            "would make a new key for arn:aws:iam::ACCOUNT:user/division/bob\n\
             would deactivate KEY at once\n"
        )
    );
    assert_eq!(sandbox.everything(), before);

    let revoked = sandbox.run(&["revoke", "work", "--json"], &["y"]);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    let told = revoked.json();
    assert_eq!(told["revoked"], "KEY");
    assert_eq!(told["replaced"], true);
    let command = told["sessions"]["user_command"].as_str().unwrap();
    assert!(
        command.starts_with("aws iam put-user-policy --user-name bob --policy-name ")
            && command.contains("\"DateLessThan\":{\"aws:TokenIssueTime\":\"20"),
        "{command}"
    );
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Inactive));
    let new = sandbox.served("work");
    assert_eq!(told["key_id"], new.as_str());
    assert_eq!(sandbox.status_of(&new), Some(Status::Active));
}

#[test]
fn a_leaked_key_does_not_wait_for_a_replaced_one_that_is_gone() {
    let sandbox = Sandbox::with_work();
    let rotated = sandbox.run(&["rotate", "work", "--retire-now", "--yes"], &[]);
    rotated.exits(0);
    let leaked = sandbox.served("work");
    let at = sandbox.now();
    sandbox
        .aws
        .account(|account| account.set_by_hand(&sandbox.key_id, None, at));
    sandbox.run(&["revoke", "work", "--yes"], &[]).exits(0);
    assert_eq!(sandbox.status_of(&leaked), Some(Status::Inactive));
    assert_ne!(sandbox.served("work"), leaked);
}

#[test]
fn a_revoked_key_is_never_brought_back() {
    let sandbox = Sandbox::with_work();
    sandbox.keeps_plaintext(".aws");
    assert_eq!(sandbox.run(&["revoke", "work", "--yes"], &[]).code, 0);
    let new = sandbox.served("work");
    let finish = sandbox.run(&["rotate", "work", "--finish"], &[]);
    let end = "; it was revoked, and is never brought back\n";
    assert!(finish.code == 0 && finish.err.ends_with(end), "{finish:?}");
    let undo = sandbox.run(&["rotate", "work", "--undo"], &[]);
    assert_eq!(
        (undo.code, undo.err.as_str()),
        (
            3,
            "awskeep: entry work: KEY was revoked, and is never brought back\n\
             hint: awskeep rotate work --finish\n"
        )
    );
    // The new key dies too, and somebody with more rights recovers.
    let at = sandbox.now();
    let (id, secret) = sandbox.aws.account(|account| {
        account.set_by_hand(&new, None, at);
        account.add_user("/", "boss").rights = Rights::Everybody;
        account.add_key("boss", at - 60)
    });
    let keys = format!("[boss]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    sandbox.write(".aws/credentials", &keys);
    let recover = ["recover", "work", "--via", "boss", "--yes"];
    let named = [&recover[..], &["--reactivate", &sandbox.key_id]].concat();
    assert_eq!(sandbox.run(&named, &[]).code, 2);
    let recovered = sandbox.run(&recover, &[]);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    assert!(
        recovered.err.contains("work: KEY was revoked at 20"),
        "{recovered:?}"
    );
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Inactive));
    assert!(![&new, &sandbox.key_id].contains(&&sandbox.served("work")));
}

#[test]
fn a_held_key_makes_room_after_a_question() {
    let sandbox = Sandbox::with_work();
    assert_eq!(
        sandbox
            .run(&["rotate", "work", "--retire-now", "--yes"], &[])
            .code,
        0
    );
    let leaked = sandbox.served("work");
    assert_ne!(leaked, sandbox.key_id);
    let declined = sandbox.run(&["revoke", "work"], &["y", "n"]);
    assert_eq!(declined.code, 5, "{declined:?}");
    assert!(declined.err.contains("KEY was replaced before"));
    assert_eq!(sandbox.served("work"), leaked);

    let revoked = sandbox.run(&["revoke", "work"], &["y", "y"]);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    assert!(
        revoked
            .err
            .contains("end them, with an administrator's rights:"),
        "{revoked:?}"
    );
    assert_eq!(sandbox.status_of(&sandbox.key_id), None);
    assert_eq!(sandbox.status_of(&leaked), Some(Status::Inactive));
    assert_ne!(sandbox.served("work"), leaked);
}

#[test]
fn a_pending_key_is_used() {
    let sandbox = Sandbox::with_work();
    // The new key is made, and then AWS answers no proof.
    sandbox.aws.set_script(Script::default().every(
        "GetUser",
        Fault::Refuse {
            status: 403,
            code: "InvalidClientTokenId",
            message: "The security token included in the request is invalid.",
        },
    ));
    let stuck = sandbox.run(&["rotate", "work", "--yes"], &[]);
    assert_eq!(stuck.code, 7, "{stuck:?}");
    sandbox.aws.set_script(Script::default());
    let told = sandbox.run(&["status", "--json"], &[]).json();
    let pending = told["entries"][0]["keys"][1]["key_id"].as_str().unwrap();
    let revoked = sandbox.run(&["revoke", "work", "--yes"], &[]);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    assert_eq!(sandbox.served("work"), pending);
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Inactive));
}

#[test]
fn another_key_of_the_user_is_only_deactivated() {
    let sandbox = Sandbox::with_work();
    let at = sandbox.now();
    let other = sandbox
        .aws
        .account(|account| account.add_key("bob", at - 60).0);
    let revoked = sandbox.run(&["revoke", "work", "--key", &other, "--json"], &["y"]);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    let told = revoked.json();
    assert_eq!(
        (&told["replaced"], &told["key_id"]),
        (&false.into(), &"KEY".into())
    );
    assert_eq!(sandbox.status_of(&other), Some(Status::Inactive));
    assert_eq!(sandbox.served("work"), sandbox.key_id);

    let unknown = sandbox.run(
        &["revoke", "work", "--key", "AKIAIOSFODNN7EXAMPLE", "-y"],
        &[],
    );
    assert_eq!(unknown.code, 3, "{unknown:?}");
}

#[test]
fn a_replaced_key_that_is_still_leased_is_deactivated_by_name() {
    let sandbox = Sandbox::with_work();
    assert_eq!(sandbox.run(&["rotate", "work", "--yes"], &[]).code, 0);
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Active));
    let revoked = sandbox.run(&["revoke", "work", "--key", &sandbox.key_id], &["y"]);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    assert_eq!(sandbox.status_of(&sandbox.key_id), Some(Status::Inactive));
}

#[test]
fn a_key_that_cannot_be_replaced_is_said_to_be_alive() {
    let sandbox = Sandbox::with_work();
    sandbox.aws.account(|account| {
        account.user_mut("bob").quarantine();
    });
    let refused = sandbox.run(&["revoke", "work", "--yes"], &[]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(
        refused.err.contains(
            "aws iam update-access-key --user-name bob --access-key-id KEY --status Inactive"
        ),
        "{refused:?}"
    );
    assert_eq!(sandbox.served("work"), sandbox.key_id);

    // Two keys, one of them foreign: it is not touched.
    let sandbox = Sandbox::with_work();
    let other = sandbox.aws.account(|account| account.add_key("bob", 0).0);
    let refused = sandbox.run(&["revoke", "work", "--yes"], &[]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.err.contains("KEY is not revoked: "), "{refused:?}");
    assert_eq!(sandbox.status_of(&other), Some(Status::Active));
}

//! What follows an import: the keys that stood in a file are rotated, if a person wants it.

use crate::moving::{CREDENTIALS, Messy};
use crate::sandbox::Ran;

/// Imports with these answers to its questions; the simulated AWS knows new keys at once.
fn import(messy: &Messy, more: &[&str], answers: &[&str]) -> Ran {
    let url = messy.sandbox.aws.url();
    let fixed = [
        "import",
        "--endpoint-url",
        &url,
        "--helper-path",
        "bin/awskeep",
    ];
    messy.sandbox.run(&[&fixed[..], more].concat(), answers)
}

/// The users' keys at AWS, oldest first.
fn keys(messy: &Messy) -> Vec<Vec<String>> {
    messy.sandbox.aws.account(|account| {
        ["bob", "amy"]
            .map(|user| {
                let keys = account.user(user).keys.iter();
                keys.map(|key| key.id.clone()).collect()
            })
            .to_vec()
    })
}

#[test]
fn with_the_flag_it_goes_on_to_a_rotation_and_asks_what_rotate_asks() {
    let messy = Messy::new();
    let ran = import(&messy, &["--rotate"], &["y", "y", "y"]).exits(0);
    for entry in ["team", "admin"] {
        let question = format!("used only through entry {entry} on this machine?");
        assert!(ran.err.contains(&question), "{ran:?}");
    }
    messy.is_moved();
    let [bob, amy] = keys(&messy).try_into().unwrap();
    assert_eq!(
        (bob.len(), amy.len()),
        (2, 2),
        "the old keys are kept for what has them"
    );
    assert_eq!(
        [messy.sandbox.served("team"), messy.sandbox.served("admin")],
        [bob[1].clone(), amy[1].clone()]
    );

    let undone = messy.sandbox.run(&["import", "--undo"], &["y"]).exits(0);
    assert!(undone.err.contains("was replaced"), "{undone:?}");
    let credentials = messy.sandbox.read(CREDENTIALS);
    let (id, new) = (&messy.amy.0, messy.sandbox.served("admin"));
    assert!(credentials.contains(&new) && !credentials.contains(id.as_str()));
}

#[test]
fn declining_rotates_nothing_and_keeps_the_import() {
    for (flags, answers, code, said) in [
        // The offer is declined, or answered by nobody.
        (
            &[][..],
            &["y", "n"][..],
            0,
            "not rotated; later: awskeep rotate team admin",
        ),
        (
            &["--yes"],
            &[],
            0,
            "may have them: awskeep rotate team admin",
        ),
        // The rotation's own question is declined.
        (&["--rotate"], &["y", "n", "n"], 5, "declined"),
        (&["--no-rotate"], &["y"], 0, "undo: awskeep import --undo"),
    ] {
        let messy = Messy::new();
        let ran = import(&messy, flags, answers);
        assert_eq!(ran.code, code, "{flags:?}: {ran:?}");
        assert!(ran.err.contains(said), "{flags:?}: {ran:?}");
        assert_eq!(
            ran.err.contains("rotate team"),
            flags != ["--no-rotate"] && code == 0,
            "{ran:?}"
        );
        messy.is_moved();
        let counts: Vec<usize> = keys(&messy).iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 1], "{flags:?}");
    }
}

#[test]
fn the_offer_is_taken_and_what_was_refused_still_fails() {
    let messy = Messy::new();
    let half = messy.credentials.clone() + "[half]\naws_access_key_id = AKIAZZZZZZZZZZZZZZZZ\n";
    messy.sandbox.write(CREDENTIALS, &half);
    let ran = import(&messy, &[], &["y", "y", "y", "y"]).exits(1);
    assert!(
        ran.err.contains("the keys of half are still in plaintext"),
        "{ran:?}"
    );
    let counts: Vec<usize> = keys(&messy).iter().map(Vec::len).collect();
    assert_eq!(counts, [2, 2]);
}

#[test]
fn a_dry_run_says_it_and_json_does_not_mix_with_it() {
    let messy = Messy::new();
    let before = messy.sandbox.everything();
    let ran = import(&messy, &["--rotate", "--dry-run"], &[]);
    assert!(ran.err.contains("would then rotate team admin"), "{ran:?}");
    let ran = import(&messy, &["--rotate", "--json", "--yes"], &[]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert_eq!(messy.sandbox.everything(), before);
}

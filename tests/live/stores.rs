//! Choosing a store, moving between stores, and what is said where one does not work.

use crate::keychain::Keychain;
use crate::programs::{Ran, run};
use crate::sandbox::Sandbox;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn pair(id: &str) -> String {
    format!("{{\"AccessKeyId\":\"{id}\",\"SecretAccessKey\":\"{SECRET}\"}}")
}

fn with_passphrase(keychain: &Keychain) -> Sandbox {
    let sandbox = Sandbox::new().on(keychain);
    let file = sandbox.write("passphrase", "a passphrase of the test's own\n");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, private).unwrap();
    sandbox.with("AWSKEEP_PASSPHRASE_FILE", &file.display().to_string())
}

fn add(sandbox: &Sandbox, entry: &str, id: &str, more: &[&str]) -> Ran {
    let arguments = [
        &["add", entry, "--stdin", "--no-verify", "--no-profile"],
        more,
    ]
    .concat();
    sandbox.awskeep_with_input(&arguments, &pair(id))
}

#[track_caller]
fn serves(sandbox: &Sandbox, name: &str, id: &str) {
    let answer = sandbox.awskeep_printing(&["credential-process", name]).ok();
    assert_eq!(answer.json()["AccessKeyId"], id, "{name}");
}

fn stores_of(sandbox: &Sandbox) -> Vec<(String, String)> {
    let listed = sandbox.awskeep(&["list", "--json"]).ok().json();
    let entries = listed["entries"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|entry| (text(&entry["entry"]), text(&entry["store"])))
        .collect()
}

#[test]
fn entries_move_between_the_stores_and_keep_their_old_names() {
    let keychain = Keychain::start();
    let sandbox = with_passphrase(&keychain);
    let other = "AKIAI44QH8DHBEXAMPLE";
    add(&sandbox, "one", ID, &[]).ok();
    add(&sandbox, "two", other, &[]).ok();
    sandbox.awskeep(&["rename", "two", "second"]).ok();

    sandbox.awskeep(&["store", "move", "file"]).ok();
    let all = |store: &str| {
        vec![
            ("one".to_owned(), store.to_owned()),
            ("second".to_owned(), store.to_owned()),
        ]
    };
    assert_eq!(stores_of(&sandbox), all("file"));
    serves(&sandbox, "one", ID);
    serves(&sandbox, "second", other);
    serves(&sandbox, "two", other);
    // Run again, there is nothing left to do.
    sandbox.awskeep(&["store", "move", "file"]).ok();
    assert_eq!(stores_of(&sandbox), all("file"));

    sandbox.awskeep(&["store", "move", "keychain", "one"]).ok();
    assert_eq!(
        stores_of(&sandbox)[0],
        ("one".to_owned(), "keychain".to_owned())
    );
    serves(&sandbox, "one", ID);
    sandbox.awskeep(&["store", "lock", "--store", "file"]).ok();
    sandbox.awskeep(&["credential-process", "second"]).exits(4);
    sandbox
        .awskeep(&["store", "unlock", "--store", "file", "--for", "1h"])
        .ok();
    serves(&sandbox, "second", other);
    sandbox.awskeep(&["store", "lock", "--store", "file"]).ok();
    sandbox.secret_scan(&[SECRET]);
}

#[test]
fn choosing_a_store_leaves_entries_where_they_are() {
    let keychain = Keychain::start();
    let sandbox = with_passphrase(&keychain);
    add(&sandbox, "one", ID, &[]).ok();
    sandbox.awskeep(&["store", "use", "file"]).ok();
    add(&sandbox, "two", "AKIAI44QH8DHBEXAMPLE", &[]).ok();
    let expected = [("one", "keychain"), ("two", "file")];
    assert_eq!(
        stores_of(&sandbox),
        expected.map(|(entry, store)| (entry.to_owned(), store.to_owned()))
    );
    serves(&sandbox, "one", ID);
    sandbox.awskeep(&["store", "lock"]).ok();
}

#[test]
fn store_list_says_what_works_and_why_not() {
    let mut keychain = Keychain::start();
    let sandbox = Sandbox::new().on(&keychain);
    let rows = |sandbox: &Sandbox| {
        let listed = sandbox.awskeep(&["store", "list", "--json"]).ok().json();
        let row = &listed[0];
        assert_eq!(
            (row["store"].as_str(), listed[1]["store"].as_str()),
            (Some("keychain"), Some("file"))
        );
        assert_eq!(listed[1]["why"], "no encrypted file has been made yet");
        assert_eq!(listed[1]["hint"], "awskeep store use file");
        (
            row["works"].as_bool(),
            row["why"].as_str().unwrap_or_default().to_owned(),
            row["hint"].clone(),
        )
    };
    assert_eq!(
        rows(&sandbox),
        (
            Some(true),
            "gnome-keyring (Secret Service)".into(),
            serde_json::Value::Null
        )
    );
    keychain.lock();
    let (works, why, hint) = rows(&sandbox);
    assert_eq!(
        (works, hint),
        (Some(false), "awskeep store unlock".into()),
        "{why}"
    );
    keychain.kill();
    let (works, why, _) = rows(&sandbox);
    assert!(
        works == Some(false) && why.contains("no keychain service"),
        "{why}"
    );
    let without_bus = Sandbox::new();
    let (works, why, _) = rows(&without_bus);
    assert!(works == Some(false) && why.contains("bus"), "{why}");
}

#[test]
fn without_a_keychain_add_explains_and_takes_nothing_weaker() {
    let sandbox = Sandbox::new();
    let refused = add(&sandbox, "work", ID, &["--no-input"]).exits(4);
    assert!(
        refused.stderr.contains(": awskeep add work --store file\n"),
        "{refused:?}"
    );
    assert!(
        !sandbox.home().join(".local/share/awskeep").exists(),
        "a file was made unasked"
    );

    let asked = at_a_terminal(
        &sandbox,
        "add work --no-verify --no-profile",
        &[("encrypted with a passphrase instead", "n")],
    );
    assert_eq!(asked.code, Some(5), "{asked:?}");

    let answers = [
        ("encrypted with a passphrase instead", "y"),
        ("new passphrase", "correct horse"),
        ("the same again", "correct horse"),
        ("access key id", ID),
        ("secret access key", SECRET),
    ];
    let added = at_a_terminal(&sandbox, "add work --no-verify --no-profile", &answers);
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(
        !added.stdout.contains(SECRET),
        "the terminal echoes the secret"
    );
    assert!(
        !added.stdout.contains("correct horse"),
        "the terminal echoes the passphrase"
    );
    serves(&sandbox, "work", ID);
    let printed = at_a_terminal(&sandbox, "credential-process work", &[]);
    assert_eq!(printed.code, Some(5), "{printed:?}");
    assert!(
        !printed.stdout.contains(SECRET),
        "a secret goes to the terminal unasked"
    );
    sandbox.awskeep(&["store", "lock"]).ok();
}

/// Runs awskeep on a terminal of its own, and answers each question when it comes.
fn at_a_terminal(sandbox: &Sandbox, arguments: &str, answers: &[(&str, &str)]) -> Ran {
    let mut script = format!(
        "set timeout 30\nspawn -noecho {} {arguments}\n",
        sandbox.binary().display()
    );
    for (question, answer) in answers {
        script.push_str(&format!(
            "expect {{\n  \"{question}\" {{ send \"{answer}\\r\" }}\n  default {{ exit 99 }}\n}}\n"
        ));
    }
    script.push_str("expect eof\nexit [lindex [wait] 3]\n");
    run(sandbox.command("expect").args(["-c", &script]))
}

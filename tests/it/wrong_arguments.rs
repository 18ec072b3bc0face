//! Secrets given where none belongs, flags for scripts, and readers that go early.

use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY1234567890";

#[test]
fn a_secret_in_a_wrong_argument_is_not_said_again() {
    let mut sandbox = Sandbox::new();
    sandbox.add("work", &[]).exits(0);
    // Once as AWS makes them, once one that could be a name.
    for secret in [SECRET, "wJalrXUtnFEMIzK7MDENGzbPxRfiCY1234567890"] {
        let flag = |name: &str| format!("{name}={secret}");
        for arguments in [
            &[secret][..],
            &["--profile", secret],
            &[&flag("--secret")],
            &["add", secret, "AKIAIOSFODNN7EXAMPLE", secret],
            &["add", "new", "--profile", secret, secret],
            &["add", "new", "--store", secret],
            &["add", "new", &flag("--stdin")],
            &["add", "new", "--csv", secret],
            &[
                "add",
                "new",
                "--no-verify",
                "--no-input",
                &flag("--helper-path"),
            ],
            &["import", secret],
            &["import", "--from", secret],
            &["rotate", secret],
            &["rotate", "work", "--discard", secret],
            &["rotate", "--wait", &flag("--wait")],
            &["status", secret],
            &["status", "--entry", secret],
            &["revoke", "work", "--key", secret],
            &["recover", "work", "--via", secret],
            &["log", secret],
            &["policy", secret],
            &["exec", secret, "--", "true"],
            &["exec", "work", secret],
            &["exec", "work", "--", secret],
            &[
                "exec",
                "work",
                "--session",
                "--duration",
                secret,
                "--",
                "true",
            ],
            &["env", secret],
            &["env", "work", "--shell", secret],
            &["why", secret],
            &["remove", secret],
            &["rename", "work", &format!("{secret}/")],
            &["rename", secret, "new"],
            &["export", secret],
            &["config", "get", secret],
            &["config", "set", secret, "1"],
            &["config", "set", "max_age", secret],
            &[
                "config",
                "set",
                "max_age",
                "30d",
                "--entry",
                &format!("{secret}/"),
            ],
            &["store", "use", secret],
            &["store", secret],
            &["store", "move", "file", secret],
            &["store", "unlock", "--for", secret],
            &["store", "unlock", "--passphrase-fd", secret],
            &["setup", secret],
            &["setup", "bash", "--auto", secret],
            &["hook", secret],
            &["credential-process", secret],
            &["add", "new", &format!("AWS_SECRET_ACCESS_KEY={secret}")],
            &[
                "add",
                "new",
                &format!("{{\"SecretAccessKey\":\"{secret}\"}}"),
            ],
        ] {
            let ran = sandbox.run(arguments, &[]);
            let what = format!("{arguments:?}: {ran:?}");
            assert_ne!(ran.code, 0, "{what}");
            assert!(
                !ran.err.contains(secret) && !ran.out.contains(secret),
                "{what}"
            );
        }
    }
    // Where it stands, it is said that there was one.
    sandbox.vars.clear();
    let ran = sandbox.run(&["store", "use", SECRET], &[]);
    assert!(ran.err.contains("'[secret]'"), "{ran:?}");
}

#[test]
fn a_secret_in_a_variable_of_ours_is_not_said_again() {
    for name in [
        "AWSKEEP_STORE",
        "AWSKEEP_DEADLINE",
        "AWSKEEP_AUTO",
        "AWSKEEP_MAX_AGE",
        "AWSKEEP_ENV_LEASE",
        "AWSKEEP_HOLD",
        "AWSKEEP_SETTLE",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
        "HTTPS_PROXY",
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.add("work", &[]).exits(0);
        sandbox.vars = vec![(name.into(), SECRET.into())];
        let mut failed = 0;
        for arguments in [
            &["credential-process", "work"][..],
            &["credential-process", "--entry", "work"],
            &["status"],
            &["list"],
            &["rotate", "work", "--yes"],
            &["rotate", "--if-due", "--all", "--no-input"],
            &["env", "work", "--shell", "sh"],
            &["config"],
            &["add", "new", "--no-input"],
        ] {
            let ran = sandbox.run(arguments, &[]);
            failed += usize::from(ran.code != 0);
            assert!(
                !ran.err.contains(SECRET) && !ran.out.contains(SECRET),
                "{name} {arguments:?}: {ran:?}"
            );
        }
        assert!(failed > 0, "{name}");
    }
}

#[test]
fn yes_and_no_input_go_together_wherever_they_stand() {
    for flags in [
        &["export", "work", "--yes", "--no-input"][..],
        &["export", "--no-input", "work", "--yes"],
        &["--no-input", "export", "work", "--yes"],
        &["--yes", "export", "work", "--no-input"],
        &["--no-input", "--yes", "export", "work"],
        &["-y", "--no-input", "export", "work"],
    ] {
        let sandbox = Sandbox::new();
        sandbox.keeps_plaintext(".aws");
        sandbox.add("work", &[]).exits(0);
        let ran = sandbox.run(flags, &[]);
        assert_eq!(ran.code, 0, "{flags:?}: {ran:?}");
    }
    // What must be typed is still not asked for.
    let sandbox = Sandbox::new();
    sandbox
        .run(
            &["add", "work", "--no-profile", "--yes", "--no-input"],
            &["AKIA", "secret"],
        )
        .exits(5);
}

#[test]
fn a_reader_that_goes_early_is_no_failure() {
    let sandbox = Sandbox::new();
    sandbox.make_helper();
    sandbox.add("work", &[]).exits(0);
    for arguments in [
        &["list"][..],
        &["list", "--json"],
        &["status"],
        &["log"],
        &["config"],
        &["env", "work", "--shell", "sh"],
        &["credential-process", "work"],
        &["hook", "bash"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["--version"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = Command::new(sandbox.path("bin/awskeep"))
            .args(arguments)
            .stdout(Stdio::from(writer))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(
            (ran.status.code(), said.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let ran = Command::new(sandbox.path("bin/awskeep"))
        .arg("list")
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(1), "a full disk is one: {ran:?}");
}

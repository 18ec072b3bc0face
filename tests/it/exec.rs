//! `exec`, `env` and `why`: the real program, with real children and shells.

use std::process::{Command, Output};

use awskeep::store::entries::Entries;
use awskeep::types::shell::Shell;

use crate::sandbox::Sandbox;
use crate::sim::people::Status;

/// Variables that must not reach a child, with values to look for.
const BAD: [(&str, &str); 14] = [
    ("AWS_ACCESS_KEY_ID", "stale-id"),
    ("AWS_SECRET_ACCESS_KEY", "stale-secret"),
    ("AWS_SESSION_TOKEN", "stale-token"),
    ("AWS_CREDENTIAL_EXPIRATION", "stale-time"),
    ("AWS_DEFAULT_PROFILE", "stale-profile"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "stale-file"),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "stale-uri"),
    ("AWSKEEP_PASSPHRASE_FILE", "stale-passphrase"),
    ("AWS_BEARER_TOKEN_BEDROCK", "stale-bearer"),
    ("AWS_BEARER_TOKEN_ANY_SERVICE", "stale-bearer"),
    ("AWS_CREDENTIAL_FILE", "stale-file"),
    ("AMAZON_ACCESS_KEY_ID", "stale-id"),
    ("AMAZON_SECRET_ACCESS_KEY", "stale-secret"),
    ("AMAZON_SESSION_TOKEN", "stale-token"),
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.make_helper();
    sandbox.add("work", &[]).exits(0);
    sandbox.write(
        ".aws/config",
        &sandbox
            .read(".aws/config")
            .replace("[profile work]\n", "[profile work]\nregion = eu-west-1\n"),
    );
    sandbox
}

fn program(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    Command::new(sandbox.path("bin/awskeep"))
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(BAD)
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn handed_out_until(sandbox: &Sandbox) -> Option<i64> {
    let (env, _) = sandbox.env(&[]);
    let entries = Entries::open(&env).unwrap();
    let held = entries.get(&"work".parse().unwrap()).unwrap();
    held.item.handed_out_until.map(|time| time.0)
}

fn in_a_day() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_secs()).unwrap() + 86_400
}

#[test]
fn exec_passes_the_profile_and_nothing_stale() {
    let sandbox = sandbox();
    let ran = program(&sandbox, &["exec", "work", "--", "env"]);
    assert!(ran.status.success(), "{ran:?}");
    let env = out(&ran);
    assert!(env.contains("AWS_PROFILE=work\n"), "{env}");
    assert!(
        !env.contains("stale-") && !env.contains(&sandbox.secret),
        "{env}"
    );
    assert_eq!(handed_out_until(&sandbox), None);
}

#[test]
fn exec_env_passes_the_key_and_notes_it_before() {
    let sandbox = sandbox();
    let ran = program(&sandbox, &["exec", "work", "--env", "--", "env"]);
    let env = out(&ran);
    for line in [
        format!("AWS_ACCESS_KEY_ID={}\n", sandbox.key_id),
        format!("AWS_SECRET_ACCESS_KEY={}\n", sandbox.secret),
        "AWS_REGION=eu-west-1\n".into(),
        "AWS_DEFAULT_REGION=eu-west-1\n".into(),
    ] {
        assert!(env.contains(&line), "{line}: {env}");
    }
    for gone in ["stale-", "AWS_PROFILE", "AWS_SESSION_TOKEN", "EXPIRATION"] {
        assert!(!env.contains(gone), "{gone}: {env}");
    }
    let until = handed_out_until(&sandbox).unwrap();
    assert!((until - in_a_day()).abs() < 300, "{until}");
}

#[test]
fn the_exit_code_and_signals_are_the_programs_own() {
    use std::os::unix::process::ExitStatusExt;
    let sandbox = sandbox();
    for (script, code, signal) in [
        ("exit 0", Some(0), None),
        ("exit 42", Some(42), None),
        ("kill -TERM $$", None, Some(15)),
    ] {
        let ran = program(&sandbox, &["exec", "work", "--", "sh", "-c", script]);
        assert_eq!(
            (ran.status.code(), ran.status.signal()),
            (code, signal),
            "{script}"
        );
        assert_eq!((ran.stdout, ran.stderr), (vec![], vec![]), "{script}");
    }
    // It is one process: whoever signals it signals the program.
    let own_id = Command::new(sandbox.path("bin/awskeep"))
        .args(["exec", "work", "--", "sh", "-c", "echo $$"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let id = own_id.id();
    assert_eq!(out(&own_id.wait_with_output().unwrap()), format!("{id}\n"));
    for (arguments, code) in [
        (&["exec", "work", "--", "/no/such/program"][..], 3),
        (&["exec", "nobody", "--", "true"], 3),
        (&["exec", "work", "true"], 2),
        (&["exec", "work"], 2),
    ] {
        let ran = program(&sandbox, arguments);
        assert_eq!(ran.status.code(), Some(code), "{ran:?}");
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{ran:?}");
    }
}

#[test]
fn exec_works_inside_exec() {
    let sandbox = sandbox();
    let helper = sandbox.path("bin/awskeep");
    let helper = helper.to_str().unwrap();
    let inner = [
        "exec",
        "work",
        "--env",
        "--",
        helper,
        "exec",
        "work",
        "--",
        helper,
        "credential-process",
        "work",
    ];
    let ran = program(&sandbox, &inner);
    assert!(ran.status.success(), "{ran:?}");
    assert!(out(&ran).contains(&sandbox.secret));
}

#[test]
fn a_role_is_not_handed_out_as_its_bases_key() {
    let sandbox = sandbox();
    sandbox.write(
        ".aws/config",
        &(sandbox.read(".aws/config") + "[profile role]\nrole_arn = r\nsource_profile = work\n"),
    );
    let ran = program(&sandbox, &["exec", "role", "--env", "--", "env"]);
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    let ran = program(&sandbox, &["exec", "role", "--", "env"]);
    assert!(out(&ran).contains("AWS_PROFILE=role\n"), "{ran:?}");
    assert_eq!(handed_out_until(&sandbox), None);
}

#[test]
fn exec_session_passes_temporary_credentials_that_say_when_they_end() {
    let sandbox = sandbox();
    let value = |env: &str, name: &str| {
        let line = env
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_default().to_owned()
    };
    for (more, length) in [(&[][..], 3_600), (&["--duration", "2h"], 7_200)] {
        let arguments = [&["exec", "work", "--session"], more, &["--", "env"]].concat();
        let ran = program(&sandbox, &arguments);
        assert!(ran.status.success(), "{ran:?}");
        let env = out(&ran);
        assert!(
            value(&env, "AWS_ACCESS_KEY_ID").starts_with("ASIA"),
            "{env}"
        );
        assert!(!value(&env, "AWS_SESSION_TOKEN").is_empty(), "{env}");
        assert_eq!(value(&env, "AWS_REGION"), "eu-west-1");
        let end: jiff::Timestamp = value(&env, "AWS_CREDENTIAL_EXPIRATION").parse().unwrap();
        let wanted = in_a_day() - 86_400 + length;
        assert!((end.as_second() - wanted).abs() < 300, "{env}");
        for gone in ["stale-", "AWS_PROFILE", &sandbox.key_id, &sandbox.secret] {
            assert!(!env.contains(gone), "{gone}: {env}");
        }
    }
    // A session dies by itself: the key counts as handed out no longer for it.
    assert_eq!(handed_out_until(&sandbox), None);
    let json = program(&sandbox, &["env", "work", "--session", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&out(&json)).unwrap();
    assert!(told["AWS_SESSION_TOKEN"].is_string(), "{told}");
    for wrong in [
        &["exec", "work", "--session", "--env", "--", "env"][..],
        &["exec", "work", "--session", "--duration", "1m", "--", "env"],
        &["exec", "work", "--duration", "2h", "--", "env"],
        &[
            "exec",
            "work",
            "--session",
            "--duration",
            "37h",
            "--",
            "env",
        ],
    ] {
        let ran = program(&sandbox, wrong);
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    }
}

#[test]
fn exec_session_says_what_aws_says() {
    let sandbox = sandbox();
    sandbox.aws.account(|account| {
        account.set_by_hand(&sandbox.key_id, Some(Status::Inactive), 0);
    });
    let ran = program(&sandbox, &["exec", "work", "--session", "--", "env"]);
    assert_eq!(ran.status.code(), Some(6), "{ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(
        said.contains(&format!("STS does not accept {}", sandbox.key_id)),
        "{said}"
    );
}

#[test]
fn env_is_understood_by_real_shells() {
    let sandbox = sandbox();
    for shell in ["bash", "zsh", "fish"] {
        let code = program(&sandbox, &["env", "work", "--shell", shell]);
        assert!(code.status.success(), "{code:?}");
        let script = format!(
            "{}printenv AWS_SECRET_ACCESS_KEY; printenv AWS_SESSION_TOKEN",
            out(&code)
        );
        let ran = Command::new(shell).args(["-c", &script]).envs(BAD).output();
        let ran = ran.unwrap_or_else(|error| panic!("{shell}: {error}; tests/run installs it"));
        assert_eq!(
            out(&ran),
            format!("{}\n", sandbox.secret),
            "{shell}: {ran:?}"
        );
    }
    assert!(handed_out_until(&sandbox).is_some());
    let json = program(&sandbox, &["env", "work", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&out(&json)).unwrap();
    assert_eq!(told["AWS_SECRET_ACCESS_KEY"], sandbox.secret.as_str());
    assert_eq!(told["AWS_SESSION_TOKEN"], serde_json::Value::Null);
}

#[test]
fn every_shell_gives_an_odd_value_back() {
    const ODD: &str = "a'b\"c\\d $HOME `id` $(id) !x \u{2019} ;&|<>*?[]{}~#% \\' \\n é\ttab";
    for (program, shell) in [
        ("sh", Shell::Bash),
        ("dash", Shell::Bash),
        ("bash", Shell::Bash),
        ("zsh", Shell::Zsh),
        ("fish", Shell::Fish),
    ] {
        let set = shell.code(&[("X", ODD), ("GONE", "still here")], &["NEVER_WAS"]);
        let unset = shell.code(&[("Y", "")], &["GONE"]);
        let script = format!("{}{}printenv X; printenv GONE\n", *set, *unset);
        let output = Command::new(program).args(["-c", &script]).output();
        let output =
            output.unwrap_or_else(|error| panic!("{program}: {error}; tests/run installs it"));
        let said = (
            out(&output),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        assert_eq!(said, (format!("{ODD}\n"), String::new()), "{program}");
    }
}

/// What a shell says when it runs this script; `AK` in it is awskeep.
fn in_shell(sandbox: &Sandbox, shell: &str, flags: &str, script: &str) -> Output {
    let helper = sandbox.path("bin/awskeep").display().to_string();
    Command::new(shell)
        .args([flags, &script.replace("AK", &helper)])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", sandbox.path("."))
        .envs(BAD)
        .output()
        .unwrap_or_else(|error| panic!("{shell}: {error}; tests/run installs it"))
}

const SHELLS: [&str; 4] = ["bash", "zsh", "dash", "fish"];

/// How a shell takes the code of `env`, with these flags, and shows what came of it.
fn taking(shell: &str, flags: &str) -> String {
    let (take, status) = match shell {
        "fish" => (format!("AK env work {flags} | source"), "$status"),
        _ => (format!("eval \"$(AK env work {flags})\""), "$?"),
    };
    format!(
        "{take}; echo \"status {status}\"; printenv AWS_ACCESS_KEY_ID; \
         printenv AWS_SECRET_ACCESS_KEY; printenv AWS_SESSION_TOKEN; echo still here"
    )
}

#[test]
fn env_speaks_to_the_shell_that_reads_it() {
    let sandbox = sandbox();
    let (id, secret) = (&sandbox.key_id, &sandbox.secret);
    let taken = format!("status 0\n{id}\n{secret}\nstill here\n");
    for shell in SHELLS {
        // Whatever shell a terminal opens with.
        for own in ["/usr/bin/fish", "/bin/bash"] {
            let script = format!("export SHELL={own}; {}", taking(shell, ""));
            let ran = in_shell(&sandbox, shell, "-c", &script);
            assert_eq!(out(&ran), taken, "{shell}: {ran:?}");
            assert_eq!(ran.stderr, b"", "{shell}: {ran:?}");
        }
        // Programs that only hand the output on do not read it.
        for between in [
            "sh -c 'AK env work'",
            "timeout 60 AK env work",
            "env A=1 AK env work",
        ] {
            let script = taking(shell, "").replace("AK env work ", between);
            let ran = in_shell(&sandbox, shell, "-c", &script);
            assert_eq!(out(&ran), taken, "{shell} {between}: {ran:?}");
        }
    }
    // A script's process is called like the script, not like its shell.
    let text = format!("#!/usr/bin/env zsh\n{}\n", taking("zsh", ""));
    let helper = sandbox.path("bin/awskeep").display().to_string();
    sandbox.write("fish", &text.replace("AK", &helper));
    let ran = in_shell(&sandbox, "sh", "-c", "chmod +x ~/fish; ~/fish");
    assert_eq!(out(&ran), taken, "{ran:?}");
}

#[test]
fn env_prints_nothing_for_a_reader_that_is_no_shell() {
    let sandbox = sandbox();
    for shell in ["/bin/bash", "/usr/bin/fish"] {
        let ran = Command::new(sandbox.path("bin/awskeep"))
            .args(["env", "work"])
            .env("SHELL", shell)
            .output()
            .unwrap();
        assert_eq!((ran.status.code(), out(&ran)), (Some(2), String::new()));
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(
            said.contains("hint: awskeep env work --shell bash\n"),
            "{said}"
        );
    }
    // The key has not left: it does not count as handed out.
    assert_eq!(handed_out_until(&sandbox), None);
    for shell in ["sh", "dash", "/bin/zsh", "pwsh", "nu"] {
        let ran = program(&sandbox, &["env", "work", "--shell", shell]);
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    }
    assert_eq!(
        program(&sandbox, &["env", "work", "--shell", "tcsh"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn env_for_another_shell_sets_nothing_and_leaves_nothing_stale() {
    let sandbox = sandbox();
    for reader in SHELLS {
        for flags in ["-c", "-ic"] {
            for code in ["sh", "bash", "zsh", "fish", "powershell", "nushell"] {
                let understood = (code == "fish") == (reader == "fish");
                let script = taking(reader, &format!("--shell {code}"));
                let ran = in_shell(&sandbox, reader, flags, &script);
                let (said, errors) = (out(&ran), String::from_utf8_lossy(&ran.stderr));
                let what = format!("code for {code} in {reader} {flags}: {ran:?}");
                // A line that it cannot read ends a POSIX shell, but not one at a terminal.
                let may_end = reader == "dash" && ["powershell", "nushell"].contains(&code);
                assert!(said.ends_with("still here\n") || may_end, "{what}");
                assert!(!errors.contains(&sandbox.secret), "{what}");
                match code {
                    "powershell" | "nushell" => {
                        assert!(!said.starts_with("status 0"), "{what}");
                        assert!(!said.contains(&sandbox.secret), "{what}");
                    }
                    _ if understood => assert!(said.contains(&sandbox.secret), "{what}"),
                    _ => {
                        assert_eq!(said, "status 1\nstill here\n", "{what}");
                        let hint = format!(
                            "hint: awskeep env --shell {}\n",
                            if reader == "fish" { "fish" } else { "bash" }
                        );
                        assert!(errors.contains(&hint), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn env_may_be_evaluated_without_quotes() {
    let sandbox = sandbox();
    let taken = format!(
        "status 0\n{}\n{}\nstill here\n",
        sandbox.key_id, sandbox.secret
    );
    for shell in SHELLS {
        let script = match shell {
            "fish" => taking(shell, "").replace("AK env work  | source", "eval (AK env work)"),
            _ => taking(shell, "").replace("\"$(AK env work )\"", "$(AK env work)"),
        };
        for options in ["", "set -eu; "] {
            let options = if shell == "fish" { "" } else { options };
            let script = format!(
                "{options}{}",
                script.replace("printenv AWS_SESSION_TOKEN; ", "")
            );
            let ran = in_shell(&sandbox, shell, "-c", &script);
            assert_eq!(out(&ran), taken, "{shell}: {ran:?}");
            assert_eq!(ran.stderr, b"", "{shell}: {ran:?}");
        }
    }
}

#[test]
fn each_profile_brings_its_own_region_and_the_users_own_stays() {
    let sandbox = sandbox();
    sandbox.write(
        ".aws/config",
        &(sandbox.read(".aws/config")
            + &sandbox
                .read(".aws/config")
                .replace("[profile work]", "[profile far]")
                .replace("eu-west-1", "ap-south-1")
            + &sandbox
                .read(".aws/config")
                .replace("[profile work]", "[profile nowhere]")
                .replace("region = eu-west-1\n", "")),
    );
    const SHOW: &str = "echo ${AWS_REGION-none} ${AWS_DEFAULT_REGION-none}";
    let env = |profile: &str| format!("eval \"$(AK env {profile})\"; ");
    for (script, expected) in [
        (env("work"), "eu-west-1 eu-west-1"),
        (env("work") + &env("far"), "ap-south-1 ap-south-1"),
        (env("far") + &env("nowhere"), "none none"),
        (
            env("work") + &env("nowhere") + &env("far"),
            "ap-south-1 ap-south-1",
        ),
        // What the user sets is one thing, whichever of the two it is.
        (
            "export AWS_DEFAULT_REGION=us-east-2; ".to_owned() + &env("work"),
            "none us-east-2",
        ),
        (
            "export AWS_REGION=us-east-2; ".to_owned() + &env("work"),
            "us-east-2 none",
        ),
        (
            "export AWS_REGION=us-east-2 AWS_DEFAULT_REGION=us-east-1; ".to_owned() + &env("work"),
            "us-east-2 us-east-1",
        ),
        // Also when it is set between two of ours; the half that is ours goes.
        (
            env("work") + "export AWS_REGION=us-east-2; " + &env("far"),
            "us-east-2 none",
        ),
        (
            env("work") + "export AWS_REGION=us-east-2; " + &env("far") + &env("work"),
            "us-east-2 none",
        ),
    ] {
        for shell in ["bash", "zsh", "dash"] {
            let ran = in_shell(&sandbox, shell, "-c", &(script.clone() + SHOW));
            assert_eq!(
                out(&ran),
                format!("{expected}\n"),
                "{shell}: {script}: {ran:?}"
            );
        }
    }
    for (nested, expected) in [
        (
            "AK exec work --env -- AK exec far --env --",
            "ap-south-1 ap-south-1",
        ),
        (
            "AK exec work --env -- AK exec nowhere --env --",
            "none none",
        ),
        // The profile's region is the SDK's to read, and must not be overruled by another's.
        ("AK exec work --env -- AK exec far --", "none none"),
        (
            "AWS_DEFAULT_REGION=us-east-2 AK exec work --env -- AK exec far --env --",
            "none us-east-2",
        ),
        ("AWS_REGION=us-east-2 AK exec far --", "us-east-2 none"),
    ] {
        let script = format!("{nested} sh -c '{SHOW}'");
        let ran = in_shell(&sandbox, "sh", "-c", &script);
        assert_eq!(out(&ran), format!("{expected}\n"), "{nested}: {ran:?}");
    }
    let ran = in_shell(
        &sandbox,
        "fish",
        "-c",
        "AK env work | source; AK env far | source; AK env nowhere | source; set -q AWS_REGION; or echo none",
    );
    assert_eq!(out(&ran), "none\n", "{ran:?}");
}

#[test]
fn why_names_the_winner_and_what_it_shadows() {
    let sandbox = sandbox();
    sandbox.write(
        ".aws/credentials",
        "[work]\naws_access_key_id = AKIAZZZZZZZZZZZZZZZZ\naws_secret_access_key = hidden\n",
    );
    let ran = sandbox.run(&["why", "work"], &[]).exits(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(
        lines[2].starts_with("AWS CLI 2")
            && lines[2].contains("plaintext AKIAZZZZZZZZZZZZZZZZ (~/.aws/credentials:2)"),
        "{ran:?}"
    );
    assert!(
        lines[5].starts_with("Rust SDK") && lines[5].contains("awskeep entry work (~/.aws/config:"),
        "{ran:?}"
    );
    assert!(ran.err.contains(": awskeep import work\n"), "{ran:?}");
    let json = sandbox.run(&["why", "work", "--json"], &[]);
    let told = json.json();
    assert_eq!(told["consumers"][0]["outcome"]["kind"], "static", "{told}");
    sandbox.run(&["why", "nobody"], &[]).exits(3);
    assert!(!json.out.contains("hidden") && !ran.out.contains("hidden"));
}

#[test]
fn why_shows_no_foreign_argument() {
    let sandbox = sandbox();
    let config = sandbox.read(".aws/config")
        + "[profile other]\ncredential_process = /b/other --password hidden-word\n\
           [profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = other\n\
           [profile shell]\ncredential_process = TOKEN=hidden-word /b/other\n";
    sandbox.write(".aws/config", &config);
    for (profile, shown) in [
        ("other", "/b/other with 2 arguments (~/.aws/config:"),
        ("role", "/b/other with 2 arguments (~/.aws/config:"),
        (
            "shell",
            "a command line that sets variables (~/.aws/config:",
        ),
    ] {
        for form in [&["why", profile][..], &["why", profile, "--json"]] {
            let ran = sandbox.run(form, &[]).exits(0);
            assert!(!format!("{ran:?}").contains("hidden-word"), "{ran:?}");
            assert!(ran.out.contains(shown) || form.len() > 2, "{ran:?}");
        }
    }
}

#[test]
fn export_notes_that_the_key_is_out_of_hand() {
    let sandbox = sandbox();
    sandbox.keeps_plaintext(".aws");
    let until = |sandbox: &Sandbox| {
        let (env, _) = sandbox.env(&[]);
        let entries = Entries::open(&env).unwrap();
        let held = entries.get(&"work".parse().unwrap()).unwrap();
        held.item.handed_out_until.map(|time| time.since(env.now()))
    };
    assert_eq!(until(&sandbox), None);
    sandbox.run(&["export", "work", "--yes"], &[]).exits(0);
    assert_eq!(until(&sandbox), Some(awskeep::types::time::Span::hours(24)));
}

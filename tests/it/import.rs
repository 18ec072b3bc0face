//! `import` and `import --undo`: what moves, what is refused, and that it comes back.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use awskeep::store::entries::Entries;

use expect_test::expect;

use crate::moving::{CONFIG, CREDENTIALS, Messy, import};
use crate::sandbox::Sandbox;

#[test]
fn a_messy_folder_moves_and_comes_back_byte_for_byte() {
    let messy = Messy::new();
    let sandbox = &messy.sandbox;
    let ran = messy.import(&["--yes"]).exits(0);
    messy.is_moved();
    assert_eq!(
        ran.err.trim_end(),
        format!(
            "profile default uses entry team: KEY (arn:aws:iam::ACCOUNT:user/division/bob)\n\
             profile team uses entry team: KEY (arn:aws:iam::ACCOUNT:user/division/bob)\n\
             profile admin uses entry admin: {} (arn:aws:iam::ACCOUNT:user/amy)\n\
             undo: awskeep import --undo\n\
             these keys stood in a file, so backups and other programs may have them: awskeep rotate team admin",
            messy.amy.0
        )
    );
    for secret in [&sandbox.secret, &messy.amy.1] {
        assert!(!ran.out.contains(secret.as_str()) && !ran.err.contains(secret.as_str()));
    }
    messy.import(&["--yes"]).exits(0);
    messy.is_moved();

    sandbox.run(&["import", "--undo"], &["y"]).exits(0);
    messy.is_untouched();
    sandbox.run(&["import", "--undo"], &["y"]).exits(3);
}

#[test]
fn the_plan_and_the_diff_are_shown_and_nothing_is_done() {
    let messy = Messy::new();
    let before = messy.sandbox.everything();
    let ran = messy.import(&["--dry-run", "--diff"]).exits(0);
    for line in [
        "-aws_access_key_id = KEY",
        "-aws_secret_access_key = [secret]",
        "+credential_process=~/bin/awskeep credential-process team",
        "-source_profile = admin\n+source_profile = admin-base",
        "into entry admin, through a new profile admin-base",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    assert!(!ran.out.contains(&messy.sandbox.secret), "{}", ran.out);
    let json = messy.import(&["--dry-run", "--json"]);
    let told = json.json();
    assert_eq!(told["profiles"][2]["result"], "planned", "{told}");
    assert_eq!(
        messy
            .sandbox
            .run(
                &["import", "--no-input", "--helper-path", "bin/awskeep"],
                &[]
            )
            .code,
        5
    );
    assert_eq!(messy.sandbox.everything(), before);
}

#[test]
fn what_cannot_move_is_refused_and_the_rest_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.keeps_plaintext(".aws");
    sandbox.make_helper();
    let (id, secret) = (&sandbox.key_id, &sandbox.secret);
    let key = format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    for (config, credentials, reason) in [
        (
            "",
            format!("[x]\naws_access_key_id = {id}\n"),
            "an access key id but no secret",
        ),
        (
            "",
            format!("[x]\naws_secret_access_key = {secret}\n"),
            "half a key",
        ),
        (
            "",
            "[x]\naws_access_key_id =\naws_secret_access_key =\n".to_owned(),
            "the key is empty",
        ),
        (
            "",
            format!("[x]\naws_access_key_id = {secret}\naws_secret_access_key = {id}\n"),
            "this is not an access key id",
        ),
        ("", format!("[x]\n{key}[x]\n{key}"), "a second section of x"),
        (
            "",
            format!("[x]\n{key}aws_secret_access_key = other\n"),
            "the same key is on line 3 already",
        ),
        (
            "",
            format!("[x]\naws_access_key_id = \"{id}\"\naws_secret_access_key = {secret}\n"),
            "the quotes are part",
        ),
        ("", format!("[x y]\n{key}"), "this header names no profile"),
        (
            "[x]\nregion = a\n[profile x]\nsso_start_url = https://x\n",
            format!("[x]\n{key}"),
            "it also has sso_start_url",
        ),
        (
            "[profile x]\nlogin_session = arn\n",
            format!("[x]\n{key}"),
            "it also has login_session",
        ),
        (
            "[profile x]\nweb_identity_token_file = /t\nrole_arn = r\n",
            format!("[x]\n{key}"),
            "it also has web_identity_token_file",
        ),
        (
            "[profile x]\ncredential_process = /bin/other\n",
            format!("[x]\n{key}"),
            "it runs another credential_process",
        ),
        (
            "[profile x]\nrole_arn = r\n",
            format!("[x]\n{key}"),
            "a role without a source_profile",
        ),
        (
            "[profile x]\nrole_arn = r\nsource_profile = y\n[profile y]\nregion = a\n",
            format!("[x]\n{key}"),
            "whose source is y",
        ),
        (
            "[profile x]\naws_access_key_id = AKIAZZZZZZZZZZZZZZZZ\naws_secret_access_key = s\n",
            format!("[x]\n{key}"),
            "SDKs disagree which one counts",
        ),
        (
            "",
            "[x]\naws_access_key_id = AKIAZZZZZZZZZZZZZZZZ\naws_secret_access_key = s\n".to_owned(),
            "STS does not accept AKIAZZZZZZZZZZZZZZZZ",
        ),
        (
            "",
            format!("[x]\naws_access_key_id = {id}\naws_secret_access_key = wrong\n"),
            "different secrets",
        ),
        (
            "[profile x]\nrole_arn = r\nsource_profile = x\n[profile y]\nrole_arn = s\nsource_profile = x\n",
            format!("[x]\n{key}"),
            "whose source it is",
        ),
    ] {
        // A good profile beside it moves all the same.
        let credentials = format!("{credentials}[good]\n{key}");
        sandbox.write(CONFIG, config);
        sandbox.write(CREDENTIALS, &credentials);
        let ran = import(&sandbox, &["--yes"]);
        let told = format!("{}{}", ran.out, ran.err);
        assert_eq!(ran.code, 1, "{reason}: {ran:?}");
        assert!(told.contains(reason), "{reason}: {ran:?}");
        let left = sandbox.read(CREDENTIALS);
        let is_whole_file_refused = reason == "different secrets";
        assert_eq!(
            left.contains("[good]"),
            is_whole_file_refused,
            "{reason}: {left}"
        );
        if !is_whole_file_refused {
            assert_eq!(
                left,
                credentials.replace(&format!("[good]\n{key}"), ""),
                "{reason}"
            );
        }
        assert!(sandbox.read(CONFIG).starts_with(config), "{reason}");
    }
}

#[test]
fn temporary_keys_are_no_failure() {
    let sandbox = Sandbox::new();
    sandbox.make_helper();
    let text = "[mfa]\naws_access_key_id = ASIAIOSFODNN7EXAMPLE\naws_secret_access_key = s\naws_session_token = t\n";
    sandbox.write(CREDENTIALS, text);
    let ran = import(&sandbox, &["--yes"]).exits(0);
    assert!(
        ran.out
            .contains("a temporary key, which expires within hours"),
        "{ran:?}"
    );
    assert_eq!(sandbox.read(CREDENTIALS), text);
}

#[test]
fn a_line_of_the_import_that_a_person_changed_is_not_put_back() {
    let messy = Messy::new();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    let config = messy.sandbox.read(CONFIG);
    let own = format!(
        "credential_process={} credential-process team",
        messy.sandbox.path("bin/awskeep").display()
    );
    for (theirs, shown) in [
        (
            "credential_process=/bin/other -p hidden",
            "credential_process= /bin/other with 2 arguments",
        ),
        (
            "aws_access_key_id = AKIANEW\r\naws_secret_access_key = hidden",
            "aws_secret_access_key = [secret]",
        ),
        ("role_arn = r", "role_arn = r"),
    ] {
        let changed = config.replace(&own, theirs);
        assert_ne!(changed, config);
        messy.sandbox.write(CONFIG, &changed);
        let before = messy.sandbox.everything();
        let ran = messy
            .sandbox
            .run(&["import", "--undo", "--yes"], &[])
            .exits(1);
        assert!(
            ran.err
                .contains("~/.aws/config was changed since the import")
                && ran.err.contains(&format!("+{shown}\n")),
            "{ran:?}"
        );
        assert!(!ran.err.contains("hidden"), "{ran:?}");
        assert_eq!(messy.sandbox.everything(), before);
    }
    messy.sandbox.write(CONFIG, &config);
    messy
        .sandbox
        .run(&["import", "--undo", "--yes"], &[])
        .exits(0);
    messy.is_untouched();
}

#[test]
fn after_a_rotation_the_current_key_is_put_back() {
    let messy = Messy::new();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    let (id, secret) = messy
        .sandbox
        .aws
        .account(|account| account.add_key("amy", 0));
    messy
        .sandbox
        .add_pair("admin", &id, &secret, &["--replace", "--no-profile"])
        .exits(0);
    let ran = messy.sandbox.run(&["import", "--undo"], &["y"]).exits(0);
    let question = format!(
        "{} of entry admin was replaced: {id} is written instead",
        messy.amy.0
    );
    assert!(ran.err.contains(&question), "{ran:?}");
    let expected = messy
        .credentials
        .replace(&messy.amy.0, &id)
        .replace(&messy.amy.1, &secret);
    assert_eq!(messy.sandbox.read(CREDENTIALS), expected);
    assert_eq!(messy.sandbox.read(CONFIG), messy.config);
}

#[test]
fn the_way_back_goes_with_the_key_and_with_time() {
    let messy = Messy::new();
    let records = || messy.sandbox.files_with("\"hunks\"").len();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    assert_eq!(records(), 1);
    for name in ["team", "admin"] {
        messy
            .sandbox
            .run(&["remove", "--entry", name, "--yes"], &[])
            .exits(0);
    }
    assert_eq!(records(), 0);

    let messy = Messy::new();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    let month = 31 * 86_400;
    messy
        .sandbox
        .clock
        .fetch_add(month, std::sync::atomic::Ordering::SeqCst);
    messy
        .sandbox
        .run(&["import", "--undo", "--yes"], &[])
        .exits(3);
    assert_eq!(messy.sandbox.files_with("\"hunks\""), [""; 0]);
}

#[test]
fn an_imported_key_counts_as_handed_out() {
    let messy = Messy::new();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    let (env, _) = messy.sandbox.env(&[]);
    let entries = Entries::open(&env).unwrap();
    let held = entries.get(&"team".parse().unwrap()).unwrap();
    let until = env.now() + awskeep::types::time::Span::hours(24);
    assert_eq!(held.item.handed_out_until, Some(until));
}

#[test]
fn links_to_dotfiles_stay() {
    let messy = Messy::new();
    let sandbox = &messy.sandbox;
    sandbox.keeps_plaintext("dotfiles");
    fs::create_dir(sandbox.path("dotfiles")).unwrap();
    for name in ["config", "credentials"] {
        let (link, real) = (
            sandbox.path(&format!(".aws/{name}")),
            sandbox.path(&format!("dotfiles/{name}")),
        );
        fs::rename(&link, &real).unwrap();
        symlink(format!("../dotfiles/{name}"), &link).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    }
    assert_eq!(messy.import(&["--yes"]).code, 0);
    messy.is_moved();
    sandbox.run(&["import", "--undo", "--yes"], &[]).exits(0);
    messy.is_untouched();
    // A file that secrets are put back into is closed to others.
    for (name, mode_after) in [("config", 0o640), ("credentials", 0o600)] {
        assert!(sandbox.path(&format!(".aws/{name}")).is_symlink());
        let mode = fs::metadata(sandbox.path(&format!("dotfiles/{name}")))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, mode_after);
    }
}

#[test]
fn a_config_file_that_was_not_there_goes_again() {
    let sandbox = Sandbox::new();
    sandbox.keeps_plaintext(".aws");
    sandbox.make_helper();
    let text = format!(
        "[solo]\naws_access_key_id = {}\naws_secret_access_key = {}",
        sandbox.key_id, sandbox.secret
    );
    sandbox.write(CREDENTIALS, &text);
    assert_eq!(import(&sandbox, &["--yes"]).code, 0);
    assert_eq!(sandbox.read(CREDENTIALS), "");
    assert!(sandbox.read(CONFIG).starts_with("[profile solo]\n"));
    sandbox.run(&["import", "--undo", "--yes"], &[]).exits(0);
    assert_eq!(sandbox.read(CREDENTIALS), text);
    assert!(!sandbox.path(CONFIG).exists());
}

#[test]
fn five_hundred_profiles_move_and_come_back() {
    let sandbox = Sandbox::new();
    sandbox.keeps_plaintext(".aws");
    sandbox.make_helper();
    let (mut config, mut credentials) = (String::new(), String::new());
    for n in 0..500 {
        let (id, secret) = (&sandbox.key_id, &sandbox.secret);
        config += &format!("[profile p{n}]\nregion = eu-west-1\n\n");
        credentials +=
            &format!("[p{n}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n\n");
    }
    sandbox.write(CONFIG, &config);
    sandbox.write(CREDENTIALS, &credentials);
    import(&sandbox, &["--yes"]).exits(0);
    assert_eq!(sandbox.read(CREDENTIALS), "");
    let pointed = sandbox
        .read(CONFIG)
        .matches("credential-process p0\n")
        .count();
    assert_eq!(pointed, 500);
    // However many profiles have it, one key is proven and listed once, and fetched
    // once at the end.
    assert_eq!(sandbox.aws.journal().len(), 6);
    sandbox.run(&["import", "--undo", "--yes"], &[]).exits(0);
    assert_eq!(sandbox.read(CREDENTIALS), credentials);
    assert_eq!(sandbox.read(CONFIG), config);
}

#[test]
fn a_container_that_mounts_the_files_is_warned_of() {
    for mark in ["folder", "variable"] {
        let mut messy = Messy::new();
        match mark {
            "folder" => fs::create_dir(messy.sandbox.path(".devcontainer")).unwrap(),
            _ => messy
                .sandbox
                .vars
                .push(("CODESPACES".into(), "true".into())),
        }
        let ran = messy.import(&["--yes"]);
        let warning = "warning: a container that mounts ~/.aws does not find awskeep";
        assert!(ran.err.contains(warning), "{mark}: {ran:?}");
    }
}

#[test]
fn an_endpoint_of_the_environment_is_asked_about_once() {
    let mut messy = Messy::new();
    let url = messy.sandbox.aws.url();
    messy.sandbox.vars.push(("AWS_ENDPOINT_URL".into(), url));
    let fixed = ["import", "--helper-path", "bin/awskeep", "--no-rotate"];
    messy.sandbox.run(&fixed, &["y", "n"]).exits(5);
    messy.is_untouched();
    let ran = messy.sandbox.run(&fixed, &["y", "y"]).exits(0);
    assert_eq!(
        ran.err.matches("URL is not AWS's own").count(),
        1,
        "{ran:?}"
    );
    messy.is_moved();
}

#[test]
fn a_diff_shows_no_secret_of_comments_and_foreign_programs() {
    let sandbox = Sandbox::new();
    sandbox.keeps_plaintext(".aws");
    sandbox.make_helper();
    let (id, secret) = (&sandbox.key_id, &sandbox.secret);
    let other = "wJalrXUtnFEMI/K7MDENG/bPxRfiCY1234567890";
    sandbox.write(
        CONFIG,
        &format!(
            "# {other}\n[profile a]\n# {secret} is bob's\nregion = x\n\n[profile b]\ncredential_process = /b/other -p hunter2\n"
        ),
    );
    let key = format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    sandbox.write(CREDENTIALS, &format!("# {secret}\n[a]\n{key}# {other}\n"));
    let ran = import(&sandbox, &["--dry-run", "--diff"]).exits(0);
    for secret in [secret.as_str(), other, "hunter2"] {
        assert!(!ran.out.contains(secret), "{}", ran.out);
    }
    for line in [
        "+credential_process = ~/bin/awskeep",
        " # [secret]",
        "/b/other with 2 arguments",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    import(&sandbox, &["--yes"]).exits(0);
    let config = sandbox.read(CONFIG).replacen(
        "credential_process = ",
        "credential_process = /b/mine hunter2 ",
        1,
    );
    sandbox.write(CONFIG, &format!("{config}# {other}\n"));
    let undone = sandbox.run(&["import", "--undo", "--yes"], &[]).exits(1);
    for secret in [secret.as_str(), other, "hunter2"] {
        assert!(!undone.err.contains(secret), "{}", undone.err);
    }
}

#[test]
fn a_role_is_named_before_its_base_loses_the_key() {
    let messy = Messy::new();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    let sandbox = &messy.sandbox;
    let planned = sandbox.run(&["remove", "--entry", "admin", "--dry-run"], &[]);
    planned.shows(expect![[r#"
        would leave profile admin-base, the source_profile of admin, without a key
        would remove entry admin from the encrypted file
        would remove credential_process from profile admin-base
        exit 0
    "#]]);
    let ran = sandbox
        .run(&["remove", "--entry", "admin"], &["y"])
        .exits(0);
    ran.shows(expect![[r#"
        remove entry admin; its secret is gone then, while key AKIA…AAAC stays active at AWS (used by profile admin-base; profile admin has admin-base as its source_profile)? [y/N] 
        warning: profile admin-base, the source_profile of admin, has no key now
        hint: awskeep add NAME --profile admin-base
        entry admin is removed; key AKIA…AAAC is forgotten here
        exit 0
    "#]]);
    let hint = "warning: profile admin-base, the source_profile of admin, has no key now\n\
                hint: awskeep add NAME --profile admin-base\n";
    assert!(ran.err.contains(hint), "{ran:?}");
    let config = sandbox.read(CONFIG);
    assert!(
        config.ends_with("[profile admin-base]")
            && config.contains("source_profile = admin-base\r\n"),
        "{config}"
    );
    // The hint does what it says.
    let (id, secret) = &messy.amy;
    sandbox
        .add_pair("again", id, secret, &["--profile", "admin-base"])
        .exits(0);
    assert!(
        sandbox
            .read(CONFIG)
            .contains("[profile admin-base]\r\ncredential_process")
    );
}

#[test]
fn keys_that_only_some_programs_read_are_named_and_the_rest_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.keeps_plaintext(".aws");
    sandbox.make_helper();
    let (id, secret) = (&sandbox.key_id, &sandbox.secret);
    let key = format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    let indented = key.replace("aws", "  aws");
    let colons = key.replace(" =", ":");
    let in_first_column = "start the key in the first column";
    // (the credentials file, the profile that is named, its line, why, and the cure)
    for (odd, profile, line, why, mend, rest) in [
        (
            format!("[ci]\n{indented}"),
            "ci",
            2,
            "the first key of a section is indented, and some SDKs refuse the file",
            in_first_column,
            true,
        ),
        (
            format!("[ci]\n{colons}"),
            "ci",
            2,
            "this line has a colon where SDKs want an equals sign",
            "write `key = value`",
            true,
        ),
        (
            format!("[ci]\nregion = x\n{indented}"),
            "ci",
            3,
            "an indented key is part of the value above to some SDKs",
            in_first_column,
            true,
        ),
        (
            format!("[ci]\nregion =\n{}", colons.replace("aws", "\taws")),
            "ci",
            3,
            "this indented line has no equals sign, and some SDKs refuse the file",
            "",
            false,
        ),
        (
            format!("[ci]\naws_access_key_id = {id}\naws_secret_access_key: {secret}\n"),
            "ci",
            3,
            "this line has a colon where SDKs want an equals sign",
            "write `key = value`",
            true,
        ),
        (
            format!("[ci]\nregion = x\r{}\n", key.trim_end().replace('\n', "\r")),
            "ci",
            2,
            "a carriage return is alone, which SDKs read differently",
            "end lines with LF or CRLF",
            false,
        ),
        (
            format!("[\"ci x\"]\n{indented}"),
            "\"ci x\"",
            1,
            "this header names no profile that every SDK reads",
            "give it a plain name",
            true,
        ),
        (
            key.clone(),
            "(no profile)",
            1,
            "this line comes before the first section, and SDKs refuse the file",
            "move it below a [section] header",
            false,
        ),
        (
            format!("\u{feff}[ci]\n{key}"),
            "(no profile)",
            2,
            "this line comes before the first section, and SDKs refuse the file",
            "",
            false,
        ),
    ] {
        let good = format!("[good]\n{key}");
        let text = format!("{odd}{good}");
        sandbox.write(CONFIG, "");
        sandbox.write(CREDENTIALS, &text);
        let json = import(&sandbox, &["--dry-run", "--json"]);
        assert_eq!(json.code, 1, "{text}: {json:?}");
        let told = json.json();
        let rows = told["profiles"].as_array().unwrap();
        let row = rows.iter().find(|row| row["profile"] == profile).unwrap();
        assert_eq!(row["result"], "refused", "{text}");
        assert_eq!(
            row["reason"],
            format!("~/.aws/credentials:{line}: {why}"),
            "{text}"
        );
        assert!(
            row["mend"].as_str().unwrap().contains(mend),
            "{text}: {row}"
        );
        let by_name = import(&sandbox, &["--dry-run", "--json", "good"]);
        assert_eq!(by_name.code, u8::from(!rest), "{text}: {by_name:?}");

        let ran = import(&sandbox, &["--yes"]);
        assert_eq!(ran.code, 1, "{text}: {ran:?}");
        assert!(
            ran.err.contains("awskeep: the keys of ") && ran.err.contains(profile),
            "{text}: {ran:?}"
        );
        let left = sandbox.read(CREDENTIALS);
        assert_eq!(left, if rest { odd } else { text });
        if rest {
            assert!(sandbox.read(CONFIG).starts_with("[profile good]\n"));
            sandbox.run(&["import", "--undo", "--yes"], &[]).exits(0);
        }
    }
}

#[test]
fn a_role_is_not_taken_for_a_key_of_its_own() {
    let messy = Messy::new();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    for arguments in [
        &["rotate", "chained", "--explain"][..],
        &["status", "chained"],
        &["remove", "-p", "chained", "--dry-run"],
    ] {
        let ran = messy.sandbox.run(arguments, &[]);
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (
                3,
                "awskeep: chained is a role on team, whose key is entry team\n\
                 hint: awskeep status team\n\
                 hint: or replace its key: awskeep rotate team\n"
            ),
            "{arguments:?}"
        );
    }
}

#[test]
fn why_names_the_line_to_correct() {
    let sandbox = Sandbox::new();
    let key = "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = s\n";
    for (credentials, hints) in [
        (
            format!("[p]\n{}", key.replace(" =", ":")),
            "hint: ~/.aws/credentials:2: this line has a colon where SDKs want an equals sign: write `key = value`\n\
             hint: ~/.aws/credentials:3: this line has a colon where SDKs want an equals sign: write `key = value`\n\
             hint: move the plaintext key into a store: awskeep import p\n",
        ),
        (
            format!("[p]\n  {key}"),
            "hint: ~/.aws/credentials:2: the first key of a section is indented, and some SDKs refuse the file: start the key in the first column\n\
             hint: move the plaintext key into a store: awskeep import p\n",
        ),
        (
            format!("[p]\nregion = x\n[p]\n{key}"),
            "hint: ~/.aws/credentials:3: a second section of p (the first is on line 1); the AWS CLI refuses the file: merge it into the section on line 1\n\
             hint: take the shadowed key at ~/.aws/credentials:4 out: other SDKs may use it\n\
             hint: move the plaintext key into a store: awskeep import p\n",
        ),
        (
            format!("[DEFAULT]\n{key}[p]\nregion = x\n"),
            "hint: move the key at ~/.aws/credentials:2 into the section of the profile that it is for\n",
        ),
    ] {
        sandbox.write(CREDENTIALS, &credentials);
        let ran = sandbox.run(&["why", "p"], &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, hints), "{credentials}");
    }
    let ran = import(&sandbox, &["nobody"]);
    assert_eq!(
        (ran.code, ran.err.lines().last()),
        (3, Some("hint: aws configure list-profiles"))
    );
}

#[test]
fn a_header_without_a_name_is_not_told_as_an_empty_one() {
    for (header, name) in [
        ("[p] x", "(no profile)"),
        ("[]", "(no profile)"),
        ("[a b]", "a b"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.keeps_plaintext(".aws");
        let (id, secret) = (&sandbox.key_id, &sandbox.secret);
        sandbox.write(
            CREDENTIALS,
            &format!("{header}\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"),
        );
        let ran = import(&sandbox, &["--yes"]).exits(1);
        let row = ran.out.lines().nth(1).unwrap();
        assert!(row.starts_with(&format!("{name}  ")), "{ran:?}");
        let said = format!("awskeep: the keys of {name} are still in plaintext\n");
        assert!(ran.err.contains(&said), "{ran:?}");
    }
}

#[test]
fn what_is_wrong_with_the_whole_file_is_said_once() {
    let sandbox = Sandbox::new();
    sandbox.keeps_plaintext(".aws");
    let key = format!(
        "aws_access_key_id = {}\naws_secret_access_key = {}\n",
        sandbox.key_id, sandbox.secret
    );
    sandbox.write(
        CREDENTIALS,
        &format!("[a]\n{key}[DEFAULT]\nregion = x\n[b]\n{key}oops\n[c]\n{key}"),
    );
    let ran = import(&sandbox, &["--dry-run"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(
        lines[..2],
        [
            "~/.aws/credentials:4: keys of a [DEFAULT] section reach every profile in the AWS CLI (rename it to [default], or move its keys where they belong)",
            "~/.aws/credentials:9: this line has no equals sign, and SDKs refuse the file (write `key = value`, or put # in front of it)",
        ]
    );
    assert!(lines[2].starts_with("PROFILE"), "{ran:?}");
    assert_eq!(lines.len(), 6, "{ran:?}");
    for line in &lines[3..] {
        assert!(line.ends_with("skipped: see above"), "{ran:?}");
    }
    let json = import(&sandbox, &["--dry-run", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    for row in told["profiles"].as_array().unwrap() {
        let (reason, mend) = (row["reason"].as_str(), row["mend"].as_str());
        assert!(reason.unwrap().starts_with("~/.aws/credentials:4: keys of"));
        assert!(
            mend.unwrap().contains("line 9: write `key = value`"),
            "{row}"
        );
    }
}

#[test]
fn a_folder_in_the_place_of_a_file_stops_only_who_writes_it() {
    let sandbox = Sandbox::new();
    sandbox.add("bob", &[]).exits(0);
    fs::create_dir(sandbox.path(CREDENTIALS)).unwrap();
    for arguments in [
        &["list"][..],
        &["why", "bob"],
        &["status"],
        &["env", "bob", "--shell", "bash"],
        &["remove", "bob", "--dry-run"],
    ] {
        let ran = sandbox.run(arguments, &[]);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    }
    sandbox.make_helper();
    for flags in [&[][..], &["--env"]] {
        let mut exec = std::process::Command::new(sandbox.path("bin/awskeep"));
        let ran = exec.args(["exec", "bob"]).args(flags).args(["--", "true"]);
        let ran = ran.output().unwrap();
        assert!(ran.status.success(), "{flags:?}: {ran:?}");
    }
    let ran = sandbox.run(&["export", "bob", "--yes"], &[]);
    assert!(
        ran.code == 1 && ran.err.contains("~/.aws/credentials is not a file"),
        "{ran:?}"
    );
}

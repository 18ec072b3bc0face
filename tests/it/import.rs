//! `import` and `import --undo`: what moves, what is refused, and that it may be cut
//! off anywhere.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use awskeep::entries::Entries;
use awskeep::failure::{Failure, Kind};
use awskeep::import::run::{self, Wanted};
use awskeep::import::undo;

use crate::sandbox::{Ran, Sandbox};

const CONFIG: &str = ".aws/config";
const CREDENTIALS: &str = ".aws/credentials";

/// Two keys, of bob and of amy, in a messy pair of files.
struct Messy {
    sandbox: Sandbox,
    amy: (String, String),
    config: String,
    credentials: String,
}

impl Messy {
    fn new() -> Messy {
        let sandbox = Sandbox::new();
        sandbox.make_helper();
        let amy = sandbox.aws.account(|account| {
            account.add_user("/", "amy");
            account.add_key("amy", 0)
        });
        let config = "# my config\r\n[default]\r\nregion=eu-west-1\r\n\r\n; the s3 settings matter\r\n\
             [profile team]\r\noutput = json\r\ns3 =\r\n  max_concurrent_requests = 20\r\n  addressing_style = path\r\n\r\n\
             [profile admin]\r\nrole_arn = arn:aws:iam::123456789012:role/admin\r\nsource_profile = admin\r\nregion = us-west-2\r\n\r\n\
             [profile chained]\r\nrole_arn = arn:aws:iam::123456789012:role/other\r\nsource_profile = team"
            .to_owned();
        let (id, secret) = (&sandbox.key_id, &sandbox.secret);
        let credentials = format!(
            "# keys, handle with care\n\n[default]\naws_access_key_id={id}\naws_secret_access_key={secret}\n\n\
             # the team's\n[team]\naws_secret_access_key   =   {secret}\naws_access_key_id = {id}\n\n\
             [admin]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            amy.0, amy.1
        );
        sandbox.write(CONFIG, &config);
        sandbox.write(CREDENTIALS, &credentials);
        Messy {
            sandbox,
            amy,
            config,
            credentials,
        }
    }

    fn import(&self, more: &[&str]) -> Ran {
        import(&self.sandbox, more)
    }

    fn is_untouched(&self) {
        assert_eq!(self.sandbox.read(CONFIG), self.config);
        assert_eq!(self.sandbox.read(CREDENTIALS), self.credentials);
    }

    fn is_moved(&self) {
        let helper = self.sandbox.path("bin/awskeep");
        let line = |entry: &str| format!("{} credential-process {entry}", helper.display());
        let config = self
            .config
            .replace(
                "region=eu-west-1",
                &format!("region=eu-west-1\r\ncredential_process={}", line("team")),
            )
            .replace(
                "addressing_style = path",
                &format!(
                    "addressing_style = path\r\ncredential_process = {}",
                    line("team")
                ),
            )
            .replace("source_profile = admin", "source_profile = admin-base")
            + &format!(
                "\r\n\r\n[profile admin-base]\r\ncredential_process = {}",
                line("admin")
            );
        assert_eq!(self.sandbox.read(CONFIG), config);
        assert_eq!(
            self.sandbox.read(CREDENTIALS),
            "# keys, handle with care\n\n# the team's\n[team]\n"
        );
        for secret in [&self.sandbox.secret, &self.amy.1] {
            assert_eq!(self.sandbox.files_with(secret), [""; 0]);
        }
    }
}

fn import(sandbox: &Sandbox, more: &[&str]) -> Ran {
    let url = sandbox.aws.url();
    let mut arguments = vec![
        "import",
        "--endpoint-url",
        &url,
        "--helper-path",
        "bin/awskeep",
    ];
    arguments.extend(more);
    sandbox.run(&arguments, &[])
}

#[test]
fn a_messy_folder_moves_and_comes_back_byte_for_byte() {
    let messy = Messy::new();
    let sandbox = &messy.sandbox;
    let ran = messy.import(&["--yes"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    messy.is_moved();
    assert_eq!(
        ran.err.trim_end(),
        format!(
            "profile default uses entry team: KEY (arn:aws:iam::ACCOUNT:user/division/bob)\n\
             profile team uses entry team: KEY (arn:aws:iam::ACCOUNT:user/division/bob)\n\
             profile admin uses entry admin: {} (arn:aws:iam::ACCOUNT:user/amy)\n\
             these keys stood in a file, so backups and other programs may have them: awskeep rotate team admin\n\
             undo: awskeep import --undo",
            messy.amy.0
        )
    );
    for secret in [&sandbox.secret, &messy.amy.1] {
        assert!(!ran.out.contains(secret.as_str()) && !ran.err.contains(secret.as_str()));
    }
    let again = messy.import(&["--yes"]);
    assert_eq!(again.code, 0, "{again:?}");
    messy.is_moved();

    let undone = sandbox.run(&["import", "--undo"], &["y"]);
    assert_eq!(undone.code, 0, "{undone:?}");
    messy.is_untouched();
    let nothing = sandbox.run(&["import", "--undo"], &["y"]);
    assert_eq!(nothing.code, 3, "{nothing:?}");
}

#[test]
fn the_plan_and_the_diff_are_shown_and_nothing_is_done() {
    let messy = Messy::new();
    let before = messy.sandbox.everything();
    let ran = messy.import(&["--dry-run", "--diff"]);
    assert_eq!(ran.code, 0, "{ran:?}");
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
    let told: serde_json::Value = serde_json::from_str(&json.out).unwrap();
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
            "the key is blank",
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
            "the same key stands on line 3 already",
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
    let ran = import(&sandbox, &["--yes"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("a temporary key, which dies by itself"),
        "{ran:?}"
    );
    assert_eq!(sandbox.read(CREDENTIALS), text);
}

/// Stops before the `n`th effect; the names of all effects that came.
fn stopped_at(messy: &Messy, n: usize) -> (bool, Vec<&'static str>) {
    let (machine, _) = messy.sandbox.machine(&[]);
    let entries = Entries::open(&machine).unwrap();
    let wanted = Wanted {
        endpoint_url: Some(messy.sandbox.aws.url()),
        helper_path: Some("bin/awskeep".into()),
        ..Wanted::default()
    };
    let agreed = run::prepare(&machine, &entries, &wanted).unwrap();
    let (count, seen) = (Cell::new(0), std::cell::RefCell::new(Vec::new()));
    let before = |name: &'static str| {
        seen.borrow_mut().push(name);
        count.set(count.get() + 1);
        if count.get() > n {
            return Err(Failure::new(Kind::Failed, "cut off"));
        }
        Ok(())
    };
    let done = run::run(&machine, &entries, &wanted, &agreed, &before);
    if let Err(failure) = &done {
        assert_eq!(failure.message, "cut off");
    }
    (done.is_ok(), seen.into_inner())
}

#[test]
fn cut_off_before_any_effect_it_loses_nothing_and_goes_on() {
    let mut all = BTreeSet::new();
    for n in 0.. {
        let messy = Messy::new();
        let (done, seen) = stopped_at(&messy, n);
        all.extend(seen);
        // Whatever was done, each key is in a file or in the store.
        let stored = messy.sandbox.run(&["list", "--json"], &[]).out;
        for (id, shown) in [
            (&messy.sandbox.key_id, "\"KEY\""),
            (&messy.amy.0, messy.amy.0.as_str()),
        ] {
            let in_file = messy.sandbox.read(CREDENTIALS).contains(id.as_str());
            assert!(
                in_file || stored.contains(shown),
                "{n}: {id} is lost: {stored}"
            );
        }
        let again = messy.import(&["--yes"]);
        assert_eq!(again.code, 0, "{n}: {again:?}");
        messy.is_moved();
        if n % 2 == 0 {
            let undone = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
            assert_eq!(undone.code, 0, "{n}: {undone:?}");
            messy.is_untouched();
        }
        if done {
            break;
        }
    }
    let expected = [
        "announce",
        "finish",
        "point",
        "record",
        "save",
        "serve",
        "take from credentials",
    ];
    assert_eq!(all.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn an_undo_that_is_cut_off_goes_on() {
    for n in 0..5 {
        let messy = Messy::new();
        assert_eq!(messy.import(&["--yes"]).code, 0);
        let (machine, _) = messy.sandbox.machine(&[]);
        let entries = Entries::open(&machine).unwrap();
        let count = Cell::new(0);
        let prepared = undo::prepare(&machine, &entries).unwrap();
        let cut = undo::run(&machine, &entries, prepared, &|_| {
            count.set(count.get() + 1);
            if count.get() > n {
                return Err(Failure::new(Kind::Failed, "cut off"));
            }
            Ok(())
        });
        assert_eq!(cut.is_ok(), n >= 5, "{n}");
        let again = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
        assert_eq!(again.code, 0, "{n}: {again:?}");
        messy.is_untouched();
    }
}

#[test]
fn a_file_that_changed_since_is_not_put_back() {
    let messy = Messy::new();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    let changed = format!(
        "{}[new]\naws_access_key_id = AKIANEW\naws_secret_access_key = hidden\n",
        messy.sandbox.read(CREDENTIALS)
    );
    messy.sandbox.write(CREDENTIALS, &changed);
    let config = messy.sandbox.read(CONFIG);
    let ran = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.err
            .contains("~/.aws/credentials was changed since the import"),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("\n+[new]\n") && ran.err.contains("+aws_secret_access_key = [secret]"),
        "{ran:?}"
    );
    assert!(!ran.err.contains("hidden"), "{ran:?}");
    assert_eq!(messy.sandbox.read(CREDENTIALS), changed);
    assert_eq!(messy.sandbox.read(CONFIG), config);
    messy
        .sandbox
        .write(CREDENTIALS, &changed[..changed.find("[new]").unwrap()]);
    assert_eq!(
        messy.sandbox.run(&["import", "--undo", "--yes"], &[]).code,
        0
    );
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
    let added = messy
        .sandbox
        .add_pair("admin", &id, &secret, &["--replace", "--no-profile"]);
    assert_eq!(added.code, 0, "{added:?}");
    let ran = messy.sandbox.run(&["import", "--undo"], &["y"]);
    assert_eq!(ran.code, 0, "{ran:?}");
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
        let removed = messy
            .sandbox
            .run(&["remove", "--entry", name, "--yes"], &[]);
        assert_eq!(removed.code, 0, "{removed:?}");
    }
    assert_eq!(records(), 0);

    let messy = Messy::new();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    let month = 31 * 86_400;
    messy
        .sandbox
        .clock
        .fetch_add(month, std::sync::atomic::Ordering::SeqCst);
    let ran = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(messy.sandbox.files_with("\"hunks\""), [""; 0]);
}

#[test]
fn an_imported_key_counts_as_handed_out() {
    let messy = Messy::new();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    let (machine, _) = messy.sandbox.machine(&[]);
    let entries = Entries::open(&machine).unwrap();
    let held = entries.get(&"team".parse().unwrap()).unwrap();
    let until = machine.now() + awskeep::time::Length::hours(24);
    assert_eq!(held.item.handed_out_until, Some(until));
}

#[test]
fn links_to_dotfiles_stay() {
    let messy = Messy::new();
    let sandbox = &messy.sandbox;
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
    assert_eq!(sandbox.run(&["import", "--undo", "--yes"], &[]).code, 0);
    messy.is_untouched();
    for name in ["config", "credentials"] {
        assert!(sandbox.path(&format!(".aws/{name}")).is_symlink());
        let mode = fs::metadata(sandbox.path(&format!("dotfiles/{name}")))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o640);
    }
}

#[test]
fn a_helper_that_serves_nothing_stops_it_before_the_files() {
    let messy = Messy::new();
    for script in [
        "#!/bin/sh\nexit 4\n",
        "#!/bin/sh\necho '{\"Version\":1}'\n",
        "#!/bin/sh\necho warning >&2\n",
    ] {
        messy.sandbox.write("bin/awskeep", script);
        let ran = messy.import(&["--yes"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        messy.is_untouched();
    }
    messy.sandbox.make_helper();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    messy.is_moved();
}

#[test]
fn two_imports_at_once_move_everything_once() {
    let messy = Messy::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| messy.import(&["--yes"])))
            .collect();
        for ran in runs {
            let ran = ran.join().unwrap();
            assert_eq!(ran.code, 0, "{ran:?}");
        }
    });
    messy.is_moved();
    assert_eq!(
        messy.sandbox.run(&["import", "--undo", "--yes"], &[]).code,
        0
    );
    messy.is_untouched();
}

#[test]
fn a_config_file_that_was_not_there_goes_again() {
    let sandbox = Sandbox::new();
    sandbox.make_helper();
    let text = format!(
        "[solo]\naws_access_key_id = {}\naws_secret_access_key = {}",
        sandbox.key_id, sandbox.secret
    );
    sandbox.write(CREDENTIALS, &text);
    assert_eq!(import(&sandbox, &["--yes"]).code, 0);
    assert_eq!(sandbox.read(CREDENTIALS), "");
    assert!(sandbox.read(CONFIG).starts_with("[profile solo]\n"));
    assert_eq!(sandbox.run(&["import", "--undo", "--yes"], &[]).code, 0);
    assert_eq!(sandbox.read(CREDENTIALS), text);
    assert!(!sandbox.path(CONFIG).exists());
}

#[test]
fn a_csv_file_becomes_an_entry_and_is_offered_for_removal() {
    let sandbox = Sandbox::new();
    sandbox.make_helper();
    let text = format!(
        "Access key ID,Secret access key\r\n{},{}\r\n",
        sandbox.key_id, sandbox.secret
    );
    sandbox.write("bob_accessKeys.csv", &text);
    let url = sandbox.aws.url();
    let arguments = [
        "import",
        "--from",
        "csv",
        "bob_accessKeys.csv",
        "--endpoint-url",
        &url,
        "--helper-path",
        "bin/awskeep",
    ];
    let kept = sandbox.run(&arguments, &["y", "n"]);
    assert_eq!(kept.code, 0, "{kept:?}");
    assert!(
        kept.err
            .contains("~/bob_accessKeys.csv still holds the secret"),
        "{kept:?}"
    );
    assert!(
        sandbox
            .read(CONFIG)
            .contains("[profile bob]\ncredential_process")
    );
    let removed = sandbox.run(&arguments, &["y"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_eq!(sandbox.files_with(&sandbox.secret), [""; 0]);
    assert_eq!(sandbox.run(&["import", "--undo", "--yes"], &[]).code, 0);
    assert!(!sandbox.path(CONFIG).exists());
}

#[test]
fn the_environments_key_becomes_an_entry() {
    let mut sandbox = Sandbox::new();
    sandbox.make_helper();
    sandbox
        .vars
        .push(("AWS_ACCESS_KEY_ID".into(), sandbox.key_id.clone()));
    sandbox
        .vars
        .push(("AWS_SECRET_ACCESS_KEY".into(), sandbox.secret.clone()));
    assert_eq!(import(&sandbox, &["--from", "env", "--yes"]).code, 2);
    let ran = import(&sandbox, &["--from", "env", "shell", "--yes"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err
            .contains("warning: AWS_ACCESS_KEY_ID is set, and wins over every profile"),
        "{ran:?}"
    );
    assert!(
        sandbox
            .read(CONFIG)
            .starts_with("[profile shell]\ncredential_process")
    );
    sandbox.scan(&[]);
}

#[test]
fn keys_of_aws_vault_in_pass_become_entries() {
    use base64::Engine;
    let mut sandbox = Sandbox::new();
    sandbox.make_helper();
    fs::create_dir(sandbox.path("pass")).unwrap();
    let bare = format!(
        "{{\"AccessKeyID\":\"{}\",\"SecretAccessKey\":\"{}\",\"SessionToken\":\"\"}}",
        sandbox.key_id, sandbox.secret
    );
    let data = base64::engine::general_purpose::STANDARD.encode(bare);
    // Stands for pass: the files are only encoded here, not encrypted.
    sandbox.write(
        "pass/work.gpg",
        &format!("{{\"Key\":\"work\",\"Data\":\"{data}\"}}"),
    );
    sandbox.write("pass/sts.GetSessionToken,d29yaw,,1690000000.gpg", "x");
    sandbox.write(
        "bin/pass",
        "#!/bin/sh\nexec /bin/cat \"$PASSWORD_STORE_DIR/$2.gpg\"\n",
    );
    fs::set_permissions(sandbox.path("bin/pass"), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, value) in [
        ("AWS_VAULT_BACKEND", "pass".into()),
        (
            "AWS_VAULT_PASS_CMD",
            sandbox.path("bin/pass").display().to_string(),
        ),
        (
            "PASSWORD_STORE_DIR",
            sandbox.path("pass").display().to_string(),
        ),
    ] {
        sandbox.vars.push((name.into(), value));
    }
    let ran = import(&sandbox, &["--from", "aws-vault", "--yes"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        sandbox
            .read(CONFIG)
            .starts_with("[profile work]\ncredential_process"),
        "{ran:?}"
    );
    assert!(sandbox.path("pass/work.gpg").exists());
}

#[test]
fn a_read_only_folder_stops_it_and_it_goes_on_afterwards() {
    if rustix_is_root() {
        // Nothing is read-only to root; a file in the temp file's place stands for it.
        let messy = Messy::new();
        fs::create_dir(messy.sandbox.path(".aws/.credentials.awskeep-new")).unwrap();
        let ran = messy.import(&["--yes"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert_eq!(messy.sandbox.read(CREDENTIALS), messy.credentials);
        fs::remove_dir(messy.sandbox.path(".aws/.credentials.awskeep-new")).unwrap();
        assert_eq!(messy.import(&["--yes"]).code, 0);
        messy.is_moved();
        return;
    }
    let messy = Messy::new();
    let folder = messy.sandbox.path(".aws");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    let ran = messy.import(&["--yes"]);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(ran.code, 1, "{ran:?}");
    messy.is_untouched();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    messy.is_moved();
}

fn rustix_is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[test]
fn a_plan_of_five_hundred_profiles_is_quick() {
    let sandbox = Sandbox::new();
    sandbox.make_helper();
    let (mut config, mut credentials) = (String::new(), String::new());
    for n in 0..500 {
        config += &format!("[profile p{n}]\nregion = eu-west-1\n\n");
        credentials += &format!(
            "[p{n}]\naws_access_key_id = AKIAAAAAAAAAAAAAA{:03}\naws_secret_access_key = s{n}\n\n",
            n
        );
    }
    sandbox.write(CONFIG, &config);
    sandbox.write(CREDENTIALS, &credentials);
    let started = std::time::Instant::now();
    let ran = import(&sandbox, &["--dry-run"]);
    let took = started.elapsed();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.out.lines().count(), 501);
    // A debug build on a busy machine: far off what a user sees, but no square of it.
    assert!(took.as_secs() < 30, "{took:?}");
    eprintln!("500 profiles: {took:?}");
}

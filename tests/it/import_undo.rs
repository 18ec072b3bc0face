//! `import --undo`: what it obeys, and what does not stand in its way.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::moving::{CONFIG, CREDENTIALS, Messy};

/// The one record of the import, from the home on.
fn record(messy: &Messy) -> String {
    let records = messy.sandbox.files_with("\"hunks\"");
    assert_eq!(records.len(), 1, "{records:?}");
    records.into_iter().next().unwrap()
}

#[test]
fn a_record_that_names_another_file_is_not_obeyed() {
    let messy = Messy::new();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    let record = record(&messy);
    let text = messy.sandbox.read(&record);
    // A file elsewhere that is just what the import left in the AWS file.
    for (file, other) in [(CONFIG, ".data/config"), (CREDENTIALS, ".data/credentials")] {
        let path = |below: &str| messy.sandbox.path(below).display().to_string();
        messy.sandbox.write(other, &messy.sandbox.read(file));
        let forged = text.replace(&format!("{:?}", path(file)), &format!("{:?}", path(other)));
        assert_ne!(forged, text);
        messy.sandbox.write(&record, &forged);
        let before = messy.sandbox.everything();
        let ran = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
        let variable = match file {
            CONFIG => "AWS_CONFIG_FILE",
            _ => "AWS_SHARED_CREDENTIALS_FILE",
        };
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (
                1,
                format!(
                    "awskeep: the import changed ~/{other}, which is not your AWS file now: that is ~/{file}\n\
                     hint: {variable}=~/{other} awskeep import --undo\n"
                )
                .as_str()
            ),
        );
        assert_eq!(messy.sandbox.everything(), before);
    }
    messy.sandbox.write(&record, &text);
    messy
        .sandbox
        .run(&["import", "--undo", "--yes"], &[])
        .exits(0);
    messy.is_untouched();
}

#[test]
fn a_record_that_others_could_write_is_not_obeyed() {
    let messy = Messy::new();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    let record = record(&messy);
    let folder = record.rsplit_once('/').unwrap().0.to_owned();
    for (path, mode) in [(&record, 0o666), (&folder, 0o777)] {
        let full = messy.sandbox.path(path);
        let mode_before = fs::metadata(&full).unwrap().permissions();
        fs::set_permissions(&full, fs::Permissions::from_mode(mode)).unwrap();
        let ran = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (
                1,
                format!(
                    "awskeep: ~/{record} says what an undo writes, but others can write ~/{path}\n\
                     hint: if nobody else changed it: chmod go-w ~/{path}\n\
                     hint: if somebody did: rm ~/{record}\n"
                )
                .as_str()
            ),
        );
        messy.is_moved();
        fs::set_permissions(&full, mode_before).unwrap();
    }
    // Of a file that is another user's, only root can make one.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(messy.sandbox.path(&record), Some(12_345), None).unwrap();
        messy
            .sandbox
            .run(&["import", "--undo", "--yes"], &[])
            .exits(1);
        messy.is_moved();
        std::os::unix::fs::chown(messy.sandbox.path(&record), Some(0), None).unwrap();
    }
    messy
        .sandbox
        .run(&["import", "--undo", "--yes"], &[])
        .exits(0);
    messy.is_untouched();
}

/// Imports, does something, undoes the import: both files then.
fn undone_after(messy: &Messy, change: impl FnOnce(&Messy), says: &str) -> (String, String) {
    assert_eq!(messy.import(&["--yes"]).code, 0);
    change(messy);
    let ran = messy
        .sandbox
        .run(&["import", "--undo", "--yes"], &[])
        .exits(0);
    // Files that others could read are closed first, which is said.
    let mut lines = ran.err.lines();
    assert!(lines.any(|line| line.starts_with(says)), "{ran:?}");
    assert_eq!(messy.sandbox.files_with("\"hunks\""), [""; 0]);
    (messy.sandbox.read(CONFIG), messy.sandbox.read(CREDENTIALS))
}

const PUT_BACK: &str = "put back as before the import";

#[test]
fn an_entry_that_was_added_since_is_no_obstacle_to_the_undo() {
    for messy in [Messy::new(), Messy::with_key_in_config()] {
        let helper = messy.sandbox.path("bin/awskeep").display().to_string();
        let add = |messy: &Messy| {
            let (id, secret) = messy.sandbox.aws.account(|account| {
                account.add_user("/", "eve");
                account.add_key("eve", 0)
            });
            messy.sandbox.add_pair("eve", &id, &secret, &[]).exits(0);
        };
        let (config, credentials) = undone_after(&messy, add, PUT_BACK);
        let eve = format!(
            "\r\n\r\n[profile eve]\r\ncredential_process = {helper} credential-process eve"
        );
        assert_eq!(config, messy.config.clone() + &eve);
        assert_eq!(credentials, messy.credentials);
    }
}

#[test]
fn entries_that_were_renamed_since_are_no_obstacle_to_the_undo() {
    for messy in [Messy::new(), Messy::with_key_in_config()] {
        let rename = |messy: &Messy| {
            for (old, new) in [("team", "crew"), ("admin", "root-of-all")] {
                messy.sandbox.run(&["rename", old, new], &[]).exits(0);
            }
        };
        undone_after(&messy, rename, PUT_BACK);
        messy.is_untouched();
    }
}

#[test]
fn an_entry_that_was_removed_since_keeps_nothing_else_from_coming_back() {
    let messy = Messy::new();
    let says = format!("warning: not put back: {} is not stored any more", "KEY");
    let remove = |messy: &Messy| {
        messy
            .sandbox
            .run(&["remove", "--entry", "team", "--yes"], &[])
            .exits(0);
    };
    let (config, credentials) = undone_after(&messy, remove, &says);
    assert_eq!(config, messy.config);
    assert_eq!(
        credentials,
        format!(
            "# keys, handle with care\n\n# the team's\n[team]\n\n[admin]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            messy.amy.0, messy.amy.1
        )
    );
}

#[test]
fn an_entry_that_was_exported_since_keeps_its_key_and_the_rest_comes_back() {
    let messy = Messy::new();
    let export = |messy: &Messy| {
        messy
            .sandbox
            .run(&["export", "--profile", "team", "--yes"], &[])
            .exits(0);
    };
    let (config, credentials) = undone_after(
        &messy,
        export,
        "warning: not put back: [team] has a key already",
    );
    assert_eq!(config, messy.config);
    let line = format!(
        "aws_secret_access_key   =   {}\naws_access_key_id = {}\n",
        messy.sandbox.secret, messy.sandbox.key_id
    );
    let exported = format!(
        "aws_access_key_id = {}\naws_secret_access_key = {}\n",
        messy.sandbox.key_id, messy.sandbox.secret
    );
    assert_eq!(credentials, messy.credentials.replace(&line, &exported));
}

#[test]
fn what_a_person_wrote_beside_it_stays_when_an_import_is_undone() {
    let mut messy = Messy::new();
    let edit = |messy: &Messy| {
        let config = messy.sandbox.read(CONFIG);
        let config = config.replace("[profile team]\r\n", "[profile team]\r\ncli_pager =\r\n");
        messy.sandbox.write(
            CONFIG,
            &format!("# on top\n{config}\r\n[profile mine]\r\nregion = x\r\n"),
        );
        let credentials = messy.sandbox.read(CREDENTIALS);
        let credentials = credentials.replace("[team]\n", "[team]\nregion = y\n");
        messy.sandbox.write(
            CREDENTIALS,
            &format!("{credentials}[mine]\naws_access_key_id = AKIA\n"),
        );
    };
    let (config, credentials) = undone_after(&messy, edit, PUT_BACK);
    messy.config = messy
        .config
        .replace("[profile team]\r\n", "[profile team]\r\ncli_pager =\r\n");
    assert_eq!(
        config,
        format!(
            "# on top\n{}\r\n[profile mine]\r\nregion = x\r\n",
            messy.config
        )
    );
    let (start, admin) = messy.credentials.split_once("\n[admin]").unwrap();
    let keys = start.split_once("[team]\n").unwrap().1.to_owned();
    let start = start.replace(&keys, "");
    assert_eq!(
        credentials,
        format!("{start}{keys}region = y\n\n[admin]{admin}[mine]\naws_access_key_id = AKIA\n"),
    );
}

#[test]
fn a_profile_that_was_made_since_keeps_its_source() {
    let messy = Messy::new();
    assert_eq!(messy.import(&["--yes"]).code, 0);
    let config = messy.sandbox.read(CONFIG);
    let new = "\r\n[profile new]\r\nrole_arn = r\r\nsource_profile = admin-base\r\n";
    messy.sandbox.write(CONFIG, &format!("{config}{new}"));
    let before = messy.sandbox.everything();
    let ran = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            1,
            "awskeep: profile new has source_profile = admin-base, a profile that the undo removes\n\
             hint: give it another source_profile, then run it again\n"
        )
    );
    assert_eq!(messy.sandbox.everything(), before);
}

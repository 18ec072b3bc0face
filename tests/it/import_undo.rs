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
                     hint: {variable}='~/{other}' awskeep import --undo\n"
                )
                .as_str()
            ),
        );
        assert_eq!(messy.sandbox.everything(), before);
    }
    messy.sandbox.write(&record, &text);
    assert_eq!(
        messy.sandbox.run(&["import", "--undo", "--yes"], &[]).code,
        0
    );
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
                     hint: chmod go-w '~/{path}', if nobody else changed it; else: rm '~/{record}'\n"
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
        let ran = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
        assert_eq!(ran.code, 1, "{ran:?}");
        messy.is_moved();
        std::os::unix::fs::chown(messy.sandbox.path(&record), Some(0), None).unwrap();
    }
    assert_eq!(
        messy.sandbox.run(&["import", "--undo", "--yes"], &[]).code,
        0
    );
    messy.is_untouched();
}

//! Files on a real disk: links, modes, changes in between, locks.

use std::fs;
use std::path::Path;

use crate::error::Kind;
use crate::profiles::files::{AwsFile, Replaced};
use crate::profiles::{Document, FileKind};

fn read(path: &Path) -> AwsFile {
    AwsFile::read(path, FileKind::Config).unwrap()
}

fn changed(text: &str) -> Document {
    Document::parse(FileKind::Config, text)
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |e: std::io::Result<fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn a_missing_file_is_empty_and_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aws/config");
    let mut file = read(&path);
    assert_eq!(file.document.text(), "");
    file.replace(changed("[default]\n")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "[default]\n");
    assert_eq!(names_in(path.parent().unwrap()), ["config"]);
    file.replace(changed("[profile p]\n")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "[profile p]\n");
}

#[test]
fn a_file_that_changed_meanwhile_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    for (first, then) in [(Some("a"), Some("b")), (None, Some("")), (Some(""), None)] {
        let _ = fs::remove_file(&path);
        if let Some(text) = first {
            fs::write(&path, text).unwrap();
        }
        let mut file = read(&path);
        match then {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let failure = file.replace(changed("[p]\n")).unwrap_err();
        assert_eq!(failure.kind, Kind::Unfinished);
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), then);
    }
}

#[test]
fn text_that_is_not_utf8_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, b"[p]\na = 1\nb = s3cret\xff\n").unwrap();
    let failure = AwsFile::read(&path, FileKind::Config).unwrap_err();
    assert!(failure.message.contains("config:3:"), "{failure}");
    assert!(!failure.to_string().contains("s3cret"));
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn symlinks_are_followed_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("dots")).unwrap();
        fs::write(at("dots/real"), "[p]\n").unwrap();
        symlink("real", at("dots/middle")).unwrap();
        symlink("dots/middle", at("config")).unwrap();
        read(&at("config")).replace(changed("[q]\n")).unwrap();
        assert_eq!(fs::read_to_string(at("dots/real")).unwrap(), "[q]\n");
        assert_eq!(
            fs::read_link(at("config")).unwrap(),
            Path::new("dots/middle")
        );
        assert_eq!(names_in(&at("dots")), ["middle", "real"]);

        symlink("dots/new", at("dangling")).unwrap();
        read(&at("dangling")).replace(changed("[q]\n")).unwrap();
        assert_eq!(fs::read_to_string(at("dots/new")).unwrap(), "[q]\n");
        assert!(fs::read_link(at("dangling")).is_ok());

        symlink("circle", at("circle")).unwrap();
        assert!(AwsFile::read(&at("circle"), FileKind::Config).is_err());
    }

    #[test]
    fn modes_are_kept_and_new_files_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        read(&path).replace(changed("[p]\n")).unwrap();
        assert_eq!(mode(&path), 0o600);
        for kept in [0o644, 0o600, 0o640] {
            fs::set_permissions(&path, fs::Permissions::from_mode(kept)).unwrap();
            read(&path)
                .replace(changed(&format!("[profile m{kept}]\n")))
                .unwrap();
            assert_eq!(mode(&path), kept);
        }
    }

    #[test]
    fn owner_and_group_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "[p]\n").unwrap();
        // Only root can name any group; for others the group is kept trivially.
        let _ = std::os::unix::fs::chown(&path, None, Some(12345));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let owner = |path: &Path| fs::metadata(path).map(|m| (m.uid(), m.gid())).unwrap();
        let before = owner(&path);
        read(&path).replace(changed("[q]\n")).unwrap();
        assert_eq!(owner(&path), before);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn files_that_others_can_write_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "[p]\n").unwrap();
        for refused in [0o666, 0o662, 0o622, 0o444] {
            fs::set_permissions(&path, fs::Permissions::from_mode(refused)).unwrap();
            let failure = read(&path).replace(changed("[q]\n")).unwrap_err();
            assert!(failure.hints[0].starts_with("chmod"), "{failure}");
            assert_eq!(fs::read_to_string(&path).unwrap(), "[p]\n");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&path, folder.path().join("second")).unwrap();
        assert!(read(&path).replace(changed("[q]\n")).is_err());
    }

    #[test]
    fn what_others_can_put_in_the_files_place_is_refused() {
        let check = |make: &dyn Fn(&Path), open: &str| {
            let home = tempfile::tempdir().unwrap();
            let home = fs::canonicalize(home.path()).unwrap();
            fs::create_dir_all(home.join("dots")).unwrap();
            fs::create_dir_all(home.join("aws")).unwrap();
            make(&home);
            let path = home.join("aws/config");
            let failure = read(&path).replace(changed("[q]\n")).unwrap_err();
            let open = home.join(open).display().to_string();
            assert_eq!(
                failure.message,
                format!(
                    "{} names programs that you then run, but others can write {open}",
                    path.display()
                )
            );
            assert_eq!(failure.hints, [format!("chmod go-w {open}")]);
            fs::remove_dir_all(home).unwrap();
        };
        let open = |path: std::path::PathBuf| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        };
        // There is no file yet.
        check(&|home| open(home.join("aws")), "aws");
        // A link: to put another in its place is as good as writing what it leads to.
        check(
            &|home| {
                fs::write(home.join("dots/config"), "[p]\n").unwrap();
                symlink("../dots/config", home.join("aws/config")).unwrap();
                open(home.join("aws"));
            },
            "aws",
        );
        check(
            &|home| {
                symlink("../dots/config", home.join("aws/config")).unwrap();
                open(home.join("dots"));
            },
            "dots",
        );
    }

    #[test]
    fn a_link_of_another_user_is_not_followed() {
        if !rustix::process::geteuid().is_root() {
            // Nobody else can make a link of another user; `disk` tests the rule.
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let (real, link) = (home.path().join("real"), home.path().join("config"));
        fs::write(&real, "[p]\n").unwrap();
        symlink(&real, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(12_345), None).unwrap();
        let failure = read(&link).replace(changed("[q]\n")).unwrap_err();
        assert_eq!(failure.hints, [format!("ls -ld {}", link.display())]);
        assert_eq!(fs::read_to_string(&real).unwrap(), "[p]\n");
    }

    #[test]
    fn a_secret_closes_the_file_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        let secret = "[p]\naws_secret_access_key = x\n";
        for (before, text, mode_before, replaced, mode_after) in [
            ("", secret, 0o644, Replaced::ClosedToOthers, 0o600),
            ("", secret, 0o640, Replaced::ClosedToOthers, 0o600),
            ("", secret, 0o600, Replaced::AsItWas, 0o600),
            ("", "[p]\nregion = x\n", 0o644, Replaced::AsItWas, 0o644),
            (secret, "[p]\n", 0o644, Replaced::AsItWas, 0o644),
        ] {
            fs::write(&path, before).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode_before)).unwrap();
            assert_eq!(read(&path).replace(changed(text)).unwrap(), replaced);
            assert_eq!(mode(&path), mode_after, "{text} {mode_before:o}");
        }
    }

    #[test]
    fn a_folder_in_the_files_place_reads_as_no_file_and_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::create_dir(&path).unwrap();
        let mut file = read(&path);
        assert_eq!(file.document.text(), "");
        assert!(file.replace(changed("[default]\n")).is_err());
        assert!(path.is_dir());
    }
}

//! `import` where it is cut off, raced, or not let: nothing is lost, and it goes on.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use awskeep::error::{Error, Kind};
use awskeep::import::apply;
use awskeep::import::apply::Request;
use awskeep::import::undo;
use awskeep::store::entries::Entries;

use crate::moving::{CONFIG, CREDENTIALS, Messy};

/// Stops before the `n`th effect; the names of all effects that came.
fn stopped_at(messy: &Messy, n: usize) -> (bool, Vec<&'static str>) {
    let (env, _) = messy.sandbox.env(&[]);
    let entries = Entries::open(&env).unwrap();
    let wanted = Request {
        endpoint_url: Some(messy.sandbox.aws.url()),
        helper_path: Some("bin/awskeep".into()),
        ..Request::default()
    };
    let agreed = apply::prepare(&env, &entries, &wanted).unwrap();
    let (count, seen) = (Cell::new(0), std::cell::RefCell::new(Vec::new()));
    let before = |name: &'static str| {
        seen.borrow_mut().push(name);
        count.set(count.get() + 1);
        if count.get() > n {
            return Err(Error::new(Kind::Failed, "cut off"));
        }
        Ok(())
    };
    let done = apply::run(&env, &entries, &wanted, &agreed, &before);
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
        let cut = undo_cut_off_after(&messy, n);
        assert_eq!(cut.is_ok(), n >= 5, "{n}");
        let again = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
        assert_eq!(again.code, 0, "{n}: {again:?}");
        messy.is_untouched();
    }
}

/// Undoes the import, and is cut off after so many effects.
fn undo_cut_off_after(messy: &Messy, effects: usize) -> Result<(), Error> {
    let (env, _) = messy.sandbox.env(&[]);
    let entries = Entries::open(&env).unwrap();
    let count = Cell::new(0);
    let prepared = undo::prepare(&env, &entries).unwrap();
    undo::run(&env, &entries, prepared, &|_| {
        count.set(count.get() + 1);
        if count.get() > effects {
            return Err(Error::new(Kind::Failed, "cut off"));
        }
        Ok(())
    })
}

/// Imports, and is cut off before this effect.
fn cut_off_before(messy: &Messy, effect: &str) {
    let (env, _) = messy.sandbox.env(&[]);
    let entries = Entries::open(&env).unwrap();
    let wanted = Request {
        endpoint_url: Some(messy.sandbox.aws.url()),
        helper_path: Some("bin/awskeep".into()),
        ..Request::default()
    };
    let agreed = apply::prepare(&env, &entries, &wanted).unwrap();
    let before = |name: &'static str| match name == effect {
        true => Err(Error::new(Kind::Failed, "cut off")),
        false => Ok(()),
    };
    let cut = apply::run(&env, &entries, &wanted, &agreed, &before);
    assert_eq!(cut.err().unwrap().message, "cut off");
}

#[test]
fn an_undo_of_an_import_that_was_cut_off_goes_on_when_it_is_cut_off_itself() {
    for effect in [
        "point",
        "take from credentials",
        "take from config",
        "finish",
    ] {
        for n in 0..5 {
            let messy = Messy::with_key_in_config();
            cut_off_before(&messy, effect);
            assert_eq!(messy.import(&["--yes"]).code, 0, "{effect}");
            messy.is_moved();
            let cut = undo_cut_off_after(&messy, n);
            assert_eq!(cut.err().unwrap().message, "cut off", "{effect} {n}");
            let again = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
            assert_eq!(again.code, 0, "{effect} {n}: {again:?}");
            messy.is_untouched();
        }
    }
}

#[test]
fn what_a_person_changed_after_an_import_was_cut_off_survives_the_undo() {
    let mut messy = Messy::with_key_in_config();
    cut_off_before(&messy, "point");
    messy.config += "\r\n# mine";
    messy.sandbox.write(CONFIG, &messy.config);
    assert_eq!(messy.import(&["--yes"]).code, 0);
    messy
        .sandbox
        .run(&["import", "--undo", "--yes"], &[])
        .exits(0);
    messy.is_untouched();
}

#[test]
fn a_file_that_may_not_be_replaced_is_refused_before_anything_is_saved() {
    for (file, mode, why) in [
        (CONFIG, 0o444, "is read-only"),
        (CREDENTIALS, 0o444, "is read-only"),
        (CONFIG, 0o602, "others can write"),
        (CREDENTIALS, 0o602, "others can write"),
    ] {
        let messy = Messy::new();
        let set = |mode| {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(messy.sandbox.path(file), mode).unwrap();
        };
        set(mode);
        let ran = messy.import(&["--yes"]);
        assert_eq!(ran.code, 1, "{file} {mode:o}: {ran:?}");
        assert!(ran.err.contains(why), "{file} {mode:o}: {ran:?}");
        messy.is_untouched();
        let stored = messy.sandbox.run(&["list", "--json"], &[]).out;
        assert!(!stored.contains("KEY"), "{stored}");
        set(0o600);
        assert_eq!(messy.import(&["--yes"]).code, 0);
        messy.is_moved();

        set(mode);
        let undone = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
        assert_eq!(undone.code, 1, "{file} {mode:o}: {undone:?}");
        messy.is_moved();
        set(0o600);
        let undone = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
        assert_eq!(undone.code, 0, "{file} {mode:o}: {undone:?}");
        messy.is_untouched();
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
        messy.import(&["--yes"]).exits(1);
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
            ran.join().unwrap().exits(0);
        }
    });
    messy.is_moved();
    messy
        .sandbox
        .run(&["import", "--undo", "--yes"], &[])
        .exits(0);
    messy.is_untouched();
}

#[test]
fn a_file_that_somebody_changes_at_the_last_moment_is_left_to_them() {
    for (effect, file, changed) in [
        ("point", CONFIG, "# me too\n"),
        (
            "take from credentials",
            CREDENTIALS,
            "\n[new]\nregion = x\n",
        ),
    ] {
        let mut messy = Messy::new();
        let (env, _) = messy.sandbox.env(&[]);
        let entries = Entries::open(&env).unwrap();
        let wanted = Request {
            endpoint_url: Some(messy.sandbox.aws.url()),
            helper_path: Some("bin/awskeep".into()),
            ..Request::default()
        };
        let agreed = apply::prepare(&env, &entries, &wanted).unwrap();
        let edit = |name: &'static str| {
            if name == effect {
                let text = messy.sandbox.read(file) + changed;
                messy.sandbox.write(file, &text);
            }
            Ok(())
        };
        let stopped = apply::run(&env, &entries, &wanted, &agreed, &edit);
        let failure = stopped.err().unwrap();
        assert_eq!(failure.kind, Kind::Unfinished, "{failure}");
        assert!(
            failure
                .message
                .contains("was changed by another program meanwhile"),
            "{failure}"
        );
        assert!(messy.sandbox.read(file).ends_with(changed));

        messy.import(&["--yes"]).exits(0);
        messy
            .sandbox
            .run(&["import", "--undo", "--yes"], &[])
            .exits(0);
        match file {
            CONFIG => messy.config += changed,
            _ => messy.credentials += changed,
        }
        messy.is_untouched();
    }
}

#[test]
fn a_read_only_folder_stops_it_and_it_goes_on_afterwards() {
    obey_modes();
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

/// Nothing is read-only to root: this thread gives that right up.
fn obey_modes() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let mut sets = capabilities(None).unwrap();
    sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    set_capabilities(None, sets).unwrap();
}

//! The real program, killed or refused by the kernel at each of its effects on files:
//! `strace` injects the signal or the error. Nothing is lost, and the next run ends well.

use std::process::ExitStatus;

use crate::moving::{CONFIG, CREDENTIALS, Messy};

/// The system calls by which an import changes what is on the disk.
const EFFECTS: [&str; 5] = ["mkdir", "unlink", "fsync", "rename", "renameat"];

/// More effects of one kind than an import has.
const MOST: usize = 60;

/// What stands in the AWS files.
type Make = fn() -> Messy;

/// What befalls the program at its `n`th effect of one kind.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Killed,
    /// The disk is full from then on.
    NoSpace,
}

/// Whose effects are counted: `strace` counts for each thread.
#[derive(Debug, Clone, Copy)]
enum Counted {
    InMainThread,
    /// The store is written in a thread of its own.
    InEachThread,
}

impl Messy {
    fn import_under(&self, wrapper: &[&str]) -> (ExitStatus, String) {
        let (url, helper) = (self.sandbox.aws.url(), self.sandbox.path("bin/awskeep"));
        let helper = helper.display().to_string();
        let arguments = [
            "import",
            "--yes",
            "--endpoint-url",
            &url,
            "--helper-path",
            &helper,
        ];
        let output = self.sandbox.program(wrapper).args(arguments).output();
        let output =
            output.unwrap_or_else(|error| panic!("{wrapper:?}: {error}; tests/run installs it"));
        (
            output.status,
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// Each key that was in a file is in one, or in the store.
    fn has_both_keys(&self, when: &str) {
        let stored = self.sandbox.run(&["list", "--json"], &[]).out;
        let in_files = self.sandbox.read(CONFIG) + &self.credentials_now();
        let before = self.config.clone() + &self.credentials;
        for (id, shown) in [
            (&self.sandbox.key_id, "\"KEY\""),
            (&self.amy.0, self.amy.0.as_str()),
        ] {
            assert!(
                !before.contains(id.as_str())
                    || in_files.contains(id.as_str())
                    || stored.contains(shown),
                "{when}: {id} is lost"
            );
        }
    }
}

/// One trial; whether the import got to its end before its `n`th effect.
fn is_over(make: Make, fate: Fate, effect: &str, counted: Counted, n: usize) -> bool {
    let messy = make();
    let injection = match fate {
        Fate::Killed => format!("inject={effect}:signal=KILL:when={n}"),
        Fate::NoSpace => format!("inject={effect}:error=ENOSPC:when={n}+"),
    };
    let trace = format!("trace={effect}");
    let mut strace = vec![
        "strace",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &trace,
        "-e",
        &injection,
    ];
    match counted {
        Counted::InMainThread => {}
        // The helpers that are run too, but they have no effects.
        Counted::InEachThread => strace.push("-f"),
    }
    let (status, said) = messy.import_under(&strace);
    let when = format!("{fate:?} at {effect} {n} {counted:?}: {status} {said}");
    messy.has_both_keys(&when);
    if !status.success() {
        match fate {
            Fate::Killed => assert_eq!(status.code(), None, "{when}"),
            Fate::NoSpace => assert!(said.contains("awskeep: "), "{when}"),
        }
    }
    let again = messy.import(&["--yes"]);
    assert_eq!(again.code, 0, "{when}: {again:?}");
    messy.is_moved();
    let undone = messy.sandbox.run(&["import", "--undo", "--yes"], &[]);
    assert_eq!(undone.code, 0, "{when}: {undone:?}");
    messy.is_untouched();
    status.success()
}

/// Every effect in turn; how many there were.
fn every_effect(make: Make, fate: Fate) -> usize {
    let count = |effect: &str| {
        let main = (1..MOST).find(|&n| is_over(make, fate, effect, Counted::InMainThread, n));
        // What one save does in its thread, every save does.
        let store = (1..=2).take_while(|&n| !is_over(make, fate, effect, Counted::InEachThread, n));
        main.expect("an import ends") - 1 + store.count()
    };
    EFFECTS.into_iter().map(count).sum()
}

#[test]
fn killed_at_any_effect_it_loses_nothing_and_goes_on() {
    let effects = every_effect(Messy::new, Fate::Killed);
    eprintln!("killed at {effects} effects");
    assert!(effects >= 25, "{effects}");
}

#[test]
fn killed_at_any_effect_with_a_key_in_the_config_file_it_goes_on() {
    let effects = every_effect(Messy::with_key_in_config, Fate::Killed);
    eprintln!("killed at {effects} effects");
    assert!(effects >= 25, "{effects}");
}

#[test]
fn killed_at_any_effect_with_one_role_only_it_goes_on() {
    let effects = every_effect(Messy::with_one_role_only, Fate::Killed);
    eprintln!("killed at {effects} effects");
    assert!(effects >= 15, "{effects}");
}

#[test]
fn on_a_disk_that_gets_full_it_loses_nothing_and_goes_on() {
    // Failures of what only leaves a receipt do not fail the import.
    let effects = every_effect(Messy::new, Fate::NoSpace);
    eprintln!("out of space at {effects} effects");
    assert!(effects >= 15, "{effects}");
}

#[test]
fn a_file_that_may_not_grow_stays_what_it_was() {
    // In KiB. No file can be written at all, the store's neither; the padded config file
    // cannot; only the padded credentials file cannot.
    for (limit, config_pad, credentials_pad, code) in
        [(0, 0, 0, 4), (64, 3_000, 0, 1), (64, 0, 3_000, 1)]
    {
        let mut messy = Messy::new();
        messy.pad(config_pad, credentials_pad);
        let limited = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
        let (status, said) = messy.import_under(&["bash", "-c", &limited]);
        assert_eq!(status.code(), Some(code), "{limit}: {said}");
        assert_eq!(
            messy.sandbox.read(CREDENTIALS),
            messy.credentials,
            "{limit}: {said}"
        );
        assert!(
            said.contains("file size limit") || said.contains("File too large"),
            "{said}"
        );
        messy.has_both_keys(&said);
        let again = messy.import(&["--yes"]);
        assert_eq!(again.code, 0, "{limit}: {again:?}");
        messy.is_moved();
        assert_eq!(
            messy.sandbox.run(&["import", "--undo", "--yes"], &[]).code,
            0
        );
        messy.is_untouched();
    }
}

#[test]
fn three_programs_at_once_move_everything_once() {
    let messy = Messy::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| messy.import_under(&[])))
            .collect();
        for ran in runs {
            let (status, said) = ran.join().unwrap();
            assert!(status.success(), "{said}");
        }
    });
    messy.is_moved();
    assert_eq!(
        messy.sandbox.run(&["import", "--undo", "--yes"], &[]).code,
        0
    );
    messy.is_untouched();
}

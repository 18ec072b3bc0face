//! A whole year of shells that open at random, with what goes wrong in a year: closed
//! laptops, locked stores, lost replies, slow keys, and a person who reads the notices.

use std::fs;

use crate::schedule::Shell;
use crate::sim::faults::{Fault, Script, When};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const MAX_AGE: i64 = 90 * DAY;

/// Numbers that are the same at each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }

    fn length(&mut self, from: i64, to: i64) -> i64 {
        let span = u64::try_from(to - from).unwrap();
        from + i64::try_from(self.below(span)).unwrap()
    }
}

/// What one year came to.
#[derive(Default)]
struct Year {
    prompts: usize,
    notices: usize,
    calls: usize,
    creates: usize,
    oldest_days: i64,
}

const USERS: [&str; 3] = ["bob", "alice", "carol"];

fn live(seed: u64) -> Year {
    let mut dice = Dice(seed);
    let mut shell = Shell::new(&[("auto", "on"), ("max_age", "90d")]);
    for user in &USERS[1..] {
        let now = shell.now();
        let (id, secret) = shell.sandbox.aws.account(|account| {
            account.add_user("/", user);
            account.add_key(user, now - 50 * DAY)
        });
        shell
            .sandbox
            .add_pair(user, &id, &secret, &["--no-profile"])
            .exits(0);
    }
    shell.sandbox.aws.take_journal();
    let end = shell.now() + 365 * DAY;
    let mut year = Year::default();
    while shell.now() < end {
        shell.pass(match dice.below(20) {
            0 => dice.length(DAY, 9 * DAY),
            1..4 => dice.length(12 * HOUR, 2 * DAY),
            _ => dice.length(60, 6 * HOUR),
        });
        let locked = weather(&shell, &mut dice);
        let notices = shell.prompt();
        if let Some((path, bytes)) = locked {
            fs::write(path, bytes).unwrap();
        }
        shell.sandbox.aws.set_script(Script::default());
        year.prompts += 1;
        year.notices += notices.len();
        for notice in &notices {
            obey(&mut shell, notice);
        }
        year.oldest_days = year.oldest_days.max(oldest(&shell) / DAY);
        let last = &shell.runs[shell.runs.len().saturating_sub(3)..];
        assert!(
            oldest(&shell) < MAX_AGE,
            "seed {seed}: a key is too old: {notices:?} {last:?}"
        );
    }
    for run in &shell.runs {
        assert!(!run.err.contains("would ask"), "a question: {run:?}");
        assert!([0, 1, 4, 5, 6, 7].contains(&run.code), "{run:?}");
    }
    for call in shell.sandbox.aws.take_journal() {
        year.calls += 1;
        year.creates += usize::from(call.action == "CreateAccessKey" && call.outcome == "ok");
    }
    year
}

/// What goes wrong at the next run; a store that does not open is to be mended after.
fn weather(shell: &Shell, dice: &mut Dice) -> Option<(std::path::PathBuf, Vec<u8>)> {
    let script = Script::default();
    let script = match dice.below(12) {
        0 => {
            let path = shell.sandbox.path(".data/awskeep/identity.txt");
            let kept = fs::read(&path).unwrap();
            fs::write(&path, "locked").unwrap();
            return Some((path, kept));
        }
        1 => script.on("CreateAccessKey", 1, Fault::LoseReply(When::After)),
        2 => script.on("CreateAccessKey", 1, Fault::LoseReply(When::Before)),
        3 => script.every(
            "GetCallerIdentity",
            Fault::Refuse {
                status: 403,
                code: "InvalidClientTokenId",
                message: "The security token included in the request is invalid.",
            },
        ),
        4 => script.on("UpdateAccessKey", 1, Fault::LoseReply(When::After)),
        5 => script.on("DeleteAccessKey", 1, Fault::LoseReply(When::After)),
        _ => script,
    };
    shell.sandbox.aws.set_script(script);
    None
}

/// A person does what a notice says must be done.
fn obey(shell: &mut Shell, notice: &str) {
    if !notice.starts_with("not rotated: entry ") {
        return;
    }
    let mut words = notice.split_whitespace();
    let entry = words.nth(3).unwrap().trim_end_matches(':').to_owned();
    let named = words.find(|word| *word == "--discard").and(words.next());
    let mut arguments = vec!["rotate", &entry, "--yes"];
    arguments.extend(named.iter().flat_map(|id| ["--discard", id]));
    let ran = shell.sandbox.run(&arguments, &[]);
    // Asked whether a held key may go at once, they let it be: the hook goes on when it is gone.
    let keeps_held = ran.code == 5 && ran.err.contains("can still be brought back");
    assert!(
        [0, 7].contains(&ran.code) || keeps_held,
        "{arguments:?}: {ran:?}"
    );
    shell.pass(0);
}

/// The age of the oldest key that is served, in seconds.
fn oldest(shell: &Shell) -> i64 {
    let now = shell.now();
    shell.sandbox.aws.account(|account| {
        let newest = USERS.map(|user| {
            let user = account.user(user);
            user.living_keys()
                .map(|key| now - key.created_at)
                .min()
                .unwrap()
        });
        newest.into_iter().max().unwrap()
    })
}

#[test]
fn a_year_of_shells_keeps_every_key_young() {
    for seed in [1, 2] {
        let year = live(seed);
        println!(
            "seed {seed}: {} prompts, {} notices, {} calls to AWS, {} keys made, the oldest {} days old",
            year.prompts, year.notices, year.calls, year.creates, year.oldest_days
        );
        // Six rotations of each of three keys, and a few keys whose reply was lost.
        assert!((15..36).contains(&year.creates), "{}", year.creates);
        // About 16 calls for a rotation; the rest is what bad weather costs.
        assert!(year.calls < 60 * year.creates, "{}", year.calls);
    }
}

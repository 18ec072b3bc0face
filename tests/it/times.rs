//! Times and lengths that nobody means, wherever one can come in: settings, items, what
//! AWS says, the clocks. Every command ends with an exit code of the table; none aborts.
//!
//! A long run by hand: `AWSKEEP_TIME_SEEDS=5000 cargo test --release --test it extreme_times`.

use std::sync::atomic::Ordering;

use awskeep::store::SERVICE;
use awskeep::store::file::FileStore;
use keyring_core::api::CredentialStoreApi;
use serde_json::{Value, json};

use crate::sandbox::{Ran, Sandbox};

/// 9999-12-31T23:59:59Z, later than most libraries can write.
const END_OF_9999: i64 = 253_402_300_799;

/// What stands in the item of an entry, changed by `edit`.
pub fn edit_stored(sandbox: &Sandbox, entry: &str, edit: impl FnOnce(&mut Value)) {
    let store = FileStore::new(sandbox.path(".data/awskeep"));
    let place = store.build(SERVICE, entry, None).unwrap();
    let mut item = serde_json::from_slice(&place.get_secret().unwrap()).unwrap();
    edit(&mut item);
    place
        .set_secret(&serde_json::to_vec(&item).unwrap())
        .unwrap();
}

fn told(ran: &Ran) -> (u8, &str) {
    (ran.code, &ran.err)
}

#[test]
fn a_lease_beyond_twelve_hours_is_refused_and_not_calculated_with() {
    let sandbox = Sandbox::with_work_and_one_clock();
    for (lease, code, err) in [
        ("12h", 0, ""),
        (
            "2913000d",
            4,
            "awskeep: the stored item of entry work is damaged: its lease is 2913000d; at most 12h\n\
             hint: awskeep add work --replace\n",
        ),
        (
            "721m",
            4,
            "awskeep: the stored item of entry work is damaged: its lease is 721m; at most 12h\n\
             hint: awskeep add work --replace\n",
        ),
    ] {
        edit_stored(&sandbox, "work", |item| item["lease"] = json!(lease));
        for command in [
            &["credential-process", "work"][..],
            &["rotate", "work", "--explain"],
        ] {
            let ran = sandbox.run(command, &[]);
            assert_eq!(
                (ran.code, ran.err.as_str()),
                (code, err),
                "{command:?}: {ran:?}"
            );
        }
    }
}

#[test]
fn settings_end_at_ten_years() {
    let sandbox = Sandbox::with_work_and_one_clock();
    for (setting, most, more, form) in [
        (
            "env_lease",
            "3650d",
            "3651d",
            "a length up to 3650d, such as 24h",
        ),
        (
            "env_lease",
            "3650d",
            "99999999d",
            "a length up to 3650d, such as 24h",
        ),
        (
            "hold",
            "3650d",
            "99999999d",
            "a length up to 3650d, such as 14d",
        ),
        (
            "max_age",
            "3650d",
            "3651d",
            "a length up to 3650d, such as 90d, or never",
        ),
        ("settle", "1d", "25h", "a length up to 1d, such as 15s"),
    ] {
        sandbox.run(&["config", "set", setting, most], &[]).exits(0);
        let refused = sandbox.run(&["config", "set", setting, more], &[]);
        let said =
            format!("awskeep: {setting} = {more:?} cannot be\nhint: {setting} takes {form}\n");
        assert_eq!(told(&refused), (2, said.as_str()));
    }
    let exported = sandbox.run(&["env", "work", "--shell", "bash"], &[]);
    assert_eq!(told(&exported), (0, ""));
    sandbox.run(&["rotate", "work", "--yes"], &[]).exits(0);
}

/// IAM's CreateDate is read between CreateAccessKey and the save of the key.
#[test]
fn a_key_made_in_the_year_9999_is_saved_and_served() {
    let sandbox = Sandbox::with_work_and_one_clock();
    sandbox
        .aws
        .account(|account| account.create_date_said = Some(END_OF_9999));
    sandbox.run(&["rotate", "work", "--yes"], &[]).exits(0);
    let made = sandbox
        .aws
        .account(|account| account.user("bob").keys[1].id.clone());
    let served = sandbox.run(&["credential-process", "work"], &[]);
    assert!(served.out.contains(&made), "{served:?}");
    let shown = sandbox.run(&["status", "--json"], &[]);
    let shown = shown.json();
    let now = awskeep::types::time::Timestamp(sandbox.now());
    assert_eq!(shown["entries"][0]["keys"][0]["created_at"], json!(now));
}

/// A little generator of its own: the same numbers everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.next() % all.len() as u64).unwrap()]
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

const LENGTHS: &[&str] = &["0s", "1s", "15s", "20m", "12h", "1d", "14d", "90d", "3650d"];

const WILD_LENGTHS: &[&str] = &[
    "3651d",
    "2913000d",
    "99999999d",
    "26687497792904d",
    "9223372036854775807s",
    "18446744073709551615s",
    "-1d",
    "1.5h",
    "never",
    "",
];

/// No time that can be read, or one that only others can write.
const WILD_TIMES: &[&str] = &["-009999-01-02T01:59:59Z", "9999-12-31T23:59:59Z", "soon"];

const TIMES: &[&str] = &[
    "0001-01-01T00:00:00Z",
    "1970-01-01T00:00:00Z",
    "2026-11-23T07:40:00+14:00",
    "2038-01-19T03:14:08Z",
    "9999-12-30T21:59:59Z",
    "9999-12-30T22:00:00Z",
];

const SECONDS: &[i64] = &[
    i64::MIN,
    -62_135_596_800,
    -1,
    0,
    i32::MAX as i64 + 1,
    4_102_444_800,
    253_402_207_200,
    END_OF_9999,
    i64::MAX,
];

const SLOT_TIMES: &[&str] = &[
    "created_at",
    "saved_at",
    "promoted_at",
    "leased_until",
    "retire_started_at",
    "inactive_seen_at",
    "reactivated_seen_at",
    "absent_seen_at",
];

const COMMANDS: &[&[&str]] = &[
    &["credential-process", "work"],
    &["status"],
    &["status", "--json", "--check"],
    &["status", "--online"],
    &["status", "--prompt"],
    &["list", "--json"],
    &["log"],
    &["why", "work"],
    &["policy", "work"],
    &["config", "--entry", "work"],
    &["rotate", "work", "--explain"],
    &["rotate", "work", "--dry-run"],
    &["rotate", "--if-due", "--all", "--no-input"],
    &["rotate", "work", "--finish", "--yes"],
    &["env", "work", "--shell", "bash"],
    &["rotate", "work", "--undo", "--yes"],
    &["rotate", "work", "--yes"],
    &["revoke", "work", "--yes"],
    &["rotate", "work", "--delete-now", "--yes"],
    &["export", "work", "--yes"],
    &["import", "--dry-run"],
    &["rename", "work", "new"],
    &["credential-process", "work"],
    &["store", "list"],
    &["store", "unlock", "--for", "26687497792904d"],
    &["remove", "new", "--yes"],
];

/// What one seed sets, and that every command survives it.
fn live_through(seed: u64) {
    let mut numbers = Numbers(seed);
    let mut sandbox = Sandbox::with_work_and_one_clock();
    sandbox.keeps_plaintext(".aws");
    if numbers.one_in(2) {
        sandbox.run(&["rotate", "work", "--yes"], &[]).exits(0);
    }
    let mut length = |wild_in: u64| {
        let wild = numbers.one_in(wild_in);
        numbers
            .one_of(if wild { WILD_LENGTHS } else { LENGTHS })
            .to_owned()
    };
    for name in ["MAX_AGE", "ENV_LEASE", "HOLD"] {
        let value = length(32);
        if (name, value.as_str()) != ("MAX_AGE", "0s") {
            sandbox.vars.push((format!("AWSKEEP_{name}"), value));
        }
    }
    let lease = length(6);
    edit_stored(&sandbox, "work", |item| {
        edit_times(item, &lease, &mut numbers)
    });
    if numbers.one_in(2) {
        let said = numbers.one_of(&[-62_135_596_800, 0, 253_402_207_200, END_OF_9999]);
        sandbox
            .aws
            .account(|account| account.create_date_said = Some(said));
    }
    if numbers.one_in(3) {
        sandbox
            .clock
            .store(numbers.one_of(SECONDS), Ordering::SeqCst);
    }
    for command in COMMANDS {
        let ran = sandbox.run(command, &["y", "y", "y"]);
        assert!(ran.code <= 8, "seed {seed}: {command:?}: {ran:?}");
        if numbers.one_in(9) {
            sandbox.clock.fetch_add(86_400, Ordering::SeqCst);
        }
    }
}

fn edit_times(item: &mut Value, lease: &str, numbers: &mut Numbers) {
    if numbers.one_in(6) {
        item["lease"] = json!(lease);
    }
    if numbers.one_in(3) {
        let mut slot = item["current"].clone();
        slot["id"] = json!("AKIAQQQQQQQQQQQQQQQQ");
        item[numbers.one_of(&["pending", "previous"])] = slot;
    }
    if numbers.one_in(4) {
        item["intent"] =
            json!({"nonce": "0", "at": numbers.one_of(TIMES), "host": "h", "seen": []});
    }
    for field in ["handed_out_until", "undo_wanted_at"] {
        if numbers.one_in(6) {
            item[field] = json!(numbers.one_of(TIMES));
        }
    }
    for slot in ["current", "pending", "previous"] {
        for field in SLOT_TIMES {
            if item.get(slot).is_some() && numbers.one_in(3) {
                let wild = numbers.one_in(64);
                item[slot][*field] = json!(numbers.one_of(if wild { WILD_TIMES } else { TIMES }));
            }
        }
    }
}

#[test]
fn extreme_times_end_no_command() {
    let seeds = std::env::var("AWSKEEP_TIME_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        live_through(seed);
    }
}

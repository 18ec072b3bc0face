//! The trials: what goes wrong while a key is rotated.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::home::{Ran, Scene};
use crate::kills;
use crate::sim::faults::{Fault, Script, When};
use crate::sim::people::{Lag, Status};
use crate::stage::{Row, Stage, how};

/// One trial and its name in the table.
pub struct Trial {
    pub name: &'static str,
    pub play: fn() -> Scene<Row>,
}

/// How often the key that is served changes under the readers, after the rotation.
const CHANGES: usize = 19;

pub const ROTATE: &[&str] = &["rotate", "work", "--yes"];
pub const TO_THE_END: &[&str] = &["rotate", "work", "--delete-now", "--yes"];

/// All of them, in the order of the table.
pub fn all() -> Vec<Trial> {
    let trial = |name, play| Trial { name, play };
    vec![
        trial("nothing", || with(Script::default(), ROTATE)),
        trial(
            "kill -9 before and after each request, rotation and deletion",
            kills::of_rotate,
        ),
        trial(
            "kill -9 before and after each request, undo",
            kills::of_undo,
        ),
        trial(
            "kill -9 before and after each request, revoke",
            kills::of_revoke,
        ),
        trial(
            "kill -9 before and after each request, recover of a deleted key",
            || kills::of_recover(None),
        ),
        trial(
            "kill -9 before and after each request, recover of an inactive key",
            || kills::of_recover(Some(Status::Inactive)),
        ),
        trial(
            "the reply to CreateAccessKey is lost, nothing was made",
            || with(create(Fault::LoseReply(When::Before)), ROTATE),
        ),
        trial(
            "the reply to CreateAccessKey is lost, a key was made",
            lost_reply,
        ),
        trial("the network is dead after CreateAccessKey", network_dead),
        trial("the reply to UpdateAccessKey is lost", || {
            end_with("UpdateAccessKey", Fault::LoseReply(When::After))
        }),
        trial("the reply to DeleteAccessKey is lost", || {
            end_with("DeleteAccessKey", Fault::LoseReply(When::After))
        }),
        trial("two active keys", || two_keys(Status::Active)),
        trial("two keys, one inactive", || two_keys(Status::Inactive)),
        trial("the new key is unusable for 5 s", || lag(Lag::seconds(5))),
        trial("the new key is unusable for 40 s", || lag(Lag::seconds(40))),
        trial("the new key works, then not, then works", || {
            lag(Lag {
                blips: vec![1, 3],
                ..Lag::calls(2)
            })
        }),
        trial("DeleteAccessKey is denied", || {
            end_with("DeleteAccessKey", denied())
        }),
        trial("CreateAccessKey is denied", || {
            with(create(denied()), ROTATE)
        }),
        trial("CreateAccessKey answers 500 once", || {
            with(create(Fault::server_error()), ROTATE)
        }),
        trial("CreateAccessKey is throttled once", || {
            with(create(Fault::throttling()), ROTATE)
        }),
        trial(
            "the store is locked between create and save",
            locked_between,
        ),
        trial("the disk is full between create and save", full_between),
        trial("the disk is full before a rotation", full_before),
        trial("six rotations at once", six_at_once),
        trial(
            "four readers while the key changes, and changes back",
            readers,
        ),
    ]
}

fn create(fault: Fault) -> Script {
    Script::default().on("CreateAccessKey", 1, fault)
}

fn denied() -> Fault {
    Fault::Refuse {
        status: 403,
        code: "AccessDenied",
        message: "User is not authorized to perform this action with an explicit deny in an identity-based policy",
    }
}

fn with(script: Script, arguments: &[&str]) -> Scene<Row> {
    let stage = Stage::new()?;
    stage.script(script);
    let first = stage.run(arguments)?;
    stage.row(&first, ROTATE)
}

/// A rotation that went well, then its end with a fault.
fn end_with(action: &str, fault: Fault) -> Scene<Row> {
    let stage = Stage::new()?;
    must(&stage.run(ROTATE)?)?;
    stage.script(Script::default().on(action, 1, fault));
    let first = stage.run(TO_THE_END)?;
    stage.row(&first, TO_THE_END)
}

fn lost_reply() -> Scene<Row> {
    let stage = Stage::new()?;
    stage.script(create(Fault::LoseReply(When::After)));
    let first = stage.run(ROTATE)?;
    kills::healed(&stage, &first, ROTATE)
}

fn network_dead() -> Scene<Row> {
    let stage = Stage::new()?;
    let dead = [
        "GetCallerIdentity",
        "GetUser",
        "ListAccessKeys",
        "UpdateAccessKey",
    ];
    let script = dead
        .iter()
        .fold(Script::default(), |script, action| match *action {
            // The lists before the create must be answered.
            "ListAccessKeys" => script,
            action => script.every(action, Fault::LoseReply(When::Before)),
        });
    stage.script(script);
    let first = stage.run(ROTATE)?;
    stage.row(&first, ROTATE)
}

fn two_keys(status: Status) -> Scene<Row> {
    let stage = Stage::new()?.with_foreign_key(status);
    let first = stage.run(ROTATE)?;
    if first.code == 0 {
        return Err("it rotated although there was no room".into());
    }
    stage.row(&first, ROTATE)
}

fn lag(lag: Lag) -> Scene<Row> {
    let stage = Stage::new()?;
    stage.home.aws.account(|account| {
        account.lags.sts.birth = lag.clone();
        account.lags.iam.birth = lag.clone();
    });
    let first = stage.run(ROTATE)?;
    stage.row(&first, ROTATE)
}

fn locked_between() -> Scene<Row> {
    let stage = Stage::sealed()?;
    let lock = stage.store.locks(&stage.home);
    stage.script(create(Fault::halt(When::After, lock)));
    let first = stage.run(ROTATE)?;
    stage.store.unlock(&stage.home)?;
    let row = kills::healed(&stage, &first, ROTATE);
    stage.store.close(&stage.home)?;
    row
}

/// The disk of whoever holds the store fills up at this request.
fn full_at(action: &str, when: When) -> Scene<Row> {
    let stage = Stage::new()?;
    let store = stage.store.clone();
    let fill = stage.strike(when, move |awskeep| {
        store.fill_disk(awskeep).expect("the limit can be set");
    });
    stage.script(Script::default().on(action, 1, fill));
    let first = stage.run(ROTATE)?;
    if first.code == 0 {
        return Err("it rotated although nothing could be saved".into());
    }
    if stage.served()? != "works (the old one)" {
        return Err("the old key is not served".into());
    }
    stage.store.free_disk();
    kills::healed(&stage, &first, ROTATE)
}

fn full_between() -> Scene<Row> {
    full_at("CreateAccessKey", When::After)
}

fn full_before() -> Scene<Row> {
    full_at("ListAccessKeys", When::Before)
}

fn six_at_once() -> Scene<Row> {
    let stage = Stage::new()?;
    let runs: Vec<Scene<Ran>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| stage.home.awskeep(ROTATE, "")))
            .collect();
        handles
            .into_iter()
            .map(|handle| {
                handle
                    .join()
                    .unwrap_or_else(|_| Err("a run panicked".into()))
            })
            .collect()
    });
    let created = stage
        .home
        .aws
        .journal()
        .iter()
        .filter(|call| call.action == "CreateAccessKey")
        .count();
    if created != 1 {
        return Err(format!("{created} keys were created"));
    }
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for ran in runs {
        *ends.entry(how(&ran?)).or_default() += 1;
    }
    let last = stage.run(ROTATE)?;
    let row = stage.row(&last, ROTATE)?;
    let ends: Vec<String> = ends
        .iter()
        .map(|(end, count)| format!("{count} × {end}"))
        .collect();
    Ok(Row {
        first: format!("{}, one key created", ends.join(", ")),
        ..row
    })
}

/// Four programs read a key and use it at once, while keys change under them.
fn readers() -> Scene<Row> {
    let stage = Stage::new()?;
    let over = AtomicBool::new(false);
    let reads = AtomicUsize::new(0);
    let read = || -> Scene<()> {
        while !over.load(Ordering::SeqCst) {
            let ran = stage.home.awskeep(&["credential-process", "work"], "")?;
            if ran.code != 0 {
                return Err(format!("a read failed: {}", ran.err));
            }
            stage.accepted(&ran.out)?;
            reads.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    };
    let rotate = || -> Scene<Ran> {
        let mut last = stage.home.awskeep(ROTATE, "")?;
        for _ in 0..CHANGES {
            must(&last)?;
            last = stage
                .home
                .awskeep(&["rotate", "work", "--undo", "--yes"], "")?;
        }
        must(&last)?;
        Ok(last)
    };
    let (rotated, read) = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
        let rotated = rotate();
        over.store(true, Ordering::SeqCst);
        let read: Scene<Vec<()>> = readers
            .into_iter()
            .map(|reader| {
                reader
                    .join()
                    .unwrap_or_else(|_| Err("a reader panicked".into()))
            })
            .collect();
        (rotated, read)
    });
    read?;
    let row = stage.row(&rotated?, ROTATE)?;
    Ok(Row {
        first: format!(
            "{} reads over {} changes of key, none failed, no key refused",
            reads.load(Ordering::SeqCst),
            CHANGES + 1
        ),
        ..row
    })
}

pub fn must(ran: &Ran) -> Scene<()> {
    match ran.code {
        0 => Ok(()),
        _ => Err(format!("{}: {}", how(ran), ran.err)),
    }
}

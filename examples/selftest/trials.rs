//! The trials: what goes wrong while a key is rotated.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::home::{Ran, Scene, text};
use crate::sim::faults::{Fault, Script, When};
use crate::sim::people::{Lag, Status};
use crate::stage::{Row, Stage, how};

/// One trial and its name in the table.
pub struct Trial {
    pub name: &'static str,
    pub play: fn() -> Scene<Row>,
}

const ROTATE: &[&str] = &["rotate", "work", "--yes"];
const TO_THE_END: &[&str] = &["rotate", "work", "--delete-now", "--yes"];

/// All of them, in the order of the table.
pub fn all() -> Vec<Trial> {
    let trial = |name, play| Trial { name, play };
    vec![
        trial("nothing", || with(Script::default(), ROTATE)),
        trial(
            "kill -9 before and after each request, rotation and deletion",
            kill_everywhere,
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
        trial("six rotations at once", six_at_once),
        trial("four readers during a rotation and its undo", readers),
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
    stage.row(&first)
}

/// A rotation that went well, then its end with a fault.
fn end_with(action: &str, fault: Fault) -> Scene<Row> {
    let stage = Stage::new()?;
    must(&stage.run(ROTATE)?)?;
    stage.script(Script::default().on(action, 1, fault));
    let first = stage.run(TO_THE_END)?;
    stage.row(&first)
}

/// Kills a rotation, and then the old key's deletion, at each of their requests.
fn kill_everywhere() -> Scene<Row> {
    let calls_of = |stage: &Stage, arguments: &[&str]| -> Scene<usize> {
        stage.home.aws.take_journal();
        must(&stage.run(arguments)?)?;
        Ok(stage.home.aws.take_journal().len())
    };
    let whole = Stage::new()?;
    let (to_rotate, to_end) = (calls_of(&whole, ROTATE)?, calls_of(&whole, TO_THE_END)?);
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    let mut trials = 0;
    for (calls, arguments) in [(to_rotate, ROTATE), (to_end, TO_THE_END)] {
        for nth in 1..=calls {
            for when in [When::Before, When::After] {
                let stage = Stage::new()?;
                if arguments == TO_THE_END {
                    must(&stage.run(ROTATE)?)?;
                }
                let nth = u32::try_from(nth).map_err(text)?;
                stage.script(Script::default().at(nth, stage.kill(when)));
                let first = stage.run(arguments)?;
                if first.code != -1 {
                    return Err(format!(
                        "request {nth} of {arguments:?}: not killed but {}",
                        how(&first)
                    ));
                }
                let row = healed(&stage, &first).map_err(|what| {
                    format!("killed {when:?} request {nth} of {arguments:?}: {what}")
                })?;
                *ends.entry(row.again).or_default() += 1;
                trials += 1;
            }
        }
    }
    let ends: Vec<String> = ends
        .iter()
        .map(|(end, count)| format!("{count} × {end}"))
        .collect();
    Ok(Row {
        first: format!("killed, {trials} times"),
        serves: "works, each time".into(),
        again: ends.join("; "),
    })
}

/// As `Stage::row`; a key whose reply was lost with the process needs a person's word.
fn healed(stage: &Stage, first: &Ran) -> Scene<Row> {
    stage.script(Script::default());
    stage.served()?;
    let again = stage.run(ROTATE)?;
    match unexplained(stage, &again) {
        None => stage.row(first),
        Some(id) => discard(stage, first, &id),
    }
}

/// The key id that a refused run names, if it asks for `--discard`.
fn unexplained(stage: &Stage, ran: &Ran) -> Option<String> {
    let asked = ran.code != 0 && ran.err.contains("--discard");
    let living = stage.home.aws.account(|account| {
        let keys = account.user("dev").living_keys();
        keys.map(|key| key.id.clone()).collect::<Vec<_>>()
    });
    living
        .into_iter()
        .find(|id| asked && ran.err.contains(&format!("--discard {id}")))
}

fn discard(stage: &Stage, first: &Ran, id: &str) -> Scene<Row> {
    must(&stage.run(&["rotate", "work", "--discard", id, "--yes"])?)?;
    let row = stage.row(first)?;
    Ok(Row {
        again: format!("{} after one --discard", row.again),
        ..row
    })
}

fn lost_reply() -> Scene<Row> {
    let stage = Stage::new()?;
    stage.script(create(Fault::LoseReply(When::After)));
    let first = stage.run(ROTATE)?;
    healed(&stage, &first)
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
    stage.row(&first)
}

fn two_keys(status: Status) -> Scene<Row> {
    let stage = Stage::new()?.with_foreign_key(status);
    let first = stage.run(ROTATE)?;
    if first.code == 0 {
        return Err("it rotated although there was no room".into());
    }
    stage.row(&first)
}

fn lag(lag: Lag) -> Scene<Row> {
    let stage = Stage::new()?;
    stage.home.aws.account(|account| {
        account.lags.sts.birth = lag.clone();
        account.lags.iam.birth = lag.clone();
    });
    let first = stage.run(ROTATE)?;
    stage.row(&first)
}

fn locked_between() -> Scene<Row> {
    let stage = Stage::sealed()?;
    let program = stage.home.program();
    let home = stage.home.path("");
    let lock = move || {
        let locked = std::process::Command::new(&program)
            .args(["store", "lock"])
            .env_clear()
            .env("HOME", &home)
            .output();
        assert!(
            locked.is_ok_and(|output| output.status.success()),
            "the store could not be locked"
        );
    };
    stage.script(create(Fault::halt(When::After, lock)));
    let first = stage.run(ROTATE)?;
    stage.home.must(&["store", "unlock"], "")?;
    let row = healed(&stage, &first);
    stage.home.must(&["store", "lock"], "")?;
    row
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
    let row = stage.row(&last)?;
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
        for arguments in [&["rotate", "work", "--undo", "--yes"][..], ROTATE] {
            must(&last)?;
            last = stage.home.awskeep(arguments, "")?;
        }
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
    let row = stage.row(&rotated?)?;
    Ok(Row {
        first: format!(
            "{} reads, none failed, no key refused",
            reads.load(Ordering::SeqCst)
        ),
        ..row
    })
}

fn must(ran: &Ran) -> Scene<()> {
    match ran.code {
        0 => Ok(()),
        _ => Err(format!("{}: {}", how(ran), ran.err)),
    }
}

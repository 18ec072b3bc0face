//! The real program killed (kill -9) before and after each of its requests.

use std::collections::BTreeMap;

use crate::home::{Ran, Scene, text};
use crate::sim::faults::{Script, When};
use crate::sim::people::{Rights, Status};
use crate::stage::{MOST_RUNS, Row, Stage, how, times};
use crate::trials::{ROTATE, TO_THE_END, must};

const UNDO: &[&str] = &["rotate", "work", "--undo", "--yes"];
const FINISH: &[&str] = &["rotate", "work", "--finish"];
const REVOKE: &[&str] = &["revoke", "work", "--yes"];
const RECOVER: &[&str] = &["recover", "work", "--via", "boss", "--yes"];

/// A command, and the stage on which it is killed.
struct Attack<'a> {
    arguments: &'a dyn Fn(&Stage) -> Vec<String>,
    stage: &'a dyn Fn() -> Scene<Stage>,
    /// Asks after each kill whether all is well, and makes it so.
    heals: &'a dyn Fn(&Stage, &Ran) -> Scene<Row>,
}

/// Kills a rotation, and then the old key's deletion.
pub fn of_rotate() -> Scene<Row> {
    of_all(&[
        Attack {
            arguments: &|_| words(ROTATE),
            stage: &Stage::new,
            heals: &|stage, first| healed(stage, first, ROTATE),
        },
        Attack {
            arguments: &|_| words(TO_THE_END),
            stage: &rotated,
            heals: &|stage, first| healed(stage, first, TO_THE_END),
        },
    ])
}

fn rotated() -> Scene<Stage> {
    let stage = Stage::new()?;
    must(&stage.run(ROTATE)?)?;
    Ok(stage)
}

/// The old key is wanted back: the next run that finishes what was begun brings it back.
pub fn of_undo() -> Scene<Row> {
    of_all(&[Attack {
        arguments: &|_| words(UNDO),
        stage: &rotated,
        heals: &|stage, first| {
            let again = again(stage, FINISH)?;
            match stage.served()?.as_str() {
                "works (the old one)" => all_is_well(stage, first, again),
                other => Err(format!("the old key is not back: {other}")),
            }
        },
    }])
}

/// A leaked key: the same command again, and it is active no more.
pub fn of_revoke() -> Scene<Row> {
    of_all(&[Attack {
        arguments: &|_| words(REVOKE),
        stage: &Stage::new,
        heals: &|stage, first| {
            stage.served()?;
            let again = again(stage, REVOKE)?;
            let leaked = stage.home.key_id.clone();
            let status = stage
                .home
                .aws
                .account(|account| account.key(&leaked).and_then(|key| key.status));
            if status == Some(Status::Active) {
                return Err("the leaked key is active".into());
            }
            all_is_well(stage, first, again)
        },
    }])
}

/// An entry whose key somebody deactivated, or deleted.
pub fn of_recover(status: Option<Status>) -> Scene<Row> {
    let dead = || {
        let stage = Stage::new()?;
        let (id, secret) = stage.home.aws.account(|account| {
            account.set_by_hand(&stage.home.key_id, status, 0);
            account.add_user("/", "boss").rights = Rights::Everybody;
            account.add_key("boss", 0)
        });
        let profile =
            format!("[boss]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        std::fs::write(stage.home.path(".aws/credentials"), profile).map_err(text)?;
        Ok(stage)
    };
    // Reactivating is answered by key id, and by nothing else.
    let recover = |stage: &Stage| {
        let mut arguments = words(RECOVER);
        if status == Some(Status::Inactive) {
            arguments.extend(["--reactivate".to_owned(), stage.home.key_id.clone()]);
        }
        arguments
    };
    of_all(&[Attack {
        arguments: &recover,
        stage: &dead,
        heals: &|stage, first| {
            let arguments = recover(stage);
            let again = again(stage, &refs(&arguments))?;
            all_is_well(stage, first, again)
        },
    }])
}

fn words(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(ToString::to_string).collect()
}

fn refs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn of_all(attacks: &[Attack<'_>]) -> Scene<Row> {
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    let mut kills = 0;
    for attack in attacks {
        let whole = (attack.stage)()?;
        whole.home.aws.take_journal();
        must(&whole.run(&refs(&(attack.arguments)(&whole)))?)?;
        let calls = u32::try_from(whole.home.aws.take_journal().len()).map_err(text)?;
        for nth in 1..=calls {
            for when in [When::Before, When::After] {
                let stage = (attack.stage)()?;
                stage.script(Script::default().at(nth, stage.kill(when)));
                let arguments = (attack.arguments)(&stage);
                let first = stage.run(&refs(&arguments))?;
                stage.script(Script::default());
                if first.code != -1 {
                    let how = how(&first);
                    return Err(format!(
                        "request {nth} of {arguments:?}: not killed but {how}"
                    ));
                }
                let row = (attack.heals)(&stage, &first).map_err(|what| {
                    format!("killed {when:?} request {nth} of {arguments:?}: {what}")
                })?;
                *ends.entry(row.again).or_default() += 1;
                kills += 1;
            }
        }
    }
    let ends: Vec<String> = ends
        .iter()
        .map(|(end, count)| format!("{count} × {end}"))
        .collect();
    Ok(Row {
        first: format!("killed, {kills} times"),
        serves: "works, each time".into(),
        again: ends.join("; "),
    })
}

/// As `Stage::row`, by the same command again; a key whose reply was lost with the process needs a person's word.
pub fn healed(stage: &Stage, first: &Ran, arguments: &[&str]) -> Scene<Row> {
    stage.script(Script::default());
    let serves = stage.served()?;
    let again = stage.run(arguments)?;
    let row = match unexplained(stage, &again) {
        None => stage.row(first, arguments),
        Some(id) => discard(stage, first, &id),
    }?;
    Ok(Row { serves, ..row })
}

/// Runs a command until it succeeds; how often, and whether a key had to be named.
fn again(stage: &Stage, arguments: &[&str]) -> Scene<String> {
    let mut named = "";
    for runs in 1..=MOST_RUNS {
        let ran = stage.run(arguments)?;
        if ran.code == 0 {
            return Ok(format!("done ({}){named}", times(runs)));
        }
        if let Some(id) = unexplained(stage, &ran) {
            must(&stage.run(&["rotate", "work", "--discard", &id, "--yes"])?)?;
            named = " after one --discard";
        }
        if runs == MOST_RUNS {
            return Err(format!("still ends with {}: {}", ran.code, ran.err));
        }
    }
    Err("it was never run".into())
}

/// A served key that works, and no key whose secret nobody has: what is left of a
/// process that died with AWS's reply unread is shown by the next rotation.
fn all_is_well(stage: &Stage, first: &Ran, again: String) -> Scene<Row> {
    let serves = stage.served()?;
    let next = stage.run(ROTATE)?;
    let again = match unexplained(stage, &next) {
        None => again,
        Some(id) => {
            must(&stage.run(&["rotate", "work", "--discard", &id, "--yes"])?)?;
            format!("{again}, one --discard")
        }
    };
    stage.served()?;
    stage.check_foreign()?;
    stage.check_explained()?;
    Ok(Row {
        first: how(first),
        serves,
        again,
    })
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
    let row = stage.row(first, ROTATE)?;
    Ok(Row {
        again: format!("{} after one --discard", row.again),
        ..row
    })
}

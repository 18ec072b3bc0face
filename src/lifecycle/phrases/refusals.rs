//! Why a run goes no further until somebody acts, in words: what is the case, and the
//! next command. Pure.

use crate::error::{Error, Kind};
use crate::lifecycle::model::CreateSaid;
use crate::lifecycle::observed::{Observed, Signed};
use crate::lifecycle::phrases::command;
use crate::lifecycle::plan::{Death, LateUse, Refusal};
use crate::sessions::obtain;
use crate::system::disk::host_in;
use crate::types::escape;
use crate::types::keys::AccessKeyId;

pub(super) fn refused(refusal: &Refusal, known: &Observed) -> Error {
    let (entry, current) = (&known.item.entry, &known.item.current.id);
    let of = |kind, what: &str| Error::new(kind, what).entry(entry);
    match refusal {
        Refusal::CurrentDead(death) => {
            let how = dead(*death);
            let what = format!("its key {current} {how}: disabled or rotated elsewhere");
            of(Kind::Aws, &what).hint(format!("awskeep recover {entry} --via PROFILE"))
        }
        Refusal::StandsInFile(place) => {
            let place = format!("{}:{}", place.path, place.line);
            let what = format!("{current} is still in {place}; who reads it there would break");
            of(Kind::PersonNeeded, &what)
                .hint("take the key lines out, or let awskeep do it: awskeep import")
        }
        Refusal::SomebodyElseRotates { host, at } => {
            let what = format!(
                "another awskeep rotates it, from {} since {at}",
                host_in(host)
            );
            of(Kind::Unfinished, &what).hint(format!("look again in 10 minutes: {}", finish(known)))
        }
        Refusal::OtherKey(id) => other_key(id, known),
        Refusal::Unexplained { id, create } => unexplained(id, create, known),
        Refusal::EarlierRequest => {
            let what =
                "AWS says there are two keys, and lists one: an earlier request is still arriving";
            of(Kind::Unfinished, what).hint(format!("in a minute: {}", finish(known)))
        }
        Refusal::WrongPending { id, said } => {
            let what = format!("{id} is not put into service, and kept: {said}");
            of(Kind::Aws, &what).hint(match known.signed {
                Signed::ByCurrent => format!("delete it: awskeep rotate {entry} --undo"),
                Signed::ByOther { .. } => if_nobody_needs(id, known),
            })
        }
        Refusal::PendingDeactivated(id) => {
            let what = format!("the new key {id} was deactivated before it was in service");
            of(Kind::PersonNeeded, &what).hint(format!(
                "activate it at AWS, or delete it: awskeep rotate {entry} --undo"
            ))
        }
        Refusal::UndoGone(id) => undo_gone(id, known),
        Refusal::Revoked(id) => revoked(id, known),
        Refusal::Reactivated(id) => reactivated(id, known),
        Refusal::KeptForSender(id) => {
            let previous = known.item.previous.as_ref();
            let sender = previous.and_then(|slot| slot.kept_for.as_deref());
            let sender = sender.unwrap_or("another awskeep");
            let what = format!(
                "the replaced key {id} is deleted by {sender}, which sent the new one; AWS allows no third key until then"
            );
            of(Kind::Unfinished, &what).hint(format!("once it is deleted: awskeep rotate {entry}"))
        }
        Refusal::UsedLate { id, use_of } => of(Kind::PersonNeeded, &used_late(id, use_of)).hint(
            format!("find who uses it; then: awskeep rotate {entry} --retire-now"),
        ),
        Refusal::StrangeStatus(id) => {
            let what = format!("AWS gives {id} a status that this awskeep does not know");
            of(Kind::PersonNeeded, &what).hint("update awskeep")
        }
        Refusal::TwoKeys => two_keys(known),
        Refusal::WouldLose(id) => {
            let what = format!(
                "the new key {id} of an unfinished rotation is kept here, and a newer one would take its place"
            );
            of(Kind::PersonNeeded, &what).hint(if_nobody_needs(id, known))
        }
        Refusal::NeedsMfa => obtain::needed(&command(known), entry),
        Refusal::DamagedItem => of(
            Kind::Store,
            &format!("the stored item has {current} in two places"),
        )
        .hint(format!("awskeep add {entry} --replace")),
    }
}

/// What does what is left once there is nothing to wait for.
fn finish(known: &Observed) -> String {
    match known.signed {
        Signed::ByCurrent => format!("awskeep rotate {} --finish", known.item.entry),
        Signed::ByOther { .. } => command(known),
    }
}

fn if_nobody_needs(id: &AccessKeyId, known: &Observed) -> String {
    let user = user_name(known);
    let user = escape::argument(user);
    format!(
        "if nobody needs {id}: aws iam delete-access-key --user-name {user} --access-key-id {id}"
    )
}

fn user_name(known: &Observed) -> &str {
    let identity = known.item.identity.as_ref();
    identity.map_or("", |identity| identity.arn.user_name())
}

fn two_keys(known: &Observed) -> Error {
    let (entry, user, keys) = (&known.item.entry, user_name(known), keys_told(known));
    let message = format!("{user} has two keys, and AWS allows no third\n{keys}");
    let refusal = Error::new(Kind::PersonNeeded, message).entry(entry);
    let listed = known.listed().iter();
    listed.fold(refusal, |failure, key| {
        failure.hint(if_nobody_needs(&key.id, known))
    })
}

fn dead(death: Death) -> &'static str {
    match death {
        Death::Inactive => "is not active at AWS",
        Death::NotAccepted => "is not accepted by AWS any more",
        Death::Gone => "no longer exists in AWS",
    }
}

fn used_late(id: &AccessKeyId, use_of: &LateUse) -> String {
    let LateUse {
        time,
        service,
        region,
    } = use_of;
    format!(
        "the replaced key {id} was used at {time} ({service} in {region}), after every lease on it was over; it stays active"
    )
}

fn undo_gone(id: &AccessKeyId, known: &Observed) -> Error {
    let (entry, current) = (&known.item.entry, &known.item.current.id);
    Error::new(
        Kind::NotFound,
        format!("{id} is deleted at AWS and cannot be brought back; {current} stays in service"),
    )
    .entry(entry)
    .hint(format!("awskeep rotate {entry} --finish"))
}

/// For a key that a person said has leaked.
pub(super) fn revoked(id: &AccessKeyId, known: &Observed) -> Error {
    let (entry, current) = (&known.item.entry, &known.item.current.id);
    Error::new(
        Kind::NotFound,
        format!("{id} was revoked, and is never brought back; {current} stays in service"),
    )
    .entry(entry)
    .hint(format!("awskeep rotate {entry} --finish"))
}

fn reactivated(id: &AccessKeyId, known: &Observed) -> Error {
    let entry = &known.item.entry;
    Error::new(
        Kind::PersonNeeded,
        format!("the replaced key {id} was activated again; nothing is done with it"),
    )
    .entry(entry)
    .hint(format!(
        "deactivate it again: awskeep rotate {entry} --retire-now"
    ))
    .hint(format!("or bring it back: awskeep rotate {entry} --undo"))
}

fn other_key(id: &AccessKeyId, known: &Observed) -> Error {
    let (entry, keys) = (&known.item.entry, keys_told(known));
    Error::new(
        Kind::PersonNeeded,
        format!("its IAM user has another key, and AWS allows two\n{keys}"),
    )
    .entry(entry)
    .hint(format!(
        "if nothing uses {id}: awskeep rotate {entry} --discard {id}"
    ))
}

fn unexplained(id: &AccessKeyId, create: &CreateSaid, known: &Observed) -> Error {
    let entry = &known.item.entry;
    let why = match create {
        CreateSaid::MadeButLost => "AWS made it just now, and its secret was lost on the way",
        CreateSaid::NoAnswer => {
            "AWS very likely made it just now: the answer to our request was lost"
        }
        CreateSaid::Unclear(_) => {
            "AWS may have made it just now: the answer to our request does not say"
        }
        CreateSaid::NotAsked | CreateSaid::LimitExceeded => {
            "a rotation that was interrupted may have made it, or an administrator did"
        }
    };
    Error::new(
        Kind::PersonNeeded,
        format!(
            "{id} is there, and only you can know whose it is: {why}\n{}",
            keys_told(known)
        ),
    )
    .entry(entry)
    .hint(format!(
        "if nobody uses {id}, delete it and continue: awskeep rotate {entry} --discard {id}"
    ))
}

/// Every listed key on a line: status, age, whether it is the entry's own.
fn keys_told(known: &Observed) -> String {
    let lines = known.listed().iter().map(|key| {
        let age = key.created_at.map_or("age not known".to_owned(), |at| {
            format!("made {at}, {} ago", known.now().since(at).rough())
        });
        let mine = known
            .item
            .slots()
            .find(|(_, slot)| slot.id == key.id)
            .map_or("not this entry's".to_owned(), |(name, _)| name.to_string());
        format!("  {} {:?}, {age}, {mine}", key.id, key.status)
    });
    lines.collect::<Vec<_>>().join("\n")
}

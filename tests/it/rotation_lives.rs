//! Lives of an entry in a world where things go wrong: a person who rotates, undoes,
//! revokes or recovers, runs it again until it is done, and does what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use awskeep::error::Result;
use awskeep::lifecycle::execute::{Promoted, RunResult};
use awskeep::lifecycle::model::{MakeRoom, Request, RetireMode, Trigger};
use awskeep::lifecycle::plan::{Refusal, Step, Wait};
use awskeep::types::keys::AccessKeyId;
use awskeep::types::lease::Attended;
use awskeep::types::time::Timestamp;

use crate::rotation_world::{Event, Pacing, USER, Which, World, request, rotate};
use crate::sim::people::Status;

pub const DAY: i64 = 86_400;

/// How often a person runs it again before they give up.
const RERUNS: usize = 12;

/// Which life a schedule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    /// Rotate; retire a day later; delete two weeks later.
    Plain,
    /// Rotate; retire; bring the old key back while it is held; retire the other.
    Undone,
    /// The key has leaked: a new one, and the old one inactive at once.
    Revoked,
    /// Somebody deactivated the key; with an admin's rights it is back.
    Reactivated,
    /// Somebody deleted the key; an admin's rights make a new one.
    Reissued,
    /// Somebody deleted the new key; an admin's rights put the replaced one back.
    Restored,
}

/// What a life came to.
pub struct Lived {
    pub effects: usize,
    /// Writes that fell on what their writer had not seen: stores know no
    /// compare-and-swap, and no lock reached.
    pub overwrites: usize,
}

/// Lives one life, and checks it.
pub fn live(story: Story, pacing: Pacing, events: &[(usize, Event)]) -> Lived {
    let world = World::new(pacing, events);
    let first = world.item().current.id;
    match story {
        Story::Plain | Story::Undone => rotate_until_in_service(&world),
        Story::Revoked => {
            revoke_until_inactive(&world);
            check_leaked(&world, &first);
        }
        Story::Reactivated => {
            world.person_sets(Which::Current, Some(Status::Inactive));
            recover_until_served(&world);
        }
        Story::Reissued => {
            world.person_sets(Which::Current, None);
            recover_until_served(&world);
        }
        Story::Restored => {
            rotate_until_in_service(&world);
            world.advance(700);
            world.person_sets(Which::Current, None);
            recover_until_served(&world);
        }
    }
    // A person finishes too early; a day later what runs by itself does.
    world.advance(600);
    drop(world.run(attended(Trigger::Finish, RetireMode::No)));
    world.advance(25 * 3_600);
    finish_for_a_while(&world);
    if story == Story::Undone && world.item().previous.is_some() {
        undo_until_done(&world);
        world.advance(25 * 3_600);
        finish_for_a_while(&world);
    }
    world.advance(15 * DAY);
    finish_for_a_while(&world);
    settle_what_people_did(&world);
    check_end(&world);
    if story == Story::Revoked {
        check_leaked(&world, &first);
    }
    Lived {
        effects: world.effects.get(),
        overwrites: world.store.overwrites(),
    }
}

/// The leaked key is dead, unless a person had it brought back: by hand, or because
/// they deleted the key that replaced it.
fn check_leaked(world: &World, leaked: &AccessKeyId) {
    let watch = &world.watch;
    let aws = world.aws.account.borrow();
    let status = aws.key(leaked.as_str()).and_then(|key| key.status);
    let by_a_person =
        watch.activated.borrow().contains(leaked.as_str()) || watch.meddled_to_death();
    assert!(
        status != Some(Status::Active) || by_a_person,
        "the leaked key is active"
    );
}

/// A person who runs `rotate` until a new key is in service, doing what it says.
pub fn rotate_until_in_service(world: &Rc<World>) {
    for _ in 0..RERUNS {
        let trigger = match world.item().current.promoted_at {
            Some(_) => Trigger::Finish,
            None => Trigger::Now,
        };
        if let Some(Ok(ended)) = world.run(request(trigger)) {
            if ended.promoted == Promoted::Yes || world.item().current.promoted_at.is_some() {
                return;
            }
            obey(world, &ended.step);
        }
        world.mend_clock();
        world.advance(70);
    }
}

/// Does what a refusal asks of a person.
fn obey(world: &Rc<World>, step: &Step) {
    match step {
        Step::Refuse(Refusal::Unexplained { id, .. } | Refusal::OtherKey(id)) => {
            if world.person_removes(id.as_str()) {
                return;
            }
            let mut named = world.watch.named.borrow_mut();
            named.insert(id.to_string());
            drop(named);
            let mut discard = request(Trigger::Now);
            discard.discard = Some(id.clone());
            drop(world.run(discard));
        }
        Step::Refuse(Refusal::CurrentDead(_)) => {
            let current = world.item().current.id;
            // Where a person deleted a key, another one may have come back too early.
            let watch = &world.watch;
            assert!(
                watch.was_touched(current.as_str()) || watch.meddled_to_death(),
                "{current} is said to be dead, and nobody touched it"
            );
            world.person_relents();
            let living = world.aws.account.borrow();
            let gone = living
                .key(current.as_str())
                .is_none_or(|key| key.status.is_none());
            drop(living);
            if gone {
                recover_until_served(world);
            }
        }
        Step::Refuse(Refusal::PendingDeactivated(id)) => {
            assert!(world.watch.was_touched(id.as_str()), "nobody touched {id}");
            world.person_relents();
        }
        Step::Wait(
            Wait::CurrentUnseen | Wait::GoneUnsure { .. } | Wait::PendingNotProven { .. },
        ) => {
            world.advance(16 * 60);
        }
        Step::Refuse(Refusal::SomebodyElseRotates { .. }) => world.advance(11 * 60),
        _ => {}
    }
}

pub fn finish_for_a_while(world: &Rc<World>) {
    for _ in 0..RERUNS {
        if let Some(Ok(ended)) = world.run(request(Trigger::Finish)) {
            let at_rest = matches!(
                ended.step,
                Step::Done
                    | Step::Wait(Wait::Held { .. } | Wait::Leased { .. } | Wait::NextSession)
            );
            if at_rest {
                return;
            }
            obey(world, &ended.step);
        }
        world.mend_clock();
        world.advance(150);
    }
}

fn undo_until_done(world: &Rc<World>) {
    let wanted = world.item().previous.map(|slot| slot.id);
    let mut gone = false;
    for _ in 0..RERUNS {
        let ran = undo(world);
        if let Some(Ok(ended)) = &ran {
            gone |= matches!(ended.step, Step::Refuse(Refusal::UndoGone(_)));
        }
        if world.item().undo_wanted_at.is_none() {
            break;
        }
        if let Some(Ok(ended)) = ran {
            obey(world, &ended.step);
        }
        world.mend_clock();
        world.advance(150);
    }
    let item = world.item();
    assert_eq!(
        item.undo_wanted_at, None,
        "the undo does not come to an end"
    );
    assert!(
        gone || Some(item.current.id) == wanted,
        "the old key is not back"
    );
}

/// A person asks for the old key back.
fn undo(world: &Rc<World>) -> Option<Result<RunResult>> {
    let mut item = world.item();
    item.undo_wanted_at = Some(Timestamp(world.aws_now()));
    world.vault.save(&item).unwrap();
    world.watch.undoing.set(true);
    world.run(request(Trigger::Finish))
}

/// `revoke`, again and again, until the first key is not active.
fn revoke_until_inactive(world: &Rc<World>) {
    world.watch.hurried.set(true);
    let leaked = world.item().current.id;
    for _ in 0..RERUNS {
        let item = world.item();
        let held = item.previous.as_ref().filter(|slot| slot.id == leaked);
        if item.current.id != leaked && held.is_none_or(|slot| slot.inactive_seen_at.is_some()) {
            return;
        }
        let trigger = match item.current.id == leaked {
            true => Trigger::Now,
            false => Trigger::Finish,
        };
        let request = Request {
            make_room: MakeRoom::Yes,
            ..attended(trigger, RetireMode::Retire)
        };
        let ran = world.attempt(|world| {
            world.with_tools(|tools| rotate(tools, &world.entry, &world.identity, request))
        });
        if let Some(Ok(ended)) = ran {
            obey(world, &ended.step);
        }
        world.mend_clock();
        world.advance(70);
    }
}

fn attended(trigger: Trigger, retire: RetireMode) -> Request {
    Request {
        attended: Attended::Yes,
        retire,
        ..request(trigger)
    }
}

/// `recover --via` an admin's profile, until a key is served that works.
fn recover_until_served(world: &Rc<World>) {
    for _ in 0..RERUNS {
        match world.recover().map(|ran| ran.map(|ended| ended.step)) {
            Some(Ok(Step::Done)) => return,
            Some(Ok(Step::Refuse(Refusal::TwoKeys))) => admin_makes_room(world),
            _ => {}
        }
        world.mend_clock();
        world.advance(700);
    }
}

/// Two keys, none of them the entry's: the admin deletes what nobody explains.
fn admin_makes_room(world: &Rc<World>) {
    let extra = unexplained(world);
    let foreign = world.watch.foreign.borrow().clone();
    let mut aws = world.aws.account.borrow_mut();
    for id in extra.iter().chain(&foreign) {
        if aws.key(id).is_some_and(|key| key.status.is_some()) {
            aws.set_by_hand(id, None, world.aws_now());
        }
    }
    world.watch.named.borrow_mut().extend(extra);
}

/// What a person began, they end; then awskeep gets its last runs.
fn settle_what_people_did(world: &Rc<World>) {
    world.calm.set(true);
    world.person_relents();
    world.mend_clock();
    for _ in 0..6 {
        // What they did last, lists show by now.
        world.advance(700);
        finish_for_a_while(world);
        let item = world.item();
        let in_flight = item.previous.is_some() || item.pending.is_some() || item.intent.is_some();
        let rotated = item.current.promoted_at.is_some();
        let left = unexplained(world);
        if !in_flight && rotated && left.is_empty() {
            return;
        }
        if !rotated {
            rotate_until_in_service(world);
        } else if !in_flight && let Some(Ok(ended)) = world.run(request(Trigger::Now)) {
            // It is in nobody's way until the next rotation, which must show it.
            assert!(
                names_one_of(&ended.step, &left),
                "{left:?} is nobody's, and is not shown: {:?}",
                ended.step
            );
            obey(world, &ended.step);
        }
        world.advance(25 * 3_600);
        finish_for_a_while(world);
        world.advance(15 * DAY);
        finish_for_a_while(world);
    }
}

fn names_one_of(step: &Step, ids: &BTreeSet<String>) -> bool {
    match step {
        Step::Refuse(Refusal::OtherKey(id) | Refusal::Unexplained { id, .. }) => {
            ids.contains(id.as_str())
        }
        // It shows once the list has caught up.
        Step::Refuse(Refusal::EarlierRequest | Refusal::CurrentDead(_)) => true,
        _ => false,
    }
}

/// Living keys that are in no slot, and that no person made.
fn unexplained(world: &World) -> BTreeSet<String> {
    let item = world.item();
    let aws = world.aws.account.borrow();
    let foreign = world.watch.foreign.borrow();
    let living = aws.user(USER).living_keys().map(|key| key.id.clone());
    living
        .filter(|id| item.slots().all(|(_, slot)| slot.id.as_str() != id) && !foreign.contains(id))
        .collect()
}

/// Promise 3: one current key, nothing lost, no key whose secret nobody has.
fn check_end(world: &Rc<World>) {
    let watch = &world.watch;
    let last = world
        .run(request(Trigger::Finish))
        .map(|ended| ended.map(|ended| ended.step));
    let item = world.item();
    let current = item.current.id.to_string();
    assert!(
        item.current.promoted_at.is_some(),
        "it was never rotated: {last:?} {item:?}"
    );
    let aws = world.aws.account.borrow();
    let foreign = watch.foreign.borrow();
    let mut others: BTreeMap<String, Status> = aws
        .user(USER)
        .living_keys()
        .map(|key| (key.id.clone(), key.status.unwrap()))
        .collect();
    assert_eq!(
        others.remove(&current),
        Some(Status::Active),
        "{last:?} {item:?}"
    );
    others.retain(|id, _| !foreign.contains(id));
    let activated = watch.activated.borrow();
    if let Some(previous) = &item.previous {
        let id = previous.id.as_str();
        assert!(
            activated.contains(id),
            "{id} should be gone: {last:?} {item:?}"
        );
        assert_eq!(others.remove(id), Some(Status::Active));
    }
    assert_eq!(
        others,
        BTreeMap::new(),
        "keys that nobody has: {last:?} {item:?}"
    );
    assert_eq!(
        (&item.pending, &item.intent),
        (&None, &None),
        "{last:?} {item:?}"
    );
    // Only a reply that was never received needs a person's word; and a key that was
    // overwritten where no lock reaches.
    if world.store.overwrites() > 0 {
        return;
    }
    let received = watch.delivered.borrow();
    for id in watch.named.borrow().iter() {
        assert!(
            !received.contains(id) || watch.was_deleted(id),
            "{id} was asked about, though its reply was received"
        );
    }
}

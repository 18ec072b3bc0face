//! Tries to break a rotation: kills it before and after every effect, in pairs
//! with every fault, with people and other rotators in the way, and checks the
//! promises at every effect and at the end.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Mutex;

use awskeep::rotation::known::Demand;
use awskeep::rotation::plan::{Refusal, Step, Wait};
use awskeep::rotation::run::Promoted;

use crate::rotation_world::{Event, Pacing, USER, Which, World, policy};
use crate::sim::people::Status;

const DAY: i64 = 86_400;

/// How often a person runs it again before they give up.
const RERUNS: usize = 12;

pub const CRASHES: [Event; 3] = [
    Event::CrashBefore,
    Event::CrashAfter,
    Event::LateAndCrash(40),
];

pub const FAULTS: [Event; 10] = [
    Event::LostBefore,
    Event::LostAfter,
    Event::Unreadable,
    Event::Late(1),
    Event::Late(50),
    Event::Throttled,
    Event::ServerError,
    Event::Denied,
    Event::LimitExceeded,
    Event::SecondRotator,
];

pub const PEOPLE: [Event; 6] = [
    Event::PersonCreates,
    Event::PersonDeactivates(Which::Current),
    Event::PersonDeactivates(Which::Pending),
    Event::PersonDeactivates(Which::Previous),
    Event::PersonActivates(Which::Previous),
    Event::ClockJumps(DAY),
];

/// Which life a schedule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    /// Rotate; retire a day later; delete two weeks later.
    Plain,
    /// Rotate; retire; bring the old key back while it is held; retire the other.
    Undone,
}

/// Lives one life; how many effects it had.
fn live(story: Story, pacing: Pacing, events: &[(usize, Event)]) -> usize {
    let world = World::new(pacing, events);
    rotate_until_in_service(&world);
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
    world.effects.get()
}

/// A person who runs `rotate` until a new key is in service, doing what it says.
pub fn rotate_until_in_service(world: &Rc<World>) {
    for _ in 0..RERUNS {
        let demand = match world.item().current.promoted_at {
            Some(_) => Demand::Finish,
            None => Demand::Now,
        };
        if let Some(Ok(ended)) = world.run(policy(demand)) {
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
            world.named.borrow_mut().insert(id.to_string());
            let mut discard = policy(Demand::Now);
            discard.discard = Some(id.clone());
            drop(world.run(discard));
        }
        Step::Refuse(Refusal::CurrentDead(_) | Refusal::PendingDeactivated(_)) => {
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
        if let Some(Ok(ended)) = world.run(policy(Demand::Finish)) {
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
    for _ in 0..RERUNS {
        let ran = world.undo();
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
    assert_eq!(Some(item.current.id), wanted, "the old key is not back");
}

/// What a person began, they end; then awskeep gets its last runs.
fn settle_what_people_did(world: &Rc<World>) {
    world.calm.set(true);
    world.person_relents();
    world.mend_clock();
    for _ in 0..3 {
        let item = world.item();
        let at_rest = item.previous.is_none() && item.pending.is_none() && item.intent.is_none();
        if at_rest && item.current.promoted_at.is_some() {
            return;
        }
        rotate_if_never(world);
        world.advance(25 * 3_600);
        finish_for_a_while(world);
        world.advance(15 * DAY);
        finish_for_a_while(world);
    }
}

pub fn rotate_if_never(world: &Rc<World>) {
    if world.item().current.promoted_at.is_none() {
        rotate_until_in_service(world);
    }
}

/// Promise 3: one current key, nothing lost, no key whose secret nobody has.
fn check_end(world: &Rc<World>) {
    let last = world
        .run(policy(Demand::Finish))
        .map(|ended| ended.map(|ended| ended.step));
    let item = world.item();
    let current = item.current.id.to_string();
    assert!(
        item.current.promoted_at.is_some(),
        "it was never rotated: {last:?} {item:?}"
    );
    let aws = world.aws.account.borrow();
    let foreign = world.foreign.borrow();
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
    let activated = world.activated.borrow();
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
    // Only a reply that was never received needs a person's word.
    let received = world.delivered.borrow();
    for id in world.named.borrow().iter() {
        assert!(
            !received.contains(id),
            "{id} was asked about, though its reply was received"
        );
    }
}

type Schedule = (Story, Pacing, Vec<(usize, Event)>);

/// Every single event everywhere; then pairs of a crash and anything later.
fn schedules() -> Vec<Schedule> {
    let mut all = Vec::new();
    for (story, pacing) in [
        (Story::Plain, Pacing::AtOnce),
        (Story::Plain, Pacing::Slow),
        (Story::Undone, Pacing::AtOnce),
        (Story::Undone, Pacing::Slow),
    ] {
        let effects = live(story, pacing, &[]);
        let events = || CRASHES.into_iter().chain(FAULTS).chain(PEOPLE);
        for at in 0..effects {
            for event in events() {
                all.push((story, pacing, vec![(at, event)]));
            }
        }
        for first in 0..effects {
            for second in first + 1..effects + 12 {
                for (one, other) in pairs() {
                    all.push((story, pacing, vec![(first, one), (second, other)]));
                }
            }
        }
    }
    all
}

/// A crash with everything, and everything with a crash.
fn pairs() -> impl Iterator<Item = (Event, Event)> {
    let others = || FAULTS.into_iter().chain(PEOPLE);
    let crash_first = CRASHES
        .into_iter()
        .flat_map(move |crash| others().chain(CRASHES).map(move |other| (crash, other)));
    let crash_second = CRASHES
        .into_iter()
        .flat_map(move |crash| others().map(move |other| (other, crash)));
    crash_first.chain(crash_second)
}

/// All singles; of the pairs as many as `AWSKEEP_SCHEDULES` says (`all` for all),
/// spread evenly.
fn chosen() -> Vec<Schedule> {
    let all = schedules();
    let wanted = std::env::var("AWSKEEP_SCHEDULES").unwrap_or_else(|_| "3000".into());
    let (mut chosen, pairs): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|(_, _, events)| events.len() == 1);
    let every = match wanted.parse::<usize>() {
        Ok(count) => (pairs.len() / count.max(1)).max(1),
        Err(_) => 1,
    };
    // A step that shares no factor with the number of events meets all kinds.
    let every = if every > 1 { every | 1 } else { every };
    chosen.extend(pairs.into_iter().step_by(every));
    chosen
}

#[test]
fn no_schedule_breaks_a_promise() {
    let all = chosen();
    let count = all.len();
    let broken = Mutex::new(Vec::new());
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for part in all.chunks(count.div_ceil(2)) {
            let broken = &broken;
            scope.spawn(move || {
                for (story, pacing, events) in part {
                    let lived = std::panic::catch_unwind(|| live(*story, *pacing, events));
                    if let Err(cause) = lived {
                        let why = cause
                            .downcast_ref::<String>()
                            .cloned()
                            .or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string));
                        let why = why.unwrap_or_default();
                        broken
                            .lock()
                            .unwrap()
                            .push(format!("{story:?} {pacing:?} {events:?}: {why}"));
                    }
                }
            });
        }
    });
    std::panic::set_hook(hook);
    let broken = broken.into_inner().unwrap();
    println!("{count} schedules, {} broke a promise", broken.len());
    let shown: Vec<&String> = broken.iter().take(400).collect();
    assert!(broken.is_empty(), "{} of {count}: {shown:#?}", broken.len());
}

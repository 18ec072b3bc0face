//! Tries to break a rotation: kills it before and after every effect, in pairs and
//! triples with every fault, with people and other rotators in the way, and checks
//! the promises at every effect and at the end. Deterministic: the same schedules in
//! every run.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::rotation_lives::{DAY, Story, live};
use crate::rotation_world::{Event, Pacing, Then, Which};

pub const CRASHES: [Event; 4] = [
    Event::CrashBefore,
    Event::CrashAfter,
    Event::LateAndCrash(3),
    Event::LateAndCrash(40),
];

pub const FAULTS: [Event; 9] = [
    Event::LostBefore,
    Event::LostAfter,
    Event::Unreadable,
    Event::Late(1),
    Event::Late(50),
    Event::Throttled,
    Event::ServerError,
    Event::Denied,
    Event::LimitExceeded,
];

pub const PEOPLE: [Event; 10] = [
    Event::PersonCreates,
    Event::PersonDeactivates(Which::Current),
    Event::PersonDeactivates(Which::Pending),
    Event::PersonDeactivates(Which::Previous),
    Event::PersonActivates(Which::Previous),
    Event::PersonActivates(Which::Pending),
    Event::PersonActivates(Which::Current),
    Event::PersonDeletes(Which::Pending),
    Event::PersonDeletes(Which::Previous),
    Event::PersonDeletes(Which::Current),
];

const CLOCKS: [Event; 3] = [
    Event::ClockJumps(DAY),
    Event::ClockJumps(-DAY),
    Event::ClockJumps(600),
];

/// With the lock, and where none reaches: from here to its end; some effects, and
/// the rest after the first one's end; some effects, and then it dies.
pub const ROTATORS: [Event; 6] = [
    Event::SecondInLine,
    Event::Second(usize::MAX, Then::GoesOn),
    Event::Second(3, Then::GoesOn),
    Event::Second(8, Then::GoesOn),
    Event::Second(5, Then::Dies),
    Event::Second(7, Then::Dies),
];

const STORIES: [Story; 6] = [
    Story::Plain,
    Story::Undone,
    Story::Revoked,
    Story::Reactivated,
    Story::Reissued,
    Story::Restored,
];

const PACINGS: [Pacing; 3] = [Pacing::AtOnce, Pacing::Slow, Pacing::Glacial];

/// One schedule: a life, AWS's pace, and what happens at which effect.
type Schedule = (Story, Pacing, Vec<(usize, Event)>);

/// Lives all of a kind that one test is about, and reports the broken ones.
fn try_all(what: &str, all: &[Schedule]) {
    let count = all.len();
    let next = AtomicUsize::new(0);
    let broken = Mutex::new(BTreeMap::new());
    let overwrote = AtomicUsize::new(0);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((story, pacing, events)) =
                    all.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    let lived = std::panic::catch_unwind(|| live(*story, *pacing, events));
                    let cause = match lived {
                        Ok(life) => {
                            overwrote.fetch_add(life.overwrites.min(1), Ordering::SeqCst);
                            continue;
                        }
                        Err(cause) => cause,
                    };
                    let why = cause
                        .downcast_ref::<String>()
                        .cloned()
                        .or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string));
                    let schedule = format!("{story:?} {pacing:?} {events:?}");
                    broken.lock().unwrap().insert(schedule, why);
                }
            });
        }
    });
    std::panic::set_hook(hook);
    let broken = broken.into_inner().unwrap();
    println!(
        "{what}: {count} schedules, {} broke a promise; in {} a write fell on another's",
        broken.len(),
        overwrote.into_inner()
    );
    let shown: Vec<_> = broken.iter().take(40).collect();
    assert!(
        broken.is_empty(),
        "{what}: {} of {count}: {shown:#?}",
        broken.len()
    );
}

/// Each story at each pace, and how many effects it has when nothing goes wrong.
fn lives() -> impl Iterator<Item = (Story, Pacing, usize)> {
    STORIES
        .into_iter()
        .flat_map(|story| PACINGS.map(|pacing| (story, pacing, live(story, pacing, &[]).effects)))
}

/// All that is no crash.
fn others() -> Vec<Event> {
    let all = [&FAULTS[..], &PEOPLE, &CLOCKS, &ROTATORS];
    all.concat()
}

/// How many of a test's schedules with more than one event are lived, which are too many
/// for each run of the tests: `AWSKEEP_SCHEDULES=full` before a release, `all` for every one.
pub fn wanted(by_default: usize, full: usize) -> usize {
    match std::env::var("AWSKEEP_SCHEDULES").as_deref() {
        Ok("full") => full,
        Ok("all") => usize::MAX,
        Ok(count) => count.parse().expect("full, all or a number"),
        Err(_) => by_default,
    }
}

/// Of so many as there are, `wanted`, spread evenly.
pub fn spread(all: usize, wanted: usize) -> impl Iterator<Item = usize> {
    let every = (all / wanted.max(1)).max(1);
    // A step that shares no small factor with the kinds of events meets all kinds.
    let every = (every..).find(|n| [2, 3, 5, 7].iter().all(|p| *n == 1 || n % p != 0));
    (0..all).step_by(every.unwrap_or(1))
}

/// Every event at every effect of every story, at one pace of AWS's.
fn one_event_anywhere(pacing: Pacing) {
    let mut all: Vec<Schedule> = Vec::new();
    for (story, _, effects) in lives().filter(|life| life.1 == pacing) {
        for at in 0..effects {
            for event in CRASHES.into_iter().chain(others()) {
                all.push((story, pacing, vec![(at, event)]));
            }
        }
    }
    try_all(&format!("one event, {pacing:?}"), &all);
}

#[test]
fn one_event_anywhere_breaks_no_promise() {
    one_event_anywhere(Pacing::AtOnce);
}

#[test]
fn one_event_anywhere_breaks_no_promise_where_aws_is_slow() {
    one_event_anywhere(Pacing::Slow);
}

#[test]
fn one_event_anywhere_breaks_no_promise_where_aws_is_glacial() {
    one_event_anywhere(Pacing::Glacial);
}

#[test]
fn a_crash_and_any_other_event_break_no_promise() {
    let mut all: Vec<Schedule> = Vec::new();
    let pairs: Vec<(Event, Event)> = CRASHES
        .into_iter()
        .flat_map(|crash| {
            let with = move |other| [(crash, other), (other, crash)];
            others()
                .into_iter()
                .flat_map(with)
                .chain(CRASHES.map(|again| (crash, again)))
        })
        .collect();
    let lives: Vec<_> = lives().collect();
    // A second event may come later than the undisturbed life is long.
    let places = |effects: usize| effects * (effects + 23) / 2;
    let total: usize = lives.iter().map(|life| places(life.2) * pairs.len()).sum();
    let chosen: Vec<usize> = spread(total, wanted(3_000, 10_000)).collect();
    let mut chosen = chosen.into_iter().peekable();
    let mut number = 0;
    for (story, pacing, effects) in lives {
        for first in 0..effects {
            for second in first + 1..effects + 12 {
                for (one, other) in &pairs {
                    if chosen.next_if_eq(&number).is_some() {
                        all.push((story, pacing, vec![(first, *one), (second, *other)]));
                    }
                    number += 1;
                }
            }
        }
    }
    assert_eq!(number, total);
    println!("{total} pairs there are");
    try_all("a crash and another event", &all);
}

#[test]
fn two_crashes_and_any_other_event_break_no_promise() {
    let kinds: Vec<[Event; 3]> = CRASHES
        .into_iter()
        .flat_map(|one| CRASHES.map(|again| (one, again)))
        .flat_map(|(one, again)| others().into_iter().map(move |other| [one, again, other]))
        .collect();
    // Where the three stand: the crashes in their order, the other before, between, after.
    let orders = [[0, 1, 2], [0, 2, 1], [2, 0, 1]];
    let mut places = Vec::new();
    for (story, pacing, effects) in lives() {
        for first in 0..effects {
            for (gap, next) in [(1, 1), (1, 9), (4, 2), (9, 5), (17, 14)] {
                let at = [first, first + gap, first + gap + next];
                places.extend(orders.map(|order| (story, pacing, at, order)));
            }
        }
    }
    let total = places.len() * kinds.len();
    let all: Vec<Schedule> = spread(total, wanted(1_000, 4_000))
        .map(|number| {
            let (story, pacing, at, order) = places[number / kinds.len()];
            let events = kinds[number % kinds.len()];
            let events = (0..3).map(|n| (at[n], events[order[n]]));
            (story, pacing, events.collect())
        })
        .collect();
    println!("{total} triples there are");
    try_all("two crashes and another event", &all);
}

/// Where no lock reaches: each effect of one rotator between any two of the other; by
/// default not each where AWS is slow.
#[test]
fn two_rotators_in_any_order_lose_nothing() {
    let mut all: Vec<Schedule> = Vec::new();
    let mut at_once = 0;
    for pacing in PACINGS {
        let effects = live(Story::Plain, pacing, &[]).effects;
        for at in 0..effects {
            for done in 1..22 {
                for then in [Then::GoesOn, Then::Dies] {
                    all.push((Story::Plain, pacing, vec![(at, Event::Second(done, then))]));
                }
            }
        }
        if pacing == Pacing::AtOnce {
            at_once = all.len();
        }
    }
    let late = all.split_off(at_once);
    all.extend(spread(late.len(), wanted(1_500, usize::MAX)).map(|n| late[n].clone()));
    try_all("two rotators", &all);
}

/// Its pauses differ from run to run: what was asked without an answer is not asked again
/// because another key was deleted meanwhile.
#[test]
fn a_key_that_was_deleted_makes_no_lost_request_good() {
    let events = [(5, Event::LateAndCrash(3)), (8, Event::LostAfter)];
    for _ in 0..40 {
        live(Story::Undone, Pacing::Slow, &events);
    }
}

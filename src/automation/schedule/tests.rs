use crate::automation::schedule::*;
use crate::types::keys::AccessKey;

const BORN: Timestamp = Timestamp(1_795_420_800);
const RULES: KeyRules = KeyRules {
    max_age: Some(Span::days(90)),
    hold: Span::days(14),
    handled_by: HandledBy::Key,
    retired: Attended::No,
};

fn slot(letter: &str) -> Slot {
    let id = format!("AKIA{}", letter.repeat(16));
    let key = AccessKey::from_pasted(&id, "secret/EXAMPLE").unwrap();
    Slot {
        created_at: Some(BORN),
        ..Slot::new(key, BORN)
    }
}

fn item(change: impl FnOnce(&mut Item)) -> Item {
    let mut item = Item::new("work".parse().unwrap(), slot("A").key(), BORN);
    item.current = slot("A");
    change(&mut item);
    item
}

fn after(days: u64) -> Timestamp {
    BORN + Span::days(days)
}

fn at<'a>(item: &'a Item, auto: Auto, now: Timestamp) -> Situation<'a> {
    Situation {
        item,
        rules: RULES,
        auto,
        now,
    }
}

#[test]
fn what_comes_next_and_when() {
    let plain = item(|_| ());
    let jittered = due_at(&plain.current, RULES.max_age).unwrap() + jitter(&plain, Span::days(90));
    assert!(after(60) <= jittered && jittered < after(63));
    let replaced = |inactive_seen_at| {
        item(|item| {
            item.current.promoted_at = Some(after(60));
            item.previous = Some(slot("B"));
            let previous = item.previous.as_mut().unwrap();
            previous.leased_until = Some(after(60) + Span::minutes(65));
            previous.inactive_seen_at = inactive_seen_at;
        })
    };
    for (item, auto, expected) in [
        (&plain, Auto::On, NextTurn::At(jittered, Work::Rotate)),
        (&plain, Auto::Off, NextTurn::At(after(60), Work::SayDue)),
        (
            &replaced(None),
            Auto::Off,
            NextTurn::At(after(61), Work::GoOn),
        ),
        (
            &replaced(Some(after(61))),
            Auto::On,
            NextTurn::At(after(75), Work::GoOn),
        ),
        (
            &self::item(|item| item.current.created_at = None),
            Auto::On,
            NextTurn::At(BORN, Work::Rotate),
        ),
        (
            &self::item(|item| item.pending = Some(slot("B"))),
            Auto::Off,
            NextTurn::At(BORN, Work::GoOn),
        ),
        (
            &self::item(|item| item.undo_wanted_at = Some(after(3))),
            Auto::On,
            NextTurn::At(after(3), Work::GoOn),
        ),
    ] {
        let situation = at(item, auto, after(1));
        assert_eq!(turn(&situation, &ScheduleState::default()), expected);
    }
    let never = Situation {
        rules: KeyRules {
            max_age: None,
            ..RULES
        },
        ..at(&plain, Auto::On, after(1_000))
    };
    assert_eq!(turn(&never, &ScheduleState::default()), NextTurn::Never);
    let in_session = |inactive_seen_at| {
        let item = replaced(inactive_seen_at);
        let rules = KeyRules {
            handled_by: HandledBy::Session,
            ..RULES
        };
        let situation = Situation {
            rules,
            ..at(&item, Auto::Off, after(1))
        };
        turn(&situation, &ScheduleState::default())
    };
    assert_eq!(in_session(None), NextTurn::At(after(61), Work::GoOn));
    let with_the_next = NextTurn::At(after(60), Work::SayDue);
    assert_eq!(in_session(Some(after(61))), with_the_next);
}

#[test]
fn the_jitter_is_stable_and_differs_between_keys() {
    let of = |letter: &str| {
        let item = item(|item| item.current = slot(letter));
        jitter(&item, Span::days(90))
    };
    assert_eq!(of("A"), of("A"));
    let mut all: Vec<Span> = "ABCDEFGH".chars().map(|c| of(&c.to_string())).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 8);
    assert!(all.iter().all(|length| *length < Span::days(3)));
}

#[test]
fn failures_double_the_wait_up_to_a_day() {
    let offline = Error::new(Kind::Failed, "IAM cannot be reached");
    let mut past = ScheduleState::default();
    for hours in [1, 2, 4, 8, 16, 24, 24, 24] {
        past = past.after_failure(&offline, BORN);
        assert_eq!(past.not_before, Some(BORN + Span::hours(hours)));
    }
    assert_eq!(past.waits, None);
    assert!(!past.to_be_said(after(2)) && past.to_be_said(after(3)));
    let well = past.after_success(Some(after(5)), after(4));
    assert_eq!((well.failures, well.failing_since), (0, None));
    assert_eq!(well.not_before, Some(after(5)));
}

#[test]
fn a_refusal_ends_with_the_key_or_the_settings_it_was_about() {
    let item = item(|_| ());
    let due = at(&item, Auto::On, after(70));
    let denied = Error::new(Kind::Aws, "AWS denies it").hint("ask an admin");
    let past = ScheduleState::default()
        .after_failure(&denied, after(70))
        .about(&due);
    assert!(past.to_be_said(after(70)));
    assert!(matches!(turn(&due, &past), NextTurn::At(_, Work::SayWaits)));
    let said = ScheduleState {
        said_at: Some(after(70)),
        ..past
    };
    assert_eq!(turn(&due, &said), NextTurn::At(after(71), Work::SayWaits));
    let other_rules = Situation {
        rules: KeyRules {
            max_age: Some(Span::days(80)),
            ..RULES
        },
        ..due
    };
    assert!(matches!(
        turn(&other_rules, &said),
        NextTurn::At(_, Work::Rotate)
    ));
    let mut rotated = item.clone();
    rotated.current = slot("B");
    let rotated = at(&rotated, Auto::On, after(70));
    assert!(matches!(
        turn(&rotated, &said),
        NextTurn::At(_, Work::Rotate)
    ));
}

#[test]
fn times_noted_by_a_wrong_clock_do_not_count() {
    let item = item(|_| ());
    let now = at(&item, Auto::On, after(70));
    let from_the_future = ScheduleState {
        not_before: Some(after(700)),
        said_at: Some(after(700)),
        ..ScheduleState::default()
    }
    .about(&now);
    let NextTurn::At(time, Work::Rotate) = turn(&now, &from_the_future) else {
        panic!("{:?}", turn(&now, &from_the_future));
    };
    assert!(time < after(70));
    let off = at(&item, Auto::Off, after(70));
    let past = from_the_future.about(&off);
    assert_eq!(turn(&off, &past), NextTurn::At(after(60), Work::SayDue));
}

#[test]
fn the_prompt_shows_the_most_urgent() {
    let item = item(|_| ());
    let waits = ScheduleState {
        waits: Some("denied".into()),
        ..ScheduleState::default()
    };
    let on_its_way = self::item(|item| item.pending = Some(slot("B")));
    let begun = ScheduleState::default().about(&at(&on_its_way, Auto::On, after(1)));
    let off = ScheduleState::default().about(&at(&item, Auto::Off, after(1)));
    let on = ScheduleState::default().about(&at(&item, Auto::On, after(1)));
    for (pasts, now, mark) in [
        (vec![&off, &on], after(59), None),
        (vec![&off], after(60), Some("key due")),
        (vec![&on], after(64), None),
        (vec![&on], after(66), Some("key due")),
        (vec![&begun, &off], after(1), Some("key+")),
        (vec![&off, &waits, &begun], after(70), Some("key!")),
    ] {
        let shown = prompt_mark(pasts.into_iter(), now).map(PromptMark::text);
        assert_eq!(shown, mark);
    }
}

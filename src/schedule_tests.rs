use super::*;
use crate::keys::AccessKey;

const BORN: Time = Time(1_795_420_800);
const RULES: Rules = Rules {
    max_age: Some(Length::days(90)),
    hold: Length::days(14),
    handled_by: HandledBy::Key,
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

fn after(days: u64) -> Time {
    BORN + Length::days(days)
}

fn at<'a>(item: &'a Item, auto: Auto, now: Time) -> Situation<'a> {
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
    let jittered =
        due_at(&plain.current, RULES.max_age).unwrap() + jitter(&plain, Length::days(90));
    assert!(after(60) <= jittered && jittered < after(63));
    let replaced = |inactive_seen_at| {
        item(|item| {
            item.current.promoted_at = Some(after(60));
            item.previous = Some(slot("B"));
            let previous = item.previous.as_mut().unwrap();
            previous.leased_until = Some(after(60) + Length::minutes(65));
            previous.inactive_seen_at = inactive_seen_at;
        })
    };
    for (item, auto, expected) in [
        (&plain, Auto::On, Turn::At(jittered, Work::Rotate)),
        (&plain, Auto::Off, Turn::At(after(60), Work::SayDue)),
        (&replaced(None), Auto::Off, Turn::At(after(61), Work::GoOn)),
        (
            &replaced(Some(after(61))),
            Auto::On,
            Turn::At(after(75), Work::GoOn),
        ),
        (
            &self::item(|item| item.current.created_at = None),
            Auto::On,
            Turn::At(BORN, Work::Rotate),
        ),
        (
            &self::item(|item| item.pending = Some(slot("B"))),
            Auto::Off,
            Turn::At(BORN, Work::GoOn),
        ),
        (
            &self::item(|item| item.undo_wanted_at = Some(after(3))),
            Auto::On,
            Turn::At(after(3), Work::GoOn),
        ),
    ] {
        let situation = at(item, auto, after(1));
        assert_eq!(turn(&situation, &Past::default()), expected);
    }
    let never = Situation {
        rules: Rules {
            max_age: None,
            ..RULES
        },
        ..at(&plain, Auto::On, after(1_000))
    };
    assert_eq!(turn(&never, &Past::default()), Turn::Never);
    let in_session = |inactive_seen_at| {
        let item = replaced(inactive_seen_at);
        let rules = Rules {
            handled_by: HandledBy::Session,
            ..RULES
        };
        let situation = Situation {
            rules,
            ..at(&item, Auto::Off, after(1))
        };
        turn(&situation, &Past::default())
    };
    assert_eq!(in_session(None), Turn::At(after(61), Work::GoOn));
    let with_the_next = Turn::At(after(60), Work::SayDue);
    assert_eq!(in_session(Some(after(61))), with_the_next);
}

#[test]
fn the_jitter_is_stable_and_differs_between_keys() {
    let of = |letter: &str| {
        let item = item(|item| item.current = slot(letter));
        jitter(&item, Length::days(90))
    };
    assert_eq!(of("A"), of("A"));
    let mut all: Vec<Length> = "ABCDEFGH".chars().map(|c| of(&c.to_string())).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 8);
    assert!(all.iter().all(|length| *length < Length::days(3)));
}

#[test]
fn failures_double_the_wait_up_to_a_day() {
    let offline = Failure::new(Kind::Failed, "IAM cannot be reached");
    let mut past = Past::default();
    for hours in [1, 2, 4, 8, 16, 24, 24, 24] {
        past = past.after_failure(&offline, BORN);
        assert_eq!(past.not_before, Some(BORN + Length::hours(hours)));
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
    let denied = Failure::new(Kind::Aws, "AWS denies it").hint("ask an admin");
    let past = Past::default()
        .after_failure(&denied, after(70))
        .about(&due);
    assert!(past.to_be_said(after(70)));
    assert!(matches!(turn(&due, &past), Turn::At(_, Work::SayWaits)));
    let said = Past {
        said_at: Some(after(70)),
        ..past
    };
    assert_eq!(turn(&due, &said), Turn::At(after(71), Work::SayWaits));
    let other_rules = Situation {
        rules: Rules {
            max_age: Some(Length::days(80)),
            ..RULES
        },
        ..due
    };
    assert!(matches!(
        turn(&other_rules, &said),
        Turn::At(_, Work::Rotate)
    ));
    let mut rotated = item.clone();
    rotated.current = slot("B");
    let rotated = at(&rotated, Auto::On, after(70));
    assert!(matches!(turn(&rotated, &said), Turn::At(_, Work::Rotate)));
}

#[test]
fn times_noted_by_a_wrong_clock_do_not_count() {
    let item = item(|_| ());
    let now = at(&item, Auto::On, after(70));
    let from_the_future = Past {
        not_before: Some(after(700)),
        said_at: Some(after(700)),
        ..Past::default()
    }
    .about(&now);
    let Turn::At(time, Work::Rotate) = turn(&now, &from_the_future) else {
        panic!("{:?}", turn(&now, &from_the_future));
    };
    assert!(time < after(70));
    let off = at(&item, Auto::Off, after(70));
    let past = from_the_future.about(&off);
    assert_eq!(turn(&off, &past), Turn::At(after(60), Work::SayDue));
}

#[test]
fn the_prompt_shows_the_most_urgent() {
    let item = item(|_| ());
    let waits = Past {
        waits: Some("denied".into()),
        ..Past::default()
    };
    let on_its_way = self::item(|item| item.pending = Some(slot("B")));
    let begun = Past::default().about(&at(&on_its_way, Auto::On, after(1)));
    let off = Past::default().about(&at(&item, Auto::Off, after(1)));
    let on = Past::default().about(&at(&item, Auto::On, after(1)));
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

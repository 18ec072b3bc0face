//! What a rotation costs: its calls one by one, and what it waits for.

use std::rc::Rc;

use awskeep::lifecycle::model::Trigger;
use awskeep::lifecycle::plan::{Step, Wait};
use awskeep::types::time::Span;

use crate::rotation_lives::DAY;
use crate::rotation_world::{Pacing, World, request};

const LIST: &str = "ListAccessKeys";

/// One run; its calls, the seconds that it waited, and how it ended.
fn run(world: &Rc<World>, trigger: Trigger, settle_s: u64) -> (Vec<String>, i64, Step) {
    let before = world.aws_now();
    world.aws.journal.borrow_mut().clear();
    let mut request = request(trigger);
    request.settle = Span::seconds(settle_s);
    let ended = world.run(request).expect("nothing kills it").unwrap();
    let calls = world.aws.journal.borrow();
    let calls = calls.iter().map(|entry| entry.action.clone()).collect();
    (calls, world.aws_now() - before, ended.step)
}

#[test]
fn a_plain_rotation_makes_no_needless_call_and_waits_for_settle_alone() {
    let (sts, iam) = (["GetCallerIdentity"; 3], ["GetUser"; 3]);
    let settles = [(0, &[][..]), (15, &[LIST][..]), (60, &[LIST])];
    for (settle_s, look_after_settle) in settles {
        let world = World::new(Pacing::AtOnce, &[]);
        let (calls, waited_s, step) = run(&world, Trigger::Now, settle_s);
        let made = [&[LIST, LIST, "CreateAccessKey", LIST][..], &sts, &iam];
        let served = [&[LIST], look_after_settle, &[LIST]];
        assert_eq!(calls, [made.concat(), served.concat()].concat());
        assert_eq!(waited_s, i64::try_from(settle_s).unwrap());
        assert!(matches!(step, Step::Wait(Wait::Leased { .. })), "{step:?}");

        world.advance(25 * 3_600);
        let (calls, waited_s, step) = run(&world, Trigger::Finish, settle_s);
        let retired = [LIST, "GetAccessKeyLastUsed", LIST, "UpdateAccessKey", LIST];
        assert_eq!((calls, waited_s), (retired.map(String::from).into(), 0));
        assert!(matches!(step, Step::Wait(Wait::Held { .. })), "{step:?}");

        world.advance(14 * DAY);
        let (calls, waited_s, step) = run(&world, Trigger::Finish, settle_s);
        let deleted = [LIST, "DeleteAccessKey", LIST];
        assert_eq!((calls, waited_s), (deleted.map(String::from).into(), 0));
        assert_eq!(step, Step::Done);
    }
}

#[test]
fn a_run_that_has_nothing_to_do_looks_once() {
    let world = World::new(Pacing::AtOnce, &[]);
    let idle = (vec![LIST.to_owned()], 0, Step::Done);
    assert_eq!(run(&world, Trigger::Finish, 15), idle);
}

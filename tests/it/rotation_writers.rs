//! Another writer of the item where no lock reaches, between any two effects of a
//! rotation: neither's work is lost. (Stores know no compare-and-swap: what falls
//! between a writer's last look and its write is `rotation.rs`'s.)

use std::rc::Rc;

use awskeep::lifecycle::execute::Promoted;
use awskeep::lifecycle::model::Trigger;
use awskeep::types::time::Timestamp;

use crate::rotation_world::{Event, Other, Pacing, USER, World, request};

/// One rotation, with another writer at every effect up to the promote that is no
/// write itself. (A promote that is lost later is not made again: the key is asked about.)
fn with_another_writer(other: Other) -> impl Iterator<Item = (usize, Rc<World>)> {
    let rotate = |events: &[(usize, Event)]| {
        let world = World::new(Pacing::AtOnce, events);
        let ended = world.run(request(Trigger::Now)).expect("nothing kills it");
        assert_eq!(ended.unwrap().promoted, Promoted::Yes, "{events:?}");
        world
    };
    let calm = rotate(&[]);
    let writes = calm.writes.take();
    assert!(writes.len() >= 3, "intent, pending, promote: {writes:?}");
    let promote = *writes.last().expect("there are three");
    let places = (0..promote).filter(move |at| !writes.contains(at));
    places.map(move |at| (at, rotate(&[(at, Event::OtherWrites(other))])))
}

#[test]
fn a_new_key_that_another_writer_loses_is_put_back() {
    for (at, world) in with_another_writer(Other::AsItWas) {
        let item = world.item();
        let aws = world.aws.account.borrow();
        let mut living: Vec<_> = aws.user(USER).living_keys().map(|key| &key.id).collect();
        let mut kept: Vec<_> = item.slots().map(|(_, slot)| slot.id.to_string()).collect();
        living.sort();
        kept.sort();
        assert_eq!(living, kept.iter().collect::<Vec<_>>(), "effect {at}");
    }
}

#[test]
fn what_another_writer_notes_is_not_written_over() {
    let until = Timestamp(1_900_000_000);
    for (at, world) in with_another_writer(Other::HandsOut(until)) {
        let item = world.item();
        let leased_until = item.previous.and_then(|slot| slot.leased_until);
        let noted = [item.handed_out_until, leased_until];
        assert!(noted.contains(&Some(until)), "effect {at}: {noted:?}");
    }
}

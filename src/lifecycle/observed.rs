//! What one look tells: the item, what IAM lists, AWS's time, and what is wanted.
//! Pure data; `plan.rs` decides from nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::{KeyStatus, ListedKey};
use crate::lifecycle::model::{CreateSaid, Request, Trigger};
use crate::lifecycle::step::Question;
use crate::lifecycle::timeline;
use crate::lifecycle::timeline::born;
use crate::store::durable::Kept;
use crate::store::item::{Item, Slot};
use crate::types::keys::{AccessKeyId, ProfileName};
use crate::types::time::{Span, Timestamp};
use crate::ui::YesNo;

/// A key of ours younger than this may not yet be known everywhere.
pub const YOUNG: Span = Span::minutes(10);

/// A change of ours younger than this may be missing from a list.
pub const LIST_LAG: Span = Span::minutes(2);

/// More than this between two clocks, and nothing irreversible is done.
pub const CLOCKS_APART: Span = Span::minutes(5);

/// What a decision is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    pub item: Item,
    pub listing: Listing,
    pub aws_time: AwsTime,
    pub local_time: Timestamp,
    pub request: Request,
    pub intent_is: IntentIs,
    /// Keys whose CreateAccessKey reply was received under the item's intent.
    pub received: BTreeSet<AccessKeyId>,
    pub create: CreateSaid,
    /// What this run's proofs said, for each key that was shown to AWS.
    pub proof: BTreeMap<AccessKeyId, Proof>,
    pub last_use: LastUseSaid,
    /// The keys that this run made active again; lists may lag.
    pub activated: BTreeSet<AccessKeyId>,
    /// Whether the store has kept the key in service.
    pub kept: Kept,
    /// What a person was asked in this run, and said.
    pub answers: Vec<(Question, YesNo)>,
    pub signed: Signed,
}

/// Whose calls on the user's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    ByCurrent,
    /// The served key may be dead: another profile's rights are used.
    ByOther {
        via: ProfileName,
    },
}

/// ListAccessKeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    Keys(Vec<ListedKey>),
    /// AWS does not accept the current key, which signs the list.
    NotAccepted,
    /// AWS shows the keys in an MFA session only, and there is none.
    NeedsMfa,
}

/// The `Date` of this look's reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwsTime {
    At(Timestamp),
    NotSaid,
}

/// Whose the item's intent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentIs {
    /// Written by this run, or by a dead one: our lock covers its place.
    Ours,
    /// Written where our lock does not reach.
    Foreign,
}

/// What a proof of a key said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    Accepted,
    /// AWS takes it for someone else's key, or its secret for wrong.
    Wrong {
        said: String,
    },
    NotYet {
        said: String,
        because: NotYet,
    },
}

/// Why a proof did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotYet {
    /// AWS does not know the key, or does not yet know it everywhere.
    NotAccepted,
    /// Lost replies, throttling, no network.
    NoAnswer,
    /// The person asked the run to stop.
    Stopped,
}

/// What this run's GetAccessKeyLastUsed of `previous` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastUseSaid {
    NotAsked,
    Never,
    At {
        time: Timestamp,
        service: String,
        region: String,
    },
    /// The user's policy forbids to look.
    MayNotLook,
}

/// How IAM lists a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    Active,
    /// `Inactive`, and `Expired`, which is as dead.
    Inactive,
    /// A status that this program does not know.
    Strange,
    Absent,
    /// There is no list.
    NotLookedUp,
}

impl Observed {
    /// AWS's time, else ours: for waits and rests. What is irreversible needs both.
    pub fn now(&self) -> Timestamp {
        match self.aws_time {
            AwsTime::At(time) => time,
            AwsTime::NotSaid => self.local_time,
        }
    }

    /// How far the two clocks are apart; none if AWS's is not known.
    pub fn clocks_apart(&self) -> Option<Span> {
        match self.aws_time {
            AwsTime::At(aws) => Some(aws.since(self.local_time).max(self.local_time.since(aws))),
            AwsTime::NotSaid => None,
        }
    }

    pub fn listed(&self) -> &[ListedKey] {
        match &self.listing {
            Listing::Keys(keys) => keys,
            Listing::NotAccepted | Listing::NeedsMfa => &[],
        }
    }

    pub fn status(&self, id: &AccessKeyId) -> Option<&KeyStatus> {
        let row = self.listed().iter().find(|key| key.id == *id);
        row.map(|key| &key.status)
    }

    pub fn state(&self, id: &AccessKeyId) -> KeyState {
        if !matches!(self.listing, Listing::Keys(_)) {
            return KeyState::NotLookedUp;
        }
        match self.status(id) {
            Some(KeyStatus::Active) => KeyState::Active,
            Some(KeyStatus::Inactive | KeyStatus::Expired) => KeyState::Inactive,
            Some(KeyStatus::Other(_)) => KeyState::Strange,
            None => KeyState::Absent,
        }
    }

    /// A listed key that is in none of the item's slots.
    pub fn extra(&self) -> Option<&ListedKey> {
        self.listed()
            .iter()
            .find(|key| self.item.slots().all(|(_, slot)| slot.id != key.id))
    }

    /// Whether lists have lacked this key for that long.
    pub fn absent_for(&self, slot: &Slot, length: Span) -> bool {
        let since = slot.absent_seen_at.map(|first| self.now().since(first));
        self.state(&slot.id) == KeyState::Absent && since.is_some_and(|since| since >= length)
    }

    /// What a person said to a question of this run.
    pub fn answer(&self, question: &Question) -> Option<YesNo> {
        let answer = self.answers.iter().find(|(asked, _)| asked == question);
        answer.map(|(_, answer)| *answer)
    }

    pub fn agreed(&self, question: &Question) -> bool {
        self.answer(question) == Some(YesNo::Yes)
    }

    pub fn in_flight(&self) -> bool {
        let item = &self.item;
        item.intent.is_some() || item.pending.is_some() || item.previous.is_some()
    }

    pub fn due(&self) -> bool {
        match self.request.trigger {
            Trigger::Finish | Trigger::Recover => false,
            Trigger::Now => true,
            Trigger::IfDue => timeline::due_at(&self.item.current, self.request.max_age)
                .is_some_and(|due| self.now() >= due),
        }
    }
}

/// Whether the key was made or brought back so recently that AWS may not know it
/// everywhere. That it came here recently makes no old key young: a key that this
/// program made was promoted, and of any other AWS's word counts.
pub fn is_young(slot: &Slot, now: Timestamp) -> bool {
    let latest = slot.promoted_at.max(slot.created_at);
    latest.is_some_and(|latest| now.since(latest) < YOUNG)
}

/// When AWS says that a key was made; none if that is still to come: nobody waits for
/// such a time, and nothing is counted from it.
pub fn believable(made: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    made.filter(|made| *made <= now + CLOCKS_APART)
}

/// Notes in the item what a successful list shows of its keys: when each was made,
/// from when on it is absent or inactive. Whether anything is new.
pub fn remember(item: &mut Item, listing: &[ListedKey], now: Timestamp) -> Learned {
    let before = item.clone();
    let row = |id: &AccessKeyId| listing.iter().find(|key| key.id == *id);
    for slot in [
        Some(&mut item.current),
        item.pending.as_mut(),
        item.previous.as_mut(),
    ]
    .into_iter()
    .flatten()
    {
        match row(&slot.id) {
            Some(listed) => {
                slot.absent_seen_at = None;
                // Whoever added the key need not have known its age.
                slot.created_at = slot.created_at.or(believable(listed.created_at, now));
            }
            None => slot.absent_seen_at = slot.absent_seen_at.or(Some(now)),
        }
        // Noted while a clock was wrong: it would be waited for until then.
        if believable(Some(born(slot)), now).is_none() {
            slot.created_at = row(&slot.id).and_then(|key| believable(key.created_at, now));
            slot.saved_at = now;
        }
    }
    if let Some(previous) = &mut item.previous {
        let status = row(&previous.id).map(|key| &key.status);
        match status {
            Some(KeyStatus::Inactive | KeyStatus::Expired) => seen_inactive(previous, now),
            Some(KeyStatus::Active) => seen_active(previous, now),
            Some(KeyStatus::Other(_)) | None => {}
        }
    }
    if *item == before {
        Learned::Nothing
    } else {
        Learned::Something
    }
}

/// The hold begins: anew, if the key was active in between.
pub(super) fn seen_inactive(previous: &mut Slot, now: Timestamp) {
    if previous.inactive_seen_at.is_none()
        || previous.reactivated_seen_at > previous.inactive_seen_at
    {
        previous.inactive_seen_at = Some(now);
    }
}

/// Active although it was inactive, and not just because a list lags.
fn seen_active(previous: &mut Slot, now: Timestamp) {
    let long_ago = |seen: Timestamp| now.since(seen) >= LIST_LAG;
    if previous.inactive_seen_at.is_some_and(long_ago)
        && previous.reactivated_seen_at <= previous.inactive_seen_at
    {
        previous.reactivated_seen_at = Some(now);
    }
}

/// Whether a look told something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    Nothing,
    Something,
}

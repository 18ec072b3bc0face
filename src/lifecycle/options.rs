//! What is wanted of a rotation, read from the settings and the AWS files, and
//! whether a run has come as far as it was to wait for. Edge: reads files.

use crate::cli::WaitFor;
use crate::config::{Key, Origin, Settings};
use crate::error::Result;
use crate::profiles::AwsFiles;
use crate::profiles::Checked;
use crate::profiles::edits;
use crate::store::item::Item;
use crate::system::env::Env;
use crate::types::keys::EntryName;
use crate::types::lease;
use crate::types::lease::{Attended, Auto};
use crate::types::time::{Span, Timestamp};

use crate::lifecycle::execute::RunResult;
use crate::lifecycle::model::{InFile, MakeRoom, Request, RetireMode, Trigger};
use crate::lifecycle::plan::{Step, Wait};
use crate::lifecycle::report::{HandledBy, KeyRules};
use crate::records::Record;
use crate::sessions::cache::SESSION_RECEIPT;

pub fn max_age(settings: &Settings, name: &EntryName) -> Result<Option<Span>> {
    match settings.value(Key::MaxAge, Some(name)) {
        Some((text, _)) if text == "never" => Ok(None),
        Some(_) | None => settings.length(Key::MaxAge, Some(name)).map(Some),
    }
}

pub fn settle(settings: &Settings, name: &EntryName, attended: Attended) -> Result<Span> {
    let length = settings.length(Key::Settle, Some(name))?;
    let chosen = match settings.value(Key::Settle, Some(name)) {
        Some((_, Origin::BuiltIn)) | None => None,
        Some(_) => Some(length),
    };
    Ok(lease::settle(chosen, length, attended))
}

/// Where the current key's id still stands in the AWS files.
pub fn in_files(env: &Env, item: &Item) -> Result<Vec<InFile>> {
    let profiles = AwsFiles::read(env)?;
    let mut found = Vec::new();
    for file in [&profiles.config, &profiles.credentials] {
        let checked = Checked::of(&file.document);
        for name in file.document.profile_names() {
            let Ok(profile) = name.parse() else { continue };
            // A section that SDKs read differently is for `doctor`; a key in it is
            // found if it can be read at all.
            let Ok(keys) = edits::keys_in(&checked, &profile) else {
                continue;
            };
            if keys.key_id().as_ref() == Some(&item.current.id) {
                found.push(InFile {
                    path: file.path.display().to_string(),
                    line: keys.id.as_ref().map_or(0, |id| id.line),
                });
            }
        }
    }
    Ok(found)
}

/// Until when `--wait` has nothing to do; none if what it waits for is there.
pub fn still_to_wait(ended: &RunResult, wait: Option<WaitFor>) -> Option<Timestamp> {
    let previous = ended.known.item.previous.as_ref()?;
    let Step::Wait(waits) = &ended.step else {
        return None;
    };
    match wait? {
        WaitFor::Inactive if previous.inactive_seen_at.is_some() => return None,
        WaitFor::Inactive | WaitFor::Deleted => {}
    }
    match waits {
        Wait::Leased { until }
        | Wait::LastUseNotKnownYet { until }
        | Wait::MayNotLook { until }
        | Wait::Held { until }
        | Wait::NotListedYet { until }
        | Wait::GoneUnsure { until }
        | Wait::RetireOnItsWay { until } => Some(*until),
        Wait::CurrentUnseen
        | Wait::CurrentNotProven { .. }
        | Wait::NextSession
        | Wait::NotKept
        | Wait::NoAnswerToCreate(_)
        | Wait::PendingNotProven { .. }
        | Wait::UndoNotProven { .. }
        | Wait::Stopped
        | Wait::ClocksApart { .. }
        | Wait::NoAwsTime => None,
    }
}

/// The request of a run that a person asked for: a settle as for somebody who waits,
/// keys in files left to that person.
pub fn request_now(
    settings: &Settings,
    name: &EntryName,
    trigger: Trigger,
    retire: RetireMode,
) -> Result<Request> {
    let KeyRules { max_age, hold, .. } = rules(settings, name, &[])?;
    Ok(Request {
        trigger,
        attended: Attended::Yes,
        retire,
        settle: settle(settings, name, Attended::Yes)?,
        hold,
        max_age,
        lease: settings.length(Key::Lease, Some(name))?,
        discard: None,
        make_room: MakeRoom::Ask,
        in_files: Vec::new(),
    })
}

/// How old an entry's keys may get, how long a replaced one is held, and whether the
/// receipts know of an MFA session.
pub fn rules(settings: &Settings, name: &EntryName, receipts: &[Record]) -> Result<KeyRules> {
    let max_age = max_age(settings, name)?;
    let hold = lease::hold(settings.length(Key::Hold, Some(name))?, max_age);
    let of_session = |receipt: &Record| receipt.entry == *name && receipt.step == SESSION_RECEIPT;
    Ok(KeyRules {
        max_age,
        hold,
        handled_by: match receipts.iter().any(of_session) {
            true => HandledBy::Session,
            false => HandledBy::Key,
        },
        retired: match settings.auto(Some(name))? {
            Auto::On => Attended::No,
            Auto::Off => Attended::Yes,
        },
    })
}

//! What a run is given on the real machine: where its locks reach, what the
//! settings say, a flag for signals, and the sync after a save. Edge.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::known::{Demand, Early, Known, Policy};
use super::life::Rules;
use super::plan::Step;
use super::run::Tools;
use crate::disk;
use crate::failure::{Failure, Kind, Outcome};
use crate::iam_account::live::LiveAccount;
use crate::keys::EntryName;
use crate::lease::{self, Attended};
use crate::machine::Machine;
use crate::settings::{Key, Origin, Settings};
use crate::state::{Receipt, Receipts};
use crate::time::Length;
use crate::vault::{StoreKind, Vault};

/// Calls `work` with the tools of this machine.
///
/// # Errors
/// Those of `work`; `Kind::Failed` where locks or receipts have no place.
pub fn with_tools<T>(
    machine: &Machine,
    account: &LiveAccount,
    vault: &Vault,
    stop: &Arc<AtomicBool>,
    on_step: &dyn Fn(&Step, &Known),
    work: impl FnOnce(&Tools<'_, LiveAccount>) -> Outcome<T>,
) -> Outcome<T> {
    let receipts = Receipts::of(machine)?;
    let append = |receipt: &Receipt| receipts.append(receipt);
    let read = || receipts.read();
    let sync = || sync_store(machine, vault.kind);
    let stopped = || stop.load(Ordering::SeqCst);
    work(&Tools {
        account,
        vault,
        clock: &machine.clock,
        append: &append,
        receipts: &read,
        sync: &sync,
        stop: &stopped,
        on_step,
        host: lock_reach()?,
    })
}

/// The policy of a run that a person asked for: a settle as for somebody who waits,
/// keys in files left to that person.
pub fn policy_now(
    settings: &Settings,
    name: &EntryName,
    demand: Demand,
    early: Early,
) -> Outcome<Policy> {
    let Rules { max_age, hold } = rules(settings, name)?;
    Ok(Policy {
        demand,
        attended: Attended::Yes,
        early,
        settle: settle(settings, name, Attended::Yes)?,
        hold,
        max_age,
        lease: settings.length(Key::Lease, Some(name))?,
        discard: None,
        in_files: Vec::new(),
    })
}

/// How old an entry's keys may get, and how long a replaced one is held.
pub fn rules(settings: &Settings, name: &EntryName) -> Outcome<Rules> {
    let max_age = match settings.value(Key::MaxAge, Some(name)) {
        Some((text, _)) if text == "never" => None,
        Some(_) | None => Some(settings.length(Key::MaxAge, Some(name))?),
    };
    let hold = lease::hold(settings.length(Key::Hold, Some(name))?, max_age);
    Ok(Rules { max_age, hold })
}

/// The settle that a person chose, else the one for who waits.
pub fn settle(settings: &Settings, name: &EntryName, attended: Attended) -> Outcome<Length> {
    let length = settings.length(Key::Settle, Some(name))?;
    let chosen = match settings.value(Key::Settle, Some(name)) {
        Some((_, Origin::BuiltIn)) | None => None,
        Some(_) => Some(length),
    };
    Ok(lease::settle(chosen, length, attended))
}

/// The name of the place that our locks reach: the host and the very folder they
/// are in. A container with its own /tmp has another one.
pub fn lock_reach() -> Outcome<String> {
    let folder = disk::locks_dir()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let there =
            std::fs::metadata(&folder).map_err(|error| disk::failed("look at", &folder, &error))?;
        let system = rustix::system::uname();
        let host = system.nodename().to_string_lossy().into_owned();
        Ok(format!("{host}/{:x}.{:x}", there.dev(), there.ino()))
    }
    #[cfg(not(unix))]
    {
        let host = std::env::var("COMPUTERNAME").unwrap_or_default();
        Ok(format!("{host}/{}", folder.display()))
    }
}

/// Raised by SIGINT, SIGTERM and SIGHUP: the step under way is finished first.
pub fn stop_flag() -> Outcome<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(|error| {
                Failure::new(Kind::Failed, "signals cannot be listened to").cause(error)
            })?;
        }
    }
    Ok(flag)
}

/// gnome-keyring syncs its file but not the folder it renames it in: without this a
/// power cut could take a new key back. What cannot be synced is left as it is.
pub fn sync_store(machine: &Machine, kind: StoreKind) {
    #[cfg(target_os = "linux")]
    {
        let folder = match kind {
            StoreKind::Keychain => machine
                .folders
                .data
                .as_ref()
                .map(|data| data.join("keyrings")),
            StoreKind::File => machine.file_store_folder().ok(),
        };
        if let Some(Ok(folder)) = folder.map(std::fs::File::open) {
            let _ = rustix::fs::syncfs(&folder);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (machine, kind);
}

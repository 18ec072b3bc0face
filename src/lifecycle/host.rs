//! What a run needs of the machine it runs on, put together: an ear for requests to stop,
//! receipts, and saved keys that survive a power cut. Edge.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::aws::Account;
use crate::error::{Error, Kind, Result};
use crate::lifecycle::context::{Context, Signs};
use crate::lifecycle::observed::Observed;
use crate::lifecycle::plan::{Question, Step};
use crate::records;
use crate::records::{Record, Records};
use crate::store::Vault;
use crate::system::disk::Reach;
use crate::system::env::Env;
use crate::types::store_kind::StoreKind;
use crate::ui::YesNo;

/// Raised by SIGINT, SIGTERM and SIGHUP: the step under way is finished first.
pub fn stop_flag(env: &Env) -> Result<Arc<AtomicBool>> {
    let flag = Arc::clone(&env.stop);
    #[cfg(unix)]
    {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(|error| {
                Error::new(Kind::Failed, "signals cannot be listened to").cause(error)
            })?;
        }
    }
    Ok(flag)
}

/// gnome-keyring syncs its file but not the folder it renames it in: without this a
/// power cut could take a new key back. What cannot be synced is left as it is.
pub fn sync_store(env: &Env, kind: StoreKind) {
    #[cfg(target_os = "linux")]
    {
        let folder = match kind {
            StoreKind::Keychain => env.folders.data.as_ref().map(|data| data.join("keyrings")),
            StoreKind::File => env.file_store_folder().ok(),
        };
        if let Some(Ok(folder)) = folder.map(std::fs::File::open) {
            let _ = rustix::fs::syncfs(&folder);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (env, kind);
}

/// What a command hears while a run is at work, and what it can say to it.
pub struct Around<'a> {
    pub stop: &'a Arc<AtomicBool>,
    pub on_step: &'a dyn Fn(&Step, &Observed),
    pub on_wait: &'a dyn Fn(&str),
    pub ask: &'a dyn Fn(&Question, &Observed) -> Result<YesNo>,
    pub signs: Signs<'a>,
}

/// Calls `work` with the context of this machine.
///
/// # Errors
/// Those of `work`; `Kind::Failed` where locks or receipts have no place.
pub fn with_context<A: Account, T>(
    env: &Env,
    account: &A,
    vault: &Vault,
    reach: Reach,
    around: &Around<'_>,
    work: impl FnOnce(&Context<'_, A>) -> Result<T>,
) -> Result<T> {
    let receipts = Records::of(env)?;
    let append = |receipt: &Record| receipts.append(receipt);
    let read = || receipts.read();
    let sync = || sync_store(env, vault.kind);
    let stopped = || around.stop.load(Ordering::SeqCst);
    work(&Context {
        account,
        vault,
        clock: &env.clock,
        append: &append,
        receipts: &read,
        can_note: &|| records::refuse_without_receipts(env),
        sync: &sync,
        stop: &stopped,
        on_step: around.on_step,
        on_wait: around.on_wait,
        ask: around.ask,
        signs: around.signs,
        reach,
    })
}

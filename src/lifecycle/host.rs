//! What a rotation needs of the machine it runs on: an ear for requests to stop, and saved keys that survive a power cut. Edge.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::{Error, Kind, Result};
use crate::system::env::Env;
use crate::types::store_kind::StoreKind;

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

//! Who else may write a file or a folder. Edge: it only looks, but for
//! `private_dir`, which makes one.
//!
//! Linux's POSIX access lists count. Windows protects a profile's folders by access
//! lists of its own; nothing is looked at there. Those of macOS and of NFS 4 are not
//! looked at either.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::system::disk::{argument, failed, how_to_close, platform};

/// Makes a folder, and those above it, that only we may enter; one that is there must
/// be ours and not be writable by others, nor may others be able to put another in its
/// place.
///
/// # Errors
/// `Kind::Failed` with the path and how to mend it.
pub fn private_dir(path: &Path) -> Result<()> {
    platform::make_folders(path).map_err(|error| failed("make the folder", path, &error))?;
    let there = fs::metadata(path).map_err(|error| failed("read", path, &error))?;
    if !there.is_dir() {
        let message = format!("{} is not a folder", path.display());
        return Err(Error::new(Kind::Failed, message));
    }
    own_and_closed(path, &there)?;
    refuse_others(path, "must be yours alone")
}

/// The one rule for what is written, obeyed or run: nobody but us and root may be able
/// to change it, or put something else in its place. It holds for what is not there yet.
///
/// # Errors
/// `Kind::Failed`, naming the part that others can write; `because` follows the path.
pub fn refuse_others(path: &Path, because: &str) -> Result<()> {
    let Some(open) = others_can_write(path)? else {
        return Ok(());
    };
    let message = format!(
        "{} {because}, but others can write {}",
        path.display(),
        open.display()
    );
    Err(Error::new(Kind::Failed, message).hint(how_to_close(&open)))
}

/// # Errors
/// `Kind::Failed` if the folder is another user's, or others can write into it.
pub(super) fn own_and_closed(path: &Path, there: &fs::Metadata) -> Result<()> {
    let shown = path.display();
    if !platform::is_ours(there) {
        let message = format!("the folder {shown} belongs to another user");
        return Err(Error::new(Kind::Failed, message).hint(format!("ls -ld {}", argument(path))));
    }
    if platform::others_write(path, there) {
        let message = format!("others can write into the folder {shown}");
        return Err(Error::new(Kind::Failed, message).hint(how_to_close(path)));
    }
    Ok(())
}

/// The first part of a path, from the root on and through links, that someone other
/// than us and root may change; none if only we can decide what the path leads to.
///
/// A folder with the sticky bit (`/tmp`) lets others add, not replace: it counts only
/// if the next part is not there yet, or is the end of the path itself. A group whose
/// one member is its owner does not count as others.
///
/// # Errors
/// `Kind::Failed` if a part cannot be looked at.
pub fn others_can_write(path: &Path) -> Result<Option<PathBuf>> {
    platform::open_to_others(path)
}

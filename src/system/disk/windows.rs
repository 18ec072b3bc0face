//! What stands on Windows in the place of Unix's owners and modes: access lists protect a
//! user's folders, and are not looked at. Edge.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::system::disk::{Attributes, argument};

/// The folder for temporary files is the user's own.
pub const SHARED: Option<&str> = None;

pub fn make_folders(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

pub fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

pub fn is_ours(_: &Metadata) -> bool {
    true
}

pub fn is_foreign(_: &Metadata) -> bool {
    false
}

pub fn others_write(_: &Path, _: &Metadata) -> bool {
    false
}

pub fn open_to_others(_: &Path) -> Result<Option<PathBuf>> {
    Ok(None)
}

pub fn how_to_close(open: &Path) -> String {
    format!("icacls {}", argument(open))
}

pub fn attributes_of(_: &Metadata) -> Attributes {
    Attributes::new(0o600)
}

pub fn put_on(_: &File, attributes: &Attributes) -> io::Result<()> {
    let _ = (attributes.mode, attributes.owner);
    Ok(())
}

pub fn refuse_read_only(_: &Path) -> io::Result<()> {
    Ok(())
}

pub fn open_at_once(path: &Path) -> io::Result<File> {
    File::open(path)
}

pub fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Windows keeps the name of a deleted file until its last handle is closed.
pub fn is_still(path: &Path, _: &File) -> io::Result<bool> {
    fs::exists(path)
}

pub fn is_alive(_: u32) -> bool {
    true
}

pub fn this_user() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

pub fn home_of_user() -> Result<PathBuf> {
    dirs::home_dir().ok_or_else(|| Error::new(Kind::Failed, "you have no home folder"))
}

pub fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

//! Files as a crash leaves them whole: atomic writes with fsync, private folders,
//! who else may write, and locks between processes. Edge.
//!
//! It does not know what it writes, and never reads a clock for meaning. Links are
//! followed only where we or root made them. What is written is encrypted already,
//! or was in that place before, or is what a person asked for by name.

mod access;
mod lock;
mod locks;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use self::unix as platform;
#[cfg(windows)]
use self::windows as platform;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::types::escape;

pub use access::{others_can_write, private_dir, refuse_others};
pub use lock::Lock;
pub use locks::{LockPlaces, Locks, Reach, Taken, host_in};
pub use platform::{how_to_close, is_foreign};

/// Temp files are named so, to be told from a user's own.
const TEMP_PREFIX: &str = ".awskeep-";

/// As many links as the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// Writes a file as a whole or not at all, with this mode (Unix; the umask does not
/// count). If `path` is a link, its target is written and the link stays.
///
/// # Errors
/// `Kind::Failed`; the old file is untouched and the temp file gone, unless the
/// message says that only the folder could not be synced.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let target = follow_links(path)?;
    replace(path, &target, bytes, &Attributes::new(mode), &|| Ok(()))
}

/// Like `write_atomic`, with the mode and the owner of the file that is there;
/// 0600 if none is. Access lists and extended attributes are not kept.
///
/// # Errors
/// Those of `write_atomic`, and `Kind::Failed` if the owner cannot be kept.
pub fn replace_keeping_mode(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_unchanged(path, bytes, Readers::Kept, &|| Ok(()))
}

/// Who may read a file that takes the place of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Who could read the other one.
    Kept,
    /// Its owner alone.
    Owner,
}

/// Like `replace_keeping_mode`; `unchanged` is asked last, and an error of it leaves
/// everything as it was.
///
/// # Errors
/// Those of `replace_keeping_mode` and of `unchanged`.
pub fn replace_unchanged(
    path: &Path,
    bytes: &[u8],
    readers: Readers,
    unchanged: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let target = follow_links(path)?;
    let mut attributes = match fs::metadata(&target) {
        Ok(there) => platform::attributes_of(&there),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Attributes::new(0o600),
        Err(error) => return Err(failed("read", path, &error)),
    };
    if readers == Readers::Owner {
        attributes.mode &= 0o700;
    }
    replace(path, &target, bytes, &attributes, unchanged)
}

/// Whether a file can be put there: files are replaced by a rename, so it is the
/// folder that counts, or the first one above it that exists.
///
/// # Errors
/// `Kind::Failed` if it cannot.
pub fn refuse_read_only(path: &Path) -> Result<()> {
    let target = follow_links(path)?;
    let mut folder = folder_of(&target);
    while !folder.exists() && folder_of(folder) != folder {
        folder = folder_of(folder);
    }
    platform::refuse_read_only(folder).map_err(|error| failed("write", path, &error))
}

/// What writers that were killed have left beside a file: another copy of what it held
/// or was to hold.
pub fn left_beside(path: &Path) -> Vec<PathBuf> {
    let Ok(target) = follow_links(path) else {
        return Vec::new();
    };
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let older = format!(".{name}.awskeep-new");
    let is_temp = |name: &str| {
        let random = name.strip_prefix(TEMP_PREFIX);
        random.is_some_and(|r| r.len() == 6 && r.chars().all(|c| c.is_ascii_alphanumeric()))
    };
    fs::read_dir(folder_of(&target))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name == older.as_str() || is_temp(&name)
        })
        .filter(|entry| {
            let there = fs::symlink_metadata(entry.path());
            there.is_ok_and(|there| there.is_file() && !is_foreign(&there))
        })
        .map(|entry| entry.path())
        .collect()
}

/// More than any file that people write by hand has, in bytes.
pub const MOST_TEXT: u64 = 16 << 20;

/// The bytes of a regular file of at most `most` bytes. A pipe, a device or an endless
/// file is refused, and none of them is waited for.
///
/// # Errors
/// What opening and reading give, and `InvalidInput` for anything but such a file.
pub fn read_regular(path: &Path, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = platform::open_at_once(path)?;
    let there = file.metadata()?;
    // Reading says of a folder that it is one.
    if !there.is_file() && !there.is_dir() {
        let what = "it is not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    read_at_most(&file, there.len(), most)
}

/// Like `read_regular`; but what this process was started with (`/dev/stdin`, a shell's
/// `<(...)`) may be a pipe, and is read to its end.
///
/// # Errors
/// Those of `read_regular`.
pub fn read_given(path: &Path, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let inherited = ["/dev/fd", "/proc/self/fd", "/dev/stdin"];
    if inherited.iter().any(|place| path.starts_with(place)) {
        return read_at_most(&File::open(path)?, 0, most);
    }
    read_regular(path, most)
}

/// The text of those bytes.
///
/// # Errors
/// `InvalidData` if they are not UTF-8.
pub fn text_of(mut bytes: Zeroizing<Vec<u8>>) -> io::Result<Zeroizing<String>> {
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            let what = "it is not UTF-8 text";
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
    }
}

/// One allocation where the length is known, so that no copy of a secret is left behind.
fn read_at_most(file: &File, length: u64, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let room = usize::try_from(length.min(most)).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let what = format!("it is larger than {most} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(bytes)
}

/// Deletes a file so that a crash does not bring it back; true if it was there.
///
/// # Errors
/// `Kind::Failed` with the path.
pub fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed("delete", path, &error)),
    }
    platform::sync_folder(folder_of(path))
        .map_err(|error| failed("sync the folder of", path, &error))?;
    Ok(true)
}

/// The failure of doing something with a path, with the usual causes in plain words.
pub fn failed(doing: &str, path: &Path, error: &io::Error) -> Error {
    let shown = path.display();
    let because = match error.kind() {
        io::ErrorKind::StorageFull => ": the disk is full",
        io::ErrorKind::QuotaExceeded => ": your disk quota is used up",
        io::ErrorKind::FileTooLarge => ": the file size limit is reached",
        io::ErrorKind::ReadOnlyFilesystem => ": the file system is read-only",
        io::ErrorKind::PermissionDenied => ": permission denied",
        _ => "",
    };
    let failure = Error::new(Kind::Failed, format!("cannot {doing} {shown}{because}")).cause(error);
    let (folder, shown) = (argument(folder_of(path)), argument(path));
    match error.kind() {
        io::ErrorKind::StorageFull => failure.hint(format!("df -h {folder}")),
        io::ErrorKind::PermissionDenied => failure.hint(format!("ls -ld {folder} {shown}")),
        _ => failure,
    }
}

/// A path as one argument of a command to paste.
pub fn argument(path: &Path) -> String {
    escape::argument(&path.to_string_lossy()).into_owned()
}

/// What the new file gets besides its bytes.
struct Attributes {
    mode: u32,
    /// User and group id.
    owner: Option<(u32, u32)>,
}

impl Attributes {
    fn new(mode: u32) -> Attributes {
        Attributes { mode, owner: None }
    }
}

fn replace(
    path: &Path,
    target: &Path,
    bytes: &[u8],
    attributes: &Attributes,
    unchanged: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let folder = folder_of(target);
    let fill = |file: &File| {
        // Before the content, so that nobody reads it who may not.
        platform::put_on(file, attributes)
            .map_err(|error| failed("keep the mode and owner of", path, &error))?;
        let mut writer = file;
        writer
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(|error| failed("write", path, &error))?;
        unchanged()
    };
    let temp = match unnamed(folder) {
        Some(file) => {
            fill(&file)?;
            named(&file, folder)
        }
        None => None,
    };
    let temp = match temp {
        Some(temp) => temp,
        None => {
            // The builder makes it 0600; dropping it before `persist` deletes it.
            let temp = tempfile::Builder::new()
                .prefix(TEMP_PREFIX)
                .tempfile_in(folder)
                .map_err(|error| failed("write", path, &error))?;
            fill(temp.as_file())?;
            temp.into_temp_path()
        }
    };
    temp.persist(target)
        .map_err(|error| failed("write", path, &error.error))?;
    platform::sync_folder(folder).map_err(|error| {
        let doing = "sync the folder, a power cut may undo the new content, of";
        failed(doing, path, &error)
    })
}

/// A file without a name, so that nothing of it is left if we are killed; none where the
/// file system has no such files.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR).ok()?;
    Some(file.into())
}

/// Its name for the moment before the rename, since a link cannot replace a file.
#[cfg(target_os = "linux")]
fn named(file: &File, folder: &Path) -> Option<tempfile::TempPath> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = |at: &Path| {
        linkat(CWD, open.as_str(), CWD, at, AtFlags::SYMLINK_FOLLOW).map_err(io::Error::from)
    };
    let made = tempfile::Builder::new()
        .prefix(TEMP_PREFIX)
        .make_in(folder, link);
    made.ok().map(tempfile::NamedTempFile::into_temp_path)
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn named(_: &File, _: &Path) -> Option<tempfile::TempPath> {
    None
}

/// Where a write to `path` goes: through every link that we or root made.
fn follow_links(path: &Path) -> Result<PathBuf> {
    let mut at = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::symlink_metadata(&at) {
            Ok(there) if there.is_symlink() => {
                if is_foreign(&there) {
                    return Err(Error::new(
                        Kind::Failed,
                        format!("{} is a link that another user made", at.display()),
                    )
                    .hint(format!("ls -l {}", argument(&at))));
                }
                let to = fs::read_link(&at).map_err(|error| failed("read", &at, &error))?;
                at = folder_of(&at).join(to);
            }
            Ok(_) => return Ok(at),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(at),
            Err(error) => return Err(failed("read", path, &error)),
        }
    }
    let error = io::Error::other("too many links, or links in a circle");
    Err(failed("write", path, &error))
}

/// The folder that a path's last name is in; `.` for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::process::Command;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_write_replaces_the_whole_file_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for (bytes, wanted) in [(&b"one"[..], 0o600), (b"", 0o644), (b"three", 0o600)] {
            write_atomic(&path, bytes, wanted).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            assert_eq!(mode(&path), wanted);
        }
        assert_eq!(names(dir.path()), ["a"]);
        assert!(remove(&path).unwrap());
        assert!(!remove(&path).unwrap());
    }

    #[test]
    fn mode_and_owner_can_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        replace_keeping_mode(&path, b"new").unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(12_345), Some(23_456)).unwrap();
        }
        let before = fs::metadata(&path).unwrap();
        replace_keeping_mode(&path, b"newer").unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!(
            (after.mode(), after.uid(), after.gid()),
            (before.mode(), before.uid(), before.gid())
        );
        assert_ne!(after.ino(), before.ino());
    }

    #[test]
    fn links_stay_and_their_targets_are_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("dotfiles")).unwrap();
        let target = dir.path().join("dotfiles/config");
        let (link, second) = (dir.path().join("config"), dir.path().join("second"));
        symlink("dotfiles/config", &link).unwrap();
        symlink(&link, &second).unwrap();
        // The first write makes the target: a dangling link is a link too.
        for (path, bytes) in [(&link, b"one"), (&second, b"two")] {
            write_atomic(path, bytes, 0o600).unwrap();
            assert!(fs::symlink_metadata(path).unwrap().is_symlink());
            assert_eq!(fs::read(&target).unwrap(), bytes);
        }
        symlink("circle", dir.path().join("circle")).unwrap();
        let failure = write_atomic(&dir.path().join("circle"), b"", 0o600).unwrap_err();
        assert!(failure.to_string().contains("circle"), "{failure}");
    }

    #[test]
    fn nothing_is_left_of_a_write_that_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "old").unwrap();
        let seen = std::cell::RefCell::new(Vec::new());
        // Whoever is killed now has written everything, and renamed nothing.
        let stop = || {
            seen.borrow_mut().extend(names(dir.path()));
            Err(Error::new(Kind::Unfinished, "changed meanwhile"))
        };
        let failure = replace_unchanged(&path, b"secret", Readers::Kept, &stop).unwrap_err();
        assert_eq!(failure.message, "changed meanwhile");
        let has_unnamed = unnamed(dir.path()).is_some();
        assert_eq!(seen.borrow().len(), if has_unnamed { 1 } else { 2 });
        assert_eq!(names(dir.path()), ["a"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn what_a_killed_writer_left_is_found_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("real")).unwrap();
        for name in [
            "real/credentials",
            "real/.awskeep-Ab12cd",
            "real/.credentials.awskeep-new",
            "real/.config.awskeep-new",
            "real/.awskeep-mine",
            "real/.awskeep-notes1.txt",
        ] {
            fs::write(at(name), "").unwrap();
        }
        fs::create_dir(at("real/.awskeep-folder")).unwrap();
        symlink("real/credentials", at("credentials")).unwrap();
        let mut found = left_beside(&at("credentials"));
        found.sort();
        assert_eq!(
            found,
            [
                at("real/.awskeep-Ab12cd"),
                at("real/.credentials.awskeep-new")
            ]
        );
        assert_eq!(left_beside(&at("nothing/here")), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_secret_takes_the_place_of_an_open_file_as_a_private_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for (before, readers, after) in [
            (0o644, Readers::Kept, 0o644),
            (0o644, Readers::Owner, 0o600),
            (0o600, Readers::Owner, 0o600),
        ] {
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
            replace_unchanged(&path, b"x", readers, &|| Ok(())).unwrap();
            assert_eq!(mode(&path), after);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let failure = write_atomic(Path::new("/nonexistent/x"), b"", 0o600).unwrap_err();
        assert_eq!(failure.kind, Kind::Failed);
        assert!(failure.message.contains("/nonexistent/x"), "{failure}");
    }

    #[test]
    fn usual_causes_have_plain_words() {
        for (errno, words) in [
            (rustix::io::Errno::NOSPC, "the disk is full"),
            (rustix::io::Errno::DQUOT, "your disk quota is used up"),
            (rustix::io::Errno::ROFS, "the file system is read-only"),
            (rustix::io::Errno::ACCESS, "permission denied"),
            (rustix::io::Errno::FBIG, "the file size limit is reached"),
        ] {
            let failure = failed("write", Path::new("/x/y"), &errno.into());
            assert_eq!(failure.message, format!("cannot write /x/y: {words}"));
        }
    }

    /// A process that may write 1 KiB at most stands for a full disk.
    #[test]
    fn a_write_that_fails_half_way_leaves_the_old_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_atomic(&path, b"old", 0o600).unwrap();
        // Whatever the module is called, without the crate's name.
        let (_, module) = module_path!().split_once("::").unwrap();
        let child = format!("{module}::child_with_a_limit");
        let output = Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", &child, "--ignored"])
            .env("AWSKEEP_TEST_PATH", &path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["a"]);
    }

    #[test]
    #[ignore = "run by the test above, under a limit"]
    fn child_with_a_limit() {
        let path = PathBuf::from(std::env::var_os("AWSKEEP_TEST_PATH").unwrap());
        let failure = write_atomic(&path, &[b'n'; 8_192], 0o600).unwrap_err();
        assert!(failure.message.contains("limit is reached"), "{failure}");
    }
}

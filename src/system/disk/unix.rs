//! What only Unix has: owners, modes, access lists, links, folders that are synced. Edge.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, OFlags};

use crate::error::{Error, Kind, Result};
use crate::system::disk::{Attributes, MOST_LINKS, argument, failed};

/// Where everyone has a place for locks.
pub const SHARED: Option<&str> = Some("/tmp");

const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const ALL_WRITE: u32 = 0o002;

/// A folder and those above it, for us alone.
pub fn make_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

pub fn is_ours(there: &Metadata) -> bool {
    there.uid() == rustix::process::geteuid().as_raw()
}

/// Whether something is neither ours nor root's.
pub fn is_foreign(there: &Metadata) -> bool {
    ![0, rustix::process::geteuid().as_raw()].contains(&there.uid())
}

/// The command that takes others' way to write away, or shows it.
pub fn how_to_close(open: &Path) -> String {
    let shown = argument(open);
    let is_plain = fs::symlink_metadata(open).is_ok_and(|there| {
        let sticky = there.is_dir() && there.mode() & STICKY != 0;
        !is_foreign(&there) && !sticky && !there.is_symlink()
    });
    match access_list(open) {
        _ if !is_plain => format!("ls -ld {shown}"),
        AccessList::None => format!("chmod go-w {shown}"),
        AccessList::Is(_) | AccessList::Unreadable => {
            format!("setfacl -b {shown} && chmod go-w {shown}")
        }
    }
}

pub fn attributes_of(there: &Metadata) -> Attributes {
    Attributes {
        mode: there.mode() & 0o7777,
        owner: Some((there.uid(), there.gid())),
    }
}

pub fn put_on(file: &File, attributes: &Attributes) -> io::Result<()> {
    if let Some((uid, gid)) = attributes.owner {
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (uid, gid) {
            fchown(file, Some(uid), Some(gid))?;
        }
    }
    // What the folder gives to all new files would open this one with its mode.
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fremovexattr(file, ACCESS_LIST);
    file.set_permissions(Permissions::from_mode(attributes.mode))
}

pub fn refuse_read_only(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(
        folder,
        Access::WRITE_OK | Access::EXEC_OK,
    )?)
}

/// To read; a named pipe is not waited for.
pub fn open_at_once(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
}

/// The file of a lock, made if need be; a link is refused.
pub fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)
}

/// Whether this name is still that of the file.
pub fn is_still(path: &Path, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub fn is_alive(pid: u32) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

pub fn this_user() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let env = ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
    let uid = rustix::process::geteuid().as_raw();
    format!("{host}/{}/{uid}", env.trim())
}

pub fn home_of_user() -> Result<PathBuf> {
    let uid = nix::unistd::geteuid();
    let unknown = || {
        Error::new(
            Kind::Failed,
            format!("the password database has no user {uid}"),
        )
        .hint(format!("getent passwd {uid}"))
    };
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => Ok(user.dir),
        Ok(None) => Err(unknown()),
        Err(errno) => Err(unknown().cause(errno)),
    }
}

/// Makes a rename or a deletion last. Where a folder cannot be synced there is nothing
/// more to do, and what was done is done.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if cannot_be_synced(&error) => Ok(()),
        result => result,
    }
}

/// The file system has no way to do it, or does not let us; not that a disk failed.
fn cannot_be_synced(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    let tame = [
        Errno::INVAL,
        Errno::OPNOTSUPP,
        Errno::NOSYS,
        Errno::BADF,
        Errno::ACCESS,
        Errno::PERM,
        Errno::ISDIR,
        Errno::NOTTY,
        Errno::ROFS,
    ];
    errno.is_some_and(|errno| tame.contains(&errno))
}

pub fn open_to_others(path: &Path) -> Result<Option<PathBuf>> {
    let whole = std::path::absolute(path).map_err(|error| failed("read", path, &error))?;
    let mut ahead: VecDeque<OsString> = VecDeque::new();
    put_ahead(&mut ahead, &whole);
    let mut at = PathBuf::from("/");
    let mut folder = look(&at)?.ok_or_else(|| failed("read", &at, &not_there()))?;
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            at.pop();
            folder = look(&at)?.ok_or_else(|| failed("read", &at, &not_there()))?;
            continue;
        }
        let next = at.join(&name);
        let there = look(&next)?;
        if !closed_to_others(&at, &folder, there.as_ref()) {
            return Ok(Some(at));
        }
        let Some(there) = there else {
            return Ok(None);
        };
        if there.is_symlink() {
            links += 1;
            let to = fs::read_link(&next).map_err(|e| failed("read", &next, &e))?;
            if is_foreign(&there) || links > MOST_LINKS {
                return Ok(Some(next));
            }
            if to.is_absolute() {
                at = PathBuf::from("/");
            }
            put_ahead(&mut ahead, &to);
        } else {
            at = next;
        }
        folder = look(&at)?.ok_or_else(|| failed("read", &at, &not_there()))?;
    }
    let open = is_foreign(&folder) || others_write(&at, &folder);
    Ok(open.then_some(at))
}

fn not_there() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// Whether nobody else can decide what stands under a name in this folder.
fn closed_to_others(at: &Path, folder: &Metadata, next: Option<&Metadata>) -> bool {
    if is_foreign(folder) {
        return false;
    }
    let sticky = folder.mode() & STICKY != 0;
    match next {
        Some(next) if sticky => !is_foreign(next),
        Some(_) | None => !others_write(at, folder),
    }
}

fn put_ahead(ahead: &mut VecDeque<OsString>, path: &Path) {
    for part in path.components().rev() {
        match part {
            Component::Normal(name) => ahead.push_front(name.to_owned()),
            Component::ParentDir => ahead.push_front("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

fn look(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, &error)),
    }
}

pub fn others_write(path: &Path, there: &Metadata) -> bool {
    if there.mode() & ALL_WRITE != 0 {
        return true;
    }
    // With an access list this bit is the mask of all that it grants.
    if there.mode() & GROUP_WRITES == 0 {
        return false;
    }
    match access_list(path) {
        AccessList::None => !is_private_group(there.gid()),
        AccessList::Is(list) => lets_others_write(&list, there.gid(), is_private_group),
        AccessList::Unreadable => true,
    }
}

enum AccessList {
    None,
    Is(Vec<u8>),
    Unreadable,
}

#[cfg(target_os = "linux")]
const ACCESS_LIST: &str = "system.posix_acl_access";

#[cfg(target_os = "linux")]
fn access_list(path: &Path) -> AccessList {
    use rustix::io::Errno;
    // As much as the kernel lets one attribute hold.
    let mut list = vec![0; 64 << 10];
    match rustix::fs::getxattr(path, ACCESS_LIST, &mut list[..]) {
        Ok(length) => {
            list.truncate(length);
            AccessList::Is(list)
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => AccessList::None,
        Err(_) => AccessList::Unreadable,
    }
}

#[cfg(not(target_os = "linux"))]
fn access_list(_: &Path) -> AccessList {
    AccessList::None
}

/// Reads a list as the kernel gives it: a version, then entries of tag, permissions
/// and id, all little-endian. What cannot be read lets others write.
/// <https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/include/uapi/linux/posix_acl_xattr.h>
fn lets_others_write(list: &[u8], owners: u32, is_private: impl Fn(u32) -> bool) -> bool {
    const USER: u16 = 0x02;
    const OWNERS: u16 = 0x04;
    const GROUP: u16 = 0x08;
    const MASK: u16 = 0x10;
    let (Some([2, 0, 0, 0]), Some(entries)) = (list.get(..4), list.get(4..)) else {
        return true;
    };
    let (entries, rest) = entries.as_chunks::<8>();
    let entries = entries.iter().map(|[t0, t1, p0, p1, i0, i1, i2, i3]| {
        let (tag, permissions) = (
            u16::from_le_bytes([*t0, *t1]),
            u16::from_le_bytes([*p0, *p1]),
        );
        (tag, permissions, u32::from_le_bytes([*i0, *i1, *i2, *i3]))
    });
    let mask = entries.clone().find(|(tag, ..)| *tag == MASK);
    let mask = mask.map_or(0o7, |(_, permissions, _)| permissions);
    let us = rustix::process::geteuid().as_raw();
    let mut writers = entries.filter(|(_, permissions, _)| permissions & mask & 0o2 != 0);
    !rest.is_empty()
        || writers.any(|(tag, _, id)| match tag {
            USER => ![0, us].contains(&id),
            OWNERS => !is_private(owners),
            GROUP => !is_private(id),
            _ => false,
        })
}

/// Many systems give each user a group of their own and a umask of 002.
fn is_private_group(gid: u32) -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let us = rustix::process::geteuid().as_raw();
    gid == 0 || only_member(us, gid, &read("/etc/passwd"), &read("/etc/group"))
}

/// Whether these files know the group, and nobody in it but this user. Groups
/// that a directory service knows are not found here, and count as others.
fn only_member(uid: u32, gid: u32, passwd: &str, group: &str) -> bool {
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let users: Vec<_> = passwd.lines().map(fields).collect();
    let number = |user: &[String], n: usize| user.get(n).and_then(|n| n.parse::<u32>().ok());
    let named = |name: &str| {
        let user = users.iter().find(|user| user[0] == name);
        user.and_then(|user| number(user, 2)) == Some(uid)
    };
    let Some(found) = group
        .lines()
        .map(fields)
        .find(|group| number(group, 2) == Some(gid))
    else {
        return false;
    };
    let members = found.get(3).map_or("", String::as_str);
    members.split(',').filter(|m| !m.is_empty()).all(named)
        && users
            .iter()
            .filter(|user| number(user, 3) == Some(gid))
            .all(|user| number(user, 2) == Some(uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::disk::{others_can_write, private_dir};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_synced_fails_no_write() {
        use rustix::io::Errno;
        for (errno, tame) in [
            (Errno::INVAL, true),
            (Errno::OPNOTSUPP, true),
            (Errno::NOSYS, true),
            (Errno::ACCESS, true),
            (Errno::IO, false),
            (Errno::NOSPC, false),
        ] {
            assert_eq!(cannot_be_synced(&errno.into()), tame, "{errno:?}");
        }
        #[cfg(target_os = "linux")]
        sync_folder(Path::new("/proc")).unwrap();
    }

    #[test]
    fn private_folders_are_made_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        private_dir(&path).unwrap();
        private_dir(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        chmod(&path, 0o757);
        let failure = private_dir(&path).unwrap_err();
        assert_eq!(failure.hints, [format!("chmod go-w {}", path.display())]);
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(private_dir(&file).is_err());
    }

    #[test]
    fn the_part_that_others_can_write_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let (open, sticky) = (root.join("open"), root.join("sticky"));
        for (folder, mode) in [(&open, 0o777), (&sticky, 0o1777)] {
            fs::create_dir(folder).unwrap();
            fs::create_dir(folder.join("in")).unwrap();
            fs::write(folder.join("in/file"), "").unwrap();
            chmod(folder, mode);
        }
        fs::write(root.join("file"), "").unwrap();
        fs::write(root.join("loose"), "").unwrap();
        chmod(&root.join("loose"), 0o602);
        symlink(open.join("in/file"), root.join("link")).unwrap();
        symlink("file", root.join("fine")).unwrap();
        for (path, wanted) in [
            ("file", None),
            ("fine", None),
            ("new", None),
            ("loose", Some("loose")),
            ("open/in/file", Some("open")),
            ("link", Some("open")),
            ("sticky/in/file", None),
            ("sticky/in/../in/file", None),
            ("sticky/new", Some("sticky")),
            ("sticky/../file", None),
            ("sticky/in/../new", Some("sticky")),
            ("sticky", Some("sticky")),
        ] {
            let found = others_can_write(&root.join(path)).unwrap();
            assert_eq!(found, wanted.map(|name| root.join(name)), "{path}");
        }
    }

    /// An access list as the kernel has it.
    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut list = 2u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            list.extend(tag.to_le_bytes());
            list.extend(permissions.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        list
    }

    const NOBODY: u32 = u32::MAX;

    #[test]
    fn who_an_access_list_lets_write() {
        let us = rustix::process::geteuid().as_raw();
        let (owner, mask) = ((0x01, 6, NOBODY), (0x10, 6, NOBODY));
        let rest = [(0x04, 4, NOBODY), mask, (0x20, 0, NOBODY)];
        for (entry, writes) in [
            ((0x02, 6, 12_345), true),
            ((0x02, 4, 12_345), false),
            ((0x02, 6, us), false),
            ((0x02, 6, 0), false),
            ((0x08, 6, 50), true),
            ((0x08, 6, 1000), false),
            ((0x04, 6, NOBODY), true),
            ((0x04, 4, NOBODY), false),
        ] {
            let mut entries = vec![owner, entry];
            entries.extend(rest);
            let found = lets_others_write(&list(&entries), 50, |gid| gid == 1000);
            assert_eq!(found, writes, "{entry:?}");
        }
        let masked = [owner, (0x02, 6, 12_345), (0x10, 4, NOBODY)];
        assert!(!lets_others_write(&list(&masked), 1000, |gid| gid == 1000));
        for damaged in [&b""[..], b"\x01\0\0\0", b"\x02\0\0\0\x01"] {
            assert!(lets_others_write(damaged, 0, |_| true), "{damaged:?}");
        }
    }

    /// Linux's file systems have access lists, but for a few in memory.
    #[cfg(target_os = "linux")]
    #[test]
    fn whom_an_access_list_lets_write_is_seen_in_the_file_and_in_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let (folder, file) = (root.join("folder"), root.join("folder/file"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "").unwrap();
        let grant = |path: &Path, permissions| {
            let entries = [
                (0x01, 7, NOBODY),
                (0x02, permissions, 12_345),
                (0x04, 0, NOBODY),
                (0x10, 7, NOBODY),
                (0x20, 0, NOBODY),
            ];
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(path, ACCESS_LIST, &list(&entries), flags).unwrap();
        };
        grant(&file, 4);
        grant(&folder, 5);
        assert_eq!(others_can_write(&file).unwrap(), None);
        grant(&file, 6);
        assert_eq!(others_can_write(&file).unwrap(), Some(file.clone()));
        assert_eq!(
            crate::system::disk::how_to_close(&file),
            format!("setfacl -b {0} && chmod go-w {0}", file.display())
        );
        grant(&folder, 7);
        let new = folder.join("new");
        assert_eq!(others_can_write(&new).unwrap(), Some(folder.clone()));
        assert!(private_dir(&folder).is_err());
    }

    #[test]
    fn a_group_of_ones_own_is_not_others() {
        let passwd = "root:x:0:0::/:\nann:x:1000:1000::/:\nbob:x:1001:1001::/:\neve:x:1002:50::/:";
        let group =
            "ann:x:1000:\nbob:x:1001:ann\nstaff:x:50:ann\nwheel:x:60:ann\nboth:x:70:ann,bob";
        for (gid, private) in [
            (1000, true),
            (1001, false),
            (50, false),
            (60, true),
            (70, false),
            (99, false),
        ] {
            assert_eq!(only_member(1000, gid, passwd, group), private, "{gid}");
        }
    }
}

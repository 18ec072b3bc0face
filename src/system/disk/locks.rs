//! The locks that all awskeeps of one user share, whatever their HOME, login, sandbox
//! or version: each is taken in every place where it can be had. Edge.
//!
//! First in the home that the password database names, where nobody else can be in the
//! way; then in `/tmp/awskeep-UID`, which older versions lock, and which a sandbox
//! without a home has. Always in this order, so that two never wait for each other.
//! A place that cannot be had is left out; a lock that is held is waited for.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::system::disk::access::own_and_closed;
use crate::system::disk::lock::{Holder, Lock};
use crate::system::disk::{argument, failed, platform, private_dir};
use crate::types::escape;

/// A place that does not answer for so long is left out: a network file system whose
/// server is gone.
const ANSWER: Duration = Duration::from_secs(2);

/// How often a wait looks again, at first and later.
const SHORT_STEP: Duration = Duration::from_millis(10);
const LONG_STEP: Duration = Duration::from_millis(200);

/// A wait of this length is told.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// Where a user's locks are.
#[derive(Debug, Clone)]
pub struct LockPlaces(Vec<Place>);

#[derive(Debug, Clone)]
enum Place {
    /// Below the home of the password database, which may take its time to answer.
    HomeOfUser,
    /// Below a home.
    Home(PathBuf),
    /// In a folder that everyone can write.
    Shared(PathBuf),
}

impl LockPlaces {
    /// Those that every awskeep of this user agrees on.
    pub fn of_user() -> LockPlaces {
        LockPlaces::with(Place::HomeOfUser, platform::SHARED.map(PathBuf::from))
    }

    /// The same with these folders for the user's home and for `/tmp`: what tests lock
    /// is theirs alone.
    pub fn below(home: &Path, shared: &Path) -> LockPlaces {
        let shared = platform::SHARED.map(|_| shared.to_owned());
        LockPlaces::with(Place::Home(home.to_owned()), shared)
    }

    fn with(home: Place, shared: Option<PathBuf>) -> LockPlaces {
        let places = std::iter::once(home).chain(shared.map(Place::Shared));
        LockPlaces(places.collect())
    }

    /// Takes the lock in every place where it can be had; `told` is given a line if
    /// that takes longer than a second, and the wait ends when `stop` is raised.
    ///
    /// # Errors
    /// `Kind::Unfinished` if somebody still holds it after `how_long`, or then.
    pub fn take(
        &self,
        name: &str,
        how_long: Duration,
        told: &dyn Fn(&str),
        stop: &AtomicBool,
    ) -> Result<Taken> {
        self.take_within(
            name,
            Wait {
                started: Instant::now(),
                how_long,
                told_after: TOLD_AFTER,
                told: Some(told),
                stop,
            },
        )
    }

    /// The same without waiting; none if another awskeep holds it.
    pub fn glance(&self, name: &str) -> Option<Taken> {
        let never = AtomicBool::new(false);
        self.take(name, Duration::ZERO, &|_| (), &never).ok()
    }

    /// Another awskeep that holds the lock now, in words; nobody is waited for.
    pub fn holder(&self, name: &str) -> Option<String> {
        self.0.iter().find_map(|place| {
            let (place, name) = (place.clone(), name.to_owned());
            match within(ANSWER, move || place.try_now(&name)) {
                Some(Ok(Attempt::Held(_, holder))) => Some(another(holder.as_ref())),
                Some(Ok(Attempt::Locked(..)) | Err(_)) | None => None,
            }
        })
    }

    fn take_within(&self, name: &str, mut wait: Wait<'_>) -> Result<Taken> {
        let mut locks = Vec::new();
        let mut left_out = Vec::new();
        for place in &self.0 {
            match place.take(name, &mut wait)? {
                Ok(lock) => locks.push(lock),
                Err(failure) => left_out.push(failure),
            }
        }
        if locks.is_empty() {
            return Ok(Taken::Nowhere(nowhere(&left_out)));
        }
        Ok(Taken::Held(Locks { locks, left_out }))
    }
}

/// What came of taking a lock.
#[derive(Debug)]
pub enum Taken {
    Held(Locks),
    /// Nobody holds it, but no place for it can be had: why.
    Nowhere(Error),
}

impl Taken {
    /// # Errors
    /// `Kind::Unfinished` if there is no place for the lock.
    pub fn required(self) -> Result<Locks> {
        match self {
            Taken::Held(locks) => Ok(locks),
            Taken::Nowhere(failure) => Err(failure),
        }
    }
}

/// One lock, held in one or more places until it is dropped.
#[derive(Debug)]
pub struct Locks {
    locks: Vec<(PathBuf, Lock)>,
    /// The places that could not be had, and why: what `-v` is to show.
    pub left_out: Vec<Error>,
}

impl Locks {
    /// How far this lock reaches.
    pub fn reach(&self) -> Reach {
        let mut name = platform::this_user();
        for (folder, _) in &self.locks {
            name.push('\n');
            name.push_str(&folder.display().to_string());
        }
        Reach::Locked(name)
    }
}

/// Who is kept out by the lock that a run holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Host, machine id and user; then one line for each folder with a lock.
    Locked(String),
    /// The run holds none: whatever another one began lately is that one's.
    Nobody,
}

impl Reach {
    /// The name that a run leaves in what it begins.
    pub fn name(&self) -> String {
        match self {
            Reach::Locked(name) => name.clone(),
            Reach::Nobody => format!(
                "{}\nno lock, pid {}",
                platform::this_user(),
                std::process::id()
            ),
        }
    }

    /// Whether who left this name cannot be at work now: it held a lock that we hold.
    pub fn keeps_out(&self, other: &str) -> bool {
        let Reach::Locked(own) = self else {
            return false;
        };
        let (mut ours, mut theirs) = (own.lines(), other.lines());
        let same_user = ours.next() == theirs.next();
        same_user && (own == other || theirs.any(|folder| own.lines().skip(1).any(|f| f == folder)))
    }
}

/// The host in such a name, for people.
pub fn host_in(name: &str) -> Cow<'_, str> {
    escape::line(name.split(['/', '\n']).next().unwrap_or_default())
}

/// How long is waited, over all places, and who is told.
struct Wait<'a> {
    started: Instant,
    how_long: Duration,
    told_after: Duration,
    /// Taken when it has been told.
    told: Option<&'a dyn Fn(&str)>,
    stop: &'a AtomicBool,
}

impl Wait<'_> {
    /// # Errors
    /// `Kind::Unfinished` when the time is over, or the wait is to stop.
    fn rest(&mut self, path: &Path, holder: Option<&Holder>) -> Result<()> {
        if self.stop.load(Ordering::SeqCst) {
            let message = format!("stopped waiting for {}, as asked", another(holder));
            return Err(Error::new(Kind::Unfinished, message)
                .hint("run it again when the other has finished"));
        }
        let waited = self.started.elapsed();
        if waited >= self.told_after
            && self.how_long > self.told_after
            && let Some(told) = self.told.take()
        {
            told(&format!(
                "waiting for {}, for {} s at most; Ctrl-C is safe",
                another(holder),
                self.how_long.as_secs_f32()
            ));
        }
        let left = self.how_long.saturating_sub(waited);
        if left.is_zero() {
            return Err(held(path, holder, self.how_long));
        }
        let step = (waited / 10).clamp(SHORT_STEP, LONG_STEP);
        thread::sleep(step.min(left));
        Ok(())
    }
}

impl Place {
    /// The inner error is that the place cannot be had.
    fn take(&self, name: &str, wait: &mut Wait<'_>) -> Result<Result<(PathBuf, Lock), Error>> {
        let mut seen_held = None;
        loop {
            let (place, name) = (self.clone(), name.to_owned());
            let attempt = within(ANSWER, move || place.try_now(&name))
                .unwrap_or_else(|| Err(self.no_answer()));
            match (attempt, seen_held) {
                (Ok(Attempt::Locked(folder, lock)), _) => return Ok(Ok((folder, lock))),
                (Ok(Attempt::Held(path, holder)), _) => {
                    wait.rest(&path, holder.as_ref())?;
                    seen_held = Some((path, holder));
                }
                (Err(failure), None) => return Ok(Err(failure)),
                // Somebody was at work there, and may be still.
                (Err(failure), Some((path, holder))) => {
                    return Err(held(&path, holder.as_ref(), wait.how_long).cause(failure.message));
                }
            }
        }
    }

    /// May take long, or never return.
    fn try_now(&self, name: &str) -> Result<Attempt> {
        let folder = self.folder()?;
        let path = folder.join(name);
        Ok(match Lock::try_now(&path)? {
            Some(lock) => Attempt::Locked(folder, lock),
            None => {
                let holder = Holder::of(&path);
                Attempt::Held(path, holder)
            }
        })
    }

    /// The folder of the locks, made if need be.
    fn folder(&self) -> Result<PathBuf> {
        match self {
            Place::HomeOfUser => below_home(&platform::home_of_user()?),
            Place::Home(home) => below_home(home),
            Place::Shared(shared) => {
                let uid = rustix::process::geteuid().as_raw();
                let path = shared.join(format!("awskeep-{uid}"));
                own_folder(&path)?;
                Ok(path)
            }
        }
    }

    fn no_answer(&self) -> Error {
        let place = match self {
            Place::HomeOfUser => "your home folder".to_owned(),
            Place::Home(home) => home.display().to_string(),
            Place::Shared(shared) => shared.display().to_string(),
        };
        let seconds = ANSWER.as_secs();
        Error::new(
            Kind::Failed,
            format!("{place} does not answer within {seconds} s"),
        )
    }
}

enum Attempt {
    Locked(PathBuf, Lock),
    Held(PathBuf, Option<Holder>),
}

/// What the work gives if it ends in time; otherwise it is left behind in its thread,
/// and what it gives later is dropped.
fn within<T: Send + 'static>(
    how_long: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .spawn(move || drop(sender.send(work())))
        .ok()?;
    receiver.recv_timeout(how_long).ok()
}

fn another(holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) => format!("another awskeep ({holder})"),
        None => "another awskeep".to_owned(),
    }
}

fn held(path: &Path, holder: Option<&Holder>, how_long: Duration) -> Error {
    let message = format!("{} is at work: {} is held", another(holder), path.display());
    Error::new(Kind::Unfinished, message)
        .cause(format!("not released within {} s", how_long.as_secs_f32()))
        .hint("run it again when the other has finished")
}

fn nowhere(left_out: &[Error]) -> Error {
    let why: Vec<&str> = left_out.iter().map(|f| f.message.as_str()).collect();
    let failure = Error::new(
        Kind::Unfinished,
        "there is no place for a lock, so another awskeep could change the same keys now",
    )
    .cause(why.join("; "));
    left_out
        .iter()
        .flat_map(|left_out| left_out.hints.iter().take(1))
        .fold(failure, |failure, hint| failure.hint(hint))
}

/// Where locks are below a home: what holds the state of a user with no settings of
/// their own, so that the environment has no say.
fn below_home(home: &Path) -> Result<PathBuf> {
    let shown = home.display();
    if !fs::metadata(home).is_ok_and(|there| there.is_dir()) {
        let message = format!("your home folder {shown} does not exist");
        return Err(Error::new(Kind::Failed, message).hint(format!("ls -ld {}", argument(home))));
    }
    let state = if cfg!(target_os = "macos") {
        "Library/Application Support"
    } else if cfg!(windows) {
        "AppData/Local"
    } else {
        ".local/state"
    };
    let path = home.join(state).join("awskeep").join("locks");
    private_dir(&path)?;
    Ok(path)
}

/// `/tmp` is everyone's: what stands there must be a folder itself, ours and closed.
fn own_folder(path: &Path) -> Result<()> {
    match platform::make_folder(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("make the folder", path, &error)),
    }
    let there = fs::symlink_metadata(path).map_err(|error| failed("read", path, &error))?;
    if !there.is_dir() {
        let shown = path.display();
        let message = format!("{shown} is not a folder");
        return Err(Error::new(Kind::Failed, message).hint(format!("ls -ld {}", argument(path))));
    }
    own_and_closed(path, &there)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A home, and what stands for `/tmp`.
    struct Roots {
        dir: tempfile::TempDir,
    }

    impl Roots {
        fn new() -> Roots {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("home")).unwrap();
            fs::create_dir(dir.path().join("tmp")).unwrap();
            Roots { dir }
        }

        fn home(&self) -> PathBuf {
            self.dir.path().join("home")
        }

        fn tmp(&self) -> PathBuf {
            self.dir.path().join("tmp")
        }

        fn both(&self) -> LockPlaces {
            LockPlaces::below(&self.home(), &self.tmp())
        }

        fn only_home(&self) -> LockPlaces {
            LockPlaces::below(&self.home(), &self.dir.path().join("none"))
        }

        fn only_tmp(&self) -> LockPlaces {
            LockPlaces::below(&self.dir.path().join("none"), &self.tmp())
        }

        fn in_home(&self) -> PathBuf {
            self.home().join(".local/state/awskeep/locks")
        }

        fn in_tmp(&self) -> PathBuf {
            let uid = rustix::process::geteuid().as_raw();
            self.tmp().join(format!("awskeep-{uid}"))
        }

        /// Each name with `HOME` and `TMP` for these folders.
        fn names(&self, text: &str) -> String {
            text.replace(&self.in_home().display().to_string(), "HOME")
                .replace(&self.in_tmp().display().to_string(), "TMP")
        }
    }

    fn now(places: &LockPlaces) -> Result<Taken> {
        places.take("x.lock", Duration::ZERO, &|_| {}, &AtomicBool::new(false))
    }

    fn folders(roots: &Roots, locks: &Locks) -> String {
        let name = locks.reach().name();
        let folders: Vec<String> = name.lines().skip(1).map(|f| roots.names(f)).collect();
        folders.join(" ")
    }

    #[test]
    fn every_lock_that_can_be_had_is_taken_home_first() {
        let check = |places: &dyn Fn(&Roots) -> LockPlaces, expected: &str| {
            let roots = Roots::new();
            let held = now(&places(&roots)).unwrap().required().unwrap();
            assert_eq!(folders(&roots, &held), expected);
        };
        check(&Roots::both, "HOME TMP");
        check(&Roots::only_home, "HOME");
        check(&Roots::only_tmp, "TMP");
    }

    #[test]
    fn three_at_once_meet_where_they_can() {
        let roots = Roots::new();
        let (all, home, tmp) = (roots.both(), roots.only_home(), roots.only_tmp());
        let is_free = |places: &LockPlaces| match now(places) {
            Ok(taken) => taken.required().is_ok(),
            Err(failure) => {
                assert_eq!(failure.kind, Kind::Unfinished);
                false
            }
        };
        let first = now(&all).unwrap().required().unwrap();
        assert_eq!((is_free(&home), is_free(&tmp)), (false, false));
        drop(first);
        for (one, other) in [(&home, &tmp), (&tmp, &home)] {
            let held = now(one).unwrap().required().unwrap();
            assert_eq!((is_free(&all), is_free(other)), (false, true));
            drop(held);
        }
        assert!(is_free(&all));
    }

    /// What versions before this one do: a lock in `/tmp/awskeep-UID` alone.
    #[test]
    fn an_older_version_is_kept_out_and_waited_for() {
        let roots = Roots::new();
        own_folder(&roots.in_tmp()).unwrap();
        let old = Lock::try_now(&roots.in_tmp().join("x.lock")).unwrap();
        let failure = now(&roots.both()).unwrap_err();
        assert_eq!(failure.kind, Kind::Unfinished);
        drop(old);
        let new = now(&roots.both()).unwrap().required().unwrap();
        let old = Lock::try_now(&roots.in_tmp().join("x.lock")).unwrap();
        assert!(old.is_none());
        drop(new);
    }

    #[test]
    fn a_lock_that_is_held_is_named_with_its_holder_and_never_missing() {
        let roots = Roots::new();
        let _held = now(&roots.only_home()).unwrap().required().unwrap();
        // The other place cannot be had: that does not make the first one missing.
        let failure = now(&roots.only_home()).unwrap_err();
        let pid = std::process::id();
        let program = std::env::current_exe().unwrap();
        let program = program.file_name().unwrap().to_string_lossy().into_owned();
        let named = roots.names(&failure.message);
        let (who, rest) = named.split_once(program.as_str()).unwrap();
        assert_eq!(who, format!("another awskeep (pid {pid}, "));
        assert!(
            rest.ends_with(") is at work: HOME/x.lock is held"),
            "{rest}"
        );
        assert_eq!(failure.kind, Kind::Unfinished);
    }

    #[test]
    fn a_wait_is_told_once() {
        let roots = Roots::new();
        let _held = now(&roots.both()).unwrap().required().unwrap();
        let lines = std::cell::RefCell::new(Vec::new());
        let told = |line: &str| lines.borrow_mut().push(line.to_owned());
        let wait = Wait {
            started: Instant::now(),
            how_long: Duration::from_millis(30),
            told_after: Duration::ZERO,
            told: Some(&told),
            stop: &AtomicBool::new(false),
        };
        roots.both().take_within("x.lock", wait).unwrap_err();
        let lines = lines.into_inner();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].ends_with(", for 0.03 s at most; Ctrl-C is safe"));
    }

    #[test]
    fn what_somebody_puts_in_tmp_first_stops_nobody() {
        let check = |put: &dyn Fn(&Path), expected: &str| {
            let roots = Roots::new();
            put(&roots.in_tmp());
            let held = now(&roots.both()).unwrap().required().unwrap();
            assert_eq!(folders(&roots, &held), "HOME");
            let left_out = roots.names(&held.left_out[0].message);
            assert_eq!(left_out, expected);
            // Where that was the only place there is none, and that is no other awskeep.
            let Taken::Nowhere(failure) = now(&roots.only_tmp()).unwrap() else {
                panic!("a lock where there is no place for one");
            };
            assert_eq!(failure.kind, Kind::Unfinished);
        };
        check(&|at| fs::write(at, "").unwrap(), "TMP is not a folder");
        check(&|at| symlink("/", at).unwrap(), "TMP is not a folder");
        check(&|at| symlink("nothing", at).unwrap(), "TMP is not a folder");
        check(
            &|at| {
                let made = std::process::Command::new("mkfifo").arg(at).status();
                assert!(made.unwrap().success());
            },
            "TMP is not a folder",
        );
        check(
            &|at| {
                fs::create_dir(at).unwrap();
                fs::set_permissions(at, fs::Permissions::from_mode(0o777)).unwrap();
            },
            "others can write into the folder TMP",
        );
        if rustix::process::geteuid().is_root() {
            check(
                &|at| {
                    fs::create_dir(at).unwrap();
                    std::os::unix::fs::chown(at, Some(12_345), None).unwrap();
                },
                "the folder TMP belongs to another user",
            );
        }
    }

    #[test]
    fn a_place_that_does_not_answer_is_left_out() {
        let (never, receiver) = mpsc::channel::<()>();
        let answer = within(Duration::from_millis(20), move || receiver.recv().is_ok());
        assert_eq!(answer, None);
        drop(never);
        assert_eq!(within(Duration::from_secs(60), || 1), Some(1));
    }

    #[test]
    fn who_held_a_lock_of_ours_is_not_at_work() {
        let own = Reach::Locked("h/m/1\n/home/a\n/tmp/a".into());
        for (reach, other, keeps_out) in [
            (&own, "h/m/1\n/home/a\n/tmp/a", true),
            (&own, "h/m/1\n/tmp/a", true),
            (&own, "h/m/1\n/home/a", true),
            (&own, "h/m/1\n/home/b", false),
            (&own, "other/m/1\n/home/a\n/tmp/a", false),
            (&own, "h/m2/1\n/home/a\n/tmp/a", false),
            (&own, "h/m/2\n/home/a\n/tmp/a", false),
            (&own, "h/m/1\nno lock, pid 1", false),
            // Of an older version.
            (&own, "h/801.2f", false),
            (&Reach::Nobody, "h/m/1\n/home/a\n/tmp/a", false),
        ] {
            assert_eq!(reach.keeps_out(other), keeps_out, "{other}");
        }
        assert!(!Reach::Nobody.keeps_out(&Reach::Nobody.name()));
        for (name, host) in [
            ("h/m/1\n/home/a", "h"),
            ("h/801.2f", "h"),
            ("h\u{1b}[2J\u{202e}/m", "h\\u{1b}[2J\\u{202e}"),
        ] {
            assert_eq!(host_in(name), host);
        }
    }
}

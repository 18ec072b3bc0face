//! The path of awskeep that is written into profiles: one that stays where it is.
//! Edge (looks at the file system).
//!
//! An SDK will run whatever stands at this path with the user's rights, for years.
//! So it must be stable (the name on PATH, not where a link points today), and
//! nobody else may be able to replace it.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::system::disk;
use crate::system::env::Env;

/// The path to write.
///
/// # Errors
/// `Kind::Usage` for a path in a build or temp folder (unless it was named), one
/// that others can write, or a named path that is no program.
pub fn choose(env: &Env, named: Option<&Path>) -> Result<PathBuf> {
    let path = match named {
        Some(named) => named_path(env, named)?,
        None => {
            let path = on_path(env).unwrap_or_else(|| env.program.clone());
            refuse_passing(env, &path)?;
            path
        }
    };
    if let Some(open) = disk::others_can_write(&path)? {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "{} would be run for credentials, but others can write {}",
                path.display(),
                open.display()
            ),
        )
        .hint(disk::how_to_close(&open))
        .hint("or name another copy with --helper-path"));
    }
    Ok(path)
}

/// As `choose`, for a line of a file.
pub fn choose_text(env: &Env, named: Option<&Path>) -> Result<String> {
    let path = choose(env, named)?.into_os_string();
    path.into_string().map_err(|path| {
        let message = format!("{} is not UTF-8", Path::new(&path).display());
        Error::new(Kind::Usage, message).hint("name another copy with --helper-path")
    })
}

fn named_path(env: &Env, named: &Path) -> Result<PathBuf> {
    let path = env.here.join(named);
    let is_file = std::fs::metadata(&path).is_ok_and(|meta| meta.is_file());
    if is_file {
        return Ok(path);
    }
    Err(Error::new(
        Kind::Usage,
        format!("--helper-path {}: there is no such program", path.display()),
    )
    .hint("name the installed awskeep, such as /usr/local/bin/awskeep"))
}

/// The first `awskeep` on PATH, if it is this very program.
fn on_path(env: &Env) -> Option<PathBuf> {
    let own = env.program.canonicalize().ok()?;
    let name = env.program.file_name()?;
    env.on_path(name)
        .find(|candidate| candidate.canonicalize().is_ok_and(|found| found == own))
}

fn refuse_passing(env: &Env, path: &Path) -> Result<()> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let kind = if is_build(path) || is_build(&real) {
        "build"
    } else if is_temporary(env, path) || is_temporary(env, &real) {
        "temp"
    } else {
        return Ok(());
    };
    Err(Error::new(
        Kind::Usage,
        format!(
            "{} is in a {kind} folder; profiles that name it would break when it goes away",
            path.display()
        ),
    )
    .hint("install awskeep (cargo install --path .), or name a copy that stays with --helper-path"))
}

/// `…/target/debug/awskeep`, `…/target/release/awskeep` and cross builds.
fn is_build(path: &Path) -> bool {
    let parts: Vec<Component<'_>> = path.components().collect();
    let target = parts.iter().position(|part| part.as_os_str() == "target");
    target.is_some_and(|target| {
        parts[target..]
            .iter()
            .any(|part| part.as_os_str() == "debug" || part.as_os_str() == "release")
    })
}

fn is_temporary(env: &Env, path: &Path) -> bool {
    let named = ["TMPDIR", "TEMP", "TMP", "XDG_RUNTIME_DIR"]
        .iter()
        .filter_map(|name| env.path_var(name));
    named
        .chain(["/tmp", "/var/tmp", "/dev/shm", "/run"].map(OsStr::new))
        .any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_folders_are_recognised() {
        for (path, is) in [
            ("/home/me/awskeep/target/release/awskeep", true),
            (
                "/home/me/awskeep/target/x86_64-unknown-linux-musl/debug/awskeep",
                true,
            ),
            ("/home/me/.cargo/bin/awskeep", false),
            ("/home/target/bin/awskeep", false),
        ] {
            assert_eq!(is_build(Path::new(path)), is, "{path}");
        }
    }
}

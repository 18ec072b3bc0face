//! aws-vault's encrypted files: one for each name, below one passphrase. Edge; what is
//! in a file is `jwe`'s.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::import::sources::aws_vault::{Items, is_session, jwe};
use crate::system::disk;
use crate::system::env::Env;
use crate::types::keys::Secret;

/// Where aws-vault keeps the passphrase, for those who do not want to be asked.
const PASSPHRASE: &str = "AWS_VAULT_FILE_PASSPHRASE";

/// The folder of the files.
/// Source: aws-vault's cli/global.go, flag `--file-dir`.
pub fn folder(env: &Env) -> PathBuf {
    let home = env.folders.home.clone().unwrap_or_default();
    match env.path_var("AWS_VAULT_FILE_DIR").map(Path::new) {
        None => home.join(".awsvault/keys"),
        Some(folder) => match folder.strip_prefix("~") {
            Ok(below) => home.join(below),
            Err(_) => env.here.join(folder),
        },
    }
}

/// Every name that is no session, with what stands in its file.
///
/// # Errors
/// `Kind::Store` if the passphrase does not open a file, `Kind::PersonNeeded` if it
/// must be asked for and nobody is there.
pub fn items(env: &Env) -> Result<Items> {
    let folder = folder(env);
    let mut names = names(&folder)?;
    names.retain(|(name, _)| !is_session(name));
    if names.is_empty() {
        return Ok(Items::new());
    }
    let passphrase = match env.var(PASSPHRASE) {
        Some(text) => Secret::new(text.to_owned()),
        None => env
            .ui
            .ask_secret(&format!("passphrase of aws-vault's {}", folder.display()))?,
    };
    let mut items = Items::new();
    for (name, path) in names {
        let text = disk::read_regular(&path, disk::MOST_TEXT)
            .and_then(disk::text_of)
            .map_err(|error| disk::failed("read", &path, &error))?;
        let opened = jwe::open(text.trim(), passphrase.expose().as_bytes()).map_err(|what| {
            Error::new(Kind::Store, format!("{} {what}", path.display()))
                .hint(format!("set {PASSPHRASE}, or: aws-vault list"))
        })?;
        items.push((name, opened));
    }
    Ok(items)
}

/// Names and files, sorted.
fn names(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let files = std::fs::read_dir(folder).map_err(|error| disk::failed("read", folder, &error))?;
    let mut names: Vec<(String, PathBuf)> = files
        .filter_map(|file| {
            let path = file.ok()?.path();
            let name = decoded(path.file_name()?.to_str()?);
            // What file managers leave behind is no key.
            (path.is_file() && !name.starts_with('.')).then_some((name, path))
        })
        .collect();
    names.sort();
    Ok(names)
}

/// A file's name is the item's, with `%` and two hex digits for what files cannot have.
fn decoded(file_name: &str) -> String {
    let mut bytes = Vec::with_capacity(file_name.len());
    let mut rest = file_name.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let code = more
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &more[2..];
            }
            (_, Some(_) | None) => {
                bytes.push(first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_decoded() {
        for (file, name) in [
            ("work", "work"),
            ("division%2Fbob", "division/bob"),
            ("100%25", "100%"),
            ("50%", "50%"),
            ("50%zz", "50%zz"),
            ("%+1x", "%+1x"),
            ("caf%C3%A9", "café"),
        ] {
            assert_eq!(decoded(file), name, "{file}");
        }
    }
}

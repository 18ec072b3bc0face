//! The password store: one encrypted file for each name, opened by `pass` itself. Edge.

use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::import::sources::aws_vault::{Items, is_session};
use crate::system::env::Env;
use crate::system::secret_vars;
use crate::types::escape;

pub fn items(env: &Env) -> Result<Items> {
    let home = env.folders.home.clone().unwrap_or_default();
    let store = match env
        .path_var("AWS_VAULT_PASS_PASSWORD_STORE_DIR")
        .or_else(|| env.path_var("PASSWORD_STORE_DIR"))
    {
        Some(folder) => env.here.join(folder),
        None => home.join(".password-store"),
    };
    let prefix = env.var("AWS_VAULT_PASS_PREFIX").unwrap_or_default();
    let program = env.var("AWS_VAULT_PASS_CMD").unwrap_or("pass");
    let mut items = Items::new();
    for name in names(&store.join(prefix))? {
        if is_session(&name) {
            continue;
        }
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{}/{name}", prefix.trim_end_matches('/'))
        };
        items.push((name, show(env, program, &store, &path)?));
    }
    Ok(items)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let files = std::fs::read_dir(folder)
        .map_err(|error| crate::system::disk::failed("read", folder, &error))?;
    let mut names: Vec<String> = files
        .filter_map(|file| file.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".gpg")?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn show(env: &Env, program: &str, store: &Path, path: &str) -> Result<Zeroizing<Vec<u8>>> {
    let failed = || Error::new(Kind::Store, format!("{program} show {path} failed"));
    let output = Command::new(program)
        .args(["show", path])
        .env_clear()
        .envs(secret_vars::vars_without_secrets(env))
        .env("PASSWORD_STORE_DIR", store)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed().cause(error))?;
    let shown = Zeroizing::new(output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed()
            .cause(said.trim())
            .hint(format!("{program} show {}", escape::argument(path))));
    }
    Ok(shown)
}

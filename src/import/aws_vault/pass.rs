//! The password store: one encrypted file for each name, opened by `pass` itself. Edge.

use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::{Items, is_session};
use crate::escape;
use crate::failure::{Failure, Kind, Outcome};
use crate::handing_out;
use crate::machine::Machine;

pub fn items(machine: &Machine) -> Outcome<Items> {
    let home = machine.folders.home.clone().unwrap_or_default();
    let store = match machine
        .path_var("AWS_VAULT_PASS_PASSWORD_STORE_DIR")
        .or_else(|| machine.path_var("PASSWORD_STORE_DIR"))
    {
        Some(folder) => machine.here.join(folder),
        None => home.join(".password-store"),
    };
    let prefix = machine.var("AWS_VAULT_PASS_PREFIX").unwrap_or_default();
    let program = machine.var("AWS_VAULT_PASS_CMD").unwrap_or("pass");
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
        items.push((name, show(machine, program, &store, &path)?));
    }
    Ok(items)
}

fn names(folder: &Path) -> Outcome<Vec<String>> {
    let files =
        std::fs::read_dir(folder).map_err(|error| crate::disk::failed("read", folder, &error))?;
    let mut names: Vec<String> = files
        .filter_map(|file| file.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".gpg")?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn show(machine: &Machine, program: &str, store: &Path, path: &str) -> Outcome<Zeroizing<Vec<u8>>> {
    let failed = || Failure::new(Kind::Store, format!("{program} show {path} failed"));
    let output = Command::new(program)
        .args(["show", path])
        .env_clear()
        .envs(handing_out::vars_without_secrets(machine))
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

//! The keys that aws-vault keeps, to be imported: in the Secret Service, or in `pass`.
//! Edge; only reads. Its sessions and OIDC tokens are passed over: they die by
//! themselves. Nothing is ever deleted there.

use serde_json::Value;
use zeroize::Zeroizing;

use crate::failure::{Failure, Kind, Outcome};
use crate::key_source;
use crate::keys::{AccessKey, ProfileName};
use crate::machine::Machine;
#[cfg(target_os = "linux")]
use crate::vault::{fault::Fault, keychain::opening};

/// What was found.
#[derive(Debug, Default)]
pub struct Vaulted {
    pub keys: Vec<(ProfileName, AccessKey)>,
    /// Names that hold no long-term key, with the reason.
    pub passed_over: Vec<(String, String)>,
}

/// Reads aws-vault's store, as its own variables say which.
///
/// # Errors
/// `Kind::Store` if there is none that can be read here.
pub fn read(machine: &Machine) -> Outcome<Vaulted> {
    let items = match machine.var("AWS_VAULT_BACKEND") {
        Some("pass") => pass::items(machine)?,
        Some("secret-service") => secret_service_items(machine)?,
        Some(other) => return Err(not_readable(&format!("backend {other}"))),
        None if cfg!(target_os = "linux") => secret_service_items(machine)?,
        None => return Err(not_readable("store")),
    };
    let mut found = Vaulted::default();
    for (name, secret) in items {
        if is_session(&name) {
            continue;
        }
        let key = credential(&secret)
            .and_then(|text| key_source::from_json(&text))
            .and_then(|found| found.long_term());
        match (name.parse(), key) {
            (Ok(profile), Ok(key)) => found.keys.push((profile, key)),
            (Err(failure), _) | (_, Err(failure)) => {
                found.passed_over.push((name, failure.message));
            }
        }
    }
    found.keys.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

type Items = Vec<(String, Zeroizing<Vec<u8>>)>;

fn not_readable(what: &str) -> Failure {
    Failure::new(
        Kind::Store,
        format!("aws-vault's {what} cannot be read by awskeep on this system"),
    )
    .hint("aws-vault exec --no-session --json PROFILE | awskeep add PROFILE --stdin")
}

/// Names of what is no credential.
/// Source: aws-vault's vault/sessionkeyring.go and oidctokenkeyring.go, all versions.
fn is_session(name: &str) -> bool {
    let parts: Vec<&str> = name.split(',').collect();
    let dated = matches!(parts.as_slice(), [_, _, _, end] if !end.is_empty() && end.bytes().all(|b| b.is_ascii_digit()));
    let numbered = name.ends_with(')') && name.contains(" session (");
    dated
        || numbered
        || name.starts_with("session,")
        || name.starts_with("session:")
        || name.starts_with("oidc:")
}

/// The credential's JSON: bare, or inside the item that aws-vault's library wraps it in.
fn credential(stored: &[u8]) -> Outcome<Zeroizing<String>> {
    let odd = |what: &str| Failure::new(Kind::Failed, format!("what aws-vault stored {what}"));
    let text = std::str::from_utf8(stored).map_err(|_| odd("is not text"))?;
    let item: Value = serde_json::from_str(text).map_err(|_| odd("is not JSON"))?;
    let Some(data) = item.get("Data").and_then(Value::as_str) else {
        return Ok(Zeroizing::new(text.to_owned()));
    };
    let data = Zeroizing::new(data.to_owned());
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| odd("is not base64"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| odd("is not text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(target_os = "linux")]
fn secret_service_items(machine: &Machine) -> Outcome<Items> {
    let name = machine
        .var("AWS_VAULT_SECRET_SERVICE_COLLECTION_NAME")
        .unwrap_or("awsvault")
        .to_owned();
    let bus = machine.var("DBUS_SESSION_BUS_ADDRESS");
    opening::items_of_collection(bus, &name, WAIT).map_err(|fault| match fault {
        Fault::Absent(what) => not_readable("store").cause(what),
        Fault::Locked(_) => Failure::new(
            Kind::Store,
            format!("aws-vault's collection {name} is locked"),
        )
        .hint("aws-vault list, which unlocks it, then run this again"),
        other => other.failure(crate::vault::StoreKind::Keychain, None),
    })
}

/// How long the keychain may take for all of it.
#[cfg(target_os = "linux")]
const WAIT: std::time::Duration = std::time::Duration::from_secs(10);

#[cfg(not(target_os = "linux"))]
fn secret_service_items(_: &Machine) -> Outcome<Items> {
    Err(not_readable("store"))
}

mod pass {
    //! The password store: one encrypted file for each name, opened by `pass` itself.

    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    pub fn items(machine: &Machine) -> Outcome<Items> {
        let home = machine.folders.home.clone().unwrap_or_default();
        let store = match machine
            .var("AWS_VAULT_PASS_PASSWORD_STORE_DIR")
            .or_else(|| machine.var("PASSWORD_STORE_DIR"))
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
        let files = std::fs::read_dir(folder)
            .map_err(|error| crate::disk::failed("read", folder, &error))?;
        let mut names: Vec<String> = files
            .filter_map(|file| file.ok()?.file_name().into_string().ok())
            .filter_map(|name| Some(name.strip_suffix(".gpg")?.to_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    fn show(
        machine: &Machine,
        program: &str,
        store: &Path,
        path: &str,
    ) -> Outcome<Zeroizing<Vec<u8>>> {
        let failed = || Failure::new(Kind::Store, format!("{program} show {path} failed"));
        let output = Command::new(program)
            .args(["show", path])
            .env_clear()
            .envs(&machine.vars)
            .env("PASSWORD_STORE_DIR", store)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed().cause(error))?;
        let shown = Zeroizing::new(output.stdout);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(failed()
                .cause(said.trim())
                .hint(format!("{program} show {path}")));
        }
        Ok(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_known_by_their_names() {
        for (name, expected) in [
            ("work", false),
            ("work,team", false),
            ("sts.GetSessionToken,d29yaw,,1690000000", true),
            ("sts.AssumeRole,d29yaw,bWZh,1690000000", true),
            ("session,d29yaw,x,1", true),
            ("session:work:x:1", true),
            ("work session (1690000000)", true),
            ("oidc:https://x.awsapps.com/start", true),
        ] {
            assert_eq!(is_session(name), expected, "{name}");
        }
    }

    #[test]
    fn credentials_are_taken_out_of_their_wrapping() {
        use base64::Engine;
        let bare = r#"{"AccessKeyID":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"wJalr","SessionToken":"","Source":"","CanExpire":false,"Expires":"0001-01-01T00:00:00Z"}"#;
        let data = base64::engine::general_purpose::STANDARD.encode(bare);
        let wrapped = format!(
            r#"{{"Key":"work","Data":"{data}","Label":"aws-vault (work)","Description":""}}"#
        );
        for stored in [bare, &wrapped] {
            let text = credential(stored.as_bytes()).unwrap();
            let key = key_source::from_json(&text).unwrap().long_term().unwrap();
            assert_eq!(key.id.as_str(), "AKIAIOSFODNN7EXAMPLE");
        }
        assert!(credential(b"\xff").is_err() && credential(b"x").is_err());
    }
}

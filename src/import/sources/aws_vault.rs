//! The keys that aws-vault keeps, to be imported: in the system's keychain, in `pass`, or
//! in its own encrypted files. Edge; only reads. Its sessions and OIDC tokens are passed
//! over: they die by themselves. Nothing is ever deleted there.

mod encrypted;
mod jwe;
mod keychain;
mod pass;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::import::sources::key_input;
use crate::system::env::Env;
use crate::types::keys::{AccessKey, ProfileName};

/// What was found.
#[derive(Debug, Default)]
pub struct Vaulted {
    pub keys: Vec<(ProfileName, AccessKey)>,
    /// Names that hold no long-term key, with the reason.
    pub passed_over: Vec<(String, String)>,
}

/// Reads aws-vault's store, as its own variables say which; without one, the system's
/// keychain, and where that is missing the encrypted files.
///
/// # Errors
/// `Kind::Store` if there is none that can be read here.
pub fn read(env: &Env) -> Result<Vaulted> {
    let items = match env.var("AWS_VAULT_BACKEND") {
        Some("pass") => pass::items(env)?,
        Some("file") => encrypted::items(env)?,
        Some(name) if name == keychain::BACKEND => {
            keychain::items(env)?.ok_or_else(|| not_readable(&format!("backend {name}")))?
        }
        Some(other) => return Err(not_readable(&format!("backend {other}"))),
        None => match keychain::items(env)? {
            Some(items) => items,
            None if encrypted::folder(env).is_dir() => encrypted::items(env)?,
            None => return Err(not_readable("store")),
        },
    };
    let mut found = Vaulted::default();
    for (name, secret) in items {
        if is_session(&name) {
            continue;
        }
        let key = credential(&secret)
            .and_then(|text| key_input::from_json(&text))
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

fn not_readable(what: &str) -> Error {
    Error::new(
        Kind::Store,
        format!("aws-vault's {what} is not here, or cannot be read by awskeep"),
    )
    .hint(format!(
        "set AWS_VAULT_BACKEND as for aws-vault: {}, pass or file",
        keychain::BACKEND
    ))
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
fn credential(stored: &[u8]) -> Result<Zeroizing<String>> {
    let odd = |what: &str| Error::new(Kind::Failed, format!("what aws-vault stored {what}"));
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
            let key = key_input::from_json(&text).unwrap().long_term().unwrap();
            assert_eq!(key.id.as_str(), "AKIAIOSFODNN7EXAMPLE");
        }
        assert!(credential(b"\xff").is_err() && credential(b"x").is_err());
    }
}

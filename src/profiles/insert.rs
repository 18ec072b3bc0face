//! The edit behind `export`: a key goes back into the AWS files, in plaintext. Pure.
//! Refused where the key would be shadowed, or would shadow something.

use crate::error::{Error, Kind, Result};
use crate::profiles::command_line::parse_helper;
use crate::profiles::document::Document;
use crate::profiles::edits::{Inserts, keys_in, remove_property};
use crate::profiles::lint::KEY_LINES;
use crate::profiles::undo::Edited;
use crate::types::keys::{AccessKey, ProfileName};

/// For `export`: writes the pair into the credentials file and takes our own
/// `credential_process` out of both files. Gives the edits of config and credentials.
pub fn put_keys(
    config: &Document,
    credentials: &Document,
    profile: &ProfileName,
    key: &AccessKey,
) -> Result<(Edited, Edited)> {
    let config = remove_own_process(config, profile)?;
    refuse_keys_beside(&config.document, profile)?;
    let credentials = remove_own_process(credentials, profile)?;
    let [id_key, secret_key, token_key] = KEY_LINES;
    let document = &credentials.document;
    if let Some(token) = keys_in(document, profile)?.token {
        return Err(Error::new(
            Kind::Failed,
            format!(
                "{}:{}: a session token stands there",
                document.name(),
                token.line
            ),
        )
        .profile(profile)
        .hint(format!("remove the {token_key} line")));
    }
    let pair = [(id_key, key.id.as_str()), (secret_key, key.secret.expose())];
    let credentials = credentials.then(|document| {
        let mut puts = Inserts::into(document);
        for (key, value) in pair {
            puts.set(profile, key, value)?;
        }
        Ok(puts.done())
    })?;
    Ok((config, credentials))
}

/// Static keys left in the config file would be half-shadowed by what is written.
fn refuse_keys_beside(config: &Document, profile: &ProfileName) -> Result<()> {
    let found = keys_in(config, profile)?;
    let lines = [&found.id, &found.secret, &found.token];
    match lines.into_iter().flatten().next() {
        None => Ok(()),
        Some(found) => Err(Error::new(
            Kind::Failed,
            format!(
                "{}:{}: it has a key of its own there",
                config.name(),
                found.line
            ),
        ).profile(profile)
        .hint("remove the profile's aws_access_key_id, aws_secret_access_key and aws_session_token lines")),
    }
}

fn remove_own_process(document: &Document, profile: &ProfileName) -> Result<Edited> {
    document.refuse_trouble(profile)?;
    let process = document
        .section_of(profile)
        .and_then(|s| s.get("credential_process"));
    match process {
        None => Ok(Edited::nothing(document)),
        Some(process) if parse_helper(&process.value).is_some() => {
            remove_property(document, profile, "credential_process")
        }
        Some(process) => Err(Error::new(
            Kind::Failed,
            format!(
                "{}:{}: its credential_process is not awskeep's",
                document.name(),
                process.line
            ),
        )
        .profile(profile)
        .hint("remove the line, or choose another profile")),
    }
}

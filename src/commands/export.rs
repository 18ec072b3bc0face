//! `awskeep export ENTRY`: back to plaintext, on purpose.

use serde::Serialize;

use crate::cli::Export;
use crate::commands::Invocation;
use crate::config::Key;
use crate::error::Result;
use crate::profiles::AwsFiles;
use crate::records;
use crate::records::Record;
use crate::store::entries::Entries;
use crate::types::keys::ProfileName;

#[derive(Serialize)]
struct Exported {
    entry: String,
    key_id: String,
    file: String,
    profiles: Vec<String>,
}

pub fn run(context: &Invocation<'_>, args: &Export) -> Result<()> {
    let env = context.env;
    let entries = Entries::open(env)?;
    let found = entries.meant(&args.target)?;
    let _user = entries.lock_user(found.item.identity.as_ref(), found.name())?;
    let mut held = entries.get(found.name())?;
    let name = held.name().clone();
    let file = env.aws_credentials_file()?;
    let mut users = AwsFiles::read(env)?.using(&name);
    if let (Some(profile), true) = (&args.target.profile, users.len() > 1) {
        users.retain(|user| user == profile);
    }
    if users.is_empty() {
        users.push(ProfileName::from(&name));
    }
    let names = users.iter().map(ToString::to_string).collect::<Vec<_>>();
    let id = held.item.current.id.clone();
    if context.only_says(&[format!(
        "write {id} and its secret to {} for profile {}",
        file.display(),
        names.join(", ")
    )]) {
        return Ok(());
    }
    env.ui.confirm(&format!(
        "write the secret of {id} to {} in plaintext, where any program and backup can read it, for profile {}?",
        file.display(),
        names.join(", ")
    ))?;

    // The copy in the file may be used for as long as anything handed out without a way back.
    let until = env.now() + entries.settings.length(Key::EnvLease, Some(&name))?;
    held.item.handed_out_until = held.item.handed_out_until.max(Some(until));
    held.vault.save(&held.item)?;
    for profile in &users {
        AwsFiles::read(env)?.put_keys(env, profile, &held.item.current.key())?;
    }
    records::note(env, &Record::new(env.now(), &name, "export").key(&id));
    env.ui.warn(&format!(
        "the secret of {id} is in {} now; entry {name} still has it too: awskeep remove {name}",
        file.display()
    ));
    context.done(
        &format!(
            "profile {} has {id} in {}",
            names.join(", "),
            file.display()
        ),
        &Exported {
            entry: name.to_string(),
            key_id: id.to_string(),
            file: file.display().to_string(),
            profiles: names.clone(),
        },
    )
}

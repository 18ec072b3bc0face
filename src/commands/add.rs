//! `awskeep add ENTRY`: check, prove, save, read back, point the profile at it.
//!
//! Everything that can be refused is refused before anything is written; the
//! profile is written last, so that it never names an entry that is not there.

use std::io::Read;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::aws::Place;
use crate::aws::place;
use crate::cli::{Add, KeySourceArgs};
use crate::commands::{Invocation, Mode};
use crate::error::{Error, Kind, Result};
use crate::import::enroll;
use crate::import::enroll::{Over, Proven};
use crate::import::sources::key_input;
use crate::import::sources::key_input::FoundPair;
use crate::profiles::AwsFiles;
use crate::profiles::attach::Attach;
use crate::profiles::program_path;
use crate::records;
use crate::records::Record;
use crate::store::Vault;
use crate::store::entries::{Entries, StoredEntry};
use crate::store::file::passphrase;
use crate::store::file::passphrase::Making;
use crate::store::item::{Item, Stored};
use crate::system::disk;
use crate::system::env::Env;
use crate::types::keys::{AccessKey, AccessKeyId, EntryName, KeyIdKind, ProfileName};
use crate::types::store_kind::StoreKind;

#[derive(Serialize)]
struct Added {
    entry: String,
    key_id: String,
    account: Option<String>,
    arn: Option<String>,
    store: &'static str,
    profile: Option<String>,
    proven: bool,
}

pub fn run(context: &Invocation<'_>, args: &Add) -> Result<()> {
    let env = context.env;
    let entries = Entries::open(env)?;
    let name = args.name.as_ref().or(args.entry.as_ref());
    let name = name.ok_or_else(|| Error::new(Kind::Usage, "no entry was named"))?;
    let profile = match (&args.profile, args.no_profile) {
        (_, true) => None,
        (Some(profile), false) => Some(profile.clone()),
        (None, false) => Some(ProfileName::from(name)),
    };
    let kind = enroll::choose_store(
        env,
        &entries,
        args.store,
        name,
        &format!("awskeep add {name}"),
        match context.mode {
            Mode::Act => Making::Done,
            Mode::Say => Making::OnlySaid,
        },
    )?;
    let vault = entries.vault(kind)?;
    // Only a dry run goes on without the file that it would make.
    let is_there = kind != StoreKind::File || passphrase::file_is_there(env)?;
    let unfinished = match is_there {
        true => refuse_taken_name(env, &vault, name, profile.as_ref(), args)?,
        false => None,
    };

    let pointing = match &profile {
        Some(profile) => Some(Attach {
            profile: profile.clone(),
            helper_path: program_path::choose_text(env, args.helper_path.as_deref())?,
            region: args.region.clone(),
        }),
        None => None,
    };
    if let Some(pointing) = &pointing {
        AwsFiles::read(env)?.check_pointing(pointing, name)?;
    }
    // Last of what can be refused: nobody types a secret in vain.
    let key = read_key(env, args)?;
    if let Some(there) = unfinished
        .as_ref()
        .filter(|there| there.current.key() != key)
    {
        return Err(taken(name, there));
    }
    if let (Some(item), Some(pointing)) = (unfinished, &pointing) {
        let plan = format!(
            "point profile {} at entry {name}, which has {}",
            pointing.profile, key.id
        );
        if context.only_says(&[plan]) {
            return Ok(());
        }
        AwsFiles::read(env)?.point(env, pointing, name)?;
        return tell(context, &item, kind, profile.as_ref());
    }
    let elsewhere = entries.holding(&key.id, Some(kind))?;
    let elsewhere = elsewhere.filter(|held| held.name() != name);
    if let Some(held) = elsewhere {
        return use_other_entry(context, &held, &key, pointing.as_ref());
    }
    let (place, proven) = prove_key(context, args, name, &key, profile.as_ref())?;
    let item = enroll::item(&entries, name, key, place, proven)?;
    let mut plan = vec![format!(
        "keep {} as entry {name} in the {kind}",
        item.current.id
    )];
    plan.extend(
        profile
            .iter()
            .map(|profile| format!("point profile {profile} at it")),
    );
    if context.only_says(&plan) {
        return Ok(());
    }
    enroll::save(&entries, &vault, item.clone(), Over::Anything)?;
    records::note(
        env,
        &Record::new(env.now(), name, "add").key(&item.current.id),
    );
    if let Some(pointing) = &pointing {
        let pointed = AwsFiles::read(env)?.point(env, pointing, name);
        pointed.map_err(|failure| not_pointed(&item, pointing, failure))?;
    }
    tell(context, &item, kind, profile.as_ref())
}

/// Whether the name may be used. An entry that the wanted profile does not use yet is
/// given: with the same key, the profile is all that is missing.
fn refuse_taken_name(
    env: &Env,
    vault: &Vault,
    name: &EntryName,
    profile: Option<&ProfileName>,
    args: &Add,
) -> Result<Option<Item>> {
    if args.replace {
        return Ok(None);
    }
    match vault.find(name)? {
        None => Ok(None),
        Some(Stored::Alias(alias)) => Err(Error::new(
            Kind::Usage,
            format!("{name} still answers for entry {}", alias.renamed_to),
        )
        .hint(format!(
            "take the name away from it: awskeep add {name} --replace"
        ))),
        Some(Stored::Item(item)) => match profile {
            Some(profile)
                if AwsFiles::read(env)?.entry_of(profile.as_str()).as_ref() != Some(name) =>
            {
                Ok(Some(*item))
            }
            Some(_) | None => Err(taken(name, &item)),
        },
    }
}

fn taken(name: &EntryName, there: &Item) -> Error {
    Error::new(
        Kind::Usage,
        format!("entry {name} is there already, with {}", there.current.id),
    )
    .hint(format!(
        "put another key in its place: awskeep add {name} --replace"
    ))
}

/// The entry is kept, and its profile could not be written.
fn not_pointed(item: &Item, pointing: &Attach, failure: Error) -> Error {
    let (name, id) = (&item.entry, &item.current.id);
    Error {
        message: format!(
            "entry {name} keeps {id}, but profile {} does not use it yet: {}",
            pointing.profile,
            failure.told()
        ),
        subject: None,
        ..failure
    }
    .hint("then run the same command again: it writes the profile")
}

fn read_key(env: &Env, args: &Add) -> Result<AccessKey> {
    let found = find_key(env, &args.source)?;
    let key = found.long_term()?;
    if key.id.kind() == KeyIdKind::Unusual {
        env.ui.warn(&format!(
            "{} does not look like an IAM user's key id (AKIA…)",
            key.id
        ));
    }
    Ok(key)
}

fn find_key(env: &Env, source: &KeySourceArgs) -> Result<FoundPair> {
    if source.stdin {
        let mut text = Zeroizing::new(String::with_capacity(16 * 1024));
        std::io::stdin()
            .take(16 * 1024)
            .read_to_string(&mut text)
            .map_err(|error| Error::new(Kind::Failed, "stdin cannot be read").cause(error))?;
        return key_input::from_json(&text);
    }
    if let Some(path) = &source.csv {
        let text = disk::read_given(&env.here.join(path), disk::MOST_TEXT);
        let text = text.and_then(disk::text_of).map_err(|error| {
            Error::new(Kind::Failed, format!("{} cannot be read", path.display())).cause(error)
        })?;
        let found = key_input::from_csv(&path.display().to_string(), &text)?;
        env.ui.tell(&format!(
            "{} still holds the secret: remove it when the key is in use",
            path.display()
        ));
        return Ok(found);
    }
    if source.env {
        return Ok(key_input::from_variables(
            env.var("AWS_ACCESS_KEY_ID"),
            env.var("AWS_SECRET_ACCESS_KEY"),
            env.var("AWS_SESSION_TOKEN"),
        ));
    }
    typed_key(env)
}

/// Asks for id and secret, which may come in one paste.
fn typed_key(env: &Env) -> Result<FoundPair> {
    const ID: &str = "access key id (AKIA…)";
    let mut questions = env.ui.ask_quietly(ID)?;
    let mut id = |known: &FoundPair| -> Result<FoundPair> {
        let line = questions.ask(ID, key_input::may_be_seen)?;
        let typed = key_input::from_typed(line.expose());
        Ok(FoundPair {
            secret: match typed.secret.is_empty() {
                true => known.secret.duplicate(),
                false => typed.secret.duplicate(),
            },
            ..typed
        })
    };
    let mut found = id(&key_input::from_variables(None, None, None))?;
    if found.id.is_empty() && !found.secret.is_empty() {
        found = id(&found)?;
    }
    // Before the secret is asked for: who pasted that here learns it at once.
    let _well_formed: AccessKeyId = found.id.trim().parse()?;
    if found.secret.is_empty() {
        let line = questions.ask("secret access key (not shown)", |_| false)?;
        found.secret = key_input::secret_from_typed(line.expose());
    }
    Ok(found)
}

/// The key is in another entry: only the profile is written.
fn use_other_entry(
    context: &Invocation<'_>,
    held: &StoredEntry,
    key: &AccessKey,
    pointing: Option<&Attach>,
) -> Result<()> {
    let name = held.name();
    let Some(pointing) = pointing else {
        return Err(Error::new(
            Kind::Usage,
            format!("{} is in entry {name} already", key.id),
        )
        .hint(format!("give it another name: awskeep rename {name} NEW")));
    };
    if context.only_says(&[format!(
        "point profile {} at entry {name}, which has {}",
        pointing.profile, key.id
    )]) {
        return Ok(());
    }
    AwsFiles::read(context.env)?.point(context.env, pointing, name)?;
    context.env.ui.tell(&format!(
        "{} is in entry {name} already: no second entry was made, so that one rotation serves both",
        key.id
    ));
    tell(
        context,
        &held.item,
        held.vault.kind,
        Some(&pointing.profile),
    )
}

fn prove_key(
    context: &Invocation<'_>,
    args: &Add,
    name: &EntryName,
    key: &AccessKey,
    profile: Option<&ProfileName>,
) -> Result<(Place, Option<Proven>)> {
    let env = context.env;
    let profiles = AwsFiles::read(env)?;
    let place = place::place_to_prove(
        env,
        &profiles.config.document,
        profile.map_or("default", ProfileName::as_str),
        args.region.as_deref(),
        args.endpoint_url.as_deref(),
        &mut Vec::new(),
    )?;
    if args.no_verify {
        env.ui.warn(&format!(
            "{} was not checked with AWS (--no-verify)",
            key.id
        ));
        return Ok((place, None));
    }
    let unchecked = format!("keep {} unchecked: awskeep add {name} --no-verify", key.id);
    let proven = enroll::prove(env, &place, key, name, Some(&unchecked))?;
    Ok((place, Some(proven)))
}

fn tell(
    context: &Invocation<'_>,
    item: &Item,
    kind: StoreKind,
    profile: Option<&ProfileName>,
) -> Result<()> {
    let arn = item.identity.as_ref().map(|identity| &identity.arn);
    let whose = arn.map_or("not checked with AWS".to_owned(), ToString::to_string);
    let line = format!(
        "entry {} keeps {} ({whose}) in the {kind}",
        item.entry, item.current.id
    );
    let use_it = profile.map_or(String::new(), |profile| {
        format!("\nuse it: aws sts get-caller-identity --profile {profile}")
    });
    context.done(
        &format!("{line}{use_it}"),
        &Added {
            entry: item.entry.to_string(),
            key_id: item.current.id.to_string(),
            account: arn.map(|arn| arn.account().to_string()),
            arn: arn.map(ToString::to_string),
            store: kind.word(),
            profile: profile.map(ToString::to_string),
            proven: arn.is_some(),
        },
    )
}

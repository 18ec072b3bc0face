//! `awskeep list`: entries, the profiles that use them, key, account, user, store.

use serde::Serialize;

use crate::commands::{Form, Invocation};
use crate::error::Result;
use crate::profiles::AwsFiles;
use crate::store::entries::{Entries, StoredEntry};
use crate::types::time::Timestamp;
use crate::ui::table::{headed, lines_of};

#[derive(Serialize)]
struct Row {
    entry: String,
    profiles: Vec<String>,
    key_id: String,
    account: Option<String>,
    user: Option<String>,
    arn: Option<String>,
    region: String,
    endpoint: Option<String>,
    store: &'static str,
    saved_at: Timestamp,
    pending: Option<String>,
    previous: Option<String>,
}

#[derive(Serialize)]
struct OldName {
    name: String,
    renamed_to: String,
    answers_until: Timestamp,
}

#[derive(Serialize)]
struct Listing {
    entries: Vec<Row>,
    old_names: Vec<OldName>,
    troubles: Vec<String>,
}

pub fn run(context: &Invocation<'_>) -> Result<()> {
    let ui = &context.env.ui;
    let entries = Entries::open(context.env)?;
    let inventory = entries.inventory()?;
    let profiles = AwsFiles::read(context.env)?;
    let listing = Listing {
        entries: inventory
            .held
            .iter()
            .map(|held| row(held, &profiles))
            .collect(),
        old_names: inventory
            .aliases
            .iter()
            .map(|(name, _, alias)| OldName {
                name: name.to_string(),
                renamed_to: alias.renamed_to.to_string(),
                answers_until: alias.until,
            })
            .collect(),
        troubles: inventory
            .troubles
            .iter()
            .chain(&inventory.unreadable)
            .map(|trouble| trouble.message.clone())
            .collect(),
    };
    let mut broken = inventory.troubles;
    broken.extend(inventory.unreadable);
    match context.form {
        Form::Json => ui.json(&listing)?,
        Form::Text if !listing.entries.is_empty() => ui.text(&table(&listing.entries))?,
        Form::Text if broken.is_empty() => {
            ui.tell("there are no entries yet\nhint: awskeep add NAME")
        }
        Form::Text => {}
    }
    // What cannot be read is a failure, after everything else was shown.
    super::first_of(ui, broken)
}

fn row(held: &StoredEntry, profiles: &AwsFiles) -> Row {
    let item = &held.item;
    let arn = item.identity.as_ref().map(|identity| &identity.arn);
    // Not proven: what the key id itself says is better than nothing to a person.
    let account = arn
        .map(|arn| arn.account())
        .or_else(|| item.current.id.account_hint());
    Row {
        entry: item.entry.to_string(),
        profiles: profiles
            .using(&item.entry)
            .iter()
            .map(ToString::to_string)
            .collect(),
        key_id: item.current.id.to_string(),
        account: account.map(|account| account.to_string()),
        user: arn.map(|arn| arn.user_name().to_owned()),
        arn: arn.map(ToString::to_string),
        region: item.region.clone(),
        endpoint: item.endpoint.as_ref().map(|endpoint| endpoint.sts.clone()),
        store: held.vault.kind.word(),
        saved_at: item.current.saved_at,
        pending: item.pending.as_ref().map(|slot| slot.id.to_string()),
        previous: item.previous.as_ref().map(|slot| slot.id.to_string()),
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = headed(["ENTRY", "KEY", "ACCOUNT", "USER", "STORE", "PROFILES"]);
    for row in rows {
        table.add_row([
            row.entry.as_str(),
            &row.key_id,
            row.account.as_deref().unwrap_or("-"),
            row.user.as_deref().unwrap_or("not proven"),
            row.store,
            &row.profiles.join(" "),
        ]);
    }
    lines_of(&table)
}

//! `awskeep list`: entries, the profiles that use them, key, account, user, store.

use serde::Serialize;

use super::{Context, Form};
use crate::entries::{Entries, Held};
use crate::failure::Outcome;
use crate::profiles::Profiles;
use crate::table::{headed, lines_of};
use crate::time::Time;

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
    saved_at: Time,
    pending: Option<String>,
    previous: Option<String>,
}

#[derive(Serialize)]
struct OldName {
    name: String,
    renamed_to: String,
    answers_until: Time,
}

#[derive(Serialize)]
struct Listing {
    entries: Vec<Row>,
    old_names: Vec<OldName>,
    troubles: Vec<String>,
}

pub fn run(context: &Context<'_>) -> Outcome<()> {
    let ui = &context.machine.ui;
    let entries = Entries::open(context.machine)?;
    let inventory = entries.inventory()?;
    let profiles = Profiles::read(context.machine)?;
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

fn row(held: &Held, profiles: &Profiles) -> Row {
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

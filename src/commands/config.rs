//! `awskeep config [get|set|unset]`: settings, per entry or for all.

use serde::Serialize;

use crate::automation::memory;
use crate::cli::{Config, ConfigAction};
use crate::commands::{Form, Invocation};
use crate::config;
use crate::config::{Key, Settings};
use crate::error::{Error, Kind, Result};
use crate::store::entries::Entries;
use crate::types::keys::EntryName;

#[derive(Serialize)]
struct Row {
    setting: &'static str,
    value: Option<String>,
    from: String,
}

pub fn run(context: &Invocation<'_>, args: &Config) -> Result<()> {
    let entry = args.entry.as_ref();
    match &args.action {
        None => show(context, entry),
        Some(ConfigAction::Get { key }) => get(context, entry, key.parse()?),
        Some(ConfigAction::Set { key, value }) => change(context, entry, key.parse()?, Some(value)),
        Some(ConfigAction::Unset { key }) => change(context, entry, key.parse()?, None),
    }
}

fn show(context: &Invocation<'_>, entry: Option<&EntryName>) -> Result<()> {
    let settings = Settings::load(context.env)?;
    settings.refuse_mistakes()?;
    let rows: Vec<Row> = Key::ALL
        .into_iter()
        .map(|key| {
            let found = settings.value(key, entry);
            Row {
                setting: key.name(),
                from: found
                    .as_ref()
                    .map_or("unset".into(), |(_, origin)| origin.to_string()),
                value: found.map(|(value, _)| value),
            }
        })
        .collect();
    if context.form == Form::Json {
        return context.env.ui.json(&rows);
    }
    let mut text = format!("# {}\n", settings.path.display());
    for row in rows {
        let value = row.value.unwrap_or_default();
        text.push_str(&format!("{:<12} {:<12} {}\n", row.setting, value, row.from));
    }
    context.env.ui.text(&text)
}

fn get(context: &Invocation<'_>, entry: Option<&EntryName>, key: Key) -> Result<()> {
    let settings = Settings::load(context.env)?;
    settings.refuse_mistakes()?;
    let Some((value, origin)) = settings.value(key, entry) else {
        return Err(Error::new(Kind::NotFound, format!("{key} is not set"))
            .hint(format!("awskeep config set {key} VALUE")));
    };
    if context.form == Form::Json {
        return context.env.ui.json(&Row {
            setting: key.name(),
            value: Some(value),
            from: origin.to_string(),
        });
    }
    context.env.ui.text(&format!("{value}\n"))
}

fn change(
    context: &Invocation<'_>,
    entry: Option<&EntryName>,
    key: Key,
    value: Option<&str>,
) -> Result<()> {
    if let Some(value) = value {
        key.check(value)?;
    }
    if key == Key::Store {
        let store = value.unwrap_or("keychain");
        return Err(Error::new(
            Kind::Usage,
            "which store an entry is in is not changed by a setting: its key would not be found",
        )
        .hint(format!("for new entries: awskeep store use {store}"))
        .hint(format!(
            "for those that are there: awskeep store move {store}"
        )));
    }
    let entries = Entries::open(context.env)?;
    let entry = match entry {
        Some(entry) => Some(entries.get(entry)?.name().clone()),
        None => None,
    };
    let path = &entries.settings.path;
    let place = entry
        .as_ref()
        .map_or("all entries".to_owned(), |entry| format!("entry {entry}"));
    let line = match value {
        Some(value) => format!("{key} is now {value} for {place}"),
        None => format!("{key} is no longer set for {place}"),
    };
    if context.only_says(&[format!("write {}: {line}", path.display())]) {
        return Ok(());
    }
    let _names = entries.lock_names()?;
    config::edit(path, |text| {
        config::with_setting(text, entry.as_ref(), key, value)
    })?;
    memory::forget(context.env, |name| {
        entry.as_ref().is_none_or(|entry| entry == name)
    });
    context.done(
        &line,
        &serde_json::json!({"setting": key.name(), "entry": entry, "value": value}),
    )
}

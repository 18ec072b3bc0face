//! `awskeep log [ENTRY]`: the receipts of what was done to which key, and when.
//! It reads no store, so that it answers while one is locked.

use std::collections::BTreeSet;

use crate::cli::Log;
use crate::commands::{Form, Invocation};
use crate::error::{Error, Kind, Result};
use crate::profiles::AwsFiles;
use crate::records::{Record, Records};
use crate::types::keys::EntryName;
use crate::ui::table::{headed, lines_of};

pub fn run(context: &Invocation<'_>, args: &Log) -> Result<()> {
    let ui = &context.env.ui;
    let mut receipts = Records::of(context.env)?.read()?;
    if let Some(names) = names(context, args, &receipts)? {
        receipts.retain(|receipt| names.contains(&receipt.entry));
    }
    match context.form {
        _ if args.csv => ui.text(&csv(&receipts)?),
        Form::Json => ui.json(&receipts),
        Form::Text if receipts.is_empty() => {
            ui.tell("no receipts");
            Ok(())
        }
        Form::Text => ui.text(&table(&receipts)),
    }
}

/// The entry that is meant with all names that it had; none: every entry.
fn names(
    context: &Invocation<'_>,
    args: &Log,
    receipts: &[Record],
) -> Result<Option<BTreeSet<EntryName>>> {
    let target = &args.target;
    let of_profile =
        |profile: &str| AwsFiles::read(context.env).map(|profiles| profiles.entry_of(profile));
    let entry = match (&target.entry, &target.profile, &target.name) {
        (Some(entry), _, _) => Some(entry.clone()),
        (None, Some(profile), _) => of_profile(profile.as_str())?,
        (None, None, Some(name)) => match name.parse::<EntryName>() {
            // A removed entry is in the receipts only.
            Ok(entry) if receipts.iter().any(|receipt| receipt.entry == entry) => Some(entry),
            Ok(_) | Err(_) => of_profile(name)?,
        },
        (None, None, None) => return Ok(None),
    };
    let Some(entry) = entry else {
        let name = target.name.clone().or(target
            .profile
            .as_ref()
            .map(|profile| profile.as_str().to_owned()));
        return Err(Error::new(
            Kind::NotFound,
            format!("no receipt names {}", name.unwrap_or_default()),
        )
        .hint("awskeep log"));
    };
    Ok(Some(with_old_names(entry, receipts)))
}

/// Renames leave the older receipts under the older name.
fn with_old_names(entry: EntryName, receipts: &[Record]) -> BTreeSet<EntryName> {
    let mut names = BTreeSet::from([entry]);
    for receipt in receipts.iter().rev() {
        if names.contains(&receipt.entry)
            && let Some(old) = &receipt.old_name
        {
            names.insert(old.clone());
        }
    }
    names
}

fn cells(receipt: &Record) -> [String; 6] {
    [
        receipt.at.to_string(),
        receipt.entry.to_string(),
        receipt.step.clone(),
        receipt
            .key_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        receipt.request_id.clone().unwrap_or_default(),
        receipt.result.clone(),
    ]
}

fn table(receipts: &[Record]) -> String {
    let mut table = headed(["TIME", "ENTRY", "STEP", "KEY", "REQUEST", "RESULT"]);
    for receipt in receipts {
        table.add_row(cells(receipt));
    }
    lines_of(&table)
}

fn csv(receipts: &[Record]) -> Result<String> {
    let failed = |error: csv::Error| {
        Error::new(Kind::Bug, "the receipts cannot be written as CSV").cause(error)
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(["time", "entry", "step", "key_id", "request_id", "result"])
        .map_err(failed)?;
    for receipt in receipts {
        writer.write_record(cells(receipt)).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|error| {
        Error::new(Kind::Bug, "the receipts cannot be written as CSV").cause(error)
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

//! `awskeep import`: moves plaintext keys out of the AWS files, and back with `--undo`.
//! The plan is shown first; the work is `crate::import`'s.

use std::path::Path;

use serde::Serialize;

use crate::automation::memory;
use crate::cli::Import;
use crate::commands::{Form, Imported, Invocation, Mode};
use crate::error::{Error, Kind, Result};
use crate::import::apply;
use crate::import::apply::{Done, From, Prepared, Request};
use crate::import::classify::obstacle::{Obstacle, Weight};
use crate::import::classify::{ProfileChange, Row, Verdict};
use crate::import::diff;
use crate::import::sources::source;
use crate::import::undo::{self, Undo};
use crate::profiles::{Checked, CheckedFiles, Lint};
use crate::store::entries::Entries;
use crate::system::disk;
use crate::system::env::Env;
use crate::types::keys::EntryName;
use crate::ui::Confirmation;
use crate::ui::table::{headed, lines_of};

#[derive(Serialize)]
struct Told {
    profiles: Vec<ToldRow>,
}

#[derive(Serialize)]
struct ToldRow {
    profile: String,
    key_id: Option<String>,
    account: Option<String>,
    entry: Option<String>,
    arn: Option<String>,
    /// `planned`, `imported`, `refused`, `nothing to do`
    result: &'static str,
    reason: Option<String>,
    mend: Option<String>,
}

#[derive(Serialize)]
struct Undone {
    files: Vec<String>,
    entries: Vec<String>,
}

pub(super) fn run(context: &Invocation<'_>, args: &Import) -> Result<Imported> {
    if args.undo {
        return Ok(Imported {
            result: take_back(context),
            rotate: Vec::new(),
        });
    }
    if args.rotate && context.form == Form::Json {
        return Err(
            Error::new(Kind::Usage, "--rotate with --json would print two results")
                .hint("awskeep import --json --no-rotate")
                .hint("then: awskeep rotate --json ENTRY"),
        );
    }
    let (from, csv) = source(context.env, args)?;
    let imported = import(context, args, from)?;
    if let Some(path) = csv
        && context.mode == Mode::Act
        && imported.result.is_ok()
    {
        offer_to_remove(context.env, &path)?;
    }
    let rotate = to_rotate(context, args, imported.moved)?;
    Ok(Imported {
        result: imported.result,
        rotate,
    })
}

/// What the import itself came to.
struct Came {
    /// A long-term key that stays in plaintext is a failure, after all else was done.
    result: Result<()>,
    /// The entries that got a key, or would.
    moved: Vec<EntryName>,
}

/// The entries that a person wants rotated, asked unless a flag says it.
fn to_rotate(
    context: &Invocation<'_>,
    args: &Import,
    moved: Vec<EntryName>,
) -> Result<Vec<EntryName>> {
    let ui = &context.env.ui;
    let quiet = args.no_rotate || context.form == Form::Json;
    if moved.is_empty() || quiet {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = moved.iter().map(EntryName::as_str).collect();
    let names = names.join(" ");
    if context.mode == Mode::Say {
        if args.rotate {
            ui.tell(&format!("would then rotate {names}"));
        }
        return Ok(Vec::new());
    }
    if args.rotate {
        return Ok(moved);
    }
    let why = match args.from.first().map(String::as_str) {
        Some("env") => "this key is in an environment, so rc files and other programs may have it",
        Some("aws-vault") => "aws-vault still has these keys",
        Some(_) | None => "these keys stood in a file, so backups and other programs may have them",
    };
    // An offer is no question that --yes answers: a rotation is more than was asked for.
    if ui.attended() && ui.confirmation == Confirmation::Ask {
        let question = format!("{why}; rotate {names} now?");
        if ui.confirm(&question).is_ok() {
            return Ok(moved);
        }
        ui.tell(&format!("not rotated; later: awskeep rotate {names}"));
        return Ok(Vec::new());
    }
    ui.tell(&format!("{why}: awskeep rotate {names}"));
    Ok(Vec::new())
}

/// The file is of no use any more, and its secret is in plaintext.
fn offer_to_remove(env: &Env, path: &Path) -> Result<()> {
    let shown = path.display();
    match env
        .ui
        .confirm(&format!("remove {shown}, which still holds the secret?"))
    {
        Ok(()) => {
            disk::remove(path)?;
            env.ui.tell(&format!("{shown} is removed"));
        }
        Err(_) => env.ui.tell(&format!(
            "{shown} still holds the secret: rm {}",
            disk::argument(path)
        )),
    }
    Ok(())
}

fn import(context: &Invocation<'_>, args: &Import, from: From) -> Result<Came> {
    let env = context.env;
    let entries = Entries::open(env)?;
    let mut wanted = Request {
        profiles: args.profiles.clone(),
        from,
        store: args.store,
        region: args.region.clone(),
        endpoint_url: args.endpoint_url.clone(),
        helper_path: args.helper_path.clone(),
    };
    if let (Some(more), From::Files) = (args.from.get(1), &wanted.from) {
        wanted.profiles.push(more.parse()?);
    }
    let prepared = apply::prepare(env, &entries, &wanted)?;
    show(context, &prepared, args)?;
    let count = prepared.moves().count();
    if count == 0 || context.mode == Mode::Say {
        if context.form == Form::Json {
            env.ui.json(&told(&prepared.rows, None))?;
        } else if prepared.rows.is_empty() {
            env.ui.tell("there is no key to import");
        }
        return Ok(came(&prepared.rows));
    }
    warn(env);
    env.ui.confirm(&format!(
        "move the keys of {count} profiles into a store, and remove them from the files?"
    ))?;
    let done = apply::run(env, &entries, &wanted, &prepared, &|_| Ok(()))?;
    // What moved is to be looked after, whatever else was refused.
    memory::look_again(env);
    tell(context, &done)?;
    Ok(came(&done.rows))
}

fn came(rows: &[Row]) -> Came {
    let mut moved: Vec<EntryName> = Vec::new();
    for row in rows {
        if let Verdict::Move(found) = &row.verdict
            && !moved.contains(&found.entry)
        {
            moved.push(found.entry.clone());
        }
    }
    Came {
        result: refused(rows),
        moved,
    }
}

/// The plan, as a table, and the edits if asked for.
fn show(context: &Invocation<'_>, prepared: &Prepared, args: &Import) -> Result<()> {
    if context.form == Form::Json {
        return Ok(());
    }
    let ui = &context.env.ui;
    let files = &prepared.files;
    if !prepared.rows.is_empty() {
        let checked = files.checked();
        for file in checked.in_order() {
            ui.text(&of_the_file(file, &prepared.rows))?;
        }
        ui.text(&table(&prepared.rows, &checked))?;
    }
    if args.diff {
        let changes = &prepared.changes;
        for (file, new) in [
            (&files.config, &changes.take_from_config.edited.document),
            (
                &files.credentials,
                &changes.take_from_credentials.edited.document,
            ),
        ] {
            let name = file.path.display().to_string();
            ui.text(&diff::unified(&name, file.document.text(), new.text()))?;
        }
    }
    Ok(())
}

/// What is wrong with the whole file, once for all the profiles that it stops.
fn of_the_file(file: &Checked<'_>, rows: &[Row]) -> String {
    if !rows.iter().any(|row| is_stopped_by(file, row)) {
        return String::new();
    }
    let name = file.document.name();
    let said = |lint: &Lint| format!("{} ({})\n", lint.place_in(name), lint.fix);
    file.file_lints.iter().map(said).collect()
}

fn is_stopped_by(file: &Checked<'_>, row: &Row) -> bool {
    match &row.verdict {
        Verdict::Refused(refusal) => refusal.is_of_the_file(file),
        Verdict::Move(_) | Verdict::Done(_) => false,
    }
}

fn table(rows: &[Row], files: &CheckedFiles<'_>) -> String {
    let mut table = headed(["PROFILE", "KEY", "ACCOUNT", "WHAT HAPPENS"]);
    for row in rows {
        let id = row.key_id.as_ref();
        let account = id.and_then(|id| id.account_hint());
        table.add_row([
            row.profile.as_str(),
            id.map_or("-", |id| id.as_str()),
            &account.map_or("-".to_owned(), |account| account.to_string()),
            &what_happens(row, files),
        ]);
    }
    lines_of(&table)
}

fn what_happens(row: &Row, files: &CheckedFiles<'_>) -> String {
    match &row.verdict {
        Verdict::Move(found) => match found.shape {
            ProfileChange::Pointed => format!("into entry {}", found.entry),
            ProfileChange::ThroughBase => format!(
                "into entry {}, through a new profile {}-base",
                found.entry, row.profile
            ),
            ProfileChange::PointedAlready => format!("uses entry {}; its lines go", found.entry),
        },
        Verdict::Done(entry) => format!("uses entry {entry} already"),
        Verdict::Refused(_) if files.in_order().iter().any(|file| is_stopped_by(file, row)) => {
            "skipped: see above".to_owned()
        }
        Verdict::Refused(refusal) => {
            format!("skipped: {} ({})", refusal.reason(), refusal.fix())
        }
    }
}

fn warn(env: &Env) {
    let container = ["REMOTE_CONTAINERS", "CODESPACES", "DEVCONTAINER"]
        .into_iter()
        .any(|name| env.var(name).is_some());
    if container || env.here.join(".devcontainer").exists() {
        env.ui.warn(
            "a container that mounts ~/.aws does not find awskeep: install it there too, or use awskeep exec --env",
        );
    }
    if env.var("AWS_ACCESS_KEY_ID").is_some() {
        env.ui.warn(
            "AWS_ACCESS_KEY_ID is set, and wins over every profile: unset it, and remove it from where it is set",
        );
    }
}

fn tell(context: &Invocation<'_>, done: &Done) -> Result<()> {
    let ui = &context.env.ui;
    if context.form == Form::Json {
        return ui.json(&told(&done.rows, Some(done)));
    }
    let mut moved = 0;
    for row in &done.rows {
        match &row.verdict {
            Verdict::Move(found) => {
                let arn = done
                    .identities
                    .get(&found.entry)
                    .map_or_else(String::new, |identity| format!(" ({})", identity.arn));
                ui.tell(&format!(
                    "profile {} uses entry {}: {}{arn}",
                    row.profile, found.entry, found.key.id
                ));
                moved += 1;
            }
            Verdict::Refused(refusal) => ui.tell(&format!(
                "profile {} is skipped: {}\nhint: {}",
                row.profile,
                refusal.reason(),
                refusal.fix()
            )),
            Verdict::Done(_) => {}
        }
    }
    if moved > 0 {
        ui.tell("undo: awskeep import --undo");
    }
    Ok(())
}

fn told(rows: &[Row], done: Option<&Done>) -> Told {
    let row = |row: &Row| {
        let (entry, result, refusal) = match &row.verdict {
            Verdict::Move(found) => {
                let result = if done.is_some() {
                    "imported"
                } else {
                    "planned"
                };
                (Some(found.entry.clone()), result, None)
            }
            Verdict::Done(entry) => (Some(entry.clone()), "nothing to do", None),
            Verdict::Refused(refusal) => (None, "refused", Some(refusal)),
        };
        let identity = entry.as_ref().and_then(|entry| done?.identities.get(entry));
        let account = identity
            .map(|identity| identity.arn.account())
            .or_else(|| row.key_id.as_ref()?.account_hint());
        ToldRow {
            profile: row.profile.clone(),
            key_id: row.key_id.as_ref().map(ToString::to_string),
            account: account.map(|account| account.to_string()),
            arn: identity.map(|identity| identity.arn.to_string()),
            entry: entry.map(|entry| entry.to_string()),
            result,
            reason: refusal.map(Obstacle::reason),
            mend: refusal.map(Obstacle::fix),
        }
    };
    Told {
        profiles: rows.iter().map(row).collect(),
    }
}

/// A long-term key that stays in plaintext is a failure, after all else was done.
fn refused(rows: &[Row]) -> Result<()> {
    let stay: Vec<&str> = rows
        .iter()
        .filter(|row| match &row.verdict {
            Verdict::Refused(refusal) => refusal.weight() == Weight::KeyStays,
            Verdict::Move(_) | Verdict::Done(_) => false,
        })
        .map(|row| row.profile.as_str())
        .collect();
    if stay.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Failed,
        format!("the keys of {} are still in plaintext", stay.join(", ")),
    )
    .hint("correct what is said above, then: awskeep import"))
}

fn take_back(context: &Invocation<'_>) -> Result<()> {
    let env = context.env;
    let entries = Entries::open(env)?;
    let undo = undo::prepare(env, &entries)?;
    let shown = |path: &Path| path.display().to_string();
    let files: Vec<String> = undo
        .files
        .iter()
        .map(|back| shown(&back.file.path))
        .collect();
    let names: Vec<String> = undo.entries.iter().map(ToString::to_string).collect();
    for left in &undo.left {
        env.ui.warn(&format!("not put back: {left}"));
    }
    if context.only_says(&[format!(
        "put back {} as it was, with the secrets of entry {}",
        files.join(" and "),
        names.join(", ")
    )]) {
        return Ok(());
    }
    env.ui.confirm(&question(&undo, &files, &names))?;
    undo::run(env, &entries, undo, &|_| Ok(()))?;
    context.done(
        &format!(
            "put back as before the import, with plaintext keys: {}; the entries still have them too: awskeep remove {}",
            files.join(" and "),
            names.join("; awskeep remove ")
        ),
        &Undone { files, entries: names },
    )
}

fn question(undo: &Undo, files: &[String], names: &[String]) -> String {
    let rotated: Vec<String> = undo
        .replaced
        .iter()
        .map(|(old, entry, new)| {
            format!("{old} of entry {entry} was replaced: {new} is written instead; ")
        })
        .collect();
    format!(
        "{}put the secrets of {} back into {} in plaintext?",
        rotated.concat(),
        names.join(", "),
        files.join(" and ")
    )
}

//! `awskeep import`: moves plaintext keys out of the AWS files, and back with `--undo`.
//! The plan is shown first; the work is `crate::import`'s.

use std::path::Path;

use serde::Serialize;

use super::{Context, Form, Imported, Mode};
use crate::cli::Import;
use crate::disk;
use crate::entries::Entries;
use crate::failure::{Failure, Kind, Outcome};
use crate::import::diff;
use crate::import::plan::{Row, Shape, Verdict, Weight};
use crate::import::run::{self, Done, From, Prepared, Wanted};
use crate::import::sources::source;
use crate::import::undo::{self, Undo};
use crate::keys::EntryName;
use crate::machine::Machine;
use crate::profile_files::document::Document;
use crate::profiles::Profiles;
use crate::state;
use crate::table::{headed, lines_of};
use crate::ui::Confirmation;

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

pub(super) fn run(context: &Context<'_>, args: &Import) -> Outcome<Imported> {
    if args.undo {
        return Ok(Imported {
            result: take_back(context),
            rotate: Vec::new(),
        });
    }
    if args.rotate && context.form == Form::Json {
        return Err(
            Failure::new(Kind::Usage, "--rotate with --json would print two results")
                .hint("awskeep import --json --no-rotate")
                .hint("then: awskeep rotate --json ENTRY"),
        );
    }
    let (from, csv) = source(context.machine, args)?;
    let imported = import(context, args, from)?;
    if let Some(path) = csv
        && context.mode == Mode::Act
        && imported.result.is_ok()
    {
        offer_to_remove(context.machine, &path)?;
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
    result: Outcome<()>,
    /// The entries that got a key, or would.
    moved: Vec<EntryName>,
}

/// The entries that a person wants rotated, asked unless a flag says it.
fn to_rotate(
    context: &Context<'_>,
    args: &Import,
    moved: Vec<EntryName>,
) -> Outcome<Vec<EntryName>> {
    let ui = &context.machine.ui;
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
fn offer_to_remove(machine: &Machine, path: &Path) -> Outcome<()> {
    let shown = path.display();
    match machine
        .ui
        .confirm(&format!("remove {shown}, which still holds the secret?"))
    {
        Ok(()) => {
            disk::remove(path)?;
            machine.ui.tell(&format!("{shown} is removed"));
        }
        Err(_) => machine.ui.tell(&format!(
            "{shown} still holds the secret: rm {}",
            disk::argument(path)
        )),
    }
    Ok(())
}

fn import(context: &Context<'_>, args: &Import, from: From) -> Outcome<Came> {
    let machine = context.machine;
    let entries = Entries::open(machine)?;
    let mut wanted = Wanted {
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
    let prepared = run::prepare(machine, &entries, &wanted)?;
    show(context, &prepared, args)?;
    let count = prepared.moves().count();
    if count == 0 || context.mode == Mode::Say {
        if context.form == Form::Json {
            machine.ui.json(&told(&prepared.rows, None))?;
        } else if prepared.rows.is_empty() {
            machine.ui.tell("there is no key to import");
        }
        return Ok(came(&prepared.rows));
    }
    warn(machine);
    machine.ui.confirm(&format!(
        "move the keys of {count} profiles into a store, and take them out of the files?"
    ))?;
    let done = run::run(machine, &entries, &wanted, &prepared, &|_| Ok(()))?;
    // What moved is to be looked after, whatever else was refused.
    state::look_again(machine);
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
fn show(context: &Context<'_>, prepared: &Prepared, args: &Import) -> Outcome<()> {
    if context.form == Form::Json {
        return Ok(());
    }
    let ui = &context.machine.ui;
    let files = &prepared.files;
    if !prepared.rows.is_empty() {
        for document in [&files.credentials.document, &files.config.document] {
            ui.text(&of_the_file(document, &prepared.rows))?;
        }
        ui.text(&table(prepared))?;
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
fn of_the_file(document: &Document, rows: &[Row]) -> String {
    if !rows.iter().any(|row| is_stopped_by(document, row)) {
        return String::new();
    }
    let said = |trouble| format!("{} ({})\n", document.place_of(trouble), trouble.mend);
    document.file_troubles().iter().map(said).collect()
}

fn is_stopped_by(document: &Document, row: &Row) -> bool {
    match (&row.verdict, document.file_troubles()) {
        (Verdict::Refused(refusal), [first, ..]) => refusal.reason == document.place_of(first),
        (Verdict::Refused(_) | Verdict::Move(_) | Verdict::Done(_), _) => false,
    }
}

fn table(prepared: &Prepared) -> String {
    let mut table = headed(["PROFILE", "KEY", "ACCOUNT", "WHAT HAPPENS"]);
    for row in &prepared.rows {
        let id = row.key_id.as_ref();
        let account = id.and_then(|id| id.account_hint());
        table.add_row([
            row.profile.as_str(),
            id.map_or("-", |id| id.as_str()),
            &account.map_or("-".to_owned(), |account| account.to_string()),
            &what_happens(row, &prepared.files),
        ]);
    }
    lines_of(&table)
}

fn what_happens(row: &Row, files: &Profiles) -> String {
    match &row.verdict {
        Verdict::Move(found) => match found.shape {
            Shape::Pointed => format!("into entry {}", found.entry),
            Shape::ThroughBase => format!(
                "into entry {}, through a new profile {}-base",
                found.entry, row.profile
            ),
            Shape::PointedAlready => format!("uses entry {}; its lines go", found.entry),
        },
        Verdict::Done(entry) => format!("uses entry {entry} already"),
        Verdict::Refused(_)
            if [&files.credentials, &files.config]
                .iter()
                .any(|file| is_stopped_by(&file.document, row)) =>
        {
            "left alone: see above".to_owned()
        }
        Verdict::Refused(refusal) => format!("left alone: {} ({})", refusal.reason, refusal.mend),
    }
}

fn warn(machine: &Machine) {
    let container = ["REMOTE_CONTAINERS", "CODESPACES", "DEVCONTAINER"]
        .into_iter()
        .any(|name| machine.var(name).is_some());
    if container || machine.here.join(".devcontainer").exists() {
        machine.ui.warn(
            "a container that mounts ~/.aws does not find awskeep: install it there too, or use awskeep exec --env",
        );
    }
    if machine.var("AWS_ACCESS_KEY_ID").is_some() {
        machine.ui.warn(
            "AWS_ACCESS_KEY_ID is set, and wins over every profile: unset it, and take it out of where it is set",
        );
    }
}

fn tell(context: &Context<'_>, done: &Done) -> Outcome<()> {
    let ui = &context.machine.ui;
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
                "profile {} is left alone: {}\nhint: {}",
                row.profile, refusal.reason, refusal.mend
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
            reason: refusal.map(|refusal| refusal.reason.clone()),
            mend: refusal.map(|refusal| refusal.mend.clone()),
        }
    };
    Told {
        profiles: rows.iter().map(row).collect(),
    }
}

/// A long-term key that stays in plaintext is a failure, after all else was done.
fn refused(rows: &[Row]) -> Outcome<()> {
    let stay: Vec<&str> = rows
        .iter()
        .filter(|row| match &row.verdict {
            Verdict::Refused(refusal) => refusal.weight == Weight::KeyStays,
            Verdict::Move(_) | Verdict::Done(_) => false,
        })
        .map(|row| row.profile.as_str())
        .collect();
    if stay.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Failed,
        format!("the keys of {} are still in plaintext", stay.join(", ")),
    )
    .hint("correct what is said above, then: awskeep import"))
}

fn take_back(context: &Context<'_>) -> Outcome<()> {
    let machine = context.machine;
    let entries = Entries::open(machine)?;
    let undo = undo::prepare(machine, &entries)?;
    let shown = |path: &Path| path.display().to_string();
    let files: Vec<String> = undo
        .files
        .iter()
        .map(|back| shown(&back.file.path))
        .collect();
    let names: Vec<String> = undo.entries.iter().map(ToString::to_string).collect();
    for left in &undo.left {
        machine.ui.warn(&format!("not put back: {left}"));
    }
    if context.only_says(&[format!(
        "put back {} as it was, with the secrets of entry {}",
        files.join(" and "),
        names.join(", ")
    )]) {
        return Ok(());
    }
    machine.ui.confirm(&question(&undo, &files, &names))?;
    undo::run(machine, &entries, undo, &|_| Ok(()))?;
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

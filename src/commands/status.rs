//! `awskeep status [ENTRY]`: where each key is in its life, what comes next and by
//! which command. Offline by default; `--online` asks AWS what it says of the keys.

use serde::Serialize;

use crate::automation::memory::MemoryFile;
use crate::automation::schedule;
use crate::aws::place;
use crate::aws::{Account, CallFailureClass, KeyStatus, LastUse, ListedKey, Signer, prove};
use crate::cli::Status;
use crate::commands::{Form, Invocation};
use crate::error::{Error, Kind, Result};
use crate::lifecycle::options;
use crate::lifecycle::report;
use crate::lifecycle::report::{Attention, EntryReport, Next};
use crate::records::{Record, Records};
use crate::sessions::cache::SESSION_RECEIPT;
use crate::sessions::denial::denied;
use crate::sessions::obtain::{InSession, NoCodes};
use crate::shell::ask;
use crate::shell::ask::Loads;
use crate::shell::plan;
use crate::shell::plan::InShell;
use crate::store::entries::{Entries, StoredEntry};
use crate::system::env::Env;
use crate::types::keys::SlotName;
use crate::types::lease::Auto;
use crate::types::time::{Span, Timestamp};
use crate::ui::table::{headed, lines_of};

/// One entry as it is told.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    life: EntryReport,
    /// Whether it rotates without a person.
    auto: Auto,
    /// Until then it retires the replaced key without another code.
    #[serde(skip_serializing_if = "Option::is_none")]
    mfa_session_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_aws: Option<Vec<AtAws>>,
    /// Another awskeep that changes its keys now.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_work: Option<String>,
}

/// What AWS says of one key of the user; `slot` is none for a key of no slot here.
#[derive(Serialize)]
struct AtAws {
    key_id: String,
    slot: Option<SlotName>,
    status: String,
    created_at: Option<Timestamp>,
    last_used: LastUsed,
}

#[derive(Serialize)]
#[serde(tag = "known", rename_all = "snake_case")]
enum LastUsed {
    Never,
    At {
        time: Timestamp,
        service: String,
        region: String,
    },
    MayNotLook,
}

#[derive(Serialize)]
struct Told {
    entries: Vec<Row>,
    /// What starts runs without a person: hooks, timers.
    started_by: Vec<String>,
    /// Hooks that their shells do not load, or that were not heard of.
    hooks_in_doubt: Vec<String>,
    troubles: Vec<String>,
}

pub fn run(context: &Invocation<'_>, args: &Status) -> Result<()> {
    let env = context.env;
    if args.prompt {
        return prompt(context, args);
    }
    let entries = Entries::open(env)?;
    let (held, mut troubles) = meant(&entries, args)?;
    let receipts = Records::of(env)?.read()?;
    let mut rows = Vec::new();
    for held in &held {
        let mut row = row(&entries, held, &receipts, &mut troubles)?;
        if args.online {
            match ask(context, held, &mut row.life) {
                Ok(seen) => row.at_aws = Some(seen),
                Err(failure) => troubles.push(failure),
            }
        }
        rows.push(row);
    }
    let (started_by, hooks_in_doubt) = starters(env, &rows);
    let told = Told {
        entries: rows,
        started_by,
        hooks_in_doubt,
        troubles: troubles.iter().map(ToString::to_string).collect(),
    };
    tell(context, &told, env.now())?;
    // What could not be read is a failure, after everything else was shown.
    super::first_of(&env.ui, troubles)?;
    if args.check {
        check(&told.entries)?;
    }
    Ok(())
}

/// Without what they look at first, hooks and timers start nothing.
///
/// Where something is said of it, each shell that has a hook is asked, all at once: they take
/// part of a second. The second list is of those that do not load it, or have not answered.
fn starters(env: &Env, rows: &[Row]) -> (Vec<String>, Vec<String>) {
    let found = match MemoryFile::of(env) {
        Ok(memory) if memory.is_looked_at() => plan::found(env),
        Ok(_) | Err(_) => Vec::new(),
    };
    let mut lists = (Vec::new(), Vec::new());
    if rows.iter().all(|row| row.auto == Auto::Off) {
        lists.0.extend(found.into_iter().map(|plan| plan.what));
        return lists;
    }
    std::thread::scope(|scope| {
        let ask = |in_shell: &InShell| {
            let shell = in_shell.shell;
            scope.spawn(move || ask::loads(env, shell, ask::BRIEF))
        };
        let asked: Vec<_> = found
            .iter()
            .map(|plan| (plan, plan.shell.as_ref().map(ask)))
            .collect();
        for (plan, answer) in asked {
            let shell = plan.shell.as_ref().map_or("", |found| found.shell.word());
            let loads = answer.and_then(|answer| answer.join().ok());
            match loads {
                Some(Loads::No(missing)) if !missing.is_as_it_was(env) => {
                    let of = missing.of(shell);
                    let doubt = format!("{of} do not load {}: awskeep setup {shell}", plan.what);
                    lists.1.push(doubt);
                    if missing.is_of_login_only() {
                        lists.0.push(plan.what.clone());
                    }
                }
                Some(Loads::NotKnown(why)) => {
                    let what = &plan.what;
                    lists
                        .1
                        .push(format!("whether {what} is loaded is not known: {why}"));
                    lists.0.push(what.clone());
                }
                Some(Loads::Yes | Loads::No(_) | Loads::NotAsked(_)) | None => {
                    lists.0.push(plan.what.clone())
                }
            }
        }
    });
    lists
}

/// For a prompt: from what unattended runs remember, so that no store is opened.
fn prompt(context: &Invocation<'_>, args: &Status) -> Result<()> {
    let target = &args.target;
    let named = target.entry.as_ref().map(ToString::to_string);
    let named = named.or_else(|| target.name.clone());
    let remembered = MemoryFile::of(context.env)?.read();
    let of_entries = remembered.entries.iter();
    let meant =
        of_entries.filter(|(name, _)| named.as_deref().is_none_or(|named| named == name.as_str()));
    let pasts = meant.map(|(_, past)| past).chain([&remembered.stores]);
    match schedule::prompt_mark(pasts, context.env.now()) {
        Some(mark) => context.env.ui.data(&format!("{}\n", mark.text())),
        None => Ok(()),
    }
}

fn meant(entries: &Entries<'_>, args: &Status) -> Result<(Vec<StoredEntry>, Vec<Error>)> {
    let target = &args.target;
    if target.name.is_some() || target.entry.is_some() || target.profile.is_some() {
        return Ok((vec![entries.meant(target)?], Vec::new()));
    }
    let inventory = entries.inventory()?;
    let troubles = inventory.troubles.into_iter().chain(inventory.unreadable);
    Ok((inventory.held, troubles.collect()))
}

fn row(
    entries: &Entries<'_>,
    held: &StoredEntry,
    receipts: &[Record],
    troubles: &mut Vec<Error>,
) -> Result<Row> {
    let name = held.name();
    let rules = options::rules(&entries.settings, name, receipts)?;
    let mut life = EntryReport::of(&held.item, rules, entries.now());
    // The key is served without it: the rest is shown all the same.
    let session = held.vault.find_session(name).unwrap_or_else(|failure| {
        troubles.push(failure);
        None
    });
    let mfa_session_until = session.map(|kept| kept.expires_at);
    let at_work = match life.unfinished {
        Some(_) => entries.at_work(held.item.identity.as_ref(), name),
        None => None,
    };
    if at_work.is_some() {
        // It is not stuck: somebody is at it.
        life.attention.retain(|attention| {
            let begun = life.unfinished.as_ref();
            begun.is_none_or(|begun| begun.what != attention.why)
        });
    }
    let last_failure = report::last_failure(receipts, name).cloned();
    if let Some(failure) = &last_failure {
        let command = match failure.step == SESSION_RECEIPT {
            true => report::command_of_rest(&held.item),
            false => format!("awskeep log {name}"),
        };
        life.attention.push(Attention {
            why: failed(failure),
            command,
        });
    } else if let Some(until) = mfa_session_until.filter(|until| *until <= entries.now()) {
        life.attention
            .extend(report::session_over(&held.item, until));
    }
    Ok(Row {
        life,
        auto: entries.settings.auto(Some(name))?,
        mfa_session_until,
        last_failure,
        at_aws: None,
        at_work,
    })
}

fn failed(receipt: &Record) -> String {
    let key = receipt.key_id.as_ref().map(|id| format!(" of {id}"));
    format!(
        "{}{} at {}: {}",
        receipt.step,
        key.unwrap_or_default(),
        receipt.at,
        receipt.result
    )
}

/// What AWS says of the user's keys; a dead or missing current key wants attention.
fn ask(context: &Invocation<'_>, held: &StoredEntry, life: &mut EntryReport) -> Result<Vec<AtAws>> {
    let (item, name) = (&held.item, held.name());
    let env = context.env;
    let account = place::account_of(env, item)?;
    let account = InSession::kept(&account, &NoCodes, &held.vault, item, env.now())?;
    let key = item.current.key();
    let identity = match &item.identity {
        Some(identity) => identity.clone(),
        None => prove::prove_existing(&account, &key)?.identity,
    };
    let signer = Signer::Key(&key);
    let mut dead = |how: &str| {
        let command = format!("awskeep recover {name} --via PROFILE");
        for row in life
            .keys
            .iter_mut()
            .filter(|row| row.slot == SlotName::Current)
        {
            row.next = Next::Recover;
            row.not_before = None;
            row.command = Some(command.clone());
        }
        life.attention.push(Attention {
            why: format!("{} {how} at AWS", key.id),
            command,
        });
    };
    let listed = match account.list_keys(signer, &identity.arn) {
        Ok(answer) => answer.value,
        Err(no) if no.class == CallFailureClass::KeyNotAccepted => {
            dead("is not accepted");
            return Ok(Vec::new());
        }
        Err(no) if no.class == CallFailureClass::Denied => {
            return Err(denied(name, "ListAccessKeys", &no));
        }
        Err(no) if no.class == CallFailureClass::NeedsMfa => {
            return Err(Error::new(
                Kind::Aws,
                "AWS shows its keys in an MFA session only, and none is open",
            )
            .entry(name)
            .hint(format!("without --online: awskeep status {name}")));
        }
        Err(no) => return Err(prove::refused(&key, "IAM", &no)),
    };
    match listed.iter().find(|listed| listed.id == key.id) {
        Some(listed) if listed.status == KeyStatus::Active => {}
        Some(_) => dead("is not active"),
        None => dead("is not listed"),
    }
    listed
        .iter()
        .map(|listed| {
            let slot = item.slots().find(|(_, slot)| slot.id == listed.id);
            Ok(AtAws {
                key_id: listed.id.to_string(),
                slot: slot.map(|(name, _)| name),
                status: status_word(listed),
                created_at: listed.created_at,
                last_used: match account.last_used(signer, &listed.id) {
                    Ok(answer) => last_used(answer.value),
                    Err(no) if no.class == CallFailureClass::Denied => LastUsed::MayNotLook,
                    Err(no) => return Err(prove::refused(&key, "IAM", &no)),
                },
            })
        })
        .collect()
}

fn status_word(listed: &ListedKey) -> String {
    match &listed.status {
        KeyStatus::Active => "active".into(),
        KeyStatus::Inactive => "inactive".into(),
        KeyStatus::Expired => "expired".into(),
        KeyStatus::Other(word) => word.clone(),
    }
}

fn last_used(said: LastUse) -> LastUsed {
    match said {
        LastUse::Never => LastUsed::Never,
        LastUse::At {
            time,
            service,
            region,
        } => LastUsed::At {
            time,
            service,
            region,
        },
    }
}

fn check(rows: &[Row]) -> Result<()> {
    let wanting: Vec<(&EntryReport, &Attention)> = rows
        .iter()
        .flat_map(|row| row.life.attention.iter().map(|why| (&row.life, why)))
        .collect();
    if wanting.is_empty() {
        return Ok(());
    }
    let whys: Vec<String> = wanting
        .iter()
        .map(|(life, attention)| format!("entry {}: {}", life.entry, attention.why))
        .collect();
    let mut failure = Error::new(Kind::Attention, whys.join("\n"));
    for (_, attention) in wanting {
        if !failure.hints.contains(&attention.command) {
            failure.hints.push(attention.command.clone());
        }
    }
    Err(failure)
}

fn tell(context: &Invocation<'_>, told: &Told, now: Timestamp) -> Result<()> {
    let ui = &context.env.ui;
    match context.form {
        Form::Json => ui.json(told),
        Form::Text if told.entries.is_empty() && told.troubles.is_empty() => {
            ui.tell("there are no entries yet\nhint: awskeep add NAME");
            Ok(())
        }
        Form::Text if told.entries.is_empty() => Ok(()),
        Form::Text => {
            let mut text = lives(&told.entries, now);
            if told.entries.iter().any(|row| row.at_aws.is_some()) {
                text.push_str(&format!("\n{}", seen_at_aws(&told.entries, now)));
            }
            for row in &told.entries {
                for line in remarks(row) {
                    text.push_str(&format!("{}: {line}\n", row.life.entry));
                }
            }
            text.push_str(&by_themselves(told));
            ui.text(&text)
        }
    }
}

/// Which keys replace themselves, and what makes them.
fn by_themselves(told: &Told) -> String {
    let rows = told.entries.iter().filter(|row| row.auto == Auto::On);
    let names: Vec<&str> = rows.map(|row| row.life.entry.as_str()).collect();
    let doubts: String = told
        .hooks_in_doubt
        .iter()
        .map(|doubt| format!("{doubt}\n"))
        .collect();
    let told = match (names.as_slice(), told.started_by.as_slice()) {
        ([], _) => String::new(),
        (_, []) if !doubts.is_empty() => {
            format!(
                "auto is on for {}, and nothing starts it\n",
                names.join(", ")
            )
        }
        (_, []) => format!(
            "auto is on for {}, and no hook or timer of awskeep setup starts it: awskeep setup\n",
            names.join(", ")
        ),
        (_, by) => format!(
            "automatic: {}; started by {}\n",
            names.join(", "),
            by.join(", ")
        ),
    };
    doubts + &told
}

/// What does not fit into the table.
fn remarks(row: &Row) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(who) = &row.at_work {
        lines.push(format!("{who} is at work on it"));
    } else if let Some(begun) = &row.life.unfinished {
        lines.push(format!("{}: {}", begun.what, begun.command));
    }
    if let Some(until) = row.mfa_session_until {
        lines.push(format!("an MFA session is kept until {until}"));
    }
    for attention in &row.life.attention {
        let line = format!("{}: {}", attention.why, attention.command);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn lives(rows: &[Row], now: Timestamp) -> String {
    let mut table = headed([
        "ENTRY",
        "SLOT",
        "KEY",
        "AGE",
        "DUE",
        "LEASED UNTIL",
        "HELD UNTIL",
        "NEXT",
    ]);
    let day = |at: Option<Timestamp>| at.map_or("-".to_owned(), Timestamp::day);
    for row in rows {
        for key in &row.life.keys {
            table.add_row([
                row.life.entry.to_string(),
                key.slot.to_string(),
                key.key_id.clone(),
                Span::seconds(key.age_s).rough(),
                day(key.due_at),
                key.leased_until
                    .map_or("-".to_owned(), |until| until.to_string()),
                day(key.held_until),
                key.next_told(now),
            ]);
        }
    }
    lines_of(&table)
}

fn seen_at_aws(rows: &[Row], now: Timestamp) -> String {
    let mut table = headed(["ENTRY", "KEY", "AT AWS", "AGE", "LAST USED", "HERE"]);
    for row in rows {
        for key in row.at_aws.iter().flatten() {
            table.add_row([
                row.life.entry.to_string(),
                key.key_id.clone(),
                key.status.clone(),
                key.created_at
                    .map_or("-".to_owned(), |at| now.since(at).rough()),
                match &key.last_used {
                    LastUsed::Never => "never".into(),
                    LastUsed::MayNotLook => "AWS does not let us look".into(),
                    LastUsed::At {
                        time,
                        service,
                        region,
                    } => format!("{time} {service} {region}"),
                },
                key.slot
                    .map_or("not this entry's".to_owned(), |slot| slot.to_string()),
            ]);
        }
    }
    lines_of(&table)
}

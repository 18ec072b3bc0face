//! What `setup` will do for a shell, for systemd or for launchd. Edge: it looks at the
//! files that are there, and changes nothing.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::profiles::program_path;
use crate::shell::put;
use crate::shell::put::{Direction, FileChange};
use crate::shell::startup;
use crate::shell::startup::{Places, Setup, System};
use crate::shell::{ask, block, completions, hook, units};
use crate::system::env::Env;
use crate::types::shell::Shell;

/// All that will be done, in this order.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is set up, as a person calls it.
    pub what: String,
    /// What a person is shown before the question.
    pub shown: String,
    /// Programs to run first, each with its arguments.
    pub before: Vec<Vec<String>>,
    pub files: Vec<FileChange>,
    pub by_hand: Option<ByHand>,
    /// Links that a service manager made, to be deleted.
    pub links: Vec<PathBuf>,
    /// Programs to run at last.
    pub after: Vec<Vec<String>>,
    /// The last word to a person.
    pub next: String,
    /// Who is to be asked whether it works.
    pub shell: Option<InShell>,
}

/// A shell, and the file of its own that loads the hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InShell {
    pub shell: Shell,
    pub startup: PathBuf,
}

/// What only a person can do.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ByHand {
    pub file: PathBuf,
    pub why: String,
    pub direction: Direction,
    /// The lines to add or to take out.
    pub lines: String,
}

impl Plan {
    pub fn changes_nothing(&self) -> bool {
        self.files.is_empty() && self.by_hand.is_none()
    }

    /// Each step in words that follow "would".
    pub fn steps(&self) -> Vec<String> {
        let run = |words: &Vec<String>| format!("run {}", words.join(" "));
        let mut steps: Vec<String> = self.before.iter().map(run).collect();
        for change in &self.files {
            steps.push(format!("{} {}", change.verb(), change.path.display()));
        }
        if let Some(hand) = &self.by_hand {
            steps.push(format!(
                "print lines for {}: {}",
                hand.file.display(),
                hand.why
            ));
        }
        steps.extend(self.after.iter().map(run));
        steps
    }
}

/// The hook in a shell's startup file, and the shell's completions.
///
/// # Errors
/// `Kind::Failed` for a file that is not to be touched, naming it and the mend.
pub fn for_shell(env: &Env, shell: Shell, direction: Direction) -> Result<Plan> {
    let mut places = places(env)?;
    let named = places.zdotdir.clone();
    if shell == Shell::Zsh {
        // ~/.zshenv may set it, and not export it.
        places.zdotdir = ask::zdotdir(env).or(named.clone());
    }
    let setup = startup::setup(shell, &places, |path| put::read(path).ok().flatten());
    let mut files = Vec::new();
    if let Some(path) = &setup.hook {
        let text = hook::text(shell);
        files.extend(FileChange::whole(
            path,
            text,
            direction,
            Some(&places.data),
        )?);
    }
    let text = completions::file(shell)?;
    files.extend(FileChange::whole(
        &setup.completions,
        &text,
        direction,
        Some(&places.data),
    )?);
    let mut by_hand = None;
    if let Some(change) = FileChange::block(&setup.startup, &setup.body, direction)? {
        match put::not_ours_to_edit(&setup.startup) {
            Some(why) => by_hand = lines_by_hand(&setup, why, direction)?,
            None => files.push(change),
        }
    }
    if direction == Direction::TakeOut {
        // Before zsh was asked, it was put where the environment says.
        let other = named.as_ref().unwrap_or(&places.home).join(".zshrc");
        if shell == Shell::Zsh && other != setup.startup {
            files.extend(FileChange::block(&other, &setup.body, direction)?);
        }
        // The block goes first, so that it never names what is not there.
        files.reverse();
    }
    let shown = match &setup.hook {
        Some(_) => &setup.body,
        None => &format!("(what awskeep hook {} prints)\n", shell.word()),
    };
    Ok(Plan {
        what: format!("the hook of {}", shell.word()),
        shown: format!("at the end of {}:\n\n{shown}", setup.startup.display()),
        files,
        next: match direction {
            // Not before a person has added the lines.
            Direction::Put if by_hand.is_some() => String::new(),
            Direction::Put if is_on_path(env) => String::new(),
            Direction::Put => "the hook does nothing until awskeep is on PATH".to_owned(),
            Direction::TakeOut => AUTO_STAYS.to_owned(),
        },
        by_hand,
        shell: Some(InShell {
            shell,
            startup: setup.startup,
        }),
        ..Plan::default()
    })
}

/// What `setup` has put here and taking out would find: the things that start runs
/// without a person. What cannot be looked at is left out.
pub fn found(env: &Env) -> Vec<Plan> {
    let out = Direction::TakeOut;
    let shells = Shell::ALL.map(|shell| for_shell(env, shell, out));
    shells
        .into_iter()
        .chain([for_systemd(env, None, out), for_launchd(env, None, out)])
        .flatten()
        .filter(|plan| !plan.changes_nothing())
        .collect()
}

const AUTO_STAYS: &str = "which entries may rotate automatically is as it was\nhint: awskeep config set auto off --entry ENTRY";

/// A timer of the user's systemd.
///
/// # Errors
/// Those of `for_shell`; `Kind::Usage` for a helper path that cannot stand in a unit.
pub fn for_systemd(env: &Env, helper: Option<&Path>, direction: Direction) -> Result<Plan> {
    if System::here() != System::Linux {
        return Err(Error::new(
            Kind::Usage,
            "there is no systemd on this system",
        ));
    }
    let config = env.folders.config.as_ref().ok_or_else(unknown_home)?;
    let folder = config.join("systemd/user");
    let elsewhere: Vec<_> = match direction {
        Direction::Put => units::PLACES
            .into_iter()
            .filter_map(|name| Some((name, absolute(env, name)?)))
            .collect(),
        Direction::TakeOut => Vec::new(),
    };
    let units = units::systemd(&program(env, helper, direction)?, &elsewhere)?;
    let shown: Vec<&str> = units.iter().map(|(_, text)| text.as_str()).collect();
    let mut plan = Plan {
        what: "the systemd timer".into(),
        shown: format!("in {}:\n\n{}", folder.display(), shown.join("\n")),
        ..Plan::default()
    };
    for (name, text) in &units {
        plan.files.extend(FileChange::whole(
            &folder.join(name),
            text,
            direction,
            None,
        )?);
    }
    if plan.files.is_empty() {
        return Ok(plan);
    }
    let user = |words: &[&str]| {
        let words = ["systemctl", "--user"].iter().chain(words);
        words.map(ToString::to_string).collect::<Vec<String>>()
    };
    plan.after.push(user(&["daemon-reload"]));
    match direction {
        Direction::Put => plan.after.push(user(&["enable", "--now", "awskeep.timer"])),
        Direction::TakeOut => {
            plan.before
                .push(user(&["disable", "--now", "awskeep.timer"]));
            plan.links
                .push(folder.join("timers.target.wants/awskeep.timer"));
            plan.next = AUTO_STAYS.to_owned();
        }
    }
    Ok(plan)
}

/// An agent of the user's launchd.
///
/// # Errors
/// Those of `for_systemd`.
pub fn for_launchd(env: &Env, helper: Option<&Path>, direction: Direction) -> Result<Plan> {
    if System::here() != System::MacOs {
        return Err(Error::new(
            Kind::Usage,
            "there is no launchd on this system",
        ));
    }
    let home = env.folders.home.as_ref().ok_or_else(unknown_home)?;
    let path = home.join(format!("Library/LaunchAgents/{}.plist", units::LABEL));
    let text = units::launchd(&program(env, helper, direction)?)?;
    let mut plan = Plan {
        what: "the launchd agent".into(),
        shown: format!("{}:\n\n{text}", path.display()),
        ..Plan::default()
    };
    plan.files
        .extend(FileChange::whole(&path, &text, direction, None)?);
    if plan.files.is_empty() {
        return Ok(plan);
    }
    let domain = format!("gui/{}", user_id());
    let launchctl = |words: &[&str]| {
        let words = ["launchctl"].iter().chain(words);
        words.map(ToString::to_string).collect::<Vec<String>>()
    };
    // An agent that is loaded already must go before it is loaded anew.
    if plan.files.iter().any(|change| change.verb() != "write") {
        plan.before.push(launchctl(&[
            "bootout",
            &format!("{domain}/{}", units::LABEL),
        ]));
    }
    match direction {
        Direction::Put => {
            let path = path.display().to_string();
            plan.after.push(launchctl(&["bootstrap", &domain, &path]));
        }
        Direction::TakeOut => plan.next = AUTO_STAYS.to_owned(),
    }
    Ok(plan)
}

/// The path that the service manager runs; to take a unit out it need not be known.
fn program(env: &Env, helper: Option<&Path>, direction: Direction) -> Result<PathBuf> {
    match direction {
        Direction::Put => program_path::choose(env, helper),
        Direction::TakeOut => Ok(PathBuf::from("/awskeep")),
    }
}

/// The lines for a file that is not ours to edit; none if a person put or took them already.
fn lines_by_hand(setup: &Setup, why: String, direction: Direction) -> Result<Option<ByHand>> {
    let there = put::read(&setup.startup)?.unwrap_or_default();
    let loads_hook = setup.hook.as_ref().is_some_and(|hook| {
        let name = hook.file_name().unwrap_or_default().to_string_lossy();
        String::from_utf8_lossy(&there).contains(&format!("awskeep/{name}"))
    });
    if direction == Direction::Put && loads_hook {
        return Ok(None);
    }
    Ok(Some(ByHand {
        file: setup.startup.clone(),
        why,
        direction,
        lines: match direction {
            Direction::Put => setup.body.clone(),
            Direction::TakeOut => block::text(&there).unwrap_or_default(),
        },
    }))
}

fn unknown_home() -> Error {
    Error::new(Kind::Failed, "the user's home folder is not known").hint("set HOME")
}

fn places(env: &Env) -> Result<Places> {
    let home = env.folders.home.clone().ok_or_else(unknown_home)?;
    Ok(Places {
        system: System::here(),
        xdg_config: absolute(env, "XDG_CONFIG_HOME"),
        xdg_data: absolute(env, "XDG_DATA_HOME"),
        zdotdir: absolute(env, "ZDOTDIR"),
        documents: home.join("Documents"),
        config: env.folders.config.clone().ok_or_else(unknown_home)?,
        data: env.file_store_folder()?,
        home,
    })
}

fn absolute(env: &Env, variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env.path_var(variable)?);
    path.is_absolute().then_some(path)
}

/// The hook looks for awskeep on PATH, whenever it needs it.
fn is_on_path(env: &Env) -> bool {
    let name = if cfg!(windows) {
        "awskeep.exe"
    } else {
        "awskeep"
    };
    env.on_path(name.as_ref()).any(|path| path.is_file())
}

#[cfg(unix)]
fn user_id() -> u32 {
    rustix::process::getuid().as_raw()
}

#[cfg(not(unix))]
fn user_id() -> u32 {
    0
}

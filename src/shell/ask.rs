//! Asks the real shell whether it has the hook: started as a terminal starts it, with the
//! user's own startup files. Edge.
//!
//! It runs in a session of its own, without a terminal and without what holds a secret; what
//! it prints is thrown away. The first process of the session is awskeep itself (`setup SHELL
//! --become`), which then becomes the shell.

use crate::system::secret_vars;
use crate::types::shell::How;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Kind};
use crate::shell::startup::{LOGIN_FILES, System};
use crate::system::disk;
use crate::system::env::Env;
use crate::types::shell::Shell;

/// Whether a shell has the hook once it has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loads {
    Yes,
    No(Missing),
    /// It was asked, and has not answered: the reason.
    NotKnown(String),
    /// awskeep does not know how, or it is not here: the reason.
    NotAsked(String),
}

/// A hook that is not there, and in which shells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing(How);

/// How long a person waits for it. Startup files may take seconds.
pub const PATIENT: Duration = Duration::from_secs(10);
/// How long a command waits that only mentions it.
pub const BRIEF: Duration = Duration::from_secs(1);
/// After this a person is told.
const TOLD_AFTER: Duration = Duration::from_secs(1);

const LOADED: &str = "loaded";
/// Before an answer, among all that startup files print.
const MARK: &str = "awskeep asks: ";
/// Startup files that print more have not ended.
const MOST_OUTPUT: u64 = 1_048_576;

/// Whether new shells of this kind have the hook.
pub fn loads(env: &Env, shell: Shell, limit: Duration) -> Loads {
    if let Some(why) = why_not(env, shell) {
        return Loads::NotAsked(why);
    }
    for how in ways(shell) {
        match answer(env, shell, *how, limit) {
            Ok(said) if said == LOADED => {}
            Ok(_) => return Loads::No(Missing(*how)),
            Err(why) => return Loads::NotKnown(why),
        }
    }
    Loads::Yes
}

/// The ways in which terminals of this system start it, the usual one first.
fn ways(shell: Shell) -> &'static [How] {
    match (System::here(), shell) {
        (System::MacOs, _) => &[How::Login],
        // The others read the same files either way.
        (_, Shell::Bash | Shell::Zsh) => &[How::Interactive, How::Login],
        (_, Shell::Fish | Shell::PowerShell | Shell::Nushell) => &[How::Interactive],
    }
}

/// The folder of zsh's startup files, as they themselves set it.
pub fn zdotdir(env: &Env) -> Option<PathBuf> {
    let said = answer(env, Shell::Zsh, How::Place, BRIEF).ok()?;
    let path = PathBuf::from(said);
    path.is_absolute().then_some(path)
}

/// What is in the way, and what to do about it. `startup` has the lines that load the hook.
pub fn failure(env: &Env, shell: Shell, missing: Missing, startup: &Path) -> Error {
    let read = |path: &Path| super::put::read(path).ok().flatten();
    let word = shell.word();
    let failed = |why: String| Error::new(Kind::Failed, why);
    let file = startup.display();
    if shell == Shell::Bash && missing.is_of_login_only() {
        let home = env.folders.home.clone().unwrap_or_default();
        let (path, text) =
            login_file(env).unwrap_or_else(|| (home.join(LOGIN_FILES[0]), Vec::new()));
        let whose = format!("{} do not load the hook", missing.of(word));
        if String::from_utf8_lossy(&text).contains("bashrc") {
            return failed(format!(
                "{whose}: {} names {file}, but does not get so far",
                path.display()
            ))
            .hint("bash -lixc true 2>&1 | tail -n 20");
        }
        let lacks = match path.exists() {
            true => format!("they read {}, which does not read {file}", path.display()),
            false => format!("there is no {}, which would read {file}", path.display()),
        };
        return failed(format!("{whose}: {lacks}")).hint(format!(
            "printf '\\n%s\\n' '[ -z \"$BASH_VERSION\" ] || . {}' >>{}",
            "~/.bashrc",
            disk::argument(&path)
        ));
    }
    let text = read(startup).unwrap_or_default();
    match end_above_the_block(&String::from_utf8_lossy(&text)) {
        Some((number, line)) => failed(format!(
            "{} do not load the hook: {file} seems to end above it, at line {number}: {line}",
            missing.of(word)
        ))
        .hint(format!(
            "move the lines between awskeep's marks above line {number} of {file}"
        )),
        None => failed(format!(
            "{} do not load the hook, although {file} names it: a startup file ends \
             before that, or removes the hook again",
            missing.of(word)
        ))
        .hint(format!(
            "{word} -{}ixc true 2>&1 | tail -n 20",
            if missing.0 == How::Login { "l" } else { "" }
        )),
    }
}

impl Missing {
    /// The shells that do not have it.
    pub fn of(self, shell: &str) -> String {
        match self.is_of_login_only() {
            true => format!("login shells of {shell} (ssh, tmux)"),
            false => format!("new shells of {shell}"),
        }
    }

    /// Whether windows of terminals have it all the same.
    pub fn is_of_login_only(self) -> bool {
        self.0 == How::Login && System::here() != System::MacOs
    }

    /// Whether it is only that login shells have no startup file at all: nobody uses them.
    pub fn is_as_it_was(self, env: &Env) -> bool {
        self.is_of_login_only() && login_file(env).is_none()
    }
}

/// What a login shell of bash reads, and only that.
fn login_file(env: &Env) -> Option<(PathBuf, Vec<u8>)> {
    let home = env.folders.home.as_ref()?;
    let mut paths = LOGIN_FILES.iter().map(|name| home.join(name));
    paths.find_map(|path| {
        let text = super::put::read(&path).ok().flatten()?;
        Some((path, text))
    })
}

/// The last line above the block that ends a startup file, as far as one can see: inside of
/// functions, and after `case $- in`, such words are harmless.
fn end_above_the_block(text: &str) -> Option<(usize, String)> {
    let mut in_function = false;
    let mut found = None;
    for (number, line) in (1..).zip(text.lines()) {
        let words = line.trim();
        if words.starts_with("# >>> awskeep >>>") {
            return found;
        }
        let code = words.split(" #").next().unwrap_or_default();
        if code.starts_with('#') {
            continue;
        }
        if code.ends_with('{') && (code.contains("()") || code.starts_with("function ")) {
            in_function = true;
        } else if line == "}" {
            in_function = false;
        }
        let mut parts = code.split(|c: char| c.is_whitespace() || ";&|(){}".contains(c));
        let ends = parts.any(|part| ["return", "exit", "exec"].contains(&part));
        let is_guard = code.contains("$-") || code.starts_with("*)");
        if ends && !in_function && !is_guard {
            found = Some((number, words.to_owned()));
        }
    }
    None
}

/// The user's own program of that name, else the first one on PATH.
fn program(env: &Env, shell: Shell) -> Option<PathBuf> {
    let own = env
        .var("SHELL")
        .filter(|own| Path::new(own).is_absolute() && Shell::of_own_program(own) == Some(shell));
    own.map(PathBuf::from)
        .into_iter()
        .chain(env.on_path(shell.word().as_ref()))
        .find(|path| path.is_file())
}

/// Why it cannot be asked at all.
fn why_not(env: &Env, shell: Shell) -> Option<String> {
    let word = shell.word();
    if code(shell, How::Interactive).is_none() || cfg!(not(unix)) {
        return Some(format!("{word} is not asked"));
    }
    program(env, shell)
        .is_none()
        .then(|| format!("there is no {word} on PATH"))
}

/// What the shell answers; the error is why it does not.
fn answer(env: &Env, shell: Shell, how: How, limit: Duration) -> Result<String, String> {
    if let Some(why) = why_not(env, shell) {
        return Err(why);
    }
    let word = shell.word();
    let home = env.folders.home.clone();
    let way = match how {
        How::Interactive => "interactive",
        How::Login => "login",
        How::Place => "place",
    };
    let mut command = Command::new(&env.program);
    command
        .args(["setup", word, "--become", way])
        .current_dir(home.unwrap_or_else(|| env.here.clone()))
        .env_clear()
        .envs(secret_vars::vars_without_secrets(env))
        // It is no shell within another one.
        .env_remove("SHLVL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|error| format!("{word} cannot be started: {error}"))?;
    let receiver = listen(&mut child);
    let said = wait(env, word, &receiver, limit);
    match &said {
        // What it has started is the user's own, as in every other shell.
        Ok(_) => drop(child.kill()),
        Err(_) => end(&mut child),
    }
    let _ = child.wait();
    said
}

/// Reads until the answer is there, or no more comes.
fn listen(child: &mut Child) -> Receiver<Option<String>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let out = child.stdout.take();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut part = [0; 4_096];
        let mut said = None;
        if let Some(out) = out {
            let mut out = out.take(MOST_OUTPUT);
            while let (None, Ok(count @ 1..)) = (&said, out.read(&mut part)) {
                bytes.extend_from_slice(&part[..count]);
                said = said_in(&String::from_utf8_lossy(&bytes));
            }
        }
        // The receiver is gone only if the wait is over.
        let _ = sender.send(said);
    });
    receiver
}

fn said_in(text: &str) -> Option<String> {
    let (_, after) = text.rsplit_once(MARK)?;
    let (said, _) = after.split_once('\n')?;
    Some(said.to_owned())
}

fn wait(
    env: &Env,
    word: &str,
    receiver: &Receiver<Option<String>>,
    limit: Duration,
) -> Result<String, String> {
    let mut got = receiver.recv_timeout(limit.min(TOLD_AFTER));
    if got == Err(RecvTimeoutError::Timeout) && limit > TOLD_AFTER {
        env.ui.tell(&format!(
            "waiting for {word} to start, at most {} seconds, to see whether it loads the hook",
            limit.as_secs()
        ));
        got = receiver.recv_timeout(limit.saturating_sub(TOLD_AFTER));
    }
    match got {
        Ok(Some(said)) => Ok(said),
        Ok(None) => Err(format!(
            "its startup files end {word}, or make another program of it"
        )),
        Err(_) => Err(format!(
            "{word} has not started within {}",
            match limit.as_secs() {
                1 => "a second".to_owned(),
                seconds => format!("{seconds} seconds"),
            }
        )),
    }
}

/// Ends the shell and all of its session.
fn end(child: &mut Child) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process, kill_process_group};
        let id = Pid::from_child(child);
        let _ = kill_process_group(id, Signal::KILL);
        // Once more for what was started meanwhile.
        for _ in 0..3 {
            for other in of_session(id) {
                let _ = kill_process(other, Signal::KILL);
            }
        }
    }
    // What has ended meanwhile is no failure.
    let _ = child.kill();
}

/// Shells give process groups of their own to what they start: the session has them all.
#[cfg(target_os = "linux")]
fn of_session(session: rustix::process::Pid) -> Vec<rustix::process::Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    numbers
        .filter(|id: &i32| {
            // Not by getsid: the kernel's own processes have the session 0, which is no `Pid`.
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            session_in(&stat) == Some(session.as_raw_pid())
        })
        .filter_map(rustix::process::Pid::from_raw)
        .collect()
}

/// The session in the text of `/proc/PID/stat`: the fourth word after the name in brackets.
#[cfg(target_os = "linux")]
fn session_in(stat: &str) -> Option<i32> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(3)?.parse().ok()
}

/// Elsewhere there is no such list.
#[cfg(all(unix, not(target_os = "linux")))]
fn of_session(_: rustix::process::Pid) -> Vec<rustix::process::Pid> {
    Vec::new()
}

/// Turns this process into the shell that is asked: comes back only if that fails.
pub fn become_shell(env: &Env, shell: Shell, how: How) -> Error {
    let cannot = || Error::new(Kind::Failed, format!("{} is not asked", shell.word()));
    let (Some(program), Some(code)) = (program(env, shell), code(shell, how)) else {
        return cannot();
    };
    let mut command = Command::new(program);
    match (how, System::here()) {
        (How::Interactive, _) => command.arg("-i"),
        (How::Login, _) => command.args(["-l", "-i"]),
        (How::Place, System::MacOs) => command.arg("-l"),
        (How::Place, System::Linux | System::Windows) => &mut command,
    };
    command.args(["-c", &code]);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Without a terminal to be stopped by, or to be asked at.
        let _ = rustix::process::setsid();
        #[cfg(target_os = "linux")]
        let _ =
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        cannot().cause(command.exec())
    }
    #[cfg(not(unix))]
    cannot()
}

/// Prints the mark and the answer; none for a shell that is not asked.
fn code(shell: Shell, how: How) -> Option<String> {
    let code = match (shell, how) {
        (Shell::Zsh, How::Place) => {
            "builtin emulate zsh\nbuiltin printf '\\n%s%s\\n' 'MARK' \"$ZDOTDIR\"\n"
        }
        (Shell::Bash, How::Interactive | How::Login) => {
            "if \\builtin declare -F __awskeep_prompt >/dev/null && [[ \
             \"${PROMPT_COMMAND[*]-} ${precmd_functions[*]-}\" == *__awskeep_prompt* ]]\n\
             then \\builtin printf '\\n%s%s\\n' 'MARK' loaded\n\
             else \\builtin printf '\\n%s%s\\n' 'MARK' missing\nfi\n"
        }
        (Shell::Zsh, How::Interactive | How::Login) => {
            "builtin emulate zsh\n\
             if (( $+functions[__awskeep_prompt] && $precmd_functions[(Ie)__awskeep_prompt] ))\n\
             then builtin printf '\\n%s%s\\n' 'MARK' loaded\n\
             else builtin printf '\\n%s%s\\n' 'MARK' missing\nfi\n"
        }
        (Shell::Fish, How::Interactive | How::Login) => {
            "if functions -q __awskeep_prompt\nprintf '\\n%s%s\\n' 'MARK' loaded\n\
             else\nprintf '\\n%s%s\\n' 'MARK' missing\nend\n"
        }
        (Shell::Bash | Shell::Fish, How::Place) | (Shell::PowerShell | Shell::Nushell, _) => {
            return None;
        }
    };
    Some(code.replace("MARK", MARK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_ends_a_startup_file_is_found() {
        let block = "# >>> awskeep >>>\nx\n# <<< awskeep <<<\n";
        for (text, expected) in [
            ("return\n", Some((1, "return"))),
            (
                "a\n[ -f x ] && return 0  # no\nb\n",
                Some((2, "[ -f x ] && return 0  # no")),
            ),
            (
                "[[ -n $x ]] || exec fish\n",
                Some((1, "[[ -n $x ]] || exec fish")),
            ),
            ("f() {\n  return 1\n}\n", None),
            ("case $- in\n  *i*) ;;\n  *) return;;\nesac\n", None),
            ("[[ $- != *i* ]] && return\n", None),
            ("# return\nreturned=1\n", None),
        ] {
            let found = end_above_the_block(&format!("{text}{block}return\n"));
            let expected = expected.map(|(number, line)| (number, line.to_owned()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn an_answer_is_found_among_what_startup_files_print() {
        for (text, expected) in [
            ("hello\nawskeep asks: loaded\n", Some("loaded")),
            ("hello awskeep asks: /a b\nmore", Some("/a b")),
            ("awskeep asks: load", None),
            ("loaded\n", None),
        ] {
            assert_eq!(said_in(text).as_deref(), expected, "{text}");
        }
    }
}

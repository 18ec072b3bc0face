//! The only writer to stdout, stderr and the terminal. Edge.
//!
//! Rules: data goes to stdout, everything else to stderr. Messages are lower case
//! without a final stop and name the entry or path. A question defaults to No; a
//! destructive one says first what is lost. Without a person every question is a
//! failure of kind `PersonNeeded` that says what would have been asked. A secret
//! goes to stdout only through `secret_data`, and to a terminal only by force.

#[cfg(unix)]
mod quiet;
pub mod table;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::types::escape;
use crate::types::keys::Secret;

/// Where output goes.
#[derive(Debug, Clone)]
enum Sink {
    Process,
    Buffer(Arc<Mutex<Vec<u8>>>),
}

/// Who answers questions.
#[derive(Debug, Clone)]
pub enum Person {
    /// Somebody at the terminal.
    AtTerminal,
    /// Nobody: there is no terminal, or `--no-input` was given (the reason).
    Absent(&'static str),
    /// A test's answers, in order.
    Scripted(Arc<Mutex<VecDeque<String>>>),
}

/// Whether `--yes` answers the questions that a person may wave through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    Ask,
    Yes,
}

/// What a person said to a question that `--yes` does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YesNo {
    Yes,
    No,
}

/// Whether a secret may go to a terminal (`--force`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToTerminal {
    Refuse,
    Force,
}

/// Output and questions.
#[derive(Debug, Clone)]
pub struct Ui {
    out: Sink,
    err: Sink,
    pub person: Person,
    pub confirmation: Confirmation,
    /// Secrets that were given where none belongs.
    hidden: Vec<Zeroizing<String>>,
}

/// What a test captured.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    pub out: Arc<Mutex<Vec<u8>>>,
    pub err: Arc<Mutex<Vec<u8>>>,
}

impl Captured {
    pub fn out_text(&self) -> String {
        text(&self.out)
    }
    pub fn err_text(&self) -> String {
        text(&self.err)
    }
}

fn text(buffer: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&buffer.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

impl Ui {
    /// The process's own streams. Whether a person is there is found out at the first question.
    pub fn of_process() -> Ui {
        Ui {
            out: Sink::Process,
            err: Sink::Process,
            person: Person::AtTerminal,
            confirmation: Confirmation::Ask,
            hidden: Vec::new(),
        }
    }

    /// Buffers, and the answers that will be given.
    pub fn scripted(answers: &[&str]) -> (Ui, Captured) {
        let captured = Captured::default();
        let ui = Ui {
            out: Sink::Buffer(captured.out.clone()),
            err: Sink::Buffer(captured.err.clone()),
            person: Person::Scripted(Arc::new(Mutex::new(
                answers.iter().map(ToString::to_string).collect(),
            ))),
            confirmation: Confirmation::Ask,
            hidden: Vec::new(),
        };
        (ui, captured)
    }

    /// Data for programs: text as it is, to stdout.
    ///
    /// # Errors
    /// `Kind::Failed` if stdout cannot be written.
    pub fn data(&self, text: &str) -> Result<()> {
        self.write_out(text.as_bytes())
    }

    /// Text for people, to stdout.
    ///
    /// # Errors
    /// `Kind::Failed` if stdout cannot be written.
    pub fn text(&self, text: &str) -> Result<()> {
        self.data(&escape::lines(&self.without_hidden(text)))
    }

    /// From now on these words are not shown to people, whoever would say them.
    pub fn hide(&mut self, words: Vec<Zeroizing<String>>) {
        self.hidden = words;
    }

    fn without_hidden<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut shown = Cow::Borrowed(text);
        for word in &self.hidden {
            if shown.contains(word.as_str()) {
                shown = Cow::Owned(shown.replace(word.as_str(), "[secret]"));
            }
        }
        shown
    }

    /// One JSON value and a newline, to stdout.
    pub fn json(&self, value: &impl serde::Serialize) -> Result<()> {
        let mut text = serde_json::to_string_pretty(value).map_err(|error| {
            Error::new(Kind::Bug, "the result cannot be written as JSON").cause(error)
        })?;
        text.push('\n');
        self.data(&escape::json(&text))
    }

    /// Bytes that hold a secret, to stdout in one write.
    ///
    /// # Errors
    /// `Kind::PersonNeeded` if stdout is a terminal and it is not forced.
    pub fn secret_data(&self, bytes: &[u8], to_terminal: ToTerminal) -> Result<()> {
        let is_terminal = matches!(self.out, Sink::Process) && prints_to_terminal();
        if is_terminal && to_terminal == ToTerminal::Refuse {
            return Err(Error::new(
                Kind::PersonNeeded,
                "this would print a secret to the terminal",
            )
            .hint("add --force if that is what you want, or pipe it to where it belongs"));
        }
        self.write_out(bytes)
    }

    /// One line about what happened or will happen, to stderr.
    pub fn tell(&self, line: &str) {
        self.write_err(&format!("{line}\n"));
    }

    pub fn warn(&self, line: &str) {
        self.write_err(&format!("warning: {line}\n"));
    }

    /// A failure, its cause and hints, to stderr.
    pub fn report(&self, failure: &Error) {
        self.write_err(&format!("awskeep: {failure}\n"));
    }

    /// Whether somebody can be asked.
    pub fn attended(&self) -> bool {
        self.absence().is_none()
    }

    /// Whether what is going on is said: to everyone but who gave `--no-input`, as
    /// schedules do.
    pub fn tells_progress(&self) -> bool {
        !matches!(self.person, Person::Absent(_))
    }

    /// Whether questions are allowed at all, also those of a window that is not ours.
    pub fn may_be_asked(&self) -> bool {
        match &self.person {
            Person::Absent(_) => false,
            Person::Scripted(_) | Person::AtTerminal => true,
        }
    }

    /// A yes-or-no question, default No; `--yes` answers it.
    ///
    /// # Errors
    /// `Kind::PersonNeeded` if declined or nobody can be asked.
    pub fn confirm(&self, question: &str) -> Result<()> {
        if self.confirmation == Confirmation::Yes {
            return Ok(());
        }
        if let Some(reason) = self.absence() {
            return Err(Error::new(
                Kind::PersonNeeded,
                format!("would ask: {question}; {reason}"),
            )
            .hint("add --yes to answer yes, or run it at a terminal"));
        }
        match self.yes_or_no(question)? {
            YesNo::Yes => Ok(()),
            YesNo::No => Err(Error::new(
                Kind::PersonNeeded,
                "declined; nothing was changed",
            )),
        }
    }

    /// A yes-or-no question, default No, that `--yes` does not answer: what cannot be
    /// foreseen when a script is written. `instead` is the command that answers it.
    ///
    /// # Errors
    /// `Kind::PersonNeeded` if nobody can be asked.
    pub fn decide(&self, question: &str, instead: &str) -> Result<YesNo> {
        match self.absence() {
            None => self.yes_or_no(question),
            Some(reason) => {
                let reason = match self.confirmation {
                    Confirmation::Yes => "--yes does not answer it",
                    Confirmation::Ask => reason,
                };
                Err(Error::new(
                    Kind::PersonNeeded,
                    format!("would ask: {question}; {reason}"),
                )
                .hint(format!("run it at a terminal, or: {instead}")))
            }
        }
    }

    fn yes_or_no(&self, question: &str) -> Result<YesNo> {
        let answer = self.read_line(&format!("{question} [y/N] "))?;
        Ok(match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => YesNo::Yes,
            _ => YesNo::No,
        })
    }

    /// A line of text from a person.
    pub fn ask(&self, what: &str) -> Result<String> {
        self.need_person(what)?;
        self.read_line(&format!("{what}: "))
    }

    /// A secret from a person, not echoed.
    pub fn ask_secret(&self, what: &str) -> Result<Secret> {
        self.ask_quietly(what)?.ask(what, |_| false)
    }

    /// Begins questions whose answers are not echoed, whatever is pasted at once; `what` is
    /// the first thing that is asked for.
    pub fn ask_quietly(&self, what: &str) -> Result<Quietly<'_>> {
        self.need_person(what)?;
        #[cfg(unix)]
        let terminal = match self.person {
            Person::AtTerminal => {
                let (terminal, _) = open_terminal().map_err(|error| unreadable(&error))?;
                Some(quiet::Quiet::of(terminal).map_err(|error| unreadable(&error))?)
            }
            Person::Absent(_) | Person::Scripted(_) => None,
        };
        Ok(Quietly {
            ui: self,
            #[cfg(unix)]
            terminal,
        })
    }

    fn need_person(&self, what: &str) -> Result<()> {
        match self.absence() {
            None => Ok(()),
            Some(reason) => Err(Error::new(
                Kind::PersonNeeded,
                format!("would ask for: {what}; {reason}"),
            )
            .hint("run it at a terminal, or see --help for other ways to give it")),
        }
    }

    fn absence(&self) -> Option<&'static str> {
        match &self.person {
            Person::Absent(reason) => Some(reason),
            Person::Scripted(_) => None,
            Person::AtTerminal => open_terminal().is_err().then_some("there is no terminal"),
        }
    }

    fn read_line(&self, prompt: &str) -> Result<String> {
        match &self.person {
            Person::Scripted(answers) => {
                self.write_err(&format!("{prompt}\n"));
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                answers.pop_front().ok_or_else(|| {
                    Error::new(Kind::PersonNeeded, format!("nobody answered: {prompt}"))
                })
            }
            Person::AtTerminal => read_line_at_terminal(prompt).map_err(|error| unreadable(&error)),
            Person::Absent(_) => Err(Error::new(Kind::Bug, "asked although nobody is there")),
        }
    }

    fn write_out(&self, bytes: &[u8]) -> Result<()> {
        match &self.out {
            Sink::Process => {
                // Not through std's buffered stdout: its buffer would keep a copy of a secret.
                match raw_stdout(|stdout| stdout.write_all(bytes)) {
                    Ok(()) => Ok(()),
                    // Whoever read has enough, as in `awskeep list | head -n 1`.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                    Err(error) => {
                        Err(Error::new(Kind::Failed, "stdout cannot be written").cause(error))
                    }
                }
            }
            Sink::Buffer(buffer) => {
                buffer
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    fn write_err(&self, text: &str) {
        let text = self.without_hidden(text);
        let text = escape::lines(&text);
        match &self.err {
            // A closed stderr must not turn success into failure.
            Sink::Process => drop(io::stderr().write_all(text.as_bytes())),
            Sink::Buffer(buffer) => buffer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(text.as_bytes()),
        }
    }
}

/// Questions whose answers are not echoed, one after the other.
pub struct Quietly<'u> {
    ui: &'u Ui,
    #[cfg(unix)]
    terminal: Option<quiet::Quiet>,
}

impl Quietly<'_> {
    /// A line from a person. Of what is typed, that is shown which `shows` says of its start.
    ///
    /// # Errors
    /// `Kind::PersonNeeded` if the terminal cannot be read.
    pub fn ask(&mut self, what: &str, shows: fn(&str) -> bool) -> Result<Secret> {
        let prompt = format!("{what}: ");
        #[cfg(unix)]
        if let Some(terminal) = &mut self.terminal {
            let mut line = terminal
                .line(&escape::lines(&prompt), shows)
                .map_err(|error| unreadable(&error))?;
            return Ok(Secret::new(std::mem::take(&mut *line)));
        }
        #[cfg(windows)]
        if let Person::AtTerminal = self.ui.person {
            let shown = shows("");
            let line = match shown {
                true => read_line_at_terminal(&prompt),
                false => rpassword::prompt_password(prompt),
            };
            return line.map(Secret::new).map_err(|error| unreadable(&error));
        }
        self.ui.read_line(&prompt).map(Secret::new)
    }
}

fn unreadable(error: &io::Error) -> Error {
    Error::new(Kind::PersonNeeded, "the terminal could not be read").cause(error)
}

/// Whether this process' stdout is a terminal.
pub fn prints_to_terminal() -> bool {
    io::stdout().is_terminal()
}

#[cfg(unix)]
fn raw_stdout(write: impl FnOnce(&mut std::fs::File) -> io::Result<()>) -> io::Result<()> {
    use std::os::fd::AsFd;
    let mut stdout = std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?);
    write(&mut stdout)
}

#[cfg(windows)]
fn raw_stdout(write: impl FnOnce(&mut std::fs::File) -> io::Result<()>) -> io::Result<()> {
    use std::os::windows::io::AsHandle;
    let mut stdout = std::fs::File::from(io::stdout().as_handle().try_clone_to_owned()?);
    write(&mut stdout)
}

/// The controlling terminal: works while stdin and stderr are pipes, as under an SDK.
#[cfg(unix)]
fn open_terminal() -> io::Result<(std::fs::File, std::fs::File)> {
    let terminal = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")?;
    Ok((terminal.try_clone()?, terminal))
}

#[cfg(windows)]
fn open_terminal() -> io::Result<(std::fs::File, std::fs::File)> {
    let open = |name| {
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
    };
    Ok((open("CONIN$")?, open("CONOUT$")?))
}

fn read_line_at_terminal(prompt: &str) -> io::Result<String> {
    let (input, mut output) = open_terminal()?;
    output.write_all(escape::lines(prompt).as_bytes())?;
    let mut line = String::new();
    io::BufRead::read_line(&mut io::BufReader::new(input), &mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_do_not_steer_the_terminal() {
        for (line, shown) in [
            ("two\n\tlines, ünï", "two\n\tlines, ünï"),
            ("\u{1b}]0;owned\u{7}", "\\u{1b}]0;owned\\u{7}"),
            ("\u{9b}2Jgone\r\u{7f}", "\\u{9b}2Jgone\\r\\u{7f}"),
        ] {
            let (ui, captured) = Ui::scripted(&[]);
            ui.tell(line);
            ui.text(line).unwrap();
            let told = (captured.err_text(), captured.out_text());
            assert_eq!(told, (format!("{shown}\n"), shown.to_owned()));
        }
    }
}

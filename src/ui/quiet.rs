//! Questions whose answers the terminal does not show. Edge.
//!
//! The terminal's own echo is off from before the first question until after the last one, so
//! that lines pasted together stay unseen; what may be seen is written here. What was typed
//! ahead is kept: bytes are taken one by one, and the rest is left to the next question. A
//! signal that ends or stops the process gives the terminal back first.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use signal_hook::SigId;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use zeroize::Zeroizing;

/// More than any answer has.
const MOST: usize = 64 * 1_024;

/// A terminal that echoes nothing until this is dropped.
#[derive(Debug)]
pub struct Quiet {
    terminal: File,
    before: Termios,
    signals: Vec<Ear>,
}

/// Hears one signal.
#[derive(Debug)]
struct Ear {
    signal: i32,
    heard: UnixStream,
    id: SigId,
}

/// What ended a wait.
enum Came {
    Byte(u8),
    Signal(i32),
}

impl Quiet {
    pub fn of(terminal: File) -> io::Result<Quiet> {
        let before = tcgetattr(&terminal)?;
        let mut quiet = Quiet {
            terminal,
            before,
            signals: Vec::new(),
        };
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT] {
            let (heard, told) = UnixStream::pair()?;
            heard.set_nonblocking(true)?;
            let id = signal_hook::low_level::pipe::register(signal, told)?;
            quiet.signals.push(Ear { signal, heard, id });
        }
        quiet.silence()?;
        Ok(quiet)
    }

    /// One line, without its end. A byte is shown if `shows` says so of the line up to it.
    pub fn line(&mut self, prompt: &str, shows: fn(&str) -> bool) -> io::Result<Zeroizing<String>> {
        let mut line = Line {
            bytes: Zeroizing::new(Vec::with_capacity(MOST)),
            shown: 0,
        };
        self.terminal.write_all(prompt.as_bytes())?;
        loop {
            match self.next()? {
                Came::Byte(b'\n' | b'\r') => break,
                Came::Byte(byte) if byte == self.key(SpecialCodeIndex::VEOF) => {
                    if line.bytes.is_empty() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    break;
                }
                Came::Byte(byte) => {
                    let echo = line.take(self.edit(byte), shows);
                    self.terminal.write_all(&echo)?;
                }
                Came::Signal(SIGCONT) => {
                    // As the terminal itself forgets a line that is stopped.
                    line.bytes.clear();
                    line.shown = 0;
                    self.silence()?;
                    self.terminal.write_all(prompt.as_bytes())?;
                }
                Came::Signal(signal) => {
                    self.give_back();
                    // Ends this process, or stops it until SIGCONT comes.
                    signal_hook::low_level::emulate_default_handler(signal)?;
                }
            }
        }
        self.terminal.write_all(b"\n")?;
        let text = std::str::from_utf8(&line.bytes)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        // Terminals mark what is pasted, where a program before this one has asked for it.
        let text = text.replace("\u{1b}[200~", "").replace("\u{1b}[201~", "");
        Ok(Zeroizing::new(text))
    }

    /// No echo and no line editing, which would show lines before they are read.
    fn silence(&self) -> io::Result<()> {
        let mut silent = self.before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Now and not with a flush: what was typed ahead is the answer.
        Ok(tcsetattr(&self.terminal, OptionalActions::Now, &silent)?)
    }

    fn give_back(&self) {
        // There is nothing better to do where this fails.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }

    fn key(&self, index: SpecialCodeIndex) -> u8 {
        self.before.special_codes[index]
    }

    /// What a key does, by the terminal's own settings.
    fn edit(&self, byte: u8) -> Edit {
        match byte {
            0x08 | 0x7f => Edit::Erase,
            byte if byte == self.key(SpecialCodeIndex::VERASE) => Edit::Erase,
            byte if byte == self.key(SpecialCodeIndex::VKILL) => Edit::Kill,
            byte => Edit::Add(byte),
        }
    }

    fn next(&mut self) -> io::Result<Came> {
        loop {
            let mut ears: Vec<PollFd<'_>> = self
                .signals
                .iter()
                .map(|ear| PollFd::from_borrowed_fd(ear.heard.as_fd(), PollFlags::IN))
                .collect();
            ears.push(PollFd::from_borrowed_fd(
                self.terminal.as_fd(),
                PollFlags::IN,
            ));
            match poll(&mut ears, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            for ear in &mut self.signals {
                let mut noted = [0; 16];
                if ear.heard.read(&mut noted).is_ok_and(|count| count > 0) {
                    return Ok(Came::Signal(ear.signal));
                }
            }
            let mut byte = Zeroizing::new([0]);
            match self.terminal.read(byte.as_mut_slice()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(Came::Byte(byte[0])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.give_back();
        for ear in &self.signals {
            signal_hook::low_level::unregister(ear.id);
        }
    }
}

enum Edit {
    Add(u8),
    Erase,
    Kill,
}

/// A line that is being typed, and how much of its start is shown.
struct Line {
    bytes: Zeroizing<Vec<u8>>,
    shown: usize,
}

impl Line {
    /// Takes a key; gives back what the terminal must be told.
    fn take(&mut self, edit: Edit, shows: fn(&str) -> bool) -> Vec<u8> {
        match edit {
            Edit::Add(byte) => {
                if self.bytes.len() == MOST {
                    return Vec::new();
                }
                let all_shown = self.shown == self.bytes.len();
                self.bytes.push(byte);
                let text = std::str::from_utf8(&self.bytes).unwrap_or_default();
                if all_shown && (byte.is_ascii_graphic() || byte == b' ') && shows(text) {
                    self.shown += 1;
                    return vec![byte];
                }
                Vec::new()
            }
            Edit::Erase => {
                let is_continued = |byte: Option<u8>| byte.is_some_and(|b| b & 0xc0 == 0x80);
                while is_continued(self.bytes.pop()) {}
                self.unshow()
            }
            Edit::Kill => {
                self.bytes.clear();
                self.unshow()
            }
        }
    }

    fn unshow(&mut self) -> Vec<u8> {
        let gone = self.shown.saturating_sub(self.bytes.len());
        self.shown -= gone;
        b"\x08 \x08".repeat(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_edit_the_line_and_show_what_may_be_seen() {
        let capitals = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
        for (keys, line, told) in [
            ("AB", "AB", "AB"),
            ("ABc", "ABc", "AB"),
            ("ABcD", "ABcD", "AB"),
            ("ABc\x7f\x7fX", "AX", "AB\x08 \x08X"),
            ("ABé\x7fC", "ABC", "ABC"),
            ("\x7fA", "A", "A"),
            ("AB\x15C", "C", "AB\x08 \x08\x08 \x08C"),
        ] {
            let mut typed = Line {
                bytes: Zeroizing::default(),
                shown: 0,
            };
            let mut echo = Vec::new();
            for byte in keys.bytes() {
                let edit = match byte {
                    0x7f => Edit::Erase,
                    0x15 => Edit::Kill,
                    byte => Edit::Add(byte),
                };
                echo.extend(typed.take(edit, capitals));
            }
            assert_eq!(
                (typed.bytes.as_slice(), echo.as_slice()),
                (line.as_bytes(), told.as_bytes()),
                "{keys:?}"
            );
        }
    }
}

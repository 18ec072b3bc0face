//! A shell at a terminal, with nothing between it and the stopwatch.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Terminal {
    shell: Child,
    master: File,
    heard: Vec<u8>,
}

impl Terminal {
    /// Starts a command whose session will have the terminal.
    pub fn start(command: &mut Command) -> io::Result<Terminal> {
        let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let side = || OpenOptions::new().read(true).write(true).open(path);
        let shell = command
            .stdin(side()?)
            .stdout(side()?)
            .stderr(side()?)
            .spawn()?;
        Ok(Terminal {
            shell,
            master: File::from(master),
            heard: Vec::new(),
        })
    }

    pub fn send(&mut self, keys: &str) -> io::Result<()> {
        self.master.write_all(keys.as_bytes())
    }

    /// Reads until this was said, and forgets all of it.
    pub fn wait_for(&mut self, text: &str) -> io::Result<()> {
        let mut bytes = [0; 4_096];
        let limit = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        while !holds(&self.heard, text.as_bytes()) {
            let mut ready = [PollFd::from_borrowed_fd(self.master.as_fd(), PollFlags::IN)];
            if poll(&mut ready, Some(&limit))? == 0 {
                let heard = String::from_utf8_lossy(&self.heard);
                return Err(io::Error::other(format!("waited for {text}: {heard:?}")));
            }
            let count = self.master.read(&mut bytes)?;
            self.heard.extend_from_slice(&bytes[..count]);
        }
        self.heard.clear();
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn holds(heard: &[u8], text: &[u8]) -> bool {
    heard.windows(text.len()).any(|window| window == text)
}

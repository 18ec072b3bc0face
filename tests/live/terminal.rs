//! A shell at a terminal of its own (`script` makes the terminal), and what it says. Edge.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::programs::{PATIENCE, in_test_env, wait_until};
use crate::sandbox::Sandbox;

/// The shells that have a hook and can be had here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    Bash,
    /// bash without the clocks that 3.2 does not have.
    OldBash,
    Zsh,
    Fish,
    Nushell,
}

impl Shell {
    pub const ALL: [Shell; 5] = [
        Shell::Bash,
        Shell::OldBash,
        Shell::Zsh,
        Shell::Fish,
        Shell::Nushell,
    ];

    /// The name that awskeep knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Shell::Bash | Shell::OldBash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
            Shell::Nushell => "nushell",
        }
    }

    pub fn program(self) -> String {
        match self {
            Shell::Nushell => in_test_env("node/node_modules/@nushell/linux-x64/bin/nu")
                .display()
                .to_string(),
            Shell::Bash | Shell::OldBash | Shell::Zsh | Shell::Fish => self.name().to_owned(),
        }
    }

    /// The file, from the home on, in which a person keeps own settings.
    pub fn startup(self) -> &'static str {
        match self {
            Shell::Bash | Shell::OldBash => ".bashrc",
            Shell::Zsh => ".zshrc",
            Shell::Fish => ".config/fish/config.fish",
            Shell::Nushell => ".config/nushell/config.nu",
        }
    }

    /// What makes it the shell that it is; goes to the top of its startup file.
    pub fn preparation(self) -> &'static str {
        match self {
            Shell::OldBash => "unset EPOCHSECONDS\nenable -n printf\n",
            Shell::Bash | Shell::Zsh | Shell::Fish | Shell::Nushell => "",
        }
    }

    /// Code that prints `<<NUMBER:VALUE>>`, and does not look like that itself.
    fn marked(self, number: usize, value: &str) -> String {
        match self {
            Shell::Bash | Shell::OldBash | Shell::Zsh | Shell::Fish => {
                format!("echo \"<<\"{number}:{value}\">>\"")
            }
            Shell::Nushell => format!("print $\"<<({number}):({value})>>\""),
        }
    }
}

struct Heard {
    text: Mutex<String>,
    more: Condvar,
}

/// A running interactive shell.
pub struct Terminal {
    shell: Shell,
    script: Child,
    keys: Arc<Mutex<ChildStdin>>,
    heard: Arc<Heard>,
    asked: usize,
    /// What was said since the last question.
    said: String,
}

impl Terminal {
    /// Starts the shell in the sandbox' home, with its startup files.
    #[track_caller]
    pub fn start(sandbox: &Sandbox, shell: Shell) -> Terminal {
        Terminal::start_by(sandbox, shell, &format!("{} -i", shell.program()))
    }

    /// The same by a command line of its own, such as `strace … bash -i`.
    #[track_caller]
    pub fn start_by(sandbox: &Sandbox, shell: Shell, command_line: &str) -> Terminal {
        let mut command = sandbox.command("script");
        let command_line = format!("stty rows 30 cols 200; exec {command_line}");
        command.args(["-q", "-f", "-e", "-c", &command_line, "/dev/null"]);
        command.env("TERM", "xterm");
        Terminal::of(shell, &mut command)
    }

    fn of(shell: Shell, command: &mut Command) -> Terminal {
        let mut script = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("script starts");
        let keys = Arc::new(Mutex::new(script.stdin.take().expect("it is piped")));
        let heard = Arc::new(Heard {
            text: Mutex::default(),
            more: Condvar::new(),
        });
        let mut output = script.stdout.take().expect("it is piped");
        let (answers, hearing) = (keys.clone(), heard.clone());
        thread::spawn(move || {
            let mut bytes = [0; 65_536];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                // What a terminal answers: where the cursor is, and what it is.
                for (question, answer) in [("\x1b[6n", "\x1b[1;1R"), ("\x1b[c", "\x1b[?62;c")] {
                    for _ in text.matches(question) {
                        let _ = answers.lock().unwrap().write_all(answer.as_bytes());
                    }
                }
                hearing.text.lock().unwrap().push_str(&text);
                hearing.more.notify_all();
            }
        });
        Terminal {
            shell,
            script,
            keys,
            heard,
            asked: 0,
            said: String::new(),
        }
    }

    /// Types a line. bash, zsh and fish take lines that come early; nushell must be waited for.
    #[track_caller]
    pub fn line(&mut self, line: &str) {
        if self.shell == Shell::Nushell {
            self.wait_for("\x1b]133;B");
            self.wait_for("\x1b[?25h");
        }
        self.keys(&format!("{line}\r"));
        if self.shell == Shell::Nushell {
            self.wait_for("\x1b]133;C");
        }
    }

    pub fn keys(&self, keys: &str) {
        let mut input = self.keys.lock().unwrap();
        input.write_all(keys.as_bytes()).expect("the shell reads");
    }

    /// What an expression is at the next prompt, and all that was said since the last question.
    #[track_caller]
    pub fn ask(&mut self, expression: &str) -> (String, String) {
        self.asked += 1;
        let number = self.asked;
        self.line(&self.shell.marked(number, expression));
        self.wait_for(&format!("<<{number}:"));
        let value = self.wait_for(">>").trim_end_matches(">>").to_owned();
        (value, std::mem::take(&mut self.said))
    }

    /// Runs a line and lets one more prompt come; what was said.
    #[track_caller]
    pub fn run(&mut self, line: &str) -> String {
        self.line(line);
        self.ask("0").1
    }

    /// Waits until this is said; gives back all up to and with it.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let heard = self.heard.text.lock().unwrap();
        let (mut heard, result) = self
            .heard
            .more
            .wait_timeout_while(heard, PATIENCE, |heard| !heard.contains(text))
            .unwrap();
        assert!(
            !result.timed_out(),
            "{:?} did not say {text:?}, but {heard:?}",
            self.shell
        );
        let end = heard.find(text).expect("it was just found") + text.len();
        let heard: String = heard.drain(..end).collect();
        self.said.push_str(&heard);
        heard
    }

    /// Waits until the shell has ended by itself.
    #[track_caller]
    pub fn wait_for_end(mut self) {
        let script = &mut self.script;
        wait_until("the shell ended", || {
            matches!(script.try_wait(), Ok(Some(_)))
        });
    }

    /// Takes the terminal away, as a closed window does: the shell gets a SIGHUP.
    pub fn hang_up(mut self) {
        self.end();
    }

    /// Waits for the shell too: at its end it may still write into the home.
    fn end(&mut self) {
        if !matches!(self.script.try_wait(), Ok(None)) {
            return;
        }
        let script = self.script.id();
        let children = fs::read_to_string(format!("/proc/{script}/task/{script}/children"));
        let _ = self.script.kill();
        let _ = self.script.wait();
        for shell in children.unwrap_or_default().split_whitespace() {
            wait_until("the shell ended", || {
                let stat = fs::read_to_string(format!("/proc/{shell}/stat"));
                stat.map_or(true, |stat| stat.contains(") Z "))
            });
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.end();
    }
}

//! A home with the hook in a shell's startup file, and a script in awskeep's place that notes
//! how it was called. Edge.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::sandbox::Sandbox;
use crate::terminal::{Shell, Terminal};

pub const CALL: &str = "rotate --if-due --all --no-input --background";
/// Long over, yet not too young for any shell's arithmetic.
pub const OVER: i64 = 1_000_000_000;

/// As far ahead as awskeep ever writes.
pub fn ahead() -> i64 {
    now() + 7 * 86_400
}

pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// A home whose awskeep notes each call, with the hook in the shell's own startup file.
pub struct Hooked {
    pub sandbox: Sandbox,
    pub shell: Shell,
}

impl Hooked {
    pub fn new(shell: Shell) -> Hooked {
        Hooked::between(shell, "", "")
    }

    /// With code before and after the hook in the startup file.
    pub fn between(shell: Shell, before: &str, after: &str) -> Hooked {
        let hooked = Hooked {
            sandbox: Sandbox::new(),
            shell,
        };
        hooked.install_script();
        // Else fish makes completions out of manual pages when it starts for the first time.
        let made = ".local/share/fish/generated_completions";
        fs::create_dir_all(hooked.sandbox.home().join(made)).unwrap();
        let load = match shell {
            Shell::Nushell => format!("source {}", hook_file(shell).display()),
            _ => format!(". {}", hook_file(shell).display()),
        };
        let preparation = shell.preparation();
        let text = format!("{preparation}{before}\n{load}\n{after}\n");
        hooked.sandbox.write(shell.startup(), &text);
        hooked
    }

    /// Puts a script in awskeep's place: it notes its arguments and what its input and output
    /// are, and has something to say.
    fn install_script(&self) {
        let path = self.sandbox.binary();
        fs::remove_file(&path).unwrap();
        let notes = self.notes().display().to_string();
        let script = format!(
            "#!/bin/sh\necho \"$* $(readlink /proc/$$/fd/0) $(readlink /proc/$$/fd/1)\" >>'{notes}'\n\
             echo noticed >&2\necho hidden\n"
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn notes(&self) -> PathBuf {
        self.sandbox.home().join("notes")
    }

    pub fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.notes()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub fn due_file(&self) -> PathBuf {
        self.sandbox.home().join(".local/state/awskeep/next-due")
    }

    /// Writes the number as awskeep does: whole, and with its time.
    pub fn due_at(&self, seconds: i64) {
        self.due_text(&format!("{seconds}\n"), seconds);
    }

    pub fn due_text(&self, text: &str, time: i64) {
        let new = self.write_beside(text, time);
        fs::rename(new, self.due_file()).unwrap();
    }

    /// Code, for any of the shells, that puts this number there.
    pub fn code_for_due_at(&self, seconds: i64) -> String {
        let new = self.write_beside(&format!("{seconds}\n"), seconds);
        format!("mv {} {}", new.display(), self.due_file().display())
    }

    fn write_beside(&self, text: &str, time: i64) -> PathBuf {
        let path = self.due_file();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(time.unsigned_abs());
        let file = fs::File::options().write(true).open(&new).unwrap();
        file.set_modified(time).unwrap();
        new
    }

    #[track_caller]
    pub fn start(&self) -> Terminal {
        Terminal::start(&self.sandbox, self.shell)
    }
}

pub fn hook_file(shell: Shell) -> PathBuf {
    let ending = match shell {
        Shell::Bash | Shell::OldBash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Nushell => "nu",
    };
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("shell/hook")
        .with_extension(ending)
}

/// Fails if a shell complained.
#[track_caller]
pub fn quiet(said: &str) {
    for word in [
        "rror",
        "unbound",
        "not found",
        "noticed",
        "hidden",
        "No such",
    ] {
        assert!(!said.contains(word), "{said:?}");
    }
}

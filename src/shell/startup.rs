//! Where each shell reads what it runs at its start, and what is put there. Pure: the
//! folders and the files' texts are given.

use std::path::{Path, PathBuf};

use crate::shell::hook;
use crate::types::shell::Shell;

/// Which system's habits apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    Linux,
    MacOs,
    Windows,
}

impl System {
    /// The one that awskeep was built for; other Unix systems are like Linux.
    pub fn here() -> System {
        if cfg!(target_os = "macos") {
            System::MacOs
        } else if cfg!(windows) {
            System::Windows
        } else {
            System::Linux
        }
    }
}

/// Where things are on this machine.
#[derive(Debug, Clone)]
pub struct Places {
    pub system: System,
    pub home: PathBuf,
    /// `XDG_CONFIG_HOME`, if it is set to an absolute path.
    pub xdg_config: Option<PathBuf>,
    /// `XDG_DATA_HOME`, likewise.
    pub xdg_data: Option<PathBuf>,
    pub zdotdir: Option<PathBuf>,
    /// The Windows user's Documents.
    pub documents: PathBuf,
    /// The system's own folder for settings.
    pub config: PathBuf,
    /// awskeep's folder for data.
    pub data: PathBuf,
}

/// How a shell is set up: files that are ours, and a block in one that may not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The file that the shell reads at its start.
    pub startup: PathBuf,
    /// What stands between the marks there.
    pub body: String,
    /// The hook's own file; none where the block is the hook.
    pub hook: Option<PathBuf>,
    /// The file of the completions.
    pub completions: PathBuf,
}

/// How to set up this shell here. `read` gives a file's text, if it is there.
pub fn setup(shell: Shell, places: &Places, read: impl Fn(&Path) -> Option<Vec<u8>>) -> Setup {
    let startup = match shell {
        Shell::Bash => bash_startup(places, read),
        Shell::Zsh => places
            .zdotdir
            .as_ref()
            .unwrap_or(&places.home)
            .join(".zshrc"),
        // A file of its own among others that fish reads: config.fish is skipped.
        Shell::Fish => xdg_config(places).join("fish/conf.d/awskeep.fish"),
        Shell::PowerShell => powershell_profile(places, read),
        // The same for nushell, which reads the folder after config.nu.
        Shell::Nushell => nushell_folder(places).join("autoload").join("awskeep.nu"),
    };
    let hook = match shell {
        // nushell reads `source` before it runs anything: a file that is gone would be an error
        // at every start. So the hook itself stands in the block.
        Shell::Nushell => None,
        Shell::Bash | Shell::Zsh | Shell::Fish | Shell::PowerShell => {
            Some(places.data.join(hook_name(shell)))
        }
    };
    let completions = completions(shell, places);
    Setup {
        body: body(shell, places, hook.as_deref(), &completions),
        startup,
        hook,
        completions,
    }
}

/// Files that bash reads as a login shell: the first one that is there, and only it.
pub const LOGIN_FILES: [&str; 3] = [".bash_profile", ".bash_login", ".profile"];

/// `~/.bashrc`; but every terminal of macOS opens a login shell, which reads another file.
/// If that one does not read `.bashrc` in turn, the block must stand in it.
fn bash_startup(places: &Places, read: impl Fn(&Path) -> Option<Vec<u8>>) -> PathBuf {
    let bashrc = places.home.join(".bashrc");
    if places.system != System::MacOs {
        return bashrc;
    }
    let mut login = LOGIN_FILES.iter().map(|name| places.home.join(name));
    match login.find_map(|path| Some((read(&path)?, path))) {
        Some((text, _)) if String::from_utf8_lossy(&text).contains("bashrc") => bashrc,
        Some((_, path)) => path,
        None => places.home.join(LOGIN_FILES[0]),
    }
}

/// The profile of the usual host and not of all hosts: it is read last, and what other programs
/// put there would set the prompt anew.
fn powershell_profile(places: &Places, read: impl Fn(&Path) -> Option<Vec<u8>>) -> PathBuf {
    const NAME: &str = "Microsoft.PowerShell_profile.ps1";
    if places.system != System::Windows {
        return xdg_config(places).join("powershell").join(NAME);
    }
    let new = places.documents.join("PowerShell").join(NAME);
    let old = places.documents.join("WindowsPowerShell").join(NAME);
    if read(&new).is_none() && read(&old).is_some() {
        return old;
    }
    new
}

fn nushell_folder(places: &Places) -> PathBuf {
    let config = places.xdg_config.as_ref().unwrap_or(&places.config);
    config.join("nushell")
}

/// `~/.config`, on macOS too: where fish and PowerShell look.
fn xdg_config(places: &Places) -> PathBuf {
    let named = places.xdg_config.clone();
    named.unwrap_or_else(|| places.home.join(".config"))
}

fn completions(shell: Shell, places: &Places) -> PathBuf {
    match shell {
        // Read by the bash-completion package, when awskeep is completed for the first time.
        Shell::Bash => {
            let data = places.xdg_data.clone();
            let data = data.unwrap_or_else(|| places.home.join(".local/share"));
            data.join("bash-completion/completions/awskeep")
        }
        Shell::Fish => xdg_config(places).join("fish/completions/awskeep.fish"),
        // These have no such folder of the user's: the block reads the file.
        Shell::Zsh => places.data.join("completions.zsh"),
        Shell::PowerShell => places.data.join("completions.ps1"),
        Shell::Nushell => nushell_folder(places).join("autoload/awskeep-completions.nu"),
    }
}

fn hook_name(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => "hook.bash",
        Shell::Zsh => "hook.zsh",
        Shell::Fish => "hook.fish",
        Shell::PowerShell => "hook.ps1",
        Shell::Nushell => "hook.nu",
    }
}

fn body(shell: Shell, places: &Places, hook: Option<&Path>, completions: &Path) -> String {
    let mut body = format!(
        "# Replaces AWS keys that are due. To remove this: awskeep setup {} --remove\n",
        shell.word()
    );
    let Some(hook) = hook else {
        body.push_str(hook::text(shell));
        return body;
    };
    let path = path_word(shell, places, hook);
    body.push_str(&match shell {
        Shell::Bash => format!("if [ -r {path} ]; then . {path}; fi\n"),
        Shell::Zsh => format!("if [[ -r {path} ]]; then . {path}; fi\n"),
        Shell::Fish => format!("if test -r {path}; source {path}; end\n"),
        Shell::PowerShell => format!("if (Test-Path -LiteralPath {path}) {{ . {path} }}\n"),
        Shell::Nushell => String::new(),
    });
    let path = path_word(shell, places, completions);
    match shell {
        Shell::Zsh => body.push_str(&format!(
            "if (( ${{+functions[compdef]}} )) && [[ -r {path} ]]; then . {path}; fi\n"
        )),
        Shell::PowerShell => body.push_str(&format!(
            "if (Test-Path -LiteralPath {path}) {{ . {path} }}\n"
        )),
        Shell::Bash | Shell::Fish | Shell::Nushell => {}
    }
    body
}

/// A path as one word. Below the home it is named from there, since startup files are often
/// carried to other machines.
fn path_word(shell: Shell, places: &Places, path: &Path) -> String {
    let Ok(below) = path.strip_prefix(&places.home) else {
        return shell.quoted(&path.to_string_lossy()).to_string();
    };
    let below = below.to_string_lossy().replace('\\', "/");
    match shell {
        // HOME may be unset, under `set -u`.
        Shell::Bash | Shell::Zsh => {
            format!("\"${{HOME-}}\"{}", *shell.quoted(&format!("/{below}")))
        }
        Shell::Fish => format!("\"$HOME\"{}", *shell.quoted(&format!("/{below}"))),
        Shell::PowerShell => format!("($HOME + {})", *shell.quoted(&format!("/{below}"))),
        Shell::Nushell => shell.quoted(&path.to_string_lossy()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(system: System) -> Places {
        let home = PathBuf::from("/home/me");
        Places {
            system,
            xdg_config: None,
            xdg_data: None,
            zdotdir: None,
            documents: home.join("Documents"),
            config: match system {
                System::Linux => home.join(".config"),
                System::MacOs => home.join("Library/Application Support"),
                System::Windows => home.join("AppData/Roaming"),
            },
            data: home.join(".local/share/awskeep"),
            home,
        }
    }

    #[test]
    fn each_shells_file_is_found() {
        let with_login: [(&str, &str); 1] = [("/home/me/.profile", "PATH=x\n")];
        let that_reads_bashrc = [("/home/me/.bash_profile", ". ~/.bashrc\n")];
        let old_powershell = [(
            "/home/me/Documents/WindowsPowerShell/Microsoft.PowerShell_profile.ps1",
            "",
        )];
        for (shell, system, files, expected) in [
            (Shell::Bash, System::Linux, &with_login[..], ".bashrc"),
            (Shell::Bash, System::MacOs, &[], ".bash_profile"),
            (Shell::Bash, System::MacOs, &with_login, ".profile"),
            (Shell::Bash, System::MacOs, &that_reads_bashrc, ".bashrc"),
            (Shell::Zsh, System::MacOs, &[], ".zshrc"),
            (
                Shell::Fish,
                System::MacOs,
                &[],
                ".config/fish/conf.d/awskeep.fish",
            ),
            (
                Shell::PowerShell,
                System::Linux,
                &[],
                ".config/powershell/Microsoft.PowerShell_profile.ps1",
            ),
            (
                Shell::PowerShell,
                System::Windows,
                &[],
                "Documents/PowerShell/Microsoft.PowerShell_profile.ps1",
            ),
            (
                Shell::PowerShell,
                System::Windows,
                &old_powershell,
                "Documents/WindowsPowerShell/Microsoft.PowerShell_profile.ps1",
            ),
            (
                Shell::Nushell,
                System::Linux,
                &[],
                ".config/nushell/autoload/awskeep.nu",
            ),
            (
                Shell::Nushell,
                System::MacOs,
                &[],
                "Library/Application Support/nushell/autoload/awskeep.nu",
            ),
        ] {
            let read = |path: &Path| {
                let found = files.iter().find(|(name, _)| Path::new(name) == path);
                found.map(|(_, text)| text.as_bytes().to_vec())
            };
            let found = setup(shell, &places(system), read).startup;
            assert_eq!(
                found,
                Path::new("/home/me").join(expected),
                "{shell:?} {system:?}"
            );
        }
        let mut places = places(System::Linux);
        places.zdotdir = Some("/z".into());
        places.xdg_config = Some("/c".into());
        for (shell, expected) in [
            (Shell::Zsh, "/z/.zshrc"),
            (Shell::Fish, "/c/fish/conf.d/awskeep.fish"),
            (Shell::Nushell, "/c/nushell/autoload/awskeep.nu"),
        ] {
            assert_eq!(setup(shell, &places, |_| None).startup, Path::new(expected));
        }
    }

    #[test]
    fn blocks_name_the_hook_from_the_home() {
        let mut places = places(System::Linux);
        let code = |shell, places: &Places| {
            let body = setup(shell, places, |_| None).body;
            body.lines().nth(1).unwrap_or_default().to_owned()
        };
        assert_eq!(
            code(Shell::Bash, &places),
            "if [ -r \"${HOME-}\"'/.local/share/awskeep/hook.bash' ]; \
             then . \"${HOME-}\"'/.local/share/awskeep/hook.bash'; fi"
        );
        assert_eq!(
            code(Shell::PowerShell, &places),
            "if (Test-Path -LiteralPath ($HOME + '/.local/share/awskeep/hook.ps1')) \
             { . ($HOME + '/.local/share/awskeep/hook.ps1') }"
        );
        places.data = "/o'brien/awskeep".into();
        assert_eq!(
            code(Shell::Fish, &places),
            r"if test -r '/o\'brien/awskeep/hook.fish'; source '/o\'brien/awskeep/hook.fish'; end"
        );
    }
}

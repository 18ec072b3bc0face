//! Whether a hook works is asked of the shell itself, with the startup files that a person has.

use std::fs;

use serde_json::json;

use crate::programs::run;
use crate::sandbox::Sandbox;
use crate::terminal::{Shell, Terminal};

/// A home with these startup files and one entry that rotates by itself.
fn with(files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    let made = ".local/share/fish/generated_completions";
    fs::create_dir_all(sandbox.home().join(made)).unwrap();
    for (path, text) in files {
        sandbox.write(path, text);
    }
    sandbox
        .awskeep(&["store", "use", "file", "--without-passphrase", "--yes"])
        .ok();
    let pair = json!({"Version": 1, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"});
    let add = ["add", "work", "--stdin", "--no-profile", "--no-verify"];
    sandbox.awskeep_with_input(&add, &pair.to_string()).ok();
    sandbox.awskeep(&["config", "set", "auto", "on"]).ok();
    sandbox
}

fn set_up(sandbox: &Sandbox, shell: Shell) -> (i32, String) {
    let ran = sandbox.awskeep(&["setup", shell.name(), "--yes"]);
    let home = sandbox.home().display().to_string();
    let said = ran.stderr.replace(&home, "~");
    // The failure and its hint, or else the last line.
    let failed = said.find("awskeep: ").filter(|_| ran.code != Some(0));
    let last_line = said.trim_end().rfind('\n').map_or(0, |at| at + 1);
    let said = said[failed.unwrap_or(last_line)..].to_owned();
    (ran.code.expect("it ends by itself"), said)
}

/// The last lines of `status`, from the first that speaks of hooks on.
fn last_of_status(sandbox: &Sandbox, count: usize) -> String {
    let ran = sandbox.awskeep(&["status"]).ok();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    lines[lines.len() - count..].join("\n")
}

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

#[test]
fn a_hook_that_its_shell_loads_is_as_it_should_be() {
    for shell in SHELLS {
        let name = shell.name();
        let sandbox = with(&[
            (".profile", ". ~/.bashrc\n"),
            (
                ".bashrc",
                "case $- in *i*) ;; *) return;; esac\necho hello; read -r x\n",
            ),
            (
                ".zshrc",
                "setopt ksh_arrays nounset\necho hello; read -r x\n",
            ),
        ]);
        let (code, said) = set_up(&sandbox, shell);
        assert_eq!(
            (code, &*said),
            (0, "shells that start from now on have the hook\n")
        );
        let (code, said) = set_up(&sandbox, shell);
        let expected = format!("the hook of {name} is as it should be\n");
        assert_eq!((code, said), (0, expected));
        assert_eq!(
            last_of_status(&sandbox, 1),
            format!("automatic: work; started by the hook of {name}")
        );
        let asked = sandbox.awskeep(&["setup", name, "--yes", "--json"]).ok();
        assert_eq!(asked.json()["loaded"], true, "{asked}");
    }
}

/// The place is zsh's to say: its own file may set it, for itself alone.
#[test]
fn a_zdotdir_that_is_not_exported_is_where_the_hook_goes() {
    let sandbox = with(&[
        (".zshenv", "ZDOTDIR=~/.config/zsh\necho hello\n"),
        (".config/zsh/.zshrc", "alias ll='ls -l'\n"),
    ]);
    let (code, said) = set_up(&sandbox, Shell::Zsh);
    assert_eq!(
        (code, &*said),
        (0, "shells that start from now on have the hook\n")
    );
    assert_eq!(sandbox.text(".zshrc"), "");
    let mut terminal = Terminal::start(&sandbox, Shell::Zsh);
    assert_eq!(terminal.ask("$+functions[__awskeep_prompt]").0, "1");
    assert_eq!(
        last_of_status(&sandbox, 1),
        "automatic: work; started by the hook of zsh"
    );
    // One that an earlier awskeep has put beside it goes too.
    fs::copy(
        sandbox.home().join(".config/zsh/.zshrc"),
        sandbox.home().join(".zshrc"),
    )
    .unwrap();
    sandbox.awskeep(&["setup", "zsh", "--remove"]).ok();
    assert_eq!(sandbox.text(".config/zsh/.zshrc"), "alias ll='ls -l'\n");
    assert_eq!(sandbox.text(".zshrc"), "alias ll='ls -l'\n");
}

#[test]
fn a_login_shell_that_does_not_read_bashrc_has_no_hook() {
    let sandbox = with(&[(".bash_profile", "PATH=$PATH:/x")]);
    let command = "printf '\\n%s\\n' '[ -z \"$BASH_VERSION\" ] || . ~/.bashrc' >>~/.bash_profile";
    let expected = format!(
        "awskeep: login shells of bash (ssh, tmux) do not load the hook: they read \
         ~/.bash_profile, which does not read ~/.bashrc\nhint: {command}\n"
    );
    // The second time as the first: nothing has to be written, and still it does not run.
    for _ in 0..2 {
        assert_eq!(set_up(&sandbox, Shell::Bash), (1, expected.clone()));
    }
    assert_eq!(
        last_of_status(&sandbox, 2),
        "login shells of bash (ssh, tmux) do not load the hook of bash: awskeep setup bash\n\
         automatic: work; started by the hook of bash"
    );
    let asked = sandbox.awskeep(&["setup", "bash", "--yes", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&asked.stdout).unwrap();
    assert_eq!((asked.code, &report["loaded"]), (Some(1), &json!(false)));
    // The hint does what it says.
    run(sandbox.command("bash").args(["-c", command])).ok();
    let (code, said) = set_up(&sandbox, Shell::Bash);
    assert_eq!((code, &*said), (0, "the hook of bash is as it should be\n"));
}

#[test]
fn a_startup_file_that_ends_early_has_no_hook() {
    for (shell, file) in [(Shell::Bash, ".bashrc"), (Shell::Zsh, ".zshrc")] {
        let name = shell.name();
        let sandbox = with(&[(file, "a=1\n[ -n \"$a\" ] && return\nb=2\n")]);
        let expected = format!(
            "awskeep: new shells of {name} do not load the hook: ~/{file} seems to end above it, \
             at line 2: [ -n \"$a\" ] && return\n\
             hint: move the lines between awskeep's marks above line 2 of ~/{file}\n"
        );
        for _ in 0..2 {
            assert_eq!(set_up(&sandbox, shell), (1, expected.clone()));
        }
        assert_eq!(
            last_of_status(&sandbox, 2),
            format!(
                "new shells of {name} do not load the hook of {name}: awskeep setup {name}\n\
                 auto is on for work, and nothing starts it"
            )
        );
    }
}

/// Nothing is claimed of a shell that gives no answer, and nothing of it stays.
#[test]
fn a_shell_that_does_not_answer_is_not_vouched_for() {
    let sandbox = with(&[(".bashrc", "")]);
    set_up(&sandbox, Shell::Bash);
    let block = sandbox.text(".bashrc");
    sandbox.write(".bashrc", &format!("exec true\n{block}"));
    assert_eq!(
        set_up(&sandbox, Shell::Bash),
        (
            0,
            "whether new shells load it is not known: its startup files end bash, or make \
             another program of it\n"
                .to_owned()
        )
    );
    let ids = sandbox.home().join("ids").display().to_string();
    let hangs =
        format!("set -m; sleep 1000 & echo $! >>{ids}; sleep 1000 & echo $! >>{ids}; wait\n");
    sandbox.write(".bashrc", &format!("{hangs}{block}"));
    assert_eq!(
        last_of_status(&sandbox, 2),
        "whether the hook of bash is loaded is not known: bash has not started within a second\n\
         automatic: work; started by the hook of bash"
    );
    let ids = sandbox.text("ids");
    assert_eq!(ids.lines().count(), 2, "{ids}");
    for id in ids.lines() {
        crate::programs::wait_until("what it started ended", || {
            let stat = fs::read_to_string(format!("/proc/{id}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z "))
        });
    }
}

#[test]
fn a_shell_that_is_asked_is_told_no_secret() {
    let sandbox = with(&[(
        ".bashrc",
        "env >>~/seen; cat >>~/seen; cat /dev/tty >>~/seen 2>&1\n",
    )])
    .with("AWS_SECRET_ACCESS_KEY", "a-secret-of-twenty-or-more")
    .with("AWSKEEP_PASSPHRASE_FILE", "/no/such/file");
    let (code, said) = set_up(&sandbox, Shell::Bash);
    assert_eq!((code, said.lines().count()), (0, 1), "{said}");
    let seen = sandbox.text("seen");
    assert!(seen.contains("HOME="), "{seen}");
    for name in ["AWS_SECRET_ACCESS_KEY", "AWSKEEP_PASSPHRASE_FILE"] {
        assert!(!seen.contains(name), "{seen}");
    }
}

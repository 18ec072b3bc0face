//! The files for shells and service managers, read by what reads them.

use std::fs;
use std::path::{Path, PathBuf};

use awskeep::shell::units;

use crate::programs::{in_env_sources, in_test_env, run};
use crate::sandbox::Sandbox;
use crate::terminal::{Shell, Terminal};

fn in_shell_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("shell")
        .join(name)
}

/// A sandbox with one entry, whose profile has another name.
fn with_work() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .awskeep(&["store", "use", "file", "--without-passphrase", "--yes"])
        .ok();
    let json = r#"{"Version": 1, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}"#;
    let helper = sandbox.binary().display().to_string();
    let add = [
        "add",
        "workhorse",
        "--profile",
        "office",
        "--stdin",
        "--no-verify",
        "--helper-path",
        &helper,
    ];
    sandbox.awskeep_with_input(&add, json).ok();
    sandbox
}

#[test]
fn every_shells_own_reader_takes_its_files() {
    let sandbox = Sandbox::new();
    for (program, flag, files) in [
        ("bash", "-n", &["hook.bash", "completions.bash"][..]),
        ("zsh", "-n", &["hook.zsh", "completions.zsh"]),
        ("fish", "-n", &["hook.fish", "completions.fish"]),
        ("fish_indent", "--check", &["hook.fish", "completions.fish"]),
    ] {
        for file in files {
            let ran = run(sandbox
                .command(program)
                .arg(flag)
                .arg(in_shell_folder(file)))
            .ok();
            assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
        }
    }
    for file in ["hook.nu", "completions.nu"] {
        let path = in_shell_folder(file).display().to_string();
        let check = format!("if not (nu-check --debug '{path}') {{ exit 1 }}");
        run(sandbox
            .command(Shell::Nushell.program())
            .args(["-c", &check]))
        .ok();
    }
}

/// There is no PowerShell to be had here; a grammar of it is.
#[test]
fn powershells_files_can_be_parsed() {
    let sandbox = Sandbox::new();
    let completions = sandbox.awskeep(&["completions", "powershell"]).ok().stdout;
    let completions = sandbox.write("completions.ps1", &completions);
    let broken = sandbox.write("broken.ps1", "if ($x) {\n");
    let parse = |file: &Path| {
        run(sandbox
            .command(in_test_env("venv/bin/python"))
            .arg(in_env_sources("parse_powershell.py"))
            .arg(file))
    };
    for file in [in_shell_folder("hook.ps1"), completions] {
        parse(&file).ok();
    }
    parse(&broken).exits(1);
}

#[test]
fn names_are_completed_by_the_tab_key() {
    let sandbox = with_work();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Nushell] {
        sandbox.awskeep(&["setup", shell.name(), "--yes"]).ok();
    }
    // bash-completion would read the file at the first tab.
    let bash = sandbox.text(".bashrc") + ". ~/.local/share/bash-completion/completions/awskeep\n";
    sandbox.write(".bashrc", &bash);
    let zsh = format!(
        "autoload -Uz compinit; compinit -u\n{}",
        sandbox.text(".zshrc")
    );
    sandbox.write(".zshrc", &zsh);
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Nushell] {
        let mut terminal = Terminal::start(&sandbox, shell);
        terminal.run("cd .");
        for (begun, whole) in [
            ("awskeep status --entry w", "workhorse"),
            ("awskeep pol", "policy"),
            ("awskeep exec o", "office"),
        ] {
            terminal.keys(&format!("{begun}\t"));
            terminal.wait_for(
                whole
                    .strip_prefix(begun.rsplit(' ').next().unwrap())
                    .unwrap(),
            );
            // Ctrl-U, so that the line is not run.
            terminal.keys("\x15");
        }
    }
}

#[test]
fn systemd_takes_the_units() {
    let sandbox = with_work();
    let units =
        units::systemd(&sandbox.binary(), &[("XDG_STATE_HOME", "/my state".into())]).unwrap();
    let files = units.map(|(name, text)| sandbox.write(name, &text));
    // Without a runtime folder it would complain about that.
    let ran = run(sandbox
        .command("systemd-analyze")
        .env("XDG_RUNTIME_DIR", sandbox.home())
        .args(["--user", "verify"])
        .args(&files))
    .ok();
    assert!(!ran.stderr.contains("awskeep"), "{ran}");
}

/// A `systemctl` that notes what it is told.
#[test]
fn the_timer_is_turned_on_and_off() {
    let sandbox = with_work();
    let notes = sandbox.home().join("notes");
    let script = format!("#!/bin/sh\necho \"$*\" >>'{}'\n", notes.display());
    let path = sandbox.write(".local/bin/systemctl", &script);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // Named, since a checkout below /tmp is a temp folder to awskeep.
    let helper = sandbox.binary().display().to_string();
    let setup = ["setup", "--systemd", "--yes", "--helper-path", &helper];
    let ran = sandbox.awskeep(&setup).ok();
    assert!(!ran.stderr.contains("hint:"), "{ran}");
    sandbox.awskeep(&["setup", "--systemd", "--remove"]).ok();
    assert_eq!(
        fs::read_to_string(notes).unwrap(),
        "--user daemon-reload\n\
         --user enable --now awskeep.timer\n\
         --user disable --now awskeep.timer\n\
         --user daemon-reload\n"
    );
}

#[test]
fn the_property_list_says_what_is_run() {
    let sandbox = Sandbox::new();
    let text = units::launchd(Path::new("/Applications/a & b/awskeep")).unwrap();
    let path = sandbox.write("agent.plist", &text);
    let code =
        "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
    let ran = run(sandbox.command("python3").args(["-c", code]).arg(path)).ok();
    assert_eq!(
        ran.json(),
        serde_json::json!({
            "Label": "awskeep.rotate",
            "ProgramArguments":
                ["/Applications/a & b/awskeep", "rotate", "--if-due", "--all", "--no-input"],
            "StartInterval": 3600,
            "RunAtLoad": true,
            "ProcessType": "Background",
            "Nice": 10,
        })
    );
}

#[test]
fn env_is_understood_by_nushell() {
    let sandbox = Sandbox::new();
    sandbox
        .awskeep(&["store", "use", "file", "--without-passphrase", "--yes"])
        .ok();
    let secret = r#"se"cr\et$x'(y)/+=0123456789"#;
    let pair = serde_json::json!({
        "Version": 1, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": secret
    });
    let add = ["add", "work", "--stdin", "--no-profile", "--no-verify"];
    sandbox.awskeep_with_input(&add, &pair.to_string()).ok();
    let env = ["env", "work", "--shell", "nushell"];
    let code = sandbox.awskeep_printing(&env).ok().stdout;
    let script = format!("{code}print $env.AWS_SECRET_ACCESS_KEY ('AWS_SESSION_TOKEN' in $env)");
    let ran = run(sandbox
        .command(Shell::Nushell.program())
        .env("AWS_SESSION_TOKEN", "stale")
        .args(["-c", &script]))
    .ok();
    assert_eq!(ran.stdout, format!("{secret}\nfalse\n"), "{ran}");
}

//! `setup`, `hook`, `completions` and `man`: what they write, show, and take back.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use expect_test::expect;

use crate::sandbox::{Ran, Sandbox};

const BASH_BODY: &str = "\
# Replaces AWS keys that are due. To remove this: awskeep setup bash --remove
if [ -r \"${HOME-}\"'/.data/awskeep/hook.bash' ]; then . \"${HOME-}\"'/.data/awskeep/hook.bash'; fi
";

/// There is no bash on this user's PATH, so nothing is claimed of it.
const UNASKED: &str = "whether new shells load it is not known: there is no bash on PATH\n";
const AS_IT_SHOULD_BE: &str = "the files of the hook of bash are as they should be\n\
    whether new shells load it is not known: there is no bash on PATH\n";

fn bash_block(note: &str) -> String {
    format!("# >>> awskeep >>>{note}\n{BASH_BODY}# <<< awskeep <<<\n")
}

/// `setup` as a script runs it.
fn set_up(sandbox: &Sandbox, more: &[&str]) -> Ran {
    sandbox.run(&[&["setup"], more, &["--yes"]].concat(), &[])
}

/// All files but the state: `setup` has the next prompt look, and the state folder says so.
fn files_of(sandbox: &Sandbox) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = sandbox.everything();
    files.retain(|(path, _)| !path.starts_with(sandbox.path(".state")));
    files
}

#[track_caller]
fn says(ran: &Ran, code: u8, out: &str, err: &str) {
    assert_eq!((ran.code, &*ran.out, &*ran.err), (code, out, err));
}

#[test]
fn a_shell_is_set_up_once_and_taken_back_byte_for_byte() {
    for (name, before, note) in [
        ("plain", Some("alias ll='ls -l'\n"), ""),
        ("empty", Some(""), ""),
        ("no last end", Some("a\nb"), " the line above had no end"),
        ("not there", None, " made this file"),
    ] {
        let sandbox = Sandbox::new();
        if let Some(text) = before {
            sandbox.write(".bashrc", text);
            fs::set_permissions(sandbox.path(".bashrc"), fs::Permissions::from_mode(0o640))
                .unwrap();
        }
        let at_first = files_of(&sandbox);
        let ran = set_up(&sandbox, &["bash"]);
        says(
            &ran,
            0,
            "",
            &format!(
                "at the end of ~/.bashrc:\n\n{BASH_BODY}\n\
                 written ~/.data/awskeep/hook.bash\n\
                 written ~/.local/share/bash-completion/completions/awskeep\n\
                 {} ~/.bashrc\n\
                 {UNASKED}\
                 the hook does nothing until awskeep is on PATH\n",
                if before.is_some() {
                    "changed"
                } else {
                    "written"
                }
            ),
        );
        let end = if name == "no last end" { "\n" } else { "" };
        let text = before.unwrap_or_default();
        assert_eq!(
            sandbox.read(".bashrc"),
            format!("{text}{end}{}", bash_block(note)),
            "{name}"
        );
        assert_eq!(
            sandbox.read(".data/awskeep/hook.bash"),
            sandbox.run(&["hook", "bash"], &[]).out
        );

        let looks_at = sandbox.read(".state/awskeep/next-due");
        let now = sandbox.now();
        assert_eq!(looks_at, format!("{now}\n"));

        let then = sandbox.everything();
        let ran = sandbox.run(&["setup", "bash", "--no-input"], &[]);
        says(&ran, 0, "", AS_IT_SHOULD_BE);
        assert_eq!(sandbox.everything(), then, "{name}: a second time");

        sandbox
            .run(&["setup", "bash", "--remove", "--no-input"], &[])
            .exits(0);
        assert_eq!(files_of(&sandbox), at_first, "{name}");
        if before.is_some() {
            let mode = fs::metadata(sandbox.path(".bashrc"))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o640);
        }
        let ran = sandbox.run(&["setup", "bash", "--remove", "--no-input"], &[]);
        says(&ran, 0, "", "the hook of bash is as it should be\n");
    }
}

#[test]
fn every_shell_has_its_places() {
    for (shell, files) in [
        (
            "zsh",
            &[
                ".zshrc",
                ".data/awskeep/hook.zsh",
                ".data/awskeep/completions.zsh",
            ][..],
        ),
        (
            "fish",
            &[
                ".config/fish/conf.d/awskeep.fish",
                ".data/awskeep/hook.fish",
                ".config/fish/completions/awskeep.fish",
            ],
        ),
        (
            "powershell",
            &[
                ".config/powershell/Microsoft.PowerShell_profile.ps1",
                ".data/awskeep/hook.ps1",
                ".data/awskeep/completions.ps1",
            ],
        ),
        (
            "nushell",
            &[
                ".config/nushell/autoload/awskeep.nu",
                ".config/nushell/autoload/awskeep-completions.nu",
            ],
        ),
    ] {
        let sandbox = Sandbox::new();
        let at_first = files_of(&sandbox);
        assert_eq!(set_up(&sandbox, &[shell]).code, 0);
        let mut new: Vec<_> = files_of(&sandbox);
        new.retain(|file| !at_first.contains(file));
        let mut expected: Vec<_> = files.iter().map(|file| sandbox.path(file)).collect();
        expected.sort();
        let paths: Vec<_> = new.into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, expected, "{shell}");
        sandbox.run(&["setup", shell, "--remove"], &[]).exits(0);
        assert_eq!(files_of(&sandbox), at_first, "{shell}");
    }
}

#[test]
fn the_shell_is_the_users_own_unless_named() {
    let mut sandbox = Sandbox::new();
    let ran = set_up(&sandbox, &[]);
    says(
        &ran,
        2,
        "",
        "awskeep: $SHELL is not set: which shell is meant?\n\
         hint: there are hooks for bash, zsh, fish, powershell and nushell; for bash: awskeep setup bash\n",
    );
    sandbox.vars.push(("SHELL".into(), "/bin/ksh".into()));
    assert_eq!(set_up(&sandbox, &[]).code, 2);
    sandbox.vars.push(("SHELL".into(), "/no/such/zsh".into()));
    sandbox.vars.push((
        "ZDOTDIR".into(),
        sandbox.path(".config/zsh").display().to_string(),
    ));
    assert_eq!(set_up(&sandbox, &[]).code, 0);
    assert!(sandbox.read(".config/zsh/.zshrc").contains("hook.zsh"));
}

#[test]
fn who_rotates_by_itself_is_asked_and_never_guessed() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]).exits(0);
    let auto = |entry: &str| {
        let ran = sandbox.run(&["config", "get", "auto", "--entry", entry], &[]);
        ran.out.trim().to_owned()
    };
    // A script has to say it.
    let ran = sandbox.run(&["setup", "bash", "--no-input"], &[]).exits(5);
    ran.shows(expect![[r#"
        an entry may rotate automatically: at two thirds of its max_age it gets a new key without asking, and the old key ends when what awskeep handed out has expired.
        whatever else has a copy of the key (another machine, CI, a container, a program's own settings) stops working then: leave such an entry out
        awskeep: would ask for: which of these shall rotate automatically: work (names, all, or none); --no-input was given
        hint: run it at a terminal, or see --help for other ways to give it
        hint: --auto ENTRY, --auto all, or --auto none
        exit 5
    "#]]);
    assert!(!sandbox.path(".bashrc").exists());
    // `--yes` names nobody.
    assert_eq!(set_up(&sandbox, &["bash"]).code, 0);
    assert_eq!(auto("work"), "off");
    set_up(&sandbox, &["bash", "--auto", "nobody"]).exits(3);
    let ran = sandbox.run(&["setup", "bash"], &["none"]);
    assert_eq!((ran.code, auto("work").as_str()), (0, "off"), "{ran:?}");
    let ran = sandbox.run(&["setup", "bash"], &["work"]).exits(0);
    ran.shows(expect![[r#"
        an entry may rotate automatically: at two thirds of its max_age it gets a new key without asking, and the old key ends when what awskeep handed out has expired.
        whatever else has a copy of the key (another machine, CI, a container, a program's own settings) stops working then: leave such an entry out
        which of these shall rotate automatically: work (names, all, or none): 
        entry work rotates automatically from now on
        the files of the hook of bash are as they should be
        whether new shells load it is not known: there is no bash on PATH
        exit 0
    "#]]);
    assert!(
        ran.err.ends_with(&format!(
            "which of these shall rotate automatically: work (names, all, or none): \n\
             entry work rotates automatically from now on\n{AS_IT_SHOULD_BE}"
        )),
        "{ran:?}"
    );
    assert_eq!(auto("work"), "on");
    // Nothing left to ask.
    let ran = sandbox.run(&["setup", "bash", "--no-input"], &[]);
    says(&ran, 0, "", AS_IT_SHOULD_BE);
    let ran = sandbox.run(&["setup", "bash", "--remove", "--no-input"], &[]);
    ran.shows(expect![[r#"
        deleted ~/.bashrc
        deleted ~/.local/share/bash-completion/completions/awskeep
        deleted ~/.data/awskeep/hook.bash
        which entries may rotate automatically is as it was
        hint: awskeep config set auto off --entry ENTRY
        exit 0
    "#]]);
    assert_eq!(auto("work"), "on");
}

#[test]
fn declined_or_only_said_nothing_is_written() {
    let sandbox = Sandbox::new();
    sandbox.write(".bashrc", "a\n");
    let at_first = files_of(&sandbox);
    sandbox.run(&["setup", "bash"], &["no"]).exits(5);
    sandbox.run(&["setup", "bash", "--no-input"], &[]).exits(5);
    let ran = sandbox.run(&["setup", "bash", "--dry-run"], &[]);
    says(
        &ran,
        0,
        "",
        "would write ~/.data/awskeep/hook.bash\n\
         would write ~/.local/share/bash-completion/completions/awskeep\n\
         would change ~/.bashrc\n",
    );
    assert_eq!(files_of(&sandbox), at_first);
}

#[test]
fn an_older_hook_and_block_are_renewed() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".bashrc",
        "a\n# >>> awskeep >>>\nold\n# <<< awskeep <<<\nb\n",
    );
    fs::create_dir_all(sandbox.path(".data/awskeep")).unwrap();
    sandbox.write(".data/awskeep/hook.bash", "old\n");
    let ran = sandbox
        .run(&["setup", "bash", "--yes", "--json"], &[])
        .exits(0);
    assert_eq!(
        ran.out,
        "{\n  \"changed\": [\n    {\n      \"file\": \"~/.data/awskeep/hook.bash\",\n      \"did\": \"changed\"\n    },\n    \
         {\n      \"file\": \"~/.local/share/bash-completion/completions/awskeep\",\n      \"did\": \"written\"\n    },\n    \
         {\n      \"file\": \"~/.bashrc\",\n      \"did\": \"changed\"\n    }\n  ],\n  \
         \"by_hand\": null,\n  \"auto\": [],\n  \"run_this\": [],\n  \"loaded\": null\n}\n"
    );
    assert_eq!(sandbox.read(".bashrc"), format!("a\n{}b\n", bash_block("")));
}

#[test]
fn a_linked_startup_file_stays_a_link() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("dotfiles")).unwrap();
    sandbox.write("dotfiles/bashrc", "a");
    symlink("dotfiles/bashrc", sandbox.path(".bashrc")).unwrap();
    assert_eq!(set_up(&sandbox, &["bash"]).code, 0);
    assert!(sandbox.path(".bashrc").is_symlink());
    assert!(sandbox.read("dotfiles/bashrc").contains("hook.bash"));
    sandbox.run(&["setup", "bash", "--remove"], &[]).exits(0);
    assert!(sandbox.path(".bashrc").is_symlink());
    assert_eq!(sandbox.read("dotfiles/bashrc"), "a");
}

#[test]
fn a_file_that_something_else_makes_is_left_to_a_person() {
    let sandbox = Sandbox::new();
    sandbox.write("made-by-nix", "a\n");
    fs::set_permissions(
        sandbox.path("made-by-nix"),
        fs::Permissions::from_mode(0o444),
    )
    .unwrap();
    symlink("made-by-nix", sandbox.path(".bashrc")).unwrap();
    let ran = set_up(&sandbox, &["bash"]);
    says(
        &ran,
        5,
        BASH_BODY,
        &format!(
            "at the end of ~/.bashrc:\n\n{BASH_BODY}\n\
             written ~/.data/awskeep/hook.bash\n\
             written ~/.local/share/bash-completion/completions/awskeep\n\
             awskeep: ~/.bashrc is read-only\n\
             hint: add the lines above to it where it is made: ~/.bashrc\n"
        ),
    );
    assert_eq!(sandbox.read(".bashrc"), "a\n");
    // The person added them: all is well.
    fs::remove_file(sandbox.path("made-by-nix")).unwrap();
    sandbox.write("made-by-nix", &format!("a\n{BASH_BODY}"));
    fs::set_permissions(
        sandbox.path("made-by-nix"),
        fs::Permissions::from_mode(0o444),
    )
    .unwrap();
    says(&set_up(&sandbox, &["bash"]), 0, "", AS_IT_SHOULD_BE);
}

#[test]
fn damaged_marks_are_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    sandbox.write(".bashrc", "a\n# >>> awskeep >>>\nb\n");
    let at_first = files_of(&sandbox);
    for arguments in [&["bash"][..], &["bash", "--remove"]] {
        says(
            &set_up(&sandbox, arguments),
            1,
            "",
            "awskeep: ~/.bashrc:2: a block begins that does not end\n\
             hint: remove the lines between awskeep's marks, and the marks, by hand; then run it again\n",
        );
    }
    assert_eq!(files_of(&sandbox), at_first);
}

#[test]
fn nothing_is_put_where_others_can_write() {
    let sandbox = Sandbox::new();
    fs::set_permissions(sandbox.path(".data"), fs::Permissions::from_mode(0o777)).unwrap();
    let ran = set_up(&sandbox, &["bash"]).exits(1);
    ran.shows(expect![[r#"
        awskeep: ~/.data/awskeep/hook.bash is run by your shells, but others can write ~/.data
        hint: chmod go-w ~/.data
        exit 1
    "#]]);
    assert!(!sandbox.path(".bashrc").exists());
}

#[test]
fn a_foreign_completion_file_is_not_replaced() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path(".config/fish/completions")).unwrap();
    sandbox.write(".config/fish/completions/awskeep.fish", "mine\n");
    let at_first = files_of(&sandbox);
    let ran = set_up(&sandbox, &["fish"]);
    says(
        &ran,
        1,
        "",
        "awskeep: ~/.config/fish/completions/awskeep.fish is there and not from awskeep setup\n\
         hint: mv ~/.config/fish/completions/awskeep.fish ~/.config/fish/completions/awskeep.fish.old\n",
    );
    sandbox.run(&["setup", "fish", "--remove"], &[]).exits(0);
    assert_eq!(files_of(&sandbox), at_first);
}

#[test]
fn a_timer_is_written_and_taken_back() {
    let sandbox = Sandbox::new();
    let at_first = files_of(&sandbox);
    let arguments = [
        "setup",
        "--systemd",
        "--helper-path",
        "bin/awskeep",
        "--yes",
    ];
    let ran = sandbox.run(&arguments, &[]).exits(0);
    // There is no systemctl on this user's PATH.
    ran.shows(expect![[r#"
        in ~/.config/systemd/user:

        # written by awskeep setup --systemd; this also removes it: awskeep setup --systemd --remove
        [Unit]
        Description=Replace AWS keys that are due

        [Service]
        Type=oneshot
        Nice=10
        # 7: begun, the next run continues.
        SuccessExitStatus=7
        ExecStart="~/bin/awskeep" rotate --if-due --all --no-input

        # written by awskeep setup --systemd; this also removes it: awskeep setup --systemd --remove
        [Unit]
        Description=Replace AWS keys that are due

        [Timer]
        OnCalendar=hourly
        RandomizedDelaySec=15min
        Persistent=true

        [Install]
        WantedBy=timers.target

        written ~/.config/systemd/user/awskeep.service
        written ~/.config/systemd/user/awskeep.timer
        hint: systemctl --user daemon-reload
        hint: systemctl --user enable --now awskeep.timer
        exit 0
    "#]]);
    let service = sandbox.read(".config/systemd/user/awskeep.service");
    let start = format!(
        "\nExecStart=\"{}\" rotate --if-due --all --no-input\n",
        sandbox.path("bin/awskeep").display()
    );
    assert!(service.ends_with(&start), "{service}");
    says(
        &sandbox.run(&arguments, &[]),
        0,
        "",
        "the systemd timer is as it should be\n",
    );
    // As `systemctl enable` would have left it.
    let wants = sandbox.path(".config/systemd/user/timers.target.wants");
    fs::create_dir(&wants).unwrap();
    symlink("../awskeep.timer", wants.join("awskeep.timer")).unwrap();
    sandbox
        .run(&["setup", "--systemd", "--remove"], &[])
        .exits(0);
    assert!(!wants.join("awskeep.timer").is_symlink());
    assert_eq!(files_of(&sandbox), at_first);
    if !cfg!(target_os = "macos") {
        let ran = sandbox.run(&["setup", "--launchd", "--yes"], &[]);
        says(&ran, 2, "", "awskeep: there is no launchd on this system\n");
    }
}

#[test]
fn hooks_completions_and_the_manual_are_printed() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell", "pwsh", "nushell", "nu"] {
        let ran = sandbox.run(&["hook", shell], &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert!(
            ran.out
                .contains("rotate --if-due --all --no-input --background")
        );
    }
    for shell in ["bash", "zsh", "fish", "powershell", "nushell"] {
        let ran = sandbox.run(&["completions", shell], &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert!(ran.out.contains("AWSKEEP_COMPLETE"), "{shell}");
    }
    let ran = sandbox.run(&["man"], &[]);
    assert!(ran.out.starts_with(".ie"), "{}", ran.out);
    let ran = sandbox.run(&["man", "--dir", "pages"], &[]);
    says(&ran, 0, "", "the pages are in ~/pages\n");
    for page in ["awskeep.1", "awskeep-rotate.1", "awskeep-store-unlock.1"] {
        assert!(sandbox.path("pages").join(page).exists(), "{page}");
    }
}

#[test]
fn names_of_this_machine_are_completed_without_a_word() {
    let mut sandbox = Sandbox::new();
    sandbox.add("work", &["--profile", "office"]).exits(0);
    sandbox
        .vars
        .push(("AWSKEEP_COMPLETE".into(), "fish".into()));
    for (words, expected) in [
        (&["rotate", "w"][..], &["work"][..]),
        (&["rotate", "--entry", ""], &["work"]),
        (&["status", ""], &["office", "work"]),
        (&["exec", "o"], &["office"]),
        (&["config", "--entry", "w"], &["work"]),
        (&["setup", "--auto", "w"], &["work"]),
        (&["credential-process", "x"], &[]),
    ] {
        let arguments = [&["--", "awskeep"], words].concat();
        let ran = sandbox.run(&arguments, &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words:?}");
        let mut names: Vec<&str> = ran
            .out
            .lines()
            .filter_map(|line| line.split('\t').next())
            .filter(|name| !name.starts_with('-'))
            .collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{words:?}");
    }
}

//! The hook's contract, in real shells at real terminals: what `shell/README.md` promises.

use std::fs;

use crate::hooked::{CALL, Hooked, OVER, ahead, hook_file, now, quiet};
use crate::programs::{Ran, run};
use crate::terminal::{Shell, Terminal};

#[test]
fn what_is_due_is_called_once_with_its_message_shown() {
    for shell in Shell::ALL {
        let hooked = Hooked::new(shell);
        hooked.due_at(ahead());
        let mut terminal = hooked.start();
        quiet(&terminal.run("cd ."));
        assert_eq!(hooked.calls(), [] as [String; 0], "{shell:?}");
        hooked.due_at(now() - 1);
        let said = terminal.run("cd .");
        assert!(
            said.contains("noticed") && !said.contains("hidden"),
            "{shell:?} {said:?}"
        );
        // Nobody moved the number on: it is not called again.
        quiet(&terminal.run("cd ."));
        let input = if shell == Shell::Nushell {
            "pipe"
        } else {
            "/dev/null"
        };
        let calls = hooked.calls();
        assert_eq!(calls.len(), 1, "{shell:?} {calls:?}");
        assert!(
            calls[0].starts_with(&format!("{CALL} {input}")),
            "{shell:?} {calls:?}"
        );
        assert!(!calls[0].contains("/pts/"), "{shell:?} {calls:?}");
        // Another number is another matter; so is "look now", with a time of 1970.
        for (count, due) in [(2, OVER), (3, 0)] {
            hooked.due_at(due);
            terminal.run("cd .");
            assert_eq!(hooked.calls().len(), count, "{shell:?}");
        }
    }
}

/// With extdebug it runs in functions and in `$(…)` too: what it prints would get into an answer,
/// and what it refuses is skipped.
#[test]
fn a_debug_trap_under_extdebug_does_not_keep_it_from_being_called() {
    for shell in [Shell::Bash, Shell::OldBash] {
        for trap in ["echo \"[$BASH_COMMAND]\"", "[[ -t 1 ]]"] {
            let after = format!("shopt -s extdebug; trap '{trap}' DEBUG");
            let hooked = Hooked::between(shell, "", &after);
            hooked.due_at(OVER);
            hooked.start().run("cd .");
            assert_eq!(hooked.calls().len(), 1, "{shell:?} {trap}");
        }
    }
}

#[test]
fn an_exported_prompt_command_stays_one_for_the_shells_below() {
    for shell in [Shell::Bash, Shell::OldBash] {
        for before in [
            "export PROMPT_COMMAND='echo mine'",
            "declare -x PROMPT_COMMAND='echo mine;'",
        ] {
            let hooked = Hooked::between(shell, before, "");
            hooked.due_at(OVER);
            let mut terminal = hooked.start();
            terminal.run("cd .");
            assert_eq!(hooked.calls().len(), 1, "{shell:?} {before}");
            // A shell that does not load the hook runs the user's own part, and only that.
            let said = terminal.run("bash --norc");
            assert!(said.contains("mine"), "{shell:?} {said}");
            quiet(&said);
            hooked.due_at(OVER + 1);
            quiet(&terminal.run("cd ."));
            assert_eq!(hooked.calls().len(), 1, "{shell:?} {before}");
        }
    }
}

#[test]
fn what_is_no_number_is_never_due_nor_evaluated() {
    for shell in Shell::ALL {
        let hooked = Hooked::new(shell);
        let mut terminal = hooked.start();
        let touch = format!("touch {}", hooked.sandbox.home().join("evil").display());
        for text in [
            "",
            "\n",
            "soon",
            "-1",
            "0x10",
            "12 34",
            "1e3",
            "12345678901234567890",
            "99999999999999999999999999999999999",
            &format!("$({touch})"),
            &format!("`{touch}`"),
            &format!("x[$({touch})]"),
            &format!("__awskeep_called_at[$({touch})]"),
            "%s%s%n",
            "* /*",
            "\u{0}\u{1}\u{ff}",
        ] {
            hooked.due_text(text, OVER);
            quiet(&terminal.run("cd ."));
            assert_eq!(hooked.calls(), [] as [String; 0], "{shell:?} {text:?}");
        }
        assert!(!hooked.sandbox.home().join("evil").exists(), "{shell:?}");
        // Nor is what is no file: a pipe would never deliver.
        let path = hooked.due_file();
        fs::remove_file(&path).unwrap();
        quiet(&terminal.run("cd ."));
        run(hooked.sandbox.command("mkfifo").arg(&path)).ok();
        quiet(&terminal.run("cd ."));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        quiet(&terminal.run("cd ."));
        fs::remove_dir(&path).unwrap();
        // A number with zeros before it is one still, and not octal.
        hooked.due_text("0000000008\n", OVER);
        terminal.run("cd .");
        assert_eq!(hooked.calls().len(), 1, "{shell:?}");
    }
}

#[test]
fn the_last_status_is_kept() {
    let pipes = |value| ("sh -c 'exit 4' | true", value, "4 0");
    for shell in Shell::ALL {
        let hooked = Hooked::new(shell);
        let mut terminal = hooked.start();
        let fail = |value| ("sh -c 'exit 3'", value, "3");
        let word = (": last word", "$_", "word");
        let lines = match shell {
            Shell::Bash | Shell::OldBash => vec![fail("$?"), pipes("${PIPESTATUS[*]}"), word],
            Shell::Zsh => vec![fail("$?"), pipes("$pipestatus"), word],
            Shell::Fish => vec![fail("$status"), pipes("\"$pipestatus\"")],
            Shell::Nushell => vec![fail("$env.LAST_EXIT_CODE")],
        };
        for (count, (line, value, expected)) in (1..).zip(lines) {
            // The line itself makes it due, so that the hook calls right after it.
            let due = hooked.code_for_due_at(OVER + count);
            terminal.line(&format!("{due}; {line}"));
            assert_eq!(terminal.ask(value).0, expected, "{shell:?} {line}");
            assert_eq!(i64::try_from(hooked.calls().len()), Ok(count), "{shell:?}");
        }
    }
}

#[test]
fn strict_modes_and_odd_options_do_not_matter() {
    let every_zsh_option = "setopt no_unset err_return ksh_arrays sh_word_split ksh_glob sh_glob \
         no_equals ignore_braces csh_junkie_quotes rc_quotes posix_builtins posix_identifiers \
         warn_create_global no_match null_glob glob_subst no_multios no_short_loops pipe_fail \
         no_clobber no_function_argzero extended_glob octal_zeroes c_bases no_aliases\n";
    for (shell, before) in [
        (Shell::Bash, "set -eu -o pipefail\n"),
        (Shell::OldBash, "set -eu -o pipefail\n"),
        (
            Shell::Bash,
            "set -euo posix\nset -C -f\nshopt -s nullglob failglob extglob nocasematch\n",
        ),
        (
            Shell::Bash,
            "IFS=0123456789\nalias read=false local=false return=false printf=false\n",
        ),
        (Shell::Zsh, every_zsh_option),
        (Shell::Zsh, "setopt err_exit no_unset pipe_fail\n"),
        (Shell::Zsh, "emulate ksh\n"),
        (
            Shell::Zsh,
            "IFS=0123456789\nalias read=false local=false typeset=false emulate=false\n",
        ),
        (Shell::Bash, "awskeep() { false; }\nalias awskeep=false\n"),
        (
            Shell::Zsh,
            "alias awskeep=false\nfunction awskeep { false }\n",
        ),
        (Shell::Fish, "function awskeep; false; end\n"),
        (Shell::Nushell, "def awskeep [...words] { }\n"),
        (
            Shell::Fish,
            "set -g fish_handle_reflow 0\nfunction ls; false; end\n",
        ),
    ] {
        let hooked = Hooked::between(shell, before, "");
        hooked.due_at(ahead());
        let mut terminal = hooked.start();
        quiet(&terminal.run("cd ."));
        hooked.due_at(OVER);
        terminal.run("cd .");
        quiet(&terminal.run("cd ."));
        assert_eq!(hooked.calls().len(), 1, "{shell:?} {before}");
        // A line without an end makes `read` fail.
        hooked.due_text("1000000001", OVER);
        terminal.run("cd .");
        assert_eq!(hooked.calls().len(), 2, "{shell:?} {before}");
        if before.contains("set -eu -o") {
            // A status that does not end such a shell must not end it at the prompt either.
            terminal.line("! true");
            assert_eq!(terminal.ask("$?").0, "1");
            assert_eq!(terminal.ask("still").0, "still");
        }
    }
}

#[test]
fn loading_it_twice_changes_nothing() {
    for shell in [Shell::Bash, Shell::OldBash, Shell::Zsh, Shell::Fish] {
        let again = format!(". {0}\n. {0}", hook_file(shell).display());
        let hooked = Hooked::between(shell, "", &again);
        hooked.due_at(OVER);
        let mut terminal = hooked.start();
        terminal.run("cd .");
        quiet(&terminal.run("cd ."));
        assert_eq!(hooked.calls().len(), 1, "{shell:?}");
        let (value, _) = match shell {
            Shell::Bash | Shell::OldBash => terminal.ask("\"${PROMPT_COMMAND[*]}\""),
            Shell::Zsh => terminal.ask("\"$precmd_functions\""),
            _ => terminal.ask(
                "(functions --handlers-type generic | string match '*__awskeep_prompt*' | count)",
            ),
        };
        let count = value.matches("__awskeep_prompt").count();
        assert!(count == 1 || value == "1", "{shell:?} {value}");
    }
}

#[test]
fn without_awskeep_or_state_or_home_nothing_is_said() {
    for shell in Shell::ALL {
        let hooked = Hooked::new(shell);
        hooked.due_at(OVER);
        fs::remove_file(hooked.sandbox.binary()).unwrap();
        let mut terminal = hooked.start();
        quiet(&terminal.run("cd ."));
        drop(terminal);
        fs::remove_dir_all(hooked.sandbox.home().join(".local/state")).unwrap();
        let mut terminal = hooked.start();
        quiet(&terminal.run("cd ."));
    }
    for shell in [Shell::Bash, Shell::OldBash, Shell::Zsh] {
        let hooked = Hooked::new(shell);
        let startup = hooked.sandbox.home().join(shell.startup());
        let line = match shell {
            Shell::Zsh => format!(
                "env -u HOME ZDOTDIR={} zsh -i",
                hooked.sandbox.home().display()
            ),
            _ => format!("env -u HOME bash --rcfile {} -i", startup.display()),
        };
        let mut terminal = Terminal::start_by(&hooked.sandbox, shell, &line);
        quiet(&terminal.run("set -u; unset XDG_STATE_HOME; cd ."));
        quiet(&terminal.run(&format!(". {}", hook_file(shell).display())));
    }
}

#[test]
fn it_is_turned_off_by_a_variable() {
    for shell in Shell::ALL {
        let hooked = Hooked::new(shell);
        let mut terminal = hooked.start();
        terminal.run(match shell {
            Shell::Bash | Shell::OldBash | Shell::Zsh => "AWSKEEP_HOOK=off",
            Shell::Fish => "set -g AWSKEEP_HOOK off",
            Shell::Nushell => "$env.AWSKEEP_HOOK = 'off'",
        });
        hooked.due_at(OVER);
        quiet(&terminal.run("cd ."));
        assert_eq!(hooked.calls(), [] as [String; 0], "{shell:?}");
    }
}

#[test]
fn shells_without_a_person_are_not_touched() {
    for shell in Shell::ALL {
        let hooked = Hooked::new(shell);
        hooked.due_at(OVER);
        let hook = hook_file(shell).display().to_string();
        let (load, names) = match shell {
            Shell::Bash | Shell::OldBash => (".", "declare -F; echo \"${PROMPT_COMMAND-}\""),
            Shell::Zsh => (".", "print -l ${(k)functions} ${precmd_functions-}"),
            Shell::Fish => ("source", "functions --all | string match '*awskeep*'"),
            Shell::Nushell => (
                "source",
                "$env.config.hooks.pre_prompt | to nuon | print $in",
            ),
        };
        let code = format!("{load} {hook}; {names}; printenv BASH_ENV; true");
        let code = code.replace("; printenv BASH_ENV; true", "");
        let startup = hooked.sandbox.home().join(shell.startup());
        let ran: Ran = run(hooked
            .sandbox
            .command(shell.program())
            .env("BASH_ENV", startup)
            .args(["-c", &code]));
        quiet(&ran.stderr);
        assert_eq!(ran.stdout.replace("[]", "").trim(), "", "{shell:?}");
        assert_eq!(hooked.calls(), [] as [String; 0], "{shell:?}");
    }
}

#[test]
fn a_clock_that_is_set_back_does_not_silence_it() {
    // The call is noted with a time that lies ahead, as after a clock that ran ahead.
    for (shell, ahead) in [
        (Shell::Bash, "__awskeep_called_at=99000000000"),
        (
            Shell::OldBash,
            "__awskeep_called_at=99000000000; SECONDS=-5",
        ),
        (Shell::Zsh, "__awskeep_called_at=99000000000"),
        (Shell::Fish, "set -g __awskeep_called_at 99000000000"),
        (
            Shell::Nushell,
            "$env.__awskeep_called = {for: 1000000000, at: 99000000000}",
        ),
    ] {
        let hooked = Hooked::new(shell);
        hooked.due_at(OVER);
        let mut terminal = hooked.start();
        terminal.run("cd .");
        assert_eq!(hooked.calls().len(), 1, "{shell:?}");
        terminal.run(ahead);
        if shell == Shell::OldBash {
            terminal.run("SECONDS=0");
        }
        terminal.run("cd .");
        assert_eq!(hooked.calls().len(), 2, "{shell:?}");
    }
}

#[test]
fn a_number_from_a_clock_that_was_ahead_is_not_waited_for() {
    for shell in Shell::ALL {
        let hooked = Hooked::new(shell);
        hooked.due_at(now() + 9 * 86_400);
        let mut terminal = hooked.start();
        terminal.run("cd .");
        quiet(&terminal.run("cd ."));
        assert_eq!(hooked.calls().len(), 1, "{shell:?}");
    }
}

#[test]
fn it_may_be_evaluated_instead_of_sourced() {
    for (shell, load) in [
        (Shell::Bash, "eval \"$(cat HOOK)\""),
        (Shell::Zsh, "eval \"$(cat HOOK)\""),
        (Shell::Fish, "cat HOOK | source"),
    ] {
        let hooked = Hooked::new(shell);
        let hook = hook_file(shell).display().to_string();
        let text = format!("{}\ntrue\n", load.replace("HOOK", &hook));
        hooked.sandbox.write(shell.startup(), &text);
        hooked.due_at(OVER);
        let mut terminal = hooked.start();
        terminal.run("cd .");
        quiet(&terminal.run("cd ."));
        assert_eq!(hooked.calls().len(), 1, "{shell:?}");
    }
}

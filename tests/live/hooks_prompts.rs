//! The hook beside other programs that have a hand in the prompt.

use crate::hooked::{Hooked, OVER};
use crate::terminal::Shell;

/// How people and programs fill PROMPT_COMMAND, before and after the hook.
#[test]
fn other_prompts_of_bash_go_on_working() {
    let seen = "seen() { last=$?; count=$((${count-0} + 1)); }\n";
    let starship = "starship_precmd() { STATUS=$?; eval \"${user_func-}\"; }\n\
        user_func=${PROMPT_COMMAND-}; PROMPT_COMMAND=starship_precmd\n";
    for (before, after, status) in [
        ("PROMPT_COMMAND=seen", "", "$last"),
        ("PROMPT_COMMAND='seen;'", "", "$last"),
        ("PROMPT_COMMAND='seen; '", "", "$last"),
        ("PROMPT_COMMAND='seen # a comment'", "", "$last"),
        ("PROMPT_COMMAND=$'seen\\n'", "", "$last"),
        ("PROMPT_COMMAND=(seen)", "", "$last"),
        ("PROMPT_COMMAND=(true seen true)", "", "3"),
        (
            "",
            "PROMPT_COMMAND=\"${PROMPT_COMMAND:+$PROMPT_COMMAND; }seen\"",
            "$last",
        ),
        ("", "PROMPT_COMMAND=\"seen; $PROMPT_COMMAND\"", "$last"),
        ("", "PROMPT_COMMAND+=(seen)", "$last"),
        (
            "",
            "unset PROMPT_COMMAND; PROMPT_COMMAND='__awskeep_prompt; seen'",
            "$last",
        ),
        ("PROMPT_COMMAND=true", starship, "$STATUS"),
        ("", starship, "$STATUS"),
        ("readonly PROMPT_COMMAND=seen", "", "$last"),
        ("readonly -a PROMPT_COMMAND=(seen)", "", "$last"),
    ] {
        let hooked = Hooked::between(Shell::Bash, &format!("{seen}{before}"), after);
        hooked.due_at(OVER);
        let mut terminal = hooked.start();
        let first = terminal.run("true");
        assert!(
            !first.contains("rror") && !first.contains("readonly"),
            "{first}"
        );
        hooked.due_at(OVER + 1);
        terminal.line("(exit 3)");
        assert_eq!(terminal.ask("$?").0, "3", "{before} {after}");
        terminal.line("(exit 3)");
        // What is asked comes at a prompt later: the function saw the line before.
        assert_eq!(terminal.ask(status).0, "3", "{before} {after}");
        let expected = if before.starts_with("readonly") { 0 } else { 2 };
        assert_eq!(hooked.calls().len(), expected, "{before} {after}");
    }
}

/// The library that many prompts are made with wants to be the last one, to know when the
/// user's own command begins.
#[test]
fn bash_preexec_goes_on_working() {
    let before = "bash_preexec_imported=defined\nprecmd_functions=()\n\
        PROMPT_COMMAND='for f in \"${precmd_functions[@]}\"; do (exit 3); $f; done\nlast'\n\
        last() { :; }\n";
    let hooked = Hooked::between(Shell::Bash, before, "");
    hooked.due_at(OVER);
    let mut terminal = hooked.start();
    terminal.run("true");
    assert_eq!(hooked.calls().len(), 1);
    assert_eq!(
        terminal
            .ask("${#PROMPT_COMMAND[@]},${precmd_functions[*]}")
            .0,
        "1,__awskeep_prompt"
    );
}

#[test]
fn other_prompts_of_zsh_and_fish_go_on_working() {
    let zsh = "precmd() { seen=$? }\nsetopt prompt_subst\nPROMPT='[%?]$ '\n";
    let hooked = Hooked::between(
        Shell::Zsh,
        zsh,
        "precmd_functions+=(other)\nother() { too=$? }",
    );
    hooked.due_at(OVER);
    let mut terminal = hooked.start();
    terminal.run("true");
    hooked.due_at(OVER + 1);
    terminal.line("(exit 3)");
    let (value, said) = terminal.ask("$seen,$too");
    assert_eq!(value, "3,3");
    assert!(said.contains("[3]$ "), "{said}");
    assert_eq!(hooked.calls().len(), 2);

    let fish = "function fish_prompt; echo \"[$status]> \"; end";
    let hooked = Hooked::between(Shell::Fish, fish, "");
    hooked.due_at(OVER);
    let mut terminal = hooked.start();
    let said = terminal.run("sh -c 'exit 3'");
    assert!(said.contains("[3]> "), "{said}");
    assert_eq!(hooked.calls().len(), 1);
}

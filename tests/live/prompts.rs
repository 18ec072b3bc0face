//! Questions at a real terminal: what is seen, what is kept, and how it is left.

use crate::programs::run;
use crate::sandbox::Sandbox;
use crate::terminal::{Shell, Terminal};

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// Prints what the terminal does with keys now: `icanon` and `echo`, or `-icanon`, `-echo`.
const MODES: &str = "stty -a | tr ' ' '\\n' | grep -x -e '-*icanon' -e '-*echo' | tr '\\n' ' '";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .awskeep(&["store", "use", "file", "--without-passphrase", "--yes"])
        .ok();
    sandbox
}

#[test]
fn a_pair_that_is_pasted_at_once_is_understood_and_its_secret_is_not_seen() {
    let sandbox = sandbox();
    let mut terminal = Terminal::start(&sandbox, Shell::Bash);
    for (number, (paste, seen)) in [
        (format!("{ID}\r{SECRET}\r"), ID),
        (format!("{ID}\n{SECRET}\n"), ID),
        (format!("{ID}\t{SECRET}\r"), ID),
        (format!("{ID},{SECRET}\r"), ID),
        (
            format!("export AWS_ACCESS_KEY_ID={ID}\rexport AWS_SECRET_ACCESS_KEY={SECRET}\r"),
            ID,
        ),
        (
            format!(
                "export AWS_ACCESS_KEY_ID=\"{ID}\"\rexport AWS_SECRET_ACCESS_KEY=\"{SECRET}\"\r"
            ),
            ID,
        ),
        (
            format!("export AWS_SECRET_ACCESS_KEY={SECRET}\rexport AWS_ACCESS_KEY_ID={ID}\r"),
            ID,
        ),
        (
            format!("aws_access_key_id = {ID}\raws_secret_access_key = {SECRET}\r"),
            ID,
        ),
        // By hand, with a mistake.
        (
            format!("AKIX\x7f{}\r{SECRET}x\x7f\r", &ID[3..]),
            "AKIX\x08 \x08A",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let entry = format!("work{number}");
        terminal.line(&format!(
            "awskeep add {entry} --no-profile --no-verify; {MODES}"
        ));
        terminal.wait_for("access key id (AKIA…): ");
        terminal.keys(&paste);
        let said = terminal.wait_for("icanon echo");
        assert!(said.contains(seen), "{paste:?}: {said}");
        assert!(
            said.contains(&format!("entry {entry} keeps {ID}")),
            "{paste:?}: {said}"
        );
        assert!(!said.contains(&SECRET[..8]), "{paste:?}: {said}");
        let served = sandbox
            .awskeep_printing(&["credential-process", &entry])
            .ok();
        assert_eq!(served.json()["SecretAccessKey"], SECRET, "{paste:?}");
        // An id is in one entry only.
        sandbox.awskeep(&["remove", &entry, "--yes"]).ok();
    }
    // What is pasted into the wrong field is not seen either.
    terminal.line("awskeep add wrong --no-profile --no-verify");
    terminal.wait_for("access key id (AKIA…): ");
    terminal.keys(&format!("{SECRET}\r"));
    let said = terminal.wait_for("this is not an access key id");
    assert!(!said.contains(&SECRET[..8]), "{said}");
}

/// A question at a terminal is ended by each signal, in a script that goes on after it.
#[test]
fn the_echo_comes_back_whatever_ends_the_question() {
    let sandbox = sandbox();
    for keys_before in ["", &format!("{ID}\r")] {
        for (signal, by_key) in [("INT", "\x03"), ("QUIT", "\x1c"), ("TERM", ""), ("HUP", "")] {
            for shell in ["dash", "bash"] {
                let script = format!(
                    "trap : INT QUIT\n\
                     sh -c 'echo $$ >~/id; trap - INT QUIT; exec awskeep add work --no-profile --no-verify'\n\
                     {MODES}\n\
                     exec cat\n"
                );
                sandbox.write("script", &script);
                let mut terminal =
                    Terminal::start_by(&sandbox, Shell::Bash, &format!("{shell} script"));
                terminal.wait_for("access key id (AKIA…): ");
                if !keys_before.is_empty() {
                    terminal.keys(keys_before);
                    terminal.wait_for("(not shown): ");
                }
                if by_key.is_empty() {
                    let id = sandbox.text("id");
                    run(sandbox.command("kill").args(["-s", signal, id.trim()])).ok();
                } else {
                    terminal.keys(by_key);
                }
                terminal.wait_for("icanon echo");
            }
        }
    }
}

#[test]
fn a_question_that_was_stopped_goes_on_without_an_echo() {
    let sandbox = sandbox();
    let mut terminal = Terminal::start(&sandbox, Shell::Bash);
    terminal.line("awskeep add work --no-profile --no-verify");
    terminal.wait_for("access key id (AKIA…): ");
    terminal.keys(&ID[..10]);
    terminal.wait_for(&ID[..10]);
    terminal.keys("\x1a");
    terminal.wait_for("Stopped");
    terminal.line(MODES);
    terminal.wait_for("icanon echo");
    terminal.line("fg");
    terminal.wait_for("access key id (AKIA…): ");
    terminal.keys(&format!("{ID}\r"));
    terminal.wait_for("(not shown): ");
    terminal.keys(&SECRET[..20]);
    terminal.keys("\x1a");
    terminal.wait_for("Stopped");
    terminal.line("fg");
    terminal.wait_for("(not shown): ");
    terminal.keys(&format!("{SECRET}\r"));
    let said = terminal.wait_for("entry work keeps");
    for part in [&SECRET[..8], &SECRET[20..28]] {
        assert!(!said.contains(part), "{said}");
    }
    let served = sandbox
        .awskeep_printing(&["credential-process", "work"])
        .ok();
    assert_eq!(served.json()["SecretAccessKey"], SECRET);
}

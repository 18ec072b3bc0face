//! What a prompt costs when nothing is due: seen by strace, no process and no file but
//! `next-due`. Two runs are compared, with the hook and without.

use std::collections::BTreeSet;
use std::fs;

use crate::hooked::{Hooked, ahead};
use crate::terminal::{Shell, Terminal};

/// What a shell did between two prompts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Done {
    /// Files opened, from the home on where they are below it.
    opened: BTreeSet<String>,
    processes: usize,
}

/// Lets the shell come to rest, runs a line twice between two marks, and reads from the trace
/// what it did from the one to the other.
fn between_two_prompts(hooked: &Hooked, line_between: &str) -> Done {
    let sandbox = &hooked.sandbox;
    let trace = sandbox.home().join("trace");
    // nushell runs code in a thread of its own; the threads of fish look around at times.
    let threads = match hooked.shell {
        Shell::Nushell => "-f",
        Shell::Bash | Shell::OldBash | Shell::Zsh | Shell::Fish => "",
    };
    let line = format!(
        "strace {threads} -qq -s 200 -e trace=openat,open,execve,clone,clone3,fork,vfork,write \
         -o {} {} -i",
        trace.display(),
        hooked.shell.program()
    );
    let mut terminal = Terminal::start_by(sandbox, hooked.shell, &line);
    terminal.run("true");
    terminal.run("true");
    terminal.ask("1000");
    terminal.line(line_between);
    terminal.line(line_between);
    terminal.ask("2000");
    terminal.line("exit");
    terminal.wait_for_end();
    let text = fs::read_to_string(&trace).expect("strace wrote it");
    let from = text.find(":1000>>").expect("the first mark was written");
    let to = text.find(":2000>>").expect("the second mark was written");
    let home = format!("{}/", sandbox.home().display());
    let mut done = Done::default();
    for line in text[from..to].lines().skip(1) {
        let opens = line.contains("openat(") || line.contains("open(");
        if opens && !line.contains("ENOENT") {
            let path = line.split('"').nth(1).unwrap_or_default();
            done.opened.insert(path.replace(&home, ""));
        }
        let makes_process = ["execve(", "fork(", "clone(", "clone3("]
            .iter()
            .any(|call| line.contains(call));
        if makes_process && !line.contains("CLONE_THREAD") {
            done.processes += 1;
        }
    }
    done
}

#[test]
fn nothing_due_starts_nothing_and_opens_one_file() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Nushell] {
        // fish's own prompt starts git, and its history is written now and then.
        let prompt = match shell {
            Shell::Fish => "set -g fish_history ''\nfunction fish_prompt; echo '> '; end",
            Shell::Bash | Shell::OldBash | Shell::Zsh | Shell::Nushell => "",
        };
        let bare = Hooked::new(shell);
        bare.due_at(ahead());
        bare.sandbox.write(shell.startup(), prompt);
        let bare = between_two_prompts(&bare, "true");
        let hooked = Hooked::between(shell, prompt, "");
        hooked.due_at(ahead());
        let with_hook = between_two_prompts(&hooked, "true");
        assert_eq!((bare.processes, with_hook.processes), (0, 0), "{shell:?}");
        let more: Vec<&String> = with_hook.opened.difference(&bare.opened).collect();
        let expected: &[&str] = match shell {
            // It looks at the file's time.
            Shell::Fish => &[],
            Shell::Bash | Shell::OldBash | Shell::Zsh | Shell::Nushell => {
                &[".local/state/awskeep/next-due"]
            }
        };
        assert_eq!(more, expected, "{shell:?}");
        assert_eq!(hooked.calls(), [] as [String; 0]);
    }
}

/// The measure itself: a process that is started, and a file that is opened, are seen.
#[test]
fn what_is_done_is_seen() {
    let hooked = Hooked::new(Shell::Bash);
    hooked.due_at(ahead());
    let done = between_two_prompts(&hooked, "/bin/true; read -r line <.bashrc");
    assert_eq!(done.processes, 2);
    assert!(done.opened.contains(".bashrc"), "{done:?}");
}

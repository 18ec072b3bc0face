//! What the hook costs when nothing is due: `cargo bench --bench hook`.
//!
//! Shells run at terminals of their own, one with the hook's block as `setup` writes it and one
//! without, in turns. A prompt is timed from the line that is sent to the next prompt; a start
//! from the process to its first prompt. Nothing else is in their startup files.
//!
//! Options: `--prompts N` (1,000), `--starts N` (200). It needs bash, zsh and fish.

#[cfg(unix)]
mod terminal;

use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    match unix::all() {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("the bench could not run: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("this bench runs shells at Unix terminals");
    ExitCode::FAILURE
}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io;
    use std::path::Path;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use crate::terminal::Terminal;

    /// A shell, and the code that makes a prompt of a number that grows.
    struct Shell {
        name: &'static str,
        startup: &'static str,
        prompt: &'static str,
        load: &'static str,
    }

    const SHELLS: [Shell; 3] = [
        Shell {
            name: "bash",
            startup: ".bashrc",
            prompt: "PS1='<\\#>'\n",
            load: "if [ -r HOOK ]; then . HOOK; fi\n",
        },
        Shell {
            name: "zsh",
            startup: ".zshrc",
            prompt: "setopt prompt_subst; typeset -i n=0; precmd() { n+=1 }; PROMPT='<$n>'\n",
            load: "if [[ -r HOOK ]]; then . HOOK; fi\n",
        },
        Shell {
            name: "fish",
            startup: ".config/fish/config.fish",
            prompt: "set -g n 0; set -g fish_greeting; function fish_title; end\n\
                     function fish_prompt; set -g n (math $n + 1); echo -n \"<$n>\"; end\n",
            load: "if test -r HOOK; source HOOK; end\n",
        },
    ];

    pub fn all() -> io::Result<String> {
        let prompts = option("--prompts", 1_000);
        let starts = option("--starts", 200);
        let mut table = format!(
            "| shell | {prompts} prompts, µs: without / with | × | {starts} starts, ms: without / with | × |\n\
             |---|---|---|---|---|\n"
        );
        for shell in &SHELLS {
            let folder = tempfile::tempdir()?;
            let homes = [false, true].map(|hooked| {
                let name = if hooked { "with" } else { "without" };
                folder.path().join(name)
            });
            prepare(shell, &homes[0], "")?;
            let hook = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("shell/hook")
                .with_extension(shell.name);
            let load = shell.load.replace("HOOK", &hook.display().to_string());
            prepare(shell, &homes[1], &load)?;
            let at_prompts = time_prompts(shell, &homes, prompts)?.map(micros);
            let at_starts = time_starts(shell, &homes, starts)?.map(micros);
            table.push_str(&format!(
                "| {} | {:.0} / **{:.0}** | {:.2} | {:.2} / **{:.2}** | {:.2} |\n",
                shell.name,
                at_prompts[0],
                at_prompts[1],
                at_prompts[1] / at_prompts[0],
                at_starts[0] / 1_000.0,
                at_starts[1] / 1_000.0,
                at_starts[1] / at_starts[0],
            ));
        }
        Ok(table)
    }

    fn option(name: &str, default: usize) -> usize {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        let value = arguments.nth(1).and_then(|value| value.parse().ok());
        value.unwrap_or(default)
    }

    fn prepare(shell: &Shell, home: &Path, load: &str) -> io::Result<()> {
        let state = home.join(".local/state/awskeep");
        fs::create_dir_all(&state)?;
        // fish would make completions out of manual pages at its first start.
        fs::create_dir_all(home.join(".local/share/fish/generated_completions"))?;
        let due = state.join("next-due");
        let time = std::time::SystemTime::now() + Duration::from_secs(7 * 86_400);
        let seconds = time.duration_since(std::time::UNIX_EPOCH);
        let seconds = seconds.map_or(0, |since| since.as_secs());
        fs::write(&due, format!("{seconds}\n"))?;
        fs::File::options()
            .write(true)
            .open(due)?
            .set_modified(time)?;
        let startup = home.join(shell.startup);
        fs::create_dir_all(startup.parent().unwrap_or(home))?;
        fs::write(startup, format!("{}{load}", shell.prompt))
    }

    fn command(shell: &Shell, home: &Path) -> Command {
        let mut command = Command::new("setsid");
        command
            .args(["--ctty", "--wait", shell.name, "-i"])
            .env_clear()
            .env("HOME", home)
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "dumb")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(home);
        command
    }

    /// The median of each, in turns.
    fn time_prompts<const N: usize>(
        shell: &Shell,
        homes: &[std::path::PathBuf; N],
        rounds: usize,
    ) -> io::Result<[Duration; N]> {
        const WARM_UP: usize = 20;
        let mut terminals = Vec::new();
        for home in homes {
            let mut terminal = Terminal::start(&mut command(shell, home))?;
            terminal.wait_for("<1>")?;
            terminals.push(terminal);
        }
        let mut times = [const { Vec::new() }; N];
        for round in 0..WARM_UP + rounds {
            for (terminal, times) in terminals.iter_mut().zip(&mut times) {
                let begun = Instant::now();
                terminal.send("true\r")?;
                terminal.wait_for(&format!("<{}>", round + 2))?;
                if round >= WARM_UP {
                    times.push(begun.elapsed());
                }
            }
        }
        Ok(times.map(median))
    }

    fn time_starts<const N: usize>(
        shell: &Shell,
        homes: &[std::path::PathBuf; N],
        rounds: usize,
    ) -> io::Result<[Duration; N]> {
        let mut times = [const { Vec::new() }; N];
        for _ in 0..rounds {
            for (home, times) in homes.iter().zip(&mut times) {
                let begun = Instant::now();
                let mut terminal = Terminal::start(&mut command(shell, home))?;
                terminal.wait_for("<1>")?;
                times.push(begun.elapsed());
            }
        }
        Ok(times.map(median))
    }

    fn median(mut times: Vec<Duration>) -> Duration {
        times.sort_unstable();
        times[times.len() / 2]
    }

    fn micros(time: Duration) -> f64 {
        time.as_secs_f64() * 1e6
    }
}

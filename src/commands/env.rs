//! `awskeep env PROFILE`: the key, or a session, as shell code, for shells and for
//! programs that know nothing but variables.

use zeroize::Zeroizing;

use super::{Context, Form, Mode};
use crate::cli::Env;
use crate::failure::{Failure, Kind, Outcome};
use crate::handing_out::{self, Handed, Variables};
use crate::keys::ProfileName;
use crate::shells::quote::Shell;
use crate::shells::reader;
use crate::ui::ToTerminal;

pub fn run(context: &Context<'_>, args: &Env) -> Outcome<()> {
    let machine = context.machine;
    let to_terminal = if args.force {
        ToTerminal::Force
    } else {
        ToTerminal::Refuse
    };
    let profile = &handing_out::profile_meant(machine, &args.profile)?;
    if context.mode == Mode::Say {
        context.only_says(&[format!("print the key of {profile} as shell code")]);
        return Ok(());
    }
    // Refused before the key counts as handed out.
    machine.ui.secret_data(b"", to_terminal)?;
    let shell = match context.form {
        Form::Text => Some(reader(args, profile)?),
        Form::Json => None,
    };
    let variables = Handed::of(&args.session).variables(machine, profile, "env")?;
    let text = match shell {
        Some(shell) => {
            let set: Vec<(&str, &str)> = variables.values().collect();
            let unset: Vec<&str> = variables.unset.iter().map(String::as_str).collect();
            shell.code(&set, &unset)
        }
        None => json(&variables),
    };
    machine.ui.secret_data(text.as_bytes(), to_terminal)
}

/// The shell that the code is for. Code for another one would do harm, so it is not guessed.
fn reader(args: &Env, profile: &ProfileName) -> Outcome<Shell> {
    args.shell.or_else(reader::of_process).ok_or_else(|| {
        Failure::new(
            Kind::Usage,
            "which shell will read this is not known: no shell was found above this process",
        )
        .hint(format!("awskeep env {profile} --shell bash"))
        .hint("the shells are: sh, bash, zsh, fish, powershell, nushell")
    })
}

/// An object of what is set; null for what must go.
fn json(variables: &Variables) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(8 * 1_024));
    text.push('{');
    let unset = variables.unset.iter().map(|name| (name.as_str(), None));
    let set = variables.values().map(|(name, value)| (name, Some(value)));
    for (n, (name, value)) in unset.chain(set).enumerate() {
        text.push_str(if n == 0 { "\n  " } else { ",\n  " });
        let value = value.map_or_else(
            || Zeroizing::new("null".to_owned()),
            |value| Zeroizing::new(serde_json::Value::from(value).to_string()),
        );
        text.push_str(&format!("\"{name}\": "));
        text.push_str(&value);
    }
    text.push_str("\n}\n");
    text
}

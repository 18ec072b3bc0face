//! `awskeep env PROFILE`: the key, or a session, as shell code, for shells and for
//! programs that know nothing but variables.

use zeroize::Zeroizing;

use crate::cli::Env;
use crate::commands::{Form, Invocation, Mode};
use crate::error::{Error, Kind, Result};
use crate::shell::env_export;
use crate::shell::env_export::{Handed, Variables};
use crate::shell::reader;
use crate::types::keys::ProfileName;
use crate::types::shell::Shell;
use crate::ui::ToTerminal;

pub fn run(context: &Invocation<'_>, args: &Env) -> Result<()> {
    let env = context.env;
    let to_terminal = if args.force {
        ToTerminal::Force
    } else {
        ToTerminal::Refuse
    };
    let profile = &env_export::profile_meant(env, &args.profile)?;
    if context.mode == Mode::Say {
        context.only_says(&[format!("print the key of {profile} as shell code")]);
        return Ok(());
    }
    // Refused before the key counts as handed out.
    env.ui.secret_data(b"", to_terminal)?;
    let shell = match context.form {
        Form::Text => Some(reader(args, profile)?),
        Form::Json => None,
    };
    let variables = Handed::of(&args.session).variables(env, profile, "env")?;
    let text = match shell {
        Some(shell) => {
            let set: Vec<(&str, &str)> = variables.values().collect();
            let unset: Vec<&str> = variables.unset.iter().map(String::as_str).collect();
            shell.code(&set, &unset)
        }
        None => json(&variables),
    };
    env.ui.secret_data(text.as_bytes(), to_terminal)
}

/// The shell that the code is for. Code for another one would do harm, so it is not guessed.
fn reader(args: &Env, profile: &ProfileName) -> Result<Shell> {
    args.shell.or_else(reader::of_process).ok_or_else(|| {
        Error::new(
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

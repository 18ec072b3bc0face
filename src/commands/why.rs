//! `awskeep why PROFILE`: which source of credentials wins in each SDK, what it
//! shadows, and what to do. Asks nobody; looks at variables and files only.

use serde::Serialize;

use crate::cli::Why;
use crate::commands::{Form, Invocation};
use crate::error::Result;
use crate::import::masking::{by_shape, foreign_command};
use crate::profiles::{AwsFiles, Checked, Lint, parse_helper};
use crate::resolve;
use crate::resolve::{Asked, Inputs, Location, Resolution};
use crate::types::escape;
use crate::ui::table::{headed, lines_of};

#[derive(Serialize)]
struct Told {
    consumers: Vec<Resolution>,
    advice: Vec<String>,
}

pub fn run(context: &Invocation<'_>, args: &Why) -> Result<()> {
    let env = context.env;
    let files = AwsFiles::read(env)?;
    if let Some(profile) = &args.profile {
        files.refuse_unknown(profile, "aws configure list-profiles")?;
    }
    let inputs = Inputs {
        files: files.documents(),
        env: &env.vars,
        asked: match &args.profile {
            Some(profile) => Asked::ByName(profile.as_str()),
            None => Asked::ByEnvironment,
        },
    };
    let mut consumers = resolve::resolve_all(inputs);
    if args.profile.is_some() {
        // With AWS_PROFILE instead of --profile, keys in the environment win in most.
        note_environment(env.var("AWS_ACCESS_KEY_ID").is_some(), context);
    }
    consumers.iter_mut().for_each(shorten);
    let advice = advice(&consumers, &files);
    match context.form {
        Form::Json => env.ui.json(&Told { consumers, advice }),
        Form::Text => {
            env.ui.text(&table(&consumers))?;
            for line in &advice {
                env.ui.tell(line);
            }
            Ok(())
        }
    }
}

fn note_environment(has_keys: bool, context: &Invocation<'_>) {
    if has_keys && context.form == Form::Text {
        context.env.ui.warn(
            "AWS_ACCESS_KEY_ID is set: without --profile it wins over AWS_PROFILE, but in the JavaScript SDK",
        );
    }
}

fn shorten(resolution: &mut Resolution) {
    shorten_outcome(&mut resolution.outcome);
}

/// What stands in a file may be a secret in the wrong place.
fn shorten_outcome(outcome: &mut resolve::Resolved) {
    match outcome {
        resolve::Resolved::Process { command, .. } => {
            if parse_helper(command).is_none() {
                *command = foreign_command(command);
            }
        }
        resolve::Resolved::AssumeRole { role_arn, from, .. } => {
            *role_arn = by_shape(role_arn);
            shorten_outcome(from);
        }
        resolve::Resolved::CredentialSource { source, .. } => *source = by_shape(source),
        resolve::Resolved::Error { text } => *text = by_shape(text),
        resolve::Resolved::Env
        | resolve::Resolved::Static { .. }
        | resolve::Resolved::Sso { .. }
        | resolve::Resolved::WebIdentity { .. }
        | resolve::Resolved::Login { .. }
        | resolve::Resolved::Container
        | resolve::Resolved::Nothing => {}
    }
}

fn table(consumers: &[Resolution]) -> String {
    let mut table = headed(["PROGRAM", "PROFILE", "USES", "SHADOWED"]);
    for resolution in consumers {
        let shadowed: Vec<String> = resolution
            .shadows
            .iter()
            .map(|shadow| format!("{} ({})", shadow.what, place(&shadow.place)))
            .collect();
        table.add_row([
            resolution.consumer.name().trim_start_matches("the "),
            &resolution.profile,
            &words(&resolution.outcome),
            if shadowed.is_empty() {
                "-".to_owned()
            } else {
                shadowed.join(", ")
            }
            .as_str(),
        ]);
    }
    lines_of(&table)
}

fn words(outcome: &resolve::Resolved) -> String {
    match outcome {
        resolve::Resolved::Env => "the key in the environment".into(),
        resolve::Resolved::Static { place: at, id } => {
            let id = id.as_deref().unwrap_or("something that is not a key id");
            format!("plaintext {id} ({})", place(at))
        }
        resolve::Resolved::Process { place: at, command } => match parse_helper(command) {
            Some(helper) => format!("awskeep entry {} ({})", helper.entry, place(at)),
            None => format!("{command} ({})", place(at)),
        },
        resolve::Resolved::AssumeRole {
            role_arn,
            place: at,
            from,
        } => format!("role {role_arn} ({}) by {}", place(at), words(from)),
        resolve::Resolved::CredentialSource { place: at, source } => {
            format!("{source} ({})", place(at))
        }
        resolve::Resolved::Sso { place: at } => format!("sso ({})", place(at)),
        resolve::Resolved::WebIdentity { place: at } => format!("web identity ({})", place(at)),
        resolve::Resolved::Login { place: at } => format!("aws login ({})", place(at)),
        resolve::Resolved::Container => "nothing here; the container's role".into(),
        resolve::Resolved::Nothing => "nothing here; the instance's role, if any".into(),
        resolve::Resolved::Error { text } => format!("fails: {text}"),
    }
}

fn place(place: &Location) -> String {
    match place {
        Location::Variable(name) => name.clone(),
        Location::Line(file, line) => format!("{file}:{line}"),
    }
}

fn advice(consumers: &[Resolution], files: &AwsFiles) -> Vec<String> {
    let mut advice: Vec<String> = Vec::new();
    let mut add = |line: String| {
        if !advice.contains(&line) {
            advice.push(line);
        }
    };
    // What stops an import comes before the import.
    for resolution in consumers {
        if let resolve::Resolved::Error { text } = &resolution.outcome {
            match lints(files, &resolution.profile) {
                lints if lints.is_empty() => add(format!("hint: correct this: {text}")),
                lints => lints.into_iter().for_each(&mut add),
            }
        }
    }
    for resolution in consumers {
        let profile = &resolution.profile;
        match &resolution.outcome {
            resolve::Resolved::Static { place: at, .. } => {
                add(match has_line(files, profile, at) {
                    true => {
                        format!(
                            "hint: move the plaintext key into a store: awskeep import {}",
                            escape::argument(profile)
                        )
                    }
                    // A [DEFAULT] section's keys reach every profile, and import names no one's.
                    false => format!(
                        "hint: move the key at {} into the section of the profile that it is for",
                        place(at)
                    ),
                })
            }
            resolve::Resolved::Env => {
                add("hint: unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN".into())
            }
            resolve::Resolved::Error { .. }
            | resolve::Resolved::Process { .. }
            | resolve::Resolved::AssumeRole { .. }
            | resolve::Resolved::CredentialSource { .. }
            | resolve::Resolved::Sso { .. }
            | resolve::Resolved::WebIdentity { .. }
            | resolve::Resolved::Login { .. }
            | resolve::Resolved::Container
            | resolve::Resolved::Nothing => {}
        }
        for shadow in &resolution.shadows {
            let is_key = shadow.what.contains("static") || shadow.what.contains("key");
            if is_key && matches!(shadow.place, Location::Line(..)) {
                add(format!(
                    "hint: take the shadowed key at {} out: other SDKs may use it",
                    place(&shadow.place)
                ));
            }
        }
    }
    advice
}

/// Whether the line stands in one of the profile's own sections.
fn has_line(files: &AwsFiles, profile: &str, at: &Location) -> bool {
    let Location::Line(name, line) = at else {
        return true;
    };
    files.in_order().into_iter().any(|file| {
        let document = &file.document;
        let own = document.sections_named(profile).into_iter();
        document.name() == name && own.into_iter().any(|section| section.has_line(*line))
    })
}

/// What to correct in which line, for a profile that some SDK cannot read.
fn lints(files: &AwsFiles, profile: &str) -> Vec<String> {
    let Ok(profile) = profile.parse() else {
        return Vec::new();
    };
    let files = files.checked();
    let of = |file: &Checked<'_>| {
        let name = file.document.name();
        let told = |lint: &Lint| format!("hint: {}: {}", lint.place_in(name), lint.fix);
        file.lints(&profile).iter().map(told).collect::<Vec<_>>()
    };
    files.in_order().into_iter().flat_map(of).collect()
}

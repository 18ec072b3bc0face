//! Reads the keys that `import` takes from elsewhere: a CSV file, the environment,
//! aws-vault. Edge; only reads.

pub mod aws_vault;
pub mod key_input;

use std::path::{Path, PathBuf};

use crate::cli::Import;
use crate::error::{Error, Kind, Result};
use crate::import::apply::From;
use crate::import::classify::names;
use crate::system::disk;

use crate::system::env::Env;
use crate::types::keys::ProfileName;

/// Where the keys are, and the CSV file if they are in one.
pub fn source(env: &Env, args: &Import) -> Result<(From, Option<PathBuf>)> {
    let rest = args.from.get(1);
    match args.from.first().map(String::as_str) {
        None | Some("files") => Ok((From::Files, None)),
        Some("csv") => {
            let Some(file) = rest else {
                return Err(Error::new(Kind::Usage, "no CSV file was named")
                    .hint("awskeep import --from csv FILE"));
            };
            let path = env.here.join(file);
            Ok((from_csv(&path, file, args)?, Some(path)))
        }
        Some("env") => Ok((from_env(env, args, rest)?, None)),
        Some("aws-vault") => {
            let mut vaulted = aws_vault::read(env)?;
            for (name, why) in &vaulted.passed_over {
                env.ui
                    .warn(&format!("aws-vault's {name} is skipped: {why}"));
            }
            let wanted = |profile: &ProfileName| {
                args.profiles.is_empty() && rest.is_none()
                    || args.profiles.contains(profile)
                    || rest.is_some_and(|name| name == profile.as_str())
            };
            vaulted.keys.retain(|(profile, _)| wanted(profile));
            Ok((From::Given(vaulted.keys), None))
        }
        Some(other) => Err(
            Error::new(Kind::Usage, format!("there is no source {other:?}"))
                .hint("the sources are: files, csv FILE, env, aws-vault"),
        ),
    }
}

fn from_csv(path: &Path, name: &str, args: &Import) -> Result<From> {
    let text = disk::read_given(path, disk::MOST_TEXT)
        .and_then(disk::text_of)
        .map_err(|error| disk::failed("read", path, &error))?;
    let found = key_input::from_csv(name, &text)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let profile = match args.profiles.as_slice() {
        [one] => one.clone(),
        [] => {
            let user = found
                .user_name
                .as_deref()
                .unwrap_or_else(|| stem.trim_end_matches("_accessKeys"));
            names::mapped(user).parse()?
        }
        [_, _, ..] => {
            return Err(Error::new(
                Kind::Usage,
                "a CSV file has one key: name one profile",
            ));
        }
    };
    Ok(From::Given(vec![(profile, found.long_term()?)]))
}

fn from_env(env: &Env, args: &Import, rest: Option<&String>) -> Result<From> {
    let named = rest.map(|name| name.parse::<ProfileName>()).transpose()?;
    let profile = named.or_else(|| args.profiles.first().cloned());
    let profile = profile.ok_or_else(|| {
        Error::new(
            Kind::Usage,
            "no profile was named for the key in the environment",
        )
        .hint("awskeep import --from env PROFILE")
    })?;
    let found = key_input::from_variables(
        env.var("AWS_ACCESS_KEY_ID"),
        env.var("AWS_SECRET_ACCESS_KEY"),
        env.var("AWS_SESSION_TOKEN"),
    );
    Ok(From::Given(vec![(profile, found.long_term()?)]))
}

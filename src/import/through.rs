//! Fetches a key as an SDK would: runs the line that stands in the profile. Edge.
//!
//! Words are split as the AWS CLI does it; there is no shell. The answer is read as
//! strictly as the strictest SDK: one JSON object, nothing on stderr.

use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::import::sources::key_input;
use crate::system::env::Env;
use crate::types::keys::AccessKey;

/// What the line gives.
///
/// # Errors
/// `Kind::Failed` if the program cannot be run, fails, or answers something else.
pub fn fetch(env: &Env, line: &str) -> Result<AccessKey> {
    let words = words(line);
    let Some((program, arguments)) = words.split_first() else {
        return Err(Error::new(Kind::Bug, "a credential_process of no words"));
    };
    let failed = |what: &str| {
        Error::new(Kind::Failed, format!("{program} {what}"))
            .hint(format!("try it: {line}"))
            .hint("name the installed awskeep with --helper-path")
    };
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&env.vars)
        .current_dir(&env.here)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed("cannot be run").cause(error))?;
    let answer = Zeroizing::new(output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(failed("does not serve the key").cause(said.trim()));
    }
    if !said.is_empty() {
        return Err(failed(
            "writes to stderr, which some SDKs take for its answer",
        ));
    }
    let text = std::str::from_utf8(&answer).map_err(|_| failed("does not answer with text"))?;
    key_input::from_json(text)
        .and_then(|found| found.long_term())
        .map_err(|failure| failed("does not answer with a key").cause(failure.message))
}

/// Blanks separate words; double quotes keep them together.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' | '\t' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_like_the_cli_does() {
        for (line, expected) in [
            (
                "/b/awskeep credential-process work",
                &["/b/awskeep", "credential-process", "work"][..],
            ),
            (
                "\"/my b/awskeep\"  credential-process\twork ",
                &["/my b/awskeep", "credential-process", "work"],
            ),
            ("a \"\" b", &["a", "", "b"]),
            ("", &[]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}

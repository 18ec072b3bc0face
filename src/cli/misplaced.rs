//! Secrets that stand where none belongs, among the arguments or in variables of ours:
//! whatever tells about those must not say them again. Pure.

use std::ffi::OsStr;

use zeroize::Zeroizing;

/// What is hidden, the longest first.
///
/// Source: a secret access key is 40 of `[A-Za-z0-9/+]`, a token longer. Runs that are a bit
/// shorter count too: a part of a secret is one. What follows `SECRET=` and the like counts
/// whatever it looks like.
pub fn secrets<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> Vec<Zeroizing<String>> {
    let mut found = Vec::new();
    for word in words {
        let text = Zeroizing::new(word.to_string_lossy().into_owned());
        let of_secrets = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '+');
        let runs = text.split(|c| !of_secrets(c)).filter(|run| is_secret(run));
        let named = text.split_once(['=', ':']).and_then(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let says_so = ["secret", "token", "passw", "passphrase"];
            let value = value.trim_matches(['=', ':', ' ', '"', '\'']);
            let is_path = name.ends_with("-file") || name.ends_with("_file");
            (value.len() >= 6 && !is_path && says_so.iter().any(|word| name.contains(word)))
                .then_some(value)
        });
        found.extend(runs.chain(named).map(|run| Zeroizing::new(run.to_owned())));
    }
    found.sort_by_key(|run| std::cmp::Reverse(run.len()));
    found
}

fn is_secret(run: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| run.as_bytes().iter().any(kind);
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    // A path may have any length but just this one.
    let is_path = run.starts_with('/') && run.len() != 40;
    mixed && !is_path && (run.len() >= 40 || run.len() >= 28 && has(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_from_names_paths_and_ids() {
        const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY1234567890";
        for (argument, expected) in [
            (SECRET, &[SECRET][..]),
            (&format!("--region={SECRET}"), &[SECRET]),
            (&format!("work,{SECRET}"), &[SECRET]),
            (&format!("{{\"SecretAccessKey\":\"{SECRET}\"}}"), &[SECRET]),
            (&SECRET[..38], &[&SECRET[..38]]),
            ("AWS_SECRET_ACCESS_KEY=short!", &["short!"]),
            ("--passphrase-file=/run/phrase", &[]),
            ("AKIAIOSFODNN7EXAMPLE", &[]),
            ("my-company-Production-2024", &[]),
            ("/Users/Jane/Library/ApplicationSupport/bin/awskeep1", &[]),
            ("0123456789abcdef0123456789abcdef01234567", &[]),
            ("arn:aws:iam::123456789012:mfa/Jane", &[]),
        ] {
            let found = secrets([OsStr::new(argument)]);
            let mut found: Vec<&str> = found.iter().map(|run| run.as_str()).collect();
            found.dedup();
            let json = argument.starts_with('{');
            assert_eq!(
                &found[found.len().saturating_sub(if json { 1 } else { 9 })..],
                expected,
                "{argument}"
            );
        }
    }
}

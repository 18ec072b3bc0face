//! Which variables of the environment hold a secret, or lead to one. Pure.

use crate::system::env::Env;

/// Every variable that gives an SDK a key, a token or another source of them.
/// Source: AWS SDKs and Tools Reference Guide, "environment variables"; botocore's
/// credentials.py and tokens.py; the Ruby SDK's default chain (AMAZON_…); aws-vault and
/// boto 2 for the rest. `BOTO_CONFIG` stays: it says more than keys, and wins over nothing.
const SOURCES: [&str; 22] = [
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_ACCOUNT_ID",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_SESSION_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AMAZON_ACCESS_KEY_ID",
    "AMAZON_SECRET_ACCESS_KEY",
    "AMAZON_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_BEARER_TOKEN_BEDROCK",
];

/// A token for one service; botocore takes any service's name behind it.
const BEARER_TOKEN: &str = "AWS_BEARER_TOKEN_";

/// The names of the sources that this machine has, and those that are always taken away.
pub fn sources(env: &Env) -> impl Iterator<Item = &str> {
    let known = SOURCES.into_iter();
    let bearer = env.vars.keys().map(String::as_str).filter(|name| {
        name.strip_prefix(BEARER_TOKEN).is_some_and(|service| {
            service
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_')
        }) && !SOURCES.contains(name)
    });
    known.chain(bearer)
}

/// What holds a secret or leads to one: no program that helps awskeep is told.
pub fn secrets(env: &Env) -> impl Iterator<Item = &str> {
    sources(env).chain(OWN)
}

/// The environment without them, for such programs.
pub fn vars_without_secrets(env: &Env) -> impl Iterator<Item = (&String, &String)> {
    let gone: Vec<&str> = secrets(env).collect();
    let vars = env.vars.iter();
    vars.filter(move |(name, _)| !gone.contains(&name.as_str()))
}

/// Where awskeep's own secrets are: no program that it starts is told.
pub const OWN: [&str; 1] = ["AWSKEEP_PASSPHRASE_FILE"];

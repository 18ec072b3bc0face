//! Names, ids and secrets as types. Pure.
//!
//! A `Secret` is wiped when dropped, prints as `[secret]`, and gives its text
//! only through `expose`, whose callers a test lists.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Kind};
use crate::types::escape;

/// An access key id such as `AKIAIOSFODNN7EXAMPLE`. Not a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccessKeyId(String);

/// What the first four letters of an access key id say.
/// Source: IAM User Guide, "IAM identifiers", unique id prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyIdKind {
    /// `AKIA`: a long-term key.
    LongTerm,
    /// `ASIA`: a temporary key, which comes with a session token.
    Temporary,
    /// Anything else: unusual, not forbidden.
    Unusual,
}

impl AccessKeyId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn kind(&self) -> KeyIdKind {
        match self.0.get(..4) {
            Some("AKIA") => KeyIdKind::LongTerm,
            Some("ASIA") => KeyIdKind::Temporary,
            _ => KeyIdKind::Unusual,
        }
    }

    /// The account id that newer key ids carry in base 32; a hint for people,
    /// never for a decision. None for ids made before that (`AKIAI…`, `AKIAJ…`).
    pub fn account_hint(&self) -> Option<AccountId> {
        let body = self.0.get(4..)?;
        let digit = |c: u8| match c {
            b'A'..=b'Z' => Some(u64::from(c - b'A')),
            b'2'..=b'7' => Some(u64::from(c - b'2') + 26),
            _ => None,
        };
        // The first 10 characters are 50 bits; the account is bits 1 to 40 of them.
        let mut bits = 0u64;
        for c in body.bytes().take(10) {
            bits = bits << 5 | digit(c)?;
        }
        let encodes_account = body.len() == 16 && bits >> 49 == 1;
        encodes_account.then(|| AccountId(format!("{:012}", bits >> 9 & 0xff_ffff_ffff)))
    }
}

impl FromStr for AccessKeyId {
    type Err = Error;

    /// IAM's own rule is 16 to 128 word characters; but no key id has small letters, and
    /// nearly every secret has: one in the wrong field must not be shown as an id.
    fn from_str(text: &str) -> Result<Self, Error> {
        let word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if (16..=128).contains(&text.len()) && text.chars().all(word) {
            return Ok(AccessKeyId(text.to_owned()));
        }
        // The text may be a secret typed into the wrong field: it is not repeated.
        Err(Error::new(
            Kind::Usage,
            "this is not an access key id: 16 to 128 capital letters and digits are expected, such as AKIA…",
        ))
    }
}

impl TryFrom<String> for AccessKeyId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<AccessKeyId> for String {
    fn from(id: AccessKeyId) -> String {
        id.0
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret access key, session token or passphrase.
#[derive(PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The secret itself. Callers are listed in `tests/it/tidy.rs`.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A second copy in memory, wiped like the first.
    #[must_use]
    pub fn duplicate(&self) -> Secret {
        Secret(self.0.clone())
    }

    /// The secret, into an item that a store keeps: only what says so of a field is written.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn expose_for_store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A long-term key: id and secret.
#[derive(Debug, PartialEq, Eq)]
pub struct AccessKey {
    pub id: AccessKeyId,
    pub secret: Secret,
}

impl Clone for AccessKey {
    fn clone(&self) -> AccessKey {
        AccessKey {
            id: self.id.clone(),
            secret: self.secret.duplicate(),
        }
    }
}

impl AccessKey {
    /// Takes what a person pasted: blanks, line ends and what cannot be seen (zero-width
    /// spaces, which web pages and chats put in) are cut at both sides.
    pub fn from_pasted(id: &str, secret: &str) -> Result<AccessKey, Error> {
        let is_blank = |c: char| c.is_whitespace() || escape::is_unseen(c);
        let id: AccessKeyId = id.trim_matches(is_blank).parse()?;
        let secret = Zeroizing::new(secret.trim_matches(is_blank).to_owned());
        if secret.is_empty() {
            return Err(Error::new(
                Kind::Usage,
                format!("the secret access key of {id} is empty"),
            ));
        }
        if secret.chars().any(is_blank) {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "the secret access key of {id} has a space, a line break or an invisible character inside"
                ),
            )
            .hint("copy it again; AWS's secrets have none"));
        }
        Ok(AccessKey {
            id,
            secret: Secret::new(secret.to_string()),
        })
    }
}

/// The name of an entry: `[A-Za-z0-9._@+-]`, 1 to 64, starting with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryName(String);

impl EntryName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntryName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && text.len() <= 64 && text.chars().all(allowed) {
            return Ok(EntryName(text.to_owned()));
        }
        Err(
            Error::new(Kind::Usage, format!("{text:?} cannot be an entry's name"))
                .hint("1 to 64 of A-Z a-z 0-9 . _ @ + -, starting with a letter or digit"),
        )
    }
}

impl TryFrom<String> for EntryName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<EntryName> for String {
    fn from(name: EntryName) -> String {
        name.0
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a profile in the AWS files, within the characters that every SDK reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

impl ProfileName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_default(&self) -> bool {
        self.0 == "default"
    }
}

impl FromStr for ProfileName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-/.%@:+".contains(c);
        if !text.is_empty() && text.chars().all(allowed) {
            return Ok(ProfileName(text.to_owned()));
        }
        Err(Error::new(
            Kind::Usage,
            format!("{text:?} cannot be a profile's name that every SDK reads"),
        )
        .hint("use A-Z a-z 0-9 _ - / . % @ : +"))
    }
}

impl TryFrom<String> for ProfileName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<ProfileName> for String {
    fn from(name: ProfileName) -> String {
        name.0
    }
}

impl From<&EntryName> for ProfileName {
    /// Every entry name is a profile name: its characters are a subset.
    fn from(entry: &EntryName) -> ProfileName {
        ProfileName(entry.0.clone())
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A twelve-digit account id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub String);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The ARN of an IAM user: `arn:PARTITION:iam::ACCOUNT:user[/PATH]/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserArn(String);

/// Whom an ARN from GetCallerIdentity names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    User(UserArn),
    Root,
    /// A role session, a federated user, or something newer.
    Other,
}

impl Principal {
    /// Source: the forms that GetCallerIdentity returns (IAM User Guide, "IAM ARNs").
    pub fn of(arn: &str) -> Principal {
        let resource = arn.splitn(6, ':').nth(5);
        match resource {
            Some("root") => Principal::Root,
            Some(_) => arn
                .to_owned()
                .try_into()
                .map_or(Principal::Other, Principal::User),
            None => Principal::Other,
        }
    }
}

impl UserArn {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The IAM user's name: the last segment, without the path.
    pub fn user_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The path with both slashes, `/` if there is none.
    pub fn path(&self) -> &str {
        let resource = self.part(5);
        let from = "user".len();
        let to = resource.len() - self.user_name().len();
        resource.get(from..to).unwrap_or("/")
    }

    pub fn partition(&self) -> &str {
        self.part(1)
    }

    pub fn account(&self) -> AccountId {
        AccountId(self.part(4).to_owned())
    }

    fn part(&self, n: usize) -> &str {
        self.0.splitn(6, ':').nth(n).unwrap_or_default()
    }
}

impl TryFrom<String> for UserArn {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let is_user = matches!(parts.as_slice(),
            ["arn", partition, "iam", "", account, resource]
                if is_partition(partition) && is_account(account) && is_user_resource(resource));
        if is_user {
            Ok(UserArn(text))
        } else {
            let shown = escape::line(&text);
            let message = format!("{shown} is not an IAM user's ARN");
            Err(Error::new(Kind::Usage, message))
        }
    }
}

fn is_partition(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.starts_with("aws") && text.len() <= 32 && text.chars().all(allowed)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit())
}

/// `user/PATH/NAME` by IAM's own rules; but a path has nothing that a policy, which the
/// ARN is put into, would take as a pattern or a variable.
/// Source: the model of CreateUser (`userNameType`, `pathType`).
fn is_user_resource(text: &str) -> bool {
    let of_name = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let of_path = |c: char| c.is_ascii_graphic() && !"*?$".contains(c);
    let Some((path, name)) = text
        .strip_prefix("user")
        .and_then(|rest| rest.rsplit_once('/'))
    else {
        return false;
    };
    (1..=64).contains(&name.len())
        && name.chars().all(of_name)
        && (path.is_empty() || path.starts_with('/'))
        && path.len() < 512
        && path.chars().all(of_path)
}

impl From<UserArn> for String {
    fn from(arn: UserArn) -> String {
        arn.0
    }
}

impl fmt::Display for UserArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place of a key in its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotName {
    Current,
    Pending,
    Previous,
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SlotName::Current => "current",
            SlotName::Pending => "pending",
            SlotName::Previous => "previous",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let key = AccessKey::from_pasted(" AKIAIOSFODNN7EXAMPLE\n", " wJalr/EXAMPLE \r\n").unwrap();
        assert_eq!(key.secret.expose(), "wJalr/EXAMPLE");
        let shown = format!("{key:?}");
        assert!(
            shown.contains("[secret]") && !shown.contains("wJalr"),
            "{shown}"
        );
    }

    #[test]
    fn what_cannot_be_seen_is_no_part_of_a_secret() {
        let id = "AKIAIOSFODNN7EXAMPLE";
        for (secret, kept) in [
            ("wJalr/EXAMPLE", Some("wJalr/EXAMPLE")),
            ("\u{200b}wJalr/EXAMPLE\u{feff}\n", Some("wJalr/EXAMPLE")),
            ("\u{a0}wJalr/EXAMPLE\u{2060} ", Some("wJalr/EXAMPLE")),
            ("wJalr\u{200b}/EXAMPLE", None),
            ("wJalr\u{ad}/EXAMPLE", None),
            ("wJalr\u{202e}/EXAMPLE", None),
            ("wJalr /EXAMPLE", None),
            ("wJalr\u{7f}/EXAMPLE", None),
            ("\u{200b}", None),
        ] {
            let read = AccessKey::from_pasted(&format!("\u{200b}{id}\u{feff}"), secret).ok();
            let read = read.as_ref().map(|key| key.secret.expose());
            assert_eq!(read, kept, "{secret:?}");
        }
    }

    #[test]
    fn a_secret_in_the_wrong_field_is_no_key_id() {
        for (text, is_id) in [
            ("AKIAIOSFODNN7EXAMPLE", true),
            ("AKIAIOSFODNN7EXA", true),
            ("wJalrXUtnFEMIxK7MDENGxbPxRfiCYEXAMPLEKEY", false),
            ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", false),
            ("AKIAIOSFODNN7EX", false),
        ] {
            let read = text.parse::<AccessKeyId>();
            assert_eq!(read.is_ok(), is_id, "{text}");
            assert!(read.is_ok() || !format!("{read:?}").contains("wJalr"));
        }
    }

    #[test]
    fn account_hints_are_decoded_offline() {
        for (id, account) in [
            ("ASIAY34FZKBOKMUTVV7A", Some("609629065308")),
            ("ASIAQNZGKIQY56JQ7WML", Some("029608264753")),
            ("AKIARZPUZDIKAAAQEAYE", Some("123456789012")),
            ("AKIAIAAAAAAAAAAAAAAA", None),
            ("AKIAJ234567ABCDEFGHI", None),
            ("AKIA0189AAAAAAAAAAAA", None),
        ] {
            let hint = id.parse::<AccessKeyId>().unwrap().account_hint();
            assert_eq!(hint.map(|a| a.0).as_deref(), account, "{id}");
        }
    }

    #[test]
    fn entry_names() {
        for good in [
            "work",
            "a",
            "0",
            "me@corp.com",
            "a.b_c+d-e",
            &"x".repeat(64),
        ] {
            assert!(good.parse::<EntryName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            ".a",
            "a b",
            "a/b",
            "a#b",
            "é",
            "a\nb",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<EntryName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_part_of_an_arn_is_looked_at() {
        let user = |resource: &str| format!("arn:aws:iam::123456789012:{resource}");
        let long = "x".repeat(65);
        for (arn, good) in [
            (user("user/bob"), true),
            (user("user/a_+=,.@-Z9"), true),
            (user("user/division/a.b@c!/bob"), true),
            ("arn:aws-us-gov:iam::000000000000:user/bob".into(), true),
            (user("user/bob;touch x"), false),
            (user("user/$(id)"), false),
            (user("user/*"), false),
            (user("user/*/bob"), false),
            (user("user/${aws:username}/bob"), false),
            (user("user/b?b"), false),
            (user("user/bob\nhint: x"), false),
            (user("user/b\u{202e}ob"), false),
            (user("user/böb"), false),
            (user("user/"), false),
            (user("user/bob/"), false),
            (user("userx/bob"), false),
            (user("user:bob"), false),
            (user(&format!("user/{long}")), false),
            ("arn:aws:iam::12345678901x:user/bob".into(), false),
            ("arn:aws:iam::1234567890123:user/bob".into(), false),
            ("arn:aws:iam::*:user/bob".into(), false),
            ("arn:*:iam::123456789012:user/bob".into(), false),
            ("arn::iam::123456789012:user/bob".into(), false),
            ("arn:aws:iam:eu-west-1:123456789012:user/bob".into(), false),
            ("arn:aws:sts::123456789012:user/bob".into(), false),
        ] {
            assert_eq!(UserArn::try_from(arn.clone()).is_ok(), good, "{arn}");
        }
    }

    #[test]
    fn user_arns_are_taken_apart() {
        for (arn, name, path, partition) in [
            ("arn:aws:iam::123456789012:user/bob", "bob", "/", "aws"),
            (
                "arn:aws-cn:iam::123456789012:user/a/b/bob",
                "bob",
                "/a/b/",
                "aws-cn",
            ),
        ] {
            let Principal::User(user) = Principal::of(arn) else {
                panic!("{arn}")
            };
            assert_eq!(
                (user.user_name(), user.path(), user.partition()),
                (name, path, partition)
            );
            assert_eq!(user.account().0, "123456789012");
        }
        assert_eq!(
            Principal::of("arn:aws:iam::123456789012:root"),
            Principal::Root
        );
        assert_eq!(
            Principal::of("arn:aws:sts::123456789012:assumed-role/r/s"),
            Principal::Other
        );
    }
}

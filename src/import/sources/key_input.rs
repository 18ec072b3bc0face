//! Reads a key pair in the forms that people have it in: JSON as AWS tools print
//! it, the console's CSV files, environment variables. Pure.
//!
//! Errors name the field and the line, never a value: a value may be the secret.

use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::types::keys::{AccessKey, AccessKeyId, KeyIdKind, Secret};

/// A pair as found, before any check.
#[derive(Debug, PartialEq, Eq)]
pub struct FoundPair {
    pub id: String,
    pub secret: Secret,
    /// Present with temporary credentials only.
    pub session_token: Option<Secret>,
    /// The IAM user's name, where the source tells it.
    pub user_name: Option<String>,
}

impl FoundPair {
    /// The long-term key that this is.
    ///
    /// # Errors
    /// `Kind::Usage` for a half pair, a malformed one, or a temporary one.
    pub fn long_term(&self) -> Result<AccessKey> {
        let half = |there: &str, missing: &str| {
            Error::new(Kind::Usage, format!("there is {there} but no {missing}"))
                .hint("an access key is a pair: give both halves")
        };
        match (
            self.id.trim().is_empty(),
            self.secret.expose().trim().is_empty(),
        ) {
            (true, true) => return Err(Error::new(Kind::Usage, "no access key was given")),
            (true, false) => return Err(half("a secret access key", "access key id")),
            (false, true) => return Err(half("an access key id", "secret access key")),
            (false, false) => {}
        }
        let key = AccessKey::from_pasted(&self.id, self.secret.expose())?;
        if key.id.kind() == KeyIdKind::Temporary || self.session_token.is_some() {
            return Err(Error::new(
                Kind::Usage,
                format!("{} is a temporary key; it expires within hours", key.id),
            )
            .hint("give the long-term key (AKIA…) of an IAM user"));
        }
        Ok(key)
    }
}

/// Reads JSON: credential_process' own form, what `aws iam create-access-key`
/// prints, what `aws configure export-credentials` prints, or aws-vault's form.
///
/// # Errors
/// `Kind::Usage` if it is not JSON or has neither field.
pub fn from_json(text: &str) -> Result<FoundPair> {
    let bare = text.trim_start_matches('\u{feff}').trim();
    if bare.is_empty() {
        return Err(Error::new(Kind::Usage, "stdin is empty").hint(FORMS));
    }
    let value: Value = serde_json::from_str(bare).map_err(|error| {
        Error::new(
            Kind::Usage,
            format!(
                "stdin is not JSON (line {}, column {})",
                error.line(),
                error.column()
            ),
        )
        .hint(FORMS)
    })?;
    let object = ["AccessKey", "Credentials"]
        .iter()
        .find_map(|wrapper| value.get(wrapper))
        .unwrap_or(&value);
    let field = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| object.get(name)?.as_str())
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let found = FoundPair {
        id: field(&["AccessKeyId", "AccessKeyID", "aws_access_key_id"]).unwrap_or_default(),
        secret: Secret::new(
            field(&["SecretAccessKey", "aws_secret_access_key"]).unwrap_or_default(),
        ),
        session_token: field(&["SessionToken", "aws_session_token"]).map(Secret::new),
        user_name: field(&["UserName"]),
    };
    wipe(value);
    if found.id.is_empty() && found.secret.is_empty() {
        return Err(Error::new(
            Kind::Usage,
            "the JSON on stdin has no AccessKeyId and SecretAccessKey",
        )
        .hint(FORMS));
    }
    Ok(found)
}

/// Reads a CSV file as the console makes it, of any year.
/// Source: the headers that IAM's console has written since 2010, and rootkey.csv.
///
/// # Errors
/// `Kind::Usage` naming the line; a file with several keys; a root user's file.
pub fn from_csv(name: &str, text: &str) -> Result<FoundPair> {
    let text = text.trim_start_matches('\u{feff}');
    let wrong = |what: String| Error::new(Kind::Usage, format!("{name}: {what}"));
    if text.trim_start().starts_with("AWSAccessKeyId=") {
        return Err(wrong("this is a root user's key".into())
            .hint("make an access key for an IAM user; delete the root key"));
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| {
            let line = error.position().map_or(1, csv::Position::line);
            wrong(format!("line {line} is not CSV"))
        })?;
        if row.iter().any(|cell| !cell.is_empty()) {
            rows.push(row);
        }
    }
    let Some((header, rows)) = rows.split_first() else {
        return Err(wrong("the file is empty".into()));
    };
    let column = |wanted: &str| {
        header
            .iter()
            .position(|cell| cell.eq_ignore_ascii_case(wanted))
    };
    let (Some(id), Some(secret)) = (column("access key id"), column("secret access key")) else {
        return Err(wrong(
            "line 1 has no columns \"Access key ID\" and \"Secret access key\"".into(),
        )
        .hint("download the key's CSV file again, or use: awskeep add ENTRY --stdin"));
    };
    let row = match rows {
        [row] => row,
        [] => return Err(wrong("there is no key below the header".into())),
        _ => {
            return Err(wrong(format!("there are {} keys in it", rows.len()))
                .hint("keep one line below the header"));
        }
    };
    let cell = |n: usize| row.get(n).unwrap_or_default().to_owned();
    let user_name = column("user name")
        .map(cell)
        .filter(|name| !name.is_empty());
    Ok(FoundPair {
        id: cell(id),
        secret: Secret::new(cell(secret)),
        session_token: None,
        user_name,
    })
}

/// Reads the variables that every SDK reads.
pub fn from_variables(id: Option<&str>, secret: Option<&str>, token: Option<&str>) -> FoundPair {
    FoundPair {
        id: id.unwrap_or_default().to_owned(),
        secret: Secret::new(secret.unwrap_or_default().to_owned()),
        session_token: token.map(|token| Secret::new(token.to_owned())),
        user_name: None,
    }
}

/// What a person typed or pasted when asked for an id: the id, or more than that.
///
/// Known are a bare id, `id<TAB>secret` and the like, and the lines that the console shows for
/// shells and for the AWS files, such as `export AWS_ACCESS_KEY_ID=…`.
pub fn from_typed(line: &str) -> FoundPair {
    let mut found = from_variables(None, None, None);
    let mut bare: Vec<&str> = Vec::new();
    let is_between = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"' | '\'');
    let mut name = None;
    for word in line.split(is_between).filter(|word| !word.is_empty()) {
        let (this, value) = match named(word) {
            Some((field, value)) => (Some(field), value),
            None if matches!(word, "=" | ":" | "export" | "set" | "setx") => continue,
            None => (name, word),
        };
        name = None;
        match (this, value) {
            (this, "") => name = this,
            (Some(Field::Id), value) => value.clone_into(&mut found.id),
            (Some(Field::Secret), value) => found.secret = Secret::new(value.to_owned()),
            (Some(Field::Token), value) => {
                found.session_token = Some(Secret::new(value.to_owned()));
            }
            (None, value) => bare.push(value),
        }
    }
    let is_id = |word: &str| word.parse::<AccessKeyId>().is_ok();
    if found.id.is_empty() {
        // What stands before the id in a line is a user's name.
        let first = bare.iter().position(|word| is_id(word)).unwrap_or(0);
        let mut bare = bare.into_iter().skip(first);
        bare.next().unwrap_or_default().clone_into(&mut found.id);
        if let (true, Some(secret)) = (found.secret.is_empty(), bare.next()) {
            found.secret = Secret::new(secret.to_owned());
            found.session_token = bare.next().map(|token| Secret::new(token.to_owned()));
        }
    }
    found
}

/// What a person typed or pasted when asked for the secret: it is taken as it stands, unless
/// it is a line that names it.
pub fn secret_from_typed(line: &str) -> Secret {
    let found = from_typed(line);
    match found.secret.is_empty() {
        false if line.to_ascii_lowercase().contains("secret_access_key") => found.secret,
        true | false => Secret::new(line.trim().to_owned()),
    }
}

/// Whether a line that begins so may be seen while it is typed: as long as it can be an id.
pub fn may_be_seen(line: &str) -> bool {
    const BEFORE: [&str; 7] = [
        "export AWS_ACCESS_KEY_ID=",
        "set AWS_ACCESS_KEY_ID=",
        "setx AWS_ACCESS_KEY_ID ",
        "$Env:AWS_ACCESS_KEY_ID=",
        "AWS_ACCESS_KEY_ID=",
        "aws_access_key_id = ",
        "aws_access_key_id=",
    ];
    let of_id = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_id = |text: &str| {
        let text = text.strip_prefix(['"', '\'']).unwrap_or(text);
        text.strip_suffix(['"', '\''])
            .unwrap_or(text)
            .chars()
            .all(of_id)
    };
    let fits =
        |before: &&str| before.starts_with(line) || line.strip_prefix(before).is_some_and(is_id);
    is_id(line) || BEFORE.iter().any(fits)
}

#[derive(Clone, Copy)]
enum Field {
    Id,
    Secret,
    Token,
}

/// The field that a word names, and what stands in it behind `=` or `:`.
fn named(word: &str) -> Option<(Field, &str)> {
    let bare = match word.get(..5) {
        Some(start) if start.eq_ignore_ascii_case("$env:") => &word[5..],
        Some(_) | None => word,
    };
    let (name, value) = bare.split_once(['=', ':']).unwrap_or((bare, ""));
    let field = match name.to_ascii_lowercase().as_str() {
        "aws_access_key_id" => Field::Id,
        "aws_secret_access_key" => Field::Secret,
        "aws_session_token" => Field::Token,
        _ => return None,
    };
    Some((field, value))
}

const FORMS: &str = "pipe in what aws iam create-access-key prints, or {\"AccessKeyId\": …, \"SecretAccessKey\": …}";

/// Wipes every string of a JSON value.
fn wipe(value: Value) {
    match value {
        Value::String(text) => drop(Zeroizing::new(text)),
        Value::Array(values) => values.into_iter().for_each(wipe),
        Value::Object(fields) => fields.into_iter().for_each(|(_, value)| wipe(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    #[test]
    fn json_in_every_form() {
        for text in [
            r#"{"Version":1,"AccessKeyId":"ID","SecretAccessKey":"SECRET"}"#,
            r#"{"AccessKey":{"UserName":"bob","AccessKeyId":"ID","Status":"Active","SecretAccessKey":"SECRET","CreateDate":"2026-01-01T00:00:00+00:00"}}"#,
            "\u{feff} {\"AccessKeyID\":\"ID\",\"SecretAccessKey\":\"SECRET\",\"SessionToken\":\"\",\"Source\":\"\"}\r\n",
            r#"{"Credentials":{"AccessKeyId":" ID ","SecretAccessKey":"SECRET\n"}}"#,
        ] {
            let text = text
                .replace("ID\"", &format!("{ID}\""))
                .replace(" ID ", &format!(" {ID} "));
            let text = text
                .replace(&format!("AccessKey{ID}"), "AccessKeyID")
                .replace("SECRET", SECRET);
            let key = from_json(&text).and_then(|found| found.long_term());
            let key = key.unwrap_or_else(|failure| panic!("{text}: {failure}"));
            assert_eq!((key.id.as_str(), key.secret.expose()), (ID, SECRET));
        }
    }

    #[test]
    fn json_that_is_refused_is_never_quoted() {
        for (text, message) in [
            ("", "stdin is empty"),
            ("wJalrXUtnFEMI", "stdin is not JSON (line 1, column 1)"),
            (
                "[1]",
                "the JSON on stdin has no AccessKeyId and SecretAccessKey",
            ),
            (
                r#"{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE"}"#,
                "there is an access key id but no secret access key",
            ),
            (
                r#"{"SecretAccessKey":"wJalrXUtnFEMI"}"#,
                "there is a secret access key but no access key id",
            ),
            (
                r#"{"AccessKeyId":"ASIAIOSFODNN7EXAMPLE","SecretAccessKey":"wJalr"}"#,
                "ASIAIOSFODNN7EXAMPLE is a temporary key; it expires within hours",
            ),
            (
                r#"{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"wJalr","SessionToken":"t"}"#,
                "AKIAIOSFODNN7EXAMPLE is a temporary key; it expires within hours",
            ),
            (
                r#"{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"wJa lr"}"#,
                "the secret access key of AKIAIOSFODNN7EXAMPLE has a space, a line break or an invisible character inside",
            ),
        ] {
            let failure = from_json(text)
                .and_then(|found| found.long_term())
                .unwrap_err();
            assert_eq!(
                (failure.message.as_str(), failure.kind),
                (message, Kind::Usage),
                "{text}"
            );
            assert!(!failure.to_string().contains("wJa"), "{failure}");
        }
    }

    #[test]
    fn what_people_paste_is_understood() {
        for (line, id, secret) in [
            (format!(" {ID} "), ID, ""),
            (format!("{ID}\t{SECRET}"), ID, SECRET),
            (format!("{ID},{SECRET}"), ID, SECRET),
            (format!("bob,{ID},{SECRET}"), ID, SECRET),
            (format!("{ID} {SECRET}"), ID, SECRET),
            (format!("export AWS_ACCESS_KEY_ID={ID}"), ID, ""),
            (format!("export AWS_ACCESS_KEY_ID=\"{ID}\""), ID, ""),
            (
                format!("export AWS_ACCESS_KEY_ID='{ID}' AWS_SECRET_ACCESS_KEY='{SECRET}'"),
                ID,
                SECRET,
            ),
            (
                format!("export AWS_ACCESS_KEY_ID={ID}; export AWS_SECRET_ACCESS_KEY={SECRET}"),
                ID,
                SECRET,
            ),
            (format!("setx AWS_ACCESS_KEY_ID {ID}"), ID, ""),
            (format!("$Env:AWS_ACCESS_KEY_ID=\"{ID}\""), ID, ""),
            (format!("aws_access_key_id = {ID}"), ID, ""),
            (format!("aws_access_key_id: {ID}"), ID, ""),
            (format!("export AWS_SECRET_ACCESS_KEY={SECRET}"), "", SECRET),
            (SECRET.to_owned(), SECRET, ""),
            ("".to_owned(), "", ""),
        ] {
            let found = from_typed(&line);
            assert_eq!(
                (found.id.as_str(), found.secret.expose()),
                (id, secret),
                "{line}"
            );
        }
        for (line, secret) in [
            (SECRET.to_owned(), SECRET),
            (format!(" {SECRET}\r"), SECRET),
            (format!("export AWS_SECRET_ACCESS_KEY={SECRET}"), SECRET),
            (format!("aws_secret_access_key = {SECRET}"), SECRET),
            ("a b".to_owned(), "a b"),
        ] {
            assert_eq!(secret_from_typed(&line).expose(), secret, "{line}");
        }
    }

    #[test]
    fn only_what_can_be_an_id_is_seen() {
        for (line, seen) in [
            (ID.to_owned(), ID.to_owned()),
            (format!("{ID}\t{SECRET}"), ID.to_owned()),
            (format!("{ID},{SECRET}"), ID.to_owned()),
            (SECRET.to_owned(), String::new()),
            (
                format!("export AWS_ACCESS_KEY_ID={ID}"),
                format!("export AWS_ACCESS_KEY_ID={ID}"),
            ),
            (
                format!("export AWS_SECRET_ACCESS_KEY={SECRET}"),
                "export AWS_".to_owned(),
            ),
            (
                format!("aws_access_key_id = {ID}"),
                format!("aws_access_key_id = {ID}"),
            ),
        ] {
            let mut ends = line.char_indices().map(|(at, c)| at + c.len_utf8());
            let hidden = ends.find(|end| !may_be_seen(&line[..*end]));
            let end = hidden.map_or(line.len(), |end| end - 1);
            assert_eq!(&line[..end], seen, "{line}");
        }
    }

    #[test]
    fn csv_files_of_every_year() {
        for (text, user) in [
            (
                "User Name,Access Key Id,Secret Access Key\n\"bob\",ID,SECRET\n",
                Some("bob"),
            ),
            (
                "User name,Password,Access key ID,Secret access key,Console login link\r\nbob,,ID,SECRET,https://x\r\n",
                Some("bob"),
            ),
            ("\u{feff}Access key ID,Secret access key\r\nID,SECRET", None),
            (
                "\"Access key ID\",\"Secret access key\"\n\"ID\",\"SECRET\"\n\n",
                None,
            ),
            (
                "User Name,Access Key Id,Secret Access Key\n\"last, first\",ID, SECRET \n",
                Some("last, first"),
            ),
        ] {
            let text = text
                .replace("ID,S", &format!("{ID},S"))
                .replace("ID\",", &format!("{ID}\","))
                .replace("ID, ", &format!("{ID}, "));
            let text = text
                .replace("key AKIAIOSFODNN7EXAMPLE,S", "key ID,S")
                .replace("key AKIAIOSFODNN7EXAMPLE\",", "key ID\",")
                .replace("SECRET", SECRET);
            let found =
                from_csv("k.csv", &text).unwrap_or_else(|failure| panic!("{text}: {failure}"));
            let key = found
                .long_term()
                .unwrap_or_else(|failure| panic!("{text}: {failure}"));
            assert_eq!(
                (
                    key.id.as_str(),
                    key.secret.expose(),
                    found.user_name.as_deref()
                ),
                (ID, SECRET, user)
            );
        }
    }

    #[test]
    fn csv_files_that_are_refused() {
        for (text, message) in [
            ("", "k.csv: the file is empty"),
            (
                "User Name,Password,Direct Signin Link\nbob,x,y\n",
                "k.csv: line 1 has no columns \"Access key ID\" and \"Secret access key\"",
            ),
            (
                "Access key ID,Secret access key\n",
                "k.csv: there is no key below the header",
            ),
            (
                "Access key ID,Secret access key\nA,B\nC,D\n",
                "k.csv: there are 2 keys in it",
            ),
            (
                "AWSAccessKeyId=AKIA\nAWSSecretKey=x\n",
                "k.csv: this is a root user's key",
            ),
        ] {
            assert_eq!(
                from_csv("k.csv", text).unwrap_err().message,
                message,
                "{text}"
            );
        }
    }
}

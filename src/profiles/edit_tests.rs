//! Tables of edits: the text before, the text after.

use crate::error::Kind;
use crate::profiles::edits::{
    Inserts, Removals, drop_empty_section, keys_in, put_keys, remove_property, set_property,
};
use crate::profiles::{Checked, Document, FileKind};
use crate::types::keys::{AccessKey, ProfileName};

const PROCESS: &str = "/b/awskeep credential-process me";

fn p() -> ProfileName {
    "p".parse().unwrap()
}

fn config(text: &str) -> Document {
    Document::parse(FileKind::Config, text)
}

fn credentials(text: &str) -> Document {
    Document::parse(FileKind::Credentials, text)
}

#[test]
fn properties_are_set_where_they_belong() {
    for (before, after) in [
        ("", "[profile p]\nk = v\n"),
        ("[profile p]", "[profile p]\nk = v"),
        ("[profile p]\r\n", "[profile p]\r\nk = v\r\n"),
        (
            "[profile p]\na=1\n\n# next\n[profile q]\n",
            "[profile p]\na=1\nk=v\n\n# next\n[profile q]\n",
        ),
        ("[profile p]\na = 1", "[profile p]\na = 1\nk = v"),
        (
            "[profile p]\ns3 =\n  a = b\n\n",
            "[profile p]\ns3 =\n  a = b\nk = v\n\n",
        ),
        (
            "[profile p]\nk = old\nb = 1\n",
            "[profile p]\nk = v\nb = 1\n",
        ),
        (
            "[profile p]\nk=old  \r\nb = 1\n",
            "[profile p]\nk=v\r\nb = 1\n",
        ),
        ("[profile p]\n\tK\n", ""),
        ("[profile p]\nK\t=\told\n", "[profile p]\nK\t=\tv\n"),
        (
            "[profile p]\nk = old\n more\n# note\n more\nb=1",
            "[profile p]\nk = v\n# note\nb=1",
        ),
        ("[profile p]\nk =\n", "[profile p]\nk = v\n"),
        (
            "[profile p]\ns3 =\n  k = inner\n",
            "[profile p]\ns3 =\n  k = inner\nk = v\n",
        ),
        ("[profile q]\na=1", "[profile q]\na=1\n\n[profile p]\nk = v"),
        (
            "[profile q]\r\na=1\r\n\r\n",
            "[profile q]\r\na=1\r\n\r\n[profile p]\r\nk = v\r\n",
        ),
    ] {
        let document = config(before);
        let got = set_property(&document, &p(), "k", "v");
        let got = got.map_or(String::new(), |e| e.document.text().to_owned());
        assert_eq!(got, after, "{before:?}");
    }
    let default = set_property(&config(""), &"default".parse().unwrap(), "k", "v").unwrap();
    assert_eq!(default.document.text(), "[default]\nk = v\n");
    let same = set_property(&config("[profile p]\nk = v # x\n"), &p(), "k", "v").unwrap();
    assert!(same.is_nothing());
}

#[test]
fn values_that_would_not_read_back_are_refused() {
    for value in [
        "", " a", "a ", "a\nb", "a\rb", "a # b", "a\t;b", "#a", "a\u{0}",
    ] {
        let refusal = set_property(&config(""), &p(), "k", value).unwrap_err();
        assert_eq!(refusal.kind, Kind::Usage, "{value:?}");
    }
    for value in ["a#b", "a;b", "a = b", "\"a b\" c", "é"] {
        assert!(
            set_property(&config(""), &p(), "k", value).is_ok(),
            "{value:?}"
        );
    }
}

#[test]
fn properties_are_removed_whole() {
    for (before, after) in [
        ("[profile p]\nk = v\na = 1\n", "[profile p]\na = 1\n"),
        ("[profile p]\na = 1\nk = v", "[profile p]\na = 1"),
        (
            "[profile p]\nk = v\n more\n# note\n",
            "[profile p]\n# note\n",
        ),
        ("[profile p]\na = 1\n", "[profile p]\na = 1\n"),
        ("[profile q]\nk = v\n", "[profile q]\nk = v\n"),
        (
            "[profile p]\ns3 =\n  k = v\n",
            "[profile p]\ns3 =\n  k = v\n",
        ),
    ] {
        let got = remove_property(&config(before), &p(), "k").unwrap();
        assert_eq!(got.document.text(), after, "{before:?}");
    }
}

#[test]
fn key_lines_are_taken_out() {
    let text = "# mine\r\n[p]\r\naws_secret_access_key=s3cret\r\nregion = x\r\n# note\r\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\r\naws_session_token =\r\n[q]\r\naws_access_key_id = AKIAIOSFODNN7EXAMPLF\r\n";
    let before = credentials(text);
    let before = Checked::of(&before);
    let mut takes = Removals::from(&before);
    assert_eq!(takes.keys(&p()).unwrap(), 3);
    let taken = takes.done();
    let expected = "# mine\r\n[p]\r\nregion = x\r\n# note\r\n[q]\r\naws_access_key_id = AKIAIOSFODNN7EXAMPLF\r\n";
    assert_eq!(taken.document.text(), expected);
    assert!(!format!("{taken:?}").contains("s3cret"));
}

#[test]
fn pairs_are_found() {
    for (text, id, pair) in [
        (
            "[p]\naws_access_key_id=AKIAIOSFODNN7EXAMPLE\naws_secret_access_key=s\n",
            true,
            true,
        ),
        ("[p]\naws_access_key_id=AKIAIOSFODNN7EXAMPLE\n", true, false),
        ("[p]\naws_secret_access_key=s\n", false, false),
        (
            "[p]\naws_access_key_id=s3cret!\naws_secret_access_key=s\n",
            false,
            false,
        ),
        (
            "[q]\naws_access_key_id=AKIAIOSFODNN7EXAMPLE\n",
            false,
            false,
        ),
    ] {
        let found = keys_in(&Checked::of(&credentials(text)), &p()).unwrap();
        assert_eq!(
            (found.key_id().is_some(), found.pair().is_some()),
            (id, pair),
            "{text}"
        );
        assert!(!format!("{found:?}").contains("s3cret"));
    }
}

#[test]
fn empty_sections_go_but_comments_stay() {
    for (before, after) in [
        ("[p]\n", ""),
        ("[p]", ""),
        ("[a]\nx=1\n\n[p]\n", "[a]\nx=1\n"),
        ("[a]\nx=1\n\n[p]\n\n[b]\n", "[a]\nx=1\n\n[b]\n"),
        ("[p]\n\n# of b\n[b]\n", "# of b\n[b]\n"),
        ("[p]\n# of p\n[b]\n", "[p]\n# of p\n[b]\n"),
        ("[p]\n\n# of p\n\n[b]\n", "[p]\n\n# of p\n\n[b]\n"),
        ("[p]\n\n# at the end\n", "[p]\n\n# at the end\n"),
        ("# of p\n[p]\n", "# of p\n[p]\n"),
        ("[p] # of p\n", "[p] # of p\n"),
        ("[p]\na=1\n", "[p]\na=1\n"),
        ("[b]\n", "[b]\n"),
    ] {
        let got = drop_empty_section(&credentials(before), &p()).unwrap();
        assert_eq!(got.document.text(), after, "{before:?}");
    }
}

#[test]
fn a_role_profile_on_itself_gets_a_base() {
    let role = "[profile p]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = p\nregion = x\n";
    let pointing =
        |base: &str| role.replace("source_profile = p", &format!("source_profile = {base}"));
    let section = |base: &str| format!("\n[profile {base}]\ncredential_process = {PROCESS}\n");
    for (more, keys, base) in [
        ("", "", "p-base"),
        ("", "[p-base]\n", "p-base2"),
        ("[profile p-base]\n[profile \"p-base2\"]\n", "", "p-base3"),
    ] {
        let before = format!("{role}{more}");
        let before = config(&before);
        let before = Checked::of(&before);
        let mut puts = Inserts::into(&before);
        let name = puts.add_base_profile_for_self_reference(&credentials(keys), &p(), PROCESS);
        assert_eq!(name.unwrap().as_str(), base);
        let edited = puts.done();
        let after = format!("{}{more}{}", pointing(base), section(base));
        assert_eq!(edited.document.text(), after);
    }
    for other in [
        "[profile p]\nrole_arn = r\nsource_profile = q\n",
        "[profile p]\nsource_profile = p\n",
        "",
    ] {
        let (other, none) = (config(other), credentials(""));
        let other = Checked::of(&other);
        let mut puts = Inserts::into(&other);
        let refused = puts.add_base_profile_for_self_reference(&none, &p(), PROCESS);
        assert!(refused.is_err() && puts.done().is_nothing());
    }
}

#[test]
fn export_puts_a_key_back_into_the_files() {
    let key = AccessKey::from_pasted("AKIAIOSFODNN7EXAMPLE", "s3cret").unwrap();
    let written = "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = s3cret\n";
    let ours = format!("[profile p]\nregion = x\ncredential_process = {PROCESS}\n");
    for (conf, creds, expected) in [
        (ours.clone(), String::new(), format!("[p]\n{written}")),
        (
            ours.clone(),
            "[q]\nx=1\n".into(),
            format!("[q]\nx=1\n\n[p]\n{written}"),
        ),
        (
            ours.clone(),
            format!("[p]\n{}", written.replace("s3", "old")),
            format!("[p]\n{written}"),
        ),
        (
            ours.clone(),
            format!("[p]\ncredential_process = {PROCESS}\n"),
            format!("[p]\n{written}"),
        ),
    ] {
        let (config, credentials) =
            put_keys(&config(&conf), &credentials(&creds), &p(), &key).unwrap();
        assert_eq!(config.document.text(), "[profile p]\nregion = x\n");
        assert_eq!(credentials.document.text(), expected);
        let remembered = serde_json::to_string(&(&config.undo, &credentials.undo)).unwrap();
        assert!(!remembered.contains("oldcret"), "{remembered}");
    }
    for (conf, creds, line) in [
        (
            "[profile p]\ncredential_process = /b/other\n",
            "",
            "config:2",
        ),
        ("", "[p]\ncredential_process = /b/other\n", "credentials:2"),
        ("", "[p]\naws_session_token = s3cret\n", "credentials:2"),
        ("[profile p]\naws_access_key_id = s3cret\n", "", "config:2"),
        ("", "[p]\na=1\n[p]\n", "credentials:3"),
    ] {
        let failure = put_keys(&config(conf), &credentials(creds), &p(), &key).unwrap_err();
        assert!(failure.message.contains(line), "{failure}");
        assert!(!failure.to_string().contains("s3cret") && !failure.hints.is_empty());
    }
}

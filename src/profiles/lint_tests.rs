//! A table of every lint: the text, and the lines that are named.

use crate::profiles::Checked;
use crate::profiles::Document;
use crate::profiles::FileKind;
use crate::profiles::FileKind::{Config, Credentials};
use crate::types::keys::ProfileName;

fn check(kind: FileKind, profile: &str, text: &str, expected: &[(usize, &str)]) {
    let profile: ProfileName = profile.parse().unwrap();
    let document = Document::parse(kind, text);
    let checked = Checked::of(&document);
    let lints = checked.lints(&profile);
    let lines: Vec<usize> = lints.iter().map(|t| t.line).collect();
    let expected_lines: Vec<usize> = expected.iter().map(|e| e.0).collect();
    assert_eq!(lines, expected_lines, "{text:?}: {lints:?}");
    for (lint, (_, word)) in lints.iter().zip(expected) {
        assert!(lint.what.contains(word), "{text:?}: {lint:?}");
        assert!(!lint.fix.is_empty());
    }
    let shown = format!("{lints:?} {document:?} {:?}", document.sections());
    assert!(!shown.contains("s3cret"), "{shown}");
    assert_eq!(
        checked.refuse_lints(&profile).is_err(),
        !expected.is_empty()
    );
}

#[test]
fn each_trouble_is_found_on_its_line() {
    for (text, expected) in [
        ("[p]\na=1\n[p]\nb=2\n", vec![(3, "second section")]),
        ("[p]\na=1\nA=s3cret\n", vec![(3, "same key")]),
        ("[DEFAULT]\na=1\n[p]\nb=2\n", vec![(1, "[DEFAULT]")]),
        ("\u{feff}[p]\na=1\n", vec![(1, "byte order")]),
        ("[ p ]\na=1\n", vec![(1, "header")]),
        ("[p]\na=1\n[q]\n[q\u{a0}]\n", vec![(4, "only in spaces")]),
        ("[\"p\"]\na=1\n", vec![(1, "header")]),
        ("[p]# note\na=1\n", vec![(1, "header")]),
        ("[p] # see [q]\na=1\n", vec![(1, "header")]),
        ("[p\na=1\n", vec![(1, "closing bracket")]),
        ("[p]\nkey: s3cret\n", vec![(2, "colon")]),
        ("[p]\naws_session_token: s3cret==\n", vec![(2, "plain key")]),
        ("[p]\ns3cret\n", vec![(2, "no equals")]),
        ("[p]\n= s3cret\n", vec![(2, "no key")]),
        ("s3cret\n[p]\n", vec![(1, "before the first")]),
        ("[p]\n  a = 1\n", vec![(2, "first key")]),
        ("[p]\na = s3cret\n  # note\n", vec![(3, "indented comment")]),
        (
            "[p]\na = x\n  aws_secret_access_key = s3cret\n",
            vec![(3, "indented key")],
        ),
        (
            "[p]\na =\n  aws_secret_access_key = s3cret\n",
            vec![(3, "indented key")],
        ),
        (
            "[p]\ns3 =\n  # s3cret\n",
            vec![(3, "indented comment"), (3, "no equals")],
        ),
        ("[p]\na = 1\rb = 2\n", vec![(2, "alone"), (2, "control")]),
        ("[p]\na = x\n  [q]\n", vec![(3, "indented section")]),
        ("[p]\na = \u{a0}s3cret\n", vec![(2, "unusual space")]),
        ("[p]\naws_access_key_id = \"A\"\n", vec![(2, "quotes")]),
        (
            "[p]\naws_secret_access_key = s3cret # old\n",
            vec![(2, "comment behind")],
        ),
        (
            "[p]\naws_secret_access_key = s3\n cret\n",
            vec![(2, "several lines")],
        ),
        ("[p]\nAWS_Access_Key_Id = A\n", vec![(2, "lower case")]),
    ] {
        check(Credentials, "p", text, &expected);
    }
}

#[test]
fn the_config_file_has_its_own() {
    for (profile, text, expected) in [
        (
            "default",
            "[default]\na=1\n[profile default]\nb=1\n",
            vec![(3, "both")],
        ),
        ("p", "[profile \"p\"]\na=1\n", vec![(1, "header")]),
        ("p", "[profile  p]\na=1\n", vec![(1, "header")]),
        (
            "p",
            "[profile p]\na=1\n[profile 'p']\n",
            vec![(3, "header"), (3, "second")],
        ),
        ("p", "[profile p]\ns3 =\n  a = b\n  c =\n", vec![]),
        ("default", "[profile default]\na=1\n", vec![]),
        ("default", "[default] # mine\na=1\n", vec![]),
    ] {
        check(Config, profile, text, &expected);
    }
}

#[test]
fn another_profiles_oddities_do_not_matter() {
    for text in [
        "[q]\na=1\n[q]\nA=2\n[p]\nb=2\n",
        "[q]\na=1\na=2\n[p]\nb=2\n",
        "[ q ]\n[p] \n\n# note\nb = c # note\n\tmore\n",
        "[profile p]\nA = 1\na = 2\n[p]\n",
        "",
    ] {
        check(Credentials, "p", text, &[]);
    }
}

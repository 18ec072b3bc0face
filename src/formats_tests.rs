//! What earlier programs wrote is read, and written again so that they can read it:
//! `tests/cases/formats` was made by one of the first format.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::automation::memory::Memory;
use crate::import::record::UndoRecord;
use crate::store::item;
use crate::store::item::{Stored, ToServe};
use crate::store::session_item::KeptSession;
use crate::types::keys::EntryName;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/formats")
}

fn case(name: &str) -> Vec<u8> {
    fs::read(cases().join(name)).unwrap()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn name_in(bytes: &[u8]) -> EntryName {
    item::name_inside(bytes).unwrap()
}

#[test]
fn items_of_the_first_format_are_read_served_and_written_byte_for_byte() {
    let mut fields = BTreeSet::new();
    for (name, v) in [
        ("item.json", 1),
        ("item-not-verified.json", 1),
        ("item-full.json", 1),
        // Their replaced key is revoked.
        ("item-intent.json", 2),
        ("item-pending.json", 2),
        ("item-replaced.json", 2),
    ] {
        let bytes = case(name);
        let entry = name_in(&bytes);
        let Stored::Item(read) = item::decode(&entry, &bytes).unwrap() else {
            panic!("{name}")
        };
        assert!(read.unknown.is_empty(), "{name}");
        for (_, slot) in read.slots() {
            assert!(slot.unknown.is_empty(), "{name}");
        }
        let Ok(ToServe::Key(served)) = item::to_serve(&entry, &bytes) else {
            panic!("{name}")
        };
        assert_eq!(
            json(&bytes)["current"]["id"],
            served.current.id.to_string(),
            "{name}"
        );
        let written = item::encode(&read).unwrap();
        let first = String::from_utf8_lossy(&bytes).replacen("\"v\":1", &format!("\"v\":{v}"), 1);
        assert!(String::from_utf8_lossy(&written) == first, "{name}");
        fields.extend(json(&bytes).as_object().unwrap().keys().cloned());
    }
    // All that the first format has.
    let all = [
        "v",
        "min_reader",
        "entry",
        "identity",
        "region",
        "partition",
        "endpoint",
        "lease",
        "current",
        "pending",
        "previous",
        "intent",
        "handed_out_until",
        "undo_wanted_at",
    ];
    assert_eq!(fields, all.map(str::to_owned).into());
}

#[test]
fn an_old_name_of_the_first_format_leads_on_and_is_written_byte_for_byte() {
    let bytes = case("alias.json");
    let entry = name_in(&bytes);
    let Ok(ToServe::RenamedTo(alias)) = item::to_serve(&entry, &bytes) else {
        panic!()
    };
    let written = item::encode_alias(&entry, &alias.renamed_to, alias.until).unwrap();
    assert_eq!(*written, bytes);
}

#[test]
fn a_session_of_the_first_format_is_read_and_written_byte_for_byte() {
    let bytes = case("mfa-session.json");
    let read: KeptSession = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(serde_json::to_vec(&read).unwrap(), bytes);
}

#[test]
fn an_imports_record_of_the_first_format_is_read_and_written_as_it_was() {
    let bytes = case("import-record.json");
    let read: UndoRecord = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), json(&bytes));
}

#[test]
fn a_schedule_of_the_first_format_is_read_and_written_as_it_was() {
    let bytes = case("schedule.json");
    let read: Memory = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), json(&bytes));
}

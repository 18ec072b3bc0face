//! Items that lie under another name than the one inside them: a file copied by hand, an
//! attribute edited in a keychain's own program. Whatever reads or writes stops.

use std::fs;
use std::path::PathBuf;

use awskeep::store::item::Identity;
use awskeep::store::session_item::KeptSession;
use awskeep::store::{Deadline, Vault};
use awskeep::types::keys::{AccessKeyId, EntryName, Secret};
use awskeep::types::store_kind::StoreKind;
use awskeep::types::time::Timestamp;

use crate::sandbox::Sandbox;

const ENTRIES: &str = ".data/awskeep/entries";

/// Entries `dev` (of amy) and `prod` (of bob).
fn with_two() -> Sandbox {
    let sandbox = Sandbox::new();
    let amy = sandbox.aws.account(|account| {
        account.add_user("/", "amy");
        account.add_key("amy", 0)
    });
    sandbox.add_pair("dev", &amy.0, &amy.1, &[]).exits(0);
    sandbox.add("prod", &[]).exits(0);
    sandbox.aws.take_journal();
    sandbox
}

fn copy(sandbox: &Sandbox, from: &str, to: &str) {
    let place = |name: &str| sandbox.path(&format!("{ENTRIES}/{name}.age"));
    fs::copy(place(from), place(to)).unwrap();
}

/// The store's and the AWS files.
fn kept(sandbox: &Sandbox) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = sandbox.everything();
    all.retain(|(path, _)| {
        let path = path.to_string_lossy();
        path.contains("/.data/") || path.contains("/.aws/") || path.contains("/.config/")
    });
    all
}

#[test]
fn an_item_copied_over_another_is_neither_served_nor_written() {
    let sandbox = with_two();
    copy(&sandbox, "dev", "prod");
    let before = kept(&sandbox);
    let said = "awskeep: what is stored as prod is the item of entry dev";
    for command in [
        &["credential-process", "prod"][..],
        &["rotate", "prod", "--yes"],
        &["rotate", "prod", "--delete-now", "--yes"],
        &["rotate", "prod", "--explain"],
        &["revoke", "prod", "--yes"],
        &["recover", "prod", "--via", "dev", "--yes"],
        &["remove", "prod", "--yes"],
        &["remove", "prod", "--delete-key", "--yes"],
        &["rename", "prod", "other"],
        &["rename", "dev", "prod"],
        &["export", "prod", "--yes"],
        &["env", "prod", "--shell", "bash"],
        &["status", "prod"],
        &["policy", "prod"],
    ] {
        let ran = sandbox.run(command, &[]);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (4, ""),
            "{command:?}: {ran:?}"
        );
        assert!(ran.err.starts_with(said), "{command:?}: {ran:?}");
        assert_eq!(kept(&sandbox), before, "{command:?}");
    }
    let added = sandbox.add("prod", &["--replace"]);
    assert!(added.code == 4 && added.err.contains(said), "{added:?}");
    assert_eq!(kept(&sandbox), before);
    let changing = sandbox.aws.take_journal();
    let changing = changing.iter().filter(|entry| {
        let action = entry.action.as_str();
        ["CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"].contains(&action)
    });
    assert_eq!(changing.count(), 0);
    sandbox.run(&["credential-process", "dev"], &[]).exits(0);
}

#[test]
fn an_old_name_copied_over_an_entry_leads_nowhere() {
    let sandbox = with_two();
    sandbox.run(&["rename", "dev", "new"], &[]).exits(0);
    sandbox.run(&["credential-process", "dev"], &[]).exits(0);
    copy(&sandbox, "dev", "prod");
    for command in [
        &["credential-process", "prod"][..],
        &["remove", "prod", "--yes"],
        &["rename", "new", "prod"],
    ] {
        let ran = sandbox.run(command, &[]);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (4, ""),
            "{command:?}: {ran:?}"
        );
    }
}

fn name(text: &str) -> EntryName {
    text.parse().unwrap()
}

#[test]
fn a_session_copied_over_another_counts_as_none() {
    let sandbox = with_two();
    let (env, _) = sandbox.env(&[]);
    let vault = Vault::open(StoreKind::File, &env, Deadline::Inline).unwrap();
    let identity = Identity {
        arn: "arn:aws:iam::123456789012:user/amy"
            .to_owned()
            .try_into()
            .unwrap(),
        user_id: "AIDAEXAMPLE".into(),
    };
    let id: AccessKeyId = "ASIAIOSFODNN7EXAMPLE".parse().unwrap();
    let secret = |text: &str| Secret::new(text.into());
    let session = || {
        let (identity, id) = (identity.clone(), id.clone());
        KeptSession::new(identity, id, secret("s"), secret("t"), Timestamp(9))
    };
    vault.save_session(&name("dev"), session()).unwrap();
    copy(&sandbox, "mfa-session~dev", "mfa-session~prod");
    assert_eq!(vault.find_session(&name("dev")), Ok(Some(session())));
    assert_eq!(vault.find_session(&name("prod")), Ok(None));
}

/// A keychain gives the item whose attribute was edited for any name it now has.
#[test]
fn an_item_renamed_in_the_keychains_own_program_is_refused() {
    let store = keyring_core::mock::Store::new().unwrap();
    let vault = Vault::new(StoreKind::Keychain, store.clone(), Deadline::Inline);
    let key =
        awskeep::types::keys::AccessKey::from_pasted("AKIAIOSFODNN7EXAMPLE", "s/EXAMPLE").unwrap();
    let item = awskeep::store::item::Item::new(name("dev"), key, Timestamp(0));
    vault.save(&item).unwrap();
    let bytes = vault.bytes(&name("dev")).unwrap();
    let renamed = keyring_core::api::CredentialStoreApi::build(
        store.as_ref(),
        awskeep::store::SERVICE,
        "prod",
        None,
    );
    renamed.unwrap().set_secret(&bytes).unwrap();
    let said = "what is stored as prod is the item of entry dev";
    let mut as_prod = item.clone();
    as_prod.entry = name("prod");
    for refused in [
        vault.find(&name("prod")).unwrap_err(),
        vault.replaceable(&name("prod")).unwrap_err(),
        vault.save(&as_prod).unwrap_err(),
        vault
            .save_alias(&name("prod"), &name("dev"), Timestamp(9))
            .unwrap_err(),
    ] {
        assert_eq!(
            (refused.kind.exit_code(), refused.message.as_str()),
            (4, said)
        );
    }
    assert_eq!(vault.bytes(&name("prod")).unwrap(), bytes);
}

//! What providers of secrets do that gnome-keyring on its own never shows.

use awskeep::store::Deadline;
use awskeep::store::error::StoreError;
use awskeep::store::keychain::{BusAddress, SecretServiceStore};
use std::time::Duration;

use crate::desktops::{self, Asks, Desktop};
use crate::fake_service::{Answer, FakeService};
use crate::keychain::Keychain;
use crate::programs::{Ran, finish, started, wait_until};
use crate::sandbox::Sandbox;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const OTHER_ID: &str = "AKIAI44QH8DHBEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn add(sandbox: &Sandbox, entry: &str, id: &str, more: &[&str]) -> Ran {
    // Nobody answers there: no test asks AWS.
    let nobody = ["--endpoint-url", "http://127.0.0.1:1"];
    // Named, since a checkout below /tmp is a temp folder to awskeep.
    let binary = sandbox.binary().display().to_string();
    let helper: &[&str] = match more.contains(&"--no-profile") {
        true => &[],
        false => &["--helper-path", &binary],
    };
    let arguments = [
        &["add", entry, "--stdin", "--no-verify"],
        &nobody as &[&str],
        helper,
        more,
    ]
    .concat();
    let pair = format!("{{\"AccessKeyId\":\"{id}\",\"SecretAccessKey\":\"{SECRET}\"}}");
    sandbox.awskeep_with_input(&arguments, &pair)
}

#[track_caller]
fn serves(sandbox: &Sandbox, name: &str, id: &str) {
    let answer = sandbox.awskeep_printing(&["credential-process", name]).ok();
    assert_eq!(answer.json()["AccessKeyId"], id, "{name}");
}

/// stderr of a run that ended with this code.
#[track_caller]
fn told(sandbox: &Sandbox, arguments: &[&str], code: i32) -> String {
    sandbox.awskeep(arguments).exits(code).stderr
}

fn store(keychain: &Keychain) -> SecretServiceStore {
    let uid = rustix::process::geteuid().as_raw();
    let [(_, address)] = keychain.env();
    let address = BusAddress::parse(&address, uid).unwrap();
    SecretServiceStore::new(address, Deadline::PerCall(Duration::from_secs(10)))
}

/// An item of a collection that is locked and shows nothing is not absent.
#[test]
fn what_a_locked_collection_may_hide_is_not_absent() {
    let keychain = Keychain::without_provider();
    let fake = FakeService::start(&keychain, &["open", "other"]).hiding();
    let sandbox = Sandbox::new().on(&keychain);
    add(&sandbox, "here", ID, &[]).ok();
    fake.add_item("other", "work", b"");
    fake.lock("other");

    let hidden = ": the collection other is locked, and does not say what it holds\nhint: awskeep store unlock\n";
    let ends = |text: &str| assert!(text.ends_with(hidden), "{text}");
    ends(&told(&sandbox, &["credential-process", "work"], 4));
    ends(&told(&sandbox, &["list"], 4));
    ends(&told(
        &sandbox,
        &["rotate", "--if-due", "--all", "--no-input"],
        4,
    ));
    ends(&add(&sandbox, "work", OTHER_ID, &[]).exits(4).stderr);
    assert_eq!(fake.items("work").len(), 1, "no second item was made");
    // What is in an open one is served, and shown.
    serves(&sandbox, "here", ID);
    assert!(sandbox.awskeep(&["list"]).stdout.contains(ID));

    let unlocked = told(&sandbox, &["store", "unlock"], 0);
    assert_eq!(unlocked, "the keychain is unlocked: other\n");
    assert_eq!(
        told(&sandbox, &["store", "unlock"], 0),
        "the keychain was open already\n"
    );
    let absent = told(&sandbox, &["credential-process", "nobody"], 3);
    assert_eq!(
        absent,
        "awskeep: no entry nobody in the keychain\nhint: awskeep list\n"
    );
}

#[test]
fn unlock_opens_each_collection_that_holds_an_entry() {
    let keychain = Keychain::without_provider();
    let fake = FakeService::start(&keychain, &["open", "work", "foreign"]);
    let sandbox = Sandbox::new().on(&keychain);
    add(&sandbox, "other", ID, &[]).ok();
    fake.add_item("work", "work", b"");
    fake.add_item("foreign", "somebody", b"");
    fake.lock("work");
    fake.lock("open");
    let unlocked = told(&sandbox, &["store", "unlock"], 0);
    assert_eq!(unlocked, "the keychain is unlocked: open, work\n");
}

#[test]
fn an_item_that_is_locked_in_an_open_collection_is_a_fault_of_its_own() {
    let keychain = Keychain::without_provider();
    let fake = FakeService::start(&keychain, &["open"]).confirming();
    let sandbox = Sandbox::new().on(&keychain);
    let refused = "wants each access confirmed, which cannot be done for a program: a setting of ";
    let added = add(&sandbox, "work", ID, &[]).exits(4);
    assert!(added.stderr.contains(refused), "{added}");
    assert_eq!(
        fake.items("work").len(),
        0,
        "what cannot be read back is taken back"
    );
    assert_eq!(sandbox.text(".aws/config"), "");

    fake.add_item("open", "work", b"");
    for arguments in [
        &["credential-process", "work"] as &[&str],
        &["list"],
        &["store", "unlock"],
        &["rotate", "--all"],
    ] {
        let said = told(&sandbox, arguments, 4);
        assert!(said.contains(refused), "{said}");
    }
}

#[test]
fn a_window_before_a_deletion_has_a_persons_time() {
    let keychain = Keychain::without_provider();
    let fake = FakeService::start(&keychain, &["open"]);
    let sandbox = Sandbox::new().on(&keychain);
    add(&sandbox, "work", ID, &[]).ok();
    let config = sandbox.text(".aws/config");
    assert!(config.contains("credential-process work"), "{config}");
    fake.ask_before_deleting();

    let remove = || {
        started(
            sandbox
                .command(sandbox.binary())
                .args(["remove", "work", "--yes"]),
        )
    };
    let removing = remove();
    let window = fake.window();
    // The key is not gone yet: whoever uses the profile is served.
    assert_eq!(sandbox.text(".aws/config"), config);
    serves(&sandbox, "work", ID);
    fake.answer(window, Answer::No);
    let declined = finish(removing, "").exits(4);
    assert!(
        declined.stderr.contains("its window was closed"),
        "{declined}"
    );
    assert_eq!(sandbox.text(".aws/config"), config);

    let removing = remove();
    let window = fake.window();
    fake.answer(window, Answer::Yes);
    finish(removing, "").ok();
    assert_eq!(fake.items("work").len(), 0);
    assert!(!sandbox.text(".aws/config").contains("credential_process"));
}

#[test]
fn a_profile_that_a_killed_removal_left_is_removed_by_the_next() {
    let keychain = Keychain::without_provider();
    let fake = FakeService::start(&keychain, &["open"]);
    let sandbox = Sandbox::new().on(&keychain);
    add(&sandbox, "work", ID, &[]).ok();
    fake.ask_before_deleting();
    let mut remove = sandbox.command(sandbox.binary());
    let mut removing = remove.args(["remove", "work", "--yes"]).spawn().unwrap();
    let window = fake.window();
    removing.kill().unwrap();
    removing.wait().unwrap();
    fake.answer(window, Answer::Yes);
    told(&sandbox, &["remove", "work", "--yes"], 0);
    assert!(!sandbox.text(".aws/config").contains("credential_process"));
    told(&sandbox, &["remove", "work", "--yes"], 3);
}

#[test]
fn a_window_that_nobody_answers_is_said_to_be_that() {
    let keychain = Keychain::without_provider();
    let fake = FakeService::start(&keychain, &["open"]);
    fake.lock("open");
    fake.ask_before_unlocking();
    let store = store(&keychain);
    let hurried = store.patient(Duration::from_millis(100));
    let said = hurried.unlock("awskeep").unwrap_err();
    assert_eq!(
        said,
        StoreError::Unanswered("its window was open for 0.1 s".into())
    );
    fake.window();
    // Without a person's time no window comes up.
    let said = store.unlock("awskeep").unwrap_err();
    assert!(matches!(said, StoreError::Denied(_)), "{said:?}");
    assert!(!fake.window_came_up());
    // A provider that dies under its window ends the wait.
    let patient = store.patient(Duration::from_secs(600));
    let waiting = std::thread::spawn(move || patient.unlock("awskeep"));
    fake.window();
    drop(fake);
    let said = waiting.join().unwrap().unwrap_err();
    assert!(matches!(said, StoreError::Died(_)), "{said:?}");
}

/// Two items with the attributes of `work`: an older one with `ID`, a newer one.
fn with_twins(fake: &FakeService, sandbox: &Sandbox) {
    add(sandbox, "work", ID, &[]).ok();
    add(sandbox, "healthy", "AKIAIOSFODNN8EXAMPLE", &[]).ok();
    let item = &fake.items("work")[0];
    let text = String::from_utf8(item.secret.clone()).unwrap();
    let newer = text
        .replace(ID, OTHER_ID)
        .replace("\"saved_at\":\"20", "\"saved_at\":\"21");
    fake.add_item("open", "work", newer.as_bytes());
}

#[test]
fn twins_stop_nothing_else_and_are_named() {
    let keychain = Keychain::without_provider();
    let fake = FakeService::start(&keychain, &["open"]);
    let sandbox = Sandbox::new().on(&keychain);
    with_twins(&fake, &sandbox);
    fake.add_item("open", "damaged", b"{");
    let twins = "awskeep: the keychain has several items named work: ";
    let damaged = "entry damaged";
    serves(&sandbox, "healthy", "AKIAIOSFODNN8EXAMPLE");
    for arguments in [
        &["list"] as &[&str],
        &["status"],
        &["store", "move", "keychain"],
    ] {
        let ran = sandbox.awskeep(arguments);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(twins) && said.contains(damaged), "{ran}");
        assert_eq!(ran.code, Some(4), "{ran}");
        if arguments[0] != "store" {
            assert!(said.contains("healthy"), "{ran}");
        }
    }
    // No AWS answers here: what counts is that the healthy one's turn came.
    let ran = sandbox.awskeep(&["rotate", "--all"]);
    assert!(
        ran.stderr.contains(twins) && ran.stderr.contains(damaged),
        "{ran}"
    );
    assert!(ran.stderr.contains("AKIAIOSFODNN8EXAMPLE"), "{ran}");
    let helper = told(&sandbox, &["credential-process", "work"], 4);
    assert_eq!(
        helper.lines().skip(1).collect::<Vec<_>>(),
        [
            "hint: keep them all, the older one under another name: awskeep rename work NEW",
            "hint: or put one key in the place of all: awskeep add work --replace",
            "hint: or remove them all: awskeep remove work",
        ]
    );
}

#[test]
fn twins_have_every_way_out() {
    let keychain = Keychain::without_provider();
    let fake = FakeService::start(&keychain, &["open"]);
    let sandbox = Sandbox::new().on(&keychain);
    with_twins(&fake, &sandbox);

    let renamed = told(&sandbox, &["rename", "work", "old"], 0);
    assert_eq!(
        renamed,
        format!(
            "the older of 2 items named work, {ID}, is old; {OTHER_ID} stays work, with its profiles\n"
        )
    );
    serves(&sandbox, "old", ID);
    serves(&sandbox, "work", OTHER_ID);
    told(&sandbox, &["remove", "old", "--yes"], 0);

    fake.add_item("open", "work", &fake.items("work")[0].secret);
    told(&sandbox, &["credential-process", "work"], 4);
    let copied = told(&sandbox, &["rename", "work", "copied"], 0);
    assert!(copied.starts_with("entry work is now copied"), "{copied}");
    serves(&sandbox, "copied", OTHER_ID);

    fake.add_item("open", "copied", b"{");
    told(&sandbox, &["credential-process", "copied"], 4);
    add(&sandbox, "copied", "AKIAIOSFODNN9EXAMPLE", &["--replace"]).ok();
    serves(&sandbox, "copied", "AKIAIOSFODNN9EXAMPLE");
    assert_eq!(fake.items("copied").len(), 1);

    fake.add_item("open", "copied", b"{");
    let removed = told(&sandbox, &["remove", "copied", "--yes"], 0);
    assert_eq!(removed, "entry copied is removed\n");
    assert_eq!(fake.items("copied").len(), 0);
    let config = sandbox.text(".aws/config");
    assert!(!config.contains("credential-process copied"), "{config}");
}

/// Renamed to `work` in the keychain's own program, beside the one that was there.
#[test]
fn a_twin_that_is_another_entrys_has_every_way_out() {
    let keychain = Keychain::without_provider();
    let fake = FakeService::start(&keychain, &["open"]);
    let sandbox = Sandbox::new().on(&keychain);
    add(&sandbox, "work", ID, &[]).ok();
    let text = String::from_utf8(fake.items("work")[0].secret.clone()).unwrap();
    let anothers = text.replace(ID, OTHER_ID);
    let anothers = anothers.replace("\"entry\":\"work\"", "\"entry\":\"dev\"");
    fake.add_item("open", "work", anothers.as_bytes());
    told(&sandbox, &["credential-process", "work"], 4);

    let new_id = "AKIAIOSFODNN9EXAMPLE";
    let refused = add(&sandbox, "work", new_id, &["--replace"])
        .exits(4)
        .stderr;
    assert!(
        refused.ends_with("\nhint: give it its name back: awskeep rename work dev\n"),
        "{refused}"
    );
    assert_eq!(fake.items("work").len(), 2);
    let renamed = told(&sandbox, &["rename", "work", "dev"], 0);
    assert_eq!(
        renamed,
        format!(
            "that of entry dev of 2 items named work, {OTHER_ID}, is dev; {ID} stays work, with its profiles\n"
        )
    );
    serves(&sandbox, "dev", OTHER_ID);
    serves(&sandbox, "work", ID);

    // Copied: `dev` has its key still.
    fake.add_item("open", "work", anothers.as_bytes());
    add(&sandbox, "work", new_id, &["--replace"]).ok();
    serves(&sandbox, "work", new_id);
    serves(&sandbox, "dev", OTHER_ID);

    fake.add_item("open", "work", anothers.as_bytes());
    told(&sandbox, &["remove", "work", "--yes"], 0);
    assert_eq!(fake.items("work").len(), 0);
    serves(&sandbox, "dev", OTHER_ID);
}

#[test]
fn a_damaged_item_can_be_removed_and_replaced() {
    let keychain = Keychain::without_provider();
    let fake = FakeService::start(&keychain, &["open"]);
    let sandbox = Sandbox::new().on(&keychain);
    fake.add_item("open", "work", b"{");
    let refused = told(&sandbox, &["rename", "work", "other"], 4);
    assert!(
        refused.contains("hint: awskeep add work --replace"),
        "{refused}"
    );
    add(&sandbox, "work", ID, &["--replace"]).ok();
    serves(&sandbox, "work", ID);
    told(&sandbox, &["rename", "work", "other"], 0);
    serves(&sandbox, "other", ID);
    fake.add_item("open", "damaged", b"{");
    told(&sandbox, &["remove", "damaged", "--delete-key", "--yes"], 2);
    told(&sandbox, &["remove", "damaged", "--yes"], 0);
    assert_eq!(fake.items("damaged").len(), 0);
}

#[test]
fn keys_are_not_kept_where_logout_loses_them() {
    let keychain = Keychain::without_provider();
    let fake = FakeService::start(&keychain, &["session"]);
    let sandbox = Sandbox::new().on(&keychain);
    add(&sandbox, "before", OTHER_ID, &[]).ok();
    fake.keep_in_memory("session");
    let refused = add(&sandbox, "work", ID, &[]).exits(4).stderr;
    assert!(
        refused.contains("is in memory only and is lost at logout"),
        "{refused}"
    );
    assert_eq!(fake.items("work").len(), 0);
    let refused = add(&sandbox, "before", ID, &["--replace"]).exits(4).stderr;
    assert!(
        refused.contains("is in memory only and is lost at logout"),
        "{refused}"
    );
    serves(&sandbox, "before", OTHER_ID);
}

#[test]
fn without_any_collection_it_is_said_how_to_make_one() {
    let keychain = Keychain::without_provider();
    let _fake = FakeService::start(&keychain, &[]);
    let sandbox = Sandbox::new().on(&keychain);
    for arguments in [
        &["credential-process", "work"] as &[&str],
        &["store", "unlock"],
    ] {
        let said = told(&sandbox, arguments, 4);
        assert!(
            said.contains("has no collection to keep keys in\nhint: make a default collection in "),
            "{said}"
        );
    }
    let said = add(&sandbox, "work", ID, &["--no-input"]).exits(4).stderr;
    assert!(
        said.contains("hint: make a default collection in "),
        "{said}"
    );
    assert!(said.contains(": awskeep add work --store file\n"), "{said}");
}

/// Everything that a person does with one entry, on a provider that is open.
fn whole_life(sandbox: &Sandbox, name: &str, freeze: impl Fn(), thaw: impl Fn()) {
    let listed = sandbox.awskeep(&["store", "list", "--json"]).ok().json();
    let expected = serde_json::json!([true, 0, name]);
    let row = &listed[0];
    assert_eq!(
        serde_json::json!([row["works"], row["entries"], row["provider"]]),
        expected
    );
    add(sandbox, "work", ID, &["--no-profile"]).ok();
    serves(sandbox, "work", ID);
    told(sandbox, &["credential-process", "nobody"], 3);
    told(sandbox, &["rename", "work", "job"], 0);
    serves(sandbox, "work", ID);
    serves(sandbox, "job", ID);
    add(sandbox, "job", OTHER_ID, &["--no-profile", "--replace"]).ok();
    serves(sandbox, "job", OTHER_ID);
    freeze();
    let frozen = told(sandbox, &["credential-process", "job"], 4);
    thaw();
    assert_eq!(
        frozen,
        format!(
            "awskeep: the keychain, needed for entry job, does not answer: no answer from {name} within 2.5 s\n\
             hint: restart the keychain's daemon, then: awskeep store list\n"
        )
    );
    told(sandbox, &["remove", "job", "--yes"], 0);
    assert_eq!(
        told(sandbox, &["list"], 0),
        "there are no entries yet\nhint: awskeep add NAME\n"
    );
    add(sandbox, "work", ID, &["--no-profile"]).ok();
    lock(sandbox);
    for arguments in [&["credential-process", "work"] as &[&str], &["list"]] {
        let locked = told(sandbox, arguments, 4);
        assert!(locked.contains(&format!("is locked: {name}: ")), "{locked}");
        assert!(
            locked.ends_with("\nhint: awskeep store unlock\n"),
            "{locked}"
        );
    }
}

/// Nothing is locked for every program unless somebody said so.
#[test]
fn store_lock_locks_no_keychain_unasked() {
    let keychain = Keychain::start();
    let sandbox = Sandbox::new().on(&keychain);
    add(&sandbox, "work", ID, &["--no-profile"]).ok();
    for arguments in [
        &["store", "lock"] as &[&str],
        &["store", "lock", "--no-input"],
    ] {
        let said = told(&sandbox, arguments, 5);
        assert!(
            said.contains("lock all of the keychain's collection Login, for every program"),
            "{said}"
        );
        serves(&sandbox, "work", ID);
    }
    told(&sandbox, &["store", "lock", "--yes", "--no-input"], 0);
    told(&sandbox, &["credential-process", "work"], 4);
}

/// KeePassXC does not lock until it has written what it acknowledged before.
fn lock(sandbox: &Sandbox) {
    wait_until("the keychain locks", || {
        sandbox.awskeep(&["store", "lock", "--yes"]).code == Some(0)
    });
}

fn on_a_desktop(desktop: &Desktop, sandbox: &Sandbox, name: &str) {
    whole_life(sandbox, name, || desktop.stop(), || desktop.cont());
}

#[test]
fn a_whole_life_in_gnome_keyring() {
    let keychain = Keychain::start();
    let sandbox = Sandbox::new().on(&keychain);
    whole_life(
        &sandbox,
        "gnome-keyring",
        || keychain.stop(),
        || keychain.cont(),
    );
}

#[test]
fn a_whole_life_in_gnome_keyring_on_dbus_broker() {
    let mut keychain = Keychain::on_bus(desktops::broker);
    let sandbox = Sandbox::new().on(&keychain);
    let nobody = told(&sandbox, &["credential-process", "work"], 4);
    assert!(nobody.contains("no keychain service runs"), "{nobody}");
    keychain.start_provider();
    whole_life(
        &sandbox,
        "gnome-keyring",
        || keychain.stop(),
        || keychain.cont(),
    );
}

#[test]
fn a_whole_life_in_kwallet() {
    let keychain = Keychain::without_provider();
    let sandbox = Sandbox::new().on(&keychain);
    let desktop = desktops::kwallet(&keychain, &sandbox);
    on_a_desktop(&desktop, &sandbox, "KWallet");
}

#[test]
fn a_whole_life_in_keepassxc() {
    let keychain = Keychain::without_provider();
    let sandbox = Sandbox::new().on(&keychain);
    let desktop = desktops::keepassxc(&keychain, Asks::Nothing);
    on_a_desktop(&desktop, &sandbox, "KeePassXC");
}

/// It answers before it writes, and may never: what else has the key goes only when
/// another process of it has given the key back.
#[test]
fn keepassxc_is_the_only_one_with_a_key_after_a_restart_only() {
    let keychain = Keychain::without_provider();
    let sandbox = Sandbox::new().on(&keychain);
    let desktop = desktops::keepassxc(&keychain, Asks::Nothing);
    let in_file = ["store", "use", "file", "--without-passphrase", "--yes"];
    told(&sandbox, &in_file, 0);
    add(&sandbox, "work", ID, &["--no-profile"]).ok();
    let database = keychain.folder().join("Secrets.kdbx");
    let written = || std::fs::metadata(&database).unwrap().modified().unwrap();
    let before = written();
    let refused = told(&sandbox, &["store", "move", "keychain"], 5);
    assert!(
        refused.contains("may not have these keys on disk yet"),
        "{refused}"
    );
    assert!(
        refused.ends_with("\nhint: or restart the keychain, then: awskeep store move keychain\n"),
        "{refused}"
    );
    wait_until("KeePassXC has written", || written() != before);
    drop(desktop);
    serves(&sandbox, "work", ID);
    let _desktop = desktops::keepassxc_again(&keychain);
    told(&sandbox, &["store", "move", "keychain"], 0);
    serves(&sandbox, "work", ID);
    let listed = sandbox.awskeep(&["store", "list", "--json"]).ok().json();
    assert_eq!(
        (&listed[0]["entries"], &listed[1]["entries"]),
        (&1.into(), &0.into())
    );
}

/// It is on by default, and a window would come up that nobody can see here.
#[test]
fn keepassxc_that_unlocks_before_it_searches_opens_no_window() {
    let keychain = Keychain::without_provider();
    let sandbox = Sandbox::new().on(&keychain);
    let _desktop = desktops::keepassxc(&keychain, Asks::BeforeSearch);
    add(&sandbox, "work", ID, &["--no-profile"]).ok();
    lock(&sandbox);
    for arguments in [&["credential-process", "work"] as &[&str], &["list"]] {
        let locked = told(&sandbox, arguments, 4);
        assert!(locked.contains("is locked: KeePassXC: "), "{locked}");
    }
}

#[test]
fn keepassxc_that_wants_each_access_confirmed_keeps_nothing() {
    let keychain = Keychain::without_provider();
    let sandbox = Sandbox::new().on(&keychain);
    let _desktop = desktops::keepassxc(&keychain, Asks::BeforeAccess);
    let refused = add(&sandbox, "work", ID, &[]).exits(4).stderr;
    let expected = "wants each access confirmed, which cannot be done for a program: a setting of KeePassXC\n\
                    hint: in KeePassXC, open Tools > Settings > Secret Service Integration and turn off \
                    \"Confirm when passwords are retrieved by clients\"\n";
    assert!(refused.ends_with(expected), "{refused}");
    told(&sandbox, &["credential-process", "work"], 3);
}

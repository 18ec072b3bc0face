//! Every way to fail: what it is taken for, and how often it was sent.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use awskeep::aws::{Account, CallFailureClass as Class, Signer};
use awskeep::types::keys::Secret;

use crate::sim::faults::{Fault, Script, When};
use crate::sim::{SimConfig, SimServer};
use crate::{SERIAL, looking_at, scene, simulated};

/// Every way to fail: the class, how many keys there are afterwards, and how often
/// CreateAccessKey was sent: once, whatever happens.
#[test]
fn create_key_is_sent_once_under_every_fault() {
    for (fault, class, keys) in [
        (Fault::LoseReply(When::Before), Class::Unknown, 1),
        (Fault::LoseReply(When::After), Class::Unknown, 2),
        (Fault::Hang(When::Before), Class::Unknown, 1),
        (Fault::Hang(When::After), Class::Unknown, 2),
        (Fault::CutBody, Class::ReplyLost, 2),
        (Fault::Garbage, Class::ReplyLost, 2),
        (Fault::server_error(), Class::Busy, 1),
        (Fault::throttling(), Class::Busy, 1),
        (Fault::Bare(502), Class::Unknown, 1),
        (Fault::Bare(403), Class::Unknown, 1),
        (Fault::ArriveLate(0), Class::Unknown, 1),
    ] {
        let s = scene(Script::default().every("CreateAccessKey", fault.clone()));
        let failure = s.aws.create_key(s.signer(), &s.bob).unwrap_err();
        assert_eq!(failure.class, class, "{fault:?}: {failure:?}");
        assert_eq!(s.living_keys(), keys, "{fault:?}");
        assert_eq!(s.requests("CreateAccessKey"), 1, "{fault:?}");
    }
}

#[test]
fn a_late_request_makes_its_key_when_nobody_waits_any_more() {
    let s = scene(Script::default().on("CreateAccessKey", 1, Fault::ArriveLate(60)));
    s.aws.create_key(s.signer(), &s.bob).unwrap_err();
    assert_eq!(s.aws.list_keys(s.signer(), &s.bob).unwrap().value.len(), 1);
    s.server.clock().advance(61);
    s.aws.list_keys(s.signer(), &s.bob).unwrap();
    assert_eq!(s.living_keys(), 2);
}

#[test]
fn reads_are_retried_and_then_give_up() {
    for (fault, class) in [
        (Fault::LoseReply(When::Before), Class::Unknown),
        (Fault::server_error(), Class::Busy),
        (Fault::throttling(), Class::Busy),
        (Fault::CutBody, Class::ReplyLost),
    ] {
        let s = scene(Script::default().every("ListAccessKeys", fault.clone()));
        let failure = s.aws.list_keys(s.signer(), &s.bob).unwrap_err();
        assert_eq!(failure.class, class, "{fault:?}: {failure:?}");
        assert_eq!(s.requests("ListAccessKeys"), 3, "{fault:?}");

        let s = scene(Script::default().on("ListAccessKeys", 1, fault.clone()));
        s.aws.list_keys(s.signer(), &s.bob).unwrap();
        assert_eq!(s.requests("ListAccessKeys"), 2, "{fault:?}");
    }
}

#[test]
fn a_code_is_never_sent_twice() {
    let fault = Fault::LoseReply(When::After);
    let s = scene(Script::default().every("GetSessionToken", fault));
    let code = Secret::new("111111".into());
    let failure = s.aws.mfa_session(&s.key, SERIAL, &code).unwrap_err();
    assert_eq!(failure.class, Class::Unknown);
    assert_eq!(s.requests("GetSessionToken"), 1);
}

#[test]
fn what_was_never_sent_is_told_from_what_may_have_been() {
    let s = scene(Script::default().close_on_accept(1));
    let cut = s.aws.create_key(s.signer(), &s.bob).unwrap_err();
    assert_eq!(cut.class, Class::Unknown, "{cut:?}");

    // A port that was just free: nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let nobody = looking_at(&url);
    for failure in [
        nobody.create_key(s.signer(), &s.bob).unwrap_err(),
        nobody.caller(s.signer()).unwrap_err(),
        nobody.list_keys(s.signer(), &s.bob).unwrap_err(),
    ] {
        assert_eq!(failure.class, Class::Unreachable, "{failure:?}");
    }
}

#[test]
fn no_failure_holds_a_secret() {
    let s = scene(Script::default().every("CreateAccessKey", Fault::CutBody));
    let failure = s.aws.create_key(s.signer(), &s.bob).unwrap_err();
    let shown = format!("{failure:?}");
    let secrets = s.server.account(|a| {
        let keys = a.user("bob").keys.iter();
        keys.map(|key| key.secret.clone()).collect::<Vec<_>>()
    });
    assert_eq!(secrets.len(), 2);
    for secret in secrets {
        assert!(!shown.contains(&secret));
    }
}

#[test]
fn a_script_can_interfere_before_and_after_the_effect() {
    for (when, keys) in [(When::Before, 1), (When::After, 2)] {
        let (account, key, bob) = simulated();
        let server = Arc::new(SimServer::start(SimConfig {
            account,
            ..SimConfig::default()
        }));
        let seen = Arc::new(Mutex::new(None));
        let (from_script, within) = (Arc::clone(&seen), Arc::downgrade(&server));
        let look = move || {
            let server = within.upgrade().unwrap();
            let count = server.account(|a| a.user("bob").living_keys().count());
            *from_script.lock().unwrap() = Some(count);
        };
        server.set_script(Script::default().on("CreateAccessKey", 1, Fault::halt(when, look)));
        let aws = looking_at(&server.url());
        aws.create_key(Signer::Key(&key), &bob).unwrap();
        assert_eq!(*seen.lock().unwrap(), Some(keys), "{when:?}");
    }
}

//! Every call, as the person who owns the key lives it.

use awskeep::aws::{Account, CallFailureClass as Class, Greeting, KeyStatus, LastUse, Signer};
use awskeep::types::keys::{AccessKey, Principal, Secret, UserArn};
use awskeep::types::time::Timestamp;

use crate::sim::asks::Use;
use crate::sim::faults::Script;
use crate::sim::people::{Because, Lag, MfaDevice, Pace, Status};
use crate::{SERIAL, scene};

#[test]
fn a_key_lives_its_whole_life() {
    let s = scene(Script::default());
    let who = s.aws.caller(s.signer()).unwrap();
    assert_eq!(who.value.principal, Principal::User(s.bob.clone()));
    assert_eq!(who.value.account, "123456789012");
    let journal = s.server.journal();
    assert_eq!(who.request_id.as_ref(), Some(&journal[0].request_id));
    let aws_time = who.aws_time.unwrap();
    assert!((aws_time.0 - journal[0].time).abs() <= 1);

    let greeting = s.aws.greet_iam(s.signer(), &s.bob).unwrap().value;
    assert_eq!(greeting, Greeting::Answered);
    let made = s.aws.create_key(s.signer(), &s.bob).unwrap().value;
    assert_eq!(made.key.id.account_hint(), Some(s.bob.account()));
    let new = Signer::Key(&made.key);
    assert_eq!(s.aws.caller(new).unwrap().value, who.value);

    s.aws
        .set_status(new, &s.bob, &s.key.id, &KeyStatus::Inactive)
        .unwrap();
    let refused = s.aws.caller(s.signer()).unwrap_err();
    assert_eq!(refused.class, Class::KeyNotAccepted);
    let listed = s.aws.list_keys(new, &s.bob).unwrap().value;
    let listed: Vec<_> = listed.into_iter().map(|k| (k.id, k.status)).collect();
    let (old_id, new_id) = (s.key.id.clone(), made.key.id.clone());
    assert_eq!(
        listed,
        [(old_id, KeyStatus::Inactive), (new_id, KeyStatus::Active)]
    );
    s.aws.delete_key(new, &s.bob, &s.key.id).unwrap();
    let gone = s.aws.delete_key(new, &s.bob, &s.key.id).unwrap_err();
    assert_eq!(gone.class, Class::NoSuchEntity);
    assert_eq!(s.living_keys(), 1);
}

#[test]
fn lists_are_read_to_their_last_page() {
    let s = scene(Script::default());
    s.server.account(|account| {
        account.page_size = 1;
        account.add_key("bob", 1_700_000_100);
        let key = MfaDevice {
            serial: "arn:aws:iam::123456789012:u2f/user/bob/k".into(),
            codes: Vec::new(),
        };
        account.user_mut("bob").mfa.push(key);
    });
    assert_eq!(s.aws.list_keys(s.signer(), &s.bob).unwrap().value.len(), 2);
    assert_eq!(s.requests("ListAccessKeys"), 2);
    let devices = s.aws.mfa_devices(s.signer(), &s.bob).unwrap().value;
    let give: Vec<bool> = devices.iter().map(|d| d.gives_codes()).collect();
    assert_eq!(give, [true, false]);

    s.server.account(|account| {
        for n in 0..30 {
            let serial = format!("{SERIAL}{n}");
            let codes = Vec::new();
            account
                .user_mut("bob")
                .mfa
                .push(MfaDevice { serial, codes });
        }
    });
    let endless = s.aws.mfa_devices(s.signer(), &s.bob).unwrap_err();
    assert_eq!(endless.code, "TooManyPages");
}

#[test]
fn the_last_use_is_told() {
    let s = scene(Script::default());
    let (idle, _) = s.server.account(|a| a.add_key("bob", 1_700_000_100));
    let idle = idle.parse().unwrap();
    let never = s.aws.last_used(s.signer(), &idle).unwrap().value;
    assert_eq!(never, LastUse::Never);
    let (at, service, region) = (1_700_000_200, "s3".to_owned(), "eu-west-1".to_owned());
    s.server.account(|a| {
        let used = Use {
            at,
            service: service.clone(),
            region: region.clone(),
        };
        a.note_use(idle.as_str(), used);
    });
    let used = s.aws.last_used(s.signer(), &idle).unwrap().value;
    let time = Timestamp(at);
    assert_eq!(
        used,
        LastUse::At {
            time,
            service,
            region
        }
    );
}

#[test]
fn one_code_opens_one_session_that_passes_force_mfa() {
    let s = scene(Script::default());
    s.server.account(|a| {
        a.user_mut("bob")
            .deny("*", Because::MfaRequired)
            .arn
            .clone()
    });
    let denied = s.aws.create_key(s.signer(), &s.bob).unwrap_err();
    assert_eq!(denied.class, Class::Denied);

    let code = Secret::new("111111".into());
    let session = s.aws.mfa_session(&s.key, SERIAL, &code).unwrap();
    let lead = session.value.expires_at.since(session.aws_time.unwrap());
    assert_eq!(lead.0 / 60, 36 * 60);
    let signer = Signer::Session(&session.value);
    s.aws.create_key(signer, &s.bob).unwrap();
    s.aws.list_keys(signer, &s.bob).unwrap();
    let status = KeyStatus::Inactive;
    s.aws
        .set_status(signer, &s.bob, &s.key.id, &status)
        .unwrap();

    let status = Some(Status::Active);
    let now = s.server.clock().now();
    s.server
        .account(|a| a.set_by_hand(s.key.id.as_str(), status, now));
    let twice = s.aws.mfa_session(&s.key, SERIAL, &code).unwrap_err();
    assert_eq!(twice.class, Class::Denied);
    assert_eq!(s.requests("GetSessionToken"), 2);

    s.server.clock().advance(37 * 3_600);
    let over = s.aws.caller(signer).unwrap_err();
    assert_eq!(
        (over.class, over.code.as_str()),
        (Class::Refused, "ExpiredToken")
    );
}

#[test]
fn a_denial_by_name_is_a_greeting() {
    let s = scene(Script::default());
    s.server.account(|account| {
        account
            .user_mut("bob")
            .deny("GetUser", Because::ExplicitDeny);
        account.add_user("/", "eve");
    });
    let greeting = s.aws.greet_iam(s.signer(), &s.bob).unwrap().value;
    let Greeting::DeniedByName(words) = greeting else {
        panic!("{greeting:?}");
    };
    assert!(words.contains("explicit deny") && words.contains(s.bob.as_str()));

    let (id, secret) = s.server.account(|a| a.add_key("eve", 0));
    let eve = AccessKey::from_pasted(&id, &secret).unwrap();
    let other = s.aws.greet_iam(Signer::Key(&eve), &s.bob).unwrap_err();
    assert_eq!(other.class, Class::Denied);
}

#[test]
fn a_user_elsewhere_with_the_same_name_is_somebody_else() {
    let s = scene(Script::default());
    let elsewhere: UserArn = "arn:aws:iam::123456789012:user/bob"
        .to_owned()
        .try_into()
        .unwrap();
    let other = s.aws.greet_iam(s.signer(), &elsewhere).unwrap_err();
    assert_eq!(
        (other.class, other.code.as_str()),
        (Class::Refused, "OtherUser")
    );
}

#[test]
fn keys_and_clocks_are_refused_each_in_its_class() {
    let s = scene(Script::default());
    let wrong = AccessKey::from_pasted(s.key.id.as_str(), "wrong/secret+").unwrap();
    let unknown = AccessKey::from_pasted("AKIAQAAAAAAAAAAAAAAA", "secret").unwrap();
    for (key, class) in [
        (&wrong, Class::WrongSecret),
        (&unknown, Class::KeyNotAccepted),
    ] {
        let signer = Signer::Key(key);
        assert_eq!(s.aws.caller(signer).unwrap_err().class, class);
        assert_eq!(s.aws.create_key(signer, &s.bob).unwrap_err().class, class);
    }
    s.server.account(|a| a.add_key("bob", 0));
    let full = s.aws.create_key(s.signer(), &s.bob).unwrap_err();
    assert_eq!(full.class, Class::LimitExceeded);
    for moved in [7_200, -14_400] {
        s.server.clock().advance(moved);
        // A wrong clock is told by AWS's answer and mended by the SDK's second try,
        // which CreateAccessKey does not get.
        s.aws.caller(s.signer()).unwrap();
        let skewed = s.aws.create_key(s.signer(), &s.bob).unwrap_err();
        assert_eq!(skewed.class, Class::ClockSkew, "{}", skewed.message);
        assert!(skewed.aws_time.is_some() && skewed.request_id.is_some());
    }
}

#[test]
fn each_kind_of_denial_has_its_words() {
    for (because, words) in [
        (Because::NotAllowed, "no identity-based policy allows"),
        (Because::ExplicitDeny, "explicit deny in an identity-based"),
        (Because::MfaRequired, "explicit deny in an identity-based"),
        (Because::Quarantine, "explicit deny in an identity-based"),
        (Because::Boundary, "no permissions boundary allows"),
        (Because::ServiceControlPolicy, "a service control policy"),
    ] {
        let s = scene(Script::default());
        s.server.account(|a| {
            a.user_mut("bob").deny("CreateAccessKey", because);
        });
        let no = s.aws.create_key(s.signer(), &s.bob).unwrap_err();
        assert_eq!(no.class, Class::Denied);
        assert!(no.message.contains(words), "{}", no.message);
    }
}

#[test]
fn a_new_key_is_seen_late_and_not_at_once_for_good() {
    let s = scene(Script::default());
    s.server.account(|account| {
        let birth = Lag {
            calls: 2,
            blips: vec![1],
            ..Lag::default()
        };
        let death = Lag::calls(1);
        account.lags.sts = Pace { birth, death };
        account.lags.lists = Lag::calls(1);
    });
    let made = s.aws.create_key(s.signer(), &s.bob).unwrap().value.key;
    let accepted = |_| s.aws.caller(Signer::Key(&made)).is_ok();
    let seen: Vec<bool> = (0..5).map(accepted).collect();
    assert_eq!(seen, [false, false, true, false, true]);
    s.aws.greet_iam(Signer::Key(&made), &s.bob).unwrap();
    let count = |_| s.aws.list_keys(s.signer(), &s.bob).unwrap().value.len();
    assert_eq!((0..2).map(count).collect::<Vec<_>>(), [1, 2]);

    s.aws.delete_key(s.signer(), &s.bob, &made.id).unwrap();
    let seen: Vec<bool> = (0..2).map(accepted).collect();
    assert_eq!(seen, [true, false]);
}

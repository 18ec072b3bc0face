//! The account without HTTP: it answers alike, and what awskeep does not ask.

use awskeep::aws::{Account, CallFailure, KeyStatus, Session, Signer};
use awskeep::types::keys::{AccessKey, Secret, UserArn};

use crate::sim::asks::{Ask, Proof, Reply, Signed, Temporary};
use crate::sim::faults::{Fault, Script, When};
use crate::sim::in_process::InProcess;
use crate::{SERIAL, scene, simulated};

/// The same account, over HTTP and in-process: same answers, same classes.
#[test]
fn in_process_answers_as_http_does() {
    let faults = [
        None,
        Some(Fault::LoseReply(When::Before)),
        Some(Fault::LoseReply(When::After)),
        Some(Fault::CutBody),
        Some(Fault::server_error()),
        Some(Fault::Bare(403)),
        Some(Fault::Refuse {
            status: 403,
            code: "AccessDenied",
            message: "no",
        }),
    ];
    for fault in faults {
        let script = match &fault {
            Some(fault) => Script::default().every("CreateAccessKey", fault.clone()),
            None => Script::default(),
        };
        let s = scene(script.clone());
        let (account, key, bob) = simulated();
        let within = InProcess::new(account, s.server.clock().now());
        within.script.replace(script);
        let over_http = story(&s.aws, &s.key, &s.bob);
        let in_process = story(&within, &key, &bob);
        assert_eq!(over_http, in_process, "{fault:?}");
    }
}

/// What a user of the account sees, without times and ids of requests.
fn story(aws: &dyn Account, key: &AccessKey, bob: &UserArn) -> Vec<String> {
    let signer = Signer::Key(key);
    let class = |no: CallFailure| no.class;
    let mut told = vec![
        format!("{:?}", aws.caller(signer).map(|a| a.value).map_err(class)),
        format!(
            "{:?}",
            aws.greet_iam(signer, bob).map(|a| a.value).map_err(class)
        ),
        format!(
            "{:?}",
            aws.create_key(signer, bob)
                .map(|a| a.value.key)
                .map_err(class)
        ),
    ];
    let listed = aws.list_keys(signer, bob).unwrap().value;
    told.extend(
        listed
            .into_iter()
            .map(|k| format!("{} {:?}", k.id, k.status)),
    );
    let code = Secret::new("222222".into());
    let session: Session = aws.mfa_session(key, SERIAL, &code).unwrap().value;
    let by_session = Signer::Session(&session);
    for status in [KeyStatus::Inactive, KeyStatus::Expired, KeyStatus::Active] {
        let done = aws.set_status(by_session, bob, &key.id, &status);
        told.push(format!("{:?}", done.map(|a| a.value).map_err(class)));
        told.push(format!("{:?}", aws.caller(signer).map_err(class).is_ok()));
    }
    told.push(format!("{:?}", aws.mfa_devices(signer, bob).unwrap().value));
    let deleted = aws.delete_key(by_session, bob, &key.id);
    told.push(format!("{:?}", deleted.map(|a| a.value).map_err(class)));
    told.push(format!(
        "{:?}",
        aws.last_used(signer, &key.id).map_err(class)
    ));
    told
}

fn as_session(given: &Temporary) -> Signed {
    Signed {
        key_id: given.id.clone(),
        token: Some(given.token.clone()),
        proof: Proof::Good,
    }
}

#[test]
fn sessions_may_do_what_aws_lets_them() {
    let (mut account, key, _) = simulated();
    let long_term = Signed {
        key_id: key.id.to_string(),
        token: None,
        proof: Proof::Good,
    };
    let list = |user: Option<&str>| Ask::ListAccessKeys {
        user: user.map(str::to_owned),
        from: 0,
    };
    let role = Ask::AssumeRole {
        role_arn: "arn:aws:iam::123456789012:role/admin".into(),
        session: "me".into(),
        seconds: 900,
    };
    let token = |mfa: Option<(&str, &str)>| Ask::GetSessionToken {
        mfa: mfa.map(|(serial, code)| (serial.into(), code.into())),
        seconds: 900,
    };
    let opened = [role, token(None), token(Some((SERIAL, "111111")))].map(|ask| {
        match account.answer(0, &long_term, &ask).unwrap() {
            Reply::Session(given) => as_session(&given),
            Reply::Role { credentials, .. } => as_session(&credentials),
            other => panic!("{other:?}"),
        }
    });
    let [role, plain, mfa] = opened;
    let mut code_of = |signed: &Signed, ask: &Ask| match account.answer(0, signed, ask) {
        Ok(_) => "ok".to_owned(),
        Err(no) => no.code,
    };
    for (signed, ask, code) in [
        (&long_term, list(None), "ok"),
        (&mfa, list(None), "ValidationError"),
        (&mfa, list(Some("bob")), "ok"),
        (&mfa, list(Some("eve")), "AccessDenied"),
        (&plain, list(Some("bob")), "InvalidClientTokenId"),
        (&plain, Ask::GetCallerIdentity, "ok"),
        (&role, list(Some("bob")), "ok"),
        (&role, list(Some("eve")), "NoSuchEntity"),
        (
            &role,
            Ask::GetAccessKeyInfo {
                id: key.id.to_string(),
            },
            "ok",
        ),
    ] {
        assert_eq!(code_of(signed, &ask), code, "{signed:?} {ask:?}");
    }
    // Sessions outlive the key that opened them, but not their own end.
    account.set_by_hand(key.id.as_str(), None, 10);
    assert!(account.answer(899, &mfa, &Ask::GetCallerIdentity).is_ok());
    let over = account.answer(900, &mfa, &Ask::GetCallerIdentity);
    assert_eq!(over.unwrap_err().code, "ExpiredToken");
    assert!(
        account
            .answer(20, &long_term, &Ask::GetCallerIdentity)
            .is_err()
    );
}

//! The simulated account as awskeep sees it in a world where things go wrong: every
//! call is an effect, may be struck by the world's script, and is checked.

use std::rc::Rc;

use awskeep::aws::{
    Account, Call, CallFailureClass, Caller, CreatedKey, Greeting, KeyStatus, LastUse, ListedKey,
    MfaDevice, Session, Signer,
};
use awskeep::types::keys::{AccessKey, AccessKeyId, Secret, UserArn};

use crate::rotation_world::{Event, World, crash};
use crate::sim::faults::{Fault, Script, When};
use crate::sim::in_process::InProcess;

/// The account as awskeep sees it, with everything that goes wrong on the way.
pub struct Watched(pub Rc<World>);

impl Watched {
    /// A call that changes something, or that is not to be made again once denied.
    fn act<T>(&self, action: &'static str, call: impl FnOnce(&InProcess) -> Call<T>) -> Call<T> {
        let watch = &self.0.watch;
        if !self.0.calm.get() {
            watch.asks(action);
        }
        let answer = self.call(call);
        if let Err(no) = &answer
            && !self.0.calm.get()
        {
            let unsure = matches!(
                no.class,
                CallFailureClass::Unknown | CallFailureClass::ReplyLost
            );
            // A key may have been made: another create would be one too many.
            if no.class == CallFailureClass::Denied || unsure && action == "CreateAccessKey" {
                watch.denies(action);
            }
        }
        answer
    }

    fn call<T>(&self, call: impl FnOnce(&InProcess) -> Call<T>) -> Call<T> {
        let world = &self.0;
        let event = world.tick();
        let fault = match event {
            None | Some(Event::CrashAfter) => None,
            Some(Event::CrashBefore) => crash(),
            Some(Event::LostBefore) => Some(Fault::LoseReply(When::Before)),
            Some(Event::LostAfter) => Some(Fault::LoseReply(When::After)),
            Some(Event::Unreadable) => Some(Fault::CutBody),
            Some(Event::Late(seconds) | Event::LateAndCrash(seconds)) => {
                Some(Fault::ArriveLate(seconds))
            }
            Some(Event::Throttled) => Some(Fault::throttling()),
            Some(Event::ServerError) => Some(Fault::server_error()),
            Some(Event::Denied) => Some(Fault::Refuse {
                status: 403,
                code: "AccessDenied",
                message: "User: arn:aws:iam::123456789012:user/eve is not authorized",
            }),
            Some(Event::LimitExceeded) => Some(Fault::Refuse {
                status: 409,
                code: "LimitExceeded",
                message: "Cannot exceed quota for AccessKeysPerUser: 2",
            }),
            Some(other) => unreachable!("{other:?} happens in tick"),
        };
        *world.aws.script.borrow_mut() = match fault {
            Some(fault) => Script::default().at(1, fault),
            None => Script::default(),
        };
        let answer = call(&world.aws);
        if let Some(Event::CrashAfter | Event::LateAndCrash(_)) = event {
            crash();
        }
        answer
    }

    fn count(&self, signer: Signer<'_>, sts: u32, iam: u32) {
        if let Signer::Key(key) = signer {
            let mut accepted = self.0.watch.accepted.borrow_mut();
            let counts = accepted.entry(key.id.to_string()).or_default();
            *counts = (counts.0 + sts, counts.1 + iam);
        }
    }
}

impl Account for Watched {
    fn caller(&self, signer: Signer<'_>) -> Call<Caller> {
        let answer = self.call(|aws| aws.caller(signer))?;
        self.count(signer, 1, 0);
        Ok(answer)
    }
    fn greet_iam(&self, signer: Signer<'_>, user: &UserArn) -> Call<Greeting> {
        let answer = self.call(|aws| aws.greet_iam(signer, user))?;
        self.count(signer, 0, 1);
        Ok(answer)
    }
    fn list_keys(&self, signer: Signer<'_>, user: &UserArn) -> Call<Vec<ListedKey>> {
        let answer = self.act("ListAccessKeys", |aws| aws.list_keys(signer, user))?;
        self.0.note_shown(&answer.value);
        Ok(answer)
    }
    fn create_key(&self, signer: Signer<'_>, user: &UserArn) -> Call<CreatedKey> {
        let created = self.act("CreateAccessKey", |aws| aws.create_key(signer, user))?;
        if !self.0.calm.get() {
            let id = created.value.key.id.to_string();
            self.0.watch.delivered.borrow_mut().insert(id);
        }
        Ok(created)
    }
    fn set_status(
        &self,
        signer: Signer<'_>,
        user: &UserArn,
        id: &AccessKeyId,
        status: &KeyStatus,
    ) -> Call<()> {
        self.act("UpdateAccessKey", |aws| {
            if *status == KeyStatus::Inactive {
                self.0.check_retire(id, false);
            }
            aws.set_status(signer, user, id, status)
        })
    }
    fn delete_key(&self, signer: Signer<'_>, user: &UserArn, id: &AccessKeyId) -> Call<()> {
        self.act("DeleteAccessKey", |aws| {
            self.0.check_retire(id, true);
            aws.delete_key(signer, user, id)
        })
    }
    fn last_used(&self, signer: Signer<'_>, id: &AccessKeyId) -> Call<LastUse> {
        self.act("GetAccessKeyLastUsed", |aws| aws.last_used(signer, id))
    }
    fn mfa_devices(&self, signer: Signer<'_>, user: &UserArn) -> Call<Vec<MfaDevice>> {
        self.call(|aws| aws.mfa_devices(signer, user))
    }
    fn mfa_session(&self, key: &AccessKey, serial: &str, code: &Secret) -> Call<Session> {
        let opened = self.call(|aws| aws.mfa_session(key, serial, code))?;
        self.0.watch.opens_session();
        Ok(opened)
    }
}

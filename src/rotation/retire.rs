//! What becomes of a replaced key: its last use looked at, deactivated, deleted, or
//! brought back. Edge; every call is signed by the key in service.

use super::known::{Activated, Known, LastUseSaid, seen_inactive};
use super::run::Run;
use super::transition;
use crate::failure::Outcome;
use crate::iam_account::{Account, CallFailureClass as Class, KeyStatus, LastUse, Signer};
use crate::keys::AccessKeyId;
use crate::vault::item::Item;

impl<A: Account> Run<'_, A> {
    pub(super) fn activate(&mut self, known: &Known, id: &AccessKeyId) -> Outcome<()> {
        let signer = &known.item.current;
        let key = signer.key();
        let call = || {
            self.tools.account.set_status(
                Signer::Key(&key),
                &self.identity.arn,
                id,
                &KeyStatus::Active,
            )
        };
        match self.patiently(Some(signer), call) {
            Ok(answer) => {
                self.note("activate", id, answer.request_id.as_deref(), "done");
                self.activated = Activated::Yes;
                let now = self.promote_time(known);
                self.edit(known, |item| transition::activated(item, id, now))
            }
            Err(no) => Err(self.refused(&key, "UpdateAccessKey", &no, &known.item)),
        }
    }

    pub(super) fn ask_last_use(&mut self, known: &Known, id: &AccessKeyId) -> Outcome<()> {
        let signer = &known.item.current;
        let key = signer.key();
        let call = || self.tools.account.last_used(Signer::Key(&key), id);
        self.last_use = match self.patiently(Some(signer), call) {
            Ok(answer) => match answer.value {
                LastUse::Never => LastUseSaid::Never,
                LastUse::At {
                    time,
                    service,
                    region,
                } => LastUseSaid::At {
                    time,
                    service,
                    region,
                },
            },
            Err(no) if no.class == Class::Denied => LastUseSaid::MayNotLook,
            Err(no) => return Err(self.refused(&key, "GetAccessKeyLastUsed", &no, &known.item)),
        };
        Ok(())
    }

    /// Notes the attempt, deactivates, notes the success.
    pub(super) fn deactivate(&mut self, known: &Known, id: &AccessKeyId) -> Outcome<()> {
        let Some(item) = self.note_retiring(known)? else {
            return Ok(());
        };
        let key = item.current.key();
        let call = || {
            self.tools.account.set_status(
                Signer::Key(&key),
                &self.identity.arn,
                id,
                &KeyStatus::Inactive,
            )
        };
        match self.patiently(Some(&item.current), call) {
            Ok(answer) => {
                self.note("deactivate", id, answer.request_id.as_deref(), "done");
                let now = answer.aws_time.unwrap_or_else(|| known.now());
                self.edit_item(&item, |item| {
                    if let Some(previous) = &mut item.previous {
                        seen_inactive(previous, now);
                    }
                })
                .map(|_| ())
            }
            // Somebody deleted it: the lists will tell for certain.
            Err(no) if no.class == Class::NoSuchEntity => {
                Err(self.unfinished(&format!("AWS knows no key {id} any more")))
            }
            Err(no) => Err(self.refused(&key, "UpdateAccessKey", &no, &item)),
        }
    }

    pub(super) fn delete(&mut self, known: &Known, id: &AccessKeyId) -> Outcome<()> {
        let Some(item) = self.note_retiring(known)? else {
            return Ok(());
        };
        let seen = Known {
            item: item.clone(),
            ..known.clone()
        };
        self.delete_at_aws(&seen, id, "delete")?;
        self.edit_item(&item, transition::clear).map(|_| ())
    }

    fn note_retiring(&self, known: &Known) -> Outcome<Option<Item>> {
        let now = self.promote_time(known);
        self.edit_item(&known.item, |item| {
            if let Some(previous) = &mut item.previous {
                previous.retire_started_at = Some(now);
            }
        })
    }
}

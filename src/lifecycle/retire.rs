//! What becomes of a replaced key: its last use looked at, deactivated, deleted, or
//! brought back. Edge.

use crate::aws::{Account, Call, CallFailureClass as Class, KeyStatus, LastUse};
use crate::error::Result;
use crate::lifecycle::execute::Run;
use crate::lifecycle::observed::{LastUseSaid, Observed, seen_inactive};
use crate::lifecycle::transition;
use crate::store::item::Item;
use crate::types::keys::AccessKeyId;

impl<A: Account> Run<'_, A> {
    pub(super) fn activate(&mut self, known: &Observed, id: &AccessKeyId) -> Result<()> {
        self.set_status(&known.item, id, &KeyStatus::Active, "activate")
            .map_err(|no| self.refused("UpdateAccessKey", &no, &known.item))?;
        self.activated.insert(id.clone());
        self.proof.remove(id);
        let now = self.promote_time(known);
        self.edit(known, |item| transition::activated(item, id, now))
    }

    /// UpdateAccessKey, noted however it went.
    fn set_status(
        &self,
        item: &Item,
        id: &AccessKeyId,
        status: &KeyStatus,
        step: &str,
    ) -> Call<()> {
        let (account, user) = (self.context.account, &self.identity.arn);
        let said = self.signed(item, |signer| account.set_status(signer, user, id, status));
        let receipt = self.receipt(step, item, id);
        self.note(&match &said {
            Ok(answer) => receipt.request(answer.request_id.as_deref()),
            Err(no) => receipt.request(no.request_id.as_deref()).failed(&no.code),
        });
        said
    }

    pub(super) fn ask_last_use(&mut self, known: &Observed, id: &AccessKeyId) -> Result<()> {
        let account = self.context.account;
        self.last_use = match self.signed(&known.item, |signer| account.last_used(signer, id)) {
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
            Err(no) => return Err(self.refused("GetAccessKeyLastUsed", &no, &known.item)),
        };
        Ok(())
    }

    /// Notes the attempt, deactivates, notes the success.
    pub(super) fn deactivate(&mut self, known: &Observed, id: &AccessKeyId) -> Result<()> {
        let Some(item) = self.note_retiring(known)? else {
            return Ok(());
        };
        match self.set_status(&item, id, &KeyStatus::Inactive, "deactivate") {
            Ok(answer) => {
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
            Err(no) => Err(self.refused("UpdateAccessKey", &no, &item)),
        }
    }

    pub(super) fn delete(&mut self, known: &Observed, id: &AccessKeyId) -> Result<()> {
        let Some(item) = self.note_retiring(known)? else {
            return Ok(());
        };
        let seen = Observed {
            item: item.clone(),
            ..known.clone()
        };
        self.delete_at_aws(&seen, id, "delete")?;
        self.edit_item(&item, transition::clear).map(|_| ())
    }

    fn note_retiring(&self, known: &Observed) -> Result<Option<Item>> {
        let now = self.promote_time(known);
        self.edit_item(&known.item, |item| {
            if let Some(previous) = &mut item.previous {
                previous.retire_started_at = Some(now);
            }
        })
    }
}

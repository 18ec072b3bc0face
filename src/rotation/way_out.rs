//! Which way out of a dead entry, asked of AWS where a list cannot tell. Edge, but
//! for the account it is given; `ways` decides, `rescue` performs.

use super::ways::{Way, diagnose};
use crate::failure::{Failure, Kind, Outcome};
use crate::iam_account::{Account, Answer, CallFailureClass, KeyStatus, ListedKey, Signer, prove};
use crate::keys::AccessKeyId;
use crate::time::Time;
use crate::vault::item::Item;

/// The way out; none if the served key works. Keys in `not` were declined by a person.
///
/// # Errors
/// `Kind::Unfinished` while STS and IAM say different things of the served key;
/// `prove::refused`'s where STS gives no answer.
pub fn way_out(
    account: &impl Account,
    item: &Item,
    listed: &Answer<Vec<ListedKey>>,
    here: Time,
    not: &[AccessKeyId],
) -> Outcome<Option<Way>> {
    let now = listed.aws_time.unwrap_or(here);
    let way = diagnose(item, &listed.value, now, not);
    let key = item.current.key();
    let status = listed.value.iter().find(|row| row.id == key.id);
    let is_listed = match status.map(|row| &row.status) {
        Some(KeyStatus::Active) => true,
        // Lists lag: nothing is given up on the word of one alone.
        None => false,
        Some(KeyStatus::Inactive | KeyStatus::Expired | KeyStatus::Other(_)) => {
            return Ok(Some(way));
        }
    };
    match account.caller(Signer::Key(&key)) {
        Ok(_) => Ok(None),
        Err(no) if no.class == CallFailureClass::WrongSecret => Ok(Some(match way {
            Way::Check => {
                let not = [not, std::slice::from_ref(&key.id)].concat();
                diagnose(item, &listed.value, now, &not)
            }
            way => way,
        })),
        Err(no) if no.class == CallFailureClass::KeyNotAccepted && !is_listed => Ok(Some(way)),
        Err(no) if no.class == CallFailureClass::KeyNotAccepted => Err(Failure::new(
            Kind::Unfinished,
            format!(
                "IAM lists {} as active, and STS does not accept it yet",
                key.id
            ),
        )
        .hint("look again in a minute")),
        Err(no) => Err(prove::refused(&key, "STS", &no)),
    }
}

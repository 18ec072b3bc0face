//! What a person is asked in the middle of a run, in words. Pure.

use crate::lifecycle::observed::{Observed, Signed};
use crate::lifecycle::plan::Question;

use crate::lifecycle::phrases::old;

/// The question as it is put.
pub fn question(question: &Question, known: &Observed) -> String {
    let entry = &known.item.entry;
    match question {
        Question::Reactivate(id) => format!(
            "{id} of entry {entry} is inactive at AWS; reactivate it? only if you know who disabled it"
        ),
        Question::Serve(id) => {
            format!("{id}, which entry {entry} holds too, is active at AWS; serve it from now on?")
        }
        Question::MakeKey => make_key(known),
        Question::MakeRoom(id) => format!(
            "{id} is held, inactive, and can still be brought back; delete it now to make room for a new key?"
        ),
        Question::RetireUnkept => {
            let (current, old) = (&known.item.current.id, old(known));
            format!(
                "the keychain may not have {current} on disk yet: if it crashes now, {old} is the only key left that works; retire {old} all the same?"
            )
        }
    }
}

fn make_key(known: &Observed) -> String {
    let item = &known.item;
    let declined = !known.answers.is_empty();
    let cannot = if declined { "is not" } else { "cannot be" };
    let user = item.identity.as_ref();
    let user = user.map_or_else(String::new, |identity| identity.arn.to_string());
    let rights = match &known.signed {
        Signed::ByCurrent => String::new(),
        Signed::ByOther { via } => format!(" with the rights of profile {via}"),
    };
    format!(
        "{} of entry {} {cannot} brought back; make a new key for {user}{rights}?",
        item.current.id, item.entry
    )
}

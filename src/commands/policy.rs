//! `awskeep policy [ENTRY]`: the smallest IAM policy with which the entry's user
//! can rotate its own key.

use crate::aws::policy::{ANY_USER, Mfa, matches_by_name, self_rotation};
use crate::cli::PolicyArgs;
use crate::commands::Invocation;
use crate::error::Result;
use crate::import::enroll;
use crate::store::entries::Entries;

pub fn run(context: &Invocation<'_>, args: &PolicyArgs) -> Result<()> {
    let ui = &context.env.ui;
    let mfa = if args.mfa {
        Mfa::Required
    } else {
        Mfa::NotAsked
    };
    let target = &args.target;
    let named = target.name.is_some() || target.entry.is_some() || target.profile.is_some();
    if !named {
        ui.json(&self_rotation(ANY_USER, mfa))?;
        ui.tell(
            "this matches users without a path, in partition aws only\n\
             hint: for one entry's user: awskeep policy ENTRY",
        );
        return Ok(());
    }
    let held = Entries::open(context.env)?.meant(target)?;
    let identity = enroll::identity_of(context.env, &held.item)?;
    ui.json(&self_rotation(identity.arn.as_str(), mfa))?;
    if !matches_by_name(&identity.arn) {
        ui.tell(&format!(
            "{} has the path {}: a policy on user/${{aws:username}} would not match it",
            identity.arn.user_name(),
            identity.arn.path()
        ));
    }
    Ok(())
}

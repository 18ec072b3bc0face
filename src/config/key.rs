//! The settings that there are: their names, forms, and what applies if nobody says
//! anything. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::types::lease::{DEFAULT_LEASE, LEAST_LEAD, LONGEST_LEASE, LONGEST_SETTLE, LONGEST_WAIT};
use crate::types::store_kind::StoreKind;
use crate::types::time::Span;

/// Every setting there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Auto,
    MaxAge,
    Lease,
    EnvLease,
    Hold,
    Settle,
    Store,
    Deadline,
    MfaSerial,
    MfaProcess,
}

impl Key {
    pub const ALL: [Key; 10] = [
        Key::Auto,
        Key::MaxAge,
        Key::Lease,
        Key::EnvLease,
        Key::Hold,
        Key::Settle,
        Key::Store,
        Key::Deadline,
        Key::MfaSerial,
        Key::MfaProcess,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Key::Auto => "auto",
            Key::MaxAge => "max_age",
            Key::Lease => "lease",
            Key::EnvLease => "env_lease",
            Key::Hold => "hold",
            Key::Settle => "settle",
            Key::Store => "store",
            Key::Deadline => "deadline",
            Key::MfaSerial => "mfa_serial",
            Key::MfaProcess => "mfa_process",
        }
    }

    /// The environment's twin. A lease is fixed in the item, and a command to run
    /// is not taken from the environment: those two have none.
    pub fn variable(self) -> Option<String> {
        match self {
            Key::Lease | Key::MfaProcess => None,
            _ => Some(format!("AWSKEEP_{}", self.name().to_ascii_uppercase())),
        }
    }

    /// What applies if nobody says anything.
    pub fn built_in(self) -> Option<String> {
        match self {
            Key::Auto => Some("off".into()),
            Key::MaxAge => Some("90d".into()),
            Key::Lease => Some(DEFAULT_LEASE.to_string()),
            Key::EnvLease => Some("24h".into()),
            Key::Hold => Some("14d".into()),
            Key::Settle => Some("15s".into()),
            Key::Store => Some(StoreKind::Keychain.word().into()),
            Key::Deadline => Some("2.5s".into()),
            Key::MfaSerial | Key::MfaProcess => None,
        }
    }

    /// Checks a value's form.
    ///
    /// # Errors
    /// `Kind::Usage` with what is expected.
    pub fn check(self, value: &str) -> Result<()> {
        let expects = |form: &str, ok: bool| {
            if ok {
                return Ok(());
            }
            Err(Error::new(
                Kind::Usage,
                format!("{} = {value:?} cannot be", self.name()),
            )
            .hint(format!("{} takes {form}", self.name())))
        };
        if value.chars().any(char::is_control) {
            return expects("one line without control characters", false);
        }
        let up_to = |most: Span| Span::parse(value).filter(|length| *length <= most);
        match self {
            Key::Auto => expects("on or off", matches!(value, "on" | "off")),
            Key::MaxAge => expects(
                &format!("a length up to {LONGEST_WAIT}, such as 90d, or never"),
                value == "never" || up_to(LONGEST_WAIT).is_some_and(|l| l > Span::ZERO),
            ),
            Key::Lease => expects(
                &format!("a length from {LEAST_LEAD} to {LONGEST_LEASE}"),
                up_to(LONGEST_LEASE).is_some_and(|l| l >= LEAST_LEAD),
            ),
            Key::EnvLease => expects(
                &format!("a length up to {LONGEST_WAIT}, such as 24h"),
                up_to(LONGEST_WAIT).is_some(),
            ),
            Key::Hold => expects(
                &format!("a length up to {LONGEST_WAIT}, such as 14d"),
                up_to(LONGEST_WAIT).is_some(),
            ),
            Key::Settle => expects(
                &format!("a length up to {LONGEST_SETTLE}, such as 15s"),
                up_to(LONGEST_SETTLE).is_some(),
            ),
            Key::Store => value.parse::<StoreKind>().map(|_| ()),
            Key::Deadline => expects("seconds from 0.1s to 30s", parse_deadline(value).is_some()),
            Key::MfaSerial => expects("a device's serial or ARN", !value.trim().is_empty()),
            Key::MfaProcess => expects("a command", !value.trim().is_empty()),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Key::ALL
            .into_iter()
            .find(|key| key.name() == text)
            .ok_or_else(|| {
                let nearest = Key::ALL
                    .into_iter()
                    .max_by(|a, b| {
                        strsim::jaro_winkler(a.name(), text)
                            .total_cmp(&strsim::jaro_winkler(b.name(), text))
                    })
                    .map_or("auto", Key::name);
                Error::new(Kind::Usage, format!("there is no setting {text:?}")).hint(format!(
                    "did you mean {nearest}? all of them: awskeep config"
                ))
            })
    }
}

pub fn parse_deadline(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().strip_suffix('s')?.parse().ok()?;
    (0.1..=30.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

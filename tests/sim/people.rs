//! The simulated account's users, keys, MFA devices and denials. Pure; nothing but std.

use super::asks::{Ask, Door, Refusal, Use};

/// A key's true status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Active,
    Inactive,
    Expired,
    /// One that no program of today has heard of.
    Unheard,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Active => "Active",
            Status::Inactive => "Inactive",
            Status::Expired => "Expired",
            Status::Unheard => "Suspended",
        }
    }

    pub fn parse(text: &str) -> Option<Status> {
        let all = [Status::Active, Status::Inactive, Status::Expired];
        all.into_iter().find(|status| status.as_str() == text)
    }
}

/// How late one endpoint sees a change: it answers from before until both that many
/// seconds and that many calls with the key are over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lag {
    pub seconds: i64,
    pub calls: u32,
    /// The calls (0 = the first that sees the change) that are answered from before
    /// once more: one success is not propagation.
    pub blips: Vec<u32>,
}

impl Lag {
    pub fn seconds(seconds: i64) -> Lag {
        Lag {
            seconds,
            ..Lag::default()
        }
    }

    pub fn calls(calls: u32) -> Lag {
        Lag {
            calls,
            ..Lag::default()
        }
    }

    /// Whether the `call`th look (from 0) since a change `age` seconds ago is stale.
    fn hides(&self, age: i64, call: u32) -> bool {
        age < self.seconds || call < self.calls || self.blips.contains(&(call - self.calls))
    }
}

/// The delays of the whole account.
#[derive(Debug, Clone, Default)]
pub struct Lags {
    pub sts: Pace,
    pub iam: Pace,
    /// ListAccessKeys.
    pub lists: Lag,
}

/// How late an endpoint accepts a new or reactivated key, and refuses a dead one.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    pub birth: Lag,
    pub death: Lag,
}

/// One access key; `status` none = deleted.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub created_at: i64,
    pub status: Option<Status>,
    /// What was true before the last change.
    pub before: Option<Status>,
    pub changed_at: i64,
    pub last_used: Option<Use>,
    looks_sts: u32,
    looks_iam: u32,
    looks_list: u32,
}

impl Key {
    pub fn new(account: &str, number: u64, now: i64) -> Key {
        Key {
            id: key_id("AKIA", account, number),
            secret: secret(number),
            created_at: now,
            status: Some(Status::Active),
            before: None,
            changed_at: now,
            last_used: None,
            looks_sts: 0,
            looks_iam: 0,
            looks_list: 0,
        }
    }

    pub fn change(&mut self, status: Option<Status>, now: i64) {
        self.before = self.status;
        self.status = status;
        self.changed_at = now;
        (self.looks_sts, self.looks_iam, self.looks_list) = (0, 0, 0);
    }

    /// What an endpoint takes the key for; the look is counted.
    pub fn seen_at(&mut self, door: Door, now: i64, lags: &Lags) -> Option<Status> {
        let (pace, looks) = match door {
            Door::Sts => (&lags.sts, &mut self.looks_sts),
            Door::Iam => (&lags.iam, &mut self.looks_iam),
        };
        let lag = match self.status {
            Some(Status::Active) => &pace.birth,
            Some(Status::Inactive | Status::Expired | Status::Unheard) | None => &pace.death,
        };
        let stale = lag.hides(now - self.changed_at, *looks);
        *looks += 1;
        if stale { self.before } else { self.status }
    }

    /// How a list shows the key; the look is counted.
    pub fn listed_at(&mut self, now: i64, lag: &Lag) -> Option<Status> {
        let stale = lag.hides(now - self.changed_at, self.looks_list);
        self.looks_list += 1;
        if stale { self.before } else { self.status }
    }
}

/// A key id as newer ones are: the account in base 32, then a number.
pub fn key_id(prefix: &str, account: &str, number: u64) -> String {
    let account: u64 = account.parse().expect("twelve digits");
    let head = 1 << 49 | account << 9;
    let digits = |value: u64, count: u32| {
        (0..count).rev().map(move |at| {
            let digit = (value >> (5 * at) & 31) as usize;
            char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[digit])
        })
    };
    let id = digits(head, 10).chain(digits(number, 6));
    prefix.chars().chain(id).collect()
}

/// Forty characters that look like a secret, every number its own.
pub fn secret(number: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+";
    let mut state = number ^ 0x9e37_79b9_7f4a_7c15;
    let letters = (0..40).map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(LETTERS[(state >> 58) as usize])
    });
    letters.collect()
}

/// Who an accepted signer is; users by their place in the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    User(usize),
    PlainSession(usize),
    MfaSession(usize),
    Role { arn: String, id: String },
}

/// Why an action is denied; each has its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// Nothing allows it.
    NotAllowed,
    ExplicitDeny,
    /// An explicit deny that an MFA session passes.
    MfaRequired,
    /// Allowed in an MFA session, and by nothing else.
    AllowedWithMfa,
    Boundary,
    ServiceControlPolicy,
    Quarantine,
}

/// A denial of one action, `*` for all but what the usual Force-MFA policy leaves.
#[derive(Debug, Clone)]
pub struct Denial {
    pub action: String,
    pub because: Because,
}

/// A device and the codes that it will show; each is accepted once.
#[derive(Debug, Clone)]
pub struct MfaDevice {
    pub serial: String,
    pub codes: Vec<String>,
}

/// An IAM user, or root.
#[derive(Debug, Clone)]
pub struct User {
    pub arn: String,
    pub user_id: String,
    pub path: String,
    pub name: String,
    pub keys: Vec<Key>,
    pub mfa: Vec<MfaDevice>,
    pub denials: Vec<Denial>,
    pub rights: Rights,
}

/// Whose keys a user may handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    OwnKeys,
    Everybody,
}

impl User {
    pub fn new(arn: String, user_id: String, path: &str, name: &str) -> User {
        User {
            arn,
            user_id,
            path: path.into(),
            name: name.into(),
            keys: Vec::new(),
            mfa: Vec::new(),
            denials: Vec::new(),
            rights: Rights::OwnKeys,
        }
    }

    /// The keys that truly exist.
    pub fn living_keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| key.status.is_some())
    }

    pub fn deny(&mut self, action: &str, because: Because) -> &mut User {
        self.denials.push(Denial {
            action: action.into(),
            because,
        });
        self
    }

    /// What AWS attaches to a user whose key has leaked (V3).
    pub fn quarantine(&mut self) -> &mut User {
        for action in [
            "CreateAccessKey",
            "UpdateAccessKey",
            "DeleteAccessKey",
            "GetSessionToken",
        ] {
            self.deny(action, Because::Quarantine);
        }
        self
    }

    pub fn is_admin(&self) -> bool {
        self.rights == Rights::Everybody
    }

    pub fn not_allowed(&self, ask: &Ask, resource: &str) -> Refusal {
        self.refuse(ask, resource, Because::NotAllowed)
    }

    pub fn denial_of(&self, ask: &Ask, who: &Who, resource: &str) -> Result<(), Refusal> {
        let left_by_force_mfa = ["GetUser", "ListMFADevices", "GetSessionToken"];
        let action = ask.action();
        let denial = self.denials.iter().find(|denial| {
            let named = denial.action == action
                || denial.action == "*" && !left_by_force_mfa.contains(&action);
            let by_mfa = [Because::MfaRequired, Because::AllowedWithMfa];
            let passed = by_mfa.contains(&denial.because) && matches!(who, Who::MfaSession(_));
            named && !passed
        });
        match denial {
            Some(denial) => Err(self.refuse(ask, resource, denial.because)),
            None => Ok(()),
        }
    }

    fn refuse(&self, ask: &Ask, resource: &str, because: Because) -> Refusal {
        let service = match ask.door() {
            Door::Sts => "sts",
            Door::Iam => "iam",
        };
        let action = format!("{service}:{}", ask.action());
        let why = match because {
            Because::NotAllowed | Because::AllowedWithMfa => {
                format!("because no identity-based policy allows the {action} action")
            }
            Because::ExplicitDeny | Because::MfaRequired | Because::Quarantine => {
                "with an explicit deny in an identity-based policy".to_owned()
            }
            Because::Boundary => {
                format!("because no permissions boundary allows the {action} action")
            }
            Because::ServiceControlPolicy => {
                "with an explicit deny in a service control policy".to_owned()
            }
        };
        Refusal::denied(format!(
            "User: {} is not authorized to perform: {action} on resource: {resource} {why}",
            self.arn
        ))
    }

    /// Uses an MFA code up.
    pub fn spend_code(&mut self, serial: &str, code: &str) -> Result<(), Refusal> {
        let device = self.mfa.iter_mut().find(|device| device.serial == serial);
        let codes = device.map(|device| &mut device.codes);
        let at = codes
            .as_ref()
            .and_then(|codes| codes.iter().position(|c| c == code));
        match (codes, at) {
            (Some(codes), Some(at)) => {
                codes.remove(at);
                Ok(())
            }
            (None, _) => Err(Refusal::denied(
                "MultiFactorAuthentication failed, unable to validate MFA code. Please verify \
                 your MFA serial number is valid and associated with this user.",
            )),
            (Some(_), None) => Err(Refusal::denied(
                "MultiFactorAuthentication failed with invalid MFA one time pass code.",
            )),
        }
    }
}

//! What goes wrong, and at which request: a script that tests write beforehand.
//! Nothing but std.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Before or after the account acts on the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

/// One thing that goes wrong.
#[derive(Clone)]
pub enum Fault {
    /// The connection is closed without a reply.
    LoseReply(When),
    /// Closed without a reply; the request takes effect that many seconds later.
    ArriveLate(i64),
    /// It acts, then sends half of the reply.
    CutBody,
    /// It acts, then sends status 200 with something that is no XML.
    Garbage,
    /// No reply until the client gives up.
    Hang(When),
    /// This refusal instead of acting.
    Refuse {
        status: u16,
        code: &'static str,
        message: &'static str,
    },
    /// This status with a page of a proxy, without an error code, instead of acting.
    Bare(u16),
    /// This status with this body, instead of acting.
    Body(u16, &'static str),
    /// It acts and answers after that long.
    Delay(Duration),
    /// Runs something (kills a process, moves a clock, plays another person), then
    /// goes on as if nothing had happened.
    Halt(When, Arc<dyn Fn() + Send + Sync>),
}

impl Fault {
    pub fn halt(when: When, run: impl Fn() + Send + Sync + 'static) -> Fault {
        Fault::Halt(when, Arc::new(run))
    }

    pub fn server_error() -> Fault {
        Fault::Refuse {
            status: 500,
            code: "ServiceFailure",
            message: "The request processing has failed because of an unknown error.",
        }
    }

    pub fn throttling() -> Fault {
        Fault::Refuse {
            status: 400,
            code: "Throttling",
            message: "Rate exceeded",
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::LoseReply(when) => write!(f, "LoseReply({when:?})"),
            Fault::ArriveLate(seconds) => write!(f, "ArriveLate({seconds})"),
            Fault::CutBody => f.write_str("CutBody"),
            Fault::Garbage => f.write_str("Garbage"),
            Fault::Hang(when) => write!(f, "Hang({when:?})"),
            Fault::Refuse { status, code, .. } => write!(f, "Refuse({status} {code})"),
            Fault::Bare(status) => write!(f, "Bare({status})"),
            Fault::Body(status, _) => write!(f, "Body({status})"),
            Fault::Delay(how_long) => write!(f, "Delay({how_long:?})"),
            Fault::Halt(when, _) => write!(f, "Halt({when:?})"),
        }
    }
}

/// The faults to come, by action and by how often it was asked before.
#[derive(Debug, Clone, Default)]
pub struct Script {
    rules: Vec<Rule>,
    asked: BTreeMap<String, u32>,
    refused_connections: u32,
}

#[derive(Debug, Clone)]
struct Rule {
    /// None: any action.
    action: Option<String>,
    /// The first and last request of the action that it strikes, from 1.
    first: u32,
    last: u32,
    fault: Fault,
}

impl Script {
    /// Strikes the `nth` request (from 1) of an action.
    #[must_use]
    pub fn on(self, action: &str, nth: u32, fault: Fault) -> Script {
        self.rule(Some(action), nth, nth, fault)
    }

    /// Strikes every request of an action.
    #[must_use]
    pub fn every(self, action: &str, fault: Fault) -> Script {
        self.rule(Some(action), 1, u32::MAX, fault)
    }

    /// Strikes the `nth` request (from 1) of all.
    #[must_use]
    pub fn at(self, nth: u32, fault: Fault) -> Script {
        self.rule(None, nth, nth, fault)
    }

    /// Closes the next `count` connections as soon as they are accepted.
    #[must_use]
    pub fn close_on_accept(mut self, count: u32) -> Script {
        self.refused_connections = count;
        self
    }

    /// Counts one request, and gives what strikes it: the first rule that fits.
    pub fn next(&mut self, action: &str) -> Option<Fault> {
        let mut count = |name: &str| {
            let count = self.asked.entry(name.to_owned()).or_insert(0);
            *count += 1;
            *count
        };
        let (of_action, of_all) = (count(action), count("*"));
        let fits = |rule: &&Rule| match &rule.action {
            Some(name) => name == action && (rule.first..=rule.last).contains(&of_action),
            None => (rule.first..=rule.last).contains(&of_all),
        };
        self.rules.iter().find(fits).map(|rule| rule.fault.clone())
    }

    /// Whether a new connection is to be closed at once.
    pub fn refuses_connection(&mut self) -> bool {
        let refuses = self.refused_connections > 0;
        self.refused_connections = self.refused_connections.saturating_sub(1);
        refuses
    }

    fn rule(mut self, action: Option<&str>, first: u32, last: u32, fault: Fault) -> Script {
        self.rules.push(Rule {
            action: action.map(str::to_owned),
            first,
            last,
            fault,
        });
        self
    }
}

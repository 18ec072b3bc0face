//! How calls leave this machine: extra certificates, proxy, time limits. Values
//! only; `env.rs` reads the environment, `live.rs` uses them. Pure.

use std::fmt;
use std::time::Duration;

/// The network settings of one run.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The content of `AWS_CA_BUNDLE`, trusted besides the system's certificates.
    pub ca_bundle_pem: Option<Vec<u8>>,
    pub proxies: Proxies,
    pub timeouts: Timeouts,
}

/// The proxy for https. There is none for http: plain http never leaves this machine,
/// so `HTTP_PROXY` has no use here.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<String>,
    exempt: Option<String>,
}

impl Proxies {
    /// Takes `HTTPS_PROXY` (else `ALL_PROXY`) and `NO_PROXY`, lower case first as
    /// curl and Python do. `value` gives a variable's value; empty counts as unset.
    pub fn from_values(value: impl Fn(&str) -> Option<String>) -> Proxies {
        let either = |name: &str| {
            let set = |name: &str| value(name).filter(|text| !text.trim().is_empty());
            set(&name.to_ascii_lowercase()).or_else(|| set(name))
        };
        let https = either("HTTPS_PROXY").or_else(|| either("ALL_PROXY"));
        Proxies {
            https: https.map(|url| with_scheme(url.trim())),
            exempt: either("NO_PROXY"),
        }
    }

    /// The proxy's URL; may hold a password.
    pub fn https(&self) -> Option<&str> {
        self.https.as_deref()
    }

    /// The hosts that are reached without it, comma-separated.
    pub fn exempt(&self) -> Option<&str> {
        self.exempt.as_deref()
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's URL often holds a password.
        f.debug_struct("Proxies")
            .field("https", &self.https.as_ref().map(|_| "[set]"))
            .field("exempt", &self.exempt)
            .finish()
    }
}

/// Time limits of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// One request and its reply.
    pub attempt: Duration,
    /// The call with all its retries.
    pub operation: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(5),
            attempt: Duration::from_secs(10),
            operation: Duration::from_secs(30),
        }
    }
}

/// `proxy:3128` means `http://proxy:3128`, as everywhere.
fn with_scheme(url: &str) -> String {
    if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_come_from_the_usual_variables() {
        for (set, https, exempt) in [
            (vec![], None, None),
            (vec![("HTTP_PROXY", "http://p:1")], None, None),
            (vec![("HTTPS_PROXY", " p:1 ")], Some("http://p:1"), None),
            (
                vec![
                    ("HTTPS_PROXY", "http://upper"),
                    ("https_proxy", "http://lower"),
                ],
                Some("http://lower"),
                None,
            ),
            (
                vec![
                    ("all_proxy", "https://a"),
                    ("https_proxy", ""),
                    ("NO_PROXY", "x,y"),
                ],
                Some("https://a"),
                Some("x,y"),
            ),
        ] {
            let value = |name: &str| {
                let found = set.iter().find(|(n, _)| *n == name);
                found.map(|(_, text)| (*text).to_owned())
            };
            let proxies = Proxies::from_values(value);
            assert_eq!((proxies.https(), proxies.exempt()), (https, exempt));
        }
        let proxies = Proxies::from_values(|_| Some("http://me:hunter2@p".into()));
        assert_eq!(proxies.https(), Some("http://me:hunter2@p"));
    }

    #[test]
    fn a_proxy_password_never_prints() {
        let only_https =
            |name: &str| (name == "https_proxy").then(|| "http://me:hunter2@p".to_owned());
        let shown = format!("{:?}", Proxies::from_values(only_https));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

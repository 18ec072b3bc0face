//! Checks Signature Version 4 for real: a wrong secret or a wrong clock is refused
//! as AWS refuses it. Source: "Create a signed AWS API request" (IAM User Guide).

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::asks::{Door, Proof, Refusal, Signed};
use super::clock::{compact, read_compact};
use super::http::Request;

/// How far a signature's time may be off, in seconds.
const TOLERANCE: i64 = 300;

/// The signature of one request, taken apart.
pub struct Signature<'a> {
    pub key_id: &'a str,
    pub token: Option<&'a str>,
    pub door: Door,
    region: &'a str,
    service: &'a str,
    day: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
    time: &'a str,
}

impl<'a> Signature<'a> {
    pub fn of(request: &'a Request) -> Result<Signature<'a>, Refusal> {
        let missing = || {
            let message = "Request is missing Authentication Token";
            Refusal::new(403, "MissingAuthenticationToken", message)
        };
        let incomplete = || {
            let message = "Authorization header is not a valid signature";
            Refusal::new(400, "IncompleteSignature", message)
        };
        let header = request.header("authorization").ok_or_else(missing)?;
        let parts = header
            .strip_prefix("AWS4-HMAC-SHA256 ")
            .ok_or_else(incomplete)?;
        let part = |name: &str| {
            let mut all = parts.split(',').filter_map(|p| p.trim().split_once('='));
            all.find(|(n, _)| *n == name).map(|(_, value)| value)
        };
        let read = || {
            let scope: Vec<&str> = part("Credential")?.split('/').collect();
            let [key_id, day, region, service, "aws4_request"] = scope[..] else {
                return None;
            };
            let door = match service {
                "sts" => Door::Sts,
                "iam" => Door::Iam,
                _ => return None,
            };
            Some(Signature {
                key_id,
                token: request.header("x-amz-security-token"),
                door,
                region,
                service,
                day,
                signed_headers: part("SignedHeaders")?.split(';').collect(),
                signature: part("Signature")?,
                time: request.header("x-amz-date")?,
            })
        };
        read().ok_or_else(incomplete)
    }

    /// Who signs, as far as `secret` (none: unknown key) tells.
    pub fn signed(&self, request: &Request, secret: Option<&str>) -> Signed {
        let good = secret.is_none_or(|secret| self.expected(request, secret) == self.signature);
        Signed {
            key_id: self.key_id.to_owned(),
            token: self.token.map(str::to_owned),
            proof: if good { Proof::Good } else { Proof::Wrong },
        }
    }

    /// Refuses a signature that was made too long ago or in the future.
    pub fn check_time(&self, now: i64) -> Result<(), Refusal> {
        let signed_at = read_compact(self.time).unwrap_or(0);
        let (now_text, time) = (compact(now), self.time);
        let message = if signed_at < now - TOLERANCE {
            let limit = compact(now - TOLERANCE);
            format!("Signature expired: {time} is now earlier than {limit} ({now_text} - 5 min.)")
        } else if signed_at > now + TOLERANCE {
            let limit = compact(now + TOLERANCE);
            format!(
                "Signature not yet current: {time} is still later than {limit} ({now_text} + 5 min.)"
            )
        } else {
            return Ok(());
        };
        Err(Refusal::new(403, "SignatureDoesNotMatch", message))
    }

    fn expected(&self, request: &Request, secret: &str) -> String {
        let headers: String = self
            .signed_headers
            .iter()
            .map(|name| {
                let value = request.header(name).unwrap_or_default();
                let value: Vec<&str> = value.split_whitespace().collect();
                format!("{name}:{}\n", value.join(" "))
            })
            .collect();
        let (path, query) = request
            .target
            .split_once('?')
            .unwrap_or((&request.target, ""));
        let mut query: Vec<&str> = query.split('&').collect();
        query.sort_unstable();
        let canonical = format!(
            "{}\n{path}\n{}\n{headers}\n{}\n{}",
            request.method,
            query.join("&"),
            self.signed_headers.join(";"),
            hex(&Sha256::digest(&request.body)),
        );
        let scope = format!("{}/{}/{}/aws4_request", self.day, self.region, self.service);
        let hashed = hex(&Sha256::digest(canonical.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hashed}", self.time);
        let steps = [self.day, self.region, self.service, "aws4_request", &text];
        let start = format!("AWS4{secret}").into_bytes();
        let last = steps
            .iter()
            .fold(start, |key, step| hmac(&key, step.as_bytes()));
        hex(&last)
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

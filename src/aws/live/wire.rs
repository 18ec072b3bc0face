//! Clients and connections: endpoint, TLS, proxy, retries. Edge.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_iam::config::{
    Credentials, RuntimeComponents, SharedCredentialsProvider, SharedHttpClient,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns};
use aws_types::sdk_config::{SharedTimeSource, TimeSource};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::aws::endpoint::{check_endpoint, iam_region, is_plain_loopback, public_iam, public_sts};
use crate::aws::live::seen::Seen;
use crate::aws::network::{Network, Proxies, Timeouts};
use crate::aws::{Place, Signer};
use crate::error::{Error, Kind, Result};
use crate::system::env::Clock;
use crate::types::escape;

/// How a call is sent.
#[derive(Clone, Copy)]
pub enum Manner {
    /// On a shared connection, retried by the SDK.
    Pooled,
    /// On a connection of its own, retried.
    Fresh,
    /// On a connection of its own, sent exactly once: a kept-alive connection that
    /// AWS closes at that moment would leave the answer unknown.
    Once,
}

/// Everything that the clients of one place have in common.
pub struct Wire {
    place: Place,
    timeouts: Timeouts,
    doors: Doors,
    sts_http: SharedHttpClient,
    iam_http: SharedHttpClient,
    clock: Clock,
}

/// The clock that requests are signed by.
#[derive(Debug)]
struct SignedBy(Clock);

impl TimeSource for SignedBy {
    fn now(&self) -> SystemTime {
        let seconds = u64::try_from(self.0.now().0).unwrap_or(0);
        let now = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        now.unwrap_or(UNIX_EPOCH)
    }
}

impl Wire {
    pub fn new(place: Place, network: &Network) -> Result<Wire> {
        if let Some(endpoint) = &place.endpoint {
            check_endpoint(&endpoint.sts)?;
            check_endpoint(&endpoint.iam)?;
        }
        let doors = Doors {
            tls: tls_context(network.ca_bundle_pem.as_deref())?,
            proxy: proxy_config(&network.proxies)?,
        };
        Ok(Wire {
            sts_http: doors.client(place.endpoint.as_ref().map(|e| e.sts.as_str())),
            iam_http: doors.client(place.endpoint.as_ref().map(|e| e.iam.as_str())),
            timeouts: network.timeouts,
            clock: Clock::System,
            place,
            doors,
        })
    }

    pub fn sign_by(&mut self, clock: Clock) {
        self.clock = clock;
    }

    pub fn sts(&self, signer: Signer<'_>, manner: Manner, seen: &Seen) -> aws_sdk_sts::Client {
        let url = self.place.endpoint.as_ref().map(|e| e.sts.as_str());
        let http = self.http(&self.sts_http, url, manner);
        let shared = self.config(signer, &self.place.region, url, http, manner);
        let own = || public_sts(&self.place.region, &self.place.partition);
        seen.asks(format!("STS, {}", Self::host(url, own)));
        let config = aws_sdk_sts::config::Builder::from(&shared).interceptor(seen.clone());
        aws_sdk_sts::Client::from_conf(config.build())
    }

    pub fn iam(&self, signer: Signer<'_>, manner: Manner, seen: &Seen) -> aws_sdk_iam::Client {
        let url = self.place.endpoint.as_ref().map(|e| e.iam.as_str());
        let http = self.http(&self.iam_http, url, manner);
        let region = iam_region(&self.place.partition).unwrap_or(&self.place.region);
        let shared = self.config(signer, region, url, http, manner);
        let own = || public_iam(&self.place.partition);
        seen.asks(format!("IAM, {}", Self::host(url, own)));
        let config = aws_sdk_iam::config::Builder::from(&shared).interceptor(seen.clone());
        aws_sdk_iam::Client::from_conf(config.build())
    }

    /// How long a call takes at most, with all its retries.
    pub fn longest(&self) -> Duration {
        self.timeouts.operation
    }

    fn host(url: Option<&str>, own: impl FnOnce() -> Option<String>) -> String {
        let url = url.map(str::to_owned).or_else(own).unwrap_or_default();
        let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host);
        escape::line(host.trim_end_matches('/')).into_owned()
    }

    fn http(&self, pool: &SharedHttpClient, url: Option<&str>, how: Manner) -> SharedHttpClient {
        match how {
            Manner::Pooled => pool.clone(),
            Manner::Fresh | Manner::Once => self.doors.client(url),
        }
    }

    fn config(
        &self,
        signer: Signer<'_>,
        region: &str,
        url: Option<&str>,
        http: SharedHttpClient,
        manner: Manner,
    ) -> SdkConfig {
        let retries = match (manner, &self.clock) {
            (Manner::Once, _) => RetryConfig::disabled(),
            (_, Clock::System) => RetryConfig::standard(),
            // On a clock that tests set, nothing really waits.
            (_, Clock::Set(_)) => RetryConfig::standard().with_initial_backoff(Duration::ZERO),
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.timeouts.connect)
            .operation_attempt_timeout(self.timeouts.attempt)
            .operation_timeout(self.timeouts.operation)
            .build();
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .app_name(AppName::new("awskeep").expect("a plain name is a valid one"))
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials(signer)))
            .identity_cache(IdentityCache::no_cache())
            .http_client(http)
            .retry_config(retries)
            .time_source(SharedTimeSource::new(SignedBy(self.clock.clone())))
            .timeout_config(timeouts);
        config.set_endpoint_url(url.map(str::to_owned));
        config.build()
    }
}

fn credentials(signer: Signer<'_>) -> Credentials {
    let (key, token) = match signer {
        Signer::Key(key) => (key, None),
        Signer::Session(session) => (&session.key, Some(session.token.expose().to_owned())),
    };
    Credentials::new(key.id.as_str(), key.secret.expose(), token, None, "awskeep")
}

/// The ways out of this machine.
struct Doors {
    tls: TlsContext,
    proxy: ProxyConfig,
}

impl Doors {
    /// A client with connections of its own. To this machine itself in plain http:
    /// no proxy, and no certificates are loaded.
    fn client(&self, url: Option<&str>) -> SharedHttpClient {
        if url.is_some_and(is_plain_loopback) {
            // Without certificates there is nothing that https could trust.
            let nothing = TlsContext::builder().with_trust_store(TrustStore::empty());
            return Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(nothing.build().expect("no certificate is a bad one"))
                .build_with_resolver(ThisMachine);
        }
        let (tls, proxy) = (self.tls.clone(), self.proxy.clone());
        Builder::new().build_with_connector_fn(move |settings, components| {
            let mut connector = Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(tls.clone())
                .proxy_config(proxy.clone());
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            connector.build()
        })
    }
}

/// Where `localhost` is: here, whatever a resolver says of it.
#[derive(Debug, Clone)]
struct ThisMachine;

impl ResolveDns for ThisMachine {
    fn resolve_dns<'a>(&'a self, _: &'a str) -> DnsFuture<'a> {
        let v4 = IpAddr::from(Ipv4Addr::LOCALHOST);
        DnsFuture::ready(Ok(vec![v4, Ipv6Addr::LOCALHOST.into()]))
    }
}

/// The system's certificates, and those of the bundle that can be read. They are
/// checked one by one here because the SDK panics at the first that cannot.
fn tls_context(bundle_pem: Option<&[u8]>) -> Result<TlsContext> {
    let mut trust = TrustStore::empty().with_native_roots(true);
    if let Some(bundle) = bundle_pem {
        let usable = usable_certificates(bundle);
        if usable.is_empty() {
            return Err(Error::new(
                Kind::Usage,
                "the CA bundle (AWS_CA_BUNDLE) holds no usable PEM certificate",
            ));
        }
        for pem in usable {
            trust.add_pem_certificate(pem);
        }
    }
    TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|e| Error::new(Kind::Failed, "cannot set up TLS").cause(e))
}

fn usable_certificates(bundle: &[u8]) -> Vec<&[u8]> {
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let ends = bundle.windows(END.len()).enumerate();
    let mut from = 0;
    let mut usable = Vec::new();
    for (at, _) in ends.filter(|(_, window)| *window == END) {
        let pem = &bundle[from..at + END.len()];
        from = at + END.len();
        let mut count = 0;
        let all_good = CertificateDer::pem_slice_iter(pem).all(|certificate| {
            count += 1;
            certificate.is_ok_and(|der| RootCertStore::empty().add(der).is_ok())
        });
        if all_good && count > 0 {
            usable.push(pem);
        }
    }
    usable
}

fn proxy_config(proxies: &Proxies) -> Result<ProxyConfig> {
    let Some(url) = proxies.https() else {
        return Ok(ProxyConfig::disabled());
    };
    // The URL may hold a password: neither it nor the parser's words are repeated.
    let proxy = ProxyConfig::https(url).map_err(|_| {
        Error::new(Kind::Usage, "the proxy in HTTPS_PROXY cannot be used")
            .hint("awskeep speaks to http:// and https:// proxies")
    })?;
    Ok(match proxies.exempt() {
        Some(hosts) => proxy.no_proxy(hosts),
        None => proxy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::item::Endpoint;

    /// A client for `http://localhost` takes every name for this machine, so no resolver
    /// was asked: `.invalid` is in none.
    #[test]
    fn localhost_is_this_machine_whatever_the_resolver_says() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = std::thread::spawn(move || listener.accept().map(drop));
        let endpoint = |url: String| Endpoint {
            sts: url.clone(),
            iam: url,
        };
        let place = Place {
            region: "eu-central-1".into(),
            partition: "aws".into(),
            endpoint: Some(endpoint(format!("http://localhost:{port}"))),
        };
        let mut wire = Wire::new(place, &Network::default()).unwrap();
        wire.place.endpoint = Some(endpoint(format!("http://name.invalid:{port}")));
        let key = crate::types::keys::AccessKey::from_pasted("AKIAIOSFODNN7EXAMPLE", "s").unwrap();
        let seen = Seen::default();
        let sts = wire.sts(Signer::Key(&key), Manner::Pooled, &seen);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _closed = runtime.block_on(sts.get_caller_identity().send());
        assert!(seen.may_have_left());
        heard.join().unwrap().unwrap();
    }

    #[test]
    fn a_bundle_without_certificates_is_refused() {
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bundle in ["", "hello", junk] {
            assert!(tls_context(Some(bundle.as_bytes())).is_err(), "{bundle}");
        }
        assert!(tls_context(None).is_ok());
    }

    #[test]
    fn a_proxy_of_another_kind_is_refused_without_its_password() {
        for (url, fine) in [
            ("http://proxy.example:3128", true),
            ("https://me:hunter2@proxy.example", true),
            ("proxy.example:3128", true),
            ("socks5://me:hunter2@proxy.example", false),
            ("http://me:hunter2@bad host", false),
        ] {
            let value = |name: &str| (name == "https_proxy").then(|| url.to_owned());
            match proxy_config(&Proxies::from_values(value)) {
                Ok(_) => assert!(fine, "{url}"),
                Err(e) => assert!(!fine && !e.to_string().contains("hunter2"), "{url}: {e}"),
            }
        }
    }
}

//! Where awskeep's own AWS calls go, and the account to call. Edge.
//!
//! Region, partition and endpoint are fixed in the item when the key is proven.
//! What the environment or a profile says otherwise counts only when a key is
//! added, and then only after a person agreed.

use std::path::Path;
use std::sync::Arc;

use crate::aws::Place;
use crate::aws::endpoint::{
    aws_own, aws_vpc, check_endpoint, partition_of_region, public_iam, public_sts,
};
use crate::aws::live::LiveAccount;
use crate::aws::network::{Network, Proxies, Timeouts};
use crate::error::{Error, Kind, Result};
use crate::profiles::document::Document;
use crate::store::item::{Endpoint, Item};
use crate::system::disk;
use crate::system::env::Env;
use crate::types::escape;

/// The region of STS where nothing says another one.
pub const DEFAULT_REGION: &str = "us-east-1";

/// AWS, as reached from this machine.
///
/// # Errors
/// `Kind::Failed` if the CA bundle cannot be read; `Kind::Usage` for an endpoint
/// that is neither https nor loopback.
pub fn account(env: &Env, place: &Place) -> Result<LiveAccount> {
    let ca_bundle_pem = match env.path_var("AWS_CA_BUNDLE").map(Path::new) {
        None => None,
        Some(path) => Some(
            disk::read_regular(path, disk::MOST_TEXT)
                .map_err(|error| {
                    let message = format!("AWS_CA_BUNDLE {} cannot be read", path.display());
                    Error::new(Kind::Failed, message).cause(error)
                })?
                .to_vec(),
        ),
    };
    let network = Network {
        ca_bundle_pem,
        proxies: Proxies::from_values(|name| env.var(name).map(str::to_owned)),
        timeouts: Timeouts::default(),
    };
    let told = env.ui.tells_progress().then(|| env.ui.clone());
    Ok(LiveAccount::new(place.clone(), network)?
        .with_clock(env.clock.clone())
        .heard_by(Arc::clone(&env.stop), told))
}

/// The account of an entry, for a person: an endpoint in the environment that is not
/// used is named.
///
/// # Errors
/// Those of `account`.
pub fn account_of(env: &Env, item: &Item) -> Result<LiveAccount> {
    warn_of_unused_endpoints(env, item);
    account(env, &place_of(item))
}

pub fn warn_of_unused_endpoints(env: &Env, item: &Item) {
    if let Some(line) = unused_endpoints(env, item) {
        env.ui.warn(&line);
    }
}

/// The endpoints in the environment that lead elsewhere than the item's own: they
/// redirect nothing.
pub fn unused_endpoints(env: &Env, item: &Item) -> Option<String> {
    if ignores_endpoints(env) {
        return None;
    }
    let same = |a: &str, b: &str| {
        let plain = |url: &str| url.trim_end_matches('/').to_ascii_lowercase();
        plain(a) == plain(b)
    };
    let own = item.endpoint.as_ref();
    let services = [
        ("STS", "AWS_ENDPOINT_URL_STS", own.map(|own| &own.sts)),
        ("IAM", "AWS_ENDPOINT_URL_IAM", own.map(|own| &own.iam)),
    ];
    let mut unused: Vec<(String, String)> = Vec::new();
    for (service, variable, own) in services {
        let names = [variable, "AWS_ENDPOINT_URL"];
        let set = names
            .iter()
            .find_map(|name| env.var(name).map(|url| (name, url)));
        let Some((name, url)) = set else { continue };
        let is_own = match own {
            Some(own) => same(own, url),
            None => matches!(
                Said::of(Some(url.to_owned()), &item.partition),
                Said::Public
            ),
        };
        if is_own {
            continue;
        }
        // What stands before an `@` may be a password.
        let url = escape::line(url.rsplit('@').next().unwrap_or_default());
        let said = format!("{name}={url}");
        let own = own.map_or("AWS's own", String::as_str);
        let place = format!("{own} for {service}");
        match unused.iter_mut().find(|(there, _)| *there == said) {
            Some((_, places)) => *places = format!("{places} and {place}"),
            None => unused.push((said, place)),
        }
    }
    let lines: Vec<String> = unused
        .into_iter()
        .map(|(said, places)| format!("{said} is not used: entry {} has {places}", item.entry))
        .collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// Where an entry's calls go.
pub fn place_of(item: &Item) -> Place {
    Place {
        region: item.region.clone(),
        partition: item.partition.clone(),
        endpoint: item.endpoint.clone(),
    }
}

/// Where a new key's calls shall go: what was said, else what the profile says,
/// else what the environment says, else AWS's own. `agreed` holds what a person said yes
/// to in this run, and is not asked again.
///
/// # Errors
/// `Kind::PersonNeeded` if an endpoint that is not AWS's own was neither named nor agreed to.
pub fn place_to_prove(
    env: &Env,
    config: &Document,
    profile: &str,
    region: Option<&str>,
    endpoint_url: Option<&str>,
    agreed: &mut Vec<Endpoint>,
) -> Result<Place> {
    let of_profile = |key: &str| {
        config
            .property(profile, key)
            .map(|property| property.value.to_string())
            .filter(|value| !value.is_empty())
    };
    let variable = |name: &str| env.var(name).map(str::to_owned);
    let region = region
        .map(str::to_owned)
        .or_else(|| of_profile("region"))
        .or_else(|| variable("AWS_REGION"))
        .or_else(|| variable("AWS_DEFAULT_REGION"))
        .unwrap_or_else(|| DEFAULT_REGION.to_owned());
    if !region
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-')
    {
        return Err(
            Error::new(Kind::Usage, format!("{region:?} is not a valid region"))
                .hint("--region us-east-1"),
        );
    }
    let partition = partition_of_region(&region).to_owned();
    if let Some(url) = endpoint_url {
        check_endpoint(url)?;
        return Ok(Place {
            region,
            partition,
            endpoint: Some(Endpoint {
                sts: url.to_owned(),
                iam: url.to_owned(),
            }),
        });
    }
    let everywhere = variable("AWS_ENDPOINT_URL").or_else(|| of_profile("endpoint_url"));
    let ignored = ignores_endpoints(env);
    let of_service = |name: &str| {
        if ignored {
            None
        } else {
            variable(name).or_else(|| everywhere.clone())
        }
    };
    let mut place = Place {
        region,
        partition,
        endpoint: None,
    };
    let (sts, iam) = (
        Said::of(of_service("AWS_ENDPOINT_URL_STS"), &place.partition),
        Said::of(of_service("AWS_ENDPOINT_URL_IAM"), &place.partition),
    );
    place.endpoint = agreed_endpoint(env, &sts, &iam, &place, agreed)?;
    Ok(place)
}

fn ignores_endpoints(env: &Env) -> bool {
    env.var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// What the environment or the profile says of one service's endpoint.
enum Said {
    /// Nothing, or AWS's public one.
    Public,
    /// AWS's, in a network of its customer's.
    InVpc(String),
    Foreign(String),
}

impl Said {
    fn of(url: Option<String>, partition: &str) -> Said {
        match url {
            None => Said::Public,
            Some(url) if aws_vpc(&url, partition) => Said::InVpc(url),
            Some(url) if aws_own(&url, partition) => Said::Public,
            Some(url) => Said::Foreign(url),
        }
    }

    fn url(&self) -> Option<&String> {
        match self {
            Said::Public => None,
            Said::InVpc(url) | Said::Foreign(url) => Some(url),
        }
    }
}

fn agreed_endpoint(
    env: &Env,
    sts: &Said,
    iam: &Said,
    place: &Place,
    agreed: &mut Vec<Endpoint>,
) -> Result<Option<Endpoint>> {
    for url in [sts, iam].into_iter().filter_map(Said::url) {
        check_endpoint(url)?;
    }
    let shown = match (sts.url(), iam.url()) {
        (None, None) => return Ok(None),
        (Some(sts), Some(iam)) if sts == iam => sts.clone(),
        (Some(sts), Some(iam)) => format!("{sts} for STS and {iam} for IAM"),
        (Some(sts), None) => format!("{sts} for STS"),
        (None, Some(iam)) => format!("{iam} for IAM"),
    };
    let endpoint = endpoint_of(sts, iam, place)?;
    if agreed.contains(&endpoint) {
        return Ok(Some(endpoint));
    }
    let is_foreign = |said: &Said| matches!(said, Said::Foreign(_));
    if is_foreign(sts) || is_foreign(iam) {
        let question = format!(
            "{shown} is not AWS's own; prove the key there, and use it for this entry from now on?"
        );
        env.ui.confirm(&question).map_err(|failure| {
            let named = sts.url().or(iam.url()).map_or("", String::as_str);
            let named = escape::argument(named);
            failure.hint(format!("name it if you mean it: --endpoint-url {named}"))
        })?;
    } else {
        let question = format!(
            "{shown} is an endpoint of AWS in a private network; use it for this entry from now on?"
        );
        // Both lead to AWS: a no, or nobody to ask, is no reason to stop.
        if env.ui.confirm(&question).is_err() {
            env.ui.warn(&format!(
                "{shown}, an endpoint of AWS in a private network, is not used: \
                 the entry's calls go to AWS's public endpoints"
            ));
            return Ok(None);
        }
    }
    agreed.push(endpoint.clone());
    Ok(Some(endpoint))
}

/// A service of which nothing was said is AWS's own: its calls must not go where the
/// other's do. Both are written out, so that every reader of the item sees the same.
fn endpoint_of(sts: &Said, iam: &Said, place: &Place) -> Result<Endpoint> {
    let unknown = || {
        Error::new(
            Kind::Usage,
            format!(
                "where AWS's own STS and IAM are in partition {} is not known",
                place.partition
            ),
        )
        .hint("set AWS_ENDPOINT_URL_STS and AWS_ENDPOINT_URL_IAM both")
    };
    let own_sts = || public_sts(&place.region, &place.partition).ok_or_else(unknown);
    let own_iam = || public_iam(&place.partition).ok_or_else(unknown);
    Ok(Endpoint {
        sts: sts.url().map_or_else(own_sts, |url| Ok(url.clone()))?,
        iam: iam.url().map_or_else(own_iam, |url| Ok(url.clone()))?,
    })
}

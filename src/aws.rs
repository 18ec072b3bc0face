//! Where awskeep's own AWS calls go, and the account to call. Edge.
//!
//! Region, partition and endpoint are fixed in the item when the key is proven.
//! What the environment or a profile says otherwise counts only when a key is
//! added, and then only after a person agreed.

use std::path::Path;

use crate::disk;
use crate::escape;
use crate::failure::{Failure, Kind, Outcome};
use crate::iam_account::Place;
use crate::iam_account::endpoint::{aws_own, check_endpoint, partition_of_region};
use crate::iam_account::live::LiveAccount;
use crate::iam_account::network::{Network, Proxies, Timeouts};
use crate::machine::Machine;
use crate::profile_files::document::Document;
use crate::vault::item::{Endpoint, Item};

/// The region of STS where nothing says another one.
pub const DEFAULT_REGION: &str = "us-east-1";

/// AWS, as reached from this machine.
///
/// # Errors
/// `Kind::Failed` if the CA bundle cannot be read; `Kind::Usage` for an endpoint
/// that is neither https nor loopback.
pub fn account(machine: &Machine, place: &Place) -> Outcome<LiveAccount> {
    let ca_bundle_pem = match machine.var("AWS_CA_BUNDLE") {
        None => None,
        Some(path) => Some(
            disk::read_regular(Path::new(path), disk::MOST_TEXT)
                .map_err(|error| {
                    let message = format!("AWS_CA_BUNDLE {path} cannot be read");
                    Failure::new(Kind::Failed, message).cause(error)
                })?
                .to_vec(),
        ),
    };
    let network = Network {
        ca_bundle_pem,
        proxies: Proxies::from_values(|name| machine.var(name).map(str::to_owned)),
        timeouts: Timeouts::default(),
    };
    Ok(LiveAccount::new(place.clone(), network)?.with_clock(machine.clock.clone()))
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
    machine: &Machine,
    config: &Document,
    profile: &str,
    region: Option<&str>,
    endpoint_url: Option<&str>,
    agreed: &mut Vec<Endpoint>,
) -> Outcome<Place> {
    let of_profile = |key: &str| {
        config
            .property(profile, key)
            .map(|property| property.value.to_string())
            .filter(|value| !value.is_empty())
    };
    let variable = |name: &str| machine.var(name).map(str::to_owned);
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
            Failure::new(Kind::Usage, format!("{region:?} is no region"))
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
    let ignored = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let of_service = |name: &str| {
        if ignored {
            None
        } else {
            variable(name).or_else(|| everywhere.clone())
        }
    };
    let (sts, iam) = (
        of_service("AWS_ENDPOINT_URL_STS"),
        of_service("AWS_ENDPOINT_URL_IAM"),
    );
    let endpoint = agreed_endpoint(machine, sts, iam, &partition, agreed)?;
    Ok(Place {
        region,
        partition,
        endpoint,
    })
}

fn agreed_endpoint(
    machine: &Machine,
    sts: Option<String>,
    iam: Option<String>,
    partition: &str,
    agreed: &mut Vec<Endpoint>,
) -> Outcome<Option<Endpoint>> {
    let foreign = |url: &Option<String>| url.clone().filter(|url| !aws_own(url, partition));
    let (sts, iam) = (foreign(&sts), foreign(&iam));
    let Some(shown) = sts.clone().or_else(|| iam.clone()) else {
        return Ok(None);
    };
    for url in [&sts, &iam].into_iter().flatten() {
        check_endpoint(url)?;
    }
    let endpoint = Endpoint {
        sts: sts.unwrap_or_else(|| shown.clone()),
        iam: iam.unwrap_or_else(|| shown.clone()),
    };
    if agreed.contains(&endpoint) {
        return Ok(Some(endpoint));
    }
    let question = format!(
        "{shown} is not AWS's own; prove the key there, and use it for this entry from now on?"
    );
    machine.ui.confirm(&question).map_err(|failure| {
        let shown = escape::argument(&shown);
        failure.hint(format!("name it if you mean it: --endpoint-url {shown}"))
    })?;
    agreed.push(endpoint.clone());
    Ok(Some(endpoint))
}

//! Which addresses may see a signed call, and which partition a region is in.
//! Pure; nothing here looks a name up.
//!
//! Source: the partition and endpoint tables of the SDKs (`partitions.json`, the
//! endpoint rule sets of IAM and STS).

use std::net::IpAddr;

use http::Uri;

use crate::error::{Error, Kind, Result};

/// Refuses an endpoint that must not get a signed call: anything but https, or
/// http to this machine itself. User-info, queries and fragments are refused, too.
pub fn check_endpoint(url: &str) -> Result<()> {
    parsed(url).map(drop)
}

/// The URL as the client itself will read it.
fn parsed(url: &str) -> Result<Uri> {
    let refuse = |why: &str| {
        // User-info may hold a password: what stands before an `@` is not repeated.
        let shown = url.rsplit('@').next().unwrap_or_default();
        Error::new(Kind::Usage, format!("endpoint {shown:?} {why}"))
    };
    if url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(refuse("has a space or a backslash inside"));
    }
    // The parser drops a fragment.
    if url.contains(['?', '#']) {
        return Err(refuse("has a query or a fragment"));
    }
    let uri: Uri = url
        .parse()
        .map_err(|_| refuse("is not an http or https URL"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(refuse("is not an http or https URL"));
    };
    if authority.as_str().contains('@') {
        return Err(refuse("has a user name in it"));
    }
    let host = authority.host();
    // The parser takes `host:99999` and `[::1]x:80`, too.
    let is_fine = match &authority.as_str()[host.len()..] {
        "" => true,
        port => {
            let digits = port.strip_prefix(':').unwrap_or("no digits");
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && uri.port_u16().is_some_and(|port| port > 0)
        }
    };
    if host.is_empty() || !is_fine || (host.starts_with('[') && ip_of(host).is_none()) {
        return Err(refuse("has no host or a bad port"));
    }
    match scheme {
        "https" => Ok(uri),
        "http" if is_loopback(host) => Ok(uri),
        "http" => Err(refuse("is plain http, which is for this machine only")
            .hint("use https://, or http://127.0.0.1:PORT")),
        _ => Err(refuse("is not an http or https URL")),
    }
}

/// Whether calls to this URL stay on this machine and go without TLS and proxy.
/// False for anything that `check_endpoint` refuses.
pub fn is_plain_loopback(url: &str) -> bool {
    parsed(url).is_ok_and(|uri| uri.scheme_str() == Some("http"))
}

/// Whether a URL is one of AWS's own in this partition: https, standard port, and
/// a host under one of the partition's domains.
pub fn aws_own(url: &str, partition: &str) -> bool {
    is_under(url, partition, ".")
}

/// Whether a URL is AWS's own, but in a customer's network: an interface endpoint.
pub fn aws_vpc(url: &str, partition: &str) -> bool {
    is_under(url, partition, ".vpce.")
}

fn is_under(url: &str, partition: &str, before_domain: &str) -> bool {
    let Ok(uri) = parsed(url) else { return false };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let under = |domain: &&str| {
        let label = host.strip_suffix(*domain);
        label.is_some_and(|label| label.ends_with(before_domain))
    };
    uri.scheme_str() == Some("https")
        && matches!(uri.port_u16(), None | Some(443))
        && domains(partition).iter().any(under)
}

/// AWS's public STS of a region; none for a partition newer than this table.
pub fn public_sts(region: &str, partition: &str) -> Option<String> {
    let domain = domains(partition).first()?;
    Some(format!("https://sts.{region}.{domain}"))
}

/// AWS's public IAM of a partition; none for one newer than this table.
/// Source: the endpoint rule set of IAM.
pub fn public_iam(partition: &str) -> Option<String> {
    let domain = domains(partition).first()?;
    Some(match partition {
        "aws" => format!("https://iam.{domain}"),
        "aws-us-gov" => format!("https://iam.us-gov.{domain}"),
        _ => format!("https://iam.{}.{domain}", iam_region(partition)?),
    })
}

/// The partition a region is in, by its prefix; `aws` for anything unknown.
pub fn partition_of_region(region: &str) -> &'static str {
    const PREFIXES: [(&str, &str); 7] = [
        ("us-gov-", "aws-us-gov"),
        ("cn-", "aws-cn"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("us-iso-", "aws-iso"),
        ("eu-isoe-", "aws-iso-e"),
        ("eusc-", "aws-eusc"),
    ];
    PREFIXES
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix))
        .map_or("aws", |(_, partition)| partition)
}

/// The region that IAM calls of a partition are signed for; none for a partition
/// newer than this table.
pub fn iam_region(partition: &str) -> Option<&'static str> {
    match partition {
        "aws" => Some("us-east-1"),
        "aws-cn" => Some("cn-north-1"),
        "aws-us-gov" => Some("us-gov-west-1"),
        "aws-iso" => Some("us-iso-east-1"),
        "aws-iso-b" => Some("us-isob-east-1"),
        "aws-iso-e" => Some("eu-isoe-west-1"),
        "aws-iso-f" => Some("us-isof-south-1"),
        "aws-eusc" => Some("eusc-de-east-1"),
        _ => None,
    }
}

fn domains(partition: &str) -> &'static [&'static str] {
    match partition {
        "aws" | "aws-us-gov" => &["amazonaws.com", "api.aws"],
        "aws-cn" => &["amazonaws.com.cn", "api.amazonwebservices.com.cn"],
        "aws-iso" => &["c2s.ic.gov", "api.aws.ic.gov"],
        "aws-iso-b" => &["sc2s.sgov.gov", "api.aws.scloud"],
        "aws-iso-e" => &["cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"],
        "aws-iso-f" => &["csp.hci.ic.gov", "api.aws.hci.ic.gov"],
        "aws-eusc" => &["amazonaws.eu", "api.amazonwebservices.eu"],
        _ => &[],
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || ip_of(host).is_some_and(|ip| ip.is_loopback())
}

/// The address that a host is; one of IPv6 stands in brackets.
fn ip_of(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for good in [
            "https://iam.amazonaws.com",
            "https://aws.example.corp:8443/iam/",
            "http://127.0.0.1:4566",
            "http://127.8.9.1",
            "HTTP://LocalHost:4566/",
            "http://[::1]:4566",
            "https://host/~a/%2F/(b)",
            "https://host:00443",
        ] {
            assert_eq!(check_endpoint(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "iam.amazonaws.com",
            "ftp://127.0.0.1",
            "http://iam.amazonaws.com",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1@example.com",
            "https://me:pw@iam.amazonaws.com",
            "http://[::2]:4566",
            "http://[::1",
            "http://0x7f.1",
            "https://",
            "https://host:0",
            "https://host:99999",
            "https://host:",
            "https://host/?a=b",
            "https://host/#f",
            "https://ho st",
            "http://localhost\\@example.com",
            // What http::Uri takes, or reads in a way of its own.
            "https://host:+80",
            "https://host:08x",
            "http://[::1]x:80",
            "http://[::1%25lo]:80",
            "https://[host]",
            "https://[::1",
            "https://::1",
            "https:///iam",
            "https://:443",
            "https://@",
            "https://host@",
            "https://a%40b",
            "https:host",
            "host:443",
            "/",
            "*",
        ] {
            assert!(check_endpoint(bad).is_err(), "{bad}");
        }
        let told = check_endpoint("http://me:hunter2@h").unwrap_err();
        assert!(!told.to_string().contains("hunter2"), "{told}");
        assert!(is_plain_loopback("http://localhost:1/"));
        assert!(!is_plain_loopback("https://localhost:1/"));
    }

    #[test]
    fn aws_hosts_are_told_from_look_alikes() {
        for (url, partition, own) in [
            ("https://iam.amazonaws.com", "aws", true),
            ("https://sts.eu-west-1.amazonaws.com:443/", "aws", true),
            ("https://iam.global.api.aws", "aws", true),
            ("https://iam.cn-north-1.amazonaws.com.cn", "aws-cn", true),
            ("https://iam.us-iso-east-1.c2s.ic.gov", "aws-iso", true),
            ("https://iam.eusc-de-east-1.amazonaws.eu", "aws-eusc", true),
            ("https://iam.cn-north-1.amazonaws.com.cn", "aws", false),
            ("https://amazonaws.com", "aws", false),
            ("https://evilamazonaws.com", "aws", false),
            ("https://iam.amazonaws.com.evil.example", "aws", false),
            ("https://iam.amazonaws.com:8443", "aws", false),
            ("https://iam.amazonaws.com@evil.example", "aws", false),
            ("http://127.0.0.1:4566", "aws", false),
        ] {
            assert_eq!(aws_own(url, partition), own, "{url} in {partition}");
        }
    }

    #[test]
    fn endpoints_in_a_customers_network_are_told_apart() {
        for (url, partition, vpc) in [
            (
                "https://vpce-0a-1b.sts.eu-west-1.vpce.amazonaws.com",
                "aws",
                true,
            ),
            (
                "https://vpce-0a.sts.cn-north-1.vpce.amazonaws.com.cn",
                "aws-cn",
                true,
            ),
            ("https://sts.eu-west-1.amazonaws.com", "aws", false),
            ("https://vpce.amazonaws.com", "aws", false),
            ("https://x.vpce.amazonaws.com.evil.example", "aws", false),
            ("http://x.vpce.amazonaws.com", "aws", false),
        ] {
            assert_eq!(aws_vpc(url, partition), vpc, "{url}");
        }
    }

    #[test]
    fn public_endpoints_are_the_sdks_own() {
        for (region, sts, iam) in [
            (
                "eu-central-1",
                "sts.eu-central-1.amazonaws.com",
                "iam.amazonaws.com",
            ),
            (
                "us-gov-east-1",
                "sts.us-gov-east-1.amazonaws.com",
                "iam.us-gov.amazonaws.com",
            ),
            (
                "cn-northwest-1",
                "sts.cn-northwest-1.amazonaws.com.cn",
                "iam.cn-north-1.amazonaws.com.cn",
            ),
            (
                "us-iso-west-1",
                "sts.us-iso-west-1.c2s.ic.gov",
                "iam.us-iso-east-1.c2s.ic.gov",
            ),
            (
                "eusc-de-east-1",
                "sts.eusc-de-east-1.amazonaws.eu",
                "iam.eusc-de-east-1.amazonaws.eu",
            ),
        ] {
            let partition = partition_of_region(region);
            assert_eq!(
                public_sts(region, partition),
                Some(format!("https://{sts}"))
            );
            assert_eq!(public_iam(partition), Some(format!("https://{iam}")));
        }
        assert_eq!(public_iam("aws-moon"), None);
    }

    #[test]
    fn regions_have_partitions_and_partitions_an_iam_region() {
        for (region, partition, iam) in [
            ("eu-central-1", "aws", "us-east-1"),
            ("us-gov-east-1", "aws-us-gov", "us-gov-west-1"),
            ("cn-northwest-1", "aws-cn", "cn-north-1"),
            ("us-iso-west-1", "aws-iso", "us-iso-east-1"),
            ("us-isob-east-1", "aws-iso-b", "us-isob-east-1"),
            ("eu-isoe-west-1", "aws-iso-e", "eu-isoe-west-1"),
            ("us-isof-east-1", "aws-iso-f", "us-isof-south-1"),
            ("eusc-de-east-1", "aws-eusc", "eusc-de-east-1"),
        ] {
            assert_eq!(partition_of_region(region), partition);
            assert_eq!(iam_region(partition), Some(iam));
        }
        assert_eq!(iam_region("aws-moon"), None);
    }
}

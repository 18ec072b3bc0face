//! The Query protocol: forms to asks, answers to XML. Pure.
//! Source: the IAM and STS API references.

use super::asks::{Ask, Refusal, Reply, Row, Temporary};
use super::clock::iso;

/// The call that a form means.
pub fn ask_of(form: &[(String, String)]) -> Result<Ask, Refusal> {
    let get = |name: &str| {
        let mut all = form.iter().filter(|(n, _)| n == name);
        all.next().map(|(_, value)| value.clone())
    };
    let need =
        |name: &str| get(name).ok_or_else(|| Refusal::invalid(format!("Value null at '{name}'")));
    let number = |name: &str| get(name).and_then(|text| text.parse::<i64>().ok());
    let from = || get("Marker").and_then(|m| m.strip_prefix("page+")?.parse().ok());
    let user = || get("UserName");
    Ok(match need("Action")?.as_str() {
        "GetCallerIdentity" => Ask::GetCallerIdentity,
        "GetSessionToken" => Ask::GetSessionToken {
            mfa: get("SerialNumber").zip(get("TokenCode")),
            seconds: number("DurationSeconds").unwrap_or(43_200),
        },
        "AssumeRole" => Ask::AssumeRole {
            role_arn: need("RoleArn")?,
            session: need("RoleSessionName")?,
            seconds: number("DurationSeconds").unwrap_or(3_600),
        },
        "GetAccessKeyInfo" => Ask::GetAccessKeyInfo {
            id: need("AccessKeyId")?,
        },
        "GetUser" => Ask::GetUser { user: user() },
        "ListAccessKeys" => Ask::ListAccessKeys {
            user: user(),
            from: from().unwrap_or(0),
        },
        "CreateAccessKey" => Ask::CreateAccessKey { user: user() },
        "UpdateAccessKey" => Ask::UpdateAccessKey {
            user: user(),
            id: need("AccessKeyId")?,
            status: need("Status")?,
        },
        "DeleteAccessKey" => Ask::DeleteAccessKey {
            user: user(),
            id: need("AccessKeyId")?,
        },
        "GetAccessKeyLastUsed" => Ask::GetAccessKeyLastUsed {
            id: need("AccessKeyId")?,
        },
        "ListMFADevices" => Ask::ListMFADevices {
            user: user(),
            from: from().unwrap_or(0),
        },
        other => {
            let message = format!("Could not find operation {other}");
            return Err(Refusal::new(400, "InvalidAction", message));
        }
    })
}

/// The XML of an answer of success.
pub fn success(action: &str, reply: &Reply, request_id: &str) -> String {
    let result = match reply {
        Reply::Done => String::new(),
        _ => raw(&format!("{action}Result"), &result_of(reply)),
    };
    let metadata = raw("ResponseMetadata", &tag("RequestId", request_id));
    raw(&format!("{action}Response"), &(result + &metadata))
}

/// The XML of a refusal.
pub fn refusal(refusal: &Refusal, request_id: &str) -> String {
    let kind = if refusal.status >= 500 {
        "Receiver"
    } else {
        "Sender"
    };
    let error = [
        tag("Type", kind),
        tag("Code", &refusal.code),
        tag("Message", &refusal.message),
    ];
    let error = raw("Error", &error.concat());
    raw("ErrorResponse", &(error + &tag("RequestId", request_id)))
}

fn key_row(user: &str, row: &Row) -> String {
    let row = [
        tag("UserName", user),
        tag("AccessKeyId", &row.id),
        tag("Status", row.status),
        tag("CreateDate", &iso(row.created_at)),
    ];
    raw("member", &row.concat())
}

fn credentials(given: &Temporary) -> String {
    let fields = [
        tag("AccessKeyId", &given.id),
        tag("SecretAccessKey", &given.secret),
        tag("SessionToken", &given.token),
        tag("Expiration", &iso(given.expires_at)),
    ];
    raw("Credentials", &fields.concat())
}

fn paging(next: Option<usize>) -> String {
    match next {
        Some(at) => tag("IsTruncated", "true") + &tag("Marker", &format!("page+{at}")),
        None => tag("IsTruncated", "false"),
    }
}

fn tag(name: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    raw(name, &text)
}

fn raw(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

fn result_of(reply: &Reply) -> String {
    match reply {
        Reply::Identity {
            arn,
            account,
            user_id,
        } => format!(
            "{}{}{}",
            tag("Arn", arn),
            tag("UserId", user_id),
            tag("Account", account)
        ),
        Reply::Session(given) => credentials(given),
        Reply::Role {
            credentials: given,
            arn,
            id,
        } => {
            let role = format!("{}{}", tag("Arn", arn), tag("AssumedRoleId", id));
            format!("{}{}", credentials(given), raw("AssumedRoleUser", &role))
        }
        Reply::Account(id) => tag("Account", id),
        Reply::User { .. }
        | Reply::Keys { .. }
        | Reply::Created { .. }
        | Reply::LastUsed { .. }
        | Reply::Devices { .. }
        | Reply::Done => iam_result(reply),
    }
}

fn iam_result(reply: &Reply) -> String {
    match reply {
        Reply::User {
            name,
            path,
            arn,
            user_id,
        } => {
            let user = [
                tag("Path", path),
                tag("UserName", name),
                tag("UserId", user_id),
                tag("Arn", arn),
                tag("CreateDate", &iso(1_600_000_000)),
            ];
            raw("User", &user.concat())
        }
        Reply::Keys { user, rows, next } => {
            let rows: String = rows.iter().map(|row| key_row(user, row)).collect();
            let keys = raw("AccessKeyMetadata", &rows);
            format!("{}{keys}{}", tag("UserName", user), paging(*next))
        }
        Reply::Created {
            user,
            id,
            secret,
            created_at,
        } => {
            let key = [
                tag("UserName", user),
                tag("AccessKeyId", id),
                tag("Status", "Active"),
                tag("SecretAccessKey", secret),
                tag("CreateDate", &iso(*created_at)),
            ];
            raw("AccessKey", &key.concat())
        }
        Reply::LastUsed { user, used } => {
            let used = match used {
                Some(used) => [
                    tag("LastUsedDate", &iso(used.at)),
                    tag("ServiceName", &used.service),
                    tag("Region", &used.region),
                ]
                .concat(),
                None => tag("ServiceName", "N/A") + &tag("Region", "N/A"),
            };
            format!(
                "{}{}",
                tag("UserName", user),
                raw("AccessKeyLastUsed", &used)
            )
        }
        Reply::Devices {
            user,
            serials,
            next,
        } => {
            let device = |serial: &String| {
                let device = [
                    tag("UserName", user),
                    tag("SerialNumber", serial),
                    tag("EnableDate", &iso(1_600_000_000)),
                ];
                raw("member", &device.concat())
            };
            let devices: String = serials.iter().map(device).collect();
            format!("{}{}", raw("MFADevices", &devices), paging(*next))
        }
        Reply::Identity { .. }
        | Reply::Session(_)
        | Reply::Role { .. }
        | Reply::Account(_)
        | Reply::Done => String::new(),
    }
}

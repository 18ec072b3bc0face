//! What can be asked of the simulated account, and what it answers. Pure; nothing
//! but std.

/// The service that is asked. Each sees changes of keys at its own pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Sts,
    Iam,
}

/// Who signed, as far as the request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub key_id: String,
    pub token: Option<String>,
    pub proof: Proof,
}

/// Whether the signature was made with the key's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    Good,
    Wrong,
}

/// One call. `user` is the `UserName` parameter: none means the signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    GetCallerIdentity,
    GetSessionToken {
        mfa: Option<(String, String)>,
        seconds: i64,
    },
    AssumeRole {
        role_arn: String,
        session: String,
        seconds: i64,
    },
    GetAccessKeyInfo {
        id: String,
    },
    GetUser {
        user: Option<String>,
    },
    ListAccessKeys {
        user: Option<String>,
        from: usize,
    },
    CreateAccessKey {
        user: Option<String>,
    },
    UpdateAccessKey {
        user: Option<String>,
        id: String,
        status: String,
    },
    DeleteAccessKey {
        user: Option<String>,
        id: String,
    },
    GetAccessKeyLastUsed {
        id: String,
    },
    ListMFADevices {
        user: Option<String>,
        from: usize,
    },
}

impl Ask {
    pub fn action(&self) -> &'static str {
        match self {
            Ask::GetCallerIdentity => "GetCallerIdentity",
            Ask::GetSessionToken { .. } => "GetSessionToken",
            Ask::AssumeRole { .. } => "AssumeRole",
            Ask::GetAccessKeyInfo { .. } => "GetAccessKeyInfo",
            Ask::GetUser { .. } => "GetUser",
            Ask::ListAccessKeys { .. } => "ListAccessKeys",
            Ask::CreateAccessKey { .. } => "CreateAccessKey",
            Ask::UpdateAccessKey { .. } => "UpdateAccessKey",
            Ask::DeleteAccessKey { .. } => "DeleteAccessKey",
            Ask::GetAccessKeyLastUsed { .. } => "GetAccessKeyLastUsed",
            Ask::ListMFADevices { .. } => "ListMFADevices",
        }
    }

    pub fn door(&self) -> Door {
        match self {
            Ask::GetCallerIdentity
            | Ask::GetSessionToken { .. }
            | Ask::AssumeRole { .. }
            | Ask::GetAccessKeyInfo { .. } => Door::Sts,
            Ask::GetUser { .. }
            | Ask::ListAccessKeys { .. }
            | Ask::CreateAccessKey { .. }
            | Ask::UpdateAccessKey { .. }
            | Ask::DeleteAccessKey { .. }
            | Ask::GetAccessKeyLastUsed { .. }
            | Ask::ListMFADevices { .. } => Door::Iam,
        }
    }
}

/// A key in a list: id, status, creation time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub id: String,
    pub status: &'static str,
    pub created_at: i64,
}

/// When and where a key was last used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub at: i64,
    pub service: String,
    pub region: String,
}

/// Temporary credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Temporary {
    pub id: String,
    pub secret: String,
    pub token: String,
    pub expires_at: i64,
}

/// An answer of success. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Identity {
        arn: String,
        account: String,
        user_id: String,
    },
    Session(Temporary),
    Role {
        credentials: Temporary,
        arn: String,
        id: String,
    },
    Account(String),
    User {
        name: String,
        path: String,
        arn: String,
        user_id: String,
    },
    Keys {
        user: String,
        rows: Vec<Row>,
        next: Option<usize>,
    },
    Created {
        user: String,
        id: String,
        secret: String,
        created_at: i64,
    },
    LastUsed {
        user: String,
        used: Option<Use>,
    },
    Devices {
        user: String,
        serials: Vec<String>,
        next: Option<usize>,
    },
    Done,
}

/// An answer of refusal, as the Query protocol has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
}

impl Refusal {
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Refusal {
        Refusal {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    /// The one answer to an unknown, deleted, inactive or not yet visible key.
    pub fn unknown_key() -> Refusal {
        let message = "The security token included in the request is invalid.";
        Refusal::new(403, "InvalidClientTokenId", message)
    }

    pub fn wrong_secret() -> Refusal {
        let message = "The request signature we calculated does not match the signature you \
                       provided. Check your AWS Secret Access Key and signing method. Consult \
                       the service documentation for details.";
        Refusal::new(403, "SignatureDoesNotMatch", message)
    }

    pub fn denied(message: impl Into<String>) -> Refusal {
        Refusal::new(403, "AccessDenied", message)
    }

    pub fn no_such(what: &str, name: &str) -> Refusal {
        let message = format!("The {what} with name {name} cannot be found.");
        Refusal::new(404, "NoSuchEntity", message)
    }

    pub fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "ValidationError", message)
    }
}

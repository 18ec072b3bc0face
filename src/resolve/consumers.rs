//! How the AWS SDKs differ in finding credentials, as data for `resolve`. Pure.
//!
//! Read in the sources, and observed by running, of botocore 1.44, AWS CLI 2.36, the
//! JavaScript SDK 3, the Go SDK 2 (Debian 12's, of 2022), aws-config 1.13 for Rust and
//! the Java SDK 2 (Java's was read only).

use serde::Serialize;

/// A family of programs that find credentials in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Consumer {
    /// AWS CLI version 1 and all that uses botocore or boto3.
    CliV1,
    /// AWS CLI version 2.
    CliV2,
    /// Go SDK version 2: Terraform and many more.
    Go,
    /// JavaScript SDK version 3.
    JavaScript,
    Rust,
    /// Java SDK version 2.
    Java,
}

impl Consumer {
    pub const ALL: [Consumer; 6] = [
        Consumer::CliV1,
        Consumer::CliV2,
        Consumer::Go,
        Consumer::JavaScript,
        Consumer::Rust,
        Consumer::Java,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Consumer::CliV1 => "the AWS CLI 1 and boto3",
            Consumer::CliV2 => "the AWS CLI 2",
            Consumer::Go => "the Go SDK (Terraform)",
            Consumer::JavaScript => "the JavaScript SDK",
            Consumer::Rust => "the Rust SDK",
            Consumer::Java => "the Java SDK",
        }
    }

    pub(super) fn rules(self) -> &'static ConsumerRules {
        match self {
            Consumer::CliV1 => &CLI_V1,
            Consumer::CliV2 => &CLI_V2,
            Consumer::Go => &GO,
            Consumer::JavaScript => &JAVA_SCRIPT,
            Consumer::Rust => &RUST,
            Consumer::Java => &JAVA,
        }
    }
}

/// Which lines an SDK takes for properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Specification,
    /// Python's configparser, as botocore uses it.
    Python,
    Go,
    JavaScript,
}

/// One place in a profile where credentials can come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Role,
    /// A role, but a profile with any static key line is not taken for one.
    RoleUnlessStatic,
    Static(Where),
    /// A static key if both halves are there; halves are passed over.
    WholeStatic,
    WebIdentity,
    Sso,
    Login,
    Process,
}

impl Source {
    /// What is skipped when a role profile is read again as its own source.
    pub fn is_role_step(self) -> bool {
        match self {
            Source::Role | Source::RoleUnlessStatic | Source::WholeStatic => true,
            Source::Static(_)
            | Source::WebIdentity
            | Source::Sso
            | Source::Login
            | Source::Process => false,
        }
    }
}

/// Which file a static key may stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    Config,
    Credentials,
    Either,
}

/// How the profile was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    InCode,
    ByVariable,
    NotAtAll,
}

/// What half an access key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HalfKey {
    /// An id without its secret is an error; a secret alone is not seen.
    IdAloneFails,
    /// An error before anything else is looked at, unless the half stands in the config
    /// file and the credentials file has a section for the profile.
    AnyHalfFails,
    /// An error, if nothing was found before.
    FailsLast,
    Ignored,
}

/// What a role without exactly one source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceMissing {
    Fails,
    /// The role is passed over.
    Skips,
    /// The profile's other credentials sign the role.
    WrapBase,
}

/// What a role profile that names itself as source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SelfReference {
    NeedsStatic,
    /// Its other credentials sign the role.
    Base,
    Fails,
}

pub(super) struct ConsumerRules {
    pub reading: Reading,
    pub profile_variables: &'static [&'static str],
    /// Whether key variables are passed over when the profile was chosen so.
    pub variables_yield_to: fn(Chosen) -> bool,
    /// Whether web identity variables come before the profile.
    pub web_identity_variables_first: bool,
    pub chain: &'static [Source],
    /// The order in a profile that another names as `source_profile`.
    pub source_chain: &'static [Source],
    pub source_missing: SourceMissing,
    pub self_reference: SelfReference,
    pub half_key: HalfKey,
    /// `source_profile`, `credential_process` and their like exclude each other.
    pub one_type_only: bool,
    /// After an error in the profile its `credential_process` is still tried.
    pub goes_on_after_error: bool,
    /// Of `[default]` and `[profile default]` the later wins, else the prefixed one.
    pub last_default_wins: bool,
    /// Keys of `[DEFAULT]` show in every profile of the file.
    pub leaks_default_section: bool,
}

const BOTOCORE_PROFILE: &[Source] = &[
    Source::Role,
    Source::WebIdentity,
    Source::Sso,
    Source::Static(Where::Credentials),
    Source::Login,
    Source::Process,
    Source::Static(Where::Config),
];

const CLI_V1: ConsumerRules = ConsumerRules {
    reading: Reading::Python,
    profile_variables: &["AWS_DEFAULT_PROFILE", "AWS_PROFILE"],
    variables_yield_to: |chosen| chosen == Chosen::InCode,
    web_identity_variables_first: false,
    chain: BOTOCORE_PROFILE,
    source_chain: &[
        Source::RoleUnlessStatic,
        Source::WebIdentity,
        Source::Sso,
        Source::Static(Where::Credentials),
        Source::Login,
        Source::Process,
        Source::Static(Where::Config),
    ],
    source_missing: SourceMissing::Fails,
    self_reference: SelfReference::NeedsStatic,
    half_key: HalfKey::IdAloneFails,
    one_type_only: false,
    goes_on_after_error: false,
    last_default_wins: true,
    leaks_default_section: true,
};

const CLI_V2: ConsumerRules = ConsumerRules {
    profile_variables: &["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
    ..CLI_V1
};

const GO: ConsumerRules = ConsumerRules {
    reading: Reading::Go,
    profile_variables: &["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
    variables_yield_to: |chosen| chosen == Chosen::InCode,
    web_identity_variables_first: true,
    chain: &[
        Source::Role,
        Source::WholeStatic,
        Source::WebIdentity,
        Source::Sso,
        Source::Process,
    ],
    source_chain: &[
        Source::RoleUnlessStatic,
        Source::Static(Where::Either),
        Source::WebIdentity,
        Source::Sso,
        Source::Process,
    ],
    source_missing: SourceMissing::WrapBase,
    self_reference: SelfReference::Base,
    half_key: HalfKey::AnyHalfFails,
    one_type_only: true,
    goes_on_after_error: false,
    last_default_wins: false,
    leaks_default_section: false,
};

const JAVA_SCRIPT: ConsumerRules = ConsumerRules {
    reading: Reading::JavaScript,
    profile_variables: &["AWS_PROFILE"],
    variables_yield_to: |chosen| chosen != Chosen::NotAtAll,
    web_identity_variables_first: false,
    chain: &[
        Source::Role,
        Source::WholeStatic,
        Source::WebIdentity,
        Source::Process,
        Source::Sso,
        Source::Login,
    ],
    source_chain: &[
        Source::WholeStatic,
        Source::Role,
        Source::WebIdentity,
        Source::Process,
        Source::Sso,
        Source::Login,
    ],
    source_missing: SourceMissing::Skips,
    self_reference: SelfReference::NeedsStatic,
    half_key: HalfKey::Ignored,
    one_type_only: false,
    goes_on_after_error: true,
    last_default_wins: false,
    leaks_default_section: false,
};

const RUST: ConsumerRules = ConsumerRules {
    reading: Reading::Specification,
    profile_variables: &["AWS_PROFILE"],
    variables_yield_to: |_| false,
    web_identity_variables_first: false,
    chain: &[
        Source::Role,
        Source::WebIdentity,
        Source::Sso,
        Source::Login,
        Source::Process,
        Source::Static(Where::Either),
    ],
    source_chain: &[
        Source::WholeStatic,
        Source::Role,
        Source::WebIdentity,
        Source::Sso,
        Source::Login,
        Source::Process,
        Source::Static(Where::Either),
    ],
    source_missing: SourceMissing::Fails,
    self_reference: SelfReference::Base,
    half_key: HalfKey::FailsLast,
    one_type_only: false,
    goes_on_after_error: false,
    last_default_wins: false,
    leaks_default_section: false,
};

const JAVA_PROFILE: &[Source] = &[
    Source::WebIdentity,
    Source::Sso,
    Source::Role,
    Source::Process,
    Source::Static(Where::Either),
];

const JAVA: ConsumerRules = ConsumerRules {
    reading: Reading::Specification,
    profile_variables: &["AWS_PROFILE"],
    variables_yield_to: |_| false,
    web_identity_variables_first: true,
    chain: JAVA_PROFILE,
    source_chain: JAVA_PROFILE,
    source_missing: SourceMissing::Skips,
    self_reference: SelfReference::Fails,
    half_key: HalfKey::IdAloneFails,
    one_type_only: false,
    goes_on_after_error: false,
    last_default_wins: false,
    leaks_default_section: false,
};

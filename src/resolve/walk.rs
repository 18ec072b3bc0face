//! Walks one consumer's lists of sources through profiles and their source profiles.
//! Pure. What differs between consumers is asked of `Rules`, never of a name.

use crate::profiles::lint::KEY_LINES;
use crate::resolve::consumers::{
    Chosen, HalfKey, Reading, SelfReference, Source, SourceMissing, Where,
};
use crate::resolve::lookup::{Hit, Lookup};
use crate::resolve::{Location, Resolved, Shadowed};

/// On which way a profile is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    Top,
    Source,
    /// As the source of itself, or in a circle.
    Again,
}

impl Visit {
    fn of(name: &str, visited: &[String]) -> Visit {
        match visited {
            [] => Visit::Top,
            _ if visited.iter().any(|v| v == name) => Visit::Again,
            _ => Visit::Source,
        }
    }
}

impl<'a> Lookup<'a> {
    /// What the consumer ends up with.
    pub fn outcome(&self, profile: &str, chosen: Chosen) -> Resolved {
        self.before_profile(chosen)
            .or_else(|| self.refused.map(error))
            .unwrap_or_else(|| self.top_profile(profile, chosen))
    }

    /// The environment's part, which comes before any profile.
    fn before_profile(&self, chosen: Chosen) -> Option<Resolved> {
        if (self.rules.variables_yield_to)(chosen) {
            return None;
        }
        let id = self.variable("AWS_ACCESS_KEY_ID");
        match (id, self.variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(_), Some(_)) => return Some(Resolved::Env),
            (Some(_), None) if self.rules.half_key == HalfKey::IdAloneFails => {
                return Some(error("AWS_SECRET_ACCESS_KEY is not set"));
            }
            (Some(_) | None, _) => {}
        }
        let file = "AWS_WEB_IDENTITY_TOKEN_FILE";
        let web = self.variable(file).and(self.variable("AWS_ROLE_ARN"));
        let place = Location::Variable(file.to_owned());
        web.filter(|_| self.rules.web_identity_variables_first)
            .map(|_| Resolved::WebIdentity { place })
    }

    fn top_profile(&self, profile: &str, chosen: Chosen) -> Resolved {
        let outcome = match chosen {
            Chosen::NotAtAll if !self.exists(profile) => None,
            Chosen::InCode | Chosen::ByVariable if !self.exists(profile) => {
                Some(error(format!("profile {profile} is in neither file")))
            }
            Chosen::NotAtAll | Chosen::InCode | Chosen::ByVariable => {
                self.profile(profile, &mut Vec::new())
            }
        };
        match outcome {
            None => self.nothing(),
            Some(error @ Resolved::Error { .. }) if self.rules.goes_on_after_error => {
                self.after_error(profile, error)
            }
            Some(outcome) => outcome,
        }
    }

    /// A chain that goes on ends with another source, or fails in the end.
    fn after_error(&self, profile: &str, error: Resolved) -> Resolved {
        let process = self.source(Source::Process, profile, &mut Vec::new());
        match process.unwrap_or_else(|| self.nothing()) {
            Resolved::Nothing => error,
            next => next,
        }
    }

    fn nothing(&self) -> Resolved {
        let container = [
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ];
        let web = self.variable("AWS_WEB_IDENTITY_TOKEN_FILE");
        match web.and(self.variable("AWS_ROLE_ARN")) {
            Some(_) => Resolved::WebIdentity {
                place: Location::Variable("AWS_WEB_IDENTITY_TOKEN_FILE".to_owned()),
            },
            None if container.iter().any(|name| self.variable(name).is_some()) => {
                Resolved::Container
            }
            None => Resolved::Nothing,
        }
    }

    /// Walks a profile's sources. `visited` are the profiles on the way here.
    fn profile(&self, name: &str, visited: &mut Vec<String>) -> Option<Resolved> {
        let visit = Visit::of(name, visited);
        if let Some(text) = self.refused_profile(name, visit) {
            return Some(error(text));
        }
        let chain = match visit {
            Visit::Top => self.rules.chain,
            Visit::Source | Visit::Again => self.rules.source_chain,
        };
        visited.push(name.to_owned());
        let role_is_done =
            visit == Visit::Again && self.rules.self_reference == SelfReference::Base;
        let found = chain
            .iter()
            .filter(|source| !(role_is_done && source.is_role_step()))
            .find_map(|source| self.source(*source, name, visited));
        let wraps = self.rules.source_missing == SourceMissing::WrapBase && visit != Visit::Again;
        match (found, self.find(name, "role_arn", Where::Either)) {
            (Some(base), Some(role)) if wraps && base.can_sign_a_role() => {
                Some(Resolved::AssumeRole {
                    role_arn: role.value().to_owned(),
                    place: role.place,
                    from: Box::new(base),
                })
            }
            (found, _) => found,
        }
    }

    /// What a consumer checks before it looks at any source.
    fn refused_profile(&self, name: &str, visit: Visit) -> Option<String> {
        if self.rules.half_key == HalfKey::AnyHalfFails {
            let place = match self
                .sections(self.inputs.files.credentials, name)
                .as_slice()
            {
                [] => Where::Config,
                _ => Where::Credentials,
            };
            let [id, secret] = self.pair(name, place);
            if let (Some(half), None) | (None, Some(half)) = (&id, &secret) {
                return Some(half_key(half));
            }
        }
        // Read again as its own source, a profile's role settings do not count.
        let counts = match visit {
            Visit::Top => true,
            Visit::Source => self.whole_pair(name).is_none(),
            Visit::Again => false,
        };
        if !self.rules.one_type_only || !counts {
            return None;
        }
        let types = [
            "source_profile",
            "credential_source",
            "credential_process",
            "web_identity_token_file",
        ];
        let there = types.map(|key| self.find(name, key, Where::Either));
        let there: Vec<Hit<'_>> = there.into_iter().flatten().collect();
        let needs_role = there.iter().any(|h| {
            let key = h.property.key.as_str();
            matches!(key, "source_profile" | "credential_source")
        });
        if there.len() > 1 {
            let keys: Vec<&str> = there.iter().map(|h| h.property.key.as_str()).collect();
            return Some(format!("profile {name} has both {}", keys.join(" and ")));
        }
        let role = self.find(name, "role_arn", Where::Either);
        (needs_role && role.is_none()).then(|| format!("profile {name} has no role_arn"))
    }

    fn source(&self, source: Source, name: &str, visited: &mut Vec<String>) -> Option<Resolved> {
        let find = |key: &str| self.find(name, key, Where::Either);
        match source {
            Source::Role => self.role(name, visited),
            Source::RoleUnlessStatic => {
                let [id, secret] = self.pair(name, Where::Either);
                let has_static = id.or(secret).is_some();
                (!has_static).then(|| self.role(name, visited)).flatten()
            }
            Source::Static(place) => self.static_key(name, place),
            Source::WholeStatic => self.whole_pair(name).map(|id| static_outcome(&id)),
            Source::WebIdentity => {
                let token = find("web_identity_token_file")?;
                find("role_arn")?;
                let place = token.place;
                Some(Resolved::WebIdentity { place })
            }
            Source::Sso => {
                let keys = [
                    "sso_account_id",
                    "sso_role_name",
                    "sso_session",
                    "sso_start_url",
                ];
                let place = keys.into_iter().find_map(find)?.place;
                Some(Resolved::Sso { place })
            }
            Source::Login => {
                let place = find("login_session")?.place;
                Some(Resolved::Login { place })
            }
            Source::Process => {
                let process = find("credential_process")?;
                Some(self.table(&process).unwrap_or(Resolved::Process {
                    command: process.value().to_owned(),
                    place: process.place,
                }))
            }
        }
    }

    /// A blank value with indented lines below is a table to Python, which fails where it
    /// is used as text.
    fn table(&self, hit: &Hit<'_>) -> Option<Resolved> {
        let is_table = self.rules.reading == Reading::Python && hit.value().starts_with('\n');
        let key = &hit.property.key;
        is_table.then(|| error(in_file(&hit.place, &format!("{key} is a block"))))
    }

    fn static_key(&self, name: &str, place: Where) -> Option<Resolved> {
        match (self.pair(name, place), self.rules.half_key) {
            ([Some(id), Some(_)], _) => {
                let keys = KEY_LINES.iter();
                let mut hits = keys.filter_map(|key| self.find(name, key, place));
                let table = hits.find_map(|hit| self.table(&hit));
                Some(table.unwrap_or_else(|| static_outcome(&id)))
            }
            ([None, None], _)
            | (_, HalfKey::Ignored)
            | ([None, Some(_)], HalfKey::IdAloneFails) => None,
            ([Some(half), None], _)
            | ([None, Some(half)], HalfKey::AnyHalfFails | HalfKey::FailsLast) => {
                Some(error(half_key(&half)))
            }
        }
    }

    fn role(&self, name: &str, visited: &mut Vec<String>) -> Option<Resolved> {
        let find = |key: &str| self.find(name, key, Where::Either);
        let role = find("role_arn")?;
        if find("web_identity_token_file").is_some() {
            return None;
        }
        let from = match (find("source_profile"), find("credential_source")) {
            (Some(_), Some(_)) => match self.rules.source_missing {
                SourceMissing::Skips => return None,
                SourceMissing::Fails | SourceMissing::WrapBase => {
                    return Some(error(format!(
                        "profile {name} has both source_profile and credential_source"
                    )));
                }
            },
            (None, None) => match self.rules.source_missing {
                SourceMissing::Skips | SourceMissing::WrapBase => return None,
                SourceMissing::Fails => {
                    return Some(error(format!(
                        "profile {name} has a role_arn, but no source_profile"
                    )));
                }
            },
            (None, Some(source)) => Resolved::CredentialSource {
                source: source.value().to_owned(),
                place: source.place,
            },
            (Some(source), None) => match self.role_source(name, source.value(), visited) {
                fails @ Resolved::Error { .. } => return Some(fails),
                from => from,
            },
        };
        Some(Resolved::AssumeRole {
            role_arn: role.value().to_owned(),
            place: role.place,
            from: Box::new(from),
        })
    }

    fn role_source(&self, name: &str, source: &str, visited: &mut Vec<String>) -> Resolved {
        let looped = || error(format!("source_profile leads from {name} back to {source}"));
        let is_self = source == name;
        let again = visited.iter().filter(|v| *v == source).count();
        if !self.exists(source) {
            return error(format!(
                "profile {source}, the source of {name}, is in neither file"
            ));
        }
        if again > usize::from(is_self) {
            return looped();
        }
        if is_self {
            let [id, secret] = self.pair(name, Where::Either);
            let may = match self.rules.self_reference {
                SelfReference::NeedsStatic => id.or(secret).is_some(),
                SelfReference::Base => true,
                SelfReference::Fails => false,
            };
            if !may {
                return looped();
            }
        }
        self.profile(source, visited)
            .unwrap_or_else(|| error(format!("profile {source} has no credentials")))
    }

    /// Every source that the profile and the environment have, less those in use.
    pub fn shadows(&self, profile: &str, outcome: &Resolved) -> Vec<Shadowed> {
        let mut found = Vec::new();
        if self.variable("AWS_ACCESS_KEY_ID").is_some() && *outcome != Resolved::Env {
            let place = Location::Variable("AWS_ACCESS_KEY_ID".to_owned());
            let what = "access key";
            found.push(Shadowed { what, place });
        }
        let used = outcome.places();
        for (what, key) in [
            ("access key", "aws_access_key_id"),
            ("process", "credential_process"),
            ("role", "role_arn"),
            ("sso", "sso_account_id"),
            ("login", "login_session"),
            ("web identity", "web_identity_token_file"),
        ] {
            for file in [self.inputs.files.credentials, self.inputs.files.config] {
                let hit = self.find_in(file, profile, key);
                let shadowed = hit.filter(|h| !used.contains(&&h.place));
                found.extend(shadowed.map(|hit| Shadowed {
                    what,
                    place: hit.place,
                }));
            }
        }
        if let Resolved::Sso { .. } | Resolved::WebIdentity { .. } = outcome {
            let own = match outcome {
                Resolved::Sso { .. } => "sso",
                _ => "web identity",
            };
            found.retain(|s| s.what != own && !(own == "web identity" && s.what == "role"));
        }
        found
    }
}

fn static_outcome(id: &Hit<'_>) -> Resolved {
    let form = id.value().parse::<crate::types::keys::AccessKeyId>();
    Resolved::Static {
        place: id.place.clone(),
        id: form.ok().map(String::from),
    }
}

fn half_key(half: &Hit<'_>) -> String {
    let missing = match half.property.key.as_str() {
        "aws_access_key_id" => "aws_secret_access_key",
        _ => "aws_access_key_id",
    };
    in_file(&half.place, &format!("{missing} is missing"))
}

fn in_file(place: &Location, what: &str) -> String {
    match place {
        Location::Line(file, line) => format!("{file}:{line}: {what}"),
        Location::Variable(name) => format!("{name}: {what}"),
    }
}

fn error(text: impl Into<String>) -> Resolved {
    Resolved::Error { text: text.into() }
}

//! Carries a plan out, in an order that may be cut off anywhere: prove each key, save
//! it, have the helper serve it, announce, point the profiles, take the key's lines
//! out, fetch through the profiles and compare, record. Edge.
//!
//! Nothing is taken back when a step fails: what was done is right as it is, and the
//! next run goes on. The plaintext leaves only after the store has given the key
//! back through the very line that SDKs will run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::aws::Place;
use crate::aws::place;
use crate::config::Key;
use crate::error::{Error, Kind, Result};
use crate::import::classify;
use crate::import::classify::changes;
use crate::import::classify::changes::Changes;
use crate::import::classify::obstacle::{Fault, Obstacle};
use crate::import::classify::{Migrate, Row, Stored, Verdict};
use crate::import::enroll;
use crate::import::enroll::{Over, Proven};
use crate::profiles::AwsFiles;
use crate::profiles::document::Document;
use crate::profiles::files::AwsFile;
use crate::profiles::program_path;
use crate::records;
use crate::records::Record;
use crate::store::entries::Entries;
use crate::store::file::passphrase::Making;
use crate::store::item::{Endpoint, Identity};
use crate::system::env::Env;
use crate::types::keys::{AccessKey, AccessKeyId, EntryName, KeyIdKind, ProfileName};
use crate::types::store_kind::StoreKind;

mod checks;
mod write;

/// Called before each effect with its name; an error stops right there.
pub type Before<'a> = &'a dyn Fn(&'static str) -> Result<()>;

/// What a person said.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub from: From,
    /// Empty: all.
    pub profiles: Vec<ProfileName>,
    pub store: Option<StoreKind>,
    pub region: Option<String>,
    pub endpoint_url: Option<String>,
    pub helper_path: Option<PathBuf>,
}

/// Where the keys are.
#[derive(Debug, Clone, Default)]
pub enum From {
    /// In the AWS files.
    #[default]
    Files,
    /// They were read elsewhere, each for a profile.
    Given(Vec<(ProfileName, AccessKey)>),
}

/// What would be done.
pub struct Prepared {
    pub files: AwsFiles,
    pub rows: Vec<Row>,
    pub changes: Changes,
    pub(super) known: Stored,
    pub(super) helper: String,
}

/// What was done.
pub struct Done {
    pub rows: Vec<Row>,
    pub identities: BTreeMap<EntryName, Identity>,
}

impl Prepared {
    pub fn moves(&self) -> impl Iterator<Item = &Migrate> {
        moves(&self.rows)
    }
}

fn moves(rows: &[Row]) -> impl Iterator<Item = &Migrate> {
    rows.iter().filter_map(|row| match &row.verdict {
        Verdict::Move(found) => Some(found),
        Verdict::Refused(_) | Verdict::Done(_) => None,
    })
}

/// Reads everything and decides; asks AWS nothing, changes nothing.
pub fn prepare(env: &Env, entries: &Entries<'_>, wanted: &Request) -> Result<Prepared> {
    let files = AwsFiles::read(env)?;
    refuse_one_file(&files)?;
    let known = known(entries)?;
    let helper = program_path::choose_text(env, wanted.helper_path.as_deref())?;
    let checked = files.checked();
    let mut rows = match &wanted.from {
        From::Files => classify::rows(&checked, &known, &wanted.profiles),
        From::Given(keys) => classify::given_rows(&checked, &known, keys),
    };
    for profile in wanted
        .profiles
        .iter()
        .filter(|_| matches!(wanted.from, From::Files))
    {
        if !rows.iter().any(|row| row.profile == profile.as_str()) {
            return Err(Error::new(
                Kind::NotFound,
                format!("profile {profile} has no access key in the AWS files"),
            )
            .hint(if files.has(profile.as_str()) {
                format!("awskeep why {profile}")
            } else {
                "aws configure list-profiles".to_owned()
            }));
        }
    }
    let changes = changes::changes(&checked, &mut rows, &known, &helper);
    Ok(Prepared {
        files,
        rows,
        changes,
        known,
        helper,
    })
}

/// Does what was prepared and agreed to.
///
/// # Errors
/// `Kind::Unfinished` if the files or the store changed since; otherwise the first
/// thing that fails for all. What AWS says of one key refuses that key only.
pub fn run(
    env: &Env,
    entries: &Entries<'_>,
    wanted: &Request,
    agreed: &Prepared,
    before: Before<'_>,
) -> Result<Done> {
    let _import = env.lock("import.lock")?;
    let mut now = prepare(env, entries, wanted)?;
    refuse_more_than(agreed, &now)?;
    write::refuse_unsafe(&now)?;
    let proofs = prove_all(env, &mut now, wanted)?;
    save_all(env, entries, &now, wanted, &proofs, before)?;
    let checked = now.files.checked();
    now.changes = changes::changes(&checked, &mut now.rows, &now.known, &now.helper);
    if moves(&now.rows).next().is_none() {
        return Ok(Done {
            rows: now.rows,
            identities: BTreeMap::new(),
        });
    }
    checks::serve_all(env, entries, &now, before)?;
    let kept = moves(&now.rows).map(|found| entries.get(&found.entry));
    enroll::let_keep(
        env,
        &kept.collect::<Result<Vec<_>>>()?,
        "remove them from the files all the same?",
        "awskeep import",
    )?;
    write::edit(env, &mut now, before)?;
    checks::fetch_all(env, entries, &now, &proofs)?;
    before("record")?;
    for found in moves(&now.rows) {
        let receipt = Record::new(env.now(), &found.entry, "import").key(&found.key.id);
        records::note(env, &receipt.result(format!("profile {}", found.profile)));
    }
    Ok(Done {
        identities: proofs
            .into_values()
            .map(|proof| (proof.entry, proof.proven.identity))
            .collect(),
        rows: now.rows,
    })
}

/// What AWS said of a key, and where.
pub(super) struct ProvenKey {
    pub entry: EntryName,
    pub place: Place,
    pub proven: Proven,
}

fn refuse_one_file(files: &AwsFiles) -> Result<()> {
    let real = |file: &AwsFile| file.path.canonicalize().ok();
    match (real(&files.config), real(&files.credentials)) {
        (Some(one), Some(other)) if one == other => Err(Error::new(
            Kind::Failed,
            format!(
                "{} is both the config and the credentials file",
                one.display()
            ),
        )
        .hint("split it: profiles in the one, keys in the other")),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

fn known(entries: &Entries<'_>) -> Result<Stored> {
    let inventory = entries.inventory()?;
    if let Some(locked) = inventory.locked {
        return Err(locked);
    }
    let mut known = Stored::default();
    for held in &inventory.held {
        known.names.insert(held.name().clone());
        for (_, slot) in held.item.slots() {
            known.keys.insert(slot.id.clone(), held.name().clone());
        }
    }
    known
        .names
        .extend(inventory.aliases.into_iter().map(|(name, _, _)| name));
    Ok(known)
}

/// Another import, or a person with an editor, may have been faster.
fn refuse_more_than(agreed: &Prepared, now: &Prepared) -> Result<()> {
    for found in now.moves() {
        let was_shown = agreed
            .moves()
            .any(|shown| (&shown.profile, &shown.key.id) == (&found.profile, &found.key.id));
        if !was_shown {
            return Err(Error::new(
                Kind::Unfinished,
                format!("profile {} changed meanwhile", found.profile),
            )
            .hint("run it again"));
        }
    }
    Ok(())
}

/// Proves every key; what AWS refuses is skipped.
fn prove_all(
    env: &Env,
    now: &mut Prepared,
    wanted: &Request,
) -> Result<BTreeMap<AccessKeyId, ProvenKey>> {
    let mut proofs = BTreeMap::new();
    let mut agreed = Vec::new();
    let mut refusals: BTreeMap<AccessKeyId, Obstacle> = BTreeMap::new();
    for found in moves(&now.rows) {
        let id = &found.key.id;
        if proofs.contains_key(id) || refusals.contains_key(id) {
            continue;
        }
        match prove_one(env, &now.files.config.document, found, wanted, &mut agreed) {
            Ok(proof) => drop(proofs.insert(id.clone(), proof)),
            // Services that speak S3's language give out ids of AWS's form, too.
            Err(failure) if failure.kind == Kind::Aws && id.kind() == KeyIdKind::Unusual => {
                let place = failure.message;
                let refusal = Obstacle::Line(place, Fault::NotOfAws);
                refusals.insert(id.clone(), refusal);
            }
            Err(failure) => match failure.kind {
                Kind::Aws | Kind::Failed | Kind::Usage => {
                    refusals.insert(id.clone(), Obstacle::of(&failure));
                }
                Kind::NotFound
                | Kind::Store
                | Kind::PersonNeeded
                | Kind::Unfinished
                | Kind::Attention
                | Kind::Bug => return Err(failure),
            },
        }
    }
    for row in &mut now.rows {
        if let Verdict::Move(found) = &row.verdict
            && let Some(refusal) = refusals.get(&found.key.id)
        {
            row.verdict = Verdict::Refused(refusal.clone());
        }
    }
    Ok(proofs)
}

fn prove_one(
    env: &Env,
    config: &Document,
    found: &Migrate,
    wanted: &Request,
    agreed: &mut Vec<Endpoint>,
) -> Result<ProvenKey> {
    let place = place::place_to_prove(
        env,
        config,
        found.profile.as_str(),
        wanted.region.as_deref(),
        wanted.endpoint_url.as_deref(),
        agreed,
    )?;
    let proven = enroll::prove(env, &place, &found.key, &found.entry, None)?;
    Ok(ProvenKey {
        entry: found.entry.clone(),
        place,
        proven,
    })
}

fn save_all(
    env: &Env,
    entries: &Entries<'_>,
    now: &Prepared,
    wanted: &Request,
    proofs: &BTreeMap<AccessKeyId, ProvenKey>,
    before: Before<'_>,
) -> Result<()> {
    let mut saved: Vec<&AccessKeyId> = Vec::new();
    for found in moves(&now.rows) {
        let id = &found.key.id;
        let Some(proof) = proofs.get(id) else {
            return Err(Error::new(Kind::Bug, format!("{id} was not proven")));
        };
        if saved.contains(&id) {
            continue;
        }
        before("save")?;
        save_one(
            env,
            entries,
            found,
            wanted,
            proof,
            now.known.keys.contains_key(id),
        )?;
        saved.push(id);
    }
    Ok(())
}

fn save_one(
    env: &Env,
    entries: &Entries<'_>,
    found: &Migrate,
    wanted: &Request,
    proof: &ProvenKey,
    is_known: bool,
) -> Result<()> {
    let name = &found.entry;
    // Programs that read the file before may go on using the key for as long as this.
    let until = env.now() + entries.settings.length(Key::EnvLease, Some(name))?;
    if is_known {
        let _user = entries.lock_user(Some(&proof.proven.identity), name)?;
        let mut held = entries.get(name)?;
        if !held.item.slots().any(|(_, slot)| slot.key() == found.key) {
            return Err(Error::new(
                Kind::Store,
                format!("entry {name} has another secret for {}", found.key.id),
            )
            .hint(format!("awskeep add {name} --replace")));
        }
        held.item.handed_out_until = held.item.handed_out_until.max(Some(until));
        return match held.item.current.taken_by {
            Some(_) => held.vault.save(&held.item),
            // Kept long ago, or a moment ago: nobody has noted it.
            None => held.vault.save_noting(&mut held.item, env.now()),
        };
    }
    let kind = enroll::choose_store(
        env,
        entries,
        wanted.store,
        name,
        "awskeep import",
        Making::Done,
    )?;
    let vault = entries.vault(kind)?;
    let mut item = enroll::item(
        entries,
        name,
        found.key.clone(),
        proof.place.clone(),
        Some(proof.proven.clone()),
    )?;
    item.handed_out_until = Some(until);
    enroll::save(entries, &vault, item, Over::SameKeyOnly)
}

//! One trial's stage: a home with an entry `work`, an account, and the questions
//! that are asked after every trial.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use awskeep::aws::live::LiveAccount;
use awskeep::aws::network::Network;
use awskeep::aws::{Account, Place, Signer};
use awskeep::store::item::Endpoint;
use awskeep::types::keys::AccessKey;

use crate::home::{Home, Ran, Scene, Talk, text};
use crate::sim::faults::{Fault, Script, When};
use crate::sim::people::Status;
use crate::store::{Seal, Store};

/// How often a command is run again at the most.
pub const MOST_RUNS: usize = 4;

/// A row of the table.
pub struct Row {
    pub first: String,
    pub serves: String,
    pub again: String,
}

/// A home with the user's key in the entry `work`, nothing of it in any file.
pub struct Stage {
    pub home: Home,
    pub store: Store,
    /// Keys of the same user that are somebody else's.
    foreign: Vec<(String, Status)>,
    victim: Arc<AtomicU32>,
}

impl Stage {
    pub fn new() -> Scene<Stage> {
        Stage::with(Seal::Open)
    }

    /// A stage whose store can be locked.
    pub fn sealed() -> Scene<Stage> {
        Stage::with(Seal::Sealed)
    }

    fn with(seal: Seal) -> Scene<Stage> {
        let mut home = Home::new(Talk::Quiet)?;
        let store = Store::of(&mut home, seal)?;
        let pair = format!(
            "{{\"AccessKeyId\":\"{}\",\"SecretAccessKey\":\"{}\"}}",
            home.key_id, home.secret
        );
        let (url, program) = (home.aws.url(), home.program());
        let program = program.to_string_lossy();
        let arguments = [
            "add",
            "work",
            "--stdin",
            "--endpoint-url",
            &url,
            "--helper-path",
            &program,
        ];
        home.must(&arguments, &pair)?;
        home.aws.take_journal();
        Ok(Stage {
            home,
            store,
            foreign: Vec::new(),
            victim: Arc::default(),
        })
    }

    /// Gives the user a second key that awskeep knows nothing of.
    pub fn with_foreign_key(mut self, status: Status) -> Stage {
        let id = self.home.aws.account(|account| {
            let (id, _) = account.add_key("dev", 0);
            account.set_by_hand(&id, Some(status), 0);
            id
        });
        self.foreign.push((id, status));
        self
    }

    pub fn script(&self, script: Script) {
        self.home.aws.set_script(script);
    }

    /// A fault that kills the running awskeep.
    pub fn kill(&self, when: When) -> Fault {
        self.strike(when, |victim| {
            let id = victim.to_string();
            // That the process is dead already is as good.
            let _ = Command::new("kill").args(["-9", &id]).status();
        })
    }

    /// A fault that does something with the running awskeep's process id.
    pub fn strike(&self, when: When, act: impl Fn(u32) + Send + Sync + 'static) -> Fault {
        let victim = Arc::clone(&self.victim);
        Fault::halt(when, move || {
            let end = Instant::now() + Duration::from_secs(5);
            while victim.load(Ordering::SeqCst) == 0 && Instant::now() < end {
                std::thread::yield_now();
            }
            act(victim.load(Ordering::SeqCst));
        })
    }

    /// Runs awskeep so that `kill` finds it.
    pub fn run(&self, arguments: &[&str]) -> Scene<Ran> {
        self.victim.store(0, Ordering::SeqCst);
        self.home
            .awskeep_noting(arguments, "", |id| self.victim.store(id, Ordering::SeqCst))
    }

    /// The row of a trial whose first run gave `first`: checks, and runs `arguments` until all is done.
    pub fn row(&self, first: &Ran, arguments: &[&str]) -> Scene<Row> {
        self.home.aws.set_script(Script::default());
        let served = self.served()?;
        let again = self.run_again(arguments)?;
        self.served()?;
        self.check_foreign()?;
        self.check_explained()?;
        Ok(Row {
            first: how(first),
            serves: served,
            again,
        })
    }

    /// Which key is served; AWS must accept it.
    pub fn served(&self) -> Scene<String> {
        let ran = self.home.awskeep(&["credential-process", "work"], "")?;
        if ran.code != 0 {
            return Err(format!("nothing is served: {}", ran.err));
        }
        let id = self.accepted(&ran.out)?;
        let which = if id == self.home.key_id {
            "the old one"
        } else {
            "the new one"
        };
        Ok(format!("works ({which})"))
    }

    /// The id of a served key, if STS accepts it.
    pub fn accepted(&self, answer: &str) -> Scene<String> {
        let answer: serde_json::Value = serde_json::from_str(answer).map_err(text)?;
        let field = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let key = AccessKey::from_pasted(&field("AccessKeyId"), &field("SecretAccessKey"))
            .map_err(text)?;
        let url = self.home.aws.url();
        let place = Place {
            region: "us-east-1".into(),
            partition: "aws".into(),
            endpoint: Some(Endpoint {
                sts: url.clone(),
                iam: url,
            }),
        };
        let account = LiveAccount::new(place, Network::default()).map_err(text)?;
        match account.caller(Signer::Key(&key)) {
            Ok(_) => Ok(key.id.to_string()),
            Err(failure) => Err(format!(
                "AWS refuses the served key {}: {}",
                key.id, failure.code
            )),
        }
    }

    /// Runs a command until it succeeds or asks for a person, and says how often.
    pub fn run_again(&self, arguments: &[&str]) -> Scene<String> {
        let mut last = self.run(arguments)?;
        for runs in 1..MOST_RUNS {
            match last.code {
                0 => return Ok(format!("done ({})", times(runs))),
                5 | 6 if !self.foreign.is_empty() => {
                    return Ok("refuses, and names the other key".into());
                }
                _ => last = self.run(arguments)?,
            }
        }
        Err(format!(
            "still ends with {} after {MOST_RUNS} runs: {}",
            last.code, last.err
        ))
    }

    pub fn check_foreign(&self) -> Scene<()> {
        for (id, before) in &self.foreign {
            let now = self
                .home
                .aws
                .account(|account| account.key(id).and_then(|key| key.status));
            if now != Some(*before) {
                return Err(format!(
                    "the foreign key {id} was {before:?} and is {now:?}"
                ));
            }
        }
        Ok(())
    }

    /// Every key that AWS has is one that the entry knows, or a foreign one.
    pub fn check_explained(&self) -> Scene<()> {
        let listed = self.home.must(&["list", "--json"], "")?;
        let listed: serde_json::Value = serde_json::from_str(&listed.out).map_err(text)?;
        let entry = &listed["entries"][0];
        let known: Vec<&str> = ["key_id", "pending", "previous"]
            .iter()
            .filter_map(|slot| entry[*slot].as_str())
            .collect();
        let living = self.home.aws.account(|account| {
            let keys = account.user("dev").living_keys();
            keys.map(|key| key.id.clone()).collect::<Vec<_>>()
        });
        let foreign = |id: &String| self.foreign.iter().any(|(foreign, _)| foreign == id);
        match living
            .iter()
            .find(|id| !known.contains(&id.as_str()) && !foreign(id))
        {
            Some(orphan) => Err(format!("{orphan} is left at AWS and nobody has its secret")),
            None => Ok(()),
        }
    }
}

/// How a run ended, for the table.
pub fn how(ran: &Ran) -> String {
    match ran.code {
        -1 => "killed".into(),
        0 => "exit 0".into(),
        code => format!("exit {code}"),
    }
}

pub fn times(runs: usize) -> String {
    match runs {
        1 => "1 run".into(),
        n => format!("{n} runs"),
    }
}

//! The live calls against the simulated account over real HTTP: every call, and every
//! way to fail. It tests both sides.

mod calls;
mod faults;
mod in_process;
mod network;
#[path = "../sim/mod.rs"]
mod sim;
mod tls;

use std::time::Duration;

use awskeep::aws::live::LiveAccount;
use awskeep::aws::network::{Network, Timeouts};
use awskeep::aws::{Place, Signer};
use awskeep::store::item::Endpoint;
use awskeep::types::keys::{AccessKey, UserArn};

use sim::account::Account;
use sim::faults::Script;
use sim::people::MfaDevice;
use sim::{SimConfig, SimServer};

const SERIAL: &str = "arn:aws:iam::123456789012:mfa/bob";

/// An account with `bob` and one key, served; and awskeep looking at it.
struct Scene {
    server: SimServer,
    aws: LiveAccount,
    key: AccessKey,
    bob: UserArn,
}

fn simulated() -> (Account, AccessKey, UserArn) {
    let mut account = Account::new();
    let bob = account.add_user("/dev/", "bob");
    bob.mfa.push(MfaDevice {
        serial: SERIAL.into(),
        codes: vec!["111111".into(), "222222".into()],
    });
    let arn = bob.arn.clone().try_into().unwrap();
    let (id, secret) = account.add_key("bob", 1_700_000_000);
    (account, AccessKey::from_pasted(&id, &secret).unwrap(), arn)
}

fn scene(script: Script) -> Scene {
    let (account, key, bob) = simulated();
    let server = SimServer::start(SimConfig {
        account,
        script,
        ..SimConfig::default()
    });
    Scene {
        aws: looking_at(&server.url()),
        server,
        key,
        bob,
    }
}

fn looking_at(url: &str) -> LiveAccount {
    let place = Place {
        region: "eu-central-1".into(),
        partition: "aws".into(),
        endpoint: Some(Endpoint {
            sts: url.into(),
            iam: url.into(),
        }),
    };
    let network = Network {
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            attempt: Duration::from_millis(1_500),
            operation: Duration::from_secs(20),
        },
        ..Network::default()
    };
    LiveAccount::new(place, network).unwrap()
}

impl Scene {
    fn signer(&self) -> Signer<'_> {
        Signer::Key(&self.key)
    }

    fn requests(&self, action: &str) -> usize {
        let journal = self.server.journal();
        journal.iter().filter(|e| e.action == action).count()
    }

    fn living_keys(&self) -> usize {
        self.server.account(|a| a.user("bob").living_keys().count())
    }
}

//! From the prompt to the new key: `setup`, real shells with a due key, the real program,
//! a simulated account.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::aws_server::{AwsServer, REGION};
use crate::clients::Client;
use crate::keychain::Keychain;
use crate::programs::wait_until;
use crate::sandbox::Sandbox;
use crate::sim::account::Account;
use crate::sim::faults::{Fault, Script, When};
use crate::sim::{SimConfig, SimServer};
use crate::terminal::{Shell, Terminal};

const DAY: i64 = 86_400;

/// Locks are per account and user, so every user here is of another account.
static ACCOUNTS: AtomicU32 = AtomicU32::new(0);

/// A user whose key is 100 days old and may replace itself; their shell was set up.
struct User {
    sandbox: Sandbox,
    aws: SimServer,
    key_id: String,
    secret: String,
    gate: Arc<Mutex<()>>,
}

impl User {
    fn of(shells: &[Shell]) -> User {
        let mut account = Account::new();
        let number = ACCOUNTS.fetch_add(1, Ordering::SeqCst) % 1_000;
        account.id = format!("{:09}{number:03}", std::process::id() % 1_000_000_000);
        account.add_user("/", "bob");
        let aws = SimServer::start(SimConfig {
            account,
            ..SimConfig::default()
        });
        let created = aws.clock().now() - 100 * DAY;
        let (key_id, secret) = aws.account(|account| account.add_key("bob", created));
        let sandbox = Sandbox::new()
            .with("AWSKEEP_SETTLE", "0s")
            .with("AWSKEEP_DEADLINE", "20s");
        sandbox
            .awskeep(&["store", "use", "file", "--without-passphrase", "--yes"])
            .ok();
        let json = format!(
            r#"{{"Version": 1, "AccessKeyId": "{key_id}", "SecretAccessKey": "{secret}"}}"#
        );
        let url = aws.url();
        let add = [
            "add",
            "work",
            "--stdin",
            "--no-profile",
            "--endpoint-url",
            &url,
        ];
        sandbox.awskeep_with_input(&add, &json).ok();
        for shell in shells {
            sandbox.write(shell.startup(), shell.preparation());
            let setup = ["setup", shell.name(), "--auto", "all", "--yes"];
            sandbox.awskeep(&setup).ok();
        }
        aws.take_journal();
        User {
            sandbox,
            aws,
            key_id,
            secret,
            gate: Arc::default(),
        }
    }

    /// Keeps AWS from answering CreateAccessKey until this is dropped.
    fn hold(&self) -> MutexGuard<'_, ()> {
        let at_gate = Arc::clone(&self.gate);
        let wait = Fault::halt(When::Before, move || drop(at_gate.lock()));
        self.aws
            .set_script(Script::default().on("CreateAccessKey", 1, wait));
        self.gate.lock().unwrap()
    }

    fn wait_for_the_run(&self) {
        wait_until("the run left a notice", || {
            next_look(&self.sandbox) <= self.aws.clock().now()
        });
    }

    fn creates(&self) -> usize {
        let calls = self.aws.take_journal();
        let creates = calls.iter().filter(|call| call.action == "CreateAccessKey");
        creates.count()
    }

    fn served(&self) -> String {
        let answer = self
            .sandbox
            .awskeep_printing(&["credential-process", "work"]);
        let answer = answer.ok().json();
        answer["AccessKeyId"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

fn next_look(sandbox: &Sandbox) -> i64 {
    let text = sandbox.text(".local/state/awskeep/next-due");
    text.trim().parse().unwrap()
}

#[test]
fn a_due_key_is_replaced_while_its_user_works_on() {
    for shell in Shell::ALL {
        let user = User::of(&[shell]);
        let held = user.hold();
        // AWS does not answer, yet here is the prompt, and the next.
        let mut terminal = Terminal::start(&user.sandbox, shell);
        let said = [terminal.run("cd ."), terminal.run("cd .")].concat();
        assert!(!said.contains("awskeep:"), "{shell:?} {said}");
        assert_eq!(user.served(), user.key_id);
        drop(held);
        user.wait_for_the_run();
        let said = terminal.run("cd .");
        let lines: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("awskeep: "))
            .collect();
        assert_eq!(lines.len(), 1, "{shell:?} {said:?}");
        assert!(lines[0].contains("awskeep: work: …"), "{shell:?} {said:?}");
        // Once, and in one shell.
        let said = [
            terminal.run("cd ."),
            Terminal::start(&user.sandbox, shell).run("cd ."),
        ]
        .concat();
        assert!(!said.contains("awskeep: "), "{shell:?} {said}");
        assert_eq!(user.creates(), 1, "{shell:?}");
        assert_ne!(user.served(), user.key_id);
        user.sandbox.secret_scan(&[&user.secret]);
        let remove = ["setup", shell.name(), "--remove"];
        user.sandbox.awskeep(&remove).ok();
        assert_eq!(user.sandbox.text(shell.startup()), shell.preparation());
    }
}

#[test]
fn a_window_that_is_closed_does_not_stop_the_rotation() {
    for shell in Shell::ALL {
        let user = User::of(&[shell]);
        let held = user.hold();
        let mut terminal = Terminal::start(&user.sandbox, shell);
        terminal.run("cd .");
        terminal.hang_up();
        drop(held);
        user.wait_for_the_run();
        assert_eq!(user.creates(), 1, "{shell:?}");
        assert_ne!(user.served(), user.key_id, "{shell:?}");
    }
}

#[test]
fn thirty_shells_at_once_make_one_rotation() {
    let kinds = [Shell::Bash, Shell::Zsh, Shell::Fish];
    let user = User::of(&kinds);
    let held = user.hold();
    let mut shells: Vec<Terminal> = kinds
        .iter()
        .cycle()
        .take(30)
        .map(|shell| Terminal::start(&user.sandbox, *shell))
        .collect();
    let mut said: String = shells.iter_mut().map(|shell| shell.run("cd .")).collect();
    drop(held);
    user.wait_for_the_run();
    said.extend(shells.iter_mut().map(|shell| shell.run("cd .")));
    assert_eq!(said.matches("awskeep: ").count(), 1, "{said}");
    assert_eq!(user.creates(), 1);
    user.sandbox.secret_scan(&[&user.secret]);
}

/// The whole way with nothing simulated: a real keychain, a strict IAM and STS with
/// signatures, the AWS CLI at work all the time.
#[test]
fn the_aws_cli_never_notices() {
    let server = AwsServer::start();
    let keychain = Keychain::start();
    let user = &server.alice;
    let sandbox = Sandbox::new().on(&keychain).with("AWSKEEP_SETTLE", "0s");
    let helper = sandbox.binary().display().to_string();
    let add = ["add", "work", "--stdin", "--endpoint-url", &server.endpoint];
    let add = [&add[..], &["--region", REGION, "--helper-path", &helper]].concat();
    sandbox
        .awskeep_with_input(&add, &user.key.as_cli_prints_it())
        .ok();
    let startup = format!("{}# mine\nexport EDITOR=vi", Shell::Bash.preparation());
    sandbox.write(".bashrc", &startup);
    sandbox
        .awskeep(&["setup", "bash", "--auto", "work", "--yes"])
        .ok();
    // moto makes its keys now: so that one is due, keys get old in a moment.
    sandbox.awskeep(&["config", "set", "max_age", "1s"]).ok();
    let works = || {
        let who = Client::AwsCli.caller_identity(&sandbox, &server, "work");
        assert_eq!(who.as_ref(), Ok(&user.arn));
    };

    works();
    let mut terminal = Terminal::start(&sandbox, Shell::Bash);
    assert!(!terminal.run("cd .").contains("awskeep:"));
    works();
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    wait_until("the run left a notice", || {
        u64::try_from(next_look(&sandbox)).unwrap() <= now()
    });
    works();
    let said = terminal.run("cd .");
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("awskeep: "))
        .collect();
    assert_eq!(lines.len(), 1, "{said:?}");
    for words in ["is in service; the old", "is deactivated after", "--undo"] {
        assert!(lines[0].contains(words), "{said:?}");
    }
    let keys = server.keys(user);
    assert_eq!(keys.len(), 2, "{keys:?}");
    works();
    sandbox.awskeep(&["setup", "bash", "--remove"]).ok();
    assert_eq!(sandbox.text(".bashrc"), startup);
    sandbox.secret_scan(&[&user.key.secret]);
}

//! A real IAM and STS on a loopback port: `tests/env/strict_moto.py`. Edge.
//!
//! One server per test, with an account number of its own: it starts in about a
//! second, and no test sees another's keys.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::programs::{first_line, in_env_sources, in_test_env};

/// The region of all clients in these tests.
pub const REGION: &str = "eu-west-1";

/// An IAM user and its first key.
#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    pub arn: String,
    pub key: Key,
}

/// An access key.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
    created: String,
    user: String,
}

impl Key {
    /// What `aws iam create-access-key` prints.
    pub fn as_cli_prints_it(&self) -> String {
        json!({"AccessKey": {
            "UserName": self.user,
            "AccessKeyId": self.id,
            "Status": "Active",
            "SecretAccessKey": self.secret,
            "CreateDate": self.created,
        }})
        .to_string()
    }

    /// What a credential_process prints.
    pub fn as_credential_process(&self) -> String {
        json!({"Version": 1, "AccessKeyId": self.id, "SecretAccessKey": self.secret}).to_string()
    }

    fn of(value: &Value) -> Key {
        Key {
            id: text(value, "AccessKeyId"),
            secret: text(value, "SecretAccessKey"),
            created: text(value, "CreateDate"),
            user: text(value, "UserName"),
        }
    }
}

/// A running server.
pub struct AwsServer {
    child: Child,
    line: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    /// A user with the path `/`, who may rotate the own keys.
    pub alice: User,
    /// The same with the path `/division/`.
    pub bob: User,
}

impl AwsServer {
    pub fn start() -> AwsServer {
        let mut child = Command::new(in_test_env("venv/bin/python"))
            .arg(in_env_sources("strict_moto.py"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/nonexistent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (greeting, stdout) = first_line("strict_moto.py", stdout);
        let greeting: Value = serde_json::from_str(&greeting).expect("strict_moto.py says JSON");
        AwsServer {
            child,
            line: Mutex::new((stdin, stdout)),
            endpoint: text(&greeting, "endpoint"),
            alice: user(&greeting, "alice"),
            bob: user(&greeting, "bob"),
        }
    }

    /// What sends any AWS client to this server.
    pub fn env(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// The user's keys and their status, as an administrator sees them.
    pub fn keys(&self, user: &User) -> Vec<(String, String)> {
        let keys = self.order(json!({"do": "keys", "user": user.name}));
        let row = |key: &Value| (text(key, "AccessKeyId"), text(key, "Status"));
        keys.as_array().expect("a list").iter().map(row).collect()
    }

    /// Sets a key's status by an administrator's hand: `Active` or `Inactive`.
    pub fn set_status(&self, key_id: &str, status: &str) {
        self.order(json!({"do": "set-status", "key": key_id, "status": status}));
    }

    /// Makes one more key by an administrator's hand.
    pub fn create_key(&self, user: &User) -> Key {
        Key::of(&self.order(json!({"do": "create-key", "user": user.name})))
    }

    pub fn delete_key(&self, key_id: &str) {
        self.order(json!({"do": "delete-key", "key": key_id}));
    }

    /// Replaces the user's policy.
    pub fn set_policy(&self, user: &User, policy: &Value) {
        self.order(json!({"do": "set-policy", "user": user.name, "policy": policy}));
    }

    /// From now on new keys work this many seconds late, and revoked ones this much longer.
    pub fn lag(&self, create_seconds: f64, revoke_seconds: f64) {
        self.order(json!({"do": "lag", "create": create_seconds, "revoke": revoke_seconds}));
    }

    /// The next call of this action is carried out, and its reply lost.
    pub fn lose_reply(&self, action: &str) {
        self.order(json!({"do": "lose-reply", "action": action}));
    }

    /// All calls so far: action, the signer's key id, HTTP status.
    pub fn calls(&self) -> Vec<(String, String, u64)> {
        let calls = self.order(json!({"do": "calls"}));
        let row = |call: &Value| {
            let status = call["status"].as_u64().expect("a number");
            (text(call, "action"), text(call, "key"), status)
        };
        calls.as_array().expect("a list").iter().map(row).collect()
    }

    /// Sends one of the orders that `strict_moto.py` lists.
    #[track_caller]
    pub fn order(&self, order: Value) -> Value {
        let mut line = self.line.lock().expect("no other order panicked");
        writeln!(line.0, "{order}").expect("the server reads");
        let mut reply = String::new();
        line.1.read_line(&mut reply).expect("the server answers");
        let mut reply: Value = serde_json::from_str(&reply).expect("the server says JSON");
        assert!(reply["error"].is_null(), "{order}: {reply}");
        reply["ok"].take()
    }
}

impl Drop for AwsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn user(greeting: &Value, name: &str) -> User {
    let value = &greeting["users"][name];
    User {
        name: name.to_owned(),
        arn: text(value, "Arn"),
        key: Key::of(value),
    }
}

#[track_caller]
fn text(value: &Value, field: &str) -> String {
    let text = value[field].as_str();
    text.unwrap_or_else(|| panic!("no {field} in the server's answer"))
        .to_owned()
}

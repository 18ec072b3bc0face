//! What a test begins with and looks at: entry `work`, the key that is served, what AWS
//! has, time that passes, and the real program in the sandbox's folders.

use std::process::{Command, Output};
use std::sync::atomic::Ordering;

use expect_test::Expect;
use serde_json::Value;

use crate::sandbox::{Ran, Sandbox};
use crate::sim::people::Status;

impl Sandbox {
    /// With entry `work` of bob's key; AWS has forgotten the calls that `add` made.
    pub fn with_work() -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.add("work", &[]).exits(0);
        sandbox.aws.take_journal();
        sandbox
    }

    /// The same, with one clock for here and AWS, which waits move.
    pub fn with_work_and_one_clock() -> Sandbox {
        let sandbox = Sandbox::with_work();
        sandbox.aws.clock().follow(&sandbox.clock);
        sandbox
    }

    /// This machine's time, seconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// The id of the key that the helper serves; its secret must be the one that AWS made.
    #[track_caller]
    pub fn served(&self, entry: &str) -> String {
        let told = self
            .run(&["credential-process", entry], &[])
            .exits(0)
            .json();
        let id = told["AccessKeyId"].as_str().unwrap();
        let id = id.replace("KEY", &self.key_id);
        let secret = self
            .aws
            .account(|account| account.key(&id).unwrap().secret.clone());
        assert_eq!(told["SecretAccessKey"], secret);
        id
    }

    /// What AWS says of a key; none: it is deleted.
    pub fn status_of(&self, id: &str) -> Option<Status> {
        self.aws.account(|account| account.key(id).unwrap().status)
    }

    /// Bob's keys at AWS that are not deleted, oldest first.
    pub fn living(&self) -> Vec<String> {
        self.aws.account(|account| {
            let keys = account.user("bob").living_keys();
            keys.map(|key| key.id.clone()).collect()
        })
    }

    /// The real program in this sandbox's folders, below `wrapper` (a shell, a tracer).
    pub fn program(&self, wrapper: &[&str]) -> Command {
        let mut words = wrapper
            .iter()
            .copied()
            .chain([env!("CARGO_BIN_EXE_awskeep")]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path(""))
            .env("XDG_CONFIG_HOME", self.path(".config"))
            .env("XDG_STATE_HOME", self.path(".state"))
            .env("XDG_DATA_HOME", self.path(".data"))
            .env("AWSKEEP_TEST_LOCKS", self.lock_folder())
            .env("AWSKEEP_SETTLE", "0s")
            .current_dir(self.path(""));
        command
    }
}

impl Ran {
    /// The code of a program that a signal ended.
    pub const KILLED: u8 = 255;

    #[track_caller]
    pub fn exits(self, code: u8) -> Ran {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Ran {
    /// What it showed, and its exit code, are those that stand in the test; written anew by
    /// `UPDATE_EXPECT=1 cargo test --test it` (not nextest: tests of one file in one process).
    pub fn shows(&self, expected: Expect) {
        let Ran { code, out, err } = self;
        expected.assert_eq(&without_chance(&format!("{out}{err}exit {code}\n")));
    }
}

/// Times become `TIME`, days `DAY`, and of ids of keys only their ends are left.
fn without_chance(text: &str) -> String {
    const FORMS: [(&str, &str); 3] = [
        ("0000-00-00T00:00:00Z", "TIME"),
        ("0000-00-00", "DAY"),
        ("AKIAXXXXXXXXXXXX", "AKIA…"),
    ];
    let fits = |rest: &str, form: &str| {
        rest.get(..form.len()).is_some_and(|start| {
            start.chars().zip(form.chars()).all(|(c, f)| match f {
                '0' => c.is_ascii_digit(),
                'X' => c.is_ascii_uppercase() || c.is_ascii_digit(),
                f => c == f,
            })
        })
    };
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        if let Some((form, word)) = FORMS.iter().find(|(form, _)| fits(rest, form)) {
            shown.push_str(word);
            rest = &rest[form.len()..];
        } else {
            shown.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    shown
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let code = output.status.code();
        Ran {
            code: code.map_or(Ran::KILLED, |code| u8::try_from(code).unwrap()),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

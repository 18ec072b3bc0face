//! A messy pair of AWS files, and `import` as the tests of it run it.

use crate::sandbox::{Ran, Sandbox};

pub const CONFIG: &str = ".aws/config";
pub const CREDENTIALS: &str = ".aws/credentials";

/// Two keys, of bob and of amy, in a messy pair of files.
pub struct Messy {
    pub sandbox: Sandbox,
    pub amy: (String, String),
    pub config: String,
    pub credentials: String,
    padding: String,
    /// Amy's key, where it stands in the config file.
    key_lines: String,
}

impl Messy {
    pub fn new() -> Messy {
        let sandbox = Sandbox::new();
        sandbox.make_helper();
        sandbox.keeps_plaintext(".aws");
        let amy = sandbox.aws.account(|account| {
            account.add_user("/", "amy");
            account.add_key("amy", 0)
        });
        let config = "# my config\r\n[default]\r\nregion=eu-west-1\r\n\r\n; the s3 settings matter\r\n\
             [profile team]\r\noutput = json\r\ns3 =\r\n  max_concurrent_requests = 20\r\n  addressing_style = path\r\n\r\n\
             [profile admin]\r\nrole_arn = arn:aws:iam::123456789012:role/admin\r\nsource_profile = admin\r\nregion = us-west-2\r\n\r\n\
             [profile chained]\r\nrole_arn = arn:aws:iam::123456789012:role/other\r\nsource_profile = team"
            .to_owned();
        let (id, secret) = (&sandbox.key_id, &sandbox.secret);
        let credentials = format!(
            "# keys, handle with care\n\n[default]\naws_access_key_id={id}\naws_secret_access_key={secret}\n\n\
             # the team's\n[team]\naws_secret_access_key   =   {secret}\naws_access_key_id = {id}\n\n\
             [admin]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            amy.0, amy.1
        );
        sandbox.write(CONFIG, &config);
        sandbox.write(CREDENTIALS, &credentials);
        Messy {
            sandbox,
            amy,
            config,
            credentials,
            padding: String::new(),
            key_lines: String::new(),
        }
    }

    /// Amy's key stands in the config file, in a role profile that is its own source.
    pub fn with_key_in_config() -> Messy {
        let mut messy = Messy::new();
        messy.key_lines = format!(
            "aws_access_key_id = {}\r\naws_secret_access_key = {}\r\n",
            messy.amy.0, messy.amy.1
        );
        let role = "role_arn = arn:aws:iam::123456789012:role/admin\r\n";
        let with_key = format!("{role}{}", messy.key_lines);
        messy.config = messy.config.replace(role, &with_key);
        let (others, _) = messy.credentials.split_once("\n[admin]").unwrap();
        messy.credentials = others.to_owned();
        messy.sandbox.write(CONFIG, &messy.config);
        messy.sandbox.write(CREDENTIALS, &messy.credentials);
        messy
    }

    /// Nothing but that profile, and no credentials file.
    pub fn with_one_role_only() -> Messy {
        let mut messy = Messy::with_key_in_config();
        messy.config = format!(
            "[profile admin]\r\nrole_arn = arn:aws:iam::123456789012:role/x\r\n{}source_profile = admin",
            messy.key_lines
        );
        messy.credentials = String::new();
        messy.sandbox.write(CONFIG, &messy.config);
        std::fs::remove_file(messy.sandbox.path(CREDENTIALS)).unwrap();
        messy
    }

    /// What the credentials file says; nothing if it is missing.
    pub fn credentials_now(&self) -> String {
        std::fs::read_to_string(self.sandbox.path(CREDENTIALS)).unwrap_or_default()
    }

    pub fn import(&self, more: &[&str]) -> Ran {
        import(&self.sandbox, more)
    }

    /// Makes the files longer by this many comments.
    pub fn pad(&mut self, config: usize, credentials: usize) {
        let comment = "# a comment that makes this file longer than it was\r\n";
        self.padding = comment.replace("\r", "").repeat(credentials);
        self.config = comment.repeat(config) + &self.config;
        self.credentials = self.padding.clone() + &self.credentials;
        self.sandbox.write(CONFIG, &self.config);
        self.sandbox.write(CREDENTIALS, &self.credentials);
    }

    pub fn is_untouched(&self) {
        assert_eq!(self.sandbox.read(CONFIG), self.config);
        assert_eq!(self.credentials_now(), self.credentials);
    }

    pub fn is_moved(&self) {
        let helper = self.sandbox.path("bin/awskeep");
        let line = |entry: &str| format!("{} credential-process {entry}", helper.display());
        let mut config = self.config.clone();
        if !self.key_lines.is_empty() {
            config = config.replace(&self.key_lines, "");
        }
        let config = config
            .replace(
                "region=eu-west-1",
                &format!("region=eu-west-1\r\ncredential_process={}", line("team")),
            )
            .replace(
                "addressing_style = path",
                &format!(
                    "addressing_style = path\r\ncredential_process = {}",
                    line("team")
                ),
            )
            .replace("source_profile = admin", "source_profile = admin-base")
            + &format!(
                "\r\n\r\n[profile admin-base]\r\ncredential_process = {}",
                line("admin")
            );
        assert_eq!(self.sandbox.read(CONFIG), config);
        let credentials = match self.credentials.as_str() {
            "" => String::new(),
            _ => format!(
                "{}# keys, handle with care\n\n# the team's\n[team]\n",
                self.padding
            ),
        };
        assert_eq!(self.credentials_now(), credentials);
        for secret in [&self.sandbox.secret, &self.amy.1] {
            assert_eq!(self.sandbox.files_with(secret), [""; 0]);
        }
    }
}

pub fn import(sandbox: &Sandbox, more: &[&str]) -> Ran {
    let url = sandbox.aws.url();
    let mut arguments = vec![
        "import",
        "--endpoint-url",
        &url,
        "--helper-path",
        "bin/awskeep",
    ];
    arguments.extend(more);
    sandbox.run(&arguments, &[])
}

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
}

impl Messy {
    pub fn new() -> Messy {
        let sandbox = Sandbox::new();
        sandbox.make_helper();
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
        }
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
        assert_eq!(self.sandbox.read(CREDENTIALS), self.credentials);
    }

    pub fn is_moved(&self) {
        let helper = self.sandbox.path("bin/awskeep");
        let line = |entry: &str| format!("{} credential-process {entry}", helper.display());
        let config = self
            .config
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
        assert_eq!(
            self.sandbox.read(CREDENTIALS),
            format!(
                "{}# keys, handle with care\n\n# the team's\n[team]\n",
                self.padding
            )
        );
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

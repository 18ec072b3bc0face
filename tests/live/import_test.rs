//! Moving in and out again, as real clients see it: the same identity for every
//! profile, and no secret left outside the store.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::aws_server::{AwsServer, REGION};
use crate::clients::Client;
use crate::sandbox::Sandbox;

const PASSPHRASE: &str = "a passphrase of the test's own";
const CONFIG: &str = ".aws/config";
const CREDENTIALS: &str = ".aws/credentials";

/// Everybody that a client is, through these profiles.
fn identities(sandbox: &Sandbox, server: &AwsServer) -> Vec<String> {
    let mut found = Vec::new();
    for client in Client::ALL {
        for profile in ["default", "team", "bob"] {
            let who = client.caller_identity(sandbox, server, profile);
            found.push(format!("{client:?} as {profile}: {}", who.unwrap()));
        }
    }
    // The name of the role's session is fixed, so that the whole ARN can be compared.
    for client in [
        Client::AwsCli,
        Client::Boto3,
        Client::GoSdk,
        Client::RustSdk,
    ] {
        let who = client.caller_identity(sandbox, server, "admin");
        found.push(format!("{client:?} as admin: {}", who.unwrap()));
    }
    found
}

#[test]
fn every_client_is_who_it_was_before_after_and_undone() {
    let server = AwsServer::start();
    let (alice, bob) = (&server.alice, &server.bob);
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["iam:*", "sts:*"], "Resource": "*"}],
    });
    server.set_policy(alice, &policy);
    let folder = tempfile::tempdir().unwrap();
    let passphrase = folder.path().join("passphrase");
    fs::write(&passphrase, format!("{PASSPHRASE}\n")).unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    let shown = passphrase.display().to_string();
    let sandbox = Sandbox::new().with("AWSKEEP_PASSPHRASE_FILE", &shown);
    sandbox.awskeep(&["store", "use", "file"]).ok();
    sandbox.awskeep(&["store", "unlock", "--for", "10m"]).ok();

    let config = format!(
        "# mine\r\n[default]\r\nregion={REGION}\r\n\r\n[profile team]\r\ns3 =\r\n  max_concurrent_requests = 20\r\n\
         output = json\r\n\r\n; the admin's role\r\n[profile admin]\r\nrole_arn = arn:aws:iam::123456789012:role/admin\r\n\
         role_session_name = fixed\r\nsource_profile = admin\r\nregion = {REGION}\r\n"
    );
    let pair = |id: &str, secret: &str| {
        format!("aws_access_key_id = {id}\naws_secret_access_key={secret}\n")
    };
    let of_alice = pair(&alice.key.id, &alice.key.secret);
    let credentials = format!(
        "# keys\n[default]\n{of_alice}\n[team]\n{of_alice}# the same as default\n\n[bob]\n{}\n[admin]\n{of_alice}",
        pair(&bob.key.id, &bob.key.secret)
    );
    sandbox.write(CONFIG, &config);
    sandbox.write(CREDENTIALS, &credentials);
    let before = identities(&sandbox, &server);

    let helper = sandbox.binary().display().to_string();
    let arguments = [
        "import",
        "--yes",
        "--endpoint-url",
        &server.endpoint,
        "--region",
        REGION,
        "--helper-path",
        &helper,
    ];
    sandbox.awskeep(&arguments).ok();
    assert_eq!(identities(&sandbox, &server), before);
    sandbox.secret_scan(&[&alice.key.secret, &bob.key.secret, PASSPHRASE]);
    assert_eq!(
        sandbox.text(CREDENTIALS),
        "# keys\n[default]\n\n[team]\n# the same as default\n"
    );

    sandbox.awskeep(&["import", "--undo", "--yes"]).ok();
    assert_eq!(sandbox.text(CONFIG), config);
    assert_eq!(sandbox.text(CREDENTIALS), credentials);
    assert_eq!(identities(&sandbox, &server), before);
}

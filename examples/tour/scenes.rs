//! What a user does, scene by scene; each checks what was promised.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use awskeep::aws::live::LiveAccount;
use awskeep::aws::network::Network;
use awskeep::aws::{Account, Place, Signer};
use awskeep::store::item::Endpoint;
use awskeep::types::keys::AccessKey;

use crate::home::{Home, Ran, Scene, Talk, text};
use crate::sim::faults::{Fault, Script, When};

type Play = fn(&Home) -> Scene<()>;

/// Plays all scenes; the number of them, or what was not as promised.
pub fn all() -> Scene<usize> {
    let home = Home::new(Talk::Shown)?;
    println!("a home of its own: {}", home.path("").display());
    println!("a simulated IAM and STS: {}", home.aws.url());
    let scenes: [(&str, Play); 7] = [
        (
            "a key goes into the encrypted file, a profile points at it",
            add,
        ),
        (
            "SDKs get it through credential_process, and AWS accepts it",
            serve,
        ),
        ("no secret is left in any file", no_plaintext),
        ("a locked store says so, and opens again", lock),
        (
            "an entry gets another name; the old one still answers",
            rename,
        ),
        (
            "the key is rotated: killed in the middle, resumed, undone",
            rotate,
        ),
        (
            "plaintext keys move in without a scratch, and can move back",
            import,
        ),
    ];
    let mut result = Ok(scenes.len());
    for (number, (title, play)) in (1..).zip(&scenes) {
        println!("\n{number}. {title}");
        if let Err(what) = play(&home) {
            result = Err(what);
            break;
        }
    }
    // Takes the opened identity out of the kernel's keyring again.
    home.awskeep(&["store", "lock"], "")?;
    result
}

fn add(home: &Home) -> Scene<()> {
    let config = "# my profiles\n[profile other]\nregion = eu-central-1\ns3 =\n  max_concurrent_requests = 20\n";
    fs::write(home.path(".aws/config"), config).map_err(text)?;
    let made = home.awskeep(&["store", "use", "file"], "")?;
    if made.code != 0 {
        println!("    {}", made.err.trim_end().replace('\n', "\n    "));
        println!(
            "    (the kernel keyring is closed to this process: going on without a passphrase)"
        );
        home.must(
            &["store", "use", "file", "--without-passphrase", "--yes"],
            "",
        )?;
    }
    let pair = format!(
        "{{\"AccessKeyId\":\"{}\",\"SecretAccessKey\":\"{}\"}}",
        home.key_id, home.secret
    );
    let url = home.aws.url();
    let program = home.program();
    let arguments = [
        "add",
        "work",
        "--stdin",
        "--endpoint-url",
        &url,
        "--helper-path",
    ];
    home.must(
        &[&arguments[..], &[&program.to_string_lossy()]].concat(),
        &pair,
    )?;
    let now = fs::read_to_string(home.path(".aws/config")).map_err(text)?;
    let expected = format!(
        "{config}\n[profile work]\ncredential_process = {} credential-process work\n",
        program.display()
    );
    expect(
        now == expected,
        &format!("only the profile was added to the config, but it is:\n{now}"),
    )?;
    let calls = home.aws.take_journal();
    println!(
        "    AWS was asked {} times: STS three times whose key it is, IAM whether the user can rotate it, and how old it is",
        calls.len()
    );
    expect(
        calls.len() == 5,
        "a proof is three calls, and two more tell whether it can be rotated and its age",
    )
}

fn serve(home: &Home) -> Scene<()> {
    let started = Instant::now();
    let served = home.as_an_sdk("work")?;
    println!(
        "    the profile's command answered in {:.1} ms, shell included",
        started.elapsed().as_secs_f64() * 1e3
    );
    check_answer(home, &served)
}

fn check_answer(home: &Home, served: &Ran) -> Scene<()> {
    check_belongs(home, served, "dev")
}

/// The helper was silent, and STS knows the key that it gave as this user's.
fn check_belongs(home: &Home, served: &Ran, user: &str) -> Scene<()> {
    expect(
        served.code == 0 && served.err.is_empty(),
        &format!("the helper was silent and succeeded: {}", served.err),
    )?;
    let answer: serde_json::Value = serde_json::from_str(&served.out).map_err(text)?;
    let field = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    println!(
        "    AccessKeyId {}, Expiration {}",
        field("AccessKeyId"),
        field("Expiration")
    );
    let key =
        AccessKey::from_pasted(&field("AccessKeyId"), &field("SecretAccessKey")).map_err(text)?;
    let url = home.aws.url();
    let place = Place {
        region: "us-east-1".into(),
        partition: "aws".into(),
        endpoint: Some(Endpoint {
            sts: url.clone(),
            iam: url,
        }),
    };
    let account = LiveAccount::new(place, Network::default()).map_err(text)?;
    let caller = account
        .caller(Signer::Key(&key))
        .map_err(|failure| format!("STS refused the served key: {}", failure.message))?;
    println!("    STS says: {}", caller.value.arn);
    expect(
        caller.value.arn.ends_with(&format!(":user/{user}")),
        "the served key is the user's",
    )
}

fn no_plaintext(home: &Home) -> Scene<()> {
    let found = home.files_with(&home.secret)?;
    expect(found.is_empty(), &format!("the secret stands in {found:?}"))?;
    println!("    searched every file below the home: none holds the secret");
    Ok(())
}

fn lock(home: &Home) -> Scene<()> {
    let listed = home.must(&["store", "list", "--json"], "")?;
    if listed.out.contains("without a passphrase") {
        println!("    (this file has no passphrase: nothing to lock)");
        return Ok(());
    }
    home.must(&["store", "lock"], "")?;
    let refused = home.as_an_sdk("work")?;
    println!("    {}", refused.err.trim_end().replace('\n', "\n    "));
    expect(
        refused.code == 4 && refused.out.is_empty(),
        "a locked store is exit 4 with nothing on stdout",
    )?;
    expect(
        refused.err.contains("hint: awskeep store unlock"),
        "the hint is the command that opens it",
    )?;
    home.must(&["store", "unlock", "--for", "1h"], "")?;
    check_answer(home, &home.as_an_sdk("work")?)
}

fn rename(home: &Home) -> Scene<()> {
    home.must(&["rename", "work", "day-job"], "")?;
    check_answer(home, &home.as_an_sdk("work")?)?;
    let old = home.awskeep(&["credential-process", "work"], "")?;
    check_answer(home, &old)?;
    let listed = home.must(&["list"], "")?;
    println!("    {}", listed.out.trim_end().replace('\n', "\n    "));
    expect(
        listed.out.contains("day-job"),
        "the entry is listed under its new name",
    )
}

fn rotate(home: &Home) -> Scene<()> {
    let key_now = || -> Scene<String> {
        let ran = home.as_an_sdk("work")?;
        check_answer(home, &ran)?;
        let answer: serde_json::Value = serde_json::from_str(&ran.out).map_err(text)?;
        Ok(answer["AccessKeyId"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    };
    let old = key_now()?;
    let victim = Arc::new(AtomicU32::new(0));
    let kill = {
        let victim = Arc::clone(&victim);
        move || {
            while victim.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let id = victim.load(Ordering::SeqCst).to_string();
            // If it is dead already, the run's exit code tells.
            let _ = Command::new("kill").args(["-9", &id]).status();
        }
    };
    // The first proof of the new key: it is made and saved, and nobody may use it yet.
    let script = Script::default().on("GetCallerIdentity", 1, Fault::halt(When::Before, kill));
    home.aws.set_script(script);
    let arguments = ["rotate", "day-job", "--yes"];
    let killed = home.awskeep_noting(&arguments, "", |id| victim.store(id, Ordering::SeqCst))?;
    expect(killed.code == -1, "the rotation was killed with kill -9")?;
    home.aws.set_script(Script::default());
    println!("    (killed with kill -9, the new key just made)");
    expect(key_now()? == old, "a key that is not proven is not served")?;

    home.must(&arguments, "")?;
    let new = key_now()?;
    let made = home
        .aws
        .journal()
        .iter()
        .filter(|call| call.action == "CreateAccessKey")
        .count();
    expect(
        new != old && made == 1,
        "the second run put the key of the first one into service",
    )?;
    home.must(&["rotate", "day-job", "--undo", "--yes"], "")?;
    expect(key_now()? == old, "the old key is back in service")?;
    no_plaintext(home)
}

fn import(home: &Home) -> Scene<()> {
    let now = awskeep::system::env::Clock::System.now();
    let (id, secret) = home.aws.account(|account| {
        account.add_user("/", "ops");
        account.add_key("ops", now.0 - 400 * 86_400)
    });
    let config = home.path(".aws/config");
    let credentials = home.path(".aws/credentials");
    let mut text_before = fs::read_to_string(&config).map_err(text)?;
    // A role profile that is its own source, as many people have it.
    text_before.push_str(
        "\n[profile admin]\nrole_arn = arn:aws:iam::123456789012:role/admin\nsource_profile = admin\n",
    );
    fs::write(&config, &text_before).map_err(text)?;
    let keys = format!("aws_access_key_id={id}\r\naws_secret_access_key = {secret}\r\n");
    let plain = format!("# the old ones\r\n[ops]\r\n{keys}\r\n[admin]\r\n{keys}; the end");
    fs::write(&credentials, &plain).map_err(text)?;

    let (url, program) = (home.aws.url(), home.program());
    let place = [
        "--endpoint-url",
        &url,
        "--helper-path",
        &program.to_string_lossy(),
    ];
    let shown = home.must(
        &[&["import", "--dry-run", "--diff"], &place[..]].concat(),
        "",
    )?;
    println!("    {}", shown.out.trim_end().replace('\n', "\n    "));
    expect(
        !shown.out.contains(&secret),
        "the diff does not show the secret",
    )?;
    home.must(
        &[&["import", "--yes", "--no-rotate"], &place[..]].concat(),
        "",
    )?;
    check_belongs(home, &home.as_an_sdk("ops")?, "ops")?;
    check_belongs(home, &home.as_an_sdk("admin-base")?, "ops")?;
    let now = |path| fs::read_to_string(path).map_err(text);
    only_key_lines_changed(&[
        (&text_before, &now(&config)?),
        (&plain, &now(&credentials)?),
    ])?;
    let found = home.files_with(&secret)?;
    expect(found.is_empty(), &format!("the secret stands in {found:?}"))?;
    println!("    the secret is in no file below the home any more");

    home.must(&["import", "--undo", "--yes"], "")?;
    let back = (
        fs::read_to_string(&config),
        fs::read_to_string(&credentials),
    );
    let same = matches!(&back, (Ok(config), Ok(credentials)) if *config == text_before && *credentials == plain);
    println!("    both files are what they were, byte for byte");
    expect(same, &format!("undo put the files back: {back:?}"))
}

/// All else stands as it stood, and in the same order.
fn only_key_lines_changed(files: &[(&String, &String)]) -> Scene<()> {
    let is_meant = |line: &&str| {
        let keys = [
            "aws_access_key_id",
            "aws_secret_access_key",
            "credential_process",
            "source_profile",
        ];
        // A section of nothing but a key goes with it, and the role gets a base.
        let is_own = [
            "[ops]",
            "[admin]",
            "[profile ops]",
            "[profile admin-base]",
            "",
        ]
        .contains(line);
        is_own || keys.iter().any(|key| line.starts_with(key))
    };
    for (before, after) in files {
        let rest = |text: &String| -> Vec<String> {
            let lines = text.lines().filter(|line| !is_meant(line));
            lines.map(str::to_owned).collect()
        };
        expect(
            rest(before) == rest(after),
            &format!("only key lines changed: {after}"),
        )?;
    }
    println!("    nothing but the key's lines changed in either file");
    Ok(())
}

fn expect(holds: bool, what: &str) -> Scene<()> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

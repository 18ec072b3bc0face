//! The helper's contract, kept by the real binary against a real Secret Service.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;

use crate::keychain::Keychain;
use crate::programs::{Ran, finish, run, run_with_silent_input, started};
use crate::sandbox::Sandbox;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// What the helper may take at most, with the machine's own noise.
const LIMIT: Duration = Duration::from_secs(3);

/// A sandbox on this keychain with the entry `work`.
fn with_work(keychain: &Keychain) -> Sandbox {
    let sandbox = Sandbox::new().on(keychain);
    let json = format!(r#"{{"Version": 1, "AccessKeyId": "{ID}", "SecretAccessKey": "{SECRET}"}}"#);
    let add = [
        "add",
        "work",
        "--stdin",
        "--no-verify",
        "--no-profile",
        "--no-input",
    ];
    sandbox.awskeep_with_input(&add, &json).ok();
    sandbox.secret_scan(&[SECRET]);
    sandbox
}

fn helper(sandbox: &Sandbox) -> Command {
    let mut command = sandbox.command(sandbox.binary());
    command.args(["credential-process", "work"]);
    command
}

#[track_caller]
fn check_success(ran: &Ran) {
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran}");
    check_answer(&ran.stdout);
}

/// One JSON object and a newline, as every SDK reads it.
#[track_caller]
fn check_answer(stdout: &str) {
    let object = stdout.strip_suffix('\n').expect("a newline at the end");
    assert!(
        !object.contains('\n') && object.starts_with('{'),
        "{stdout}"
    );
    let answer: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(object).expect("JSON");
    assert_eq!(answer["Version"], serde_json::json!(1));
    assert_eq!(answer["AccessKeyId"], ID);
    assert_eq!(answer["SecretAccessKey"], SECRET);
    let known = ["Version", "AccessKeyId", "SecretAccessKey", "Expiration"];
    assert!(answer.keys().all(|key| known.contains(&&**key)), "{stdout}");

    let expiration = answer["Expiration"].as_str().expect("text");
    let shape = expiration.replace(|c: char| c.is_ascii_digit(), "9");
    assert_eq!(shape, "9999-99-99T99:99:99Z");
    let expiration: Timestamp = expiration.parse().expect("a time");
    let minutes_ahead = (expiration.as_second() - Timestamp::now().as_second()) / 60;
    assert!(
        (20..=12 * 60).contains(&minutes_ahead),
        "{minutes_ahead} min"
    );
}

/// Nothing on stdout, one hint, soon, and no secret.
#[track_caller]
fn check_failure(ran: &Ran, code: i32) {
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran}");
    let hints = ran.stderr.lines().filter(|line| line.starts_with("hint: "));
    assert_eq!(hints.count(), 1, "{ran}");
    assert!(
        !ran.stderr.contains("panicked") && !ran.stderr.contains(SECRET),
        "{ran}"
    );
    assert!(ran.took < LIMIT, "{ran}");
}

#[test]
fn it_answers_in_any_surroundings_and_writes_nothing() {
    let keychain = Keychain::start();
    let sandbox = with_work(&keychain);
    let before = sandbox.listing();
    let through_shell = |script: &str| {
        let mut shell = sandbox.command("/bin/sh");
        shell.arg("-c").arg(script).arg(sandbox.binary());
        run(&mut shell)
    };

    check_success(&run(&mut helper(&sandbox)));
    check_success(&run_with_silent_input(&mut helper(&sandbox)));
    check_success(&through_shell(r#"exec "$0" credential-process work <&-"#));
    check_success(&through_shell(r#"exec "$0" credential-process work 2>&-"#));
    check_success(&through_shell(
        r#"exec "$0" credential-process work <&- 2>&-"#,
    ));
    check_success(&through_shell(
        r#"cd "$(mktemp -d -p /tmp)" && rmdir "$PWD" && exec "$0" credential-process work"#,
    ));
    let entry_flag = ["credential-process", "--entry", "work"];
    check_success(&run(sandbox.command(sandbox.binary()).args(entry_flag)));

    for (name, value) in [
        ("LC_ALL", "C"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LC_ALL", "no-such-locale"),
        // No folder can be made below a device, not even by root.
        ("HOME", "/nonexistent/home"),
        ("XDG_STATE_HOME", "/dev/null/state"),
        ("XDG_CONFIG_HOME", "/nonexistent/config"),
        ("XDG_DATA_HOME", "/dev/null/data"),
        ("TMPDIR", "/dev/null/tmp"),
        ("TZ", "Asia/Kathmandu"),
        ("AWS_PROFILE", "work"),
        ("AWS_ACCESS_KEY_ID", "AKIAI44QH8DHBEXAMPLE"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_CONFIG_FILE", "/dev/null/config"),
        ("NO_COLOR", "1"),
        ("RUST_LOG", "trace"),
        ("RUST_BACKTRACE", "1"),
    ] {
        let ran = run(helper(&sandbox).env(name, value));
        assert_eq!(ran.stderr, "", "{name}={value}");
        check_success(&ran);
    }
    let mut bare = Command::new(sandbox.binary());
    bare.args(["credential-process", "work"]);
    check_success(&run(bare.env_clear().envs(keychain.env())));
    assert_eq!(sandbox.listing(), before, "it writes nothing");
}

#[test]
fn an_answer_that_cannot_be_given_is_no_success_and_no_panic() {
    let keychain = Keychain::start();
    let sandbox = with_work(&keychain);
    for script in [
        r#"exec "$0" credential-process work >/dev/full"#,
        r#"{ "$0" credential-process work; echo $? >&2; } 2>tmp/said | true; cat tmp/said >&2; exit "$(tail -n1 tmp/said)""#,
    ] {
        let mut shell = sandbox.command("/bin/sh");
        let ran = run(shell.arg("-c").arg(script).arg(sandbox.binary()));
        let ended = ran.code.expect("the shell ends by itself");
        // The pipe may hold the answer before its reader leaves: that is a success.
        let may_be_done = script.contains("| true");
        assert!(ended != 0 || may_be_done, "{ran}");
        assert!(ended < 70 || ended == 141, "{ran}");
        assert!(
            !ran.stderr.contains("panicked") && !ran.stderr.contains(SECRET),
            "{ran}"
        );
    }
    // With stdout closed there is nobody to tell; it must end, and not by a crash.
    let mut shell = sandbox.command("/bin/sh");
    let closed = r#"exec "$0" credential-process work >&-"#;
    let ran = run(shell.arg("-c").arg(closed).arg(sandbox.binary()));
    assert!(matches!(ran.code, Some(0 | 1)), "{ran}");
    assert!(
        !ran.stderr.contains("panicked") && !ran.stderr.contains(SECRET),
        "{ran}"
    );
}

#[test]
fn a_store_that_does_not_answer_is_exit_4_within_3_seconds() {
    let mut keychain = Keychain::start();
    let sandbox = with_work(&keychain);
    let ask = || sandbox.note(run(&mut helper(&sandbox)));

    keychain.lock();
    let locked = ask();
    check_failure(&locked, 4);
    assert!(
        locked.stderr.contains("hint: awskeep store unlock"),
        "{locked}"
    );
    keychain.unlock();
    check_success(&run(&mut helper(&sandbox)));

    keychain.stop();
    check_failure(&ask(), 4);
    keychain.cont();
    check_success(&run(&mut helper(&sandbox)));

    let mut no_bus = helper(&sandbox);
    check_failure(&run(no_bus.env_remove("DBUS_SESSION_BUS_ADDRESS")), 4);
    for address in ["", "unix:path=/dev/null/bus", "nonsense", "unix:path="] {
        let mut wrong = helper(&sandbox);
        check_failure(&run(wrong.env("DBUS_SESSION_BUS_ADDRESS", address)), 4);
    }

    keychain.kill();
    check_failure(&ask(), 4);
    keychain.start_provider();
    check_success(&run(&mut helper(&sandbox)));
    keychain.kill_bus();
    check_failure(&ask(), 4);

    let nobody = Keychain::without_provider();
    check_failure(&run(helper(&sandbox).envs(nobody.env())), 4);
    sandbox.secret_scan(&[SECRET]);
}

const PING: [&str; 3] = [
    "--session",
    "--type=method_call",
    "--dest=org.freedesktop.DBus",
];
const METHOD: &str = "org.freedesktop.DBus.Peer.Ping";

/// A locked store must not lead to a prompt, not even with a terminal at hand.
#[test]
fn a_locked_store_is_never_prompted_for() {
    let keychain = Keychain::start();
    let sandbox = with_work(&keychain);
    keychain.lock();
    let calls = keychain.folder().join("calls");
    let mut monitor = sandbox.command("dbus-monitor");
    monitor
        .args(["--monitor", "type='method_call'"])
        .stdout(fs::File::create(&calls).unwrap())
        .stderr(Stdio::null());
    let mut monitor = monitor.spawn().expect("dbus-monitor starts");
    crate::programs::wait_until("the monitor sees calls", || {
        run(sandbox
            .command("dbus-send")
            .args(PING)
            .arg("/seen")
            .arg(METHOD))
        .ok();
        fs::read_to_string(&calls).unwrap().contains("/seen")
    });
    let on_terminal = format!("{} credential-process work", sandbox.binary().display());
    let mut script = sandbox.command("script");
    run(script.args(["-qec", &on_terminal, "/dev/null"])).exits(4);
    let mut end = sandbox.command("dbus-send");
    run(end.args(PING).arg("/end").arg(METHOD)).ok();
    crate::programs::wait_until("the monitor has seen the last call", || {
        fs::read_to_string(&calls).unwrap().contains("/end")
    });
    let seen = fs::read_to_string(&calls).unwrap();
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    assert!(
        seen.contains("org.freedesktop.Secret"),
        "the helper asked: {seen}"
    );
    for unwanted in ["member=Unlock", "member=Prompt", "member=CreateItem"] {
        assert!(!seen.contains(unwanted), "{unwanted}: {seen}");
    }
}

#[test]
fn what_is_not_there_is_exit_3_and_a_bad_name_exit_2() {
    let keychain = Keychain::start();
    let sandbox = with_work(&keychain);
    let ask = |entry| sandbox.awskeep(&["credential-process", entry]);
    check_failure(&ask("elsewhere"), 3);
    for bad in ["", "a b", "../work", &"x".repeat(65)] {
        let ran = ask(bad);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran}");
    }
}

#[test]
fn two_hundred_at_once_all_succeed() {
    let keychain = Keychain::start();
    let sandbox = with_work(&keychain);
    let all: Vec<_> = (0..200)
        .map(|_| {
            let mut one = helper(&sandbox);
            started(one.stdin(Stdio::null()))
        })
        .collect();
    for one in all {
        check_success(&finish(one, ""));
    }
}

/// What the system sees of one answer: no file opened for writing, no network.
#[test]
fn it_opens_nothing_for_writing_and_talks_to_the_bus_alone() {
    let keychain = Keychain::start();
    let sandbox = with_work(&keychain);
    let trace = traced(&sandbox, &["credential-process", "work"], "");
    let mut connected = 0;
    for line in trace.lines() {
        let writes = [
            "O_WRONLY", "O_RDWR", "O_CREAT", "mkdir", "rename", "unlink", "chmod",
        ];
        let to_device = line.contains("\"/dev/null\"") || line.contains("\"/dev/tty\"");
        let is_write = writes.iter().any(|word| line.contains(word)) && !to_device;
        assert!(!is_write, "{line}");
        if line.contains("socket(") {
            assert!(line.contains("AF_UNIX"), "{line}");
        }
        if line.contains("connect(") {
            let bus = keychain.folder().join("bus").display().to_string();
            assert!(line.contains(&bus), "{line}");
            connected += 1;
        }
        assert!(!line.contains(".aws/"), "it reads no AWS file: {line}");
    }
    assert!(connected >= 1, "the trace shows the bus: {trace}");
}

#[test]
fn no_program_is_started_with_a_secret_in_its_arguments() {
    let keychain = Keychain::start();
    let sandbox = Sandbox::new().on(&keychain);
    let json =
        format!(r#"{{"AccessKey": {{"AccessKeyId": "{ID}", "SecretAccessKey": "{SECRET}"}}}}"#);
    let add = [
        "add",
        "work",
        "--stdin",
        "--no-verify",
        "--no-profile",
        "--no-input",
    ];
    let trace = traced(&sandbox, &add, &json);
    let starts: Vec<&str> = trace.lines().filter(|l| l.contains("execve(")).collect();
    assert!(!starts.is_empty(), "{trace}");
    assert!(
        starts.iter().all(|line| !line.contains(SECRET)),
        "{starts:?}"
    );
    sandbox.secret_scan(&[SECRET]);
}

/// The system calls about files, sockets and programs that awskeep makes.
#[track_caller]
fn traced(sandbox: &Sandbox, arguments: &[&str], input: &str) -> String {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut strace = sandbox.command("strace");
    strace
        .args([
            "-f",
            "-s",
            "4096",
            "-e",
            "trace=%file,socket,connect,execve",
            "-o",
        ])
        .arg(log.path())
        .arg(sandbox.binary())
        .args(arguments);
    crate::programs::run_with_input(&mut strace, input).ok();
    let mut trace = String::new();
    log.as_file().read_to_string(&mut trace).unwrap();
    trace
}

/// Settings that others can write are not trusted, and the helper still has to decide.
#[test]
fn settings_that_others_can_write_do_not_break_the_answer() {
    let keychain = Keychain::start();
    let sandbox = with_work(&keychain);
    let settings = sandbox.write(".config/awskeep/config", "[default]\nlease = 1h\n");
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o666)).unwrap();
    check_success(&run(&mut helper(&sandbox)));
}

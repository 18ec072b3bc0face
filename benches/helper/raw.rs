//! The floor: the least that a process can do to print a secret of the Secret
//! Service. Four calls, two writes, no checks, no deadline. Edge.
//!
//! It is what the bench is when called as `helper raw-read`, and shares no code
//! with awskeep. Source: D-Bus specification, "Message Protocol".

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use crate::fixture;

pub const VERB: &str = "raw-read";

const PROVIDER: &str = "org.freedesktop.secrets";

unsafe extern "C" {
    safe fn geteuid() -> u32;
}

/// Prints the secret of the item with `service` and `username` of the bench.
pub fn main() -> ExitCode {
    match read() {
        Some(secret) if std::io::stdout().write_all(&secret).is_ok() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn read() -> Option<Vec<u8>> {
    let address = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok()?;
    let mut bus = UnixStream::connect(address.strip_prefix("unix:path=")?).ok()?;
    bus.write_all(&first_calls()).ok()?;
    let mut input = Vec::with_capacity(4096);
    let mut at = 0;
    while at == 0 {
        more(&mut bus, &mut input)?;
        let line_end = input.iter().position(|&byte| byte == b'\n');
        at = line_end.map_or(0, |end| end + 1);
    }
    answer(&mut bus, &mut input, &mut at)?;
    let body = answer(&mut bus, &mut input, &mut at)?;
    let session = text(&input, body + 12)?;
    let body = answer(&mut bus, &mut input, &mut at)?;
    let item = text(&input, body + 4)?;
    let (mut argument, mut out) = (Vec::new(), Vec::new());
    string(&mut argument, &session);
    let method = ["org.freedesktop.Secret.Item", "GetSecret", "o"];
    call(&mut out, 4, [PROVIDER, &item], method, &argument);
    bus.write_all(&out).ok()?;
    let body = answer(&mut bus, &mut input, &mut at)?;
    let parameters = (body + 4 + number(&input, body)? + 1).next_multiple_of(4);
    let secret = (parameters + 4 + number(&input, parameters)?).next_multiple_of(4);
    let bytes = input.get(secret + 4..)?.get(..number(&input, secret)?)?;
    Some(bytes.to_vec())
}

/// Who we are, Hello, OpenSession and SearchItems.
fn first_calls() -> Vec<u8> {
    let digits = geteuid().to_string();
    let uid: String = digits.bytes().map(|b| format!("{b:02x}")).collect();
    let mut out = format!("\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n").into_bytes();
    let bus = "org.freedesktop.DBus";
    call(
        &mut out,
        1,
        [bus, "/org/freedesktop/DBus"],
        [bus, "Hello", ""],
        &[],
    );
    let service = "org.freedesktop.Secret.Service";
    let place = [PROVIDER, "/org/freedesktop/secrets"];
    let mut body = Vec::new();
    string(&mut body, "plain");
    body.extend(b"\x01s\0");
    string(&mut body, "");
    call(&mut out, 2, place, [service, "OpenSession", "sv"], &body);
    let mut body = vec![0; 8];
    for [name, value] in [["service", fixture::SERVICE], ["username", fixture::ENTRY]] {
        pad(&mut body, 8);
        string(&mut body, name);
        string(&mut body, value);
    }
    let length = (body.len() - 8) as u32;
    body[..4].copy_from_slice(&length.to_le_bytes());
    call(&mut out, 3, place, [service, "SearchItems", "a{ss}"], &body);
    out
}

/// Where the body of the next method return starts, a multiple of eight from the
/// message's start; the calls are answered in their order.
fn answer(bus: &mut UnixStream, input: &mut Vec<u8>, at: &mut usize) -> Option<usize> {
    loop {
        while input.len() < *at + 16 {
            more(bus, input)?;
        }
        // Offsets in the message count from its start.
        input.drain(..*at);
        *at = 0;
        let body = (16 + number(input, 12)?).next_multiple_of(8);
        let end = body + number(input, 4)?;
        while input.len() < end {
            more(bus, input)?;
        }
        *at = end;
        match input[1] {
            2 => return Some(body),
            3 => return None,
            _ => {}
        }
    }
}

fn more(bus: &mut UnixStream, input: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 2048];
    let read = bus.read(&mut chunk).ok().filter(|&read| read > 0)?;
    input.extend_from_slice(&chunk[..read]);
    Some(())
}

fn number(input: &[u8], at: usize) -> Option<usize> {
    let bytes = input.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

fn text(input: &[u8], at: usize) -> Option<String> {
    let bytes = input.get(at + 4..)?.get(..number(input, at)?)?;
    String::from_utf8(bytes.to_vec()).ok()
}

fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

fn string(out: &mut Vec<u8>, text: &str) {
    pad(out, 4);
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
    out.push(0);
}

fn call(
    stream: &mut Vec<u8>,
    serial: u32,
    [destination, path]: [&str; 2],
    [interface, member, signature]: [&str; 3],
    body: &[u8],
) {
    let mut out = b"l\x01\0\x01".to_vec();
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(serial.to_le_bytes());
    out.extend([0; 4]);
    for (code, kind, value) in [
        (1, b'o', path),
        (2, b's', interface),
        (3, b's', member),
        (6, b's', destination),
    ] {
        pad(&mut out, 8);
        out.extend([code, 1, kind, 0]);
        string(&mut out, value);
    }
    if !signature.is_empty() {
        pad(&mut out, 8);
        out.extend([8, 1, b'g', 0, signature.len() as u8]);
        out.extend(signature.as_bytes());
        out.push(0);
    }
    let fields = out.len() as u32 - 16;
    out[12..16].copy_from_slice(&fields.to_le_bytes());
    pad(&mut out, 8);
    out.extend_from_slice(body);
    stream.extend(out);
}

//! A simulated AWS account, served over real HTTP on loopback or in-process: what
//! tests, the tour and the self-test run against. It checks signatures, keeps two keys
//! per user, sees changes late, and fails where a script says so.
//!
//! Not a mock of answers: `account.rs` is a state machine that decides them. Nothing
//! but std, hmac and sha2, so that `#[path]` can take it anywhere; only
//! `in_process.rs` knows awskeep.
#![allow(
    dead_code,
    reason = "each program that includes this uses another part of it"
)]

pub mod account;
pub mod asks;
pub mod clock;
pub mod faults;
mod http;
pub mod in_process;
pub mod people;
mod query;
mod signers;
mod sigv4;

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use account::Account;
use asks::{Refusal, Reply};
use clock::SimClock;
use faults::{Fault, Script, When};
use http::Request;
use sigv4::Signature;

/// What a server starts with.
#[derive(Debug, Clone, Default)]
pub struct SimConfig {
    pub account: Account,
    pub clock: SimClock,
    pub script: Script,
}

/// One request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub action: String,
    pub key_id: String,
    /// AWS's time, seconds since 1970.
    pub time: i64,
    pub request_id: String,
    /// Which connection it came on, from 1.
    pub connection: u32,
    /// `ok`, the code of the refusal, or `-` if the account was not asked.
    pub outcome: String,
}

/// A running server; stops when dropped.
pub struct SimServer {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    clock: SimClock,
    streams: Mutex<BTreeMap<u32, TcpStream>>,
    stopping: AtomicBool,
}

struct State {
    account: Account,
    script: Script,
    journal: Vec<Entry>,
}

impl SimServer {
    /// Serves STS and IAM on one free port of 127.0.0.1.
    pub fn start(config: SimConfig) -> SimServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                account: config.account,
                script: config.script,
                journal: Vec::new(),
            }),
            clock: config.clock,
            streams: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let for_thread = Arc::clone(&shared);
        SimServer {
            port,
            shared,
            acceptor: Some(thread::spawn(move || for_thread.accept(&listener))),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn clock(&self) -> &SimClock {
        &self.shared.clock
    }

    /// Looks at the account, or plays the person who changes it.
    pub fn account<T>(&self, look: impl FnOnce(&mut Account) -> T) -> T {
        look(&mut self.shared.state().account)
    }

    /// Replaces the script; its counts start anew.
    pub fn set_script(&self, script: Script) {
        self.shared.state().script = script;
    }

    /// All requests so far, in the order of their arrival.
    pub fn journal(&self) -> Vec<Entry> {
        self.shared.state().journal.clone()
    }

    /// Forgets the requests so far and gives them.
    pub fn take_journal(&self) -> Vec<Entry> {
        std::mem::take(&mut self.shared.state().journal)
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor; its answer does not matter.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let streams = self.shared.streams.lock();
        for stream in streams.unwrap_or_else(PoisonError::into_inner).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// What becomes of the connection after a request.
enum Then {
    Send(Vec<u8>),
    SendHalf(Vec<u8>),
    Close,
    /// Until the client goes.
    Wait,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A callback of a script may have panicked: the account is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Shared>, listener: &TcpListener) {
        for (number, stream) in (1..).zip(listener.incoming()) {
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            if self.state().script.refuses_connection() {
                continue;
            }
            let Ok(kept) = stream.try_clone() else {
                continue;
            };
            let streams = self.streams.lock();
            streams
                .unwrap_or_else(PoisonError::into_inner)
                .insert(number, kept);
            let shared = Arc::clone(self);
            thread::spawn(move || {
                // A client that goes away in the middle is nobody's error.
                let _ = shared.serve(&stream, number);
                let _ = stream.shutdown(Shutdown::Both);
                let streams = shared.streams.lock();
                streams
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&number);
            });
        }
    }

    fn serve(&self, stream: &TcpStream, number: u32) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        while let Some(request) = Request::read(&mut reader)? {
            match self.handle(&request, number) {
                Then::Send(bytes) => writer.write_all(&bytes)?,
                Then::SendHalf(bytes) => {
                    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n");
                    let body = head.map_or(0, |at| at + 4);
                    return writer.write_all(&bytes[..body + (bytes.len() - body) / 2]);
                }
                Then::Close => return Ok(()),
                Then::Wait => {
                    let _ = reader.read(&mut [0; 1])?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn handle(&self, request: &Request, connection: u32) -> Then {
        let form = request.form();
        let action = form.iter().find(|(name, _)| name == "Action");
        let action = action.map_or("-", |(_, value)| value);
        let signature = Signature::of(request);
        let now = self.clock.now();
        let key_id = signature.as_ref().map_or("-", |s| s.key_id);
        let (fault, request_id, at) = self.receive(action, key_id, now, connection);
        let send = |status: u16, body: &str| {
            let date = clock::http_date(self.clock.now());
            http::response(status, &date, &request_id, body)
        };
        match &fault {
            Some(Fault::LoseReply(When::Before)) => return Then::Close,
            Some(Fault::Hang(When::Before)) => return Then::Wait,
            Some(Fault::Bare(status)) => {
                return Then::Send(send(*status, "<html>a proxy's page</html>"));
            }
            Some(Fault::Body(status, body)) => return Then::Send(send(*status, body)),
            Some(Fault::Refuse {
                status,
                code,
                message,
            }) => {
                let refusal = Refusal::new(*status, code, *message);
                self.note(at, code);
                return Then::Send(send(*status, &query::refusal(&refusal, &request_id)));
            }
            Some(Fault::Halt(When::Before, run)) => run(),
            Some(_) | None => {}
        }
        if let Some(Fault::ArriveLate(seconds)) = fault {
            self.let_arrive_late(now + seconds, request, &form);
            return Then::Close;
        }
        let answer = signature.and_then(|signature| self.answer(now, request, &signature, &form));
        let reply = match &answer {
            Ok(reply) => send(200, &query::success(action, reply, &request_id)),
            Err(refusal) => send(refusal.status, &query::refusal(refusal, &request_id)),
        };
        self.note(
            at,
            answer.as_ref().map_or_else(|no| no.code.as_str(), |_| "ok"),
        );
        match fault {
            Some(Fault::LoseReply(_)) => Then::Close,
            Some(Fault::Hang(_)) => Then::Wait,
            Some(Fault::CutBody) => Then::SendHalf(reply),
            Some(Fault::Garbage) => Then::Send(send(200, "no XML at all")),
            Some(Fault::Delay(how_long)) => {
                thread::sleep(how_long);
                Then::Send(reply)
            }
            Some(Fault::Halt(When::After, run)) => {
                run();
                Then::Send(reply)
            }
            Some(_) | None => Then::Send(reply),
        }
    }

    /// Writes a request into the journal; gives what strikes it, its id and its place.
    fn receive(
        &self,
        action: &str,
        key_id: &str,
        time: i64,
        connection: u32,
    ) -> (Option<Fault>, String, usize) {
        let mut state = self.state();
        let at = state.journal.len();
        let request_id = request_id(connection, at);
        state.journal.push(Entry {
            action: action.to_owned(),
            key_id: key_id.to_owned(),
            time,
            request_id: request_id.clone(),
            connection,
            outcome: "-".into(),
        });
        (state.script.next(action), request_id, at)
    }

    fn answer(
        &self,
        now: i64,
        request: &Request,
        signature: &Signature<'_>,
        form: &[(String, String)],
    ) -> Result<Reply, Refusal> {
        let mut state = self.state();
        let secret = state.account.secret_of(signature.key_id, signature.token);
        let known = secret.is_some();
        let signed = signature.signed(request, secret);
        if known {
            signature.check_time(now)?;
        }
        let ask = query::ask_of(form)?;
        if ask.door() != signature.door {
            let message = "Credential should be scoped to correct service";
            return Err(Refusal::new(403, "SignatureDoesNotMatch", message));
        }
        state.account.answer(now, &signed, &ask)
    }

    fn let_arrive_late(&self, at: i64, request: &Request, form: &[(String, String)]) {
        if let (Ok(signature), Ok(ask)) = (Signature::of(request), query::ask_of(form)) {
            let mut state = self.state();
            let secret = state.account.secret_of(signature.key_id, signature.token);
            let signed = signature.signed(request, secret);
            state.account.arrive_late(at, signed, ask);
        }
    }

    fn note(&self, at: usize, outcome: &str) {
        if let Some(entry) = self.state().journal.get_mut(at) {
            entry.outcome = outcome.to_owned();
        }
    }
}

fn request_id(connection: u32, number: usize) -> String {
    format!("5130a7ed-0000-4000-8000-{connection:04x}{number:08x}")
}

//! Starts processes and says what they took: wall time here, CPU and peak memory as
//! the kernel counted them. Edge.

use std::collections::HashMap;
use std::ffi::{c_int, c_long};
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Source: wait4(2), getrusage(2); the layout is Linux's on every architecture.
#[repr(C)]
#[derive(Default)]
struct Usage {
    user: [c_long; 2],
    system: [c_long; 2],
    /// KiB.
    peak: c_long,
    rest: [c_long; 13],
}

unsafe extern "C" {
    fn wait4(pid: c_int, status: *mut c_int, options: c_int, usage: *mut Usage) -> c_int;
}

/// What one process took, and what it said.
pub struct Run {
    pub wall: Duration,
    pub cpu: Duration,
    pub peak_kib: u64,
    pub succeeded: bool,
    pub out: Vec<u8>,
    pub err: Vec<u8>,
}

struct Ended {
    pid: u32,
    at: Instant,
    cpu: Duration,
    peak_kib: u64,
    succeeded: bool,
}

/// One process from start to end.
///
/// # Errors
/// If it cannot be started; that it fails is told in the result.
pub fn run(command: &mut Command) -> io::Result<Run> {
    let started = Instant::now();
    let child = spawn(command)?;
    // What it writes fits into a pipe, so nobody needs to read before it has ended.
    let ended = wait(c_int::try_from(child.id()).expect("process ids are small"))?;
    finish(child, started, &ended)
}

/// Many processes, started as fast as one can; the time until all had ended.
///
/// # Errors
/// If one cannot be started.
pub fn burst(commands: Vec<Command>) -> io::Result<(Duration, Vec<Run>)> {
    let count = commands.len();
    let (sender, receiver) = mpsc::channel();
    let first = Instant::now();
    let mut children = HashMap::with_capacity(count);
    thread::scope(|scope| {
        let reaper = scope.spawn(move || reap(count, &sender));
        for mut command in commands {
            let started = Instant::now();
            let child = spawn(&mut command)?;
            children.insert(child.id(), (child, started));
        }
        reaper.join().expect("the reaper does not panic")
    })?;
    let mut last = first;
    let mut runs = Vec::with_capacity(count);
    let mut ended = receiver.into_iter();
    while !children.is_empty() {
        // The bus or the keyring may have ended in between, and taken a child's place.
        let ended = ended.next().map_or_else(|| wait(-1), Ok)?;
        if let Some((child, started)) = children.remove(&ended.pid) {
            last = last.max(ended.at);
            runs.push(finish(child, started, &ended)?);
        }
    }
    Ok((last - first, runs))
}

fn reap(count: usize, sender: &mpsc::Sender<Ended>) -> io::Result<()> {
    for _ in 0..count {
        // Any child; the bus and the keyring are there from the start, so there is one.
        let ended = wait(-1)?;
        if sender.send(ended).is_err() {
            break;
        }
    }
    Ok(())
}

fn spawn(command: &mut Command) -> io::Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

fn wait(pid: c_int) -> io::Result<Ended> {
    let (mut status, mut usage) = (0, Usage::default());
    let ended = loop {
        // SAFETY: both pointers are to live values of the types that wait4 fills.
        let ended = unsafe { wait4(pid, &raw mut status, 0, &raw mut usage) };
        let error = io::Error::last_os_error();
        match ended {
            0.. => break ended,
            _ if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    };
    let time = |[seconds, micros]: [c_long; 2]| {
        Duration::from_secs(seconds.unsigned_abs()) + Duration::from_micros(micros.unsigned_abs())
    };
    Ok(Ended {
        pid: ended.unsigned_abs(),
        at: Instant::now(),
        cpu: time(usage.user) + time(usage.system),
        peak_kib: usage.peak.unsigned_abs(),
        succeeded: status == 0,
    })
}

fn finish(mut child: Child, started: Instant, ended: &Ended) -> io::Result<Run> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    if let Some(pipe) = &mut child.stdout {
        pipe.read_to_end(&mut out)?;
    }
    if let Some(pipe) = &mut child.stderr {
        pipe.read_to_end(&mut err)?;
    }
    Ok(Run {
        wall: ended.at - started,
        cpu: ended.cpu,
        peak_kib: ended.peak_kib,
        succeeded: ended.succeeded,
        out,
        err,
    })
}

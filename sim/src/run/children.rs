//! Seeds in child processes: what is static in the engine can serve one run at a time, and a run that hangs or dies takes
//! nobody with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::panics;
use super::report::{Figures, Line};
use super::swarm::Limits;
use super::trace::Trace;
use super::world::run_seed;

/// A seed that has said nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lines of the trace that a failure shows.
const SHOWN_LINES: usize = 60;

/// The arguments that stand for limits.
#[must_use]
pub fn arguments(limits: &Limits) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut number = |name: &str, value: Option<u32>| {
        if let Some(value) = value {
            arguments.extend([name.to_owned(), value.to_string()]);
        }
    };
    number("--operations", limits.operations);
    number("--sessions", limits.sessions);
    number("--lives", limits.lives);
    if !limits.without.is_empty() {
        let without: Vec<_> = limits.without.iter().map(String::as_str).collect();
        arguments.extend(["--without".to_owned(), without.join(",")]);
    }
    arguments
}

/// The work of a child: seeds one after the other, a line for each, until one fails.
///
/// # Errors
/// When nobody takes the lines.
pub fn work(seeds: Range<u64>, limits: &Limits, spoken: bool) -> std::io::Result<bool> {
    panics::keep();
    let mut out = std::io::stdout().lock();
    for seed in seeds {
        writeln!(out, "{}", Line::Begin(seed))?;
        out.flush()?;
        let trace = if spoken { Trace::spoken() } else { Trace::default() };
        match run_seed(seed, limits, &trace) {
            Ok(figures) => {
                writeln!(out, "{}", Line::Done { seed, fingerprint: trace.fingerprint(), figures })?;
            }
            Err(why) => {
                for line in trace.tail(SHOWN_LINES) {
                    writeln!(out, "{}", Line::Trace(line))?;
                }
                writeln!(out, "{}", Line::Failed { seed, why })?;
                out.flush()?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// A seed that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Why.
    pub why: String,
    /// The last lines of its trace.
    pub trace: Vec<String>,
}

/// A child at work.
#[derive(Debug)]
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(seeds: &Range<u64>, limits: &Limits) -> std::io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("run")
            .arg("--worker")
            .args(["--seeds", &format!("{}..{}", seeds.start, seeds.end)])
            .args(arguments(limits))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::Builder::new().spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            })?;
        }
        Ok(Self { child, lines })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Runs seeds in a child until one fails; tells of each that went well.
///
/// # Errors
/// The seed that failed: by its own word, by dying, or by hanging.
pub fn run(
    seeds: &Range<u64>,
    limits: &Limits,
    mut done: impl FnMut(u64, u64, &Figures),
) -> Result<(), Failure> {
    let failure = |seed, why, trace| Err(Failure { seed, why, trace });
    let mut running = match Running::start(seeds, limits) {
        Ok(running) => running,
        Err(error) => return failure(seeds.start, format!("no child process: {error}"), Vec::new()),
    };
    let (mut current, mut trace, mut count) = (seeds.start, Vec::new(), 0);
    loop {
        let line = match running.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                return failure(current, format!("hangs: nothing for {PATIENCE:?}"), trace);
            }
            Err(RecvTimeoutError::Disconnected) if count == seeds.end - seeds.start => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                let status = running.child.wait().map_or_else(|error| error.to_string(), |s| s.to_string());
                return failure(current, format!("the process died: {status}"), trace);
            }
        };
        match Line::parse(&line) {
            Some(Line::Begin(seed)) => current = seed,
            Some(Line::Done { seed, fingerprint, figures }) => {
                count += 1;
                done(seed, fingerprint, &figures);
            }
            Some(Line::Trace(line)) => trace.push(line),
            Some(Line::Failed { seed, why }) => return failure(seed, why, trace),
            None => {}
        }
    }
}

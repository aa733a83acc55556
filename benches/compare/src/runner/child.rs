//! A process for one cell: what it said, what others did meanwhile, and an end to it when it takes too long.

use std::fmt;
use std::io::Read;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use braid_measure::machine::{Shares, Usage};

use crate::cell::Reading;
use crate::process;

/// The line with which a cell tells its greatest use of memory.
const PEAK: &str = "peak-memory-bytes\t";
/// How often to look whether the process has ended.
const LOOK: Duration = Duration::from_millis(20);

/// How it is told that a process was killed at the limit.
pub(crate) const TOO_LONG: &str = "killed: not done after";

/// Set by Ctrl-C: the process that runs is killed, and no other one is started.
pub(crate) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C ends what runs, and leaves it to the caller to end in good order.
pub(crate) fn stop_on_interrupt() -> Result<(), String> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).map_err(|error| error.to_string())
}

/// What a process left that ended well.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) readings: Vec<Reading>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) shares: Shares,
    pub(crate) elapsed: Duration,
}

/// Why there is nothing that a process left: a sentence for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was killed after so long.
    TooLong(Duration),
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(f, "{TOO_LONG} {:.0} s", limit.as_secs_f64()),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Failure {}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

impl From<&str> for Failure {
    fn from(reason: &str) -> Self {
        Self::Other(reason.to_owned())
    }
}

/// The last line of a cell's output.
pub(crate) fn peak_line(bytes: u64) -> String {
    format!("{PEAK}{bytes}")
}

/// Runs a cell.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Finished, Failure> {
    let (before, began) = (Usage::now(), Instant::now());
    let output = output(command, limit)?;
    let shares = match (before, Usage::now()) {
        (Some(before), Some(after)) => after.since(&before),
        _ => Shares::default(),
    };
    let peak_memory_bytes =
        output.lines().find_map(|line| line.strip_prefix(PEAK)).and_then(|bytes| bytes.parse().ok());
    let readings: Vec<_> = output.lines().filter_map(Reading::from_line).collect();
    if readings.is_empty() {
        return Err("it printed no reading".into());
    }
    if let Some(odd) = readings.iter().find(|reading| !reading.value.is_finite()) {
        return Err(format!("{} is {}", odd.metric, odd.value).into());
    }
    Ok(Finished { readings, peak_memory_bytes, shares, elapsed: began.elapsed() })
}

/// The standard output of a command that ends well within the limit.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<String, Failure> {
    // A session, so that processes which a cell starts end with it, and Ctrl-C comes to us alone.
    process::own_session(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("it could not be started: {error}"))?;
    let (out, err) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let ended = wait(&mut child, limit);
    process::kill_group(child.id());
    let status =
        ended.or_else(|failure| child.wait().map_err(|error| error.to_string().into()).and(Err(failure)));
    let (out, err) = (text(out), text(err));
    let status = status?;
    if status.success() { Ok(out) } else { Err(format!("{}: {}", ending(status), last_words(&err)).into()) }
}

fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus, Failure> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status);
        }
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
        if began.elapsed() > limit {
            return Err(Failure::TooLong(limit));
        }
        std::thread::sleep(LOOK);
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is all there is to show.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn text(reader: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    }
}

/// The end of what it said on its standard error, in one line.
fn last_words(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from = lines.len().saturating_sub(3);
    lines.get(from..).unwrap_or_default().join(" / ").chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<Finished, Failure> {
        run(Command::new("sh").args(["-c", script]), limit)
    }

    fn reason(script: &str) -> String {
        shell(script, AMPLE).unwrap_err().to_string()
    }

    const AMPLE: Duration = Duration::from_secs(20);

    #[test]
    fn readings_and_memory_are_read() {
        let script = "printf 'commits\\t7\\t1/s\\tmore\\nnonsense\\npeak-memory-bytes\\t123\\n'";
        let finished = shell(script, AMPLE).unwrap();
        assert_eq!(finished.readings.len(), 1);
        assert_eq!(finished.readings[0].value, 7.0);
        assert_eq!(finished.peak_memory_bytes, Some(123));
    }

    #[test]
    fn a_failure_says_why() {
        assert_eq!(reason("echo no room >&2; exit 3"), "exit code 3: no room");
        assert_eq!(reason("kill -9 $$"), "signal 9: ");
        assert_eq!(reason("true"), "it printed no reading");
        assert_eq!(reason("printf 'a\\tNaN\\t1/s\\tmore\\n'"), "a is NaN");
    }

    #[test]
    fn too_long_is_killed_with_all_that_it_started() {
        let began = Instant::now();
        // The inner one would keep the pipes open.
        let limit = Duration::from_millis(100);
        assert_eq!(shell("sleep 30 & sleep 30", limit).unwrap_err(), Failure::TooLong(limit));
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

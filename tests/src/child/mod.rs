//! The child processes of the tests that need one, as one program: `COMMAND PATH [ARGUMENTS]`.
//!
//! * `open PATH`: opens for writing, prints `opened`, or `locked PID`, and ends.
//! * `read PATH`: the same, read-only.
//! * `hold PATH`, `hold-read PATH`: the same, and keeps the database open until its input ends.
//! * `work PATH THREADS SEED`: commits from many threads until its input ends.
//! * `steps PATH COUNT MAPPED`: commits one after the other, and goes on whatever fails.
//! * `full PATH`: fills the small disk that it was put on, and is given a larger one.
//! * `descriptors PATH`: runs out of file descriptors.

pub(crate) mod descriptors;
pub(crate) mod full;
pub(crate) mod steps;
pub(crate) mod work;

use std::io::{Read, Write};
use std::process::ExitCode;

use braid::{Database, Error, Result};

/// What a child that cannot be put into its circumstances ends with.
pub(crate) const SKIPPED: u8 = 77;

/// Does what the arguments say.
#[must_use]
pub fn run(arguments: &[String]) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *arguments.as_slice() {
        ["open", path] => {
            say_how_it_went(&Database::open(path));
            Ok(())
        }
        ["read", path] => {
            say_how_it_went(&Database::open_read_only(path));
            Ok(())
        }
        ["hold", path] => hold(Database::open(path)),
        ["hold-read", path] => hold(Database::open_read_only(path)),
        ["work", path, threads, seed] => {
            work::work(path, threads.parse().unwrap_or(1), seed.parse().unwrap_or(0))
        }
        ["steps", path, count, mapped] => {
            steps::steps(path, count.parse().unwrap_or(1), mapped == "mapped");
            Ok(())
        }
        ["full", path] => full::full(path),
        ["descriptors", path] => descriptors::descriptors(path),
        _ => Err(Error::other("usage: COMMAND PATH [ARGUMENTS]; see braid_tests::child")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error {}", error.in_full()));
            ExitCode::FAILURE
        }
    }
}

/// One whole line at once, and nothing if nobody listens any more.
pub(crate) fn say(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).is_ok()
}

fn say_how_it_went(opened: &Result<Database>) {
    say(&match opened {
        Ok(_) => "opened".to_owned(),
        Err(Error::Locked { holder: Some(pid), .. }) => format!("locked {pid}"),
        Err(Error::Locked { holder: None, .. }) => "locked unknown".to_owned(),
        Err(error) => format!("error {}", error.in_full()),
    });
}

fn hold(opened: Result<Database>) -> Result<()> {
    let Ok(db) = opened else {
        say_how_it_went(&opened);
        return Ok(());
    };
    say("ready");
    let mut input = Vec::new();
    // Whatever ends the input ends the wait.
    let _ = std::io::stdin().read_to_end(&mut input);
    db.close()?;
    Ok(())
}

/// The name of an error's kind, for the process that listens.
pub(crate) fn kind(error: &Error) -> &'static str {
    match error {
        Error::Busy(_) | Error::BusySnapshot { .. } => "Busy",
        Error::CommitUnknown { .. } => "CommitUnknown",
        Error::Poisoned { .. } => "Poisoned",
        Error::Corrupt(_) => "Corrupt",
        Error::Mismatch(_) => "Mismatch",
        Error::NoSpace(_) => "NoSpace",
        Error::Io { .. } => "Io",
        _ => "Other",
    }
}

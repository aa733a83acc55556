//! How a run ends: an exit code that scripts can branch on, and for a failure one line that says what went wrong and
//! one that says what to do.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use braid::Error;

use crate::output::printable;

/// The exit codes, as `--help` shows them.
pub(crate) const CODES: &str = "\
Exit codes:
  0    done
  1    the data has a problem: findings, rejected records, an unreadable input, a total that is not conserved
  2    the command line is wrong
  3    there is no such database, file, table or history
  4    another process holds the database
  5    the file is not a Braid database
  6    the database has a newer format than this version reads
  7    the database is damaged, or its files do not belong together
  8    the disk is full
  9    something else
  130  interrupted before the work was done

At the first Ctrl-C, `bench`, `changes` and `load` end early with what they have done until then, `changes --follow` with
code 0; at the second they end at once. The others die of it, which a shell tells as 130, too. It damages no database.";

/// An exit code of [`CODES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Done = 0,
    DataProblem = 1,
    Usage = 2,
    NotFound = 3,
    Locked = 4,
    Foreign = 5,
    NewerFormat = 6,
    Damaged = 7,
    NoSpace = 8,
    Other = 9,
    Interrupted = 130,
}

/// What a command ends with when it has said everything itself, or what it could not do.
pub(crate) type Result<T = Code, E = Failure> = std::result::Result<T, E>;

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Standard output was closed by its reader: nobody wants to hear more.
    PipeClosed,
    /// Something to tell.
    Told {
        /// The exit code.
        code: Code,
        /// What went wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// What to do about transactions that were in each other's way for too long.
const TOO_SLOW: &str = "the command's own writers waited for one another for too long, as they do where the disk is slow; try again, \
                        with fewer --writers where there are more than one";

/// What to do about a file that is something else.
const LEFT_AS_IT_IS: &str = "give the path of the database file itself; the file was left as it is";

impl Failure {
    /// A failure with a hint.
    pub(crate) fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Told { code, message: message.into(), hint: Some(hint.into()) }
    }

    /// What the system said about a file that is not a database.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        let (code, hint) = match error.kind() {
            io::ErrorKind::NotFound => (Code::NotFound, "check the path"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (Code::NoSpace, "free space and try again")
            }
            io::ErrorKind::PermissionDenied => (Code::Other, "check who may read and write it"),
            _ => (Code::Other, "check the path and the disk"),
        };
        Self::new(code, format!("{}: {error}", path.display()), hint)
    }

    /// The same, with another hint.
    pub(crate) fn advise(mut self, better: impl Into<String>) -> Self {
        if let Self::Told { hint, .. } = &mut self {
            *hint = Some(better.into());
        }
        self
    }

    /// The same, with one more thing in the hint.
    pub(crate) fn advise_also(mut self, more: &str) -> Self {
        if let Self::Told { hint, .. } = &mut self {
            *hint = Some(hint.take().map_or_else(|| more.to_owned(), |hint| format!("{hint}; {more}")));
        }
        self
    }

    /// The same, with another hint if it ends with this code.
    pub(crate) fn advise_on(self, code: Code, better: &str) -> Self {
        match self {
            Self::Told { code: its, .. } if its == code => self.advise(better),
            other => other,
        }
    }

    /// The same, with what had been done before it.
    pub(crate) fn after(mut self, done: impl Display) -> Self {
        if let Self::Told { message, .. } = &mut self {
            *message = format!("{done}: {message}");
        }
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, hint) = match &error {
            Error::NotFound(_) => (Code::NotFound, Some("check the path; `braid load` makes a new database")),
            Error::NoSuchTable(_) => (Code::NotFound, Some("list the tables with `braid tables PATH`")),
            Error::HistoryGone { .. } | Error::FutureTimestamp { .. } => (
                Code::NotFound,
                Some(
                    "read the tables with `braid dump`; `braid changes --consumer NAME` has the log kept from then on",
                ),
            ),
            Error::Locked { .. } => {
                (Code::Locked, Some("wait for the other process to end, or end it, and try again"))
            }
            // No other process: one at a time has a database open for writing.
            Error::Busy(_) | Error::BusySnapshot { .. } => (Code::Other, Some(TOO_SLOW)),
            Error::NotABraidDatabase { .. } => (Code::Foreign, Some(LEFT_AS_IT_IS)),
            Error::NewerFormat { .. } => {
                (Code::NewerFormat, Some("install the newest braid; the file was left as it is"))
            }
            Error::Corrupt(_) => (
                Code::Damaged,
                Some(
                    "restore a backup, or save what is readable into a new file with `braid salvage PATH OUT`",
                ),
            ),
            Error::Mismatch(_) => (Code::Damaged, None),
            Error::NoSpace(_) => (Code::NoSpace, Some("free space on that disk and try again")),
            Error::CommitUnknown { .. } | Error::Poisoned { .. } => {
                (Code::Other, Some("check the disk, then look with `braid check PATH` and `braid dump PATH`"))
            }
            Error::Limit { .. } | Error::TransactionTooLarge { .. } => {
                (Code::Usage, Some("see the limits in the README"))
            }
            Error::ReadOnly => (Code::Other, Some("check who may write the file and its folder")),
            Error::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => (Code::NotFound, Some("check that the folder exists")),
                io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
                    (Code::Foreign, Some("give the path of the database file itself"))
                }
                io::ErrorKind::AlreadyExists => (Code::Usage, None),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    (Code::Other, Some("check who may read and write the file and its folder"))
                }
                _ => (Code::Other, Some("check the path and the disk")),
            },
            _ => (Code::Other, None),
        };
        // What to do is in the hint, and need not be said twice.
        let message = match &error {
            Error::Corrupt(what) => format!("corrupt: {what}"),
            Error::NoSpace(source) => format!("no space left: {source}"),
            Error::NotFound(path) => format!("there is no database at {}", path.display()),
            Error::NotABraidDatabase { path, reason, .. } => {
                format!("{} is not a Braid database: {reason}", path.display())
            }
            Error::NoSuchTable(name) => format!("there is no table `{name}`"),
            Error::CommitUnknown { commit_ts, source, .. } => {
                format!("it is not known whether commit {commit_ts} was kept: {source}")
            }
            Error::Poisoned { source, .. } => {
                format!("the database could not be written or synced: {source}")
            }
            _ => error.in_full().to_string(),
        };
        match (hint, message.rsplit_once("; ")) {
            // Without a hint of the command's own: the engine's sentences end with what to do.
            (None, Some((what, to_do))) => Self::new(code, what, to_do),
            (hint, _) => Self::Told { code, message, hint: hint.map(str::to_owned) },
        }
    }
}

impl From<io::Error> for Failure {
    /// An error of standard output; errors of files go through [`Failure::file`].
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::PipeClosed;
        }
        let code = if error.kind() == io::ErrorKind::StorageFull { Code::NoSpace } else { Code::Other };
        Self::new(code, format!("cannot write the output: {error}"), "check where the output goes")
    }
}

/// The end of a command that has told its result: that its reader has gone makes nothing good of a bad one.
pub(crate) fn ends(said: io::Result<()>, code: Code) -> Result {
    match said.map_err(Failure::from) {
        Ok(()) | Err(Failure::PipeClosed) => Ok(code),
        Err(failure) => Err(failure),
    }
}

/// Tells a failure on standard error, and turns either end into the exit code.
pub(crate) fn report(result: Result) -> ExitCode {
    let code = match result {
        Ok(code) => code,
        Err(Failure::PipeClosed) => Code::Done,
        Err(Failure::Told { code, message, hint }) => {
            let mut text = format!("braid: {}", printable(&message));
            if let Some(hint) = hint {
                let _ = write!(text, "\nhint: {}", printable(&hint));
            }
            let _ = writeln!(io::stderr(), "{text}");
            code
        }
    };
    ExitCode::from(code as u8)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use braid::{Database, Options};

    use super::*;

    #[test]
    fn a_turn_that_does_not_come_is_not_blamed_on_another_process() {
        let db = Database::in_memory_with(Options::default().busy_timeout(Duration::ZERO)).unwrap();
        let _holder = db.begin().unwrap();
        let Failure::Told { code, hint, .. } = Failure::from(db.begin().unwrap_err()) else {
            panic!("it is told")
        };
        assert_eq!(code, Code::Other);
        assert!(hint.as_ref().is_some_and(|hint| !hint.contains("process")), "{hint:?}");
    }
}

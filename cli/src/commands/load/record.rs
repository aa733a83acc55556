//! What a file is made of, whatever its format.

use std::io;
use std::path::Path;

use braid::Error;

use crate::exit::{Code, Failure};

/// The longest record, in bytes. A longer one is rejected without being held in memory.
pub(super) const MAX_RECORD_BYTES: usize = 8 << 20;

/// One record, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A row to load.
    Row {
        /// The line that the record begins on; the first is 1.
        line: u64,
        /// Its key: never empty, but in a dump.
        key: Vec<u8>,
        /// The record as a JSON object, or what a dump has for the row.
        value: Vec<u8>,
    },
    /// A record to leave out.
    Rejected {
        /// The line that it begins on.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// The records of a file, one by one.
pub(super) trait Records {
    /// The next one, or `None` at the end.
    fn next(&mut self) -> Result<Option<Item>, LoadError>;
}

/// Why loading cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// The command line does not fit the file.
    #[error("the command line does not fit the file")]
    Usage(Failure),
    /// The header is of no use.
    #[error("{0}")]
    Header(String),
    /// The database refuses.
    #[error("{0}")]
    Database(#[from] Error),
    /// A thread ended by a panic.
    #[error("a writer died of a panic")]
    WriterDied,
    /// The system gives no more threads.
    #[error("cannot start a writer: {0}")]
    NoThread(#[source] io::Error),
}

impl LoadError {
    /// Whether commits that were not synced may be gone.
    pub(super) fn loses_what_is_deferred(&self) -> bool {
        matches!(self, Self::Database(Error::Poisoned { .. } | Error::CommitUnknown { .. }))
    }

    /// The failure that the command ends with.
    pub(super) fn told(self, file: &Path) -> Failure {
        match self {
            Self::Read(error) => Failure::file(file, &error),
            Self::Usage(failure) => failure,
            Self::Header(reason) => Failure::new(
                Code::DataProblem,
                format!("{}: {reason}", file.display()),
                "check --key and --format; nothing was loaded",
            ),
            Self::Database(error) => error.into(),
            Self::NoThread(_) => Failure::new(Code::Other, self.to_string(), "give fewer --writers"),
            Self::WriterDied => Failure::new(Code::Other, self.to_string(), "see above, and report it"),
        }
    }
}

impl From<Failure> for LoadError {
    fn from(failure: Failure) -> Self {
        Self::Usage(failure)
    }
}

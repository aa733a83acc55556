//! What can go wrong in the base.

use std::io;
use std::sync::Arc;

use super::ids::{PageId, TreeId};

/// Shorthand for results of the base.
pub(crate) type Result<T> = std::result::Result<T, BaseError>;

/// An error of the base. Variants are what a caller branches on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaseError {
    /// The system refused an operation on the file.
    #[error("{doing} failed: {source}")]
    Io {
        /// What was being done, as in "reading a page".
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The disk or a quota is full. Nothing was published, and the pages that had been taken are free again.
    #[error("no space is left for the database file: free some and try again")]
    NoSpace {
        /// What the system said.
        source: io::Error,
    },
    /// A sync failed: nothing is known about what reached the disk. The store takes no further checkpoint.
    #[error("the database file could not be synced ({source}): close the database and open it again")]
    SyncFailed {
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// An earlier sync failed, so this store writes no more.
    #[error("an earlier sync of the database file failed ({source}): close the database and open it again")]
    Poisoned {
        /// What the system said then.
        source: Arc<io::Error>,
    },
    /// A page does not hold what it must.
    #[error("page {page} of the database file is damaged ({what})")]
    Corrupt {
        /// The page.
        page: PageId,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The blocks at the start of the file do not hold what they must.
    #[error("the head of the database file is damaged ({what})")]
    CorruptHead {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A newer version of Braid wrote the file.
    #[error(
        "the database file has format {found}, this version reads up to {supported}: use a newer version of Braid"
    )]
    NewerFormat {
        /// The file's format.
        found: u32,
        /// The newest one that this code reads.
        supported: u32,
    },
    /// The file belongs to some other program.
    #[error("the file is not a Braid database: give another path, nothing was changed")]
    NotABraidFile,
    /// The file already holds a database.
    #[error("the file already holds a database: open it instead of creating one")]
    AlreadyExists,
    /// A base or cursor of one store was given to another.
    #[error("the base belongs to another state of the store: take the newest one")]
    Mismatch,
    /// A parameter is out of its range.
    #[error("{what}")]
    InvalidParameter {
        /// Which one, and what it may be.
        what: &'static str,
    },
    /// A key is longer than a page allows.
    #[error("a key of {len} bytes is longer than the {max} that pages of this file allow")]
    KeyTooLong {
        /// Its length.
        len: usize,
        /// The longest one.
        max: usize,
    },
    /// A value is longer than the format allows.
    #[error("a value of {len} bytes is longer than the format allows")]
    ValueTooLong {
        /// Its length.
        len: usize,
    },
    /// A source of changes was not ascending by tree and key, or named a tree that is not to be written.
    #[error("changes for tree {tree} do not come in ascending order of tree and key")]
    OutOfOrder {
        /// The tree of the offending change.
        tree: TreeId,
    },
    /// A counter has no next value.
    #[error("the file has used up its {what}: copy it into a new one, with larger pages if it is a page id")]
    Exhausted {
        /// Which counter.
        what: &'static str,
    },
    /// A read needs more memory than the system gives.
    #[error("there is no memory for a value of {len} bytes")]
    OutOfMemory {
        /// The length asked for.
        len: usize,
    },
    /// The store was opened for reading.
    #[error("the database is open for reading only: open it for writing")]
    ReadOnly,
    /// The caller asked for the end of the work that was under way. Nothing was published.
    #[error("the checkpoint was abandoned on request")]
    Aborted,
    /// The caller's source of changes, or its receiver of rows, failed.
    #[error("the other end failed: {0}")]
    Caller(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl BaseError {
    /// Wraps a failed write or change of length: a full disk is told apart.
    pub(crate) fn from_write(doing: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::NoSpace { source }
            }
            _ => Self::Io { doing, source },
        }
    }

    /// Wraps a failed sync.
    pub(crate) fn from_sync(source: io::Error) -> Self {
        Self::SyncFailed { source: Arc::new(source) }
    }

    /// Whether the error says that the file does not hold what it must.
    pub(crate) fn is_corruption(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::CorruptHead { .. })
    }
}

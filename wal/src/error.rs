//! What can go wrong, for each thing a caller does.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Lsn;

/// Why a record was not appended. Nothing of it will ever be recovered, except after [`AppendError::InDoubt`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The segment is full and none that would do is ready. Nothing has changed.
    #[error("the log has no segment ready for {bytes} bytes; prepare one and append again")]
    SegmentNeeded {
        /// What to give to [`Log::prepare`](crate::Log::prepare), outside the commit section.
        bytes: u64,
    },
    /// The payload is longer than the options allow. Nothing has changed.
    #[error("a log record of {bytes} bytes is over the limit of {limit}; write less in one transaction")]
    TooLarge {
        /// The payload.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A plain write failed and nothing of the record counts; the next append takes its place.
    #[error("the log could not be written; the record was taken back")]
    Io(#[source] io::Error),
    /// A plain write failed, and nobody knows how much of the record arrived: it may be recovered. The log takes no more.
    #[error("the log could not be written; close the database and open it again to learn what was kept")]
    InDoubt(#[source] Arc<io::Error>),
    /// The log takes no more records, and nothing is left of this one: a sync failed, or an earlier write is in doubt. With
    /// what the system said then.
    #[error("the log is poisoned by an earlier failure; close the database and open it again")]
    Poisoned(#[source] Arc<io::Error>),
    /// The log has no position or segment number left.
    #[error("the log has run out of positions; copy the data to a new database")]
    Exhausted,
}

/// Why it is not known that a position is durable.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The sync that was to cover the position failed. It is not known what is on the disk.
    #[error("the log could not be synced; close the database and open it again to learn what was kept")]
    Failed(#[source] Arc<io::Error>),
    /// An earlier failure poisoned the log before the position was covered. With what the system said then.
    #[error("the log is poisoned by an earlier failure; close the database and open it again")]
    Poisoned(#[source] Arc<io::Error>),
    /// The position is past the end of the log, so no sync can cover it.
    #[error("position {lsn} is past the end of the log; wait only for what was appended")]
    BeyondEnd {
        /// The position asked for.
        lsn: Lsn,
    },
}

impl SyncError {
    /// What the system said, then or earlier.
    #[must_use]
    pub fn into_cause(self) -> Arc<io::Error> {
        match self {
            Self::Failed(cause) | Self::Poisoned(cause) => cause,
            Self::BeyondEnd { .. } => Arc::new(io::Error::other(self)),
        }
    }
}

/// Why a log could not be created, started, prepared, released or closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A file operation failed.
    #[error("the log could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The directory already holds a log.
    #[error("{} already holds a log; open its database or move the directory away", path.display())]
    AlreadyExists {
        /// The directory.
        path: PathBuf,
    },
    /// What recovery had read is no longer there.
    #[error("the log in {} changed while it was being recovered; make sure that nothing else writes there", path.display())]
    Changed {
        /// The directory.
        path: PathBuf,
    },
    /// A record could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A sync failed.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The log takes no more records. With what the system said when that came to be.
    #[error("the log is poisoned by an earlier failure; close the database and open it again")]
    Poisoned(#[source] Arc<io::Error>),
    /// No segment number or position is left.
    #[error("the log has run out of positions; copy the data to a new database")]
    Exhausted,
}

/// Why a log cannot be recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// Bytes that were synced once are damaged or gone.
    #[error("the log is corrupt in segment {segment:016x} at byte {offset} (position {lsn}): {what}")]
    Corrupt {
        /// The segment's sequence number, which is its file name.
        segment: u64,
        /// Where in the file.
        offset: u64,
        /// The position of the first record that cannot be had.
        lsn: Lsn,
        /// What proves it.
        what: Damage,
    },
    /// The segment with the position to start from is not there.
    #[error("the log in {} does not hold position {start}; it is missing or belongs to another copy", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
        /// The position to start from.
        start: Lsn,
    },
    /// A segment of another database lies in the directory.
    #[error("{} belongs to another database; put this database's own log back", path.display())]
    Mismatch {
        /// The segment file.
        path: PathBuf,
    },
    /// A segment was written by a newer version.
    #[error("{} has log format {version}, newer than this version reads; use a newer one", path.display())]
    NewerFormat {
        /// The segment file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// A file operation failed.
    #[error("the log could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// How it is known that damage is damage and not an unfinished write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// A later record or segment header says that these bytes were synced.
    ProvenByLog {
        /// The end, exclusive, of what it says was synced.
        durable: Lsn,
    },
    /// The caller's own proof (the meta page) says so.
    ProvenByCaller {
        /// The end, exclusive, of what it says was synced.
        durable: Lsn,
    },
    /// The log goes on in a segment that is not there.
    SegmentGone {
        /// The absent segment's sequence number.
        segment: u64,
    },
    /// The header of a segment that is needed is damaged.
    HeaderDamaged,
    /// The segment's file is shorter than it was made.
    CutOff {
        /// What its length in bytes was.
        made: u64,
    },
    /// Two segments claim the same positions in a way that no run of the log leaves behind.
    Overlap,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ProvenByLog { durable } => {
                write!(f, "a later part of the log shows that everything before {durable} was synced")
            }
            Self::ProvenByCaller { durable } => {
                write!(f, "the database shows that everything before {durable} was synced")
            }
            Self::SegmentGone { segment } => write!(f, "it goes on in segment {segment:016x}, which is gone"),
            Self::HeaderDamaged => f.write_str("the segment's header is damaged"),
            Self::CutOff { made } => write!(f, "the segment's file was {made} bytes long and is shorter now"),
            Self::Overlap => f.write_str("a record reaches into the next segment"),
        }
    }
}

/// Why a scan ended early: the log, or the caller's own closure.
#[derive(Debug, thiserror::Error)]
pub enum ScanError<E> {
    /// The log cannot be recovered.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The closure refused a record.
    #[error("the log's reader stopped at a record")]
    Stopped(E),
}

/// Why a reader of the log's history cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The segment with the position was released.
    #[error("the log no longer holds position {lsn}; the oldest it holds is {oldest}")]
    Gone {
        /// The position wanted.
        lsn: Lsn,
        /// The oldest that is there.
        oldest: Lsn,
    },
    /// There is no whole record where one was durable.
    #[error("the log is corrupt in segment {segment:016x} at byte {offset} (position {lsn})")]
    Corrupt {
        /// The segment's sequence number, which is its file name.
        segment: u64,
        /// Where in the file.
        offset: u64,
        /// The position of the record.
        lsn: Lsn,
    },
    /// A file operation failed.
    #[error("the log could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_with_what_there_is_to_know_about_it() {
        let durable = Lsn::new(8200);
        let told = [
            (Damage::ProvenByLog { durable }, "8200"),
            (Damage::ProvenByCaller { durable }, "8200"),
            (Damage::SegmentGone { segment: 0xab }, "00000000000000ab"),
            (Damage::HeaderDamaged, "header"),
            (Damage::CutOff { made: 4096 }, "4096"),
            (Damage::Overlap, "next segment"),
        ];
        for (damage, fact) in told {
            assert!(damage.to_string().contains(fact), "{damage:?}: {damage}");
        }
    }
}

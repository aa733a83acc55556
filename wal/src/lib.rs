//! Braid's log: record framing, segments, group commit and the recovery scan. Payloads are bytes to it.
//!
//! It is a part of the crate `braid`, and internal to it: its API promises no stability. `braid` depends on this very version.
//!
//! A log is a directory of segment files that together hold one endless run of bytes, addressed by [`Lsn`]. One
//! [`Appender`] adds records, inside its owner's commit section, by a memory copy into a segment that was made ready
//! ahead; any number of threads wait for durability through [`Log::sync_through`], which makes one sync serve all of
//! them; [`Recovery::scan`] reads the log back after a crash, cuts a torn tail, and refuses damage before it;
//! [`Recovered::into_log`] goes on from there. A [`LogReader`] reads the durable part of a log beside its
//! appends. The format is described in `docs/wal-format.md`.
//!
//! ```
//! use braid_vfs::Env;
//! use braid_wal::{EncodedRecord, Log, LogOptions, Lsn, RecordKind, Recovery};
//! use std::path::Path;
//!
//! let (env, dir, uuid) = (Env::in_memory(), Path::new("/log"), [7; 16]);
//! let (log, mut appender) = Log::create(&env, dir, uuid, LogOptions::default())?;
//! let mut record = EncodedRecord::new();
//! record.begin(RecordKind::user::<1>());
//! record.extend_from_slice(b"hello");
//! record.finish();
//! let end = appender.append(&mut record, 42)?;
//! log.sync_through(end)?;
//! drop((log, appender));
//!
//! let mut seen = Vec::new();
//! let recovered = Recovery::scan(&*env.files, dir, uuid, Lsn::FIRST, end, &LogOptions::default(), |record| {
//!     seen.push((record.tag, record.payload.to_vec()));
//!     Ok::<(), std::convert::Infallible>(())
//! })?;
//! assert_eq!(seen, [(42, b"hello".to_vec())]);
//! let (_log, _appender) = recovered.into_log(&env, LogOptions::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bytes;
mod error;
mod group;
mod history;
mod log;
mod lsn;
mod options;
mod record;
mod recovery;
mod segment;

pub use error::{AppendError, Damage, LogError, ReadError, RecoveryError, ScanError, SyncError};
pub use history::{LogHistory, LogReader, LogRecord, Payload};
pub use log::{Appender, Log, LogStats, Span, Watcher};
pub use lsn::Lsn;
pub use options::{LogOptions, MapPolicy};
pub use record::{EncodedRecord, RecordKind};
pub use recovery::{CutTail, Recovered, RecoveredRecord, Recovery, Salvage, Salvaged};
pub use segment::LOG_FORMAT_VERSION;

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;

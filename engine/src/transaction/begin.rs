//! Beginning: admission first, then the snapshot.

use braid_mvstore::SnapshotKind;
use braid_vfs::sync::Arc;

use super::inner::Inner;
use super::snapshot::Snapshot;
use super::write::{Admitted, Transaction};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::options::{Admission, Isolation, JournalMode, TransactionOptions};

/// Begins a read-only snapshot.
pub(crate) fn begin_snapshot(handle: &Arc<Handle>, name: Option<&str>) -> Result<Snapshot> {
    let inner = register(handle, SnapshotKind::ReadOnly, name, false)?;
    Ok(Snapshot { inner })
}

/// Begins a write transaction.
pub(crate) fn begin(handle: &Arc<Handle>, options: &TransactionOptions) -> Result<Transaction> {
    let core = handle.core();
    core.check_process()?;
    core.writer()?.check()?;
    let timeout = options.busy_timeout.unwrap_or(core.options.busy_timeout);
    let track_reads = options.isolation == Isolation::Serializable;
    let admission = match options.admission {
        Admission::ByMode => match core.journal_mode() {
            JournalMode::Wal => Admission::Immediate,
            JournalMode::Mvcc => Admission::Concurrent,
        },
        other => other,
    };
    let (inner, exclusive) = if admission == Admission::Immediate {
        let exclusive = core.enter_exclusive(handle, timeout)?;
        (register(handle, SnapshotKind::ReadWrite, options.name.as_deref(), false)?, Some(exclusive))
    } else {
        (register_concurrent(handle, core, options.name.as_deref(), track_reads)?, None)
    };
    Ok(Transaction::new(
        Snapshot { inner },
        Admitted {
            exclusive,
            durability: options.durability.unwrap_or(core.options.durability),
            busy_timeout: timeout,
        },
    ))
}

/// Registers first and looks at the mode second; see `core/journal_mode.rs` for why.
fn register_concurrent(
    handle: &Arc<Handle>,
    core: &Core,
    name: Option<&str>,
    track_reads: bool,
) -> Result<Arc<Inner>> {
    loop {
        let inner = register(handle, SnapshotKind::ReadWrite, name, track_reads)?;
        match core.mode.get() {
            Some(JournalMode::Mvcc) => return Ok(inner),
            Some(JournalMode::Wal) => return Err(Error::JournalMode),
            None => {
                drop(inner);
                core.journal_mode();
            }
        }
    }
}

fn register(
    handle: &Arc<Handle>,
    kind: SnapshotKind,
    name: Option<&str>,
    track_reads: bool,
) -> Result<Arc<Inner>> {
    let core = handle.core();
    core.check_process()?;
    let registration =
        core.registry.begin(kind, &**core, core.now_nanos()).map_err(|error| Error::Limit {
            what: "the number of open transactions and snapshots",
            actual: error.limit as u64 + 1,
            limit: error.limit as u64,
        })?;
    if let Some(name) = name {
        core.registry.set_name(&registration, name);
    }
    Ok(Inner::new(Arc::clone(handle), registration, track_reads))
}

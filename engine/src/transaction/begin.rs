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
use crate::tokens::{self, Token};

/// Begins a read-only snapshot.
pub(crate) fn begin_snapshot(handle: &Arc<Handle>, name: Option<&str>) -> Result<Snapshot> {
    let inner = register(handle, SnapshotKind::ReadOnly, name, false)?;
    Ok(Snapshot::new(inner))
}

/// Begins a write transaction.
pub(crate) fn begin(handle: &Arc<Handle>, options: &TransactionOptions) -> Result<Transaction> {
    let core = handle.core();
    core.check_process()?;
    core.writer()?.check()?;
    let timeout = options.busy_timeout.unwrap_or(core.options.busy_timeout);
    let track_reads = options.isolation == Isolation::Serializable;
    let name = options.name.as_deref();
    let token = options.token.as_ref().map(|token| Token::new(core, token)).transpose()?;
    let concurrent = match options.admission {
        Admission::Immediate => None,
        Admission::Concurrent | Admission::ByMode => register_concurrent(handle, core, name, track_reads)?,
    };
    let (inner, exclusive) = match (concurrent, options.admission) {
        (Some(inner), _) => (inner, None),
        (None, Admission::Concurrent) => return Err(Error::JournalMode),
        (None, Admission::Immediate | Admission::ByMode) => {
            let exclusive = core.enter_exclusive(handle, timeout, name)?;
            (register(handle, SnapshotKind::ReadWrite, name, false)?, Some(exclusive))
        }
    };
    let snapshot = Snapshot::new(inner);
    if let Some(token) = &token
        && let Some(timestamp) = tokens::find(&snapshot, token.bytes())?
    {
        // What a write transaction sees may not stand yet.
        core.acknowledge_reads(timestamp)?;
        return Err(Error::AlreadyCommitted { timestamp });
    }
    Ok(Transaction::new(
        snapshot,
        Admitted {
            exclusive,
            token,
            durability: options.durability.unwrap_or(core.options.durability),
            busy_timeout: timeout,
            name: options.name.clone(),
        },
    ))
}

/// `None` when the mode admits no concurrent transaction. Registers first and looks at the mode second; see
/// `core/journal_mode.rs` for why.
fn register_concurrent(
    handle: &Arc<Handle>,
    core: &Core,
    name: Option<&str>,
    track_reads: bool,
) -> Result<Option<Arc<Inner>>> {
    // Looked at first as well, so that one who only asks is not taken for an open write transaction.
    while core.journal_mode() == JournalMode::Mvcc {
        let inner = register(handle, SnapshotKind::ReadWrite, name, track_reads)?;
        match core.mode.get() {
            Some(JournalMode::Mvcc) => return Ok(Some(inner)),
            Some(JournalMode::Wal) => break,
            None => {}
        }
    }
    Ok(None)
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

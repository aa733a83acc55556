//! Beginning: admission first, then the snapshot.

use std::time::Duration;

use braid_mvstore::{Rare, Registration, SnapshotKind};
use braid_vfs::sync::Arc;

use super::inner::{Hold, Inner};
use super::snapshot::Snapshot;
use super::write::{Admitted, Extras, Transaction};
use crate::core::{Core, Exclusive, LeaseTerms, View};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::options::{Admission, Isolation, JournalMode, TransactionOptions};
use crate::tokens::{self, Token};

/// Begins a read-only snapshot.
#[inline]
pub(crate) fn begin_snapshot(
    handle: &Arc<Handle>,
    name: Option<&str>,
    max_age: Option<Duration>,
) -> Result<Snapshot> {
    let terms = handle.core().lease_terms(max_age);
    Ok(Snapshot::untracked_in(register(handle, SnapshotKind::ReadOnly, name, false, terms)?))
}

/// Begins a snapshot for a call that ends with its work, a backup say: it is never revoked.
#[inline]
pub(crate) fn begin_own_snapshot(handle: &Arc<Handle>, name: Option<&str>) -> Result<Snapshot> {
    Ok(Snapshot::untracked_in(register(handle, SnapshotKind::ReadOnly, name, false, None)?))
}

/// Begins a write transaction.
pub(crate) fn begin(handle: &Arc<Handle>, options: &TransactionOptions) -> Result<Transaction> {
    begin_by(handle, options, |core, timeout, name| core.enter_exclusive(handle, timeout, name))
}

/// The same; `enter` takes the gate, if the transaction needs it.
#[inline]
pub(crate) fn begin_by(
    handle: &Arc<Handle>,
    options: &TransactionOptions,
    enter: impl FnOnce(&Core, Duration, Option<&str>) -> Result<Exclusive>,
) -> Result<Transaction> {
    let core = handle.core();
    core.check_process()?;
    core.writer()?.check()?;
    let timeout = options.busy_timeout.unwrap_or(core.options.busy_timeout);
    let track_reads = options.isolation == Isolation::Serializable;
    let name = options.name.as_deref();
    let mut extras = Rare::default();
    if options.name.is_some() || options.token.is_some() {
        *extras = Some(extras_of(core, options)?);
    }
    let concurrent = match options.admission {
        Admission::Immediate => None,
        Admission::Concurrent | Admission::ByMode => {
            let terms = core.lease_terms(options.max_age);
            register_concurrent(handle, core, name, track_reads, terms)?
        }
    };
    let (inner, exclusive) = match (concurrent, options.admission) {
        (Some(inner), _) => (inner, None),
        (None, Admission::Concurrent) => return Err(Error::JournalMode),
        (None, Admission::Immediate | Admission::ByMode) => {
            let exclusive = enter(core, timeout, name)?;
            // Nobody commits beside it, so it keeps nothing from being freed, and it cannot lose: it has no lease.
            (register(handle, SnapshotKind::ReadWrite, name, false, None)?, Some(exclusive))
        }
    };
    let snapshot = Snapshot::new(inner);
    if let Some(token) = extras.as_ref().and_then(|extras| extras.token.as_ref())
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
            durability: options.durability.unwrap_or(core.options.durability),
            busy_timeout: timeout,
            extras,
        },
    ))
}

#[cold]
fn extras_of(core: &Core, options: &TransactionOptions) -> Result<Box<Extras>> {
    let token = options.token.as_ref().map(|token| Token::new(core, token)).transpose()?;
    Ok(Box::new(Extras { token, name: options.name.clone(), created: Vec::new() }))
}

/// `None` when the mode admits no concurrent transaction. Registers first and looks at the mode second; see
/// `core/journal_mode.rs` for why.
#[inline]
fn register_concurrent(
    handle: &Arc<Handle>,
    core: &Core,
    name: Option<&str>,
    track_reads: bool,
    terms: Option<LeaseTerms>,
) -> Result<Option<Arc<Inner>>> {
    // Looked at first as well, so that one who only asks is not taken for an open write transaction.
    while core.journal_mode() == JournalMode::Mvcc {
        let inner = register(handle, SnapshotKind::ReadWrite, name, track_reads, terms)?;
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
    terms: Option<LeaseTerms>,
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
    let begin_ts = registration.begin_ts();
    let hold = match terms {
        None => Hold::Plain(registration),
        Some(terms) => lease(core, registration, terms),
    };
    Ok(Inner::new(handle, begin_ts, hold, track_reads))
}

#[cold]
fn lease(core: &Core, registration: Registration<View>, terms: LeaseTerms) -> Hold {
    let leased = core.registry.lease(registration, terms.max_age_nanos());
    core.watch_lease(terms);
    Hold::Leased(leased)
}

//! Beginning: admission first, then the snapshot.

use std::time::Duration;

use braid_mvstore::{Rare, Registration, SnapshotKind};
use braid_vfs::sync::Arc;

use super::inner::{Hold, Tracking};
use super::shared::Shared;
use super::snapshot::Snapshot;
use super::write::{Admitted, Extras, Transaction};
use crate::core::{Core, Exclusive, LeaseTerms, View};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::options::{Admission, Isolation, JournalMode, TransactionOptions};
use crate::tokens::Token;

/// Begins a read-only snapshot.
#[inline]
pub(crate) fn begin_snapshot(
    handle: &Arc<Handle>,
    name: Option<&str>,
    max_age: Option<Duration>,
) -> Result<Snapshot> {
    let core = handle.core();
    let registration = register(core, SnapshotKind::ReadOnly)?;
    let hold = if name.is_none() && max_age.is_none() && !core.leases_all() {
        Hold::Plain(registration)
    } else {
        dress(core, registration, name, core.lease_terms(max_age))
    };
    Ok(Snapshot::untracked_in(Shared::begin(handle, hold, Tracking::Nothing)))
}

/// Begins a snapshot for a call that ends with its work, a backup say: it is never revoked.
#[inline]
pub(crate) fn begin_own_snapshot(handle: &Arc<Handle>, name: Option<&str>) -> Result<Snapshot> {
    let core = handle.core();
    let registration = register(core, SnapshotKind::ReadOnly)?;
    let hold = match name {
        None => Hold::Plain(registration),
        name => dress(core, registration, name, None),
    };
    Ok(Snapshot::untracked_in(Shared::begin(handle, hold, Tracking::Nothing)))
}

/// Begins a write transaction.
pub(crate) fn begin(handle: &Arc<Handle>, options: &TransactionOptions) -> Result<Transaction> {
    let begun = begin_by(handle, options, |core, timeout, name| core.enter_exclusive(handle, timeout, name));
    if let Err(Error::AlreadyCommitted { timestamp }) = begun {
        handle.core().acknowledge_reads(timestamp)?;
    }
    begun
}

/// The same; `enter` takes the gate, if the transaction needs it. What it says was committed already may not stand yet:
/// the caller waits for that, who holds nothing any more.
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
    let tracking = match options.isolation {
        Isolation::Snapshot => Tracking::Looks,
        Isolation::Serializable => Tracking::Reads,
    };
    let name = options.name.as_deref();
    let mut extras = Rare::default();
    if options.name.is_some() || options.token.is_some() {
        *extras = Some(extras_of(options)?);
    }
    let concurrent = match options.admission {
        Admission::Immediate => None,
        Admission::Concurrent | Admission::ByMode => register_concurrent(core)?.map(|registration| {
            if name.is_none() && options.max_age.is_none() && !core.leases_all() {
                Hold::Plain(registration)
            } else {
                dress(core, registration, name, core.lease_terms(options.max_age))
            }
        }),
    };
    let (inner, exclusive) = match (concurrent, options.admission) {
        (Some(hold), _) => (Shared::begin(handle, hold, tracking), None),
        (None, Admission::Concurrent) => return Err(Error::JournalMode),
        (None, Admission::Immediate | Admission::ByMode) => {
            let exclusive = enter(core, timeout, name)?;
            // Nobody commits beside it, so it keeps nothing from being freed, and it cannot lose: it has no lease.
            let registration = register(core, SnapshotKind::ReadWrite)?;
            let hold = dress(core, registration, name, None);
            (Shared::begin(handle, hold, Tracking::Nothing), Some(exclusive))
        }
    };
    let tx = Transaction::new(
        Snapshot::new(inner),
        Admitted {
            exclusive,
            durability: options.durability.unwrap_or(core.options.durability),
            busy_timeout: timeout,
            extras,
        },
    );
    if options.token.is_some()
        && let Err(error) = tx.look_for_token()
    {
        tx.never_begun();
        return Err(error);
    }
    Ok(tx)
}

#[cold]
fn extras_of(options: &TransactionOptions) -> Result<Box<Extras>> {
    let token = options.token.as_ref().map(Token::new).transpose()?;
    Ok(Box::new(Extras { token, name: options.name.clone(), created: Vec::new() }))
}

/// `None` when the mode admits no concurrent transaction. Registers first and looks at the mode second; see
/// `core/journal_mode.rs` for why.
#[inline]
fn register_concurrent(core: &Core) -> Result<Option<Registration<View>>> {
    // Looked at first as well, so that one who only asks is not taken for an open write transaction.
    while core.journal_mode() == JournalMode::Mvcc {
        let registration = register(core, SnapshotKind::ReadWrite)?;
        match core.mode.get() {
            Some(JournalMode::Mvcc) => return Ok(Some(registration)),
            mode => {
                drop(core.registry.end(registration, core));
                if mode.is_some() {
                    break;
                }
            }
        }
    }
    Ok(None)
}

#[inline]
fn register(core: &Core, kind: SnapshotKind) -> Result<Registration<View>> {
    core.check_process()?;
    core.registry
        .begin(kind, core, core.now_nanos())
        .map_err(|error| Error::TooManySnapshots { limit: error.limit })
}

/// Gives a snapshot the name and the lease that it is to have, if any.
#[cold]
fn dress(
    core: &Core,
    registration: Registration<View>,
    name: Option<&str>,
    terms: Option<LeaseTerms>,
) -> Hold {
    if let Some(name) = name {
        core.registry.set_name(&registration, name);
    }
    let Some(terms) = terms else { return Hold::Plain(registration) };
    let leased = core.registry.lease(registration, terms.max_age_nanos());
    core.watch_lease(terms);
    Hold::Leased(leased)
}

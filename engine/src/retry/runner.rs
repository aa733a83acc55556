//! The loop on a thread.

use braid_vfs::sync::Arc;

use super::RetryPolicy;
use super::run::{Failed, Outcome, Run};
use crate::core::Commit;
use crate::error::Result;
use crate::handle::Handle;
use crate::options::TransactionOptions;
use crate::transaction::{self, Transaction};

/// Runs `body` in a transaction and commits it, again and again while it loses.
pub(crate) fn transact<T>(
    handle: &Arc<Handle>,
    policy: &RetryPolicy,
    mut body: impl FnMut(&mut Transaction) -> Result<T>,
) -> Result<Outcome<T>> {
    let core = &**handle.core();
    let mut run = Run::new(core);
    loop {
        let own_options = run.begin(policy);
        let options = own_options.as_deref().unwrap_or(&policy.transaction);
        let failed = match attempt(handle, options, &mut body) {
            Ok((value, commit, exclusive)) => return Ok(run.won(value, commit, exclusive)),
            Err(failed) => failed,
        };
        let delay = run.lost(policy, failed)?;
        if !delay.is_zero() {
            core.env.clock.sleep(delay);
            run.waited();
        }
    }
}

fn attempt<T>(
    handle: &Arc<Handle>,
    options: &TransactionOptions,
    body: &mut impl FnMut(&mut Transaction) -> Result<T>,
) -> Result<(T, Commit, bool), Failed> {
    let mut tx = transaction::begin(handle, options)?;
    let exclusive = tx.is_exclusive();
    if exclusive {
        // Until the transaction is over, whatever ends it.
        tx.set_in_closure(true);
    }
    let value = body(&mut tx).map_err(|error| Failed::in_closure(error, &tx))?;
    let commit = tx.commit()?;
    Ok((value, commit, exclusive))
}

//! Exclusive transactions: the gate, then everybody out of the commit section, then the snapshot.

use std::time::Duration;

use braid_vfs::planted;
use braid_vfs::sync::Arc;

use super::shared::Core;
use crate::conflicts::Loss;
use crate::error::{Error, Result};
use crate::handle::Handle;

/// The gate, held; released when dropped.
#[derive(Debug)]
pub(crate) struct Exclusive {
    handle: Arc<Handle>,
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        if let Ok(writer) = self.handle.core().writer() {
            writer.open_gate();
        }
    }
}

impl Core {
    /// Waits for the turn of an exclusive transaction, up to `timeout`. When this returns no commit is under way, and none
    /// but the caller's will be.
    pub(crate) fn enter_exclusive(
        &self,
        handle: &Arc<Handle>,
        timeout: Duration,
        name: Option<&str>,
    ) -> Result<Exclusive> {
        let writer = self.writer()?;
        if !writer.gate.acquire(timeout) {
            let error = Error::locked_out(self.installed_ts());
            self.lost(&error, &Loss { name, ..Loss::default() });
            return Err(error);
        }
        let exclusive = Exclusive { handle: Arc::clone(handle) };
        // Whoever passed the gate before is still in the section, or through it.
        if !planted!(CommitterNotAwaited) {
            drop(writer.section.lock());
        }
        writer.check()?;
        Ok(exclusive)
    }
}

//! Whole-file locks that belong to an open file, as `flock` has them.

use parking_lot::Mutex;

use crate::{LockAttempt, LockKind};

/// The locks held on one file.
#[derive(Debug, Default)]
pub(crate) struct FileLocks(Mutex<Holders>);

#[derive(Debug, Default)]
struct Holders {
    shared: usize,
    exclusive: bool,
}

/// What one open file holds.
#[derive(Debug, Default)]
pub(crate) struct HeldLock(Mutex<Option<LockKind>>);

impl FileLocks {
    /// Takes or converts the lock of one open file. As with `flock`, a conversion first gives up the old lock and has
    /// none left when it fails.
    pub(crate) fn try_lock(&self, held: &HeldLock, kind: LockKind) -> LockAttempt {
        let mut held = held.0.lock();
        let mut holders = self.0.lock();
        holders.forget(held.take());
        if holders.exclusive || (kind == LockKind::Exclusive && holders.shared > 0) {
            return LockAttempt::HeldBy(Some(std::process::id()));
        }
        match kind {
            LockKind::Shared => holders.shared += 1,
            LockKind::Exclusive => holders.exclusive = true,
        }
        *held = Some(kind);
        LockAttempt::Acquired
    }

    /// Gives up what one open file holds.
    pub(crate) fn release(&self, held: &HeldLock) {
        let mut held = held.0.lock();
        self.0.lock().forget(held.take());
    }
}

impl Holders {
    fn forget(&mut self, held: Option<LockKind>) {
        match held {
            Some(LockKind::Shared) => self.shared -= 1,
            Some(LockKind::Exclusive) => self.exclusive = false,
            None => {}
        }
    }
}

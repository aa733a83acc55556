//! The handle through which a test plans faults and sees what was asked.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::fault::Effect;
use super::quota::Quota;
use super::{Counters, Fault, Operation};
use crate::FileIdentity;

/// The faults of one [`FaultyFileSystem`](super::FaultyFileSystem); a clone is the same ones.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    faults: Vec<Fault>,
    fired: u64,
    counters: Counters,
    quota: Quota,
    failed_sync: Option<Arc<dyn Fn(FileIdentity) + Send + Sync>>,
}

/// What a fault left of a call that goes on.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// The most bytes that it may read or write.
    pub(super) bytes_max: Option<usize>,
    /// What it says once it is done.
    fails_after: Option<io::ErrorKind>,
}

impl Verdict {
    /// The answer of a call that was done.
    pub(super) fn finish<T>(&self, result: io::Result<T>) -> io::Result<T> {
        match self.fails_after {
            Some(kind) => result.and(Err(kind.into())),
            None => result,
        }
    }
}

impl Faults {
    /// No fault, no bound, nothing counted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fault. Of several that meet one call the first one added decides, and all count it.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// Removes all faults; bound and counts stay.
    pub fn clear(&self) {
        self.state.lock().faults.clear();
    }

    /// How many calls met a fault since the beginning. A sweep over the nth call ends when this does not grow.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.state.lock().fired
    }

    /// Bounds the bytes of all files together; what would go past it meets `StorageFull`. A higher bound, or none,
    /// is how space becomes free again.
    pub fn set_quota(&self, bytes: Option<u64>) {
        self.state.lock().quota.set_limit(bytes);
    }

    /// Bounds the bytes that writes may still store, in new places and in old ones: a full disk on a file system that
    /// copies on write, where an overwrite takes space as well. What would go past it meets `StorageFull`.
    pub fn set_writable(&self, bytes: Option<u64>) {
        self.state.lock().quota.set_writable(bytes);
    }

    /// The bytes of all files that were opened here and not removed.
    #[must_use]
    pub fn bytes_used(&self) -> u64 {
        self.state.lock().quota.used()
    }

    /// What was asked since the beginning, or the last [`reset_counters`](Self::reset_counters).
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.state.lock().counters.clone()
    }

    /// Counts from zero again.
    pub fn reset_counters(&self) {
        self.state.lock().counters = Counters::default();
    }

    /// Has the files beneath told of each sync that a fault makes fail.
    pub(super) fn on_failed_sync(&self, told: impl Fn(FileIdentity) + Send + Sync + 'static) {
        self.state.lock().failed_sync = Some(Arc::new(told));
    }

    pub(super) fn tell_failed_sync(&self, file: FileIdentity) {
        let told = self.state.lock().failed_sync.clone();
        if let Some(told) = told {
            told(file);
        }
    }

    /// Counts a call, and decides what becomes of it.
    pub(super) fn meet(&self, operation: Operation, path: &Path) -> io::Result<Verdict> {
        self.meet_at(operation, path, 0..0)
    }

    /// The same of a call that reads or writes these bytes.
    pub(super) fn meet_at(
        &self,
        operation: Operation,
        path: &Path,
        bytes: Range<u64>,
    ) -> io::Result<Verdict> {
        let effect = {
            let mut state = self.state.lock();
            state.counters.count_call(operation, path);
            let mut decided = None;
            for fault in &mut state.faults {
                let effect = fault.meet(operation, path, &bytes);
                decided = decided.or(effect);
            }
            state.fired += u64::from(decided.is_some());
            decided
        };
        match effect {
            None => Ok(Verdict::default()),
            Some(Effect::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Effect::Kind(kind)) => Err(kind.into()),
            Some(Effect::DoneButFails(kind)) => Ok(Verdict { fails_after: Some(kind), ..Verdict::default() }),
            Some(Effect::Short(bytes)) => Ok(Verdict { bytes_max: Some(bytes), ..Verdict::default() }),
            Some(Effect::Call(call)) => {
                call();
                Ok(Verdict::default())
            }
        }
    }

    pub(super) fn count_call(&self, operation: Operation, path: &Path) {
        self.state.lock().counters.count_call(operation, path);
    }

    pub(super) fn count_bytes(&self, operation: Operation, path: &Path, bytes: usize) {
        self.state.lock().counters.count_bytes(operation, path, bytes);
    }

    /// Works on the bound. Nothing in it may call into the files beneath: a checker could switch threads there.
    pub(super) fn with_quota<T>(&self, work: impl FnOnce(&mut Quota) -> T) -> T {
        work(&mut self.state.lock().quota)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("faults", &self.faults)
            .field("fired", &self.fired)
            .field("counters", &self.counters)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

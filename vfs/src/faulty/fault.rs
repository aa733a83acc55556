//! One fault: which calls it meets, and what becomes of them.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::Operation;

/// A fault to inject. Unless told otherwise it meets the first call of its kind on any path, once, which then fails
/// as a broken device does (`EIO`).
///
/// ```
/// use std::io::ErrorKind;
/// use braid_vfs::faulty::{Fault, Operation};
///
/// let third_sync_of_the_log = Fault::on(Operation::SyncData).on_paths_ending("-wal").nth(3);
/// let full_for_good = Fault::on(Operation::Write).kind(ErrorKind::StorageFull).sticky();
/// let every_other_read = Fault::on(Operation::Read).kind(ErrorKind::Interrupted).every(2);
/// # let _ = (third_sync_of_the_log, full_for_good, every_other_read);
/// ```
#[derive(Clone)]
pub struct Fault {
    operations: Vec<Operation>,
    paths: Option<PathMatch>,
    bytes: Option<Range<u64>>,
    nth: u64,
    again: Again,
    effect: Effect,
    seen: u64,
}

/// Says whether a path is meant.
type PathMatch = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

#[derive(Clone, Copy, Debug)]
enum Again {
    Never,
    Always,
    EveryNth,
}

/// What becomes of a call that a fault meets.
#[derive(Clone)]
pub(super) enum Effect {
    /// It fails and does nothing.
    Errno(i32),
    /// It fails and does nothing.
    Kind(io::ErrorKind),
    /// It is done, and says that it failed.
    DoneButFails(io::ErrorKind),
    /// It reads or writes at most so many bytes.
    Short(usize),
    /// Something else happens first.
    Call(Arc<dyn Fn() + Send + Sync>),
}

/// `EIO`, the same number on all Unix systems.
const EIO: i32 = 5;

impl Fault {
    /// A fault of calls of one kind.
    #[must_use]
    pub fn on(operation: Operation) -> Self {
        Self::on_any(&[operation])
    }

    /// A fault of calls of several kinds, counted together.
    #[must_use]
    pub fn on_any(operations: &[Operation]) -> Self {
        Self {
            operations: operations.to_vec(),
            paths: None,
            bytes: None,
            nth: 1,
            again: Again::Never,
            effect: Effect::Errno(EIO),
            seen: 0,
        }
    }

    /// Meets the `nth` call, the first being 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = nth.max(1);
        self
    }

    /// Meets every call from the nth on.
    #[must_use]
    pub fn sticky(mut self) -> Self {
        self.again = Again::Always;
        self
    }

    /// Meets every `nth` call.
    #[must_use]
    pub fn every(mut self, nth: u64) -> Self {
        self.again = Again::EveryNth;
        self.nth(nth)
    }

    /// Meets, and counts, only calls on these paths.
    #[must_use]
    pub fn on_paths(mut self, matches: impl Fn(&Path) -> bool + Send + Sync + 'static) -> Self {
        self.paths = Some(Arc::new(matches));
        self
    }

    /// Meets, and counts, only calls on paths that end so.
    #[must_use]
    pub fn on_paths_ending(self, suffix: &str) -> Self {
        let suffix = suffix.to_owned();
        self.on_paths(move |path| path.to_string_lossy().ends_with(&suffix))
    }

    /// Meets, and counts, only reads and writes that touch these bytes of a file: a bad place on the disk.
    #[must_use]
    pub fn on_bytes(mut self, bytes: Range<u64>) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// The call fails with the system's error of this number, and does nothing.
    #[must_use]
    pub fn errno(mut self, errno: i32) -> Self {
        self.effect = Effect::Errno(errno);
        self
    }

    /// The call fails with an error of this kind, and does nothing.
    #[must_use]
    pub fn kind(mut self, kind: io::ErrorKind) -> Self {
        self.effect = Effect::Kind(kind);
        self
    }

    /// The call is done, and then says that it failed.
    #[must_use]
    pub fn done_but_fails(mut self, kind: io::ErrorKind) -> Self {
        self.effect = Effect::DoneButFails(kind);
        self
    }

    /// The read or write stops after `bytes`, which may be zero; other calls are as ever.
    #[must_use]
    pub fn short(mut self, bytes: usize) -> Self {
        self.effect = Effect::Short(bytes);
        self
    }

    /// The call first runs `call`, for as long as that takes: a gate for a test to hold a sync at.
    #[must_use]
    pub fn call(mut self, call: impl Fn() + Send + Sync + 'static) -> Self {
        self.effect = Effect::Call(Arc::new(call));
        self
    }

    /// What becomes of a call, if this fault meets it; counts it where it is of its kind.
    pub(super) fn meet(&mut self, operation: Operation, path: &Path, bytes: &Range<u64>) -> Option<Effect> {
        let elsewhere = |bad: &Range<u64>| bytes.start >= bad.end || bad.start >= bytes.end;
        if !self.operations.contains(&operation)
            || self.paths.as_ref().is_some_and(|matches| !matches(path))
            || self.bytes.as_ref().is_some_and(elsewhere)
        {
            return None;
        }
        self.seen += 1;
        let met = match self.again {
            Again::Never => self.seen == self.nth,
            Again::Always => self.seen >= self.nth,
            Again::EveryNth => self.seen.is_multiple_of(self.nth),
        };
        met.then(|| self.effect.clone())
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("operations", &self.operations)
            .field("nth", &self.nth)
            .field("again", &self.again)
            .field("effect", &self.effect)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno(errno) => f.debug_tuple("Errno").field(errno).finish(),
            Self::Kind(kind) => f.debug_tuple("Kind").field(kind).finish(),
            Self::DoneButFails(kind) => f.debug_tuple("DoneButFails").field(kind).finish(),
            Self::Short(bytes) => f.debug_tuple("Short").field(bytes).finish(),
            Self::Call(_) => f.write_str("Call"),
        }
    }
}

//! Names of things in the database file: trees, pages, and the checkpoints that wrote them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A tree of the base. The engine gives one to every table; ids last and are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TreeId(pub(crate) u32);

impl TreeId {
    /// The tree that keeps the roots of all others. No user of the base may write to it.
    pub(crate) const DIRECTORY: Self = Self(u32::MAX);
}

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A page of the database file: its bytes start at `8192 + id * page_size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageId(pub(crate) u32);

impl PageId {
    /// The number of the page, counted from the first one after the meta blocks.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An open database file: no two of a process have one number, one after the other neither. Pages in memory bear it, so that
/// one of another file is never taken for one's own, whatever a cache gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreNumber(u64);

impl StoreNumber {
    /// No store's.
    pub(crate) const NONE: Self = Self(0);

    /// One that nobody has.
    pub(crate) fn take() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The checkpoint that wrote a page or a meta block. It grows with every checkpoint that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageGeneration(pub(crate) u64);

impl PageGeneration {
    /// What a new file starts with.
    pub(crate) const FIRST: Self = Self(1);

    /// The number of the checkpoint.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The generation after this one, or `None` after the last.
    pub(crate) fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for PageGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

//! Names of things in the database file: trees, pages, and the checkpoints that wrote them.

use std::fmt;

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

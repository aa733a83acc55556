//! The page cache: checked pages in memory, bounded in bytes, shared by all handles of a file.
//!
//! A reader asks for (page id, generation). A page id is used again in time, but never while somebody can still reach
//! its old content, so an entry of another generation is simply a miss and nothing has to be invalidated in time.
//! Only bytes that were checked in full, or that a checkpoint of this process has just built, can be made into a [`Page`],
//! so a bad one never gets in. And a page knows the store that it belongs to: were a cache given to two files, a page of
//! the other one would be a miss.
//!
//! [`ClockCache`] is the default; [`PageCache`] is what another one must do.

mod clock;
mod counters;
mod held;
mod recent;

pub use clock::ClockCache;
pub(crate) use counters::Striped;
pub use held::CachedPage;

use std::fmt::Debug;

use super::ids::{PageGeneration, PageId};
pub use super::page::Page;

/// A bounded store of checked pages. Any method may be called by any number of threads at once.
///
/// It may forget any page at any time, or not take one in; a page that somebody holds stays alive without it.
///
/// A checkpoint calls it with locks held: no method may call the database, or wait for a thread that does. One that panics ends
/// what it was called for, a checkpoint say, and nothing else.
pub trait PageCache: Debug + Send + Sync {
    /// The page with this id, if it is here and was written by this generation. It counts as used.
    fn get(&self, page: PageId, generation: PageGeneration) -> Option<CachedPage>;

    /// Takes a page in, if it is worth it. A page with the same id is replaced then; others may be evicted.
    fn insert(&self, page: Page);

    /// The limit in bytes.
    fn capacity_bytes(&self) -> usize;

    /// Bytes of the pages that are here.
    fn resident_bytes(&self) -> usize;

    /// Pages that had to go to make room for others, so far.
    fn evictions(&self) -> u64;
}

/// What a cache has done, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheStats {
    /// Reads of a page that found it.
    pub hits: u64,
    /// Reads of a page that had to go to the file.
    pub misses: u64,
    /// Pages that had to go to make room for others.
    pub evictions: u64,
    /// Bytes of the pages in the cache.
    pub resident_bytes: u64,
    /// The limit in bytes.
    pub capacity_bytes: u64,
}

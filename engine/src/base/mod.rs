//! The base: the database file, with a copy-on-write B+tree for every table.
//!
//! [`BaseStore`] is the file; [`Base`] is all trees as one checkpoint left them, immutable and shared. A checkpoint
//! ([`BaseStore::fold`]) takes a stream of changes and makes the next base; readers of older ones are not disturbed.
//!
//! ```text
//!  get, count, cursor ──► Base (roots) ──► page cache ──► file
//!  fold, compact ──► Checkpoint ──► new pages, free list ─ sync ─► meta block ─ sync ─► next Base
//! ```
//!
//! `docs/file-format.md` describes the file, `docs/page-cache.md` the cache.

mod bytes;
mod cache;
mod check;
mod compact;
mod cursor;
mod error;
mod fold;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod ids;
mod meta;
mod open;
mod orphans;
mod overflow;
mod page;
mod page_set;
mod read;
mod refs;
mod row_key;
mod salvage;
mod space;
mod store;
mod tops;

#[cfg(test)]
mod tests;

pub use cache::{CachedPage, ClockCache, Page, PageCache};
pub(crate) use compact::Compacted;
pub(crate) use cursor::{BaseCursor, Direction as BaseDirection};
pub(crate) use error::BaseError;
pub(crate) use fold::{Change, ChangeSource, NoChanges};
pub(crate) use ids::TreeId;
pub use ids::{PageGeneration, PageId};
pub use meta::FORMAT_VERSION;
pub(crate) use meta::{EngineState, MEMO_BYTES, PAGES_AT as HEAD_BYTES};
pub(crate) use open::{CreateParams, Opened};
pub(crate) use orphans::Orphans;
pub(crate) use page_set::PageSet;
pub(crate) use salvage::{Loss, Piece};
pub(crate) use store::{Base, BaseStore};

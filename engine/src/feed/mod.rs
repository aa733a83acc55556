//! The change feed: what was committed, read back from the log.
//!
//! # Invariants
//!
//! 1. A feed gives every transaction that changed something of the users', once, in commit order, and only when the log is
//!    durable through its record: no power cut takes back what a feed has given. Whoever has it from a feed finds it in a
//!    snapshot that begins afterwards.
//! 2. A feed that begins after a timestamp gives everything later and nothing else, or
//!    [`Error::HistoryGone`](crate::Error::HistoryGone): never a history with a hole. It begins at an *anchor* (a
//!    position before which nothing later can be), and reads its way from there by record headers.
//! 3. An open feed *pins* the log from where it reads on; a named consumer holds it from its position on, over closes and
//!    crashes. Neither holds back a commit or a checkpoint: what is bounded is the log that they keep.
//! 4. What it needs in memory has to do with the longest row that it meets and with the number of tables, not with the
//!    length of a transaction.
//! 5. After a failed sync a feed gives what was durable before it, and then says `Poisoned`.

mod change;
mod change_set;
mod changes;
mod consumer;
mod names;
mod place;
mod waiting;

pub use change::{Change, ChangedTable};
pub use change_set::ChangeSet;
pub use changes::Changes;
pub use consumer::Consumer;
pub(crate) use consumer::{consumers, register, remove};
pub(crate) use place::decode_position;
pub use waiting::NextChanges;

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests;

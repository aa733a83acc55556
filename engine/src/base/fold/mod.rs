//! Writing the next base: changes are folded into the trees of an older one, and a meta block makes it stand.
//!
//! [`checkpoint`] takes pages, writes them and publishes; [`tree`] rewrites one tree with a stream of changes;
//! [`pending`] is a level of a tree while it is rewritten; [`changes`] is where changes come from.

mod changes;
mod checkpoint;
mod pending;
mod run;
mod tree;
mod write_buffer;

pub(crate) use changes::{Change, ChangeSource, NoChanges};
pub(super) use checkpoint::Checkpoint;
pub(super) use run::Directory;

//! Files that live in memory: a whole tree of names with directories, links, locks and mappings.
//!
//! What the real file system does is done here too: a file lives while a name or an open file leads to it, a lock
//! belongs to the open file, reads of one file run side by side, and a mapping's stores are seen by reads at once.

mod contents;
mod env;
mod file;
mod filesystem;
mod flock;
mod namespace;

pub(crate) use self::{
    contents::{Contents, end_of},
    file::opened_read_only,
    filesystem::next_device,
    flock::{FileLocks, HeldLock},
    namespace::{Child, LastLink, Located, Namespace, ROOT, link_refused, too_many_links},
};
pub use self::{
    env::{SeededRandom, VirtualClock},
    file::MemoryFile,
    filesystem::MemoryFileSystem,
};

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;

//! What a power cut leaves.
//!
//! Each file has a live image, which the running process reads, and a durable one, which a cut leaves; between them
//! stands the ordered list of changes that no sync has covered. A store through a mapping is a change like a write.
//! Names are kept the same way, and become durable by a sync of their directory only. A sync of a file covers its
//! bytes and its length, never its name.
//!
//! A cut may keep any part of the changes that were not synced: [`CrashChoice`] says which. A kill takes the process
//! and leaves the system: the live images stay, and what was not synced still is not.
//!
//! After a sync that failed the changes before it are on their own. The system believes them written, so no later
//! sync covers them, while the running process goes on to read them.

mod choice;
mod file;
mod filesystem;
mod image;
mod names;
mod power;
mod restart;

pub use self::{choice::CrashChoice, file::CrashFile, filesystem::CrashFileSystem};

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;

//! What a database stands on: files, time, randomness and threads, as [`Database::open_in`](crate::Database::open_in)
//! takes them. For hosts that bring their own, and for tests: [`memory`] has files in memory, and a clock that a test
//! turns; [`faulty`] has files that fail when they are told to, and that lose what a power cut would take.
//!
//! [`Env::real`] is what [`Database::open`](crate::Database::open) uses.

#[doc(inline)]
pub use braid_vfs::{
    Clock, Env, File, FileIdentity, FileSystem, LockAttempt, LockKind, LogMapping, OpenMode, OpenOptions,
    OsRandom, Random, RealClock, RealFileSystem, Spawn, Task, ThreadSpawn, faulty, memory,
};

/// For the project's own tests: nothing to rely on.
#[doc(hidden)]
pub use braid_vfs::*;

//! What every engine is asked to do: one ordered table of byte keys and values, in transactions on snapshots.
//!
//! An engine does it as its own documentation says to do it fast, at the durability that it is asked for, and says in its
//! [`Facts`] what that is worth. The calls through `dyn` cost every engine the same few nanoseconds.

use std::path::Path;

use crate::rows::Rows;
use crate::tasks;

/// Why an operation ended.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The transaction lost against another one: rolled back, or to be; the same work may be tried again.
    Conflict,
    /// Anything else ends the cell.
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

/// The result of an engine's operation.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

/// What an acknowledged commit has to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Durability {
    /// A power cut: the engine has synced before it acknowledges.
    Durable,
    /// The death of the process, where the engine can do that without a sync; [`Facts`] says which cannot.
    Deferred,
}

impl Durability {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Deferred => "deferred",
        }
    }
}

/// How an engine is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) durability: Durability,
    /// Bytes that the engine may use to keep its pages or blocks in memory.
    pub(crate) cache_bytes: usize,
    /// The most threads that will use it at once.
    pub(crate) threads: usize,
}

/// What stands beside an engine's name in the report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// How many write transactions make progress at once.
    pub(crate) writers: &'static str,
    /// What isolation its transactions have here.
    pub(crate) isolation: &'static str,
    /// The setting for durable cells. `None`: it has none that syncs before it acknowledges, and is left out of them.
    pub(crate) durable: Option<&'static str>,
    /// The setting for deferred cells.
    pub(crate) deferred: &'static str,
    /// Whether a commit of a deferred cell survives the death of the process.
    pub(crate) deferred_survives_kill: bool,
    /// What else was set, why, and what it cannot do.
    pub(crate) notes: &'static str,
}

/// The engine whose deferred commits promise less than those of the others: that a power cut leaves a database with the first
/// so many of the commits, on a file system that keeps the order of writes at least. It is shown in deferred cells, and not ranked.
pub(crate) const UNRANKED: &str = "lmdb-writemap";

/// An engine that can be chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Of the crate or the library.
    pub(crate) version: &'static str,
    pub(crate) facts: Facts,
    /// The files of its log, which it replays when it opens after a kill: paths below its directory, where `*` stands for
    /// anything. None: nothing is replayed.
    pub(crate) log: &'static [&'static str],
    /// Opens what is at the directory `dir`, or makes it: several files of the engine may be there, and nothing else.
    pub(crate) open: fn(dir: &Path, settings: Settings) -> Result<Box<dyn Engine>>,
}

/// An open database.
pub(crate) trait Engine: Send + Sync {
    /// What one thread works with.
    fn session(&self) -> Result<Box<dyn Session + '_>>;

    /// Has each writer commit its rows, one in a transaction and one after the other, as a [task](tasks) by the asynchronous
    /// interface of the engine. `None`: it has none, and wants a thread for each.
    fn write_in_tasks(&self, _writers: Vec<tasks::Writer>) -> Option<Result<Vec<tasks::Writer>>> {
        None
    }

    /// Writes all rows into the empty table in the fastest way that the engine has for it, and makes them durable.
    fn load(&self, rows: &dyn Rows) -> Result<()>;

    /// Brings what was committed to where it rests (checkpoint, flush, compaction), durably, and waits for that.
    fn settle(&self) -> Result<()>;

    /// Brings what was committed to the files that a reopen does not replay, and waits for that: what an engine does now and then
    /// beside its writers, and no more of tidying up than that.
    fn checkpoint(&self) -> Result<()> {
        self.settle()
    }

    /// Makes everything acknowledged durable.
    fn sync(&self) -> Result<()>;

    /// Ends it in good order; no session is left.
    fn close(self: Box<Self>) -> Result<()>;
}

/// One thread's way to the database: a connection, a handle, a cached transaction.
pub(crate) trait Session {
    /// Reads one row in a snapshot of its own; `see` gets the value, without a copy where the engine can. Tells whether
    /// there is such a row.
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Runs `body` in one snapshot.
    fn read(&mut self, body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()>;

    /// Runs `body` once in a write transaction, of the kind that lets most writers in at once, and commits it; with
    /// [`Failure::Conflict`] nothing of it is left.
    fn write(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()>;

    /// Repeats [`write`](Self::write) until it commits, in the way that the engine recommends; tells how many attempts
    /// that took.
    fn transact(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<u64> {
        for attempt in 1.. {
            match self.write(body) {
                Err(Failure::Conflict) => back_off(attempt),
                other => return other.map(|()| attempt),
            }
        }
        unreachable!("the attempts have no end")
    }
}

/// Reads of one snapshot.
pub(crate) trait Reader {
    /// Reads one row; `see` gets the value. Tells whether there is such a row.
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Shows at most `limit` rows from `from` on, in ascending order of their keys, and tells how many there were.
    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64>;
}

/// A write transaction, which sees its own writes.
pub(crate) trait Writer: Reader {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()>;
    fn delete(&mut self, key: &[u8]) -> Result<()>;
}

/// Waits a little longer after each loss, and never as long as the other losers: full jitter up to a millisecond.
pub(crate) fn back_off(attempt: u64) {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let most = 1000_u64.min(1 << attempt.min(10));
    let micros = RandomState::new().build_hasher().finish() % most;
    if micros < 4 {
        std::thread::yield_now();
    } else {
        std::thread::sleep(std::time::Duration::from_micros(micros));
    }
}

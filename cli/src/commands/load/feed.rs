//! From records to writers: each key to its own writer, in batches, through short queues.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use braid::{Database, Table};
use indicatif::ProgressBar;

use super::record::{Item, LoadError, Records};
use super::rejects::Rejects;
use super::writer::{Batch, Rows, work};
use crate::interrupt::Interrupt;
use crate::output::count;

/// How many batches wait for a writer.
const QUEUE: usize = 2;
/// How many distinct keys are remembered to tell duplicates: 36 MiB, or 72 MiB, at most.
const MAX_REMEMBERED: usize = 4 << 20;

/// What came of a file.
#[derive(Debug, Default)]
pub(super) struct Fed {
    /// Records read: rows, duplicates and rejected ones.
    pub(super) records: u64,
    /// Tables of a dump that were come to.
    pub(super) tables: u64,
    pub(super) rows: Rows,
    duplicates: u64,
    /// Whether there were too many keys to remember all.
    forgot: bool,
    pub(super) interrupted: bool,
}

impl Fed {
    /// Adds what came of another part of the file.
    pub(super) fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.rows.add(other.rows);
        self.duplicates += other.duplicates;
        self.forgot |= other.forgot;
        self.interrupted |= other.interrupted;
    }

    /// The duplicates, and how far they are to be trusted.
    pub(super) fn duplicates_text(&self) -> String {
        let duplicates = count(self.duplicates);
        if self.forgot {
            format!(
                "{duplicates} of the first {} keys; the last record of a key won",
                count(MAX_REMEMBERED as u64)
            )
        } else if self.duplicates > 0 {
            format!("{duplicates}; the last record of a key won")
        } else {
            duplicates
        }
    }
}

/// Where records go, whoever they come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feeder<'a> {
    pub(super) db: &'a Database,
    pub(super) writers: u64,
    pub(super) rejects: &'a Rejects,
    pub(super) bar: &'a ProgressBar,
    pub(super) interrupt: &'a Interrupt,
}

/// Feeds all records to the writers, and says what came of it, also where it ended early.
pub(super) fn feed(to: Feeder<'_>, table: &Table, records: &mut dyn Records) -> (Fed, Result<(), LoadError>) {
    let Feeder { db, writers, rejects, bar, interrupt } = to;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        let mut queues = Vec::new();
        let mut started = Ok(());
        for _ in 0..writers {
            let (queue, batches) = sync_channel(QUEUE);
            let writer = move || work(db, table, batches, rejects);
            match thread::Builder::new().spawn_scoped(scope, writer) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    started = Err(LoadError::NoThread(error));
                    break;
                }
            }
            queues.push((queue, Batch::default()));
        }
        let mut fed = Fed::default();
        // The queues are gone after this, which is what ends the writers.
        let read = match started {
            Ok(()) => distribute(records, queues, rejects, bar, interrupt, &mut fed),
            Err(error) => {
                drop(queues);
                Err(error)
            }
        };
        let mut written = Ok(());
        for thread in threads {
            match thread.join() {
                Ok((rows, ended)) => {
                    fed.rows.add(rows);
                    written = ended.map_err(LoadError::from).and(written);
                }
                Err(_) => written = Err(LoadError::WriterDied),
            }
        }
        // A writer's error is why reading ended early, so it comes first.
        (fed, written.and(read))
    })
}

fn distribute(
    records: &mut dyn Records,
    mut queues: Vec<(SyncSender<Batch>, Batch)>,
    rejects: &Rejects,
    bar: &ProgressBar,
    interrupt: &Interrupt,
    fed: &mut Fed,
) -> Result<(), LoadError> {
    bar.set_message("loading");
    let mut seen = Seen::default();
    while let Some(item) = records.next()? {
        fed.records += 1;
        match item {
            Item::Rejected { line, reason } => rejects.add(line, reason),
            Item::Row { line, key, value } => {
                let hash = hash(&key);
                let repeated = seen.repeated(hash);
                fed.duplicates += u64::from(repeated);
                let Some((queue, batch)) = slot(&mut queues, hash) else { break };
                batch.add(line, key, value, repeated);
                if batch.is_full() && queue.send(std::mem::take(batch)).is_err() {
                    return Ok(());
                }
            }
        }
        if interrupt.requested() {
            break;
        }
    }
    // Also when the input has just ended: the same Ctrl-C ends what feeds a pipe, and cuts its records short.
    fed.interrupted = interrupt.requested();
    fed.forgot = seen.forgot;
    bar.set_message("committing");
    for (queue, batch) in queues {
        if !batch.is_empty() {
            // A writer that is gone tells its error when it is joined.
            let _ = queue.send(batch);
        }
    }
    Ok(())
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn slot(queues: &mut [(SyncSender<Batch>, Batch)], hash: u64) -> Option<&mut (SyncSender<Batch>, Batch)> {
    let index = usize::try_from(hash % (queues.len() as u64).max(1)).ok()?;
    queues.get_mut(index)
}

/// The keys of the file so far, by their hash: two of a million keys are confused once in 40 million files.
#[derive(Debug, Default)]
struct Seen {
    hashes: HashSet<u64, BuildHasherDefault<AsItIs>>,
    forgot: bool,
}

impl Seen {
    /// Remembers the key; whether it occurred before.
    fn repeated(&mut self, hash: u64) -> bool {
        if self.hashes.len() < MAX_REMEMBERED {
            return !self.hashes.insert(hash);
        }
        let known = self.hashes.contains(&hash);
        self.forgot |= !known;
        known
    }
}

/// A hash of what is a hash already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

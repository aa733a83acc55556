//! A writer: takes batches of rows and writes each in one transaction, leaving alone what is already there.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use braid::{Database, Error, RetryPolicy, Table, Transaction, TransactionOptions};

use super::rejects::Rejects;

/// The most rows of a transaction.
const MAX_ROWS: usize = 500;
/// The bytes after which a transaction takes no further row.
const MAX_BYTES: usize = 1 << 20;

/// How long a writer waits for its turn. Where one writes at a time, the others wait behind whoever waits for a checkpoint, and
/// that takes as long as the disk does: to give up would end the load over a slow disk.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(u32::MAX as u64);

/// A row on its way.
#[derive(Debug)]
struct Row {
    line: u64,
    value: Vec<u8>,
    /// Whether the key occurred earlier in the file, in another batch: the row is written but not counted again.
    repeated: bool,
}

/// The rows of one transaction, each key once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rows: HashMap<Vec<u8>, Row>,
    bytes: usize,
}

impl Batch {
    /// Adds a row; the last one of a key wins.
    pub(super) fn add(&mut self, line: u64, key: Vec<u8>, value: Vec<u8>, repeated: bool) {
        self.bytes += key.len() + value.len();
        match self.rows.get_mut(&key) {
            Some(row) => (row.line, row.value) = (line, value),
            None => {
                self.rows.insert(key, Row { line, value, repeated });
            }
        }
    }

    /// Whether it should be written before another row is added.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= MAX_ROWS || self.bytes >= MAX_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// What became of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) added: u64,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
}

impl Rows {
    pub(super) fn add(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
    }
}

/// Writes batches until there are no more. After an error it takes none, which the sender notices. The rows are those that
/// were committed, also before an error.
pub(super) fn work(
    db: &Database,
    table: &Table,
    batches: Receiver<Batch>,
    rejects: &Rejects,
) -> (Rows, Result<(), Error>) {
    let patient = TransactionOptions::default().busy_timeout(AS_LONG_AS_IT_TAKES);
    let policy = RetryPolicy::default().without_deadline().transaction(patient);
    let mut all = Rows::default();
    for batch in batches {
        let (rows, rejected) = match db.transact_with(policy.clone(), |tx| write(tx, table, &batch)) {
            Ok(outcome) => outcome.value,
            Err(error) => return (all, Err(error)),
        };
        all.add(rows);
        for (line, reason) in rejected {
            rejects.add(line, reason);
        }
    }
    (all, Ok(()))
}

type Written = (Rows, Vec<(u64, String)>);

fn write(tx: &mut Transaction, table: &Table, batch: &Batch) -> Result<Written, Error> {
    let mut rows = Rows::default();
    let mut rejected = Vec::new();
    for (key, row) in &batch.rows {
        let value = row.value.as_slice();
        let written = match tx.get_with(table, key, |old| old == value) {
            Ok(Some(true)) => Ok(&mut rows.unchanged),
            Ok(Some(false)) => tx.put(table, key, value).map(|()| &mut rows.changed),
            Ok(None) => tx.put(table, key, value).map(|()| &mut rows.added),
            Err(error) => Err(error),
        };
        match written {
            Ok(counter) => *counter += u64::from(!row.repeated),
            Err(error @ Error::Limit { .. }) => rejected.push((row.line, error.to_string())),
            Err(error) => return Err(error),
        }
    }
    Ok((rows, rejected))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use braid::Options;

    use super::*;

    /// The database's own `busy_timeout` is none at all, so whoever goes by it gives up at once.
    #[test]
    fn a_writer_waits_for_its_turn_as_long_as_it_takes() {
        let db = Database::in_memory_with(Options::default().busy_timeout(Duration::ZERO)).unwrap();
        let table = db.table("t").unwrap();
        let holder = db.begin().unwrap();
        let (send, batches) = mpsc::channel();
        let mut batch = Batch::default();
        batch.add(1, b"key".to_vec(), b"value".to_vec(), false);
        send.send(batch).unwrap();
        drop(send);
        thread::scope(|scope| {
            let writer = scope.spawn(|| work(&db, &table, batches, &Rejects::new(None).unwrap()));
            // Long enough to be in the queue, mostly; if it is not yet, it has nothing to wait for.
            thread::sleep(Duration::from_millis(100));
            drop(holder);
            let (rows, outcome) = writer.join().unwrap();
            outcome.unwrap();
            assert_eq!(rows.added, 1);
        });
        assert_eq!(db.get(&table, "key").unwrap().as_deref(), Some(&b"value"[..]));
    }
}

//! Braid in `Mvcc` mode: concurrent transactions, the engine's own retry runner.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use braid::{Database, JournalMode, Options, Snapshot, Table, Transaction};

use crate::engine::{Durability, Engine, Facts, Failure, Kind, Reader, Result, Session, Settings, Writer};
use crate::rows::Rows;
use crate::tasks;

pub(super) const KIND: Kind = Kind {
    name: "braid",
    version: env!("CARGO_PKG_VERSION"),
    facts: Facts {
        writers: "many, optimistic",
        isolation: "snapshot",
        durable: Some("Durability::Sync"),
        deferred: "Durability::Deferred, synced in the background every 100 ms",
        deferred_survives_kill: true,
        notes: "a quarter of the memory is for the row store; loads past the log (Database::load_table); \
                tasks commit by commit_async",
    },
    log: &["compare.braid-wal/*.seg"],
    open,
};

/// The name of the table.
const TABLE: &str = "rows";

struct Braid {
    db: Database,
    /// Made when it is first asked for: a load makes its own.
    table: Mutex<Option<Table>>,
}

fn open(dir: &Path, settings: Settings) -> Result<Box<dyn Engine>> {
    let durability = match settings.durability {
        Durability::Durable => braid::Durability::Sync,
        Durability::Deferred => braid::Durability::Deferred,
    };
    // A quarter of the memory for recent rows, as other engines have it for their memtables.
    let row_store_bytes = settings.cache_bytes / 4;
    let cache_bytes = settings.cache_bytes - row_store_bytes;
    let options = Options { durability, cache_bytes, row_store_bytes, ..Options::default() };
    let db = Database::open_with(dir.join("compare.braid"), options)?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = Mutex::new(db.existing_table(TABLE)?);
    Ok(Box::new(Braid { db, table }))
}

impl Engine for Braid {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        let mut table = lock(&self.table);
        let table = match &*table {
            Some(table) => table.clone(),
            None => table.insert(self.db.table(TABLE)?).clone(),
        };
        Ok(Box::new(Handle { db: &self.db, table }))
    }

    fn write_in_tasks(&self, writers: Vec<tasks::Writer>) -> Option<Result<Vec<tasks::Writer>>> {
        let table = match self.db.table(TABLE) {
            Ok(table) => table,
            Err(error) => return Some(Err(error.into())),
        };
        Some(tasks::run(writers, |writer| write(self.db.clone(), table.clone(), writer)))
    }

    fn load(&self, rows: &dyn Rows) -> Result<()> {
        // The table is empty: the loaded one takes its place.
        let mut table = lock(&self.table);
        if table.take().is_some() {
            self.db.drop_table(TABLE)?;
        }
        let mut load = self.db.load_table(TABLE)?;
        for number in 0..rows.len() {
            rows.with(number, &mut |key, value| Ok(load.put(key, value)?))?;
        }
        *table = Some(load.finish()?.0);
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.db.checkpoint()?;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(self.db.sync()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.db.close()?;
        Ok(())
    }
}

/// A task.
async fn write(db: Database, table: Table, mut writer: tasks::Writer) -> Result<tasks::Writer> {
    while let Some(row) = writer.next()? {
        loop {
            writer.attempt();
            let mut tx = db.begin_concurrent()?;
            tx.put(&table, row.key, row.value)?;
            match tx.commit_async().await.map_err(lost) {
                Err(Failure::Conflict) => tokio::task::yield_now().await,
                other => break other.map(drop)?,
            }
        }
    }
    Ok(writer)
}

struct Handle<'a> {
    db: &'a Database,
    table: Table,
}

fn lock(table: &Mutex<Option<Table>>) -> MutexGuard<'_, Option<Table>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session for Handle<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let snapshot = self.db.snapshot()?;
        Ok(snapshot.get_with(&self.table, key, |value| see(value))?.is_some())
    }

    fn read(&mut self, body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()> {
        let snapshot = self.db.snapshot()?;
        body(&mut Reading { snapshot: &snapshot, table: &self.table })
    }

    fn write(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()> {
        let mut tx = self.db.begin_concurrent().map_err(lost)?;
        body(&mut Writing { tx: &mut tx, table: &self.table })?;
        tx.commit().map_err(lost)?;
        Ok(())
    }

    fn transact(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<u64> {
        let table = &self.table;
        let mut broken = None;
        let outcome = self.db.transact(|tx| {
            body(&mut Writing { tx, table }).map_err(|failure| {
                broken = Some(failure);
                // Not retryable: ends the runner, which rolls back.
                braid::Error::TransactionClosed
            })
        });
        match (outcome, broken) {
            (_, Some(failure)) => Err(failure),
            (outcome, None) => Ok(u64::from(outcome.map_err(lost)?.attempts)),
        }
    }
}

/// Tells a lost transaction from other errors.
fn lost(error: braid::Error) -> Failure {
    if error.is_retryable() { Failure::Conflict } else { error.into() }
}

struct Reading<'a> {
    snapshot: &'a Snapshot,
    table: &'a Table,
}

impl Reader for Reading<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.snapshot.get_with(self.table, key, see)?.is_some())
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        scan(self.snapshot, self.table, from, limit, see)
    }
}

struct Writing<'a> {
    tx: &'a mut Transaction,
    table: &'a Table,
}

impl Reader for Writing<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.tx.get_with(self.table, key, see)?.is_some())
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        scan(self.tx, self.table, from, limit, see)
    }
}

impl Writer for Writing<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.tx.put(self.table, key, value).map_err(lost)
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.tx.delete(self.table, key).map_err(lost)
    }
}

fn scan(
    snapshot: &Snapshot,
    table: &Table,
    from: &[u8],
    limit: u64,
    see: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<u64> {
    let mut cursor = snapshot.cursor(table)?;
    let mut seen = 0;
    let mut there = limit > 0 && cursor.seek_ge(from)?;
    while there {
        if let Some((key, value)) = cursor.row()? {
            see(key, value);
        }
        seen += 1;
        there = seen < limit && cursor.next()?;
    }
    Ok(seen)
}

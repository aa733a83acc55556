//! fjall: a log-structured tree with optimistic, serializable transactions over one keyspace.

use std::path::Path;
use std::time::Duration;

use fjall::{
    Iter, KeyspaceCreateOptions, OptimisticTxDatabase, OptimisticTxKeyspace, OptimisticWriteTx, PersistMode,
    Readable, Snapshot,
};

use crate::engine::{Durability, Engine, Facts, Failure, Kind, Reader, Result, Session, Settings, Writer};
use crate::rows::{Rows, batches};

pub(super) const KIND: Kind = Kind {
    name: "fjall",
    version: "3.1.13",
    facts: Facts {
        writers: "many, optimistic; commits one after the other",
        isolation: "serializable",
        durable: Some("PersistMode::SyncData with each commit"),
        deferred: "PersistMode::Buffer with each commit (its default), synced when a journal is full",
        deferred_survives_kill: true,
        notes: "OptimisticTxDatabase; a commit syncs while it holds the commit lock, so no two share a sync; \
                expect_point_read_hits, since the reads here hit; ascending loads by start_ingestion, others by \
                write batches; a scan in a write transaction reads the range to the end of the table, as its \
                range is tracked when it is opened",
    },
    log: &["fjall/*.jnl"],
    open,
};

/// Rows of one write batch of a load.
const LOAD_BATCH: u64 = 10_000;
/// How often the background work is looked at while it is waited for.
const POLL: Duration = Duration::from_millis(5);

struct Fjall {
    db: OptimisticTxDatabase,
    table: OptimisticTxKeyspace,
    persist: PersistMode,
}

fn open(dir: &Path, settings: Settings) -> Result<Box<dyn Engine>> {
    let persist = match settings.durability {
        Durability::Durable => PersistMode::SyncData,
        Durability::Deferred => PersistMode::Buffer,
    };
    let db =
        OptimisticTxDatabase::builder(dir.join("fjall")).cache_size(settings.cache_bytes as u64).open()?;
    let table = db.keyspace("rows", || KeyspaceCreateOptions::default().expect_point_read_hits(true))?;
    Ok(Box::new(Fjall { db, table, persist }))
}

impl Engine for Fjall {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Handle { engine: self }))
    }

    fn load(&self, rows: &dyn Rows) -> Result<()> {
        if rows.ascending() {
            let mut ingestion = self.table.inner().start_ingestion()?;
            for number in 0..rows.len() {
                rows.with(number, &mut |key, value| Ok(ingestion.write(key, value)?))?;
            }
            ingestion.finish()?;
        } else {
            for batch in batches(rows, LOAD_BATCH) {
                let mut writes = self.db.inner().batch();
                for number in batch {
                    rows.with(number, &mut |key, value| {
                        writes.insert(self.table.inner(), key, value);
                        Ok(())
                    })?;
                }
                writes.commit()?;
            }
        }
        self.sync()
    }

    fn settle(&self) -> Result<()> {
        let (db, table) = (self.db.inner(), self.table.inner());
        table.rotate_memtable()?;
        // Flushed tables give work to the compaction: idle is when neither has any twice in a row.
        let mut idle = 0;
        while idle < 2 {
            let busy = table.sealed_memtable_count() > 0
                || db.outstanding_flushes() > 0
                || db.active_compactions() > 0;
            idle = if busy { 0 } else { idle + 1 };
            // Fails when the background work has, which would never be idle then.
            self.sync()?;
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        // Dropping it stops the background threads, and persists too but cannot tell of a failure.
        self.sync()
    }
}

struct Handle<'a> {
    engine: &'a Fjall,
}

impl Session for Handle<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(show(self.engine.table.get(key)?, see))
    }

    fn read(&mut self, body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()> {
        let snapshot = self.engine.db.read_tx();
        body(&mut Reading { snapshot: &snapshot, table: &self.engine.table })
    }

    fn write(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()> {
        let mut tx = self.engine.db.write_tx()?.durability(Some(self.engine.persist));
        body(&mut Writing { tx: &mut tx, table: &self.engine.table })?;
        tx.commit()?.map_err(|_| Failure::Conflict)
    }
}

struct Reading<'a> {
    snapshot: &'a Snapshot,
    table: &'a OptimisticTxKeyspace,
}

impl Reader for Reading<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(show(self.snapshot.get(self.table, key)?, see))
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        scan(self.snapshot.range(self.table, from..), limit, see)
    }
}

struct Writing<'a> {
    tx: &'a mut OptimisticWriteTx,
    table: &'a OptimisticTxKeyspace,
}

impl Reader for Writing<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(show(self.tx.get(self.table, key)?, see))
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        scan(self.tx.range(self.table, from..), limit, see)
    }
}

impl Writer for Writing<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.tx.insert(self.table, key, value);
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.tx.remove(self.table, key);
        Ok(())
    }
}

/// Shows a value that is there, in place.
fn show(value: Option<fjall::UserValue>, see: &mut dyn FnMut(&[u8])) -> bool {
    value.map(|value| see(&value)).is_some()
}

fn scan(rows: Iter, limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
    let mut seen = 0;
    for row in rows.take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        let (key, value) = row.into_inner()?;
        see(&key, &value);
        seen += 1;
    }
    Ok(seen)
}

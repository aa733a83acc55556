//! canopydb: a B-tree with versions of its pages and a log; write transactions one at a time, or concurrent ones that conflict on leaf pages.

use std::path::Path;

use canopydb::{Database, DbOptions, EnvOptions, Error, ReadTransaction, Transaction, Tree};

use crate::engine::{Durability, Engine, Facts, Failure, Kind, Reader, Result, Session, Settings, Writer};
use crate::rows::{Rows, batches};

pub(super) const KIND: Kind = Kind {
    name: "canopydb",
    version: "0.2.5",
    facts: Facts {
        writers: "one here; many are possible, optimistic by leaf page",
        isolation: "snapshot",
        durable: Some("Transaction::commit_with(true)"),
        deferred: "without a sync at the commit",
        deferred_survives_kill: true,
        notes: "Durable commits sync by themselves: Database::sync does not wait for a sync of another thread that is \
                under way. Exclusive write transactions: commits, and their \
                syncs, are one after the other anyway, and concurrent ones conflict on leaf pages, so that they were slower in every cell. Checkpoints at a quarter of the cache, 64 MiB at least.",
    },
    log: &["WAL-*"],
    open,
};

const ROWS: &[u8] = b"rows";
/// Rows of one transaction of a load.
const LOAD_BATCH: u64 = 100_000;

struct Canopy {
    db: Database,
    sync: bool,
}

fn open(dir: &Path, settings: Settings) -> Result<Box<dyn Engine>> {
    let mut environment = EnvOptions::new(dir);
    environment.page_cache_size = settings.cache_bytes;
    let mut options = DbOptions::new();
    // A quarter of the memory for what is not in the file yet, as other engines have it for their memtables; in the proportions
    // of the defaults.
    let checkpoint = (settings.cache_bytes / 4).max(options.checkpoint_target_size);
    options.checkpoint_target_size = checkpoint;
    options.throttle_memory_limit = 4 * checkpoint;
    options.stall_memory_limit = 4 * checkpoint;
    let db = Database::with_options(environment, options)?;
    let tx = db.begin_write()?;
    drop(tx.get_or_create_tree(ROWS)?);
    tx.commit_with(true)?;
    let sync = settings.durability == Durability::Durable;
    Ok(Box::new(Canopy { db, sync }))
}

impl Engine for Canopy {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Handle { engine: self }))
    }

    fn load(&self, rows: &dyn Rows) -> Result<()> {
        for batch in batches(rows, LOAD_BATCH) {
            let tx = self.db.begin_write()?;
            let mut tree = tree(&tx)?;
            for number in batch {
                rows.with(number, &mut |key, value| Ok(tree.insert(key, value)?))?;
            }
            drop(tree);
            tx.commit_with(false)?;
        }
        self.sync()
    }

    fn settle(&self) -> Result<()> {
        Ok(self.db.checkpoint()?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.db.sync()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}

fn tree(tx: &Transaction) -> Result<Tree<'_>> {
    Ok(tx.get_tree(ROWS)?.ok_or("the tree that was made at the open is gone")?)
}

/// Tells a lost transaction from other errors.
fn lost(error: Error) -> Failure {
    if matches!(error, Error::WriteConflict) { Failure::Conflict } else { error.into() }
}

struct Handle<'a> {
    engine: &'a Canopy,
}

impl Session for Handle<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let tx: ReadTransaction = self.engine.db.begin_read()?;
        get(&tree(&tx)?, key, see)
    }

    fn read(&mut self, body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()> {
        let tx = self.engine.db.begin_read()?;
        body(&mut Rooted(tree(&tx)?))
    }

    fn write(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()> {
        let tx = self.engine.db.begin_write()?;
        let mut rooted = Rooted(tree(&tx)?);
        // Dropped by an error, it is rolled back.
        body(&mut rooted)?;
        drop(rooted);
        tx.commit_with(self.engine.sync).map_err(lost)?;
        Ok(())
    }
}

struct Rooted<'tx>(Tree<'tx>);

impl Reader for Rooted<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        get(&self.0, key, see)
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        let mut seen = 0;
        let mut rows = self.0.range(from..)?;
        while seen < limit
            && let Some(row) = rows.next()
        {
            let (key, value) = row?;
            see(&key, &value);
            seen += 1;
        }
        Ok(seen)
    }
}

impl Writer for Rooted<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.0.insert(key, value).map_err(lost)
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.0.delete(key).map_err(lost)?;
        Ok(())
    }
}

fn get(tree: &Tree<'_>, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
    Ok(tree.get(key)?.map(|value| see(&value)).is_some())
}

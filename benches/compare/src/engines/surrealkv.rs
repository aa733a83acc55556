//! SurrealKV: a log-structured tree, optimistic, whose commits go through one task that writes them in groups.

use std::path::Path;

use surrealkv::{CompactRangeOptions, Error, LSMIterator, Mode, Options, Transaction, Tree, TreeBuilder};
use tokio::runtime::{Builder, Runtime};

use crate::engine::{Durability, Engine, Facts, Failure, Kind, Reader, Result, Session, Settings, Writer};
use crate::rows::{Rows, batches};
use crate::tasks;

pub(super) const KIND: Kind = Kind {
    name: "surrealkv",
    version: "1.2.0",
    facts: Facts {
        writers: "many, optimistic",
        isolation: "snapshot",
        durable: Some("Durability::Immediate"),
        deferred: "Durability::Eventual (its default), synced when a log segment is full",
        deferred_survives_kill: true,
        notes: "memtables of a quarter of the cache; with_wal_preallocation, which makes its syncs cheaper; commits are awaited on the session's \
                thread, and its commit, flush and compaction tasks run on a tokio runtime of their own, so a \
                commit is two thread switches; tasks await their commits on an executor beside that one; \
                loads by write-only transactions; it has no cursor without an \
                allocation of its bounds, and get copies the value",
    },
    log: &["surrealkv/wal/*.wal"],
    open,
};

/// Rows of one transaction of a load.
const LOAD_BATCH: u64 = 10_000;
/// Threads for its tasks. Those do blocking input and output: with fewer, a flush and a compaction could hold up the task
/// that commits.
const TASK_THREADS: usize = 4;

struct Surreal {
    runtime: Runtime,
    tree: Tree,
    durability: surrealkv::Durability,
}

fn open(dir: &Path, settings: Settings) -> Result<Box<dyn Engine>> {
    let durability = match settings.durability {
        Durability::Durable => surrealkv::Durability::Immediate,
        Durability::Deferred => surrealkv::Durability::Eventual,
    };
    let options = Options::new()
        .with_path(dir.join("surrealkv"))
        .with_block_cache_capacity(settings.cache_bytes as u64)
        .with_max_memtable_size(settings.cache_bytes / 4)
        .with_wal_preallocation(true);
    let runtime = Builder::new_multi_thread().worker_threads(TASK_THREADS).enable_all().build()?;
    let tree = {
        let _tasks = runtime.enter();
        TreeBuilder::with_options(options).build()?
    };
    Ok(Box::new(Surreal { runtime, tree, durability }))
}

impl Surreal {
    fn commit(&self, mut tx: Transaction) -> Result<()> {
        self.runtime.block_on(tx.commit()).map_err(lost)
    }
}

impl Engine for Surreal {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Handle { engine: self }))
    }

    fn write_in_tasks(&self, writers: Vec<tasks::Writer>) -> Option<Result<Vec<tasks::Writer>>> {
        Some(tasks::run(writers, |writer| write(self.tree.clone(), self.durability, writer)))
    }

    fn load(&self, rows: &dyn Rows) -> Result<()> {
        for batch in batches(rows, LOAD_BATCH) {
            let mut tx = self.tree.begin_with_mode(Mode::WriteOnly)?;
            for number in batch {
                rows.with(number, &mut |key, value| Ok(tx.set(key, value)?))?;
            }
            self.commit(tx)?;
        }
        self.sync()
    }

    fn settle(&self) -> Result<()> {
        // Flushes first. It wakes tasks, and so wants to be among them.
        let _tasks = self.runtime.enter();
        Ok(self.tree.compact_range(None, None, &CompactRangeOptions::default())?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.tree.flush_wal(true)?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.runtime.block_on(self.tree.close())?)
    }
}

/// Tells a lost transaction from other errors.
fn lost(error: Error) -> Failure {
    match error {
        Error::TransactionWriteConflict | Error::TransactionRetry => Failure::Conflict,
        other => other.into(),
    }
}

/// A task.
async fn write(
    tree: Tree,
    durability: surrealkv::Durability,
    mut writer: tasks::Writer,
) -> Result<tasks::Writer> {
    while let Some(row) = writer.next()? {
        loop {
            writer.attempt();
            let mut tx = tree.begin()?.with_durability(durability);
            tx.set(&row.key[..], &row.value[..])?;
            match tx.commit().await.map_err(lost) {
                Err(Failure::Conflict) => tokio::task::yield_now().await,
                other => break other?,
            }
        }
    }
    Ok(writer)
}

struct Handle<'a> {
    engine: &'a Surreal,
}

impl Session for Handle<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        get(&self.engine.tree.begin_with_mode(Mode::ReadOnly)?, key, see)
    }

    fn read(&mut self, body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()> {
        body(&mut Open(self.engine.tree.begin_with_mode(Mode::ReadOnly)?))
    }

    fn write(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()> {
        let mut open = Open(self.engine.tree.begin()?.with_durability(self.engine.durability));
        body(&mut open)?;
        self.engine.commit(open.0)
    }
}

struct Open(Transaction);

impl Reader for Open {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        get(&self.0, key, see)
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        let mut cursor = self.0.scan(from..)?;
        let mut seen = 0;
        let mut there = limit > 0 && cursor.seek_first()?;
        while there {
            see(cursor.key().user_key(), &cursor.value_ref()?);
            seen += 1;
            there = seen < limit && cursor.next()?;
        }
        Ok(seen)
    }
}

impl Writer for Open {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.0.set(key, value).map_err(lost)
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.0.delete(key).map_err(lost)
    }
}

fn get(tx: &Transaction, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
    Ok(tx.get(key)?.map(|value| see(&value)).is_some())
}

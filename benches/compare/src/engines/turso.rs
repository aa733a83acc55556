//! Turso: SQLite's language and file, with row versions in memory and a log of rows in its `mvcc` journal mode.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use turso::{Connection, Database, Error, Statement, Value};

use super::ids::{first_id, id, key_of};
use crate::engine::{Durability, Engine, Facts, Failure, Kind, Reader, Result, Session, Settings, Writer};
use crate::rows::{Rows, batches};
use crate::tasks;

pub(super) const KIND: Kind = Kind {
    name: "turso",
    version: "0.9.0-pre.2",
    facts: Facts {
        writers: "many, BEGIN CONCURRENT",
        isolation: "snapshot",
        durable: Some("journal_mode = 'mvcc', synchronous = FULL (its default)"),
        deferred: "journal_mode = 'mvcc', synchronous = NORMAL, synced by checkpoints",
        deferred_survives_kill: true,
        notes: "integer primary key, prepared statements; group commit is on by default; busy_timeout of 30 s as in its \
                throughput benchmark; a page cache for each connection, of an equal share; conflicts are \
                retried with the harness's pauses, not at once as its example does; tasks await its asynchronous \
                interface, which reads, writes and syncs inside the poll and blocks the executor's thread meanwhile",
    },
    // Of rows, and of pages.
    log: &["compare.db-log", "compare.turso-wal"],
    open,
};

/// Rows of one transaction of a load.
const LOAD_BATCH: u64 = 10_000;
/// How long a statement waits for a checkpoint that is under way.
const BUSY: Duration = Duration::from_secs(30);

struct Turso {
    db: Database,
    /// Its commits and checkpoints always sync.
    own: Connection,
    synchronous: &'static str,
    /// Of each connection.
    cache_kib: usize,
}

fn open(dir: &Path, settings: Settings) -> Result<Box<dyn Engine>> {
    let synchronous = match settings.durability {
        Durability::Durable => "FULL",
        Durability::Deferred => "NORMAL",
    };
    let cache_kib = settings.cache_bytes / (settings.threads + 1) / 1024;
    let path = dir.join("compare.turso");
    let path = path.to_str().ok_or("Turso wants a path in UTF-8")?;
    let db = wait(turso::Builder::new_local(path).build())?;
    let own = connect(&db, "FULL", cache_kib)?;
    wait(own.pragma_update("journal_mode", "'mvcc'"))?;
    wait(own.execute("CREATE TABLE IF NOT EXISTS data (id INTEGER PRIMARY KEY, value BLOB NOT NULL)", ()))?;
    Ok(Box::new(Turso { db, own, synchronous, cache_kib }))
}

fn connect(db: &Database, synchronous: &str, cache_kib: usize) -> Result<Connection> {
    let connection = db.connect()?;
    connection.busy_timeout(BUSY)?;
    wait(connection.pragma_update("cache_size", format_args!("-{cache_kib}")))?;
    wait(connection.pragma_update("synchronous", synchronous))?;
    Ok(connection)
}

impl Turso {
    fn handle(&self) -> Result<Handle> {
        let connection = connect(&self.db, self.synchronous, self.cache_kib)?;
        let prepare = |sql| wait(connection.prepare(sql));
        Ok(Handle {
            begin_read: prepare("BEGIN")?,
            begin_write: prepare("BEGIN CONCURRENT")?,
            commit: prepare("COMMIT")?,
            rollback: prepare("ROLLBACK")?,
            get: prepare("SELECT value FROM data WHERE id = ?1")?,
            scan: prepare("SELECT id, value FROM data WHERE id >= ?1 ORDER BY id LIMIT ?2")?,
            put: prepare("INSERT OR REPLACE INTO data (id, value) VALUES (?1, ?2)")?,
            delete: prepare("DELETE FROM data WHERE id = ?1")?,
            connection,
        })
    }
}

impl Engine for Turso {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(self.handle()?))
    }

    fn write_in_tasks(&self, writers: Vec<tasks::Writer>) -> Option<Result<Vec<tasks::Writer>>> {
        // Each with a connection of its own, as a thread has.
        let handles: Result<Vec<_>> = writers.iter().map(|_| self.handle()).collect();
        let handles = match handles {
            Ok(handles) => Mutex::new(handles),
            Err(error) => return Some(Err(error)),
        };
        Some(tasks::run(writers, |writer| {
            let handle = handles.lock().unwrap_or_else(PoisonError::into_inner).pop();
            async { write_in_task(handle.ok_or("a connection for each writer")?, writer).await }
        }))
    }

    fn load(&self, rows: &dyn Rows) -> Result<()> {
        let loader = connect(&self.db, "NORMAL", self.cache_kib)?;
        let mut insert = wait(loader.prepare("INSERT INTO data (id, value) VALUES (?1, ?2)"))?;
        for batch in batches(rows, LOAD_BATCH) {
            wait(loader.execute("BEGIN CONCURRENT", ()))?;
            for number in batch {
                rows.with(number, &mut |key, value| {
                    wait(insert.execute((id(key)?, value.to_vec())))?;
                    Ok(())
                })?;
            }
            wait(loader.execute("COMMIT", ()))?;
        }
        self.sync()
    }

    fn settle(&self) -> Result<()> {
        self.sync()
    }

    fn sync(&self) -> Result<()> {
        // There is no other way to sync what was committed.
        let mut rows = wait(self.own.query("PRAGMA wal_checkpoint(TRUNCATE)", ()))?;
        while let Some(row) = wait(rows.next())? {
            if row.get::<i64>(0)? != 0 {
                return Err("a checkpoint found the database busy".into());
            }
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}

struct Handle {
    connection: Connection,
    begin_read: Statement,
    begin_write: Statement,
    commit: Statement,
    rollback: Statement,
    get: Statement,
    scan: Statement,
    put: Statement,
    delete: Statement,
}

/// A task. A poll that wants input or output does it itself, and blocks its thread meanwhile.
async fn write_in_task(mut handle: Handle, mut writer: tasks::Writer) -> Result<tasks::Writer> {
    while let Some(row) = writer.next()? {
        loop {
            writer.attempt();
            match handle.write_row(&row).await {
                Err(Failure::Conflict) => {
                    if !handle.connection.is_autocommit()? {
                        handle.rollback.execute(()).await?;
                    }
                    tokio::task::yield_now().await;
                }
                other => break other?,
            }
        }
    }
    Ok(writer)
}

impl Handle {
    async fn write_row(&mut self, row: &tasks::Row) -> Result<()> {
        self.begin_write.execute(()).await.map_err(lost)?;
        self.put.execute((id(&row.key)?, row.value.to_vec())).await.map_err(lost)?;
        self.commit.execute(()).await.map_err(lost)?;
        Ok(())
    }

    /// Ends a transaction of which nothing shall be left.
    fn abandon(&mut self) -> Result<()> {
        // Some conflicts have rolled it back already.
        if !self.connection.is_autocommit()? {
            wait(self.rollback.execute(()))?;
        }
        Ok(())
    }
}

impl Session for Handle {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Reader::get(self, key, see)
    }

    fn read(&mut self, body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()> {
        wait(self.begin_read.execute(())).map_err(lost)?;
        let outcome = body(self);
        self.abandon()?;
        outcome
    }

    fn write(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()> {
        wait(self.begin_write.execute(())).map_err(lost)?;
        let outcome = body(self).and_then(|()| wait(self.commit.execute(())).map(|_| ()).map_err(lost));
        if outcome.is_err() {
            self.abandon()?;
        }
        outcome
    }
}

impl Reader for Handle {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let mut rows = wait(self.get.query((id(key)?,))).map_err(lost)?;
        let mut there = false;
        // To the end, which ends the statement.
        while let Some(row) = wait(rows.next()).map_err(lost)? {
            see(blob(&row.get_value(0)?)?);
            there = true;
        }
        Ok(there)
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = wait(self.scan.query((first_id(from)?, limit))).map_err(lost)?;
        let mut seen = 0;
        while let Some(row) = wait(rows.next()).map_err(lost)? {
            see(&key_of(row.get(0)?)?, blob(&row.get_value(1)?)?);
            seen += 1;
        }
        Ok(seen)
    }
}

impl Writer for Handle {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        wait(self.put.execute((id(key)?, value.to_vec()))).map_err(lost)?;
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        wait(self.delete.execute((id(key)?,))).map_err(lost)?;
        Ok(())
    }
}

fn blob(value: &Value) -> Result<&[u8]> {
    match value {
        Value::Blob(bytes) => Ok(bytes),
        _ => Err("a value that is no blob".into()),
    }
}

/// Tells a lost transaction from other errors, in the way of Turso's example.
fn lost(error: Error) -> Failure {
    match error {
        Error::Busy(_) | Error::BusySnapshot(_) => Failure::Conflict,
        Error::Error(message) if message.contains("conflict") => Failure::Conflict,
        other => other.into(),
    }
}

/// Runs a future to its end on this thread, which sleeps until it is woken.
///
/// A statement that finds the database busy wakes its own task within the poll, to be polled again: then others have their turn
/// first, as a thread that runs in real time would keep them from ever ending what it waits for.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark {
        thread: Thread,
        woken: AtomicBool,
    }
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.woken.store(true, Ordering::Release);
            self.thread.unpark();
        }
    }
    thread_local! {
        static UNPARK: Arc<Unpark> =
            Arc::new(Unpark { thread: std::thread::current(), woken: AtomicBool::new(false) });
    }
    UNPARK.with(|unpark| {
        let waker = Waker::from(Arc::clone(unpark));
        let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
        let woken = || unpark.woken.swap(false, Ordering::Acquire);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            if woken() {
                std::thread::yield_now();
                continue;
            }
            while !woken() {
                std::thread::park();
            }
        }
    })
}

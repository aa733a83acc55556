//! SQLite through rusqlite, built by it: a write-ahead log, one connection for each session, one writer at a time.
//!
//! The table's key is the id that a key begins with, as an `INTEGER PRIMARY KEY`; the rest of a key follows from its id.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{CachedStatement, Connection, ErrorCode};

use crate::engine::{
    Durability, Engine, Facts, Failure, Kind, Reader, Result, Session, Settings, Writer, back_off,
};
use crate::rows::{Rows, id_of, key};

pub(super) const KIND: Kind = Kind {
    name: "sqlite",
    version: "of rusqlite 0.41",
    facts: Facts {
        writers: "one",
        isolation: "serializable",
        durable: Some("WAL, synchronous=FULL"),
        deferred: "WAL, synchronous=NORMAL: syncs at checkpoints",
        deferred_survives_kill: true,
        notes: "INTEGER PRIMARY KEY; cached statements; BEGIN IMMEDIATE under a lock of the program's, as its busy handler would \
                let the writers' turn pass while they sleep. Half of the cache is mapped (mmap_size), half is shared out to the \
                connections. A checkpoint by itself at its default of 1,000 pages where commits sync, so that the log is written over and \
                stays as long as it is; else once the log is a quarter of the cache, as a checkpoint syncs.",
    },
    log: &["compare.sqlite-wal"],
    open,
};

const GET: &str = "SELECT value FROM rows WHERE id = ?1";
const SCAN: &str = "SELECT id, value FROM rows WHERE id >= ?1 ORDER BY id LIMIT ?2";
const PUT: &str = "INSERT OR REPLACE INTO rows (id, value) VALUES (?1, ?2)";
const DELETE: &str = "DELETE FROM rows WHERE id = ?1";

/// How often a writer asks whether it is its turn, until that counts as a conflict: for a minute.
const BUSY_WAITS: i32 = 120_000;

/// Its default.
const PAGE_BYTES: usize = 4096;
/// Its default, of what starts a checkpoint.
const LOG_PAGES: usize = 1000;

struct Sqlite {
    path: PathBuf,
    settings: Settings,
    /// For what concerns all; and the log stays as long as there is a connection.
    first: Mutex<Connection>,
    /// Held by the writer.
    turn: Mutex<()>,
}

fn open(dir: &Path, settings: Settings) -> Result<Box<dyn Engine>> {
    let path = dir.join("compare.sqlite");
    let first = connect(&path, settings)?;
    first.execute_batch("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, value BLOB NOT NULL)")?;
    Ok(Box::new(Sqlite { path, settings, first: Mutex::new(first), turn: Mutex::default() }))
}

fn connect(path: &Path, settings: Settings) -> Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_handler(Some(|waits| {
        back_off(u64::try_from(waits).unwrap_or_default() + 1);
        waits < BUSY_WAITS
    }))?;
    let synchronous = match settings.durability {
        Durability::Durable => "FULL",
        Durability::Deferred => "NORMAL",
    };
    let mapped = settings.cache_bytes / 2;
    // One more is the engine's own.
    let cache_kib = (settings.cache_bytes - mapped) / 1024 / (settings.threads + 1);
    let log_pages = match settings.durability {
        Durability::Durable => LOG_PAGES,
        // A checkpoint syncs: not more often than the memory that other engines have for recent rows is full.
        Durability::Deferred => (settings.cache_bytes / 4 / PAGE_BYTES).max(LOG_PAGES),
    };
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
         PRAGMA mmap_size = {mapped}; PRAGMA cache_size = -{cache_kib};
         PRAGMA wal_autocheckpoint = {log_pages};"
    ))?;
    Ok(connection)
}

impl Sqlite {
    fn with_first<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        work(&self.first.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine for Sqlite {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Handle { connection: connect(&self.path, self.settings)?, turn: &self.turn }))
    }

    fn load(&self, rows: &dyn Rows) -> Result<()> {
        self.with_first(|connection| {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            let mut put = connection.prepare_cached(PUT)?;
            for number in 0..rows.len() {
                rows.with(number, &mut |key, value| {
                    put.execute((id(key)?, value))?;
                    Ok(())
                })?;
            }
            drop(put);
            connection.execute_batch("COMMIT")?;
            Ok(())
        })?;
        self.sync()
    }

    fn settle(&self) -> Result<()> {
        self.with_first(|connection| {
            let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if busy { Err("the checkpoint was kept from its end".into()) } else { Ok(()) }
        })
    }

    /// A checkpoint syncs the log and then the database, whatever `synchronous` says but `OFF`.
    fn sync(&self) -> Result<()> {
        self.settle()
    }

    fn close(self: Box<Self>) -> Result<()> {
        let first = self.first.into_inner().unwrap_or_else(PoisonError::into_inner);
        first.close().map_err(|(_, error)| error.into())
    }
}

/// The id of a key, or the least that one with this beginning may have.
fn id(key: &[u8]) -> Result<i64> {
    let id = id_of(key).or(key.is_empty().then_some(0)).ok_or("a key has eight bytes at least")?;
    Ok(i64::try_from(id)?)
}

/// Tells a lost transaction from other errors.
fn lost(error: rusqlite::Error) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => Failure::Conflict,
        _ => error.into(),
    }
}

struct Handle<'a> {
    connection: Connection,
    turn: &'a Mutex<()>,
}

impl Handle<'_> {
    fn execute(&self, sql: &str) -> Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map_err(lost)?;
        Ok(())
    }

    /// Runs `body` between `begin` and a commit, or a rollback.
    fn within(&self, begin: &str, body: impl FnOnce(&mut Rooted<'_>) -> Result<()>) -> Result<()> {
        self.execute(begin)?;
        let outcome = body(&mut Rooted { connection: &self.connection, get: None, put: None });
        let outcome = outcome.and_then(|()| self.execute("COMMIT"));
        if outcome.is_err() && !self.connection.is_autocommit() {
            self.execute("ROLLBACK")?;
        }
        outcome
    }
}

impl Session for Handle<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        get(&mut self.connection.prepare_cached(GET)?, key, see)
    }

    fn read(&mut self, body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()> {
        self.within("BEGIN", |rooted| body(rooted))
    }

    fn write(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.within("BEGIN IMMEDIATE", |rooted| body(rooted))
    }
}

/// The statements of one transaction, each prepared when it is wanted first.
struct Rooted<'a> {
    connection: &'a Connection,
    get: Option<CachedStatement<'a>>,
    put: Option<CachedStatement<'a>>,
}

impl Reader for Rooted<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let statement = match &mut self.get {
            Some(statement) => statement,
            none => none.insert(self.connection.prepare_cached(GET)?),
        };
        get(statement, key, see)
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        let mut scan = self.connection.prepare_cached(SCAN)?;
        // A negative limit is none.
        let mut rows = scan.query((id(from)?, i64::try_from(limit).unwrap_or(-1)))?;
        let mut seen = 0;
        while let Some(row) = rows.next().map_err(lost)? {
            let id: i64 = row.get(0)?;
            see(&key(id.cast_unsigned()), row.get_ref(1)?.as_blob()?);
            seen += 1;
        }
        Ok(seen)
    }
}

impl Writer for Rooted<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let put = match &mut self.put {
            Some(put) => put,
            none => none.insert(self.connection.prepare_cached(PUT)?),
        };
        put.execute((id(key)?, value)).map_err(lost)?;
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.connection.prepare_cached(DELETE)?.execute([id(key)?]).map_err(lost)?;
        Ok(())
    }
}

fn get(statement: &mut CachedStatement<'_>, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
    let mut rows = statement.query([id(key)?])?;
    let Some(row) = rows.next().map_err(lost)? else {
        return Ok(false);
    };
    see(row.get_ref(0)?.as_blob()?);
    Ok(true)
}

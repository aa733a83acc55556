//! SQLRite: a young database with SQLite's language; a transaction of its `mvcc` journal mode works on a copy of all tables.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sqlrite::{Connection, SQLRiteError, Value};

use crate::engine::{Engine, Facts, Failure, Kind, Reader, Result, Session, Settings, Writer};
use crate::rows::Rows;

pub(super) const KIND: Kind = Kind {
    name: "sqlrite",
    version: "0.14.0",
    facts: Facts {
        writers: "many, BEGIN CONCURRENT; statements and commits one after the other",
        isolation: "snapshot",
        durable: Some("journal_mode = mvcc; every commit syncs"),
        deferred: "none: it syncs every commit",
        deferred_survives_kill: true,
        notes: "its integers keep 32 bits, its primary keys are integers and it has no blobs, so the key is the hexadecimal \
                digits in a UNIQUE column and the value a text with a character for each byte; inserts of one \
                table conflict with each other, as each takes the next row number; a transaction copies the \
                table and compares it at its commit, so loads of more than 50,000 rows are refused; a transaction's rows have \
                to fit 4096 bytes of its log, which is some twenty; no upsert: a put looks first; writes are not prepared, as a prepared one ignores the open transaction",
    },
    log: &["compare.sqlrite-wal"],
    open,
};

/// The largest table that it works on in sane time.
const MOST_ROWS: u64 = 50_000;

struct Sqlrite {
    /// The handle that the sessions' are made from.
    first: Mutex<Connection>,
}

fn open(dir: &Path, _: Settings) -> Result<Box<dyn Engine>> {
    let path = dir.join("compare.sqlrite");
    let fresh = !path.exists();
    let mut first = Connection::open(path)?;
    if fresh {
        first.execute("CREATE TABLE data (id TEXT UNIQUE, value TEXT NOT NULL)")?;
    }
    first.execute("PRAGMA journal_mode = mvcc")?;
    Ok(Box::new(Sqlrite { first: Mutex::new(first) }))
}

impl Sqlrite {
    fn connect(&self) -> Connection {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).connect()
    }
}

impl Engine for Sqlrite {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Handle { connection: self.connect() }))
    }

    fn load(&self, rows: &dyn Rows) -> Result<()> {
        if rows.len() > MOST_ROWS {
            return Err(format!("SQLRite copies the whole table for each transaction: {MOST_ROWS} rows are the most that are loaded").into());
        }
        // One transaction of the plain kind, which copies the table once.
        let mut connection = self.connect();
        connection.execute("BEGIN")?;
        for number in 0..rows.len() {
            rows.with(number, &mut |key, value| insert(&mut connection, key, value))?;
        }
        connection.execute("COMMIT")?;
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        // Checkpoints on its way.
        self.connect().execute("VACUUM")?;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        // Nothing was acknowledged that is not synced.
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct Handle {
    connection: Connection,
}

impl Session for Handle {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Reader::get(self, key, see)
    }

    fn read(&mut self, body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()> {
        self.connection.execute("BEGIN CONCURRENT")?;
        let outcome = body(self);
        self.connection.execute("ROLLBACK")?;
        outcome
    }

    fn write(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()> {
        self.connection.execute("BEGIN CONCURRENT").map_err(lost)?;
        let outcome = body(self);
        if outcome.is_err() {
            self.connection.execute("ROLLBACK")?;
            return outcome;
        }
        // Rolls back by itself where it fails.
        self.connection.execute("COMMIT").map_err(lost)?;
        Ok(())
    }
}

impl Reader for Handle {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let select = self.connection.prepare_cached("SELECT value FROM data WHERE id = ?")?;
        let mut rows = select.query_with_params(&[Value::Text(digits(key))]).map_err(lost)?;
        let Some(row) = rows.next()? else { return Ok(false) };
        see(&bytes(&row.get::<String>(0)?)?);
        Ok(true)
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        // A limit cannot be a parameter.
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let select = format!("SELECT id, value FROM data WHERE id >= ? ORDER BY id LIMIT {limit}");
        let select = self.connection.prepare_cached(&select)?;
        let mut rows = select.query_with_params(&[Value::Text(digits(from))]).map_err(lost)?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            see(&from_digits(&row.get::<String>(0)?)?, &bytes(&row.get::<String>(1)?)?);
            seen += 1;
        }
        Ok(seen)
    }
}

impl Writer for Handle {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if !Reader::get(self, key, &mut |_| {})? {
            return insert(&mut self.connection, key, value);
        }
        write(
            &mut self.connection,
            &format!("UPDATE data SET value = '{}' WHERE id = '{}'", text(value), digits(key)),
        )
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        write(&mut self.connection, &format!("DELETE FROM data WHERE id = '{}'", digits(key)))
    }
}

fn insert(connection: &mut Connection, key: &[u8], value: &[u8]) -> Result<()> {
    let insert = format!("INSERT INTO data (id, value) VALUES ('{}', '{}')", digits(key), text(value));
    write(connection, &insert)
}

/// Not prepared: a prepared write goes past the transaction that is open, into the tables of all.
fn write(connection: &mut Connection, statement: &str) -> Result<()> {
    connection.execute(statement).map_err(lost)?;
    Ok(())
}

/// Tells a lost transaction from other errors.
fn lost(error: SQLRiteError) -> Failure {
    if error.is_retryable() { Failure::Conflict } else { error.into() }
}

/// A key in a form of the same order.
fn digits(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_digits(digits: &str) -> Result<Vec<u8>> {
    let byte = |at| Ok(u8::from_str_radix(digits.get(at..at + 2).ok_or("a key of odd length")?, 16)?);
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// A value as the inside of a quoted text, the byte's number that of the character.
fn text(value: &[u8]) -> String {
    value.iter().copied().map(char::from).collect::<String>().replace('\'', "''")
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    text.chars().map(|character| Ok(u8::try_from(character)?)).collect()
}

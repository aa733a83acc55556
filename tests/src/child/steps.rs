//! One commit after the other, whatever fails: for circumstances in which calls of the system do.
//!
//! The first has the number after the last one that is there. Commit `n` sets the row `last` to `n` and a row of its
//! own; every fourth writes rows large enough to fill a segment soon. Lines: `try N` before a commit; after it `ack N`,
//! `unknown N` or `error N KIND`, and after a failure `reads N`, the row `last` as it is read then. Every tenth commit
//! is followed by a checkpoint, and the last by a close.

use braid::{Database, Durability, JournalMode, Options, Result, Table, TransactionOptions};

use super::work;
use super::{kind, say};
use crate::{number, value};

/// How many rows the commits go round in.
const ROWS: i64 = 20;

/// The row that a commit writes beside `last`.
pub(crate) fn row(at: i64) -> (String, Vec<u8>) {
    let length = if at % 4 == 3 { 6000 } else { usize::try_from(at % 13).unwrap_or(0) * 30 };
    (format!("row {:03}", at % ROWS), vec![u8::try_from(at % 251).unwrap_or(0); length])
}

/// Small sizes, so that a few commits meet every call that the engine makes.
pub(crate) fn options(mapped: bool) -> Options {
    work::options(mapped)
}

pub(super) fn steps(path: &str, count: i64, mapped: bool) {
    match begin(path, mapped) {
        Ok((db, table)) => {
            let before = db.get(&table, "last").ok().flatten().map_or(0, |bytes| number(&bytes));
            go_on(&db, &table, before + 1..=before + count);
            drop(table);
            say(&match db.close() {
                Ok(_) => "closed".to_owned(),
                Err(error) => format!("close {} {error}", kind(&error)),
            });
        }
        Err(error) => {
            say(&format!("refused {} {error}", kind(&error)));
        }
    }
}

pub(super) fn begin(path: &str, mapped: bool) -> Result<(Database, Table)> {
    let db = Database::open_with(path, options(mapped))?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    Ok((db, table))
}

/// Commits the numbers; whether each was acknowledged.
pub(super) fn go_on(db: &Database, table: &Table, numbers: std::ops::RangeInclusive<i64>) -> Vec<bool> {
    numbers
        .map(|at| {
            say(&format!("try {at}"));
            let outcome = commit(db, table, at);
            match &outcome {
                Ok(()) => {
                    say(&format!("ack {at}"));
                }
                Err(braid::Error::CommitUnknown { .. }) => {
                    say(&format!("unknown {at}"));
                }
                Err(error) => {
                    say(&format!("error {at} {} {error}", kind(error)));
                }
            }
            if outcome.is_err() {
                say(&match db.get(table, "last") {
                    Ok(found) => format!("reads {}", found.map_or(0, |bytes| number(&bytes))),
                    Err(error) => format!("reads {} {error}", kind(&error)),
                });
            }
            if at % 10 == 0
                && let Err(error) = db.checkpoint()
            {
                say(&format!("checkpoint {} {error}", kind(&error)));
            }
            outcome.is_ok()
        })
        .collect()
}

fn commit(db: &Database, table: &Table, at: i64) -> Result<()> {
    let durability = if at % 3 == 0 { Durability::Deferred } else { Durability::Sync };
    let mut tx =
        db.begin_with(TransactionOptions { durability: Some(durability), ..TransactionOptions::default() })?;
    tx.put(table, "last", value(at))?;
    let (key, bytes) = row(at);
    tx.put(table, key, bytes)?;
    tx.commit().map(drop)
}

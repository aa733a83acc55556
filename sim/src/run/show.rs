//! Everything that a database holds.

use std::collections::BTreeMap;
use std::time::Duration;

use braid::{Database, Error, Result, SnapshotOptions};

use super::oracle::Dump;
use super::rows::{Datum, Rows};

/// Reads all tables at one moment.
///
/// # Errors
/// What reading meets.
pub fn dump(db: &Database) -> Result<Dump> {
    loop {
        match dump_once(db) {
            // The checkpointer folds at the same time: each round it has less to do.
            Err(Error::BusySnapshot { .. }) => {}
            dumped => return dumped,
        }
    }
}

fn dump_once(db: &Database) -> Result<Dump> {
    let long = SnapshotOptions { max_age: Some(Duration::from_secs(3600)), ..SnapshotOptions::default() };
    let snapshot = db.snapshot_with(long)?;
    let mut tables = BTreeMap::new();
    for name in snapshot.tables()? {
        let Some(table) = snapshot.existing_table(&name)? else { continue };
        let rows = snapshot.scan(&table)?;
        let rows = rows
            .map(|row| row.map(|(key, value)| (key.into(), Datum::of(&value))))
            .collect::<Result<Rows>>()?;
        tables.insert(name, (table.id(), rows));
    }
    Ok(Dump { ts: snapshot.timestamp().get(), mode: db.journal_mode(), tables })
}

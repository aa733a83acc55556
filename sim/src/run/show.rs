//! Everything that a database holds.

use std::collections::BTreeMap;

use braid::{Database, Result};

use super::oracle::Dump;
use super::rows::{Datum, Rows};

/// Reads all tables at one moment.
///
/// # Errors
/// What reading meets.
pub fn dump(db: &Database) -> Result<Dump> {
    let snapshot = db.snapshot()?;
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

//! Everything that a database holds.

use std::collections::BTreeMap;

use braid::{Database, Result};

use super::oracle::Dump;
use super::rows::{Datum, Rows};

/// Reads all tables at one moment. Tables must not come and go meanwhile.
///
/// # Errors
/// What reading meets.
pub fn dump(db: &Database) -> Result<Dump> {
    let snapshot = db.snapshot()?;
    let mut tables = BTreeMap::new();
    for name in db.tables()? {
        let Some(table) = db.existing_table(&name)? else { continue };
        let rows = snapshot.scan(&table)?;
        let rows =
            rows.map(|row| row.map(|(key, value)| (key, Datum::of(&value)))).collect::<Result<Rows>>()?;
        tables.insert(name, (table.id(), rows));
    }
    Ok(Dump { ts: snapshot.timestamp().get(), tables })
}

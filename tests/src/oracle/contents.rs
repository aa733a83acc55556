//! Everything that a database holds.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use braid::{Database, Error, JournalMode, Result};

/// The rows of a table.
pub type Rows = BTreeMap<Vec<u8>, Arc<[u8]>>;

/// The journal mode, the tables and their rows. A copy is cheap where values are large.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Contents {
    /// Who may write.
    pub mode: JournalMode,
    /// Rows by the name of their table.
    pub tables: BTreeMap<String, Rows>,
}

impl Contents {
    /// Reads all of a database.
    ///
    /// # Errors
    /// Those of the reads.
    pub fn of(db: &Database) -> Result<Self> {
        let snapshot = db.snapshot()?;
        let mut tables = BTreeMap::new();
        for name in db.tables()? {
            let table = db.existing_table(&name)?.ok_or_else(|| Error::NoSuchTable(name.clone()))?;
            let rows = snapshot.scan(&table)?.map(|row| row.map(|(key, value)| (key, value.into())));
            tables.insert(name, rows.collect::<Result<Rows>>()?);
        }
        Ok(Self { mode: db.journal_mode(), tables })
    }

    /// A number that tells contents apart.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tables.values().flatten().map(|(key, value)| key.len() + value.len()).sum()
    }
}

impl fmt::Debug for Contents {
    /// Lengths and first bytes: enough to see what differs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.mode)?;
        for (name, rows) in &self.tables {
            write!(f, " {name}[")?;
            for (key, value) in rows {
                let start: Vec<_> = value.iter().take(4).collect();
                write!(f, "{}={}:{start:?} ", String::from_utf8_lossy(key), value.len())?;
            }
            f.write_str("]")?;
        }
        Ok(())
    }
}

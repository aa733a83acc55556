//! redb: a copy-on-write B-tree in one file, one writer at a time.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::engine::{Durability, Engine, Facts, Kind, Reader, Result, Session, Settings, Writer};
use crate::rows::Rows;

pub(super) const KIND: Kind = Kind {
    name: "redb",
    version: "4.5",
    facts: Facts {
        writers: "one",
        isolation: "serializable",
        durable: Some("Durability::Immediate, one phase"),
        deferred: "Durability::None",
        deferred_survives_kill: false,
        notes: "Deferred commits stay in memory until a durable one follows. A load is one transaction. Settled by a \
                durable commit, not compacted.",
    },
    log: &[],
    open,
};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

struct Redb {
    db: Database,
    durability: redb::Durability,
}

fn open(dir: &Path, settings: Settings) -> Result<Box<dyn Engine>> {
    let durability = match settings.durability {
        Durability::Durable => redb::Durability::Immediate,
        Durability::Deferred => redb::Durability::None,
    };
    let db = Database::builder().set_cache_size(settings.cache_bytes).create(dir.join("compare.redb"))?;
    let engine = Redb { db, durability };
    // Reads want a table that is there.
    engine.within(redb::Durability::Immediate, |tx| {
        drop(tx.open_table(ROWS)?);
        Ok(())
    })?;
    Ok(Box::new(engine))
}

impl Redb {
    fn within(
        &self,
        durability: redb::Durability,
        body: impl FnOnce(&WriteTransaction) -> Result<()>,
    ) -> Result<()> {
        let mut tx = self.db.begin_write()?;
        tx.set_durability(durability)?;
        // Dropped by an error, it is rolled back.
        body(&tx)?;
        Ok(tx.commit()?)
    }
}

impl Engine for Redb {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Handle { engine: self }))
    }

    fn load(&self, rows: &dyn Rows) -> Result<()> {
        self.within(redb::Durability::Immediate, |tx| {
            let mut table = tx.open_table(ROWS)?;
            for number in 0..rows.len() {
                rows.with(number, &mut |key, value| {
                    table.insert(key, value)?;
                    Ok(())
                })?;
            }
            Ok(())
        })
    }

    fn settle(&self) -> Result<()> {
        self.sync()
    }

    fn sync(&self) -> Result<()> {
        self.within(redb::Durability::Immediate, |_| Ok(()))
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.db.close()?)
    }
}

struct Handle<'a> {
    engine: &'a Redb,
}

impl Session for Handle<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let table = self.engine.db.begin_read()?.open_table(ROWS)?;
        get(&table, key, see)
    }

    fn read(&mut self, body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()> {
        body(&mut Reading(self.engine.db.begin_read()?.open_table(ROWS)?))
    }

    fn write(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()> {
        self.engine.within(self.engine.durability, |tx| body(&mut Writing(tx.open_table(ROWS)?)))
    }
}

struct Reading(redb::ReadOnlyTable<&'static [u8], &'static [u8]>);

impl Reader for Reading {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        get(&self.0, key, see)
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        scan(&self.0, from, limit, see)
    }
}

struct Writing<'tx>(Table<'tx, &'static [u8], &'static [u8]>);

impl Reader for Writing<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        get(&self.0, key, see)
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        scan(&self.0, from, limit, see)
    }
}

impl Writer for Writing<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.0.insert(key, value)?;
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.0.remove(key)?;
        Ok(())
    }
}

fn get(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
    see: &mut dyn FnMut(&[u8]),
) -> Result<bool> {
    Ok(table.get(key)?.map(|value| see(value.value())).is_some())
}

fn scan(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    from: &[u8],
    limit: u64,
    see: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<u64> {
    let mut seen = 0;
    let mut rows = table.range(from..)?;
    while seen < limit
        && let Some(row) = rows.next()
    {
        let (key, value) = row?;
        see(key.value(), value.value());
        seen += 1;
    }
    Ok(seen)
}

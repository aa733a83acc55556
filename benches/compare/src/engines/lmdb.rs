//! LMDB through heed: a copy-on-write B-tree in a memory map, one writer at a time.
#![expect(unsafe_code, reason = "heed leaves it to its user that nothing but LMDB writes to the mapped file")]

use std::ops::Bound;
use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, PutFlags, RoTxn, RwTxn, WithTls};

use crate::engine::{Durability, Engine, Facts, Kind, Reader, Result, Session, Settings, UNRANKED, Writer};
use crate::rows::{Rows, batches};

pub(super) const KIND: Kind = Kind {
    name: "lmdb",
    version: "mdb.master of heed 0.23",
    facts: Facts {
        writers: "one",
        isolation: "serializable",
        durable: Some("default: data synced, then the meta page"),
        deferred: "NO_SYNC",
        deferred_survives_kill: true,
        notes: "The cache is the page cache of the system, without a bound. With NO_SYNC a power cut leaves \
                a whole database only where the file system keeps the order of writes. Rows in the unnamed table; \
                ascending loads append.",
    },
    log: &[],
    open: |dir, settings| open(dir, settings, EnvFlags::empty()),
};

/// The same with the map written to: a setting of its own, as nothing orders what the system writes of it.
pub(super) const WRITE_MAP_KIND: Kind = Kind {
    name: UNRANKED,
    facts: Facts {
        durable: Some("WRITE_MAP: the map synced, then the meta page"),
        deferred: "NO_SYNC | WRITE_MAP",
        notes: "LMDB as above, with its pages changed in the map. Without syncs a power cut may then leave no database at all, on any \
                file system, where the others' deferred commits lose their end: shown for what it makes, and not ranked in deferred cells.",
        ..KIND.facts
    },
    open: |dir, settings| open(dir, settings, EnvFlags::WRITE_MAP),
    ..KIND
};

/// Of the address space; the file grows as it is written.
const MAP_BYTES: usize = 64 << 30;
/// Rows of one transaction of a load: more dirty pages than fit in the list of a transaction are spilled.
const LOAD_BATCH: u64 = 1_000_000;

type Table = Database<'static, Bytes, Bytes>;

struct Lmdb {
    env: Env<WithTls>,
    table: Table,
}

fn open(dir: &Path, settings: Settings, more: EnvFlags) -> Result<Box<dyn Engine>> {
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES).max_readers(u32::try_from(settings.threads)? + 16);
    let flags = match settings.durability {
        Durability::Durable => EnvFlags::NO_MEM_INIT,
        Durability::Deferred => EnvFlags::NO_MEM_INIT | EnvFlags::NO_SYNC,
    };
    // SAFETY: NO_SYNC gives up what a power cut leaves, as asked for; NO_MEM_INIT leaves old memory in unused parts of
    // pages, which are not read. With WRITE_MAP a stray store of this process could damage the file: there is no other unsafe
    // code here that stores anything.
    unsafe { options.flags(flags | more) };
    // SAFETY: the directory is this engine's alone, and nothing but it touches the files in it while they are mapped.
    let env = unsafe { options.open(dir)? };
    let table = env.create_databases_and_commit(env.write_txn()?, |opener, tx| {
        opener.create_database(tx, None).map(CommitOrAbort::<_, std::convert::Infallible>::Commit)
    })?;
    let table = table.unwrap_commit();
    Ok(Box::new(Lmdb { env, table }))
}

impl Engine for Lmdb {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Handle { engine: self }))
    }

    fn load(&self, rows: &dyn Rows) -> Result<()> {
        let flags = if rows.ascending() { PutFlags::APPEND } else { PutFlags::empty() };
        for batch in batches(rows, LOAD_BATCH) {
            let mut tx = self.env.write_txn()?;
            for number in batch {
                rows.with(number, &mut |key, value| {
                    Ok(self.table.put_with_flags(&mut tx, flags, key, value)?)
                })?;
            }
            tx.commit()?;
        }
        self.sync()
    }

    fn settle(&self) -> Result<()> {
        self.sync()
    }

    fn sync(&self) -> Result<()> {
        Ok(self.env.force_sync()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()?;
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

/// What LMDB would keep for the next snapshot, its slot in the table of readers, it keeps for each thread by itself.
struct Handle<'a> {
    engine: &'a Lmdb,
}

impl Session for Handle<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let tx = self.engine.env.read_txn()?;
        Ok(self.engine.table.get(&tx, key)?.map(see).is_some())
    }

    fn read(&mut self, body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()> {
        body(&mut Reading { tx: self.engine.env.read_txn()?, table: self.engine.table })
    }

    fn write(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()> {
        let mut writing = Writing { tx: self.engine.env.write_txn()?, table: self.engine.table };
        // Dropped by an error, it is rolled back.
        body(&mut writing)?;
        Ok(writing.tx.commit()?)
    }
}

struct Reading<'a> {
    tx: RoTxn<'a, WithTls>,
    table: Table,
}

impl Reader for Reading<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.table.get(&self.tx, key)?.map(see).is_some())
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        scan(self.table, &self.tx, from, limit, see)
    }
}

struct Writing<'a> {
    tx: RwTxn<'a>,
    table: Table,
}

impl Reader for Writing<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.table.get(&self.tx, key)?.map(see).is_some())
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        scan(self.table, &self.tx, from, limit, see)
    }
}

impl Writer for Writing<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.table.put(&mut self.tx, key, value)?)
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.table.delete(&mut self.tx, key)?;
        Ok(())
    }
}

fn scan(
    table: Table,
    tx: &RoTxn<'_>,
    from: &[u8],
    limit: u64,
    see: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<u64> {
    // LMDB knows no empty key, not even to begin at.
    if from.is_empty() {
        return show(table.iter(tx)?, limit, see);
    }
    let bounds: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(from), Bound::Unbounded);
    show(table.range(tx, &bounds)?, limit, see)
}

fn show<'tx>(
    mut rows: impl Iterator<Item = heed::Result<(&'tx [u8], &'tx [u8])>>,
    limit: u64,
    see: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<u64> {
    let mut seen = 0;
    while seen < limit
        && let Some(row) = rows.next()
    {
        let (key, value) = row?;
        see(key, value);
        seen += 1;
    }
    Ok(seen)
}

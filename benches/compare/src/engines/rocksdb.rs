//! RocksDB: `OptimisticTransactionDB` of the distribution's library, tuned as its wiki's pages on setup and on loading say.

use std::path::{Path, PathBuf};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BottommostLevelCompaction, Cache, CompactOptions,
    DBCompressionType, DBRawIteratorWithThreadMode, ErrorKind, IngestExternalFileOptions,
    OptimisticTransactionDB, OptimisticTransactionOptions, Options, ReadOptions, SnapshotWithThreadMode,
    SstFileWriter, Transaction, WriteBatchWithTransaction, WriteOptions,
};

use crate::engine::{Durability, Engine, Facts, Failure, Kind, Reader, Result, Session, Settings, Writer};
use crate::rows::{Rows, batches};

pub(super) const KIND: Kind = Kind {
    name: "rocksdb",
    version: "7.8 (Debian)",
    facts: Facts {
        writers: "many, optimistic",
        isolation: "snapshot",
        durable: Some("WriteOptions::sync"),
        deferred: "WriteOptions without sync",
        deferred_survives_kill: true,
        notes: "Three quarters of the cache are for blocks, one is for memtables. Bloom filters, in parts where the cache is small; LZ4; pipelined writes. Ascending loads are \
                ingested as a file of the sorted table, others written without the log and flushed. Settled by a \
                compaction of everything.",
    },
    log: &["db/*.log"],
    open,
};

/// Rows of one batch of a load.
const LOAD_BATCH: u64 = 1_000;

/// Below this, a cache is too small for the filters of whole files.
const SMALL_CACHE: usize = 256 << 20;

type Db = OptimisticTransactionDB;

struct Rocks {
    db: Db,
    options: Options,
    dir: PathBuf,
    sync: bool,
}

fn open(dir: &Path, settings: Settings) -> Result<Box<dyn Engine>> {
    let options = options(settings)?;
    let db = Db::open(&options, dir.join("db"))?;
    let sync = settings.durability == Durability::Durable;
    Ok(Box::new(Rocks { db, options, dir: dir.to_owned(), sync }))
}

/// The wiki's "Setup Options and Basic Tuning".
fn options(settings: Settings) -> Result<Options> {
    let memtables = settings.cache_bytes / 4;
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(settings.cache_bytes - memtables)?);
    blocks.set_block_size(16 << 10);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_format_version(5);
    if settings.cache_bytes < SMALL_CACHE {
        // The wiki's "Partitioned Index Filters": a filter that is larger than a shard of the cache is read anew each time.
        blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        blocks.set_partition_filters(true);
        blocks.set_metadata_block_size(4096);
        blocks.set_pin_top_level_index_and_filter(true);
    }

    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.increase_parallelism(i32::try_from(std::thread::available_parallelism()?.get())?);
    options.set_max_background_jobs(6);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_bytes_per_sync(1 << 20);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_db_write_buffer_size(memtables);
    options.set_write_buffer_size((memtables / 2).min(64 << 20));
    // The wiki's "Pipelined Write": while one group of commits goes into the memtable, the next is written to the log.
    options.set_enable_pipelined_write(true);
    Ok(options)
}

impl Engine for Rocks {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        let (mut write, mut begin) = (WriteOptions::default(), OptimisticTransactionOptions::default());
        write.set_sync(self.sync);
        // What a transaction writes must not have changed since it began, rather than since it wrote.
        begin.set_snapshot(true);
        Ok(Box::new(Handle { db: &self.db, read: ReadOptions::default(), write, begin }))
    }

    fn load(&self, rows: &dyn Rows) -> Result<()> {
        if rows.ascending() { self.ingest(rows) } else { self.fill(rows) }
    }

    fn settle(&self) -> Result<()> {
        self.db.flush()?;
        let mut compaction = CompactOptions::default();
        compaction.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        self.db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &compaction);
        Ok(())
    }

    fn checkpoint(&self) -> Result<()> {
        Ok(self.db.flush()?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.db.flush_wal(true)?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()?;
        self.db.cancel_all_background_work(true);
        Ok(())
    }
}

impl Rocks {
    /// The wiki's "Creating and Ingesting SST files". The file is synced when it is finished, and moved into the database.
    fn ingest(&self, rows: &dyn Rows) -> Result<()> {
        let path = self.dir.join("load.sst");
        let mut file = SstFileWriter::create(&self.options);
        file.open(&path)?;
        for number in 0..rows.len() {
            rows.with(number, &mut |key, value| Ok(file.put(key, value)?))?;
        }
        file.finish()?;
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        Ok(self.db.ingest_external_file_opts(&options, vec![path])?)
    }

    fn fill(&self, rows: &dyn Rows) -> Result<()> {
        for batch in batches(rows, LOAD_BATCH) {
            let mut writes = WriteBatchWithTransaction::<true>::default();
            for number in batch {
                rows.with(number, &mut |key, value| {
                    writes.put(key, value);
                    Ok(())
                })?;
            }
            self.db.write_without_wal(writes)?;
        }
        Ok(self.db.flush()?)
    }
}

/// Tells a lost transaction from other errors.
fn lost(error: rocksdb::Error) -> Failure {
    match error.kind() {
        ErrorKind::Busy | ErrorKind::TryAgain => Failure::Conflict,
        _ => error.into(),
    }
}

struct Handle<'a> {
    db: &'a Db,
    read: ReadOptions,
    write: WriteOptions,
    begin: OptimisticTransactionOptions,
}

impl Session for Handle<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        // One read is of one moment by itself.
        Ok(self.db.get_pinned_opt(key, &self.read)?.map(|value| see(&value)).is_some())
    }

    fn read(&mut self, body: &mut dyn FnMut(&mut dyn Reader) -> Result<()>) -> Result<()> {
        body(
            &mut Reading { db: self.db, options: ReadOptions::default(), snapshot: self.db.snapshot() }
                .ready(),
        )
    }

    fn write(&mut self, body: &mut dyn FnMut(&mut dyn Writer) -> Result<()>) -> Result<()> {
        let tx = self.db.transaction_opt(&self.write, &self.begin);
        {
            let snapshot = tx.snapshot();
            let mut options = ReadOptions::default();
            options.set_snapshot(&snapshot);
            // Dropped by an error, it is rolled back.
            body(&mut Writing { tx: &tx, options, snapshot: &snapshot })?;
        }
        tx.commit().map_err(lost)
    }
}

/// `options` name the snapshot.
struct Reading<'a> {
    db: &'a Db,
    options: ReadOptions,
    snapshot: SnapshotWithThreadMode<'a, Db>,
}

impl Reading<'_> {
    fn ready(mut self) -> Self {
        self.options.set_snapshot(&self.snapshot);
        self
    }
}

impl Reader for Reading<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.db.get_pinned_opt(key, &self.options)?.map(|value| see(&value)).is_some())
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        show(self.snapshot.raw_iterator(), from, limit, see)
    }
}

/// `options` name the snapshot.
struct Writing<'a> {
    tx: &'a Transaction<'a, Db>,
    options: ReadOptions,
    snapshot: &'a SnapshotWithThreadMode<'a, Transaction<'a, Db>>,
}

impl Reader for Writing<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.tx.get_pinned_opt(key, &self.options)?.map(|value| see(&value)).is_some())
    }

    fn scan(&mut self, from: &[u8], limit: u64, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<u64> {
        show(self.snapshot.raw_iterator(), from, limit, see)
    }
}

impl Writer for Writing<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.tx.put(key, value).map_err(lost)
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.tx.delete(key).map_err(lost)
    }
}

fn show<D: rocksdb::DBAccess>(
    mut rows: DBRawIteratorWithThreadMode<'_, D>,
    from: &[u8],
    limit: u64,
    see: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<u64> {
    let mut seen = 0;
    if limit > 0 {
        rows.seek(from);
    }
    while seen < limit
        && let Some((key, value)) = rows.item()
    {
        see(key, value);
        seen += 1;
        if seen < limit {
            rows.next();
        }
    }
    // The end, or what kept it from there.
    rows.status()?;
    Ok(seen)
}

//! Row store, cache and log stay within what the options allow, however much is written, and however small that is.

use braid::{Database, Durability, Options, Result};
use braid_tests::{Place, assert_clean, byte, key, scale, together};

fn write_through(row_store_bytes: usize, megabytes: u64) -> Result<()> {
    let place = Place::new();
    let options = Options {
        durability: Durability::Deferred,
        row_store_bytes,
        cache_bytes: 512 << 10,
        log_bytes: 2 << 20,
        log_segment_bytes: 256 << 10,
        ..Options::default()
    };
    let db = place.open_mvcc(options.clone())?;
    let table = db.table("rows")?;
    const THREADS: usize = 4;
    const PER_COMMIT: u64 = 5;
    let commits = megabytes * (1 << 20) / (PER_COMMIT * 400) / THREADS as u64;
    together(THREADS, |thread| -> Result<()> {
        let sibling = Database::open_with(place.path(), options.clone())?;
        for commit in 0..commits {
            // So small a row store may have to give up what a slow transaction would be validated against: it is told,
            // and begins anew.
            sibling.transact(|tx| {
                for row in 0..PER_COMMIT {
                    let number = (commit * PER_COMMIT + row) % 3000;
                    tx.put(&table, key(thread as u64 * 100_000 + number), [byte(commit); 380])?;
                }
                Ok(())
            })?;
            if commit % 50 == 0 {
                let stats = sibling.stats();
                // Each of the writers may be one transaction ahead of the checkpoint that makes room for it.
                let most = row_store_bytes as u64 + THREADS as u64 * 16 * 1024;
                assert!(stats.row_store.bytes <= most, "{:?}", stats.row_store);
                assert!(stats.cache.resident_bytes <= (512 << 10) + (64 << 10), "{:?}", stats.cache);
                assert!(stats.log.retained_bytes <= 4 * (2 << 20), "{:?}", stats.log);
            }
        }
        Ok(())
    })?;
    let stats = db.stats();
    assert!(stats.checkpoints.count > 1, "{:?}", stats.checkpoints);
    let rows = THREADS as u64 * 3000_u64.min(commits * PER_COMMIT);
    assert_eq!(db.snapshot()?.count(&table)?, rows);
    assert_clean(&db)?;
    drop((db, table));
    assert!(place.total_bytes() < 40 << 20, "{} bytes on disk", place.total_bytes());
    let db = place.open_with(options)?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, rows);
    assert_clean(&db)
}

#[test]
fn of_one_megabyte() -> Result<()> {
    write_through(1 << 20, 16 * scale())
}

#[test]
fn of_sixty_four_kilobytes() -> Result<()> {
    write_through(64 << 10, 3 * scale())
}

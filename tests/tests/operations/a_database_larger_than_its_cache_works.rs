//! A database many times the size of its cache works at full function, and the cache stays within its bounds.

use braid::{Durability, Options, Result};
use braid_tests::{Place, assert_clean, key, scale};
use fastrand::Rng;

#[test]
fn in_reads_scans_and_writes() -> Result<()> {
    let place = Place::new();
    let options = Options {
        cache_bytes: 256 << 10,
        row_store_bytes: 1 << 20,
        log_segment_bytes: 1 << 20,
        durability: Durability::Deferred,
        ..Options::default()
    };
    let db = place.open_mvcc(options.clone())?;
    let table = db.table("rows")?;
    let rows = 40_000 * scale();
    let row = |number: u64, version: u64| [key(number), key(version)].concat().repeat(10);
    for batch in 0..rows / 1000 {
        let mut tx = db.begin_concurrent()?;
        for number in batch * 1000..(batch + 1) * 1000 {
            tx.put(&table, key(number), row(number, 0))?;
        }
        tx.commit()?;
    }
    db.checkpoint()?;
    let bytes = db.stats().file.bytes;
    assert!(bytes > 16 * (256 << 10), "{bytes} bytes are no test of a small cache");

    let mut rng = Rng::with_seed(7);
    let mut versions = std::collections::BTreeMap::new();
    for round in 1..=5 {
        for _ in 0..200 {
            let number = rng.u64(0..rows);
            let version = versions.get(&number).copied().unwrap_or(0);
            assert!(db.get(&table, key(number))? == Some(row(number, version)), "row {number}");
            db.put(&table, key(number), row(number, round))?;
            versions.insert(number, round);
        }
        let mut expected = 0;
        for found in db.snapshot()?.scan(&table)? {
            let version = versions.get(&expected).copied().unwrap_or(0);
            assert!(found? == (key(expected).to_vec(), row(expected, version)), "row {expected} in a scan");
            expected += 1;
        }
        assert_eq!(expected, rows);
        let cache = db.stats().cache;
        // A page that is being read may stand beside the bound, never more than a few.
        assert!(cache.resident_bytes <= (256 << 10) + (64 << 10), "{} bytes resident", cache.resident_bytes);
    }
    let cache = db.stats().cache;
    assert!(cache.evictions > 0 && cache.misses > 0 && cache.hits > 0, "{cache:?}");
    assert_clean(&db)?;
    drop((db, table));
    let db = place.open_with(options)?;
    assert_eq!(db.snapshot()?.count(&db.table("rows")?)?, rows);
    assert_clean(&db)
}

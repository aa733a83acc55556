//! Two handles write at the same time on a cache far too small for them; afterwards the file is whole, and so are the
//! rows.

use braid::{Database, Durability, Error, Options, Result};
use braid_tests::{Place, assert_clean, byte, contents, key, scale, together};
use fastrand::Rng;

#[test]
fn under_concurrent_writes_of_two_handles() -> Result<()> {
    let place = Place::new();
    let options = Options {
        cache_bytes: 32 << 10,
        row_store_bytes: 64 << 10,
        page_bytes: 512,
        log_segment_bytes: 64 << 10,
        durability: Durability::Deferred,
        ..Options::default()
    };
    let db = place.open_mvcc(options.clone())?;
    let table = db.table("rows")?;
    let models = together(2, |thread| -> Result<std::collections::BTreeMap<Vec<u8>, Vec<u8>>> {
        let handle = Database::open_with(place.path(), options.clone())?;
        let mut rng = Rng::with_seed(thread as u64);
        let mut model = std::collections::BTreeMap::new();
        for _ in 0..400 * scale() {
            let mut tx = handle.begin_concurrent()?;
            let mut after = model.clone();
            for _ in 0..rng.usize(1..20) {
                let at = [&[b'a' + byte(thread as u64)], key(rng.u64(0..3000)).as_slice()].concat();
                if rng.u8(0..4) == 0 {
                    tx.delete(&table, &at)?;
                    after.remove(&at);
                } else {
                    let bytes = vec![rng.u8(..); rng.usize(0..300)];
                    tx.put(&table, &at, &bytes)?;
                    after.insert(at, bytes);
                }
            }
            match tx.commit() {
                Ok(_) => model = after,
                // So small a row store may have to give up what a slow transaction would be validated against.
                Err(Error::BusySnapshot { .. }) => {}
                Err(error) => return Err(error),
            }
            let at = [&[b'a' + byte(thread as u64)], key(rng.u64(0..3000)).as_slice()].concat();
            assert_eq!(handle.get(&table, &at)?.as_ref(), model.get(&at), "row {at:?}");
        }
        Ok(model)
    })?;
    let expected: std::collections::BTreeMap<_, _> = models.into_iter().flatten().collect();
    assert_eq!(contents(&db.snapshot()?, &table)?, expected);
    assert_clean(&db)?;
    db.checkpoint()?;
    assert_clean(&db)?;
    let stats = db.stats();
    assert!(stats.cache.evictions > 0, "{:?}", stats.cache);
    assert_eq!(contents(&db.snapshot()?, &table)?, expected);
    drop((db, table));
    let db = place.open_with(options)?;
    assert_eq!(contents(&db.snapshot()?, &db.table("rows")?)?, expected);
    assert_clean(&db)
}

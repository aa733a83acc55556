//! A check counts what it walked, tells its progress, and runs while others write.

use std::sync::atomic::{AtomicBool, Ordering};

use braid::{Options, Result};
use braid_tests::{Place, assert_clean, byte, key, together};

#[test]
fn it_counts_and_tells_its_progress() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    for name in ["one", "two"] {
        let table = db.table(name)?;
        let mut tx = db.begin_immediate()?;
        for number in 0..12_000 {
            tx.put(&table, key(number), [1_u8; 100])?;
        }
        tx.put(&table, "large", vec![2_u8; 100_000])?;
        tx.commit()?;
    }
    db.checkpoint()?;
    let mut progress = Vec::new();
    let report = db.check_with(&mut |done, total| progress.push((done, total)))?;
    assert!(report.is_ok(), "{:?}", report.findings);
    assert!(report.pages > 500, "{} pages", report.pages);
    assert!(report.rows >= 24_002, "{} rows", report.rows);
    assert!(report.tables >= 2, "{} tables", report.tables);
    assert!(!progress.is_empty());
    assert!(progress.windows(2).all(|pair| pair[0].0 <= pair[1].0), "progress never goes back");
    assert!(progress.iter().all(|(done, total)| done <= total), "progress never goes past its end");
    Ok(())
}

#[test]
fn it_runs_beside_writers_and_checkpoints() -> Result<()> {
    let place = Place::new();
    let options =
        Options { row_store_bytes: 64 << 10, page_bytes: 512, cache_bytes: 64 << 10, ..Options::default() };
    let db = place.open_mvcc(options)?;
    let table = db.table("rows")?;
    let done = AtomicBool::new(false);
    together(3, |thread| -> Result<()> {
        if thread == 0 {
            for _ in 0..10 {
                assert_clean(&db)?;
            }
            done.store(true, Ordering::SeqCst);
            return Ok(());
        }
        let mut number = 0_u64;
        while !done.load(Ordering::SeqCst) {
            let mut tx = db.begin_concurrent()?;
            for _ in 0..50 {
                number += 1;
                tx.put(
                    &table,
                    key(thread as u64 * 1_000_000 + number % 700),
                    &[3; 1000][..20 + usize::from(byte(number))],
                )?;
            }
            tx.commit()?;
        }
        Ok(())
    })?;
    assert_clean(&db)
}

//! Every `in_memory()` database is its own; its clones are siblings; it does what one on disk does.

use braid::{Database, JournalMode, Options, Result};
use braid_tests::{assert_clean, contents, key, together, value};

#[test]
fn two_do_not_see_each_other() -> Result<()> {
    let (one, other) = (Database::in_memory()?, Database::in_memory()?);
    let table = one.table("rows")?;
    one.put(&table, "a", "1")?;
    one.set_journal_mode(JournalMode::Mvcc)?;
    assert!(other.tables()?.is_empty());
    assert_eq!(other.journal_mode(), JournalMode::Wal);
    assert_eq!(one.path(), None);
    let clone = one.clone();
    drop(one);
    assert_eq!(clone.get(&table, "a")?, Some(b"1".to_vec()));
    assert_eq!(clone.journal_mode(), JournalMode::Mvcc);
    assert_clean(&clone)?;
    assert_clean(&other)
}

#[test]
fn checkpoints_and_small_caches_work_there_too() -> Result<()> {
    let options = Options {
        row_store_bytes: 64 << 10,
        cache_bytes: 64 << 10,
        log_segment_bytes: 64 << 10,
        page_bytes: 512,
        ..Options::default()
    };
    let db = Database::in_memory_with(options)?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    together(4, |thread| -> Result<()> {
        for number in 0..1000_u64 {
            db.put(&table, key(thread as u64 * 10_000 + number), value(7))?;
        }
        Ok(())
    })?;
    db.checkpoint()?;
    assert_eq!(contents(&db.snapshot()?, &table)?.len(), 4000);
    assert_clean(&db)
}

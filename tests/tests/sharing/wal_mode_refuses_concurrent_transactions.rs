//! In `JournalMode::Wal` a concurrent transaction is refused by an error that names the call to make instead.

use braid::{Admission, Error, JournalMode, Result, TransactionOptions};
use braid_tests::{Place, assert_clean};

#[test]
fn and_everything_else_works() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let refused = db.begin_concurrent().expect_err("a new database is in Wal");
    assert!(matches!(refused, Error::JournalMode));
    assert!(refused.to_string().contains("set_journal_mode(JournalMode::Mvcc)"), "{refused}");
    assert!(refused.to_string().contains("begin_immediate"), "{refused}");
    let explicit = TransactionOptions { admission: Admission::Concurrent, ..Default::default() };
    assert!(matches!(db.begin_with(explicit.clone()), Err(Error::JournalMode)));

    let table = db.table("rows")?;
    db.put(&table, "a", "1")?;
    db.transact(|tx| tx.put(&table, "b", "2"))?;
    let mut tx = db.begin()?;
    tx.put(&table, "c", "3")?;
    tx.commit()?;
    db.delete(&table, "a")?;
    assert_eq!(db.snapshot()?.count(&table)?, 2);

    db.set_journal_mode(JournalMode::Mvcc)?;
    db.begin_with(explicit)?.commit()?;
    assert_clean(&db)
}

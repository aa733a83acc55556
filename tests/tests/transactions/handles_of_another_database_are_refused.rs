//! A table handle belongs to one database; siblings share it, strangers refuse it.

use braid::{Database, Error, Result};
use braid_tests::Place;

#[test]
fn strangers_refuse_and_siblings_accept() -> Result<()> {
    let (here, there) = (Place::new(), Place::new());
    let (db, stranger) = (here.open()?, there.open()?);
    let table = db.table("rows")?;
    stranger.table("rows")?;
    db.put(&table, "a", "1")?;
    let refused = |result: Result<()>| matches!(&result, Err(Error::ForeignTable(name)) if name == "rows");
    assert!(refused(stranger.get(&table, "a").map(drop)));
    assert!(refused(stranger.put(&table, "a", "2").map(drop)));
    assert!(refused(stranger.snapshot()?.scan(&table).map(drop)));
    assert!(refused(stranger.snapshot()?.count(&table).map(drop)));
    assert!(refused(stranger.snapshot()?.cursor(&table).map(drop)));
    let mut tx = stranger.begin_immediate()?;
    assert!(refused(tx.put(&table, "a", "2")));
    assert!(refused(tx.delete(&table, "a")));
    assert!(refused(tx.insert(&table, "a", "2")));
    tx.rollback();
    let sibling = Database::open(here.path())?;
    assert_eq!(sibling.get(&table, "a")?, Some(b"1".to_vec()));
    Ok(())
}

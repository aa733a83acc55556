//! A table that a sibling drops under an open transaction: the commit is `Busy(Schema)` and nothing is lost; a table
//! of the same name that is made anew is another table.

use braid::{ConflictKind, Database, Error, Options, Result};
use braid_tests::{Place, assert_clean, contents, together};

#[test]
fn the_commit_is_refused_and_nothing_of_it_applied() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let sibling = Database::open(place.path())?;
    for made_anew in [false, true] {
        for folded in [false, true] {
            let (doomed, kept) = (db.table("doomed")?, db.table("kept")?);
            db.put(&doomed, "old row", "1")?;
            if folded {
                db.checkpoint()?;
            }
            let mut tx = db.begin_concurrent()?;
            tx.put(&doomed, "new row", "2")?;
            tx.put(&kept, "witness", "3")?;
            assert!(sibling.drop_table("doomed")?);
            if made_anew {
                let anew = sibling.table("doomed")?;
                assert_ne!(anew.id(), doomed.id(), "a table made anew has an id of its own");
                sibling.put(&anew, "row of the new table", "4")?;
            }
            let error = tx.commit().expect_err("the table is gone");
            assert!(error.is_retryable(), "{error}");
            let conflict = error.conflict().expect("a lost race is Busy");
            assert_eq!(conflict.kind, ConflictKind::Schema);
            assert_eq!(conflict.table.as_deref(), Some("doomed"));
            assert_eq!(db.get(&kept, "witness")?, None, "nothing of the loser was applied");
            if made_anew {
                let rows = contents(&db.snapshot()?, &db.table("doomed")?)?;
                assert_eq!(rows.into_keys().collect::<Vec<_>>(), [b"row of the new table".to_vec()]);
                assert!(db.drop_table("doomed")?);
            }
            assert_clean(&db)?;
        }
    }
    assert_eq!(db.stats().conflicts.kinds.schema, 4);
    Ok(())
}

#[test]
fn a_handle_of_a_dropped_table_finds_no_table() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let table = db.table("doomed")?;
    db.put(&table, "row", "1")?;
    assert!(db.drop_table("doomed")?);
    assert!(!db.drop_table("doomed")?, "it is gone");
    let later = db.put(&table, "row", "2");
    assert!(matches!(&later, Err(Error::NoSuchTable(name)) if name == "doomed"), "{later:?}");
    let later = db.get(&table, "row");
    assert!(matches!(&later, Err(Error::NoSuchTable(name)) if name == "doomed"), "{later:?}");
    assert_eq!(db.existing_table("doomed")?.map(|table| table.id()), None);
    assert!(contents(&db.snapshot()?, &db.table("doomed")?)?.is_empty(), "a table made anew is empty");
    assert_clean(&db)
}

#[test]
fn tables_come_and_go_under_writers() -> Result<()> {
    // Writers put rows while another thread drops and makes the table. Every acknowledged put of the last table stands.
    let place = Place::new();
    let db = place.open_mvcc(Options { row_store_bytes: 64 << 10, ..Options::default() })?;
    db.table("churned")?;
    together(3, |thread| -> Result<()> {
        let sibling = Database::open(place.path())?;
        for round in 0..40_u32 {
            if thread == 0 {
                sibling.drop_table("churned")?;
                sibling.table("churned")?;
                if round % 8 == 0 {
                    sibling.checkpoint()?;
                }
                continue;
            }
            let table = sibling.table("churned")?;
            match sibling.put(&table, format!("{thread} {round}"), [7_u8; 500]) {
                Ok(_) | Err(Error::NoSuchTable(_)) => {}
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })?;
    let table = db.table("churned")?;
    db.put(&table, "last", "row")?;
    assert_clean(&db)?;
    let rows = contents(&db.snapshot()?, &table)?;
    drop((db, table));
    let db = place.open()?;
    assert_eq!(contents(&db.snapshot()?, &db.table("churned")?)?, rows);
    assert_clean(&db)
}

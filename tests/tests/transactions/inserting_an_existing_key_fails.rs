//! `insert` tells an existing key from a new one in every layer, and leaves the transaction usable.

use braid::{Database, Error, JournalMode, Options, Result};
use braid_tests::{Place, assert_clean, contents, together};

#[test]
fn in_every_layer() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    db.put(&table, "in the tree", "1")?;
    db.put(&table, "deleted above the tree", "1")?;
    db.checkpoint()?;
    db.put(&table, "in the store", "1")?;
    db.delete(&table, "deleted above the tree")?;

    let mut tx = db.begin_immediate()?;
    tx.put(&table, "own", "1")?;
    tx.delete(&table, "in the tree")?;
    tx.insert(&table, "in the tree", "again")?;
    for key in ["own", "in the store", "in the tree"] {
        let error = tx.insert(&table, key, "2").expect_err("the key is there");
        let Error::KeyExists { table, key: named, .. } = &error else { panic!("{error:?}") };
        assert_eq!((table.as_str(), named.as_slice()), ("rows", key.as_bytes()));
    }
    tx.insert(&table, "deleted above the tree", "2")?;
    tx.insert(&table, "new", "2")?;
    tx.commit()?;
    let rows = contents(&db.snapshot()?, &table)?;
    let rows: Vec<(&[u8], &[u8])> = rows.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
    let expected: [(&[u8], &[u8]); 5] = [
        (b"deleted above the tree", b"2"),
        (b"in the store", b"1"),
        (b"in the tree", b"again"),
        (b"new", b"2"),
        (b"own", b"1"),
    ];
    assert_eq!(rows, expected);
    assert_clean(&db)
}

#[test]
fn of_many_at_once_one_inserts() -> Result<()> {
    let db = Database::in_memory_with(Options::default().journal_mode(JournalMode::Mvcc))?;
    let table = &db.table("rows")?;
    for round in 0..50_u8 {
        assert!(!db.contains(table, [round])?);
        let inserted = together(4, |thread| match db.insert(table, [round], thread.to_string()) {
            Ok(_) => Ok(Some(thread.to_string())),
            Err(Error::KeyExists { .. }) => Ok(None),
            Err(error) => Err(error),
        })?;
        let inserted: Vec<_> = inserted.into_iter().flatten().collect();
        assert_eq!(inserted.len(), 1, "{inserted:?}");
        assert_eq!(db.get(table, [round])?.as_deref(), Some(inserted[0].as_bytes()));
        assert!(db.contains(table, [round])?);
    }
    Ok(())
}

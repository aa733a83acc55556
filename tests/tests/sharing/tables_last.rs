//! Tables: made by opening, listed by name, dropped whole, each with an id that lasts and is never given again.

use std::collections::BTreeSet;

use braid::{Database, Error, Options, Result};
use braid_tests::{Place, assert_clean, contents, together};

#[test]
fn names_ids_and_rows_survive_a_reopen() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    assert!(db.tables()?.is_empty());
    assert!(db.existing_table("b")?.is_none());
    let mut ids = Vec::new();
    for name in ["b", "a", "ein Name mit Umläuten", "c"] {
        let table = db.table(name)?;
        assert_eq!(table.name(), name);
        assert_eq!(db.table(name)?.id(), table.id(), "opening again gives the same table");
        db.put(&table, "row", name)?;
        ids.push((name, table.id()));
    }
    assert_eq!(ids.iter().map(|(_, id)| id).collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(db.tables()?, ["a", "b", "c", "ein Name mit Umläuten"]);
    for close in [false, true] {
        let db = if close {
            db.checkpoint()?;
            Database::open(place.path())?
        } else {
            db.clone()
        };
        for (name, id) in &ids {
            let table = db.existing_table(name)?.expect("the table is there");
            assert_eq!(table.id(), *id);
            assert_eq!(db.get(&table, "row")?, Some(name.as_bytes().to_vec()));
        }
    }
    drop(db);
    let db = place.open()?;
    assert_eq!(db.tables()?, ["a", "b", "c", "ein Name mit Umläuten"]);
    for (name, id) in &ids {
        let table = db.existing_table(name)?.expect("the table is there");
        assert_eq!((table.id(), db.get(&table, "row")?), (*id, Some(name.as_bytes().to_vec())));
    }
    assert_clean(&db)
}

#[test]
fn a_dropped_table_is_gone_and_its_id_with_it() -> Result<()> {
    let place = Place::new();
    let mut seen = BTreeSet::new();
    for round in 0..6 {
        let db = place.open()?;
        let table = db.table("again and again")?;
        assert!(seen.insert(table.id()), "id {} was given twice", table.id());
        assert!(contents(&db.snapshot()?, &table)?.is_empty(), "a table made anew is empty");
        db.put(&table, "row", "1")?;
        if round % 2 == 0 {
            db.checkpoint()?;
        }
        assert!(db.drop_table("again and again")?);
        assert!(!db.drop_table("again and again")?);
        assert!(db.existing_table("again and again")?.is_none());
        assert!(db.tables()?.is_empty());
        if round % 3 == 0 {
            db.checkpoint()?;
        }
        assert_clean(&db)?;
    }
    Ok(())
}

#[test]
fn many_tables_keep_apart() -> Result<()> {
    let place = Place::new();
    let options = Options { row_store_bytes: 64 << 10, page_bytes: 512, ..Options::default() };
    let db = place.open_with(options)?;
    for number in 0..200_u32 {
        let table = db.table(&format!("table {number:03}"))?;
        let mut tx = db.begin_immediate()?;
        for row in 0..5 {
            tx.put(&table, format!("row {row}"), number.to_le_bytes())?;
        }
        tx.commit()?;
    }
    db.checkpoint()?;
    for number in (0..200_u32).step_by(2) {
        assert!(db.drop_table(&format!("table {number:03}"))?);
    }
    drop(db);
    let db = place.open()?;
    assert_eq!(db.tables()?.len(), 100);
    for number in (1..200_u32).step_by(2) {
        let table = db.existing_table(&format!("table {number:03}"))?.expect("the table is there");
        for (_, bytes) in contents(&db.snapshot()?, &table)? {
            assert_eq!(bytes, number.to_le_bytes());
        }
        assert_eq!(db.snapshot()?.count(&table)?, 5);
    }
    assert_clean(&db)
}

#[test]
fn threads_that_make_one_table_get_the_same() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    for round in 0..5 {
        let name = format!("made together {round}");
        let ids = together(8, |_| Database::open(place.path())?.table(&name).map(|table| table.id()))?;
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
    }
    assert_eq!(db.tables()?.len(), 5);
    assert_clean(&db)
}

#[test]
fn senseless_names_are_refused() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    for name in [String::new(), "x".repeat(1 << 20)] {
        let made = db.table(&name);
        assert!(matches!(made, Err(Error::Limit { .. })), "{made:?}");
    }
    assert!(db.tables()?.is_empty());
    Ok(())
}

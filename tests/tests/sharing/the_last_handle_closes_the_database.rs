//! Handles are counted: while one is there the lock holds; the last one to go closes the core, and then a fresh open
//! works, in this process or another.

use braid::{Database, Options, Result};
use braid_tests::{Actor, Place, assert_clean, contents};

fn another_process_says(place: &Place) -> Option<String> {
    Actor::start(env!("CARGO_BIN_EXE_actor"), "open", &place.path(), &[]).line()
}

#[test]
fn handles_clones_snapshots_and_transactions_count() -> Result<()> {
    let place = Place::new();
    let locked = Some(format!("locked {}", std::process::id()));
    let first = place.open()?;
    let table = first.table("rows")?;
    first.put(&table, "a", "1")?;
    let second = Database::open(place.path())?;
    let clone = second.clone();
    drop(first);
    assert_eq!(another_process_says(&place), locked);
    drop(second);
    assert_eq!(another_process_says(&place), locked);
    let snapshot = clone.snapshot()?;
    drop(clone);
    assert_eq!(snapshot.get(&table, "a")?, Some(b"1".to_vec()), "a snapshot keeps the database open");
    assert_eq!(another_process_says(&place), locked);
    drop((snapshot, table));
    assert_eq!(another_process_says(&place), Some("opened".into()));

    let db = place.open()?;
    assert_eq!(db.get(&db.table("rows")?, "a")?, Some(b"1".to_vec()));
    assert_clean(&db)
}

#[test]
fn a_reopen_after_a_drop_finds_everything() -> Result<()> {
    let place = Place::new();
    for round in 0..20_u64 {
        let db = place.open()?;
        let table = db.table("rows")?;
        assert_eq!(db.snapshot()?.count(&table)?, round);
        db.put(&table, round.to_be_bytes(), "x")?;
        if round % 3 == 0 {
            db.close()?;
        } else if round % 3 == 1 {
            db.checkpoint()?;
        }
    }
    assert_clean(&place.open()?)
}

#[test]
fn a_fresh_open_may_choose_new_options() -> Result<()> {
    let place = Place::new();
    drop(place.open_with(Options {
        cache_bytes: 1 << 20,
        row_store_bytes: 1 << 20,
        ..Options::default()
    })?);
    drop(place.open_with(Options {
        cache_bytes: 2 << 20,
        row_store_bytes: 64 << 10,
        ..Options::default()
    })?);
    Ok(())
}

#[test]
fn a_clean_close_leaves_nothing_to_replay() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    for number in 0..100_u64 {
        db.put(&table, number.to_be_bytes(), "x")?;
    }
    let rows = contents(&db.snapshot()?, &table)?;
    drop(table);
    db.close()?;
    let db = place.open()?;
    let stats = db.stats();
    assert_eq!(contents(&db.snapshot()?, &db.table("rows")?)?, rows);
    assert_eq!(stats.row_store.bytes, 0, "nothing was replayed: {:?}", stats.row_store);
    assert_clean(&db)
}

//! A system that interrupts every other call, and reads and writes a few bytes at a time, is no error; one that writes
//! nothing at all is one, and not an endless loop.

use std::io::ErrorKind;

use braid::vfs::faulty::{Fault, Operation};
use braid::{Database, Error, Options, Result};
use braid_tests::{Place, assert_clean, contents, faulty_env, key, value};

#[test]
fn interrupted_and_short() -> Result<()> {
    for map_log in [true, false] {
        let place = Place::new();
        let (env, faults) = faulty_env();
        faults.inject(
            Fault::on_any(&[Operation::Read, Operation::Write]).kind(ErrorKind::Interrupted).every(2),
        );
        faults.inject(Fault::on_any(&[Operation::Read, Operation::Write]).short(700).every(3));
        let options = Options { map_log, log_segment_bytes: 64 << 10, page_bytes: 512, ..Options::default() };
        let db = Database::open_in(env.clone(), place.path(), options.clone())?;
        let table = db.table("rows")?;
        for number in 0..300 {
            db.put(&table, key(number), value(1))?;
        }
        db.put(&table, "large", vec![1; 100_000])?;
        db.checkpoint()?;
        let rows = contents(&db.snapshot()?, &table)?;
        assert_clean(&db)?;
        drop((db, table));
        let db = Database::open_in(env, place.path(), options)?;
        assert_eq!(contents(&db.snapshot()?, &db.table("rows")?)?, rows);
        assert!(faults.fired() > 0);
    }
    Ok(())
}

#[test]
fn a_write_of_nothing_ends_in_an_error() -> Result<()> {
    let place = Place::new();
    let (env, faults) = faulty_env();
    let db = Database::open_in(env, place.path(), Options { map_log: false, ..Options::default() })?;
    let table = db.table("rows")?;
    db.put(&table, "a", "1")?;
    faults.inject(Fault::on(Operation::Write).short(0).sticky());
    for _ in 0..2 {
        let refused = db.put(&table, "b", "2");
        let Err(Error::Io { source, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(source.kind(), ErrorKind::WriteZero);
        let refused = db.checkpoint();
        let Err(Error::Io { source, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(source.kind(), ErrorKind::WriteZero);
    }
    assert_eq!(db.get(&table, "a")?, Some(b"1".to_vec()));
    assert_eq!(db.get(&table, "b")?, None);
    // Nothing of it was written, so there is nothing in doubt.
    faults.clear();
    db.put(&table, "c", "3")?;
    drop((db, table));
    let db = place.open()?;
    let rows = contents(&db.snapshot()?, &db.table("rows")?)?;
    assert!(rows.keys().eq([b"a", b"c"]), "{rows:?}");
    assert_clean(&db)
}

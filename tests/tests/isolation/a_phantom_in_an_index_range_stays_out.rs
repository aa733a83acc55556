//! A range of an index kept by hand is the same range to the end of its transaction, whatever others insert into it.

use braid::{Database, Options, Result};
use braid_tests::{Place, assert_clean, key};

#[test]
fn inserts_into_a_range_that_was_read() -> Result<()> {
    let place = Place::new();
    let first = place.open_mvcc(Options::default())?;
    let second = Database::open(place.path())?;
    let by_age = first.table("people_by_age")?;
    for age in [20, 30, 40] {
        first.put(&by_age, key(age), "somebody")?;
    }

    let reader = first.begin_concurrent()?;
    let ages = |range: braid::Range| range.map(|row| row.map(|(age, _)| age)).collect::<Result<Vec<_>>>();
    let before = ages(reader.range(&by_age, key(25)..key(50))?)?;
    assert_eq!(before, [key(30), key(40)]);

    let mut writer = second.begin_concurrent()?;
    writer.insert(&by_age, key(35), "somebody else")?;
    writer.delete(&by_age, key(40))?;
    writer.commit()?;
    first.checkpoint()?;
    second.put(&by_age, key(45), "a third")?;

    assert_eq!(ages(reader.range(&by_age, key(25)..key(50))?)?, before);
    let backwards = reader.range(&by_age, key(25)..key(50))?.rev().map(|row| row.map(|(age, _)| age));
    assert_eq!(backwards.collect::<Result<Vec<_>>>()?, [key(40), key(30)]);
    assert_eq!(reader.count(&by_age)?, 3);
    reader.commit()?;

    assert_eq!(ages(first.snapshot()?.range(&by_age, key(25)..key(50))?)?, [key(30), key(35), key(45)]);
    assert_clean(&first)
}

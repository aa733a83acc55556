//! A range of an index kept by hand is the same range to the end of its transaction, whatever others insert into it; and who
//! writes by what it found there loses, if it asked to be serializable.

use braid::{ConflictKind, Error, Isolation, Options, Result, Snapshot, Table};
use braid_tests::{Layering, Place, assert_clean, contents, key};

use crate::desk::{Desk, each, settle};

fn ages(snapshot: &Snapshot, by_age: &Table) -> Result<Vec<Vec<u8>>> {
    snapshot.range(by_age, key(25)..key(50))?.map(|row| row.map(|(age, _)| age)).collect()
}

fn run(isolation: Isolation, layering: Layering) -> Result<()> {
    let context = format!("{isolation:?}, {layering:?}");
    let place = Place::in_memory();
    let db = place.open_mvcc(Options::default())?;
    let (by_age, found) = (db.table("people_by_age")?, db.table("found")?);
    for age in [20, 30, 40] {
        db.put(&by_age, key(age), "somebody")?;
    }
    settle(&db, layering, Layering::Tree)?;
    // They write down how many they found: one has gone through the range, one stopped at its first row, one went through
    // the part of it in which nothing changes. The last only looks.
    let [whole, first, part, reader, inserter, other] = [(); 6].map(|()| Desk::start(&place));
    for session in [&whole, &first, &part, &reader, &inserter] {
        session.run(move |desk| desk.begin(isolation))?;
    }
    for session in [&whole, &reader] {
        let by_age = by_age.clone();
        let before = session.run(move |desk| ages(desk.tx(), &by_age))?;
        assert_eq!(before, [key(30), key(40)], "{context}");
    }
    let table = by_age.clone();
    let row = first.run(move |desk| desk.tx().range(&table, key(25)..key(50))?.next().transpose())?;
    assert_eq!(row, Some((key(30).to_vec(), b"somebody".to_vec())), "{context}");
    let table = by_age.clone();
    assert_eq!(part.run(move |desk| desk.tx().count_range(&table, key(25)..key(35)))?, 1, "{context}");
    for (session, number) in [(&whole, 1), (&first, 2), (&part, 3)] {
        let found = found.clone();
        session.run(move |desk| desk.tx().put(&found, key(number), "so many"))?;
        settle(&db, layering, Layering::Moving)?;
    }
    let table = by_age.clone();
    let inserted = inserter.run(move |desk| {
        desk.tx().insert(&table, key(35), "somebody else")?;
        desk.tx().delete(&table, key(40))?;
        desk.commit()
    })?;
    settle(&db, layering, Layering::Moving)?;
    let table = by_age.clone();
    let put = other.run(move |desk| desk.db.put(&table, key(45), "a third"))?;
    settle(&db, layering, Layering::Moving)?;

    for session in [&whole, &reader] {
        let by_age = by_age.clone();
        let (forwards, backwards, all) = session.run(move |desk| {
            let tx = desk.tx();
            let range = tx.range(&by_age, key(25)..key(50))?;
            let backwards: Result<Vec<_>> = range.rev().map(|row| row.map(|(age, _)| age)).collect();
            Ok::<_, Error>((ages(tx, &by_age)?, backwards?, tx.count(&by_age)?))
        })?;
        assert_eq!(forwards, [key(30), key(40)], "{context}");
        assert_eq!(backwards, [key(40), key(30)], "{context}");
        assert_eq!(all, 3, "{context}");
    }
    reader.run(Desk::commit)?;
    first.run(Desk::commit)?;
    part.run(Desk::commit)?;
    let committed = whole.run(Desk::commit);
    if isolation == Isolation::Serializable {
        let error = committed.expect_err(&context);
        let conflict = error.conflict().expect("a lost race is Busy");
        assert!(error.is_retryable(), "{context}");
        assert_eq!(conflict.kind, ConflictKind::Range, "{context}: {conflict}");
        assert_eq!(conflict.table.as_deref(), Some("people_by_age"), "{context}");
        // Of the rows that changed it names the first, or one of those that were folded last.
        let lost_to = (conflict.key.clone(), conflict.winner_ts);
        let changed = [(35, inserted), (40, inserted), (45, put)]
            .map(|(age, commit)| (Some(key(age).to_vec()), Some(commit.timestamp)));
        let named: &[_] = if layering == Layering::Moving { &changed } else { &changed[..1] };
        assert!(named.contains(&lost_to), "{context}: {conflict}");
    } else {
        committed?;
    }

    let now = db.snapshot()?;
    assert_eq!(ages(&now, &by_age)?, [key(30), key(35), key(45)], "{context}");
    let left = contents(&now, &found)?.into_keys().collect::<Vec<_>>();
    let stand: &[_] =
        if isolation == Isolation::Snapshot { &[key(1), key(2), key(3)] } else { &[key(2), key(3)] };
    assert_eq!(left, stand, "{context}");
    assert_clean(&db)
}

#[test]
fn inserts_into_a_range_that_was_read() -> Result<()> {
    each(run)
}

//! A unique index kept by hand, as a table from the unique value to its row: two rows that claim one value cannot both
//! commit, however far apart their own keys are.

use std::collections::BTreeSet;

use braid::{ConflictKind, Database, Error, Isolation, Options, Result, TransactionOptions};
use braid_tests::{Layering, Place, assert_clean, contents, key, together};

use crate::desk::{Desk, each, settle};

fn run(isolation: Isolation, layering: Layering) -> Result<()> {
    let context = format!("{isolation:?}, {layering:?}");
    let place = Place::in_memory();
    let db = place.open_mvcc(Options::default())?;
    let (users, by_email) = (db.table("users")?, db.table("users_by_email")?);
    db.put(&users, key(9), "bob@example.org")?;
    db.put(&by_email, "bob@example.org", key(9))?;
    settle(&db, layering, Layering::Tree)?;

    let [one, two] = [(); 2].map(|()| Desk::start(&place));
    for (session, id) in [(&one, 1), (&two, 2)] {
        let (users, by_email) = (users.clone(), by_email.clone());
        let free = session.run(move |desk| {
            desk.begin(isolation)?;
            let free = desk.tx().get(&by_email, "ada@example.org")?;
            desk.tx().insert(&users, key(id), "ada@example.org")?;
            desk.tx().insert(&by_email, "ada@example.org", key(id))?;
            Ok::<_, Error>(free)
        })?;
        assert_eq!(free, None, "{context}: nobody has the value yet");
        settle(&db, layering, Layering::Moving)?;
    }
    let won = one.run(Desk::commit)?;
    settle(&db, layering, Layering::Moving)?;
    let (table, own) = (by_email.clone(), two.run(|desk| desk.tx().timestamp()));
    let claimed = two.run(move |desk| desk.tx().get(&table, "ada@example.org"))?;
    assert_eq!(claimed, Some(key(2).to_vec()), "{context}: its own claim is there until the end");
    let error = two.run(Desk::commit).expect_err("the value is taken");
    let conflict = error.conflict().expect("the loser is told so");
    assert!(error.is_retryable(), "{context}");
    assert_eq!(conflict.kind, ConflictKind::WriteWrite, "{context}: {conflict}");
    assert_eq!(conflict.table.as_deref(), Some("users_by_email"), "{context}");
    assert_eq!(conflict.key.as_deref(), Some(b"ada@example.org".as_slice()), "{context}");
    assert_eq!((conflict.begin_ts, conflict.winner_ts), (own, Some(won.timestamp)), "{context}");

    // The next one sees that the value is taken, and takes another.
    let (table, index) = (users.clone(), by_email.clone());
    let again = two.run(move |desk| {
        desk.begin(isolation)?;
        let again = desk.tx().insert(&index, "ada@example.org", key(2));
        desk.tx().insert(&index, "eve@example.org", key(2))?;
        desk.tx().insert(&table, key(2), "eve@example.org")?;
        desk.commit()?;
        Ok::<_, Error>(again)
    })?;
    assert!(matches!(again, Err(Error::KeyExists { .. })), "{context}: {again:?}");
    settle(&db, layering, Layering::Moving)?;

    // A value is free for those who begin after it was given up, and for nobody before.
    let (table, index) = (users.clone(), by_email.clone());
    one.run(move |desk| {
        desk.begin(isolation)?;
        desk.tx().delete(&table, key(9))?;
        desk.tx().delete(&index, "bob@example.org")
    })?;
    let index = by_email.clone();
    let early = two.run(move |desk| {
        desk.begin(isolation)?;
        desk.tx().insert(&index, "bob@example.org", key(2))
    });
    assert!(matches!(early, Err(Error::KeyExists { .. })), "{context}: {early:?}");
    one.run(Desk::commit)?;
    settle(&db, layering, Layering::Moving)?;
    let index = by_email.clone();
    let late = two.run(move |desk| {
        let late = desk.tx().insert(&index, "bob@example.org", key(2));
        // It has written nothing.
        desk.commit()?;
        desk.begin(isolation)?;
        desk.tx().insert(&index, "bob@example.org", key(2))?;
        desk.commit()?;
        Ok::<_, Error>(late)
    })?;
    assert!(matches!(late, Err(Error::KeyExists { .. })), "{context}: {late:?}");

    let now = db.snapshot()?;
    let rows = contents(&now, &users)?;
    assert_eq!(
        rows.into_iter().collect::<Vec<_>>(),
        [(1, "ada@example.org"), (2, "eve@example.org")].map(|(id, mail)| (key(id).to_vec(), mail.into())),
        "{context}"
    );
    let entries = contents(&now, &by_email)?;
    assert_eq!(
        entries.into_iter().collect::<Vec<_>>(),
        [("ada", 1), ("bob", 2), ("eve", 2)]
            .map(|(name, id)| (format!("{name}@example.org").into_bytes(), key(id).to_vec())),
        "{context}"
    );
    assert_clean(&db)
}

#[test]
fn two_rows_claim_one_value() -> Result<()> {
    each(run)
}

fn claim_few_values(isolation: Isolation) -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let (users, by_name) = (db.table("users")?, db.table("users_by_name")?);
    let won = together(8, |thread| -> Result<u64> {
        let sibling = Database::open(place.path())?;
        let mut won = 0;
        for name in 0..20_u64 {
            let id = key(thread as u64 * 1000 + name);
            let mut tx = sibling.begin_with(TransactionOptions { isolation, ..Default::default() })?;
            match tx.insert(&by_name, key(name), id) {
                Ok(()) => {}
                Err(Error::KeyExists { .. }) => continue,
                Err(error) => return Err(error),
            }
            tx.put(&users, id, key(name))?;
            match tx.commit() {
                Ok(_) => won += 1,
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(won)
    })?;
    assert_eq!(won.iter().sum::<u64>(), 20, "every value has exactly one owner");
    let now = db.snapshot()?;
    let owners: BTreeSet<Vec<u8>> = contents(&now, &by_name)?.into_values().collect();
    let rows: BTreeSet<Vec<u8>> = contents(&now, &users)?.into_keys().collect();
    assert_eq!(owners, rows, "index and table agree");
    assert_clean(&db)
}

#[test]
fn many_threads_claim_few_values() -> Result<()> {
    claim_few_values(Isolation::Snapshot)?;
    claim_few_values(Isolation::Serializable)
}

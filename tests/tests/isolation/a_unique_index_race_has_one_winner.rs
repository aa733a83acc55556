//! A unique index kept by hand, as a table from the unique value to its row: two rows that claim one value cannot both
//! commit, however far apart their own keys are.

use std::collections::BTreeSet;

use braid::{ConflictKind, Database, Error, Options, Result};
use braid_tests::{Place, assert_clean, contents, key, together};

#[test]
fn two_rows_claim_one_value() -> Result<()> {
    let place = Place::new();
    let first = place.open_mvcc(Options::default())?;
    let second = Database::open(place.path())?;
    let (users, by_email) = (first.table("users")?, first.table("users_by_email")?);

    let mut tx1 = first.begin_concurrent()?;
    let mut tx2 = second.begin_concurrent()?;
    for (tx, id) in [(&mut tx1, 1), (&mut tx2, 2)] {
        tx.insert(&users, key(id), "ada@example.org")?;
        tx.insert(&by_email, "ada@example.org", key(id))?;
    }
    tx1.commit()?;
    let error = tx2.commit().expect_err("the value is taken");
    let conflict = error.conflict().expect("the loser is told so");
    assert_eq!(conflict.kind, ConflictKind::WriteWrite);
    assert_eq!(conflict.table.as_deref(), Some("users_by_email"));
    assert_eq!(conflict.key.as_deref(), Some(b"ada@example.org".as_slice()));

    let now = first.snapshot()?;
    assert_eq!(now.get(&by_email, "ada@example.org")?, Some(key(1).to_vec()));
    assert!(!now.contains(&users, key(2))?, "nothing of the loser is there");

    let mut tx3 = second.begin_concurrent()?;
    let again = tx3.insert(&by_email, "ada@example.org", key(3));
    assert!(matches!(again, Err(Error::KeyExists { .. })), "the next one sees that the value is taken");
    tx3.rollback();
    assert_clean(&first)
}

#[test]
fn many_threads_claim_few_values() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let (users, by_name) = (db.table("users")?, db.table("users_by_name")?);
    let won = together(8, |thread| -> Result<u64> {
        let sibling = Database::open(place.path())?;
        let mut won = 0;
        for name in 0..20_u64 {
            let id = key(thread as u64 * 1000 + name);
            let mut tx = sibling.begin_concurrent()?;
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

//! A closure with an error type of its own: `try_transact` gives its error back as it was, tries a conflict inside of it
//! again, and tells errors of Braid's in the caller's type.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use braid::vfs::Env;
use braid::{Database, Error, JournalMode, Options, Result, RetryPolicy, Table};

/// Of what cannot be copied: it comes back itself, or not at all.
#[derive(Debug)]
struct Receipt(u32);

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("no: {0:?}")]
    Mine(Box<Receipt>),
    #[error("the store says no")]
    Store(#[from] Error),
}

fn database(env: &Env) -> Result<(Database, Table)> {
    let db = Database::open_in(env.clone(), "/db", Options::default().journal_mode(JournalMode::Mvcc))?;
    let table = db.table("rows")?;
    Ok((db, table))
}

/// Loses a row to another transaction, beside the one whose closure this is called in.
fn lose(db: &Database, table: &Table) -> Result<(), Refused> {
    let mut late = db.begin_concurrent()?;
    late.put(table, "row", "late")?;
    db.put(table, "row", "first")?;
    late.commit()?;
    Ok(())
}

fn quick() -> RetryPolicy {
    RetryPolicy::without_backoff().never_exclusive()
}

#[test]
fn the_callers_own_error_comes_back_itself() -> Result<()> {
    let (db, table) = database(&Env::in_memory())?;
    let receipt = Box::new(Receipt(7));
    let (address, mut receipt) = (std::ptr::from_ref(&*receipt), Some(receipt));
    let mut calls = 0;
    let refused = db.try_transact_with(quick(), |tx| {
        calls += 1;
        tx.put(&table, "a", "1")?;
        Err::<(), _>(Refused::Mine(receipt.take().expect("it is called once")))
    });
    let Err(Refused::Mine(receipt)) = refused else { panic!("{refused:?}") };
    assert_eq!((receipt.0, std::ptr::from_ref(&*receipt)), (7, address));
    assert_eq!(calls, 1, "it is not tried again");
    assert_eq!(db.get(&table, "a")?, None, "what the closure wrote is rolled back");
    Ok(())
}

#[test]
fn a_conflict_inside_is_tried_again() -> Result<()> {
    let (db, table) = database(&Env::in_memory())?;
    let mut attempts = 0_u32;
    let mut losing = |times: u32, most: u32| {
        attempts = 0;
        db.try_transact_with(quick().max_attempts(most), |tx| {
            attempts += 1;
            tx.put(&table, "other", attempts.to_le_bytes())?;
            if attempts <= times {
                lose(&db, &table)?;
            }
            Ok::<_, Refused>(attempts)
        })
    };
    let done = losing(2, 9).expect("the third attempt commits");
    assert_eq!((done.value, done.attempts), (3, 3));
    let given_up = losing(9, 4);
    assert!(matches!(&given_up, Err(Refused::Store(Error::Busy(_)))), "{given_up:?}");
    assert_eq!(attempts, 4);
    Ok(())
}

/// The transaction itself loses, of which the closure knows nothing.
#[test]
fn a_lost_commit_is_tried_again() -> Result<()> {
    let (db, table) = database(&Env::in_memory())?;
    let racing = |times: u32, policy: RetryPolicy| {
        let mut attempts = 0;
        db.try_transact_with(policy, |tx| {
            attempts += 1;
            tx.put(&table, "row", "late")?;
            if attempts <= times {
                db.put(&table, "row", "first")?;
            }
            Ok::<_, Refused>(attempts)
        })
    };
    assert_eq!(racing(2, quick()).expect("the third attempt commits").value, 3);
    let given_up = racing(9, quick().max_attempts(2));
    assert!(matches!(&given_up, Err(Refused::Store(Error::Busy(_)))), "{given_up:?}");
    Ok(())
}

#[test]
fn errors_of_braids_are_told_in_the_callers_type() -> Result<()> {
    let env = Env::in_memory();
    let (db, table) = database(&env)?;
    db.put(&table, "a", "1")?;
    let mut calls = 0;
    let refused = db.try_transact_with(quick(), |tx| {
        calls += 1;
        tx.insert(&table, "a", "2")?;
        Ok::<_, Refused>(())
    });
    assert!(matches!(&refused, Err(Refused::Store(Error::KeyExists { .. }))), "{refused:?}");
    let itself = db.try_transact_with(quick(), |tx| {
        calls += 1;
        tx.insert(&table, "a", "2")
    });
    assert!(matches!(&itself, Err(Error::KeyExists { .. })), "{itself:?}");
    assert_eq!(calls, 2, "neither is tried again");
    let reader = Database::open_read_only_in(env, "/db", Options::default())?;
    let refused = reader.try_transact_with(quick(), |_| -> Result<(), Refused> { unreachable!() });
    assert!(matches!(&refused, Err(Refused::Store(Error::ReadOnly))), "{refused:?}");
    Ok(())
}

#[test]
fn a_panic_passes_through() -> Result<()> {
    let (db, table) = database(&Env::in_memory())?;
    let caught = catch_unwind(AssertUnwindSafe(|| {
        db.try_transact_with(quick().exclusive_after(0), |tx| -> Result<(), Refused> {
            tx.put(&table, "a", "1")?;
            panic!("the closure panics, as this test wants it to");
        })
    }));
    assert!(caught.is_err(), "the panic reaches the caller");
    assert_eq!(db.get(&table, "a")?, None, "what the closure wrote is rolled back");
    db.put(&table, "a", "2")?;
    Ok(())
}

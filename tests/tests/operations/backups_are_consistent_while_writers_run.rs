//! A backup taken while money moves holds one moment: the total is conserved in it, and it opens like any database.

use std::sync::atomic::{AtomicBool, Ordering};

use braid::{Database, Durability, JournalMode, Options, Result};
use braid_tests::{Place, assert_clean, contents, key, number, number_at, together, value};
use fastrand::Rng;

const ACCOUNTS: u64 = 100;

fn total(db: &Database) -> Result<i64> {
    let rows = contents(&db.snapshot()?, &db.table("accounts")?)?;
    assert_eq!(rows.len() as u64, ACCOUNTS);
    Ok(rows.values().map(|bytes| number(bytes)).sum())
}

#[test]
fn a_database_in_memory_is_copied_into_a_real_file() -> Result<()> {
    let db = Database::in_memory()?;
    db.put(&db.table("t")?, "key", "value")?;
    let copy = Place::new();
    let report = db.backup(copy.path())?;
    assert_eq!(Place::len(&copy.path()), report.bytes);
    let copy = copy.open()?;
    assert_eq!(copy.get(&copy.table("t")?, "key")?.as_deref(), Some(&b"value"[..]));
    Ok(())
}

#[test]
fn the_total_is_conserved_in_every_one() -> Result<()> {
    let place = Place::new();
    let options = Options {
        durability: Durability::Deferred,
        row_store_bytes: 64 << 10,
        cache_bytes: 128 << 10,
        page_bytes: 512,
        ..Options::default()
    };
    let db = place.open_mvcc(options)?;
    let accounts = db.table("accounts")?;
    let mut tx = db.begin_concurrent()?;
    for number in 0..ACCOUNTS {
        tx.put(&accounts, key(number), value(100))?;
    }
    tx.put(&db.table("notes")?, "large", vec![9_u8; 300_000])?;
    tx.commit()?;
    let done = AtomicBool::new(false);
    together(3, |thread| -> Result<()> {
        if thread == 0 {
            for round in 0..6 {
                let copy = Place::new();
                let moved_by = db.snapshot()?.timestamp();
                db.backup(copy.path())?;
                let backup = copy.open()?;
                assert_eq!(total(&backup)?, 10_000, "backup {round}");
                assert_eq!(backup.journal_mode(), JournalMode::Mvcc);
                assert_eq!(backup.get(&backup.table("notes")?, "large")?, Some(vec![9; 300_000]));
                assert!(backup.snapshot()?.timestamp() >= moved_by, "what was acknowledged before is in it");
                backup.put(&backup.table("accounts")?, key(0), value(0))?;
                assert_clean(&backup)?;
                drop(backup);
                assert_clean(&copy.open()?)?;
            }
            done.store(true, Ordering::SeqCst);
            return Ok(());
        }
        let mut rng = Rng::with_seed(thread as u64);
        while !done.load(Ordering::SeqCst) {
            let (from, to, amount) = (rng.u64(0..ACCOUNTS), rng.u64(0..ACCOUNTS), rng.i64(1..50));
            if from == to {
                continue;
            }
            db.transact(|tx| {
                let left = number_at(tx, &accounts, from)?.unwrap_or(0) - amount;
                let right = number_at(tx, &accounts, to)?.unwrap_or(0) + amount;
                tx.put(&accounts, key(from), value(left))?;
                tx.put(&accounts, key(to), value(right))
            })?;
        }
        Ok(())
    })?;
    assert_eq!(total(&db)?, 10_000);
    assert_clean(&db)
}

#[test]
fn nothing_is_overwritten() -> Result<()> {
    let (place, other) = (Place::new(), Place::new());
    let db = place.open()?;
    db.put(&db.table("rows")?, "a", "1")?;
    let precious = other.join("precious");
    Place::write(&precious, b"do not lose me");
    assert!(db.backup(&precious).is_err(), "there is a file already");
    assert_eq!(Place::read(&precious), b"do not lose me");
    assert!(db.backup(place.path()).is_err(), "a database is not its own backup");
    assert_eq!(db.get(&db.table("rows")?, "a")?, Some(b"1".to_vec()));
    assert_clean(&db)
}

#[test]
fn a_read_only_handle_can_make_one() -> Result<()> {
    let (place, other) = (Place::new(), Place::new());
    let db = place.open()?;
    db.put(&db.table("rows")?, "a", "1")?;
    db.close()?;
    Database::open_read_only(place.path())?.backup(other.path())?;
    let copy = other.open()?;
    assert_eq!(copy.get(&copy.table("rows")?, "a")?, Some(b"1".to_vec()));
    assert_clean(&copy)
}

//! `Busy` says which row of which table was lost to which commit.

use braid::{ConflictKind, Database, Options, Result};
use braid_tests::{Place, assert_clean, contents};

#[test]
fn table_key_kind_and_both_timestamps() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let sibling = Database::open(place.path())?;
    let (accounts, journal) = (db.table("accounts")?, db.table("journal")?);
    for checkpoint in [false, true] {
        db.put(&accounts, "alice", "10")?;
        let mut loser = db.begin_concurrent()?;
        let begin_ts = loser.timestamp();
        loser.put(&accounts, "bob", "1")?;
        loser.put(&accounts, "alice", "11")?;
        loser.put(&journal, "entry", "of the loser")?;

        let mut winner = sibling.begin_concurrent()?;
        winner.put(&accounts, "alice", "11")?;
        winner.put(&accounts, "carol", "1")?;
        let won = winner.commit()?;
        sibling.put(&accounts, "unrelated", "later")?;
        if checkpoint {
            db.checkpoint()?;
        }

        let error = loser.commit().expect_err("the row has changed since");
        assert!(error.is_retryable());
        let conflict = error.conflict().expect("a lost race is Busy");
        assert_eq!(conflict.kind, ConflictKind::WriteWrite);
        assert_eq!(conflict.table.as_deref(), Some("accounts"));
        assert_eq!(conflict.key.as_deref(), Some(b"alice".as_slice()));
        assert_eq!(conflict.begin_ts, begin_ts);
        assert_eq!(conflict.winner_ts, Some(won.timestamp));
        let text = error.to_string();
        assert!(text.contains("accounts") && text.contains("alice"), "{text}");
        assert_eq!(db.get(&journal, "entry")?, None, "nothing of the loser was applied");
        assert_eq!(db.get(&accounts, "bob")?, None, "nothing of the loser was applied");
    }
    let stats = db.stats();
    assert_eq!((stats.conflicts.kinds.total(), stats.conflicts.kinds.write_write), (2, 2));
    assert_clean(&db)
}

#[test]
fn commits_of_one_table_do_not_disturb_another() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options::default())?;
    let (one, other) = (db.table("one")?, db.table("other")?);
    let mut tx1 = db.begin_concurrent()?;
    let mut tx2 = db.begin_concurrent()?;
    tx1.put(&one, "key", "1")?;
    tx2.put(&other, "key", "2")?;
    tx1.commit()?;
    tx2.commit()?;
    assert_eq!(contents(&db.snapshot()?, &one)?.len() + contents(&db.snapshot()?, &other)?.len(), 2);
    assert_clean(&db)
}

#[test]
fn the_history_to_validate_against_survives_checkpoints() -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(Options { row_store_bytes: 1 << 20, ..Options::default() })?;
    let table = db.table("rows")?;
    db.put(&table, "hot", "0")?;
    let mut loser = db.begin_concurrent()?;
    loser.put(&table, "hot", "loser")?;
    db.put(&table, "hot", "winner")?;
    for round in 0..5 {
        db.checkpoint()?;
        db.put(&table, format!("other {round}"), "x")?;
    }
    let error = loser.commit().expect_err("five folds do not make the conflict go away");
    assert!(error.is_retryable(), "{error}");
    assert_eq!(db.get(&table, "hot")?, Some(b"winner".to_vec()));
    assert_clean(&db)
}

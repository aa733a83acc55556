use braid::{Database, Durability, JournalMode};

use super::*;

/// A table, several writers, and the books of that.
fn begun() -> (Database, Life) {
    let db = Database::in_memory().expect("memory is there");
    let mut life = Life::default();
    act(&db, &mut life, &[Action::Mode(JournalMode::Mvcc), Action::CreateTable("rows".to_owned())]);
    (db, life)
}

fn act(db: &Database, life: &mut Life, actions: &[Action]) {
    for action in actions {
        life.act(db, action).unwrap_or_else(|error| panic!("{action:?} says: {error}"));
    }
}

fn contents(db: &Database) -> Contents {
    Contents::of(db).expect("it can be read")
}

#[test]
fn updates_are_foretold() {
    let (db, mut life) = begun();
    for number in [5, -3, 9, 0] {
        let updates = [
            ("sum", Update::Add(number)),
            ("highest", Update::Max(number)),
            ("lowest", Update::Min(number)),
            ("text", Update::Append(vec![7; 3])),
        ];
        let updates = updates.map(|(key, update)| (key.as_bytes().to_vec(), update)).to_vec();
        let update = Action::Update { table: "rows".to_owned(), updates, durability: Durability::Sync };
        act(&db, &mut life, &[update]);
        assert_eq!(&contents(&db), life.newest());
    }
    let rows = &life.newest().tables["rows"];
    let number = |key: &str| i64::from_le_bytes((*rows[key.as_bytes()]).try_into().expect("a number"));
    assert_eq!(["sum", "highest", "lowest"].map(number), [11, 9, -3]);
    assert_eq!(rows[&b"text"[..]].len(), 12);
}

#[test]
fn sequences_that_come_back_or_go_are_found() {
    let (db, mut life) = begun();
    let examine = |life: &Life| {
        let examined = life.examine_issued(&db, life.marks().begun, life.marks(), std::time::Duration::MAX);
        examined.map_err(|error| error.to_string())
    };
    let draws = [0, 1].map(|sequence| Action::Draw { sequence, block: 2, ids: 3 });
    act(&db, &mut life, &draws);
    act(&db, &mut life, &[Action::DropSequence { sequence: 0 }]);
    db.sequence(SEQUENCES[0]).expect("it can be made");
    assert!(examine(&life).is_err_and(|why| why.contains("nobody made")));
    db.drop_sequence(SEQUENCES[0]).expect("it can be dropped");
    assert_eq!(examine(&life), Ok(()));
    db.drop_sequence(SEQUENCES[1]).expect("it can be dropped");
    assert!(examine(&life).is_err_and(|why| why.contains("is gone")));
    db.sequence(SEQUENCES[1]).expect("it can be made");
    assert!(examine(&life).is_err_and(|why| why.contains("gives 1")));
}

#[test]
fn nothing_is_promised_of_a_commit_that_nobody_waits_for() {
    let (db, mut life) = begun();
    let before = life.marks();
    let by_future = |key: &str, end| {
        let value = Some([1][..].into());
        let write = Write { table: "rows".to_owned(), key: key.as_bytes().to_vec(), value };
        Action::ByFuture { writes: vec![write], durability: Durability::Sync, end }
    };
    act(&db, &mut life, &[by_future("unpolled", FutureEnd::Unpolled)]);
    assert_eq!(life.marks(), before);
    act(&db, &mut life, &[by_future("unwatched", FutureEnd::Unwatched)]);
    let marks = life.marks();
    assert_eq!((marks.begun, marks.promised), (before.begun + 1, before.promised));
    assert!(life.may_be_read(&contents(&db)));
    act(&db, &mut life, &[by_future("awaited", FutureEnd::Awaited)]);
    assert_eq!(life.marks().promised, before.begun + 2);
    assert_eq!(&contents(&db), life.newest());
    let earlier = life.state(before.begun).expect("it was there");
    assert!(!life.may_be_read(earlier), "what was told is seen");
}

#[test]
fn what_is_revoked_is_told_so() {
    let (db, mut life) = begun();
    act(&db, &mut life, &[Action::Revoke { table: "rows".to_owned() }, Action::Mode(JournalMode::Wal)]);
    act(&db, &mut life, &[Action::Revoke { table: "rows".to_owned() }]);
    assert_eq!(&contents(&db), life.newest());
}

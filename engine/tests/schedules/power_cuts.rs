//! The power goes at any moment of any schedule.

use braid::Durability::{Deferred, Sync};
use braid::vfs::explore;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem};
use braid::{Database, Durability, Table, Timestamp};

use crate::kit::*;

/// A row that a writer was told to be committed.
#[derive(Clone, Copy, Debug)]
struct Told {
    key: [u8; 2],
    commit_ts: Timestamp,
    durability: Durability,
}

/// What was promised before the cut.
struct Promises {
    told: Vec<Told>,
    /// Rows of writers with `Sync` that a snapshot showed.
    seen: Vec<[u8; 2]>,
}

/// What a snapshot shows of writers with `Sync`.
fn see(db: &Database, table: &Table, durabilities: [Durability; 2]) -> Vec<[u8; 2]> {
    let rows = db.snapshot().unwrap().scan(table).unwrap();
    let keys = rows.filter_map(|row| <[u8; 2]>::try_from(row.unwrap().0).ok());
    keys.filter(|key| durabilities[usize::from(key[0])] == Sync).collect()
}

fn write(db: &Database, table: &Table, writer: u8, durability: Durability, told: &Notes<Told>) {
    for i in 0..2 {
        let key = [writer, i];
        let commit_ts = add(db, table, &key, durability);
        told.note(Told { key, commit_ts, durability });
    }
}

/// Writers of these durabilities, a checkpoint and a reader; what the cut leaves is opened and looked at.
fn cut_beside(durabilities: [Durability; 2]) {
    let disk = CrashFileSystem::new();
    let (db, table) = create(&env(disk.clone()));
    let (told, seen) = (Notes::new(), Notes::new());
    let writers = [0, 1].map(|writer: u8| {
        let (told, durability) = (told.clone(), durabilities[usize::from(writer)]);
        spawn(&db, &table, move |db, table| write(db, table, writer, durability, &told))
    });
    let fold = spawn(&db, &table, |db, _| assert!(db.checkpoint().is_ok()));
    let reader = {
        let seen = seen.clone();
        spawn(&db, &table, move |db, table| (0..2).for_each(|_| seen.note(see(db, table, durabilities))))
    };
    linger(300);
    let promises = Promises { told: told.all(), seen: seen.all().concat() };
    let left = disk.after_crash(CrashChoice::Subset { seed: pick(1 << 30) as u64, unit: 512 });
    join(writers);
    join([fold, reader]);

    let db = open(&env(left)).unwrap();
    let table = db.existing_table("t").unwrap().expect("the table was there before");
    look(&db, &table);
    for row in promises.told.iter().filter(|row| row.durability == Sync) {
        assert!(db.get(&table, row.key).unwrap().is_some(), "lost: {row:?}");
    }
    for key in promises.seen {
        assert!(db.get(&table, key).unwrap().is_some(), "seen, and lost: {key:?}");
    }
    let all = told.all();
    let is_left = |row: &&Told| db.get(&table, row.key).unwrap().is_some();
    let newest = all.iter().filter(is_left).map(|row| row.commit_ts).max();
    for row in all.iter().filter(|row| Some(row.commit_ts) <= newest) {
        assert!(is_left(&row), "what is left is a prefix of the history, but {row:?} is gone: {all:?}");
    }
    assert!(db.check().unwrap().is_ok());
}

#[test]
fn what_was_told_or_seen_is_left() {
    explore!(|| cut_beside([Sync, Sync]));
}

#[test]
fn deferred_commits_are_lost_from_the_end_only() {
    explore!(|| cut_beside([Sync, Deferred]));
}

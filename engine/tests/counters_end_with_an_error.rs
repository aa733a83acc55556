//! Counters that start near their end: what is left can be used, then a typed error says so, and nothing wraps.
#![allow(
    missing_docs,
    dead_code,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "a test"
)]

use std::path::Path;

use braid::vfs::{Env, OpenMode, OpenOptions};
use braid::{Database, Error, Options, Timestamp};

#[path = "hostile/forge.rs"]
mod forge;
use forge::{Forge, Meta};

/// A database whose head says so.
fn database(meta: &Meta) -> braid::Result<(Database, Env)> {
    let env = Env::in_memory();
    let file = env.files.open(Path::new("/db"), OpenOptions::new(OpenMode::CreateNew)).unwrap();
    file.write_all_at(&Forge::default().finish_with(meta, None), 0).unwrap();
    Database::open_in(env.clone(), "/db", Options::default()).map(|db| (db, env))
}

fn assert_exhausted<T: std::fmt::Debug>(result: Result<T, Error>, counter: &str) {
    let Err(Error::Exhausted(what)) = result else { panic!("{result:?}") };
    assert_eq!(what, counter);
}

#[test]
fn of_commits() {
    for left in [0, 1, 10] {
        let newest = Timestamp::MAX.get() - left;
        let meta = Meta { checkpoint_ts: newest, clock_reserved: newest, ..Meta::default() };
        let (db, env) = database(&meta).unwrap();
        if left == 0 {
            assert_exhausted(db.table("t"), "timestamp");
            continue;
        }
        let table = db.table("t").unwrap();
        for row in 1..left {
            let commit = db.put(&table, row.to_be_bytes(), "").unwrap();
            assert_eq!(commit.timestamp.get(), newest + row + 1);
        }
        assert_exhausted(db.put(&table, "one more", ""), "timestamp");
        let report = db.checkpoint().unwrap();
        assert_eq!(report.timestamp, Timestamp::MAX);
        assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), left - 1, "reads go on");
        drop((db, table));
        let db = Database::open_in(env, "/db", Options::default()).unwrap();
        let table = db.table("t").unwrap();
        assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), left - 1);
        assert_exhausted(db.put(&table, "one more", ""), "timestamp");
    }
    // What a file says beyond the end is the end.
    let meta = Meta { checkpoint_ts: 5, clock_reserved: u64::MAX, ..Meta::default() };
    assert_exhausted(database(&meta).unwrap().0.table("t"), "timestamp");
}

#[test]
fn of_checkpoints() {
    // The head of a new file is of generation 3, and starting its log takes the next.
    for left in [0, 1, 5] {
        let meta = Meta { generation_offset: u64::MAX - 3 - left, ..Meta::default() };
        let Ok((db, _)) = database(&meta) else {
            assert_exhausted(database(&meta).map(drop), "generations");
            assert_eq!(left, 0);
            continue;
        };
        let table = db.table("t").unwrap();
        let refused = (0..=left).find_map(|row| {
            db.put(&table, row.to_be_bytes(), "").unwrap();
            db.checkpoint().err()
        });
        assert_exhausted(refused.map_or(Ok(()), Err), "generations");
        assert_eq!(db.get(&table, 0_u64.to_be_bytes()).unwrap(), Some(Vec::new()));
    }
}

#[test]
fn of_tables() {
    let (db, _) = database(&Meta { next_table: u32::MAX - 2, ..Meta::default() }).unwrap();
    db.table("first").unwrap();
    let last = db.table("last").unwrap();
    assert_exhausted(db.table("one more"), "table id");
    db.put(&last, "key", "value").unwrap();
    db.checkpoint().unwrap();
    assert_eq!(db.get(&last, "key").unwrap(), Some(b"value".to_vec()));
    assert!(db.drop_table("first").unwrap());
    assert_exhausted(db.table("one more"), "table id");
    assert!(db.check().unwrap().is_ok());
}

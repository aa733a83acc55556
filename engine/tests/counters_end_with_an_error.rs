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

/// As many pages are left as `left`: what fits in them is stored, and what does not is refused by the checkpoint alone.
#[test]
fn of_pages() {
    let long = |pages: usize| vec![7; pages * forge::PAGE - 32];
    let mut outcomes = Vec::new();
    for left in 12..26 {
        let end = braid::limits::MAX_PAGES - left;
        let meta = Meta { end, ..Meta::default() };
        let env = Env::in_memory();
        let file = env.files.open(Path::new("/db"), OpenOptions::new(OpenMode::CreateNew)).unwrap();
        file.write_all_at(&Forge::default().finish_with(&meta, None), 0).unwrap();
        file.set_len(8192 + u64::from(end) * forge::PAGE as u64).unwrap();
        let db = Database::open_in(env.clone(), "/db", Options::default()).unwrap();
        let table = db.table("t").unwrap();
        db.put(&table, "long", long(14)).unwrap();
        let folded = db.checkpoint();
        outcomes.push(folded.is_ok());
        if folded.is_err() {
            assert_exhausted(folded, "page ids");
        }
        // Once more does not fit in any case; reads go on, and what the log has room for is committed.
        db.put(&table, "another", long(15)).unwrap();
        assert_exhausted(db.checkpoint(), "page ids");
        assert_exhausted(db.checkpoint(), "page ids");
        db.put(&table, "short", "value").unwrap();
        let check = |db: &Database| {
            let table = db.table("t").unwrap();
            let snapshot = db.snapshot().unwrap();
            assert_eq!(snapshot.count(&table).unwrap(), 3);
            assert!(snapshot.get(&table, "long").unwrap() == Some(long(14)));
            assert!(snapshot.get(&table, "another").unwrap() == Some(long(15)));
            assert_eq!(snapshot.get(&table, "short").unwrap(), Some(b"value".to_vec()));
        };
        check(&db);
        drop((db, table));
        check(&Database::open_in(env, "/db", Options::default()).unwrap());
    }
    // From some number of pages on it fits.
    assert!(outcomes.is_sorted() && outcomes.contains(&true) && outcomes.contains(&false), "{outcomes:?}");
}

/// A log that begins `left` bytes before the last position that there is: its records are written as long as a segment is
/// left, then commits are refused, and nothing else.
#[test]
fn of_log_positions() {
    const SEGMENT: u64 = 64 << 10;
    let open = |env: &Env| {
        let options = Options { log_segment_bytes: SEGMENT, ..Options::default() };
        Database::open_in(env.clone(), "/db", options)
    };
    let mut committed = Vec::new();
    for left in [4 * SEGMENT, 8 * SEGMENT, 16 * SEGMENT] {
        let base = (u64::MAX - left) & !15;
        let meta = Meta { checkpoint_lsn: base, ..Meta::default() };
        let env = Env::in_memory();
        let create = OpenOptions::new(OpenMode::CreateNew);
        let file = env.files.open(Path::new("/db"), create).unwrap();
        file.write_all_at(&Forge::default().finish_with(&meta, None), 0).unwrap();
        env.files.create_dir(Path::new("/db-wal"), 0o700).unwrap();
        let name = format!("/db-wal/{:016x}.seg", 1);
        let segment = env.files.open(Path::new(&name), create).unwrap();
        segment.write_all_at(&forge::segment_header(1, base, 77, SEGMENT), 0).unwrap();
        segment.set_len(SEGMENT).unwrap();
        let db = open(&env).unwrap();
        let table = db.table("t").unwrap();
        let refused = (0_u64..).find_map(|row| match db.put(&table, row.to_be_bytes(), [7; 1000]) {
            Ok(_) => None,
            Err(error) => Some((row, error)),
        });
        let (rows, refused) = refused.unwrap();
        assert_exhausted(Err::<(), _>(refused), "log position");
        assert!(rows * 1000 < left, "{rows} rows");
        for _ in 0..3 {
            assert_exhausted(db.put(&table, "one more", [7; 1000]), "log position");
        }
        committed.push(rows);
        let check = |db: &Database| {
            let table = db.existing_table("t").unwrap().unwrap();
            assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), rows);
            assert_eq!(db.get(&table, (rows - 1).to_be_bytes()).unwrap(), Some(vec![7; 1000]));
            assert!(db.check().unwrap().is_ok());
        };
        check(&db);
        drop((db, table));
        // An open for writing begins a segment, of which there is none left.
        assert_exhausted(open(&env), "log position");
        check(&Database::open_read_only_in(env, "/db", Options::default()).unwrap());
    }
    assert!(committed.is_sorted() && committed[0] > 0, "{committed:?}");
}

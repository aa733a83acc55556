//! A reader that stays open over two hundred thousand commits reads its moment to the end, and neither memory, nor file,
//! nor log grows with the commits. `BRAID_TEST_SCALE=5` makes it a million.

use braid::{Durability, Error, Options, Result, SnapshotLoss, SnapshotOptions};
use braid_tests::{Place, assert_clean, contents, key, number_at, scale, value};

#[test]
fn over_two_hundred_thousand_commits() -> Result<()> {
    const ROWS: u64 = 500;
    const ROW_STORE: usize = 2 << 20;
    let commits = 200_000 * scale();
    let place = Place::new();
    let options = Options {
        durability: Durability::Deferred,
        row_store_bytes: ROW_STORE,
        cache_bytes: 1 << 20,
        log_bytes: 8 << 20,
        log_segment_bytes: 2 << 20,
        ..Options::default()
    };
    let db = place.open_mvcc(options.clone())?;
    let table = db.table("rows")?;
    let mut tx = db.begin_concurrent()?;
    for number in 0..ROWS {
        tx.put(&table, key(number), value(-1))?;
    }
    tx.commit()?;
    db.checkpoint()?;

    let reader = db.snapshot_with(SnapshotOptions::default().name("long reader"))?;
    let (mut most_memory, mut most_log, mut most_file) = (0, 0, 0);
    for commit in 0..commits {
        db.put(&table, key(commit % ROWS), value(i64::try_from(commit).unwrap_or(0)))?;
        if commit % 1000 == 0 {
            let stats = db.stats();
            most_memory = most_memory.max(stats.row_store.bytes + stats.row_store.history_bytes);
            most_log = most_log.max(stats.log.retained_bytes);
            most_file = most_file.max(stats.file.bytes);
            assert_eq!(number_at(&reader, &table, commit % ROWS)?, Some(-1));
            let oldest = stats.oldest_snapshot.expect("the reader is open");
            assert_eq!(oldest.name.as_deref(), Some("long reader"));
            assert_eq!(oldest.begin_ts, reader.timestamp());
        }
    }
    assert_eq!(db.stats().commits, commits + 1 + 1, "each commit counts once, with the rows and their table");
    assert!(most_memory <= 2 * ROW_STORE as u64, "{most_memory} bytes of row versions");
    assert!(most_log <= 4 * (8 << 20), "{most_log} bytes of log");
    assert!(most_file <= 8 << 20, "{most_file} bytes of file");

    let rows = contents(&reader, &table)?;
    assert!(rows.len() as u64 == ROWS && rows.values().all(|bytes| *bytes == value(-1)));
    drop(reader);
    let last = i64::try_from(commits).unwrap_or(0) - 1;
    assert_eq!(number_at(&db.snapshot()?, &table, ROWS - 1)?, Some(last));
    assert_clean(&db)?;
    drop((db, table));
    let db = place.open_with(options)?;
    assert_eq!(number_at(&db.snapshot()?, &db.table("rows")?, ROWS - 1)?, Some(last));
    assert_clean(&db)
}

/// The same under a limit of less than a reader of all rows would keep: one after the other is revoked, each was right until
/// then, and what they keep stays within the limit.
#[test]
fn under_a_limit() -> Result<()> {
    const ROWS: u64 = 500;
    const ROW_STORE: usize = 1 << 20;
    const LIMIT: u64 = 8 << 10;
    let commits = 200_000 * scale();
    let place = Place::in_memory();
    let db = place.open_mvcc(Options {
        durability: Durability::Deferred,
        row_store_bytes: ROW_STORE,
        cache_bytes: 1 << 20,
        log_bytes: 8 << 20,
        log_segment_bytes: 2 << 20,
        snapshot_max_pinned_bytes: Some(LIMIT),
        ..Options::default()
    })?;
    let table = db.table("rows")?;
    let mut tx = db.begin_concurrent()?;
    for number in 0..ROWS {
        tx.put(&table, key(number), value(-1))?;
    }
    tx.commit()?;

    // What each row held when the reader was begun: the last number of it before.
    let begin = |next: u64| -> Result<_> {
        Ok((db.snapshot_with(SnapshotOptions::default().name("long reader"))?, next))
    };
    let held = |next: u64, row: u64| {
        let rounds = (next + ROWS - 1 - row) / ROWS;
        rounds.checked_sub(1).map_or(-1, |round| i64::try_from(round * ROWS + row).unwrap_or(0))
    };
    let (mut reader, mut began) = begin(0)?;
    let (mut lost, mut read) = (0_u64, 0_u64);
    let (mut most_memory, mut most_file) = (0, 0);
    for commit in 0..commits {
        db.put(&table, key(commit % ROWS), value(i64::try_from(commit).unwrap_or(0)))?;
        if commit % 50 == 0 {
            let row = commit / 50 % ROWS;
            match number_at(&reader, &table, row) {
                Ok(found) => {
                    assert_eq!(found, Some(held(began, row)), "row {row} at {began}, after {commit}");
                    read += 1;
                }
                Err(Error::BusySnapshot { begin_ts, why, .. }) => {
                    let SnapshotLoss::PinsTooMuch { pinned_bytes, limit, .. } = why else { panic!("{why}") };
                    assert!(begin_ts == reader.timestamp() && limit == LIMIT && pinned_bytes > LIMIT);
                    lost += 1;
                    (reader, began) = begin(commit + 1)?;
                }
                Err(error) => return Err(error),
            }
        }
        if commit % 1000 == 0 {
            let stats = db.stats();
            let versions = stats.row_store.bytes + stats.row_store.history_bytes;
            most_memory = most_memory.max(versions + stats.row_store.pinned_bytes);
            most_file = most_file.max(stats.file.bytes);
        }
    }
    assert!(lost > 3 && read > 1000, "{lost} readers were revoked, {read} reads were right");
    // A put whose own snapshot is revoked, by a checkpoint in the middle of it, is made again and counts too.
    assert!(db.stats().revoked_snapshots >= lost);
    assert!(most_memory <= 2 * ROW_STORE as u64 + 2 * LIMIT, "{most_memory} bytes of row versions");
    assert!(most_file <= 2 << 20, "{most_file} bytes of file");
    drop(reader);
    let last = i64::try_from(commits).unwrap_or(0) - 1;
    assert_eq!(number_at(&db.snapshot()?, &table, ROWS - 1)?, Some(last));
    assert_clean(&db)
}

#[test]
fn a_hot_row_is_trimmed_in_place() -> Result<()> {
    // Twenty megabytes go through one row of a row store that would hold them: what no snapshot can read is cut off long
    // before a checkpoint comes by, beside readers that come and go.
    let place = Place::new();
    let options = Options { durability: Durability::Deferred, ..Options::default() };
    let db = place.open_mvcc(options)?;
    let table = db.table("rows")?;
    db.put(&table, "hot", vec![0_u8; 1000])?;
    let mut reader = db.snapshot()?;
    let mut expected = vec![0; 1000];
    for commit in 0..20_000_u64 {
        db.put(&table, "hot", key(commit).repeat(125))?;
        if commit % 100 == 0 {
            assert_eq!(reader.get(&table, "hot")?.as_ref(), Some(&expected));
            reader = db.snapshot()?;
            expected = key(commit).repeat(125);
        }
    }
    assert_eq!(reader.get(&table, "hot")?, Some(expected));
    assert_eq!(db.get(&table, "hot")?, Some(key(19_999).repeat(125)));
    let stats = db.stats();
    assert_eq!(stats.checkpoints.count, 0, "the row store was never full");
    let kept = stats.row_store.bytes + stats.row_store.history_bytes;
    assert!(kept < 2 << 20, "{kept} bytes of versions of one row are kept");
    assert_clean(&db)
}

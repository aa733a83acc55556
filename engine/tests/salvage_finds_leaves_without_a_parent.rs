//! Whichever page of a database is damaged, the rows that are not in it come back, under the names of their tables, and
//! what is lost is counted or said to be unknown.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use braid::vfs::memory::MemoryFileSystem;
use braid::vfs::{Env, FileSystem, OpenMode, OpenOptions};
use braid::{Database, Options, SalvageReport, salvage_in};

const PAGE: usize = 512;
const HEAD: usize = 8192;
const NAMES: [&str; 3] = ["first", "second", "third"];

type Rows = BTreeMap<(String, Vec<u8>), Vec<u8>>;

fn env(files: &MemoryFileSystem) -> Env {
    Env::with_files(Arc::new(files.clone()))
}

fn options() -> Options {
    Options { page_bytes: PAGE, ..Options::default() }
}

fn read(files: &MemoryFileSystem, path: &str) -> Vec<u8> {
    let file = files.open(Path::new(path), OpenOptions::new(OpenMode::ReadOnly)).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn write(files: &MemoryFileSystem, path: &str, bytes: &[u8]) {
    let file = files.open(Path::new(path), OpenOptions::new(OpenMode::ReadWrite)).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

fn rows(db: &Database) -> Rows {
    let snapshot = db.snapshot().unwrap();
    let mut all = Rows::new();
    for name in db.tables().unwrap() {
        let table = db.existing_table(&name).unwrap().unwrap();
        for row in snapshot.scan(&table).unwrap() {
            let (key, value) = row.unwrap();
            all.insert((name.clone(), key), value);
        }
    }
    all
}

/// A closed database of many checkpoints: rows come, change and go, and so do tables.
fn database() -> (MemoryFileSystem, Rows) {
    let files = MemoryFileSystem::new();
    let db = Database::open_in(env(&files), "/db", options()).unwrap();
    for round in 0..4_u8 {
        let mut tx = db.begin_immediate().unwrap();
        for (nth, name) in (0_u32..).zip(NAMES) {
            let table = tx.table(name).unwrap();
            for row in 0..150_u32 {
                let key = (row * 7 % 150).to_be_bytes();
                if (row + u32::from(round) + nth) % 5 == 0 {
                    tx.delete(&table, key).unwrap();
                } else if row % (u32::from(round) + 1) == 0 {
                    tx.put(&table, key, [round; 40]).unwrap();
                }
            }
        }
        tx.table(&format!("passing {round}")).unwrap();
        tx.commit().unwrap();
        db.checkpoint().unwrap();
        db.drop_table(&format!("passing {round}")).unwrap();
    }
    db.checkpoint().unwrap();
    let all = rows(&db);
    db.close().unwrap();
    (files, all)
}

fn salvaged(files: &MemoryFileSystem) -> (SalvageReport, Rows) {
    let out = MemoryFileSystem::new();
    copy(files, &out, "/db");
    let dir = Path::new("/db-wal");
    out.create_dir(dir, 0o700).unwrap();
    for name in files.read_dir(dir).unwrap() {
        copy(files, &out, dir.join(name).to_str().unwrap());
    }
    let report = salvage_in(&env(&out), "/db", "/out").unwrap();
    let db = Database::open_in(env(&out), "/out", Options::default()).unwrap();
    assert!(db.check().unwrap().is_ok());
    (report, named(rows(&db)))
}

/// The same where the names were lost: a table is then called by its id, and ids ascend as the tables were made.
fn named(rows: Rows) -> Rows {
    let by_id = ["table-16", "table-17", "table-18"];
    let name = |name: String| match by_id.iter().position(|id| *id == name) {
        Some(at) => NAMES[at].to_owned(),
        None => name,
    };
    rows.into_iter().map(|((table, key), value)| ((name(table), key), value)).collect()
}

fn copy(from: &MemoryFileSystem, to: &MemoryFileSystem, path: &str) {
    drop(to.open(Path::new(path), OpenOptions::new(OpenMode::CreateNew)).unwrap());
    write(to, path, &read(from, path));
}

#[test]
fn whichever_page_is_damaged() {
    let (files, all) = database();
    let whole = read(&files, "/db");
    let mut without_parent = 0;
    for page in 0..(whole.len() - HEAD) / PAGE {
        let mut damaged = whole.clone();
        damaged[HEAD + page * PAGE + 40] ^= 0xff;
        write(&files, "/db", &damaged);
        let (report, kept) = salvaged(&files);
        assert!(kept.iter().all(|row| all.get(row.0) == Some(row.1)), "page {page}: nothing old comes back");
        let lost = (all.len() - kept.len()) as u64;
        assert!(lost <= 12, "page {page}: {lost} rows are more than a page holds");
        assert!(!report.may_be_old && (lost == 0 || !report.losses.is_empty()), "page {page}: {report:?}");
        assert!(report.more_lost_rows || report.lost_rows == lost, "page {page}: {report:?}");
        assert_eq!(report.rows, kept.len() as u64);
        without_parent += u64::from(report.rows_without_parent > 50);
    }
    assert!(without_parent > 3, "{without_parent} pages that led to many rows");
}

#[test]
fn where_pages_at_the_end_are_missing() {
    let (files, all) = database();
    let whole = read(&files, "/db");
    for pages in 1..5 {
        write(&files, "/db", &whole[..whole.len() - pages * PAGE]);
        let (report, kept) = salvaged(&files);
        assert!(kept.len() + 12 * pages >= all.len(), "{pages} pages: {report:?}");
        assert!(kept.iter().all(|row| all.get(row.0) == Some(row.1)));
    }
}

#[test]
fn where_a_meta_block_is_damaged() {
    let (files, all) = database();
    let whole = read(&files, "/db");
    for slot in 0..2 {
        let mut damaged = whole.clone();
        damaged[slot * HEAD / 2 + 100] ^= 0xff;
        write(&files, "/db", &damaged);
        let (report, kept) = salvaged(&files);
        for (row, value) in &all {
            assert_eq!(kept.get(row), Some(value), "slot {slot}: {report:?}");
        }
        assert!(report.more_lost_rows && (kept == all || report.may_be_old), "slot {slot}: {report:?}");
    }
}

/// Pages of a type, of whatever age: 1 leaf, 2 branch, 3 overflow run, 4 free list.
fn pages_of(whole: &[u8], kind: u8) -> Vec<usize> {
    (0..(whole.len() - HEAD) / PAGE).filter(|page| whole[HEAD + page * PAGE + 4] == kind).collect()
}

fn with_damaged(whole: &[u8], pages: &[usize]) -> Vec<u8> {
    let mut damaged = whole.to_vec();
    pages.iter().for_each(|page| damaged[HEAD + page * PAGE + 40] ^= 0xff);
    damaged
}

#[test]
fn a_row_is_lost_once() {
    let files = MemoryFileSystem::new();
    let db = Database::open_in(env(&files), "/db", options()).unwrap();
    let table = db.table("first").unwrap();
    let mut tx = db.begin_immediate().unwrap();
    for row in 0..100_u32 {
        tx.put(&table, row.to_be_bytes(), vec![1; if row % 10 == 0 { 400 } else { 40 }]).unwrap();
    }
    tx.commit().unwrap();
    db.checkpoint().unwrap();
    let all = rows(&db);
    db.close().unwrap();
    let whole = read(&files, "/db");
    let mut both = 0;
    for branch in pages_of(&whole, 2) {
        for value in pages_of(&whole, 3) {
            write(&files, "/db", &with_damaged(&whole, &[branch, value]));
            let (report, kept) = salvaged(&files);
            let lost = (all.len() - kept.len()) as u64;
            assert!(
                report.more_lost_rows || report.lost_rows == lost,
                "{branch}, {value}: {lost}, {report:?}"
            );
            both += u64::from(lost == 1 && report.rows_without_parent > 0);
        }
    }
    assert!(both > 3, "{both} values of leaves without a parent");
}

#[test]
fn rows_that_come_back_hide_no_loss() {
    let (files, all) = database();
    let whole = read(&files, "/db");
    let lists = pages_of(&whole, 4);
    let mut hidden = 0;
    for branch in pages_of(&whole, 2) {
        for leaf in pages_of(&whole, 1).into_iter().step_by(11) {
            write(&files, "/db", &with_damaged(&whole, &[&lists[..], &[branch, leaf]].concat()));
            let (report, kept) = salvaged(&files);
            let lost = all.keys().filter(|row| !kept.contains_key(*row)).count() as u64;
            assert!(
                report.more_lost_rows || report.lost_rows >= lost,
                "{branch}, {leaf}: {lost}, {report:?}"
            );
            hidden += u64::from(report.may_be_old && lost > 0 && report.lost_rows < lost);
        }
    }
    assert!(hidden > 0);
}

//! A page that was read with damage in it is never cached: as long as the bytes are wrong every read of it ends in an
//! error that names the page, and once they are right again the same handles read it.

use std::collections::BTreeSet;
use std::ops::Range;

use braid::vfs::{Env, File, OpenMode, OpenOptions};
use braid::{Database, Error, Options, Result, Snapshot, Table};
use braid_tests::{Place, assert_clean, key};

const PAGE: usize = 512;
/// Where the first page begins; the head of the file is before it.
const HEAD: u64 = 8192;
const ROWS: u64 = 300;
/// Of each long value, with the header of its first page.
const LONG: usize = 1500;
const LONG_PAGES: u64 = 3;

fn options() -> Options {
    Options { page_bytes: PAGE, ..Options::default() }
}

fn expected(number: u64) -> Vec<u8> {
    let len = if number.is_multiple_of(50) { LONG - 32 } else { 30 };
    key(number).into_iter().cycle().take(len).collect()
}

/// Everything, by every kind of read; the first error of each, and how many rows were right.
fn read_all(snapshot: &Snapshot, table: &Table) -> (Vec<Error>, u64) {
    let mut errors = Vec::new();
    let mut right = 0;
    for number in 0..ROWS {
        match snapshot.get(table, key(number)) {
            Ok(found) => {
                assert_eq!(found, Some(expected(number)), "row {number}");
                right += 1;
            }
            Err(error) => errors.push(error),
        }
    }
    let scan = |backwards: bool| -> Result<Vec<_>> {
        let range = snapshot.scan(table)?;
        if backwards { range.rev().collect() } else { range.collect() }
    };
    for backwards in [false, true] {
        match scan(backwards) {
            Ok(rows) => assert_eq!(rows.len() as u64, ROWS),
            Err(error) => errors.push(error),
        }
    }
    match snapshot.count_range(table, key(7)..key(ROWS - 7)) {
        Ok(count) => assert_eq!(count, ROWS - 14),
        Err(error) => errors.push(error),
    }
    (errors, right)
}

/// The pages that a sentence of an error may mean: the damaged one, or the first one of the long value that it is in.
fn could_be_named(page: u64) -> Range<u64> {
    page.saturating_sub(LONG_PAGES - 1)..page + 1
}

fn page_named_by(error: &Error) -> u64 {
    let Error::Corrupt(text) = error else { panic!("{error:?}") };
    let number = text.strip_prefix("page ").and_then(|rest| rest.split_once(" of the database file"));
    number.and_then(|(number, _)| number.parse().ok()).unwrap_or_else(|| panic!("no page is named: {text}"))
}

/// Turns the bits of one byte in the middle of a page over; twice is as before.
fn flip(file: &dyn File, page: u64) {
    let mut byte = [0];
    let at = HEAD + page * PAGE as u64 + 40;
    file.read_exact_at(&mut byte, at).expect("the page is there");
    file.write_all_at(&[!byte[0]], at).expect("the page can be written");
}

#[test]
fn of_any_page() -> Result<()> {
    let place = Place::in_memory();
    let db = place.open_with(options())?;
    let table = db.table("rows")?;
    for number in 0..ROWS {
        db.put(&table, key(number), expected(number))?;
    }
    db.compact()?;
    db.close()?;

    let files = Env::real().files;
    let file = files.open(&place.path(), OpenOptions::new(OpenMode::ReadWrite)).expect("the file is there");
    let pages = (file.len().expect("it has a length") - HEAD) / PAGE as u64;
    let mut noticed = BTreeSet::new();
    for page in 0..pages {
        // Opened anew, so that nothing of the table is in the cache, which has room for all of it.
        let path = place.path();
        let db = if page % 2 == 0 {
            Database::open_with(path, options())?
        } else {
            Database::open_read_only(path)?
        };
        let (table, snapshot) = (db.table("rows")?, db.snapshot()?);
        flip(&*file, page);
        let (first, right) = read_all(&snapshot, &table);
        let (second, still_right) = read_all(&db.snapshot()?, &table);
        assert_eq!(first.len(), second.len(), "page {page}: read again it is as damaged as before");
        assert_eq!(right, still_right);
        for error in first.iter().chain(&second) {
            let named = page_named_by(error);
            assert!(could_be_named(page).contains(&named), "page {page}: {error}");
        }
        if !first.is_empty() {
            noticed.insert(page);
        }
        flip(&*file, page);
        for snapshot in [snapshot, db.snapshot()?] {
            let (errors, right) = read_all(&snapshot, &table);
            assert!(errors.is_empty() && right == ROWS, "page {page} is as it was: {errors:?}");
        }
        if page % 20 == 0 {
            assert_clean(&db)?;
        }
        db.close()?;
    }
    // Pages of the directory and the catalog were read by the open; all others are the table's.
    let unnoticed: Vec<_> = (0..pages).filter(|page| !noticed.contains(page)).collect();
    assert!(noticed.len() > 30 && unnoticed.len() < 12, "{noticed:?}, not {unnoticed:?}");
    Ok(())
}

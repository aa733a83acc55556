//! A database that somebody made up: opened, read, checked, written to, salvaged.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use braid::vfs::FileSystem;
use braid::vfs::memory::MemoryFileSystem;
use braid::{Database, Options, Result, Snapshot, Table};

use super::{FileImage, quiet_env};

const FILE: &str = "/data.braid";
const LOG: &str = "/data.braid-wal";

fn options() -> Options {
    Options {
        cache_bytes: 64 << 10,
        row_store_bytes: 1 << 20,
        max_snapshots: 64,
        log_segment_bytes: 64 << 10,
        page_bytes: 512,
        map_log: false,
        busy_timeout: Duration::ZERO,
        ..Options::default()
    }
}

/// Opens the database of an image in every way. Each answer is a result or an error that says what is wrong; a database
/// in which the check finds nothing keeps all other promises too.
///
/// # Panics
/// When a promise is broken.
pub fn open_file(data: &[u8]) {
    let image = FileImage::parse(data);
    let files = MemoryFileSystem::new();
    image.mount(&files, Path::new(FILE), Path::new(LOG));
    let env = quiet_env(Arc::new(files.clone()));
    let readable = match Database::open_read_only_in(env.clone(), FILE, Options::default()) {
        Ok(db) => Some(read_all(&db, &image)),
        Err(_) => None,
    };
    let saved = braid::salvage_in(&env, FILE, "/saved.braid");
    // Once there is a file to save into, nothing in the damaged one keeps the rest from being saved.
    let begun = files.identity(Path::new("/saved.braid")).is_ok_and(|identity| identity.is_some());
    match (&saved, begun) {
        (Err(error), true) => panic!("the salvage gave up: {error}"),
        (Ok(report), _) => {
            let lost = report.lost_rows > 0 || !report.losses.is_empty();
            let db = Database::open_in(env.clone(), "/saved.braid", options_of_salvage());
            let db = db.expect("what was saved opens");
            assert!(db.check().is_ok_and(|report| report.is_ok()), "what was saved is sound");
            assert!(lost || report.rows <= image.file_bytes() as u64);
        }
        _ => {}
    }
    match Database::open_in(env.clone(), FILE, options()) {
        Ok(db) => {
            let clean = read_all(&db, &image);
            // A file whose creation was cut short is made a database by whoever writes.
            assert!(readable.is_some() || image.is_blank(), "it opens for writing and not for reading");
            let written = write(&db);
            drop(db.compact());
            drop(db);
            if clean && written.is_ok() {
                let db = Database::open_in(env, FILE, options()).expect("what was sound opens again");
                let table = db.table("new").expect("the table is there");
                assert_eq!(db.get(&table, "key").expect("the row is there").as_deref(), Some(&b"value"[..]));
                assert!(db.check().is_ok_and(|report| report.is_ok()), "what was sound stays sound");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// With no option named, an open takes the core's; there is none here.
fn options_of_salvage() -> Options {
    Options { log_segment_bytes: 64 << 10, ..options() }
}

fn write(db: &Database) -> Result<()> {
    let table = db.table("new")?;
    db.put(&table, "key", "value")?;
    db.checkpoint()?;
    Ok(())
}

/// Reads every table both ways; whether the check finds nothing.
fn read_all(db: &Database, image: &FileImage) -> bool {
    let clean = db.check().is_ok_and(|report| report.is_ok());
    let (Ok(snapshot), Ok(tables)) = (db.snapshot(), db.tables()) else { return false };
    for name in tables {
        let Ok(Some(table)) = db.existing_table(&name) else { continue };
        let read = read_table(&snapshot, &table, image, clean);
        assert!(!clean || read.is_ok(), "a table of a sound database cannot be read: {read:?}");
    }
    clean
}

fn read_table(snapshot: &Snapshot, table: &Table, image: &FileImage, clean: bool) -> Result<()> {
    // A row takes eight bytes of a page or three of a record, at least.
    let most = image.file_bytes() / 8 + image.log_bytes() / 3;
    let mut cursor = snapshot.cursor(table)?;
    let mut keys: Vec<Vec<u8>> = Vec::new();
    while cursor.next()? {
        let Some((key, _)) = cursor.row()? else { break };
        assert!(keys.last().is_none_or(|last| last.as_slice() < key), "keys ascend");
        keys.push(key.to_vec());
        assert!(keys.len() <= most, "there are more rows than bytes");
    }
    let mut back = 0;
    let mut same = true;
    while cursor.prev()? {
        back += 1;
        same &= keys.len().checked_sub(back).and_then(|at| keys.get(at)).map(Vec::as_slice) == cursor.key();
        assert!(back <= most, "there are more rows backwards than bytes");
    }
    let mut found = true;
    for (rank, key) in keys.iter().enumerate().step_by(7) {
        found &= snapshot.contains(table, key)?;
        same &= snapshot.count_range(table, ..key.as_slice())? == rank as u64;
    }
    let count = snapshot.count(table)?;
    if clean {
        assert!(same && found && back == keys.len(), "all ways lead to the same rows");
        assert_eq!(count, keys.len() as u64);
    }
    Ok(())
}

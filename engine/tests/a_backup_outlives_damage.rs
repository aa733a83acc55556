//! A backup has no log that could stand in for what its meta pages lose: either of them is enough, and where both are
//! damaged the open says so. No damage makes an empty database of one with rows.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use braid::vfs::faulty::CrashFileSystem;
use braid::vfs::{Env, FileSystem as _, OpenMode, OpenOptions};
use braid::{Database, Error, Options, salvage_in};

const META_BYTES: usize = 4096;
const PAGE_BYTES: usize = 1024;
const ROWS: u32 = 100;

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn options() -> Options {
    Options { page_bytes: PAGE_BYTES, log_segment_bytes: 64 << 10, ..Options::default() }
}

fn env(machine: &CrashFileSystem) -> Env {
    Env::with_files(Arc::new(machine.clone()))
}

fn bytes(machine: &CrashFileSystem, path: &str) -> Vec<u8> {
    let file = machine.open(Path::new(path), OpenOptions::new(OpenMode::ReadOnly)).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn with_file(bytes: &[u8]) -> CrashFileSystem {
    let machine = CrashFileSystem::new();
    let file = machine.open(Path::new("/copy"), OpenOptions::new(OpenMode::CreateNew)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    machine
}

fn rows(db: &Database) -> Result<Rows, Error> {
    let Some(table) = db.existing_table("t")? else { return Ok(Rows::new()) };
    db.snapshot()?.scan(&table)?.collect()
}

/// A backup of a hundred rows, and these.
fn backup() -> (Vec<u8>, Rows) {
    let machine = CrashFileSystem::new();
    let db = Database::open_in(env(&machine), "/db", options()).unwrap();
    let table = db.table("t").unwrap();
    for number in 0..ROWS {
        db.put(&table, number.to_be_bytes(), [7; 100]).unwrap();
    }
    db.backup("/copy").unwrap();
    (bytes(&machine, "/copy"), rows(&db).unwrap())
}

/// What an open of a file gives: its rows, or an error after which the file is as it was.
fn open(file: &[u8], read_only: bool) -> Result<Rows, Error> {
    let machine = with_file(file);
    let opened = if read_only {
        Database::open_read_only_in(env(&machine), "/copy", options())
    } else {
        Database::open_in(env(&machine), "/copy", options())
    };
    let found = opened.and_then(|db| rows(&db));
    if found.is_err() {
        assert_eq!(bytes(&machine, "/copy"), file, "an open that failed has changed the file");
    }
    found
}

fn salvaged(file: &[u8]) -> Result<Rows, Error> {
    let machine = with_file(file);
    let _report = salvage_in(&env(&machine), "/copy", "/saved")?;
    rows(&Database::open_in(env(&machine), "/saved", options())?)
}

#[test]
fn a_damaged_meta_page_takes_nothing() {
    let (whole, expected) = backup();
    assert_eq!(expected.len(), ROWS as usize);
    let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
    let mut damage = |name: String, change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = whole.clone();
        change(&mut file);
        damaged.push((name, file));
    };
    // Every byte that says something, and some of the zeros behind.
    for at in (0..2 * META_BYTES)
        .filter(|at| at % META_BYTES < 192 || at % META_BYTES > META_BYTES - 8 || at % 61 == 0)
    {
        damage(format!("bit {} of byte {at}", at % 8), &|file| file[at] ^= 1 << (at % 8));
    }
    for at in (0..2 * META_BYTES).step_by(512) {
        for byte in [0, 0xff] {
            damage(format!("a sector of {byte} at {at}"), &|file| file[at..at + 512].fill(byte));
        }
    }
    for at in [0, META_BYTES] {
        damage(format!("no block at {at}"), &|file| file[at..at + META_BYTES].fill(0));
    }
    for (name, file) in damaged {
        for read_only in [true, false] {
            let found = open(&file, read_only).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(found, expected, "{name}, read only {read_only}");
        }
    }
}

#[test]
fn damage_to_both_meta_pages_and_cuts_are_told() {
    let (whole, expected) = backup();
    let mut damaged = Vec::new();
    for at in [8, 40, 50, META_BYTES - 1] {
        let mut file = whole.clone();
        file[at] ^= 1;
        file[META_BYTES + at] ^= 1;
        damaged.push(file);
    }
    damaged.extend((1..=2 * META_BYTES + PAGE_BYTES).step_by(511).map(|len| whole[..len].to_vec()));
    damaged.push(whole[..2 * META_BYTES].to_vec());
    for file in damaged {
        for read_only in [true, false] {
            let found = open(&file, read_only);
            assert!(found.is_err(), "{} bytes: {} rows", file.len(), found.unwrap().len());
        }
    }
    assert_eq!(salvaged(&whole).unwrap(), expected);
}

/// The meta page of a creation, and behind it a file that has rows: of a backup whose meta pages do not both know of its rows.
#[test]
fn no_other_file_passes_for_an_empty_one() {
    let (whole, expected) = backup();
    let machine = CrashFileSystem::new();
    let _fresh = Database::open_in(env(&machine), "/db", options()).unwrap();
    let fresh = bytes(&machine, "/db");
    assert_eq!(fresh.len(), 2 * META_BYTES);
    for newer in [vec![0; META_BYTES], vec![0xff; META_BYTES], whole[1..=META_BYTES].to_vec()] {
        let blank = [&fresh[..META_BYTES], &newer].concat();
        assert_eq!(open(&blank, false).unwrap(), Rows::new(), "a creation that was cut short");
        let file = [&blank, &whole[2 * META_BYTES..]].concat();
        for read_only in [true, false] {
            assert!(matches!(open(&file, read_only), Err(Error::Corrupt(_))), "read only: {read_only}");
        }
        assert_eq!(salvaged(&file).unwrap(), expected, "its pages are there");
    }
}

/// A power cut during the first open of a backup may tear the meta page that names its log.
#[test]
fn the_first_open_of_a_backup_may_be_cut_short() {
    let (whole, expected) = backup();
    let machine = with_file(&whole);
    let db = Database::open_in(env(&machine), "/copy", options()).unwrap();
    let mut opened = bytes(&machine, "/copy");
    assert_ne!(opened[..2 * META_BYTES], whole[..2 * META_BYTES], "it names a log");
    drop(db);
    let newer = usize::from(opened[..META_BYTES] == whole[..META_BYTES]) * META_BYTES;
    opened[newer + 300..newer + META_BYTES].fill(0xee);
    assert_eq!(open(&opened, true).unwrap(), expected);
    assert_eq!(open(&opened, false).unwrap(), expected);
}

//! The first inputs of each target, made from what the engine writes.
//!
//! `just fuzz-seeds` (`cargo test -p braid-tests --test fuzzing -- --ignored`) puts them into `fuzz/corpus/`, from
//! where the fuzzer goes on.
#![expect(clippy::disallowed_methods, reason = "the inputs are files of the repository")]
#![expect(clippy::unwrap_used, reason = "without its inputs there is nothing to run")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use braid::vfs::memory::MemoryFileSystem;
use braid::vfs::{Env, FileSystem, OpenMode, OpenOptions};
use braid::{Database, Options};
use braid_tests::fuzz::{FileImage, LogImage, log_replay, open_file, operations, quiet_env};
use braid_wal::{EncodedRecord, Log, LogOptions, Lsn, MapPolicy, RecordKind, Recovery};

fn keep(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

fn log_options() -> LogOptions {
    LogOptions { first_segment_bytes: 8192, mapping: MapPolicy::Never, ..LogOptions::default() }
}

/// A log with records of these lengths, opened as often as there are lists of them.
fn log_of(lives: &[&[usize]], close: bool) -> (Env, MemoryFileSystem) {
    let files = MemoryFileSystem::new();
    let env = quiet_env(Arc::new(files.clone()));
    let dir = Path::new("/log");
    for (life, lengths) in lives.iter().enumerate() {
        let (log, mut appender) = if life == 0 {
            Log::create(&env, dir, [7; 16], log_options()).unwrap()
        } else {
            let deliver = |_: braid_wal::RecoveredRecord<'_>| Ok::<_, std::convert::Infallible>(());
            let options = log_options();
            let start = Lsn::FIRST;
            let scanned = Recovery::scan(&files, dir, [7; 16], start, Lsn::ZERO, &options, deliver).unwrap();
            scanned.into_log(&env, options).unwrap()
        };
        for (tag, length) in (1..).zip(*lengths) {
            let mut record = EncodedRecord::new();
            record.begin(RecordKind::user::<1>());
            record.extend_from_slice(&vec![b'x'; *length]);
            record.finish();
            let end = loop {
                match appender.append(&mut record, tag) {
                    Ok(end) => break end,
                    Err(_) => log.prepare(record.size()).unwrap(),
                }
            };
            if tag % 2 == 0 {
                log.sync_through(end).unwrap();
            }
        }
        if close {
            log.close(appender).unwrap();
        }
    }
    (env, files)
}

fn log_seeds() -> Vec<Vec<u8>> {
    let shapes: [(&[&[usize]], bool); 6] = [
        (&[&[]], false),
        (&[&[0, 5, 8, 100]], false),
        (&[&[10, 20], &[30, 40, 1]], true),
        (&[&[3000, 3000, 3000]], false),
        (&[&[1], &[2], &[3], &[]], false),
        (&[&[20, 2000, 2000, 9]], true),
    ];
    shapes
        .iter()
        .map(|(lives, close)| {
            let (_, files) = log_of(lives, *close);
            LogImage::of(&files, Path::new("/log"), Lsn::FIRST, Lsn::ZERO).encode()
        })
        .collect()
}

#[test]
fn a_real_log_is_accepted_as_an_image() {
    for seed in log_seeds() {
        let mut image = LogImage::parse(&seed);
        assert_eq!(image.encode(), seed);
        image.repair(true);
        assert_eq!(image.encode(), seed, "a real log has nothing to repair");
        log_replay(&seed);
    }
}

/// The database file of a small database, with pages of 512 bytes.
fn small_database(rows: u32, close: bool) -> MemoryFileSystem {
    let files = MemoryFileSystem::new();
    let options = Options { page_bytes: 512, log_segment_bytes: 64 << 10, ..Options::default() };
    let env = quiet_env(Arc::new(files.clone()));
    let db = Database::open_in(env, Path::new("/data.braid"), options).unwrap();
    for (name, rows) in [("few", 3_u32), ("many", rows)] {
        let table = db.table(name).unwrap();
        let mut tx = db.begin_immediate().unwrap();
        for row in 0..rows {
            let length = if row % 20 == 7 { 700 } else { 12 };
            tx.put(&table, format!("{name} row {row:03}"), vec![b'v'; length]).unwrap();
        }
        tx.commit().unwrap();
        db.checkpoint().unwrap();
    }
    db.delete(&db.table("few").unwrap(), "few row 001").unwrap();
    if close {
        db.close().unwrap();
    }
    files
}

fn file_seeds() -> Vec<Vec<u8>> {
    let shapes = [(0, true), (3, false), (40, true), (60, false)];
    let image = |(rows, close)| {
        let files = small_database(rows, close);
        FileImage::of(&files, Path::new("/data.braid"), Path::new("/data.braid-wal")).encode()
    };
    shapes.into_iter().map(image).collect()
}

/// Lists of operations: one that only writes, one with leases that run out, and random ones.
fn operation_seeds() -> Vec<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut seeds: Vec<Vec<u8>> =
        (0..24).map(|_| (0..rng.usize(20..300)).map(|_| rng.u8(..)).collect()).collect();
    seeds.push([&[0, 0][..], &[25, 0, 1, 1, 4, 7, 100, 4, 9, 200, 17].repeat(4)].concat());
    // Concurrent writers; a snapshot and a transaction whose limits are over, looked at before and after a checkpoint.
    let leased = [0x3a, 0, 0x80, 4, 7, 100, 13, 7, 30, 22, 30, 13, 7, 17];
    let in_time = [0xda, 0, 0xb0, 4, 9, 200, 22, 30, 13, 9, 17];
    seeds.push([&[0, 0, 25, 0][..], &[leased.as_slice(), &in_time].concat().repeat(3)].concat());
    seeds
}

#[test]
fn a_real_database_is_accepted_as_an_image() {
    for seed in file_seeds() {
        let mut image = FileImage::parse(&seed);
        assert_eq!(image.encode(), seed);
        image.repair(true);
        assert_eq!(image.encode(), seed, "a real database has nothing to repair");
        open_file(&seed);
        let files = MemoryFileSystem::new();
        image.mount(&files, Path::new("/data.braid"), Path::new("/data.braid-wal"));
        let env = quiet_env(Arc::new(files));
        let db =
            Database::open_in(env, "/data.braid", Options { page_bytes: 512, ..Options::default() }).unwrap();
        assert!(db.check().unwrap().is_ok(), "{:?}", db.check().unwrap().findings);
    }
}

#[test]
fn random_operations_pass() {
    for seed in operation_seeds() {
        operations(&seed);
    }
}

fn bytes_of(files: &MemoryFileSystem, path: &str) -> Vec<u8> {
    let file = files.open(Path::new(path), OpenOptions::new(OpenMode::ReadOnly)).unwrap();
    let mut bytes = vec![0; file.len().unwrap().try_into().unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
#[ignore = "writes the first inputs of the fuzz targets into fuzz/corpus, when a format changes: `just fuzz-seeds`"]
fn are_written() {
    for (number, seed) in log_seeds().iter().enumerate() {
        keep("log_replay", &format!("seed-{number}"), seed);
    }
    for (number, seed) in file_seeds().iter().enumerate() {
        keep("open_file", &format!("seed-{number}"), seed);
    }
    for (number, seed) in operation_seeds().iter().enumerate() {
        keep("operations", &format!("seed-{number:02}"), seed);
    }
    let database = bytes_of(&small_database(60, true), "/data.braid");
    for (number, page) in database[8192..].chunks(512).enumerate() {
        let end = page.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if end > 0 {
            keep("page_decode", &format!("seed-page-{number:02}"), &page[..end]);
        }
    }
    keep("page_decode", "seed-meta", &[&[0xff][..], &database[..180]].concat());
    let mut record = vec![16, 3, 5];
    record.extend_from_slice(b"keyfour");
    keep("record_decode", "seed-put", &record);
    keep("record_decode", "seed-two", &[&record[..], &[0x80, 1, 3, 0, b'k', b'e', b'y']].concat());
}

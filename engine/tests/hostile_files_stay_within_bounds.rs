//! Files and logs that somebody made up: opening, scanning, checking, backing up and salvaging them ends in a typed error or
//! in what is there, and takes no more than `64 MiB + 4 × the length of the files + 1 KiB × their number` of memory and
//! `1,000 + 8 × (pages + files)` reads; those of a salvage give `1 MiB + 20 × the length of the files` at most. (A log takes
//! more memory where its rows are tiny: `docs/limits.md`.)
//!
//! Memory is what the allocator gave out at most at one time; work is counted in calls and bytes, not in seconds.
#![allow(
    missing_docs,
    dead_code,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test"
)]
#![expect(clippy::disallowed_methods, reason = "the test makes the files that the engine is to read")]

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use braid::vfs::faulty::{FaultyFileSystem, Operation};
use braid::vfs::{Env, RealFileSystem};
use braid::{Database, Error, Options};

#[path = "hostile/forge.rs"]
mod forge;
use forge::{Child, Forge, Meta, PAGE, record_header, run_reference, segment_header};

#[path = "common/counting.rs"]
mod counting;
use counting::{Counting, MOST, NOW};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One at a time, as they share the counters.
static ALONE: Mutex<()> = Mutex::new(());

/// A hostile file in a directory of its own.
struct Place {
    directory: tempfile::TempDir,
}

/// What was done with a file, and what it took.
struct Cost {
    memory: usize,
    reads: u64,
    bytes: u64,
}

impl Place {
    fn new(image: &[u8]) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(place.path(), image).unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("db")
    }

    fn segment(&self, sequence: u64) -> PathBuf {
        let log = self.directory.path().join("db-wal");
        if !log.exists() {
            std::fs::create_dir(&log).unwrap();
        }
        log.join(format!("{sequence:016x}.seg"))
    }

    /// Length and number of the files.
    fn size(&self) -> (usize, usize) {
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len() as usize);
        let log = std::fs::read_dir(self.directory.path().join("db-wal"));
        let segments: Vec<_> =
            log.into_iter().flatten().map(|entry| length(&entry.unwrap().path())).collect();
        (length(&self.path()) + segments.iter().sum::<usize>(), 1 + segments.len())
    }

    /// Does something with the file; what it took is within the bounds. Reads of files that it makes count too.
    fn measure<T>(&self, what: impl FnOnce(Env) -> T) -> (T, Cost) {
        let (length, files) = self.size();
        let faulty = FaultyFileSystem::new(Arc::new(RealFileSystem));
        let faults = faulty.faults();
        let env = Env::with_files(Arc::new(faulty));
        let before = NOW.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let result = what(env);
        let cost = Cost {
            memory: MOST.load(Ordering::Relaxed).saturating_sub(before),
            reads: faults.counters().calls(Operation::Read),
            bytes: faults.counters().bytes(Operation::Read),
        };
        let (memory, reads) =
            ((64 << 20) + 4 * length + 1024 * files, 1000 + 8 * (length / PAGE + files) as u64);
        assert!(cost.memory <= memory, "{} bytes of memory for {length} of files", cost.memory);
        assert!(cost.reads <= reads, "{} reads of {length} bytes", cost.reads);
        (result, cost)
    }

    /// Opens, reads everything, checks, backs up; the first error of each.
    fn read_everything(&self) -> Vec<Error> {
        let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut errors = Vec::new();
        let copy = Place { directory: tempfile::tempdir().unwrap() };
        // As a whole and by itself, so that no step hides another's cost.
        let (opened, _) =
            self.measure(|env| Database::open_read_only_in(env, self.path(), Options::default()).map(drop));
        errors.extend(opened.err());
        let (_, _) = self.measure(|env| {
            let Ok(db) = Database::open_read_only_in(env, self.path(), Options::default()) else { return };
            let Ok(Some(table)) = db.existing_table("t") else { return };
            let snapshot = db.snapshot().unwrap();
            errors.extend(snapshot.scan(&table).unwrap().find_map(Result::err));
            errors.extend(snapshot.scan(&table).unwrap().rev().find_map(Result::err));
            errors.extend(snapshot.count(&table).err());
        });
        let (_, _) = self.measure(|env| {
            let Ok(db) = Database::open_read_only_in(env, self.path(), Options::default()) else { return };
            let report = db.check().unwrap();
            errors.extend((!report.is_ok()).then(|| Error::Corrupt(report.findings[0].clone())));
        });
        let (_, _) = self.measure(|env| {
            let Ok(db) = Database::open_read_only_in(env, self.path(), Options::default()) else { return };
            errors.extend(db.backup(copy.path()).err());
        });
        for error in &errors {
            let typed =
                matches!(error, Error::Corrupt(_) | Error::Mismatch(_) | Error::NotABraidDatabase { .. });
            assert!(typed, "{error:?}");
        }
        errors
    }

    /// Salvages; the bytes that came out.
    fn salvage(&self) -> Option<(braid::SalvageReport, u64)> {
        let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let out = Place { directory: tempfile::tempdir().unwrap() };
        let (report, cost) = self.measure(|env| braid::salvage_in(&env, self.path(), out.path()));
        // A log segment is read 16 times, a page of the database file less often: no number of claims adds to that.
        let (length, _) = self.size();
        assert!(cost.bytes <= (1 << 20) + 20 * length as u64, "{} bytes read of {length}", cost.bytes);
        let report = report.ok()?;
        let db = Database::open(out.path()).unwrap();
        db.compact().unwrap();
        assert!(db.check().unwrap().is_ok());
        Some((report, db.stats().file.bytes))
    }
}

/// A tree of one leaf, under levels of branches whose children are all the same page: 10^18 rows in 19 pages.
fn endless(forge: &mut Forge, tree: u32, key: &[u8], value: Vec<u8>) -> Child {
    let mut child = forge.leaf(tree, &[(key, value, false)]);
    for _ in 0..18 {
        child = forge.branch(tree, &child, 10);
    }
    child
}

#[test]
fn a_tree_whose_pages_have_many_parents() {
    let mut forge = Forge::default();
    let tree = endless(&mut forge, 16, b"k", b"value".to_vec());
    let directory = forge.with_table(tree);
    let place = Place::new(&forge.finish(Some(&directory)));
    assert!(place.read_everything().len() >= 4, "scans, the check and the backup find it out");
    let (report, bytes) = place.salvage().unwrap();
    assert_eq!(report.rows, 1);
    assert!(report.lost_rows > 1 << 50 && bytes < 1 << 20);
}

#[test]
fn a_catalog_whose_pages_have_many_parents() {
    for (tree, row) in [(1, 16_u32.to_le_bytes().to_vec()), (2, b"t".to_vec()), (3, vec![0; 8])] {
        let mut forge = Forge::default();
        let catalog = endless(&mut forge, tree, b"t", row);
        let directory = forge.directory(&[(tree, catalog)]);
        let place = Place::new(&forge.finish(Some(&directory)));
        assert!(!place.read_everything().is_empty());
        place.salvage();
    }
}

#[test]
fn rows_of_the_system_that_cannot_be() {
    type Rows<'a> = &'a [(&'a [u8], Vec<u8>, bool)];
    let id = |id: u32| id.to_le_bytes().to_vec();
    let names: [Rows<'_>; 5] = [
        &[(b"t", vec![16, 0, 0], false)],
        &[(b"t", id(3), false)],
        &[(b"t", id(u32::MAX), false)],
        &[(b"\xff", id(16), false)],
        &[(b"t", id(16), false), (b"u", id(16), false)],
    ];
    let sequences: [Rows<'_>; 3] =
        [&[(b"ids", vec![7; 7], false)], &[(b"ids", vec![7; 9], false)], &[(b"\xff", vec![7; 8], false)]];
    let trees = names.map(|rows| (1, rows)).into_iter().chain(sequences.map(|rows| (3, rows)));
    for (tree, rows) in trees {
        let mut forge = Forge::default();
        let leaf = forge.leaf(tree, rows);
        let directory = forge.directory(&[(tree, leaf)]);
        let place = Place::new(&forge.finish(Some(&directory)));
        let errors = place.read_everything();
        assert!(matches!(errors[..], [Error::Corrupt(_), ..]), "{rows:?}: {errors:?}");
        place.salvage();
    }
}

#[test]
fn a_directory_whose_pages_have_many_parents() {
    let mut forge = Forge::default();
    let leaf = forge.leaf(16, &[(b"k", b"value".to_vec(), false)]);
    let mut directory = forge.directory(&[(16, leaf)]);
    for _ in 0..18 {
        directory = forge.branch(forge::DIRECTORY, &directory, 10);
    }
    let place = Place::new(&forge.finish(Some(&directory)));
    assert!(matches!(place.read_everything()[..], [Error::Corrupt(_)]));
    place.salvage();
    // One that has no more rows than the file has pages, and names the same tree twice.
    let mut forge = Forge::default();
    let leaf = forge.leaf(16, &[(b"k", b"value".to_vec(), false)]);
    let directory = forge.directory(&[(16, leaf)]);
    let directory = forge.branch(forge::DIRECTORY, &directory, 2);
    let place = Place::new(&forge.finish(Some(&directory)));
    assert!(matches!(place.read_everything()[..], [Error::Corrupt(_)]));
    assert_eq!(place.salvage().unwrap().0.rows, 1);
}

#[test]
fn a_tree_that_is_too_deep_or_says_so() {
    for levels in [39, 40, 41, 60] {
        let mut forge = Forge::default();
        let mut child = forge.leaf(16, &[(b"k", b"value".to_vec(), false)]);
        for _ in 0..levels {
            child = forge.branch(16, &child, 1);
        }
        let directory = forge.with_table(child);
        let place = Place::new(&forge.finish(Some(&directory)));
        assert_eq!(place.read_everything().is_empty(), levels <= 40, "{levels} levels");
        place.salvage();
    }
}

#[test]
fn a_long_value_that_many_rows_name() {
    let mut forge = Forge::default();
    let run = forge.run(16, 4000);
    let keys: Vec<_> = (0..10_u8).map(|key| [key]).collect();
    let rows: Vec<_> = keys.iter().map(|key| (&key[..], run.clone(), true)).collect();
    let leaf = forge.leaf(16, &rows);
    let directory = forge.with_table(leaf);
    let place = Place::new(&forge.finish(Some(&directory)));
    let errors = place.read_everything();
    assert!(errors.iter().any(|error| error.to_string().contains("used twice")), "{errors:?}");
    let (report, bytes) = place.salvage().unwrap();
    assert_eq!((report.lost_rows, report.rows), (9, 1));
    assert!(bytes < 3 << 20, "{bytes} bytes came out of 2 MiB");
}

#[test]
fn leaves_without_a_parent_that_all_name_one_long_value() {
    let mut forge = Forge::default();
    let run = forge.run(16, 1000);
    for leaf in 0..200_u8 {
        let keys: Vec<_> = (0..8_u8).map(|key| [leaf, key]).collect();
        let rows: Vec<_> = keys.iter().map(|key| (&key[..], run.clone(), true)).collect();
        forge.leaf(16, &rows);
    }
    let directory = forge.lost_directory();
    let place = Place::new(&forge.finish(Some(&directory)));
    assert!(matches!(place.read_everything()[..], [Error::Corrupt(_), ..]));
    let (report, bytes) = place.salvage().unwrap();
    assert!(report.rows > 0 && report.lost_rows > 1000, "{report:?}");
    assert!(bytes < 5 * place.size().0 as u64, "{bytes} bytes came out");
}

#[test]
fn pages_that_all_claim_to_begin_a_long_value() {
    const PAGES: u32 = 2000;
    let mut forge = Forge::default();
    (0..PAGES).for_each(|page| forge.head_of_run(16, PAGES - page));
    let directory = forge.lost_directory();
    let place = Place::new(&forge.finish(Some(&directory)));
    assert!(matches!(place.read_everything()[..], [Error::Corrupt(_), ..]));
    assert_eq!(place.salvage().unwrap().0.rows, 1);
}

#[test]
fn sizes_that_cannot_be() {
    let lens = [u64::MAX, 1 << 63, u64::from(u32::MAX), 1 << 31, 1 << 20];
    for (len, page) in lens.into_iter().flat_map(|len| [(len, 0), (len, u32::MAX - 1)]) {
        let pages = u32::try_from((len.saturating_add(32)).div_ceil(PAGE as u64)).unwrap_or(u32::MAX);
        let mut forge = Forge::default();
        let leaf = forge.leaf(16, &[(b"k", run_reference(page, 1, pages, len), true)]);
        let directory = forge.with_table(leaf);
        let place = Place::new(&forge.finish(Some(&directory)));
        assert!(!place.read_everything().is_empty());
        assert_eq!(place.salvage().unwrap().0.lost_rows, 1);
    }
    let forge = Forge::default();
    for meta in [
        Meta { end: u32::MAX, ..Meta::default() },
        Meta { end: u32::MAX - 1, free_pages: u32::MAX - 1, ..Meta::default() },
        Meta { end: 1, free_pages: 1, ..Meta::default() },
    ] {
        let place = Place::new(&[forge.finish_with(&meta, None), vec![0; PAGE]].concat());
        assert!(matches!(place.read_everything()[..], [Error::Corrupt(_)]), "{meta:?}");
        place.salvage();
    }
}

const SALT: u64 = 77;

/// A database whose log begins in segment 1, at position 4096.
fn with_log() -> Place {
    let meta = Meta { checkpoint_lsn: 4096, ..Meta::default() };
    Place::new(&Forge::default().finish_with(&meta, None))
}

#[test]
fn records_that_claim_to_be_longer_than_their_segment() {
    for (claimed, is_torn) in [(u32::MAX, true), (u32::MAX - 64, true), (1 << 30, true), (20_000, true)] {
        let place = with_log();
        let mut segment = segment_header(1, 4096, SALT, 16_384);
        segment.extend(record_header(4096, SALT, 6, 1, claimed, 0));
        segment.resize(16_384, 0);
        std::fs::write(place.segment(1), &segment).unwrap();
        assert_eq!(place.read_everything().is_empty(), is_torn);
        assert!(place.salvage().is_some());
    }
}

#[test]
fn a_record_that_claims_to_begin_at_every_step() {
    // Each covers all those after it; none has its checksum.
    const LENGTH: usize = 1 << 20;
    let place = with_log();
    let mut segment = segment_header(1, 4096, SALT, LENGTH as u64);
    while segment.len() + 48 <= LENGTH {
        let lsn = segment.len() as u64;
        let rest = (LENGTH - segment.len() - 48) as u32;
        segment.extend(record_header(lsn, SALT, 6, 1, rest, 0));
    }
    segment.resize(LENGTH, 0);
    std::fs::write(place.segment(1), &segment).unwrap();
    place.read_everything();
    assert_eq!(place.salvage().unwrap().0.commits, 0);
}

#[test]
fn many_tiny_segments() {
    let place = with_log();
    std::fs::write(place.segment(1), [segment_header(1, 4096, SALT, 8192), vec![0; 4096]].concat()).unwrap();
    for sequence in 2..5000 {
        let contents = match sequence % 3 {
            0 => Vec::new(),
            1 => vec![7; 100],
            _ => vec![0; 48],
        };
        std::fs::write(place.segment(sequence), contents).unwrap();
    }
    place.read_everything();
    assert!(place.salvage().is_some());
}

#[test]
fn a_record_with_one_row_again_and_again() {
    // Three bytes a row: table 16, no key, deleted.
    let place = with_log();
    let payload = [16, 0, 0].repeat(1 << 20);
    let mut segment = segment_header(1, 4096, SALT, 8 << 20);
    let padded = [payload.clone(), vec![0; payload.len().next_multiple_of(8) - payload.len()]].concat();
    segment.extend(record_header(4096, SALT, 6, 1, payload.len() as u32, crc32fast::hash(&padded)));
    segment.extend(padded);
    segment.resize(8 << 20, 0);
    std::fs::write(place.segment(1), &segment).unwrap();
    let errors = place.read_everything();
    assert!(errors[0].to_string().contains("rows out of order"), "{errors:?}");
    assert!(place.salvage().is_some());
}

#[test]
fn tiny_rows_in_the_log_take_what_they_take_in_memory() {
    // Seven bytes a row: what memory it takes has to do with the number of rows, as `docs/limits.md` says.
    const ROWS: u32 = 200_000;
    let place = with_log();
    let mut payload = Vec::new();
    for row in 0..ROWS {
        payload.extend([16, 4, 0]);
        payload.extend(row.to_be_bytes());
    }
    let mut segment = segment_header(1, 4096, SALT, 2 << 20);
    let padded = [payload.clone(), vec![0; payload.len().next_multiple_of(8) - payload.len()]].concat();
    segment.extend(record_header(4096, SALT, 6, 1, payload.len() as u32, crc32fast::hash(&padded)));
    segment.extend(padded);
    segment.resize(2 << 20, 0);
    std::fs::write(place.segment(1), &segment).unwrap();
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let open = |env| {
        Database::open_read_only_in(env, place.path(), Options::default())
            .map(|db| db.stats().row_store.bytes)
    };
    let (bytes, cost) = place.measure(open);
    let fixed = 4 << 20;
    assert!(bytes.unwrap() > 0);
    assert!(cost.memory < fixed + 320 * ROWS as usize, "{} bytes a row", cost.memory / ROWS as usize);
}

#[test]
fn a_file_that_was_changed_anywhere() {
    // A sound file, then bytes of it replaced; most of that the checksums find, whatever they do not must be bounded too.
    let place = Place { directory: tempfile::tempdir().unwrap() };
    let options = Options { page_bytes: PAGE, ..Options::default() };
    let db = Database::open_with(place.path(), options).unwrap();
    let table = db.table("t").unwrap();
    for row in 0..300_u32 {
        db.put(&table, row.to_be_bytes(), vec![3; (row % 7 * 150) as usize]).unwrap();
    }
    db.checkpoint().unwrap();
    db.put(&table, "in the log", "").unwrap();
    drop((db, table));
    let image = std::fs::read(place.path()).unwrap();
    let mut random = 1_u64;
    for _ in 0..40 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut changed = image.clone();
        let at = (random >> 20) as usize % changed.len();
        changed[at] ^= (random >> 56) as u8 | 1;
        std::fs::write(place.path(), &changed).unwrap();
        place.read_everything();
        place.salvage();
    }
}

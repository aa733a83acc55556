//! Where a size comes from a file, memory that the system refuses is an error of that call, and of nothing else: the same
//! call works once there is memory, and nothing is lost.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use braid::vfs::faulty::CrashFileSystem;
use braid::vfs::{Env, FileSystem, OpenMode, OpenOptions};
use braid::{Change, Database, Error, Options, Result, Table, Timestamp, salvage_in};

/// The system's allocator, which refuses what it is told to.
struct Refusing;

/// Sizes of which one is refused.
static FROM: AtomicUsize = AtomicUsize::new(0);
static BELOW: AtomicUsize = AtomicUsize::new(0);
/// How many of them are granted before; afterwards none is refused any more.
static GRANTED: AtomicUsize = AtomicUsize::new(0);

fn is_refused(bytes: usize) -> bool {
    if !(FROM.load(SeqCst)..BELOW.load(SeqCst)).contains(&bytes) {
        return false;
    }
    let refused = GRANTED.fetch_sub(1, SeqCst) == 0;
    if refused {
        BELOW.store(0, SeqCst);
    }
    refused
}

// SAFETY: 1. every call that is not refused is handed to the system's allocator as it came, and its answer handed back. 2. A
// refused one answers null, as an allocator may, and changes nothing. 3. The counters are atomic and allocate nothing.
#[expect(unsafe_code, reason = "an allocator is an unsafe trait")]
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: 1. of the impl.
        if is_refused(layout.size()) { std::ptr::null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: 1. of the impl.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if is_refused(new_size) {
            return std::ptr::null_mut();
        }
        // SAFETY: 1. of the impl.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

/// One at a time, as they share the allocator.
static ALONE: Mutex<()> = Mutex::new(());

/// Does something while the allocation after the first `granted` ones of the given sizes is refused; also returns whether
/// one was.
fn refused_after<T>(granted: usize, sizes: &Range<usize>, what: impl FnOnce() -> T) -> (T, bool) {
    GRANTED.store(granted, SeqCst);
    FROM.store(sizes.start, SeqCst);
    BELOW.store(sizes.end, SeqCst);
    let done = what();
    (done, BELOW.swap(0, SeqCst) == 0)
}

const VALUE: usize = 3 << 20;
/// The pages that hold the value, with the header of the first.
const PAGES: Range<usize> = VALUE + 512..VALUE + 513;
/// The record of the log that it is in, with its key and lengths; less than the row in memory that it becomes.
const RECORD: Range<usize> = VALUE + 1..VALUE + 24;
/// The value alone, as it is given to the caller.
const GIVEN: Range<usize> = VALUE..VALUE + 1;

fn long() -> Vec<u8> {
    (0..VALUE).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn assert_out_of_memory<T: std::fmt::Debug>(result: Result<T>) {
    match result {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::OutOfMemory => {}
        Err(error) => panic!("{}", error.in_full()),
        Ok(_) => panic!("memory was refused, and all went well"),
    }
}

fn env(files: &CrashFileSystem) -> Env {
    Env::with_files(Arc::new(files.clone()))
}

fn open(files: &CrashFileSystem) -> Result<Database> {
    let options = Options { page_bytes: 512, ..Options::default() };
    Database::open_in(env(files), "/db", options)
}

/// Rows, and a long one among them.
fn filled(files: &CrashFileSystem) -> (Database, Table) {
    let db = open(files).unwrap();
    let table = db.table("t").unwrap();
    for row in 0..100_u32 {
        db.put(&table, row.to_be_bytes(), [7; 20]).unwrap();
    }
    db.put(&table, "long", long()).unwrap();
    (db, table)
}

fn assert_whole(db: &Database) {
    let table = db.existing_table("t").unwrap().unwrap();
    assert_eq!(db.snapshot().unwrap().count(&table).unwrap(), 101);
    assert!(db.get(&table, "long").unwrap() == Some(long()));
    assert!(db.check().unwrap().is_ok());
}

#[test]
fn of_a_long_value_that_is_read() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let files = CrashFileSystem::new();
    let db = open(&files).unwrap();
    db.put(&db.table("first").unwrap(), "", vec![1; VALUE + VALUE / 8]).unwrap();
    db.checkpoint().unwrap();
    drop(db);
    let (db, table) = filled(&files);
    db.checkpoint().unwrap();
    let (read, refused) = refused_after(0, &PAGES, || db.snapshot()?.get_with(&table, "long", <[u8]>::len));
    assert!(refused);
    assert_out_of_memory(read);
    assert_whole(&db);
    db.put(&table, "other", "").unwrap();
    db.delete(&table, "other").unwrap();
    // What moves it to the front of the file, where there is room now.
    assert!(db.drop_table("first").unwrap());
    db.checkpoint().unwrap();
    let (compacted, refused) = refused_after(0, &PAGES, || db.compact());
    assert!(refused);
    assert_out_of_memory(compacted);
    assert_whole(&db);
    let report = db.compact().unwrap();
    assert!(report.bytes_after < VALUE as u64 * 3 / 2, "{report:?}");
    db.close().unwrap();
    assert_whole(&open(&files).unwrap());
}

#[test]
fn of_a_record_that_is_replayed() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let files = CrashFileSystem::new();
    let (db, table) = filled(&files);
    let files = files.kill();
    drop((db, table));
    let mut times = 0;
    for granted in 0.. {
        let (opened, refused) = refused_after(granted, &RECORD, || open(&files));
        if !refused {
            assert_whole(&opened.unwrap());
            break;
        }
        times += 1;
        assert_out_of_memory(opened);
    }
    assert!(times > 0);
    assert_whole(&open(&files.kill()).unwrap());
}

#[test]
fn of_a_change_that_is_told() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let files = CrashFileSystem::new();
    let (db, _) = filled(&files);
    db.sync().unwrap();
    // What the feed reads, and what it gives.
    let mut refusals = [0, 0];
    for (sizes, refusals) in [RECORD, GIVEN].into_iter().zip(&mut refusals) {
        let (mut seen, mut rows) = (Timestamp::ZERO, 0);
        let mut granted = 0;
        let mut feed = db.changes(seen).unwrap();
        while rows < 101 {
            let (next, refused) = refused_after(granted, &sizes, || {
                let Some(set) = feed.try_next()? else { return Ok(None) };
                let timestamp = set.timestamp();
                set.collect::<Result<Vec<_>>>().map(|changes| Some((timestamp, changes)))
            });
            if refused {
                *refusals += 1;
                granted += 1;
                assert_out_of_memory(next);
                // What was not given yet comes again, to a feed of what was not seen.
                feed = db.changes(seen).unwrap();
                continue;
            }
            let (timestamp, changes) = next.unwrap().expect("there is more");
            assert!(timestamp > seen);
            seen = timestamp;
            for change in changes {
                if let Change::Put { value, .. } = change {
                    rows += 1;
                    assert!(value == [7; 20] || value == long());
                }
            }
        }
    }
    assert!(refusals[0] > 0 && refusals[1] > 0, "{refusals:?}");
    assert_whole(&db);
}

#[test]
fn of_a_long_value_that_salvage_comes_by() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let files = CrashFileSystem::new();
    let (db, table) = filled(&files);
    drop(table);
    db.close().unwrap();
    damage_the_branches(&files);
    let whole = salvage_in(&env(&files), "/db", "/whole").unwrap();
    assert_eq!((whole.rows, whole.rows_without_parent), (101, 101), "{whole:?}");
    // As the file is searched, as its leaf is read. Afterwards it is written, as any value.
    for (granted, kept) in [(0, 101), (1, 100)] {
        let out = format!("/out-{granted}");
        let (report, refused) = refused_after(granted, &PAGES, || salvage_in(&env(&files), "/db", &out));
        assert!(refused);
        let report = report.unwrap();
        assert_eq!(report.rows, kept, "{report:?}");
        let told = report.losses.iter().any(|loss| loss.contains("\"long\"") && loss.contains("no memory"));
        assert_eq!((report.lost_rows, told), (101 - kept, kept == 100), "{report:?}");
    }
}

/// Damages every page above the leaves.
fn damage_the_branches(files: &CrashFileSystem) {
    let file = files.open(Path::new("/db"), OpenOptions::new(OpenMode::ReadWrite)).unwrap();
    let mut damaged = 0;
    for page in 0..(file.len().unwrap() - 8192) / 512 {
        let mut head = [0; 41];
        let at = 8192 + page * 512;
        file.read_exact_at(&mut head, at).unwrap();
        let is_branch =
            head[4] == 2 && u64::from(u32::from_le_bytes([head[8], head[9], head[10], head[11]])) == page;
        if is_branch {
            file.write_all_at(&[!head[40]], at + 40).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0);
}

//! What a file that somebody made up can cost in memory. A program of its own, as it counts every allocation.
#![expect(unsafe_code, reason = "a global allocator cannot be had without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use braid::vfs::memory::MemoryFileSystem;
use braid::{Database, Options};
use braid_tests::fuzz::{FileImage, kept_inputs, quiet_env};
use braid_wal::{EncodedRecord, LogOptions, Lsn, RecordKind, Recovery};
use fastrand::Rng;

/// The system's allocator, with the bytes in use and the most that ever were.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: 1. every call goes on to the system's allocator with the arguments as they came, so what that asks of its caller
// is what the caller of these promised; 2. the counters are atomics and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: see 1.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: see 1.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The most bytes that `work` had in use at once, beyond those before it.
fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = IN_USE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    (PEAK.load(Ordering::Relaxed) - before, result)
}

/// What an open takes whatever the file: buffers, the registry of snapshots, the first pieces of cache and row store.
const FIXED_BYTES: usize = 2 << 20;
/// A change of a few bytes in the log becomes a row in memory, with its key, its version and its place in the index.
const BYTES_PER_LOG_BYTE: usize = 48;
/// The whole file as one long value, and what is known of each of its pages.
const BYTES_PER_FILE_BYTE: usize = 4;

fn bound(file_bytes: usize, log_bytes: usize) -> usize {
    FIXED_BYTES + BYTES_PER_FILE_BYTE * file_bytes + BYTES_PER_LOG_BYTE * log_bytes
}

/// Opens for reading, reads every row, checks.
fn read_everything(files: &MemoryFileSystem) -> braid::Result<()> {
    let env = quiet_env(Arc::new(files.clone()));
    let db = Database::open_read_only_in(env, "/data.braid", Options::default())?;
    drop(db.check()?);
    let snapshot = db.snapshot()?;
    for name in db.tables()? {
        let Some(table) = db.existing_table(&name)? else { continue };
        for row in snapshot.scan(&table)? {
            row?;
        }
    }
    Ok(())
}

#[test]
fn made_up_files_stay_within_their_bound() {
    let _alone = ALONE.lock().unwrap();
    let kept = kept_inputs("open_file");
    let (mut opened, mut worst) = (0, 0);
    for seed in 0..400 {
        let mut rng = Rng::with_seed(seed);
        let mut image = FileImage::parse(rng.choice(&kept).map(|(_, bytes)| &bytes[..]).unwrap_or_default());
        (0..rng.usize(0..4)).for_each(|_| image.vary(&mut rng));
        image.repair(true);
        let files = MemoryFileSystem::new();
        image.mount(&files, Path::new("/data.braid"), Path::new("/data.braid-wal"));
        let (bytes, result) = peak(|| read_everything(&files));
        opened += u32::from(result.is_ok());
        worst = worst.max(bytes);
        let bound = bound(image.file_bytes(), image.log_bytes());
        assert!(bytes <= bound, "seed {seed}: {bytes} bytes, and the bound is {bound}");
    }
    println!("{opened} of 400 files were read, at most {worst} bytes were in use");
    assert!(opened > 20 && opened < 400, "{opened} of 400 files were read");
}

#[test]
fn a_log_of_the_smallest_changes_stays_within_its_bound() {
    let _alone = ALONE.lock().unwrap();
    let files = MemoryFileSystem::new();
    let env = quiet_env(Arc::new(files.clone()));
    let options = Options { log_segment_bytes: 64 << 10, ..Options::default() };
    drop(Database::open_in(env.clone(), "/data.braid", options).unwrap());
    // The log of a database, gone on with by somebody else: one commit of 200,000 rows.
    let (dir, uuid) = (Path::new("/data.braid-wal"), uuid(&files));
    let options = LogOptions::default();
    let start = Lsn::FIRST;
    let scanned = Recovery::scan(&files, dir, uuid, start, Lsn::ZERO, &options, |_| {
        Ok::<_, std::convert::Infallible>(())
    });
    let (log, mut appender) = scanned.unwrap().into_log(&env, options).unwrap();
    let mut record = EncodedRecord::new();
    record.begin(RecordKind::user::<1>());
    for row in 0..200_000_u32 {
        let [key @ .., _] = (row << 8).to_be_bytes();
        record.extend_from_slice(&[16, 3, 1]);
        record.extend_from_slice(&key);
    }
    let log_bytes = record.payload().len();
    record.finish();
    let end = loop {
        match appender.append(&mut record, 1 << 40) {
            Ok(end) => break end,
            Err(_) => log.prepare(record.size()).unwrap(),
        }
    };
    log.sync_through(end).unwrap();
    drop((log, appender));
    let (bytes, result) = peak(|| read_everything(&files));
    result.unwrap();
    println!("{bytes} bytes in use for {log_bytes} of log");
    assert!(bytes > 20 * log_bytes, "this is not the worst case any more");
    assert!(bytes <= bound(16 << 10, log_bytes), "{bytes} bytes in use for {log_bytes} of log");
}

#[expect(clippy::unwrap_used, reason = "memory can be read")]
fn uuid(files: &MemoryFileSystem) -> [u8; 16] {
    use braid::vfs::{FileSystem, OpenMode, OpenOptions};
    let file = files.open(Path::new("/data.braid"), OpenOptions::new(OpenMode::ReadOnly)).unwrap();
    let mut uuid = [0; 16];
    file.read_exact_at(&mut uuid, 16).unwrap();
    uuid
}

//! What the scenarios share.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use braid_vfs::faulty::{CrashChoice, CrashFileSystem};
use braid_vfs::memory::SeededRandom;
use braid_vfs::{Env, FileSystem, OpenMode, OpenOptions};

use crate::{
    AppendError, Appender, EncodedRecord, Log, LogError, LogOptions, Lsn, MapPolicy, RecordKind, Recovered,
    Recovery, RecoveryError, Salvage, ScanError,
};

pub(super) const UUID: [u8; 16] = *b"0123456789abcdef";
pub(super) const KIND: RecordKind = RecordKind::user::<7>();

pub(super) fn dir() -> &'static Path {
    Path::new("/db-log")
}

/// Segments of two and four blocks.
pub(super) fn small() -> LogOptions {
    LogOptions { first_segment_bytes: 8192, max_segment_bytes: 16384, ..LogOptions::default() }
}

/// The same with segments of two blocks only, so that few records fill several.
pub(super) fn short(options: LogOptions) -> LogOptions {
    LogOptions { max_segment_bytes: options.first_segment_bytes, ..options }
}

pub(super) fn plain() -> LogOptions {
    LogOptions { mapping: MapPolicy::Never, ..small() }
}

pub(super) fn env(files: &(impl FileSystem + Clone + 'static), seed: u64) -> Env {
    Env { random: Arc::new(SeededRandom::new(seed)), ..Env::with_files(Arc::new(files.clone())) }
}

/// What a power cut may leave of what was not synced: all, nothing, words, sectors, and the first part of it, by the
/// dice of `seed`.
pub(super) fn cuts(fs: &CrashFileSystem, seed: u64) -> [CrashChoice; 5] {
    let random = SeededRandom::new(seed);
    let below = |bound: usize| random.below(bound as u64) as usize;
    [
        CrashChoice::KeepNone,
        CrashChoice::KeepAll,
        CrashChoice::Subset { seed, unit: 8 },
        CrashChoice::Subset { seed, unit: 512 },
        CrashChoice::Prefix { changes: below(fs.unsynced_changes() + 1), bytes: below(400) },
    ]
}

/// The payload that the record with this tag has; lengths vary, most not multiples of eight.
pub(super) fn payload(tag: u64) -> Vec<u8> {
    (0..(tag * 37) % 300).map(|index| (index as u8).wrapping_mul(31).wrapping_add(tag as u8)).collect()
}

/// Appends, preparing a segment where one is needed.
pub(super) fn append(appender: &mut Appender, tag: u64, payload: &[u8]) -> Result<Lsn, LogError> {
    let mut record = EncodedRecord::new();
    record.begin(KIND);
    record.extend_from_slice(payload);
    record.finish();
    match appender.append(&mut record, tag) {
        Err(AppendError::SegmentNeeded { bytes }) => {
            let log = Arc::clone(appender.log());
            log.prepare(bytes)?;
            Ok(appender.append(&mut record, tag)?)
        }
        other => Ok(other?),
    }
}

/// Tags and payloads, as they were recovered.
pub(super) type Records = Vec<(u64, Vec<u8>)>;

pub(super) fn scan(
    files: &dyn FileSystem,
    start: Lsn,
    proven: Lsn,
) -> Result<(Records, Recovered), RecoveryError> {
    let mut records = Records::new();
    let recovered = Recovery::scan(files, dir(), UUID, start, proven, &small(), |record| {
        assert_eq!(record.kind, KIND);
        records.push((record.tag, record.payload.to_vec()));
        Ok::<(), Infallible>(())
    });
    match recovered {
        Ok(recovered) => Ok((records, recovered)),
        Err(ScanError::Recovery(error)) => Err(error),
        Err(ScanError::Stopped(never)) => match never {},
    }
}

/// Asserts that salvage finds nothing missing in a log that a scan accepts, whatever torn pieces it may take for losses.
pub(super) fn assert_nothing_missing(files: &dyn FileSystem, start: Lsn, proven: Lsn, context: &str) {
    let salvaged = Recovery::salvage(files, dir(), UUID, start, proven, &small(), |piece| {
        assert!(!matches!(piece, Salvage::Missing { .. }), "{context}: {piece:?}");
        Ok::<(), Infallible>(())
    });
    assert!(salvaged.is_ok(), "{context}: {salvaged:?}");
}

/// Asserts that the records are those with tags `0, 1, ...` and have the payloads that belong to these.
pub(super) fn assert_prefix(records: &Records) {
    for (index, (tag, bytes)) in records.iter().enumerate() {
        assert_eq!(*tag, index as u64, "records are a prefix of what was appended");
        assert_eq!(*bytes, payload(*tag), "record {tag} is whole");
    }
}

/// A log of `count` records, synced after each one that `synced` picks.
pub(super) fn filled(
    files: &(impl FileSystem + Clone + 'static),
    options: LogOptions,
    count: u64,
    synced: impl Fn(u64) -> bool,
) -> (Arc<Log>, Appender) {
    let (log, mut appender) = Log::create(&env(files, 1), dir(), UUID, options).unwrap();
    for tag in 0..count {
        let end = append(&mut appender, tag, &payload(tag)).unwrap();
        if synced(tag) {
            log.sync_through(end).unwrap();
        }
    }
    (log, appender)
}

pub(super) fn segment(sequence: u64) -> PathBuf {
    dir().join(format!("{sequence:016x}.seg"))
}

/// The files of the log's directory, in order.
pub(super) fn paths(files: &dyn FileSystem) -> Vec<PathBuf> {
    let mut paths: Vec<_> = match files.read_dir(dir()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names.unwrap().into_iter().map(|name| dir().join(name)).collect(),
    };
    paths.sort_unstable();
    paths
}

/// The bytes of a file.
pub(super) fn read(files: &dyn FileSystem, path: &Path) -> Vec<u8> {
    let file = files.open(path, OpenOptions::new(OpenMode::ReadOnly)).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Replaces the bytes of a file, durably; creates it where it does not exist.
pub(super) fn put(files: &dyn FileSystem, path: &Path, bytes: &[u8]) {
    let file = files.open(path, OpenOptions::new(OpenMode::ReadWriteCreate)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.sync_all().unwrap();
    files.sync_dir(dir()).unwrap();
}

/// Stores `bytes` over a file's first ones, in the page cache alone.
pub(super) fn overwrite(files: &dyn FileSystem, path: &Path, bytes: &[u8]) {
    let file = files.open(path, OpenOptions::new(OpenMode::ReadWrite)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

/// Removes a file, durably.
pub(super) fn remove(files: &dyn FileSystem, path: &Path) {
    files.remove_file(path).unwrap();
    files.sync_dir(dir()).unwrap();
}

//! A recovery that finds the disk full.

use braid_vfs::faulty::{CrashChoice, CrashFileSystem, FaultyFileSystem};
use braid_vfs::{FileSystem as _, OpenMode, OpenOptions};

use super::helpers::*;
use crate::{LogError, LogOptions, Lsn};

const BLOCK: u64 = 4096;

/// Has the bound on space know of every file.
fn limited(fs: &CrashFileSystem) -> FaultyFileSystem {
    let faulty = fs.under_faults();
    for path in paths(fs) {
        read(&faulty, &path);
    }
    faulty
}

/// The bytes of all files.
fn used(fs: &CrashFileSystem) -> u64 {
    limited(fs).faults().bytes_used()
}

/// Recovers on a disk that has `quota` bytes.
fn recover(fs: &CrashFileSystem, start: Lsn, quota: u64, options: LogOptions) -> Result<Records, LogError> {
    let faulty = limited(fs);
    faulty.faults().set_quota(Some(quota));
    let (records, recovered) = scan(&faulty, start, Lsn::ZERO).unwrap();
    recovered.into_log(&env(&faulty, 2), options).map(|_| records)
}

fn is_full(error: &LogError) -> bool {
    matches!(error, LogError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
}

/// Recovers on a disk that is full, and dies at every step of that; what is left recovers on the same disk, and has everything.
fn dies_everywhere(killed: &CrashFileSystem, start: Lsn, synced: usize, options: LogOptions) {
    let quota = used(killed);
    let (expected, _) = scan(killed, start, Lsn::ZERO).unwrap();
    assert!(expected.len() >= synced && synced > 3);
    let last = paths(killed).pop().unwrap().with_extension("seg");
    for at in 0.. {
        let fs = killed.after_kill();
        let faulty = limited(&fs);
        faulty.faults().set_quota(Some(quota));
        let (_, recovered) = scan(&faulty, start, Lsn::ZERO).unwrap();
        fs.cut_power_after(at);
        let outcome = recovered.into_log(&env(&faulty, 2), options);
        let done = outcome.is_ok();
        let lefts = cuts(&fs, at).map(|cut| (fs.after_crash(cut), format!("step {at}, {cut:?}")));
        for (left, context) in lefts.into_iter().chain([(fs.after_kill(), format!("step {at}, killed"))]) {
            let (records, _) =
                scan(&left, start, Lsn::ZERO).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(
                records.len() >= synced && expected.starts_with(&records),
                "{context}: {}",
                records.len()
            );
            assert!(!done || records == expected, "{context}: what recovery showed stands");
            let again = recover(&left, start, quota, options);
            let counts =
                paths(&left).last().is_some_and(|path| *path > last && path.extension() == last.extension());
            if let Err(error) = &again {
                // It is a log that has gone on, and has had the room.
                assert!(counts && is_full(error), "{context}: {error}");
                assert_eq!(scan(&left, start, Lsn::ZERO).unwrap().0, records, "{context}");
            } else {
                assert_eq!(again.unwrap(), records, "{context}");
                let stands = left.crash(CrashChoice::KeepNone);
                assert_eq!(scan(&stands, start, Lsn::ZERO).unwrap().0, records, "{context}");
            }
        }
        if done {
            assert!(at > 5, "{at} steps");
            return;
        }
    }
}

#[test]
fn the_room_of_spares_is_a_recoverys() {
    for options in [small(), plain()] {
        let fs = CrashFileSystem::new();
        let (log, mut appender) = filled(&fs, options, 30, |tag| tag == 29);
        append(&mut appender, 30, &payload(30)).unwrap();
        log.prepare(0).unwrap();
        assert_eq!(log.stats().spare_segments, 1);
        dies_everywhere(&fs.kill(), Lsn::FIRST, 30, options);
    }
}

/// They hold old records, of before the start.
#[test]
fn the_room_of_segments_that_were_in_use_before_is_a_recoverys() {
    let options = LogOptions { max_spare_bytes: 1 << 20, ..small() };
    let fs = CrashFileSystem::new();
    let (log, mut appender) = filled(&fs, options, 200, |_| true);
    let start = log.durable();
    log.release_before(start).unwrap();
    for tag in 200..210 {
        let end = append(&mut appender, tag, &payload(tag)).unwrap();
        log.sync_through(end).unwrap();
    }
    assert!(log.stats().spare_segments > 0, "{:?}", log.stats());
    dies_everywhere(&fs.kill(), start, 10, options);
}

#[test]
fn the_room_of_what_was_cut_short_is_a_recoverys() {
    let fs = CrashFileSystem::new();
    drop(filled(&fs, small(), 20, |_| true));
    put(&fs, &segment(7).with_extension("tmp"), &[0; 8192]);
    let before = used(&fs);
    dies_everywhere(&fs, Lsn::FIRST, 20, small());
    recover(&fs, Lsn::FIRST, before, small()).unwrap();
    assert!(paths(&fs).iter().all(|path| path.extension().is_some_and(|extension| extension == "seg")));
}

/// Its end is a record that names a segment whose header is not there; and how many records were synced.
fn ends_with_a_rotate() -> (CrashFileSystem, usize) {
    let fs = CrashFileSystem::new();
    let synced = 19;
    let (log, mut appender) = filled(&fs, short(small()), synced, |tag| tag + 1 == synced);
    log.prepare(0).unwrap();
    for tag in synced.. {
        let before = fs.unsynced_changes();
        append(&mut appender, tag, &payload(tag)).unwrap();
        if log.stats().rotations > 0 {
            let left = fs.after_crash(CrashChoice::Prefix { changes: before + 1, bytes: 0 });
            let (records, recovered) = scan(&left, Lsn::FIRST, Lsn::ZERO).unwrap();
            assert_eq!((records.len() as u64, recovered.cut), (tag, None));
            return (left, synced as usize);
        }
    }
    unreachable!("the first segment is full before long")
}

#[test]
fn the_segment_that_the_log_went_on_in_is_no_spare() {
    let (fs, synced) = ends_with_a_rotate();
    let before = paths(&fs);
    let error = recover(&fs, Lsn::FIRST, used(&fs), short(small())).unwrap_err();
    assert!(is_full(&error), "{error}");
    assert_eq!(paths(&fs), before, "without it the log would be damaged");
    let (records, _) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
    assert!(records.len() >= synced);
    put(&fs, &segment(3), &[0; 32 << 10]);
    dies_everywhere(&fs, Lsn::FIRST, synced, short(small()));
}

/// A segment that lost its header with a torn tail holds what may be wanted of it.
#[test]
fn a_segment_with_records_is_no_spare() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = filled(&fs, short(small()), 19, |tag| tag == 18);
    for tag in 19.. {
        append(&mut appender, tag, &payload(tag)).unwrap();
        if log.stats().rotations > 0 {
            break;
        }
    }
    let fs = fs.kill();
    overwrite(&fs, &segment(2), &[0; 128]);
    let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
    let rotate = recovered.end.get() - 48 - Lsn::FIRST.get() + BLOCK;
    let file = fs.open(&segment(1), OpenOptions::new(OpenMode::ReadWrite)).unwrap();
    file.write_all_at(&[0; 48], rotate).unwrap();
    let before = paths(&fs);
    let error = recover(&fs, Lsn::FIRST, used(&fs), short(small())).unwrap_err();
    assert!(is_full(&error), "{error}");
    assert_eq!(paths(&fs), before);
    let records = recover(&fs, Lsn::FIRST, u64::MAX, short(small())).unwrap();
    assert!(records.len() >= 19);
}

#[test]
fn a_recovery_makes_as_long_a_segment_as_there_is_room_for() {
    let options = LogOptions { first_segment_bytes: 64 * BLOCK, max_segment_bytes: 64 * BLOCK, ..small() };
    let written = CrashFileSystem::new();
    drop(filled(&written, small(), 20, |_| true));
    for (room, made) in [(64, 64), (63, 32), (32, 32), (31, 16), (16, 16), (15, 0), (0, 0)] {
        let fs = written.kill();
        let (before, names) = (used(&fs), paths(&fs));
        match recover(&fs, Lsn::FIRST, before + room * BLOCK, options) {
            Ok(records) => assert_eq!(records.len(), 20),
            Err(error) => {
                assert!(is_full(&error), "{error}");
                assert_eq!(paths(&fs), names, "nothing is left behind");
            }
        }
        assert_eq!((used(&fs) - before) / BLOCK, made, "room for {room} blocks");
        assert_eq!(scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap().0.len(), 20);
    }
}

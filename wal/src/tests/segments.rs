//! Round trips, rotation, reuse, sizes.

use std::io;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use braid_vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid_vfs::{FileSystem, OpenMode, OpenOptions};

use super::helpers::*;
use crate::group::SyncTarget;
use crate::segment::{HeaderState, SegmentHeader};
use crate::{AppendError, Appender, Damage, EncodedRecord, Log, LogError, LogOptions, Lsn, RecoveryError};

#[test]
fn what_was_appended_is_recovered_over_many_segments() {
    for options in [small(), plain()] {
        let fs = CrashFileSystem::new();
        let (log, appender) = filled(&fs, options, 300, |tag| tag % 7 == 0);
        assert!(log.stats().rotations > 3, "the log has several segments");
        log.sync_now().unwrap();
        assert_eq!(log.durable(), log.appended());
        drop(appender);
        let faulty = fs.under_faults();
        let (records, recovered) = scan(&faulty, Lsn::FIRST, log.durable()).unwrap();
        assert_eq!(faulty.faults().counters().changes(), 0, "a scan writes nothing");
        assert_eq!(records.len(), 300);
        assert_prefix(&records);
        let bytes: usize = records.iter().map(|(_, payload)| payload.len()).sum();
        assert_eq!((recovered.records, recovered.bytes), (300, bytes as u64));
        assert_eq!(recovered.end, log.appended());
        assert_eq!(recovered.cut, None);
        assert!(!recovered.clean_close);
    }
}

#[test]
fn a_segment_of_many_reads_is_recovered_whole() {
    let fs = CrashFileSystem::new();
    let options = LogOptions { first_segment_bytes: 1 << 20, max_segment_bytes: 1 << 20, ..small() };
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, options).unwrap();
    for tag in 0..900 {
        append(&mut appender, tag, &vec![tag as u8; 900 + tag as usize % 200]).unwrap();
    }
    log.sync_now().unwrap();
    assert_eq!(log.spans().len(), 1);
    let (records, recovered) = scan(&fs, Lsn::FIRST, log.durable()).unwrap();
    assert_eq!(recovered.end, log.appended());
    assert_eq!(records.len(), 900);
    for (tag, payload) in records {
        assert_eq!(payload, vec![tag as u8; 900 + tag as usize % 200], "record {tag}");
    }
}

#[test]
fn plain_writes_leave_the_same_bytes_as_a_mapping() {
    let (mapped, written) = (CrashFileSystem::new(), CrashFileSystem::new());
    for (fs, options) in [(&mapped, small()), (&written, plain())] {
        let (log, appender) = filled(fs, options, 100, |tag| tag % 9 == 0);
        log.close(appender).unwrap();
    }
    assert_eq!(paths(&mapped), paths(&written));
    for path in paths(&mapped) {
        assert!(read(&mapped, &path) == read(&written, &path), "{} differs", path.display());
    }
}

#[test]
fn a_record_longer_than_a_segment_gets_one_of_its_own() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
    log.prepare(0).unwrap();
    append(&mut appender, 0, b"before").unwrap();
    let long = vec![0xA5; 100_000];
    append(&mut appender, 1, &long).unwrap();
    append(&mut appender, 2, b"after").unwrap();
    log.sync_now().unwrap();
    let (records, _) = scan(&fs, Lsn::FIRST, log.durable()).unwrap();
    assert_eq!(records, [(0, b"before".to_vec()), (1, long), (2, b"after".to_vec())]);
    log.prepare(0).unwrap();
    log.release_before(log.durable()).unwrap();
    assert!(log.stats().file_bytes <= 3 * 100_000, "short spares went when a long one was made");
}

#[test]
fn what_is_prepared_for_a_record_takes_it() {
    // Over a whole block, so that the record ends at every place of the last one.
    for length in (12_000..12_000 + 4_096).step_by(8) {
        let (log, mut appender) =
            Log::create(&env(&CrashFileSystem::new(), 1), dir(), UUID, small()).unwrap();
        append(&mut appender, 0, &vec![1; length]).unwrap();
        assert_eq!(log.stats().rotations, 1, "{length} bytes");
    }
}

#[test]
fn an_append_without_room_changes_nothing() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
    let mut record = EncodedRecord::new();
    record.begin(KIND);
    record.extend_from_slice(&[1; 9000]);
    let (end, bytes) = (log.appended(), read(&fs, &segment(1)));
    let refused = appender.append(&mut record, 0);
    assert!(matches!(refused, Err(AppendError::SegmentNeeded { bytes: 9048 })), "{refused:?}");
    assert_eq!(log.appended(), end);
    assert_eq!(read(&fs, &segment(1)), bytes);
    let limits = LogOptions { max_record_bytes: 9000, ..small() };
    drop((log, appender));
    let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
    let (log, mut appender) = recovered.into_log(&env(&fs, 2), limits).unwrap();
    log.prepare(9048).unwrap();
    appender.append(&mut record, 0).unwrap();
    record.push(1);
    let refused = appender.append(&mut record, 0);
    assert!(matches!(refused, Err(AppendError::TooLarge { bytes: 9001, limit: 9000 })), "{refused:?}");
}

#[test]
fn released_segments_are_reused_and_their_stale_records_stay_dead() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
    let (mut tag, mut start, mut after) = (0, Lsn::FIRST, 0);
    while log.stats().recycled < 20 {
        let end = append(&mut appender, tag, &payload(tag)).unwrap();
        tag += 1;
        if log.wants_preparation() {
            log.sync_now().unwrap();
            log.release_before(end).unwrap();
            (start, after) = (end, tag);
            log.prepare(0).unwrap();
            let spare = paths(&fs).pop().unwrap();
            assert!(
                read(&fs, &spare)[..4096].iter().all(|byte| *byte == 0),
                "no old header under a new name"
            );
        }
        assert!(log.retained_bytes() <= 3 * 16384, "the log stays small");
        if tag % 5 == 0 {
            let (records, recovered) = scan(&fs, start, log.durable()).unwrap();
            let tags: Vec<_> = records.iter().map(|(tag, _)| *tag).collect();
            assert_eq!(tags, (after..tag).collect::<Vec<_>>());
            assert_eq!(recovered.end, log.appended());
            assert_eq!(recovered.cut, None, "stale bytes are no tail");
        }
    }
    assert!(tag > 500);
}

/// Records of about `kib` KiB, and all of it let go; with how many bytes the files have then.
fn round(log: &Log, appender: &mut Appender, tag: &mut u64, kib: u64) -> u64 {
    let until = log.appended().get() + (kib << 10);
    while log.appended().get() < until {
        append(appender, *tag, &payload(*tag)).unwrap();
        *tag += 1;
    }
    log.sync_now().unwrap();
    log.release_before(log.durable()).unwrap();
    log.stats().file_bytes
}

#[test]
fn a_log_that_is_let_go_again_and_again_makes_no_new_segments() {
    let fs = CrashFileSystem::new();
    let options = LogOptions { max_spare_bytes: 1 << 20, ..small() };
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, options).unwrap();
    let mut tag = 0;
    let first = round(&log, &mut appender, &mut tag, 200);
    assert!((220 << 10..=290 << 10).contains(&first), "what was in use is kept: {first}");
    // A little more than in the round before may be needed once.
    round(&log, &mut appender, &mut tag, 200);
    let created = log.stats().created;
    for _ in 0..10 {
        let bytes = round(&log, &mut appender, &mut tag, 200);
        assert_eq!(log.stats().created, created, "{:?}", log.stats());
        assert!(bytes <= 290 << 10, "{bytes}");
    }
    let quiet: Vec<_> = (0..8).map(|_| round(&log, &mut appender, &mut tag, 17)).collect();
    assert!(quiet.is_sorted_by(|before, after| before >= after), "{quiet:?}");
    assert!(quiet.last().is_some_and(|bytes| *bytes <= 3 * 16384), "{quiet:?}");

    round(&log, &mut appender, &mut tag, 200);
    assert!(log.stats().spare_bytes > 100 << 10);
    assert!(log.give_back_spares().unwrap());
    assert!(!log.give_back_spares().unwrap(), "there are none any more");
    assert_eq!((log.stats().spare_bytes, paths(&fs).len()), (0, 1));
    round(&log, &mut appender, &mut tag, 200);
    assert!(log.retained_bytes() <= 16384);
    let (_, recovered) = scan(&fs, log.spans()[0].base, log.durable()).unwrap();
    assert_eq!((recovered.end, recovered.cut), (log.appended(), None));
}

#[test]
fn no_more_is_kept_than_is_allowed() {
    // The last one may be in part beyond it.
    for (allowed, kept) in [(50_000, 4), (3 * 16384, 3)] {
        let fs = CrashFileSystem::new();
        let options = LogOptions { max_spare_bytes: allowed, ..small() };
        let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, options).unwrap();
        round(&log, &mut appender, &mut 0, 200);
        let stats = log.stats();
        assert_eq!((stats.spare_segments, stats.spare_bytes), (kept, kept * 16384), "{allowed}");
        assert_eq!(stats.recycled, kept, "none is made ready and then removed");
    }
}

#[test]
fn every_segment_has_a_salt_of_its_own() {
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, small(), 200, |_| true);
    log.close(appender).unwrap();
    let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
    recovered.into_log(&env(&fs, 2), small()).unwrap();
    let salts: Vec<_> = paths(&fs).iter().map(|path| crate::bytes::u64_at(&read(&fs, path), 48)).collect();
    let distinct: std::collections::BTreeSet<_> = salts.iter().collect();
    assert!(salts.len() > 3);
    assert_eq!(distinct.len(), salts.len());
}

#[test]
fn nothing_that_is_not_durable_is_released() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
    for tag in 0..200 {
        append(&mut appender, tag, &payload(tag)).unwrap();
    }
    let live = log.stats().live_segments;
    assert!(live > 2);
    log.release_before(log.appended()).unwrap();
    assert_eq!(log.stats().live_segments, live);
    log.sync_now().unwrap();
    log.release_before(log.appended()).unwrap();
    assert_eq!(log.stats().live_segments, 1);
    assert!(paths(&fs).len() <= 2, "one in use and one spare: {:?}", paths(&fs));
}

#[test]
fn a_closed_log_says_so_and_goes_on() {
    let fs = CrashFileSystem::new();
    let mut options = small();
    for round in 0..6 {
        let (log, mut appender) = if round == 0 {
            Log::create(&env(&fs, 1), dir(), UUID, options).unwrap()
        } else {
            let (records, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
            assert_prefix(&records);
            assert_eq!(records.len(), round * 10);
            assert!(recovered.clean_close);
            recovered.into_log(&env(&fs, 1 + round as u64), options).unwrap()
        };
        options = if round % 2 == 0 { plain() } else { small() };
        for tag in round as u64 * 10..round as u64 * 10 + 10 {
            append(&mut appender, tag, &payload(tag)).unwrap();
        }
        log.close(appender).unwrap();
    }
}

#[test]
fn a_start_after_the_first_record_skips_what_is_before() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = filled(&fs, small(), 150, |_| true);
    let middle = log.durable();
    append(&mut appender, 150, b"last").unwrap();
    let (records, _) = scan(&fs, middle, middle).unwrap();
    assert_eq!(records, [(150, b"last".to_vec())]);
    let (records, recovered) = scan(&fs, log.appended(), Lsn::ZERO).unwrap();
    assert_eq!((records.len(), recovered.end), (0, log.appended()));
}

#[test]
fn missing_foreign_and_newer_logs_are_told_apart() {
    let fs = CrashFileSystem::new();
    let missing = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap_err();
    assert!(matches!(missing, RecoveryError::Missing { .. }), "{missing}");

    let (log, _appender) = filled(&fs, small(), 100, |_| true);
    let end = log.durable();
    let beyond = scan(&fs, Lsn::new(end.get() + (1 << 30)), Lsn::ZERO).unwrap_err();
    assert!(matches!(beyond, RecoveryError::Missing { .. }), "{beyond}");

    // The last segment is there, and the part of it with the end of the log is not.
    let cut = fs.after_kill();
    let last = segment(log.stats().live_segments);
    let bytes = read(&cut, &last);
    let end_in_file = (end.get() - log.spans().last().unwrap().base.get()) as usize + 4096;
    put(&cut, &last, &bytes[..end_in_file - 8]);
    let cut_off = scan(&cut, end, Lsn::ZERO).unwrap_err();
    assert!(
        matches!(cut_off, RecoveryError::Corrupt { what: Damage::CutOff { .. }, .. }),
        "a part of a log is no missing log: {cut_off}"
    );

    let older = fs.after_kill();
    remove(&older, &segment(1));
    let missing = scan(&older, Lsn::FIRST, end).unwrap_err();
    assert!(matches!(missing, RecoveryError::Missing { .. }), "{missing}");

    let middle = fs.after_kill();
    remove(&middle, &segment(2));
    let corrupt = scan(&middle, Lsn::FIRST, Lsn::ZERO).unwrap_err();
    assert!(matches!(corrupt, RecoveryError::Corrupt { .. }), "{corrupt}");

    let mut foreign = read(&fs, &segment(1));
    foreign[16] ^= 1;
    reseal(&mut foreign);
    let other = fs.after_kill();
    put(&other, &segment(1), &foreign);
    let mismatch = scan(&other, Lsn::FIRST, Lsn::ZERO).unwrap_err();
    assert!(matches!(mismatch, RecoveryError::Mismatch { .. }), "{mismatch}");

    let mut newer = read(&fs, &segment(1));
    newer[8] = 9;
    reseal(&mut newer);
    put(&fs, &segment(1), &newer);
    let refused = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap_err();
    assert!(matches!(refused, RecoveryError::NewerFormat { version: 9, .. }), "{refused}");
}

/// Computes a segment header's checksum anew.
fn reseal(segment: &mut [u8]) {
    segment[12..16].fill(0);
    let checksum = crc32fast::hash(&segment[..128]);
    segment[12..16].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn a_log_is_created_once_and_removed_whole() {
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, small(), 100, |_| true);
    drop((log, appender));
    let again = Log::create(&env(&fs, 2), dir(), UUID, small());
    assert!(matches!(again, Err(LogError::AlreadyExists { .. })));
    Log::remove_segments(&fs, dir()).unwrap();
    assert_eq!(paths(&fs), Vec::<std::path::PathBuf>::new());
    Log::create(&env(&fs, 2), dir(), UUID, small()).unwrap();
}

#[test]
fn a_log_exists_as_long_as_there_are_segments() {
    let fs = CrashFileSystem::new();
    let exists = || Log::exists(&fs, dir()).unwrap();
    assert!(!exists(), "no directory, no log");
    Log::remove_segments(&fs, dir()).unwrap();
    drop(filled(&fs, small(), 3, |_| true));
    assert!(exists());
    let notes = dir().join("notes");
    put(&fs, &notes, b"mine");
    Log::remove_segments(&fs, dir()).unwrap();
    assert!(!exists());
    assert_eq!(paths(&fs), [notes], "what is not the log's stays");
}

#[test]
fn a_directory_that_cannot_be_listed_is_not_taken_for_an_empty_one() {
    let fs = CrashFileSystem::new();
    // A file in its place, which the system refuses to list.
    drop(fs.open(dir(), OpenOptions::new(OpenMode::CreateNew)).unwrap());
    assert!(matches!(Log::exists(&fs, dir()), Err(LogError::Io { action: "list", .. })));
    assert!(matches!(Log::remove_segments(&fs, dir()), Err(LogError::Io { action: "list", .. })));
    let refused = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap_err();
    assert!(matches!(refused, RecoveryError::Io { action: "list", .. }), "{refused}");
}

#[test]
fn a_directory_that_cannot_be_made_is_told() {
    let fs = CrashFileSystem::new().under_faults();
    fs.faults().inject(Fault::on(Operation::CreateDir).kind(io::ErrorKind::PermissionDenied));
    let refused = Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap_err();
    assert!(matches!(refused, LogError::Io { action: "create", .. }), "{refused}");
}

/// A file that is shorter than its header says was cut off.
#[test]
fn a_segment_says_how_long_it_is_whatever_recovery_put_into_it() {
    for bytes in [0, 5_000, 100_000] {
        let fs = CrashFileSystem::new();
        let (log, mut appender) = filled(&fs, small(), 3, |_| true);
        append(&mut appender, 3, &vec![7; bytes]).unwrap();
        let start = log.durable();
        drop((log, appender));
        let (_, recovered) = scan(&fs, start, start).unwrap();
        drop(recovered.into_log(&env(&fs, 2), small()).unwrap());
        for path in paths(&fs) {
            let file = read(&fs, &path);
            let HeaderState::Valid(header) = SegmentHeader::decode(file.first_chunk().unwrap()) else {
                continue;
            };
            assert_eq!(header.bytes, file.len() as u64, "{} after {bytes} bytes", path.display());
        }
    }
}

#[test]
fn what_recovery_found_is_kept_until_it_is_released() {
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, small(), 200, |_| true);
    log.close(appender).unwrap();
    // What a life that was cut short leaves: a segment that was never used, and one that was never finished.
    let strays = [segment(0x900), segment(0x901).with_extension("tmp")];
    strays.iter().for_each(|stray| put(&fs, stray, &[0; 8192]));
    let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
    let end = recovered.end;
    let (log, mut appender) = recovered.into_log(&env(&fs, 2), small()).unwrap();
    let files = paths(&fs);
    assert!(files.len() > 3);
    assert!(!strays.iter().any(|stray| files.contains(stray)), "strays go: {files:?}");
    assert_eq!(log.stats().live_segments, files.len() as u64);
    let lengths = files.iter().map(|path| read(&fs, path).len() as u64);
    assert_eq!(log.retained_bytes(), lengths.sum::<u64>());
    append(&mut appender, 200, &payload(200)).unwrap();
    log.sync_now().unwrap();
    log.release_before(end).unwrap();
    assert_eq!((log.stats().live_segments, paths(&fs).len()), (1, 1), "the old ones are gone");
    let (records, _) = scan(&fs, end, log.durable()).unwrap();
    assert_eq!(records, [(200, payload(200))]);
}

#[test]
#[cfg(unix)]
fn the_directory_is_for_those_who_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let env = braid_vfs::Env::real();
    for (file_bits, dir_bits) in [(0o600, 0o700), (0o640, 0o750), (0o644, 0o755)] {
        let dir = std::env::temp_dir().join(format!("braid-wal-{file_bits:o}-{}", std::process::id()));
        drop(Log::create(&env, &dir, UUID, LogOptions { permissions: file_bits, ..small() }).unwrap());
        let found = dir.metadata().unwrap().permissions().mode() & 0o777;
        // What the process's umask takes away is not the log's to give.
        assert_eq!(found & !dir_bits, 0, "{found:o} for files of {file_bits:o}");
        assert_eq!(found & 0o700, 0o700);
        Log::remove_segments(&*env.files, &dir).unwrap();
        env.files.remove_dir(&dir).unwrap();
    }
}

#[test]
fn real_files_hold_it_as_well() {
    let env = braid_vfs::Env::real();
    let dir = std::env::temp_dir().join(format!("braid-wal-{}", std::process::id()));
    let mut count = 0;
    for round in 0..3 {
        let options = if round == 1 { plain() } else { small() };
        let scanned =
            crate::Recovery::scan(&*env.files, &dir, UUID, Lsn::FIRST, Lsn::ZERO, &options, |record| {
                assert_eq!(record.tag, count);
                assert_eq!(record.payload, payload(count));
                count += 1;
                Ok::<(), std::convert::Infallible>(())
            });
        let (log, mut appender) = match scanned {
            Ok(recovered) => recovered.into_log(&env, options).unwrap(),
            Err(_) => Log::create(&env, &dir, UUID, options).unwrap(),
        };
        assert_eq!(count, round * 100);
        count = 0;
        for tag in round * 100..round * 100 + 100 {
            append(&mut appender, tag, &payload(tag)).unwrap();
        }
        log.close(appender).unwrap();
    }
    Log::remove_segments(&*env.files, &dir).unwrap();
    env.files.remove_dir(&dir).unwrap();
}

#[test]
fn one_sync_serves_many_threads() {
    let fs = CrashFileSystem::new();
    let (log, appender) = Log::create(&env(&fs, 1), dir(), UUID, LogOptions::default()).unwrap();
    let appender = Arc::new(braid_vfs::sync::Mutex::new(appender));
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let (log, appender) = (Arc::clone(&log), Arc::clone(&appender));
            braid_vfs::sync::thread::spawn(move || {
                for round in 0..100 {
                    let end = append(&mut appender.lock(), thread * 1000 + round, b"payload").unwrap();
                    log.sync_through(end).unwrap();
                    assert!(log.durable() >= end);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let stats = log.stats();
    assert_eq!(stats.records, 800);
    assert!(stats.syncs <= 800);
    let after = fs.crash(CrashChoice::KeepNone);
    let (records, _) = scan(&after, Lsn::FIRST, log.durable()).unwrap();
    assert_eq!(records.len(), 800, "every acknowledged record is on the disk");
}

#[test]
fn futures_wait_for_a_sync_that_the_server_makes() {
    #[derive(Default)]
    struct Alarm(braid_vfs::sync::Event);
    impl Wake for Alarm {
        fn wake(self: Arc<Self>) {
            self.0.set(1);
        }
    }
    let fs = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, LogOptions::default()).unwrap();
    let end = append(&mut appender, 0, b"payload").unwrap();
    let dropped = Arc::new(Alarm::default());
    let mut place = None;
    let waker = Waker::from(Arc::clone(&dropped));
    assert!(log.poll_through(end, &mut place, &waker).is_pending(), "nothing was synced");
    drop(waker);
    log.leave(place.unwrap());
    assert_eq!(Arc::strong_count(&dropped), 1, "one that left is forgotten");

    let (alarm, mut place) = (Arc::new(Alarm::default()), None);
    assert!(log.poll_through(end, &mut place, &Waker::from(Arc::clone(&alarm))).is_pending());
    let server = {
        let log = Arc::clone(&log);
        braid_vfs::sync::thread::spawn(move || log.serve_futures())
    };
    alarm.0.wait();
    assert!(matches!(log.poll_through(end, &mut place, Waker::noop()), Poll::Ready(Ok(()))));
    assert_eq!((log.durable(), log.stats().syncs), (end, 1));
    let other = Arc::new(Alarm::default());
    log.wake_soon(vec![Waker::from(Arc::clone(&other))]);
    other.0.wait();
    log.stop_serving();
    server.join().unwrap();
}

#[test]
fn the_statistics_agree_with_the_log_and_its_files() {
    for options in [small(), plain()] {
        let fs = CrashFileSystem::new();
        let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, options).unwrap();
        let start = log.appended().get();
        for tag in 0..300 {
            append(&mut appender, tag, &payload(tag)).unwrap();
            if tag % 50 == 49 {
                log.sync_now().unwrap();
                log.release_before(log.durable()).unwrap();
            }
            let (stats, files) = (log.stats(), paths(&fs));
            assert_eq!(stats.records, tag + 1);
            assert_eq!(stats.bytes, log.appended().get() - start, "the log's own records count");
            assert_eq!(stats.live_segments + stats.spare_segments, files.len() as u64);
            assert_eq!(stats.created - stats.removed, files.len() as u64);
            assert_eq!(stats.created + stats.recycled, stats.rotations + 1 + stats.spare_segments);
            let lengths = files.iter().map(|path| read(&fs, path).len() as u64);
            assert_eq!(stats.file_bytes, lengths.sum::<u64>());
            assert_eq!(log.retained_bytes() == stats.file_bytes, stats.spare_segments == 0);
            assert!((log.retained_bytes()..=log.retained_bytes() + 2 * 16384).contains(&stats.file_bytes));
        }
        let stats = log.stats();
        assert!(stats.recycled > 0 && stats.removed > 0 && stats.syncs > 0, "{stats:?}");
    }
}

/// What the files of full segments have beyond what is in them, whatever left it unused.
#[test]
fn slack_and_positions_are_the_bytes_of_the_files() {
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, small(), 300, |_| true);
    let check = |log: &Log, from: Lsn| {
        let spans = log.spans();
        let (current, full) = spans.split_last().unwrap();
        let counted: Vec<_> = full.iter().filter(|span| span.end > from).collect();
        let bytes: u64 = counted.iter().map(|span| span.bytes).sum();
        let held: u64 = counted.iter().map(|span| span.end.get() - span.base.get()).sum();
        assert_eq!(log.slack(), bytes - held);
        assert!(log.appended() >= current.base);
        counted.len()
    };
    let full = check(&log, Lsn::ZERO);
    assert!(full > 3 && log.slack() > 0, "each has its header and its end");
    log.sync_now().unwrap();
    drop((log, appender));
    let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
    let (log, mut appender) = recovered.into_log(&env(&fs, 2), small()).unwrap();
    let before = log.slack();
    assert!(check(&log, Lsn::ZERO) > full, "and the last one of that life is over");
    for tag in 300..400 {
        append(&mut appender, tag, &[7; 300]).unwrap();
    }
    assert!(log.slack() > before, "it is kept up");
    check(&log, Lsn::ZERO);
    log.sync_now().unwrap();
    // Those that are kept for readers alone do not count.
    let spans = log.spans();
    for span in [spans[1], spans[3], spans[spans.len() - 1]] {
        log.count_slack_from(span.base);
        check(&log, span.base);
    }
    assert_eq!(log.slack(), 0);
    log.count_slack_from(Lsn::ZERO);
    assert!(log.slack() > before);
    log.release_before(spans[2].base).unwrap();
    log.count_slack_from(spans[2].base);
    check(&log, spans[2].base);
}

#[test]
fn a_spare_is_wanted_from_half_a_segment_on_until_there_is_one() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
    for segment in 0..4 {
        let mut records = 0;
        while !log.wants_preparation() {
            assert!(log.stats().rotations == segment, "asked for before it is needed");
            append(&mut appender, 0, &[1; 52]).unwrap();
            records += 1;
        }
        // Records of 104 bytes; segments of 8192 bytes and then 16384, a block of which is the header's.
        let room = if segment == 0 { 4096 } else { 12288 };
        assert!(
            (room / 2 - 208..=room / 2 + 208).contains(&(records * 104)),
            "{records} in segment {segment}"
        );
        log.prepare(0).unwrap();
        assert!(!log.wants_preparation());
        while log.stats().rotations == segment {
            append(&mut appender, 0, &[1; 52]).unwrap();
            assert!(!log.wants_preparation());
        }
    }
}

#[test]
fn spans_cover_the_log_without_a_gap() {
    let fs = CrashFileSystem::new();
    let (log, _appender) = filled(&fs, small(), 300, |_| false);
    let spans = log.spans();
    assert!(spans.len() > 3);
    assert_eq!(spans[0].base, Lsn::FIRST);
    for pair in spans.windows(2) {
        assert_eq!(pair[0].end, pair[1].base);
        assert!(pair[0].end.get() - pair[0].base.get() <= pair[0].bytes);
    }
    let last = spans[spans.len() - 1];
    assert_eq!(last.end, Lsn::new(u64::MAX), "it takes the appends");
    assert!(last.base < log.appended());
    assert_eq!(spans.iter().map(|span| span.bytes).sum::<u64>(), log.retained_bytes());
}

#[test]
fn what_is_set_aside_holds_no_file_and_no_mapping() {
    let fs = CrashFileSystem::new();
    let (log, _appender) = filled(&fs, small(), 1000, |_| false);
    let held = || {
        let segments = log.segments.lock();
        segments
            .live
            .iter()
            .map(|segment| (segment.file.is_some(), segment.mapping.is_some()))
            .collect::<Vec<_>>()
    };
    let before = held();
    let last = before.len() - 1;
    assert!(last > 6, "there is something to set aside");
    assert!(before.iter().enumerate().all(|(place, &held)| held == (true, place < last)));
    log.set_aside_before(log.appended());
    assert_eq!(held(), before, "nothing that is not durable is set aside");
    log.sync_now().unwrap();
    let spans = log.spans();
    log.set_aside_before(Lsn::new(spans[5].end.get() - 1));
    let after = held();
    let set_aside = |kept: &[(bool, bool)]| kept.iter().take_while(|&&held| held == (false, false)).count();
    assert_eq!(set_aside(&after), 1, "five lie wholly before, four of these stay ready");
    assert_eq!(after[1..], before[1..]);
    log.set_aside_before(spans[5].end);
    assert_eq!(set_aside(&held()), 2);
    assert_eq!(log.spans(), spans, "they are still part of the log");
    let (records, _) = scan(&fs, Lsn::FIRST, log.durable()).unwrap();
    assert_eq!(records.len(), 1000);
}

#[test]
fn syncs_are_timed_by_the_clock_of_the_environment() {
    let fs = CrashFileSystem::new();
    let env = env(&fs, 1);
    let (log, _appender) = Log::create(&env, dir(), UUID, small()).unwrap();
    env.clock.sleep(Duration::from_nanos(1));
    let before = env.clock.now();
    let told = SyncTarget::now(&*log);
    assert!(!before.is_zero() && before <= told && told <= env.clock.now());
}

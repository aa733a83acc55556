//! Syncs and writes that fail.

use std::io;
use std::sync::Arc;

use braid_vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Operation};
use braid_vfs::sync::{Mutex, thread};

use super::helpers::*;
use crate::{AppendError, EncodedRecord, Log, LogError, LogOptions, Lsn, SyncError};

#[test]
fn a_failed_sync_poisons_for_good_and_moves_nothing() {
    let fs = CrashFileSystem::new().under_faults();
    let (log, mut appender) = filled(&fs, small(), 5, |_| true);
    let durable = log.durable();
    let end = append(&mut appender, 5, b"unknown").unwrap();
    fs.faults().inject(Fault::on(Operation::SyncData));
    assert!(matches!(log.sync_through(end), Err(SyncError::Failed(_))));
    let syncs = fs.faults().counters().file_syncs();
    assert!(log.is_poisoned());
    assert!(matches!(log.sync_now(), Err(SyncError::Poisoned(_))));
    assert!(log.sync_through(durable).is_ok(), "what was durable stays so");
    assert_eq!(log.durable(), durable);
    let mut record = EncodedRecord::new();
    assert!(matches!(appender.append(&mut record, 6), Err(AppendError::Poisoned(_))));
    assert!(matches!(appender.append_watermark(), Ok(None) | Err(AppendError::Poisoned(_))));
    assert!(matches!(log.prepare(0), Err(LogError::Poisoned(_))));
    assert!(log.close(appender).is_err());
    assert_eq!(fs.faults().counters().file_syncs(), syncs, "a failed sync is never tried again");
}

#[test]
fn a_commit_waits_for_the_disk_and_is_told_of_its_failure() {
    let fs = CrashFileSystem::new().under_faults();
    let (log, mut appender) = filled(&fs, small(), 1, |_| false);
    let end = append(&mut appender, 1, b"synced").unwrap();
    log.commit_through(end).unwrap();
    assert!(log.durable() >= end);
    let end = append(&mut appender, 2, b"unknown").unwrap();
    fs.faults().inject(Fault::on(Operation::SyncData));
    assert!(matches!(log.commit_through(end), Err(SyncError::Failed(_))));
}

#[test]
fn after_a_failed_sync_reopening_does_not_trust_the_page_cache() {
    for (options, reached) in [small(), plain()].into_iter().flat_map(|options| {
        let choices = [
            CrashChoice::KeepNone,
            CrashChoice::KeepAll,
            CrashChoice::Prefix { changes: 0, bytes: 20 },
            CrashChoice::Subset { seed: 4, unit: 8 },
        ];
        choices.map(|reached| (options, reached))
    }) {
        let fs = CrashFileSystem::new();
        fs.set_failed_sync(reached);
        let faulty = fs.under_faults();
        let (log, mut appender) = filled(&faulty, options, 5, |_| true);
        let end = append(&mut appender, 5, &payload(5)).unwrap();
        faulty.faults().inject(Fault::on(Operation::SyncData));
        log.sync_through(end).unwrap_err();
        drop((log, appender));
        let (records, _) = scan(&fs.after_crash(CrashChoice::KeepAll), Lsn::FIRST, Lsn::ZERO).unwrap();
        assert!((5..=6).contains(&records.len()));
        assert_eq!(records.len() == 6, reached == CrashChoice::KeepAll, "{reached:?}");
        // The record is in the page cache, which passes for clean; only a copy can make it durable.
        let reopened = fs.kill();
        let (records, recovered) = scan(&reopened, Lsn::FIRST, Lsn::ZERO).unwrap();
        assert_eq!(records.len(), 6);
        assert!(recovered.durable < recovered.end);
        recovered.into_log(&env(&reopened, 2), options).unwrap();
        let (records, _) = scan(&reopened.crash(CrashChoice::KeepNone), Lsn::FIRST, Lsn::ZERO).unwrap();
        assert_eq!(records.len(), 6, "once recovery has shown a record, no power cut takes it back");
        assert_prefix(&records);
    }
}

#[test]
fn a_failed_sync_tells_every_thread_and_keeps_what_it_told_before() {
    for failing in 1..12 {
        let fs = CrashFileSystem::new();
        let faulty = fs.under_faults();
        let (log, appender) = Log::create(&env(&faulty, 1), dir(), UUID, LogOptions::default()).unwrap();
        faulty.faults().inject(Fault::on(Operation::SyncData).nth(failing));
        let shared = Arc::new((log, Mutex::new((appender, 0))));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (log, appends) = &*shared;
                    let mut told = 0;
                    loop {
                        let (tag, appended) = {
                            let (appender, next) = &mut *appends.lock();
                            let tag = *next;
                            *next += 1;
                            (tag, append(appender, tag, &payload(tag)))
                        };
                        match appended {
                            Ok(end) if log.sync_through(end).is_ok() => told = tag + 1,
                            Ok(_) | Err(LogError::Append(AppendError::Poisoned(_))) => return told,
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        let told = threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap();
        assert!(shared.0.is_poisoned());
        assert_eq!(faulty.faults().counters().calls(Operation::SyncData), failing);
        let (records, _) = scan(&fs.crash(CrashChoice::KeepNone), Lsn::FIRST, shared.0.durable()).unwrap();
        assert_prefix(&records);
        assert!(records.len() as u64 >= told, "{} of {told}", records.len());
    }
}

#[test]
fn a_segment_stays_until_something_of_the_next_one_is_on_the_disk() {
    let fs = CrashFileSystem::new();
    let faulty = fs.under_faults();
    let (log, mut appender) = Log::create(&env(&faulty, 1), dir(), UUID, short(plain())).unwrap();
    log.prepare(0).unwrap();
    let mut tag = 0;
    // The end of the old segment, the header of the new one, and then the payload.
    while log.stats().rotations == 0 {
        faulty.faults().clear();
        faulty.faults().inject(Fault::on(Operation::Write).nth(3).kind(io::ErrorKind::StorageFull));
        let appended = append(&mut appender, tag, &payload(tag + 1));
        tag += u64::from(appended.is_ok());
        assert_eq!(appended.is_err(), log.stats().rotations == 1, "{appended:?}");
    }
    faulty.faults().clear();
    let end = log.appended();
    log.sync_now().unwrap();
    assert_eq!(log.durable(), end);
    log.release_before(end).unwrap();
    for left in [CrashChoice::KeepNone, CrashChoice::KeepAll] {
        let left = fs.after_crash(left);
        let (records, recovered) = scan(&left, end, end).unwrap();
        assert_eq!((records.len(), recovered.end), (0, end));
        let (log, mut appender) = recovered.into_log(&env(&left, 2), short(plain())).unwrap();
        append(&mut appender, 0, &payload(0)).unwrap();
        log.close(appender).unwrap();
        let (records, _) = scan(&left.crash(CrashChoice::KeepNone), end, end).unwrap();
        assert_prefix(&records);
        assert_eq!(records.len(), 1);
    }
    let synced = append(&mut appender, tag, &payload(tag)).unwrap();
    log.sync_through(synced).unwrap();
    log.release_before(end).unwrap();
    assert_eq!(log.stats().live_segments, 1, "it goes when the next one has a beginning");
    let (records, _) = scan(&fs.crash(CrashChoice::KeepNone), end, synced).unwrap();
    assert_eq!(records, [(tag, payload(tag))]);
}

#[test]
fn a_position_past_the_end_is_refused() {
    let fs = CrashFileSystem::new();
    let (log, _appender) = filled(&fs, small(), 1, |_| false);
    let beyond = Lsn::new(log.appended().get() + 8);
    assert!(matches!(log.sync_through(beyond), Err(SyncError::BeyondEnd { lsn }) if lsn == beyond));
    assert!(!log.is_poisoned());
}

#[test]
fn waiters_fail_when_the_owner_poisons() {
    let fs = CrashFileSystem::new();
    let (log, _appender) = filled(&fs, small(), 1, |_| false);
    log.poison(&Arc::new(io::Error::other("by the test")));
    assert!(matches!(log.sync_now(), Err(SyncError::Poisoned(_))));
}

#[test]
fn what_cannot_be_read_again_is_no_changed_log() {
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, small(), 8, |tag| tag < 4);
    drop((log, appender));
    let fs = fs.kill().under_faults();
    let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
    fs.faults().inject(Fault::on(Operation::Read));
    let error = recovered.into_log(&env(&fs, 2), small()).unwrap_err();
    assert!(matches!(error, LogError::Io { action: "read", .. }), "{error}");
}

#[test]
fn a_full_disk_takes_the_record_back_and_goes_on_when_there_is_room() {
    for quota in 0..400 {
        let fs = CrashFileSystem::new().under_faults();
        let (log, mut appender) = filled(&fs, plain(), 3, |_| true);
        fs.faults().set_writable(Some(quota));
        let mut record = EncodedRecord::new();
        record.begin(KIND);
        record.extend_from_slice(&payload(3));
        let outcome = appender.append(&mut record, 3);
        fs.faults().set_writable(None);
        let expected = match outcome {
            Ok(_) => {
                assert!(quota >= record.size());
                4
            }
            Err(AppendError::Io(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                let (records, _) = scan(&fs, Lsn::FIRST, log.durable()).unwrap();
                assert_eq!(records.len(), 3, "nothing of it is there");
                append(&mut appender, 3, &payload(3)).unwrap();
                4
            }
            Err(AppendError::InDoubt(_)) => {
                // A part of the header arrived; whether the rest was zeros anyhow is not known until it is read.
                assert!(log.is_poisoned());
                let (records, _) = scan(&fs, Lsn::FIRST, log.durable()).unwrap();
                assert_prefix(&records);
                assert!((3..=4).contains(&records.len()));
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let (records, _) = scan(&fs, Lsn::FIRST, log.durable()).unwrap();
        assert_prefix(&records);
        assert_eq!(records.len(), expected);
    }
}

#[test]
fn a_segment_is_as_long_as_there_is_room_for() {
    const BLOCK: u64 = 4096;
    let options = LogOptions { first_segment_bytes: 2 * BLOCK, max_segment_bytes: 64 * BLOCK, ..small() };
    let mut made = Vec::new();
    for (room, needed) in [(64, 0), (40, 0), (15, 0), (2, 0), (1, 0), (64, 20 * BLOCK), (21, 20 * BLOCK)] {
        let fs = CrashFileSystem::new().under_faults();
        let (log, mut appender) = filled(&fs, options, 0, |_| true);
        // Each segment is usually twice as long as the one before.
        while log.stats().file_bytes < 100 * BLOCK {
            append(&mut appender, 1, &[7; 3000]).unwrap();
        }
        let before = (fs.faults().bytes_used(), paths(&fs));
        fs.faults().set_quota(Some(before.0 + room * BLOCK));
        let outcome = loop {
            match append(&mut appender, 1, &vec![7; if needed == 0 { 3000 } else { needed as usize }]) {
                Ok(_) if fs.faults().bytes_used() > before.0 => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        let taken = (fs.faults().bytes_used() - before.0) / BLOCK;
        if let Err(error) = &outcome {
            assert!(matches!(error, LogError::Io { .. }), "{error}");
            assert_eq!((taken, paths(&fs)), (0, before.1), "nothing is left behind");
            fs.faults().set_quota(None);
            append(&mut appender, 1, &[7; 3000]).unwrap();
        }
        made.push(taken);
        log.sync_now().unwrap();
    }
    assert_eq!(made, [64, 32, 8, 2, 0, 64, 0]);
}

/// A disk that has no room for this much is full: who owns the log is to give something back, not to go on in crumbs.
#[test]
fn no_segment_is_shorter_than_is_of_use() {
    for (room, made) in [(15, None), (16, Some(16))] {
        let fs = CrashFileSystem::new().under_faults();
        let options = LogOptions { first_segment_bytes: 128 << 10, max_segment_bytes: 128 << 10, ..plain() };
        let (log, _appender) = filled(&fs, options, 0, |_| true);
        fs.faults().set_quota(Some(fs.faults().bytes_used() + room * 4096));
        let outcome = log.prepare(0);
        let made_of = outcome.is_ok().then(|| log.stats().spare_bytes / 4096);
        assert_eq!(made_of, made, "room for {room} blocks: {outcome:?}");
    }
}

/// What another failure says of a long segment it says of a short one as well: it is told, and the next segment is as
/// long as ever.
#[test]
fn only_a_full_disk_makes_segments_shorter() {
    use io::ErrorKind::{FileTooLarge, Other, PermissionDenied, QuotaExceeded, StorageFull};
    let steps = [Operation::Open, Operation::Write, Operation::SyncAll, Operation::SyncDir];
    let made = |step, kind| {
        let fs = CrashFileSystem::new().under_faults();
        let (log, _appender) = filled(&fs, plain(), 3, |_| true);
        let before = paths(&fs);
        fs.faults().inject(Fault::on(step).kind(kind));
        let outcome = log.prepare(0);
        assert_eq!(fs.faults().fired(), 1, "{step:?} is a step of making one");
        if let Err(error) = &outcome {
            assert!(matches!(error, LogError::Io { action: "prepare", source, .. } if source.kind() == kind));
            assert_eq!(paths(&fs), before, "nothing is left behind");
            log.prepare(0).unwrap();
        }
        (outcome.is_ok(), log.stats().spare_bytes)
    };
    for step in steps {
        for kind in [Other, PermissionDenied] {
            assert_eq!(made(step, kind), (false, 16384), "{step:?}, {kind}");
        }
        for kind in [StorageFull, QuotaExceeded, FileTooLarge] {
            assert_eq!(made(step, kind), (true, 8192), "{step:?}, {kind}");
        }
    }
}

/// Whichever of its writes it is that finds the disk, or the user's share of it, full.
#[test]
fn a_write_without_room_takes_the_record_back() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        for nth in 1.. {
            let fs = CrashFileSystem::new().under_faults();
            let (log, mut appender) = filled(&fs, plain(), 3, |_| true);
            fs.faults().inject(Fault::on(Operation::Write).kind(kind).nth(nth));
            let outcome = append(&mut appender, 3, &payload(3));
            if fs.faults().fired() == 0 {
                assert!(nth > 2, "a record takes two writes");
                break;
            }
            assert!(matches!(outcome, Err(LogError::Append(AppendError::Io(_)))), "write {nth}: {outcome:?}");
            assert!(!log.is_poisoned());
            append(&mut appender, 3, &payload(3)).unwrap();
        }
    }
}

#[test]
fn a_segment_that_cannot_be_made_leaves_nothing() {
    let fs = CrashFileSystem::new().under_faults();
    let (log, mut appender) = filled(&fs, small(), 3, |_| true);
    let used = fs.faults().bytes_used();
    let before = paths(&fs);
    for quota in [0, 1, 4096, 8191] {
        fs.faults().set_quota(Some(used + quota));
        let refused = log.prepare(0).unwrap_err();
        let LogError::Io { source, .. } = refused else { panic!("{refused}") };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        assert_eq!(paths(&fs), before);
        assert_eq!(fs.faults().bytes_used(), used);
    }
    fs.faults().set_quota(None);
    log.prepare(0).unwrap();
    append(&mut appender, 3, &payload(3)).unwrap();
    log.sync_now().unwrap();
}

#[test]
fn positions_run_out_with_an_error() {
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, small(), 1, |_| true);
    drop((log, appender));
    let bytes = read(&fs, &segment(1));
    put(&fs, &segment(u64::MAX), &vec![0; bytes.len()]);
    let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
    assert!(matches!(recovered.into_log(&env(&fs, 2), small()), Err(LogError::Exhausted)));
}

#[test]
fn the_last_positions_can_be_used_and_no_more() {
    let fs = CrashFileSystem::new();
    drop(filled(&fs, small(), 1, |_| true));
    let bytes = read(&fs, &segment(1)).len();
    let base = u64::MAX - 7 - 200_000;
    let header = crate::segment::SegmentHeader {
        uuid: UUID,
        sequence: 1,
        base,
        salt: 7,
        durable: base,
        previous: 0,
        recycled: false,
        bytes: bytes as u64,
    };
    let mut image = vec![0; bytes];
    let header = header.encode();
    image[..header.len()].copy_from_slice(&header);
    put(&fs, &segment(1), &image);
    let (log, mut appender) =
        scan(&fs, Lsn::new(base), Lsn::ZERO).unwrap().1.into_log(&env(&fs, 2), small()).unwrap();
    let mut end = log.appended();
    let refused = loop {
        match append(&mut appender, 1, &[1; 1000]) {
            Ok(appended) => {
                assert!(appended > end);
                end = appended;
            }
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, LogError::Exhausted | LogError::Append(AppendError::Exhausted)), "{refused}");
    assert!(end.get() > u64::MAX - 40_000, "{end}: all but the last segment is used");
    log.sync_through(end).unwrap();
    assert!(append(&mut appender, 1, &[1; 1000]).is_err());
}

#[test]
fn the_log_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Arc<Log>>();
    sent::<crate::Appender>();
}

#[test]
fn one_spare_that_cannot_be_removed_keeps_no_other() {
    let crash = CrashFileSystem::new();
    let fs = crash.under_faults();
    let options = LogOptions { max_spare_bytes: 1 << 20, ..small() };
    let (log, _appender) = filled(&fs, options, 300, |_| true);
    log.release_before(log.durable()).unwrap();
    let (spares, files) = (log.stats().spare_segments, paths(&crash).len());
    assert!(spares > 3, "{spares}");
    fs.faults().inject(Fault::on(Operation::Remove));
    assert!(matches!(log.give_back_spares(), Err(LogError::Io { .. })));
    assert_eq!((log.stats().spare_segments, paths(&crash).len() as u64), (0, files as u64 - spares + 1));
}

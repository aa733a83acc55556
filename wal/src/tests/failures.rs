//! Syncs and writes that fail.

use std::sync::Arc;

use super::crash_fs::{CrashFs, Cut};
use super::helpers::*;
use crate::{AppendError, EncodedRecord, Log, LogError, Lsn, SyncError};
use braid_vfs::memory::SeededRandom;

#[test]
fn a_failed_sync_poisons_for_good_and_moves_nothing() {
    let fs = CrashFs::new();
    let (log, mut appender) = filled(&fs, small(), 5, |_| true);
    let durable = log.durable();
    let end = append(&mut appender, 5, b"unknown").unwrap();
    fs.fail_sync(0);
    assert!(matches!(log.sync_through(end), Err(SyncError::Failed(_))));
    assert!(log.is_poisoned());
    assert!(matches!(log.sync_now(), Err(SyncError::Poisoned)));
    assert!(log.sync_through(durable).is_ok(), "what was durable stays so");
    assert_eq!(log.durable(), durable);
    let mut record = EncodedRecord::new();
    assert!(matches!(appender.append(&mut record, 6), Err(AppendError::Poisoned)));
    assert!(matches!(appender.append_watermark(), Ok(None) | Err(AppendError::Poisoned)));
    assert!(matches!(log.prepare(0), Err(LogError::Poisoned)));
    assert!(log.close(appender).is_err());
}

#[test]
fn after_a_failed_sync_reopening_does_not_trust_the_page_cache() {
    let fs = CrashFs::new();
    let (log, mut appender) = filled(&fs, small(), 5, |_| true);
    let end = append(&mut appender, 5, &payload(5)).unwrap();
    fs.fail_sync(0);
    log.sync_through(end).unwrap_err();
    drop((log, appender));
    // The record is in the page cache, which now passes for clean; only a copy can make it durable.
    let reopened = fs.killed();
    let (records, recovered) = scan(&reopened, Lsn::FIRST, Lsn::ZERO).unwrap();
    assert_eq!(records.len(), 6);
    assert!(recovered.durable < recovered.end);
    recovered.into_log(&env(&reopened, 2), small()).unwrap();
    let (records, _) =
        scan(&reopened.cut(Cut::Nothing, &SeededRandom::new(1)), Lsn::FIRST, Lsn::ZERO).unwrap();
    assert_eq!(records.len(), 6, "once recovery has shown a record, no power cut takes it back");
    assert_prefix(&records);
}

#[test]
fn a_position_past_the_end_is_refused() {
    let fs = CrashFs::new();
    let (log, _appender) = filled(&fs, small(), 1, |_| false);
    let beyond = Lsn::new(log.appended().get() + 8);
    assert!(matches!(log.sync_through(beyond), Err(SyncError::BeyondEnd { lsn }) if lsn == beyond));
    assert!(!log.is_poisoned());
}

#[test]
fn waiters_fail_when_the_owner_poisons() {
    let fs = CrashFs::new();
    let (log, _appender) = filled(&fs, small(), 1, |_| false);
    log.poison();
    assert!(matches!(log.sync_now(), Err(SyncError::Poisoned)));
}

#[test]
fn a_full_disk_takes_the_record_back_and_goes_on_when_there_is_room() {
    for quota in 0..400 {
        let fs = CrashFs::new();
        let (log, mut appender) = filled(&fs, plain(), 3, |_| true);
        fs.set_quota(Some(quota));
        let mut record = EncodedRecord::new();
        record.begin(KIND);
        record.extend_from_slice(&payload(3));
        let outcome = appender.append(&mut record, 3);
        fs.set_quota(None);
        let expected = match outcome {
            Ok(_) => {
                assert!(quota as u64 >= record.size());
                4
            }
            Err(AppendError::Io(error)) => {
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
                let (records, _) = scan(&fs, Lsn::FIRST, log.durable()).unwrap();
                assert_eq!(records.len(), 3, "nothing of it is there");
                append(&mut appender, 3, &payload(3)).unwrap();
                4
            }
            Err(AppendError::Poisoned) => {
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
fn a_segment_that_cannot_be_made_leaves_nothing() {
    let fs = CrashFs::new();
    let (log, mut appender) = filled(&fs, small(), 3, |_| true);
    let before = fs.paths();
    for quota in [0, 1, 4096, 16383] {
        fs.set_quota(Some(quota));
        assert!(matches!(log.prepare(0), Err(LogError::Io { .. })));
        assert_eq!(fs.paths(), before);
    }
    fs.set_quota(None);
    log.prepare(0).unwrap();
    append(&mut appender, 3, &payload(3)).unwrap();
    log.sync_now().unwrap();
}

#[test]
fn positions_run_out_with_an_error() {
    let fs = CrashFs::new();
    let (log, appender) = filled(&fs, small(), 1, |_| true);
    drop((log, appender));
    let bytes = fs.read(&segment(1));
    fs.put(&segment(u64::MAX), &vec![0; bytes.len()]);
    let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
    assert!(matches!(recovered.into_log(&env(&fs, 2), small()), Err(LogError::Exhausted)));
}

#[test]
fn the_log_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Arc<Log>>();
    sent::<crate::Appender>();
}

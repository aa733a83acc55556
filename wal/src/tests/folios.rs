//! How long the writes are that fill a segment, and which segments are left, or not used again, for that.

use std::io;
use std::sync::Arc;
use std::task::Waker;

use braid_vfs::FileSystem;
use braid_vfs::faulty::{CrashFileSystem, Fault, Operation};

use super::helpers::*;
use crate::{Appender, Log, LogOptions};

/// With a first segment of a megabyte and longer ones of up to so many, as many of which are used again as may be.
fn of_megabytes(most: u64, options: LogOptions) -> LogOptions {
    LogOptions {
        first_segment_bytes: 1 << 20,
        max_segment_bytes: most << 20,
        max_spare_bytes: u64::MAX,
        ..options
    }
}

/// Appends a megabyte of records, with a sync after each where `synced`.
fn append_a_megabyte(log: &Log, appender: &mut Appender, synced: bool) {
    for tag in 0..1024 {
        let end = append(appender, tag, &[7; 960]).unwrap();
        if synced {
            log.sync_through(end).unwrap();
        }
    }
}

#[test]
fn writes_that_fill_a_segment_are_short_beside_what_a_sync_writes() {
    for (synced, writes) in [(true, 256), (false, 16)] {
        let fs = CrashFileSystem::new().under_faults();
        let options = of_megabytes(1, small());
        let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, options).unwrap();
        for _ in 0..3 {
            append_a_megabyte(&log, &mut appender, synced);
        }
        let last = log.spans().len();
        assert!(last > 2, "one of the segments was made with a megabyte behind it");
        let name = segment(last as u64);
        let written = fs.faults().counters().calls_on(Operation::Write, name.to_str().unwrap());
        assert_eq!(written, writes, "synced: {synced}");
        assert_eq!(read(&fs, &name).len(), 1 << 20);
    }
}

#[test]
fn segments_of_a_log_that_was_synced_far_less_often_are_not_used_again() {
    let fs = CrashFileSystem::new();
    let options = of_megabytes(1, small());
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, options).unwrap();
    let mut release_after = |synced, megabytes| {
        let before = log.stats();
        for _ in 0..megabytes {
            append_a_megabyte(&log, &mut appender, synced);
        }
        log.sync_now().unwrap();
        log.release_before(log.durable()).unwrap();
        let after = log.stats();
        (after.recycled - before.recycled, after.removed - before.removed)
    };
    let (recycled, removed) = release_after(true, 4);
    assert!(recycled > 0 && removed == 0, "all have short folios: {recycled}, {removed}");
    for synced in [false, true] {
        let (_, removed) = release_after(synced, 4);
        assert!(removed > 0, "those with folios of the wrong length go; synced: {synced}");
        // The one that was in use when the wrong ones went.
        release_after(synced, 4);
        let (recycled, removed) = release_after(synced, 4);
        assert!(
            recycled > 0 && removed == 0,
            "others are used again: {recycled}, {removed}; synced: {synced}"
        );
    }
}

/// A log that was hardly ever synced for some megabytes, with segments of two.
fn hardly_synced(files: &(impl FileSystem + Clone + 'static), options: LogOptions) -> (Arc<Log>, Appender) {
    let options = of_megabytes(2, options);
    let (log, mut appender) = Log::create(&env(files, 1), dir(), UUID, options).unwrap();
    for _ in 0..8 {
        append_a_megabyte(&log, &mut appender, false);
    }
    let rotations = log.stats().rotations;
    while log.stats().rotations == rotations {
        append(&mut appender, 0, &[7; 960]).unwrap();
    }
    log.sync_now().unwrap();
    log.release_before(log.durable()).unwrap();
    (log, appender)
}

/// Appends and syncs records, with what the background does, until appends go on in another segment.
fn sync_each_until_it_rotates(log: &Log, appender: &mut Appender) -> u64 {
    let rotations = log.stats().rotations;
    (0..)
        .find(|&tag| {
            let end = append(appender, tag, &payload(tag)).unwrap();
            log.commit_through(end).unwrap();
            if log.wants_preparation() {
                log.prepare(0).unwrap();
                assert!(!log.wants_preparation(), "it is asked for once");
            }
            log.stats().rotations > rotations
        })
        .unwrap()
}

#[test]
fn a_segment_is_left_early_where_its_folios_make_syncs_longer() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = hardly_synced(&fs, small());
    let (start, spares) = (log.appended(), log.stats().spare_segments);
    assert!(spares > 1, "there are others like it");
    let records = sync_each_until_it_rotates(&log, &mut appender);
    assert!((200..300).contains(&records), "after a few hundred syncs: {records}");
    assert_eq!(log.stats().spare_segments, 0, "those like it are gone");
    assert_eq!(log.spans().last().unwrap().bytes, 1 << 20, "a short one is made sooner");
    let again = sync_each_until_it_rotates(&log, &mut appender);
    assert!(again > 3000, "the other one is filled: {again}");
    let (recovered, _) = scan(&fs.kill(), start, log.durable()).unwrap();
    assert_eq!(recovered.len() as u64, records + 1 + again + 1);
}

#[test]
fn a_segment_is_not_left_for_syncs_that_no_commit_waits_for() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = hardly_synced(&fs, small());
    let rotations = log.stats().rotations;
    for tag in 0..1000 {
        append(&mut appender, tag, &payload(tag)).unwrap();
        log.sync_now().unwrap();
        assert!(!log.wants_preparation());
    }
    assert_eq!(log.stats().rotations, rotations);
}

#[test]
fn a_segment_is_left_for_syncs_that_futures_wait_for() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = hardly_synced(&fs, small());
    let asked = (0..1000).find(|&tag| {
        let end = append(&mut appender, tag, &payload(tag)).unwrap();
        let mut place = None;
        assert!(log.poll_commit_through(end, &mut place, Waker::noop()).is_pending());
        log.sync_through(end).unwrap();
        log.wants_preparation()
    });
    assert_eq!(asked, Some(255));
}

#[test]
fn a_segment_without_a_mapping_is_not_left_early() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = hardly_synced(&fs, plain());
    let records = sync_each_until_it_rotates(&log, &mut appender);
    assert!(records > 1000, "a plain write marks no more dirty than it writes: {records}");
}

#[test]
fn a_segment_with_long_folios_will_do_where_the_disk_is_full() {
    let fs = CrashFileSystem::new().under_faults();
    let (log, mut appender) = hardly_synced(&fs, small());
    let before = log.stats();
    assert!(before.spare_segments > 1);
    fs.faults().inject(Fault::on(Operation::Create).kind(io::ErrorKind::StorageFull).sticky());
    let records = sync_each_until_it_rotates(&log, &mut appender);
    assert!(records > 1000, "it is filled: {records}");
    let after = log.stats();
    assert_eq!(after.created, before.created);
    assert_eq!(after.spare_segments, before.spare_segments - 1, "and the next like it is used");
}

/// Appends and syncs a thousand records, with what the background does; how often it was asked.
fn sync_each_of_a_thousand(log: &Log, appender: &mut Appender) -> usize {
    let is_asked = |tag| {
        let end = append(appender, tag, &payload(tag)).unwrap();
        log.commit_through(end).unwrap();
        let asked = log.wants_preparation();
        if asked {
            let _ = log.prepare(0);
        }
        asked
    };
    (0..1000).map(is_asked).filter(|asked| *asked).count()
}

#[test]
fn a_long_segment_is_not_left_for_a_short_one_that_takes_the_last_room() {
    for spares in [false, true] {
        let fs = CrashFileSystem::new().under_faults();
        let (log, mut appender) = hardly_synced(&fs, small());
        if !spares {
            log.give_back_spares().unwrap();
        }
        let before = log.stats();
        assert_eq!(before.spare_segments > 1, spares);
        fs.faults().set_quota(Some(fs.faults().bytes_used() + (200 << 10)));
        let asked = sync_each_of_a_thousand(&log, &mut appender);
        assert_eq!(asked, 3, "after a few hundred syncs each");
        let after = log.stats();
        assert_eq!(after.rotations, before.rotations, "what is ready is used");
        assert_eq!(after.removed, before.removed);
        assert_eq!(
            after.created,
            before.created + u64::from(!spares),
            "where nothing is ready, that much is"
        );
    }
}

#[test]
fn a_segment_is_not_left_for_folios_that_are_little_shorter() {
    let fs = CrashFileSystem::new();
    let options = of_megabytes(2, small());
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, options).unwrap();
    for tag in 0..3200 {
        let end = append(&mut appender, tag, &[7; 960]).unwrap();
        if tag % 100 == 0 {
            log.sync_through(end).unwrap();
        }
    }
    log.sync_now().unwrap();
    log.release_before(log.durable()).unwrap();
    let filled_by: Vec<_> = log.segments.lock().live.iter().map(|segment| segment.filled_by).collect();
    assert_eq!(filled_by, [16 << 10]);
    log.give_back_spares().unwrap();
    let before = log.stats();
    assert_eq!(sync_each_of_a_thousand(&log, &mut appender), 0, "nothing is asked for");
    let after = log.stats();
    assert_eq!((after.rotations, after.created), (before.rotations, before.created));
    log.prepare(0).unwrap();
    assert_eq!(log.stats().spare_bytes, 2 << 20, "as long as is usual");
}

#[test]
fn a_segment_with_shorter_folios_is_not_asked_for_at_every_commit_where_none_can_be_made() {
    let fs = CrashFileSystem::new().under_faults();
    let (log, mut appender) = hardly_synced(&fs, small());
    log.give_back_spares().unwrap();
    fs.faults().inject(Fault::on(Operation::Create).kind(io::ErrorKind::StorageFull).sticky());
    let asked = sync_each_of_a_thousand(&log, &mut appender);
    assert_eq!(asked, 3, "after a few hundred syncs each");
    assert!(log.prepare(0).is_err(), "nothing is ready");
}

#[test]
fn what_is_prepared_takes_the_record_whatever_its_folios() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = hardly_synced(&fs, small());
    while !log.wants_preparation() {
        let end = append(&mut appender, 0, &[]).unwrap();
        log.commit_through(end).unwrap();
    }
    // Behind those with long folios a short one that suits.
    let spare = crate::segment::prepare(&fs, dir(), 1000, 64 << 10, 4096, &small()).unwrap();
    log.segments.lock().spares.push_back(spare);
    log.prepare(600 << 10).unwrap();
    let segments = log.segments.lock();
    let next = segments.spares.front().map(|next| (next.bytes, next.filled_by));
    assert_eq!(next, Some((1 << 20, 4096)));
}

#[test]
fn a_log_of_plain_writes_uses_its_segments_again_whatever_filled_them() {
    let fs = CrashFileSystem::new();
    let options = of_megabytes(1, plain());
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, options).unwrap();
    for synced in [false, true, false] {
        for _ in 0..4 {
            append_a_megabyte(&log, &mut appender, synced);
        }
        log.sync_now().unwrap();
        log.release_before(log.durable()).unwrap();
    }
    assert_eq!(log.stats().removed, 0);
    assert!(log.stats().recycled > 6);
}

//! A disk that does not give some of its sectors any more: salvage goes on around them, a scan does not.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::ops::Range;

use braid_vfs::faulty::{CrashFileSystem, Fault, FaultyFileSystem, Operation};

use super::helpers::*;
use crate::{LogOptions, Lsn, Recovery, RecoveryError, Salvage, ScanError};

/// What the file layer gives at once, which is less than what a salvage reads at least.
const SECTOR: u64 = 512;

/// What a salvage reads at least.
const UNIT: u64 = 4096;

/// Segments of which each is read in several pieces.
fn options() -> LogOptions {
    LogOptions { first_segment_bytes: 16 << 10, max_segment_bytes: 160 << 10, ..LogOptions::default() }
}

/// What is skipped: segment, bytes of it, and how many of them cannot be read.
type Skipped = Vec<(u64, Range<u64>, u64)>;

/// What a salvage gives: the place of each record, and what it skips. All else that is missing is a segment of no bytes.
fn salvage(files: &FaultyFileSystem) -> Result<(BTreeMap<u64, Range<u64>>, Skipped), RecoveryError> {
    let (mut records, mut skipped) = (BTreeMap::new(), Vec::new());
    let salvaged = Recovery::salvage(files, dir(), UUID, Lsn::FIRST, Lsn::ZERO, &options(), |piece| {
        match piece {
            Salvage::Record(record) => {
                assert_eq!(record.payload, payload(record.tag));
                let before = records.last_key_value().map(|(tag, _)| *tag);
                assert!(before < Some(record.tag), "in order, each once");
                records.insert(record.tag, record.lsn.get()..record.end.get());
            }
            Salvage::Skipped { segment, offset, bytes, unreadable } => {
                skipped.push((segment, offset..offset + bytes, unreadable));
            }
            Salvage::SkippedSegment { segment } => skipped.push((segment, 0..0, 0)),
            Salvage::Missing { .. } => skipped.push((0, 0..0, 0)),
        }
        Ok::<(), Infallible>(())
    });
    match salvaged {
        Ok(_) => Ok((records, skipped)),
        Err(ScanError::Recovery(error)) => Err(error),
        Err(ScanError::Stopped(never)) => match never {},
    }
}

/// A log of some segments, closed or not, its files, and how many records it holds.
fn log(closed: bool) -> (FaultyFileSystem, u64) {
    let fs = CrashFileSystem::new();
    let count = 1200;
    let (log, appender) = filled(&fs, options(), count, |tag| tag % 7 == 0);
    log.sync_now().unwrap();
    assert!(log.stats().rotations >= 2);
    if closed {
        log.close(appender).unwrap();
    }
    (fs.under_faults(), count)
}

/// Where in the file a segment's positions begin.
fn bases(files: &FaultyFileSystem) -> Vec<u64> {
    let base = |path: &std::path::PathBuf| {
        let bytes = read(files, path);
        crate::segment::SegmentHeader::decode(
            bytes[..crate::segment::HEADER_FIELD_BYTES].first_chunk().unwrap(),
        )
    };
    let header = |state| match state {
        crate::segment::HeaderState::Valid(header) => header.base,
        state => panic!("{state:?}"),
    };
    paths(files).iter().map(base).map(header).collect()
}

fn bad(path: &std::path::Path, bytes: Range<u64>) -> Fault {
    Fault::on(Operation::Read).on_paths_ending(&path.to_string_lossy()).on_bytes(bytes).sticky()
}

#[test]
fn salvage_gives_all_that_lies_in_no_bad_sector_and_tells_of_it() {
    for closed in [false, true] {
        let (files, count) = log(closed);
        let faults = files.faults();
        let (whole, skipped) = salvage(&files).unwrap();
        assert_eq!((whole.len() as u64, skipped), (count, vec![]));
        let bases = bases(&files);
        let (mut lost, mut none) = (0, 0);
        for (index, path) in paths(&files).iter().enumerate() {
            let segment = index as u64 + 1;
            let base = bases[index];
            let end = bases.get(index + 1).copied().unwrap_or(u64::MAX);
            let len = read(&files, path).len() as u64;
            for start in (0..len).step_by(SECTOR as usize) {
                // Each in the first segment, of the long ones some.
                if segment > 1 && start > UNIT && !(start / SECTOR).is_multiple_of(11) {
                    continue;
                }
                let context = format!("closed {closed}, segment {segment}, sector at {start}");
                faults.inject(bad(path, start..start + SECTOR));
                let error = scan(&files, Lsn::FIRST, Lsn::ZERO).map(|(records, _)| records.len());
                // Of the header's block only the header is read.
                let used = !(1..UNIT).contains(&start)
                    && whole
                        .values()
                        .any(|at| (base..end).contains(&at.start) && at.end - base + UNIT > start);
                assert!(
                    matches!(error, Err(RecoveryError::Io { action: "read", .. })) || !used,
                    "{context}: {error:?}"
                );
                let (saved, skipped) = salvage(&files).unwrap();
                faults.clear();
                let unit = start / UNIT * UNIT..start / UNIT * UNIT + UNIT;
                let hit = |at: &Range<u64>| {
                    (base..end).contains(&at.start)
                        && at.start - base + UNIT < unit.end
                        && at.end - base + UNIT > unit.start
                };
                let mut expected = whole.clone();
                expected.retain(|_, at| !hit(at));
                assert_eq!(saved, expected, "{context}");
                let told = skipped.iter().any(|(at, bytes, unreadable)| {
                    *at == segment && bytes.start < unit.end && bytes.end > unit.start && *unreadable > 0
                });
                assert!(told || saved.len() == whole.len(), "{context}: {skipped:?}");
                assert_eq!(skipped.is_empty(), !told, "{context}: nothing else is lost, {skipped:?}");
                assert!(!told || start >= UNIT, "{context}: a header is found again");
                if saved.len() < whole.len() { lost += 1 } else { none += 1 }
            }
        }
        assert!(lost > 20 && none > 8, "{lost} {none}");
    }
}

#[test]
fn what_cannot_be_read_behind_the_last_record_is_told() {
    let (files, _) = log(false);
    let faults = files.faults();
    let path = paths(&files).pop().unwrap();
    let len = read(&files, &path).len() as u64;
    faults.inject(bad(&path, len - 100..len));
    let (records, skipped) = salvage(&files).unwrap();
    assert_eq!(records.len(), 1200);
    let segment = paths(&files).len() as u64;
    assert_eq!(skipped, [(segment, len - UNIT..len, UNIT)], "there may have been more");
    // Where it was closed there was not.
    let (files, _) = log(true);
    files.faults().inject(bad(&path, len - 100..len));
    assert_eq!(salvage(&files).unwrap().1, []);
}

#[test]
fn an_error_that_passes_loses_nothing() {
    let (files, count) = log(false);
    let faults = files.faults();
    for nth in 1.. {
        let fired = faults.fired();
        faults.inject(Fault::on(Operation::Read).nth(nth));
        let (records, skipped) = salvage(&files).unwrap();
        faults.clear();
        assert_eq!((records.len() as u64, skipped), (count, vec![]), "read {nth}");
        if faults.fired() == fired {
            assert!(nth > 10);
            break;
        }
    }
}

#[test]
fn a_sector_is_not_asked_for_again_and_again() {
    let (files, _) = log(false);
    let faults = files.faults();
    faults.inject(bad(&segment(2), UNIT..UNIT + 1));
    salvage(&files).unwrap();
    assert!(faults.fired() <= 3, "{}", faults.fired());
}

#[test]
fn a_segment_of_which_nothing_can_be_read_is_told() {
    let (files, count) = log(false);
    let faults = files.faults();
    for (index, path) in paths(&files).iter().enumerate() {
        faults.inject(bad(path, 0..u64::MAX));
        let (records, skipped) = salvage(&files).unwrap();
        faults.clear();
        assert!(!records.is_empty() && (records.len() as u64) < count, "{path:?}");
        assert!(skipped.contains(&(index as u64 + 1, 0..0, 0)), "{path:?}: {skipped:?}");
    }
}

#[test]
fn an_error_that_is_the_same_everywhere_is_the_answer() {
    let (files, _) = log(false);
    let faults = files.faults();
    for (fault, action, kind) in [
        (Fault::on(Operation::Read).sticky(), "read", None),
        (
            Fault::on(Operation::Read).kind(ErrorKind::PermissionDenied).sticky(),
            "read",
            Some(ErrorKind::PermissionDenied),
        ),
        (
            Fault::on(Operation::Open).kind(ErrorKind::PermissionDenied).sticky(),
            "open",
            Some(ErrorKind::PermissionDenied),
        ),
        // What there is no memory for may well be on the disk.
        (
            Fault::on(Operation::Read).kind(ErrorKind::OutOfMemory).nth(3),
            "read",
            Some(ErrorKind::OutOfMemory),
        ),
    ] {
        faults.inject(fault);
        let error = salvage(&files).unwrap_err();
        faults.clear();
        let RecoveryError::Io { action: tried, source, .. } = error else { panic!("{error}") };
        assert_eq!(tried, action);
        assert!(kind.is_none_or(|kind| source.kind() == kind), "{source}");
    }
}

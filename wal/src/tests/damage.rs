//! Every bit, every length: damage is either refused, or is a tail of which nothing was proven.

use std::convert::Infallible;
use std::sync::Arc;

use braid_vfs::FileSystem as _;
use braid_vfs::faulty::CrashFileSystem;

use super::helpers::*;
use crate::record::{HEADER_BYTES, HeaderKey, RecordHeader};
use crate::segment::HEADER_FIELD_BYTES;
use crate::{CutTail, Damage, Log, LogOptions, Lsn, Recovery, RecoveryError, Salvage};

/// Where a position is in the first segment, whose first record begins a block into the file.
fn place_of(lsn: u64) -> usize {
    (lsn - Lsn::FIRST.get()) as usize + 4096
}

/// Records of a few bytes in one segment, the first `synced` of them proven so by those after them.
fn tiny(fs: &CrashFileSystem, synced: u64, after: u64) -> (Lsn, Lsn) {
    let (log, mut appender) = Log::create(&env(fs, 1), dir(), UUID, small()).unwrap();
    for tag in 0..synced {
        append(&mut appender, tag, &payload(tag)).unwrap();
    }
    log.sync_now().unwrap();
    let proven = log.durable();
    for tag in synced..synced + after {
        append(&mut appender, tag, &payload(tag)).unwrap();
    }
    (proven, log.appended())
}

#[test]
fn no_flipped_bit_loses_a_proven_record_silently() {
    let fs = CrashFileSystem::new();
    let (proven, end) = tiny(&fs, 4, 2);
    let good = read(&fs, &segment(1));
    let mut refused = 0;
    // With FIRST at 4096 a position in the first segment is its offset.
    for byte in (0..128).chain(4096..end.get() as usize) {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[byte] ^= 1 << bit;
            put(&fs, &segment(1), &bad);
            match scan(&fs, Lsn::FIRST, Lsn::ZERO) {
                Ok((records, recovered)) => {
                    assert_prefix(&records);
                    assert!(byte as u64 >= proven.get(), "byte {byte} bit {bit} was synced");
                    assert!(recovered.end >= proven);
                    assert!(recovered.end <= end);
                }
                Err(RecoveryError::Corrupt { .. }) => refused += 1,
                Err(error) => panic!("byte {byte} bit {bit}: {error}"),
            }
        }
    }
    // The damage to the header and to everything proven, and no other.
    assert!(refused >= (128 + proven.get() - 4096) * 8);
}

#[test]
fn with_the_callers_proof_or_a_close_no_bit_is_lost() {
    for close in [false, true] {
        let fs = CrashFileSystem::new();
        let (log, appender) = filled(&fs, small(), 6, |_| false);
        log.sync_now().unwrap();
        let end = log.durable();
        let proven = if close {
            log.close(appender).unwrap();
            Lsn::ZERO
        } else {
            end
        };
        let good = read(&fs, &segment(1));
        for byte in 4096..end.get() as usize {
            let mut bad = good.clone();
            bad[byte] ^= 0x10;
            put(&fs, &segment(1), &bad);
            let error = scan(&fs, Lsn::FIRST, proven).unwrap_err();
            assert!(matches!(error, RecoveryError::Corrupt { .. }), "byte {byte}: {error}");
        }
    }
}

#[test]
fn a_watermark_proves_what_an_idle_sync_covered() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = filled(&fs, small(), 3, |_| false);
    assert_eq!(appender.append_watermark().unwrap(), None, "nothing new is durable");
    log.sync_now().unwrap();
    let end = log.durable();
    assert!(appender.append_watermark().unwrap().is_some());
    log.sync_now().unwrap();
    assert_eq!(appender.append_watermark().unwrap(), None, "it is said already");
    let mut bad = read(&fs, &segment(1));
    bad[end.get() as usize - 8] ^= 1;
    put(&fs, &segment(1), &bad);
    let error = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap_err();
    let RecoveryError::Corrupt { what: Damage::ProvenByLog { durable }, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(durable, end);
}

#[test]
fn cut_at_every_byte_the_log_is_a_prefix_or_refused() {
    let fs = CrashFileSystem::new();
    let (proven, end) = tiny(&fs, 3, 3);
    let good = read(&fs, &segment(1));
    for len in 0..=end.get() as usize {
        // Cut short, which the header tells from there on that it is whole.
        let mut zeroed = good[..len].to_vec();
        put(&fs, &segment(1), &zeroed);
        let shorter = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap_err();
        let cut_off = |what| matches!(what, Damage::CutOff { made } if made == good.len() as u64);
        match shorter {
            RecoveryError::Corrupt { what, .. } if cut_off(what) => assert!(len >= HEADER_FIELD_BYTES),
            RecoveryError::Missing { .. } | RecoveryError::Corrupt { .. } => assert!(len < 4096),
            error => panic!("length {len}: {error}"),
        }
        // Overwritten with zeros from there on.
        zeroed.resize(good.len(), 0);
        put(&fs, &segment(1), &zeroed);
        match scan(&fs, Lsn::FIRST, Lsn::ZERO) {
            Ok((records, recovered)) => {
                assert_prefix(&records);
                let lost = good.get(len..recovered.end.get() as usize).unwrap_or_default();
                assert!(lost.iter().all(|byte| *byte == 0), "length {len}: what is not there is not read");
            }
            Err(RecoveryError::Missing { .. } | RecoveryError::Corrupt { .. }) => assert!(len < 4096 + 48),
            Err(error) => panic!("length {len}: {error}"),
        }
        let lost = good.get(len..proven.get() as usize).unwrap_or_default();
        let whole = lost.iter().all(|byte| *byte == 0);
        assert_eq!(scan(&fs, Lsn::FIRST, proven).is_ok(), whole, "length {len}");
    }
}

#[test]
fn damage_in_an_old_segment_is_proven_by_the_ones_after_it() {
    let fs = CrashFileSystem::new();
    let (log, _appender) = filled(&fs, small(), 200, |tag| tag % 10 == 0);
    let last = log.stats().live_segments;
    assert!(last >= 3);
    for sequence in 1..last {
        let good = read(&fs, &segment(sequence));
        for offset in [0, 20, 4096, 4100, 4096 + 60, 6000] {
            let mut bad = good.clone();
            bad[offset] ^= 4;
            put(&fs, &segment(sequence), &bad);
            let error = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap_err();
            assert!(matches!(error, RecoveryError::Corrupt { .. }), "{sequence} {offset}: {error}");
        }
        // A header lost whole: the records behind it still speak.
        let mut bad = good.clone();
        bad[..4096].fill(0);
        put(&fs, &segment(sequence), &bad);
        scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap_err();
        put(&fs, &segment(sequence), &good);
    }
    scan(&fs, Lsn::FIRST, log.durable()).unwrap();
}

#[test]
fn a_fresh_segment_without_its_header_is_damage() {
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, small(), 5, |_| true);
    log.close(appender).unwrap();
    let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
    let (log, mut appender) = recovered.into_log(&env(&fs, 2), small()).unwrap();
    append(&mut appender, 5, b"acknowledged").unwrap();
    log.sync_now().unwrap();
    for fill in [0, 0xFF] {
        let mut bad = read(&fs, &segment(2));
        bad[..4096].fill(fill);
        put(&fs, &segment(2), &bad);
        let error = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap_err();
        assert!(matches!(error, RecoveryError::Corrupt { .. }), "{error}");
        assert_eq!(salvage_from(&fs, Lsn::FIRST, Lsn::ZERO), ((0..6).collect(), false), "of {fill}");
    }
}

#[test]
fn what_recovery_copied_is_proven_by_the_segment_it_is_in() {
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, small(), 6, |_| false);
    drop((log, appender));
    let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
    let first = recovered.durable;
    let (log, _appender) = recovered.into_log(&env(&fs, 2), small()).unwrap();
    let good = read(&fs, &segment(2));
    for byte in 4096..(log.durable().get() - first.get()) as usize + 4096 {
        let mut bad = good.clone();
        bad[byte] ^= 2;
        put(&fs, &segment(2), &bad);
        let error = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap_err();
        assert!(matches!(error, RecoveryError::Corrupt { segment: 2, .. }), "byte {byte}: {error}");
    }
}

#[test]
fn hostile_lengths_and_links_end_in_an_answer() {
    use crate::record::{HeaderKey, RecordHeader, RecordKind};
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, small(), 3, |_| true);
    drop(appender);
    let (good, end) = (read(&fs, &segment(1)), log.appended());
    let salt = crate::bytes::u64_at(&good, 48);
    for (payload_len, durable, kind) in [
        (u32::MAX, 0, KIND),
        (u32::MAX - 100, end.get(), KIND),
        (1 << 20, 0, KIND),
        (0, 0, RecordKind::ROTATE),
        (0, u64::MAX, KIND),
    ] {
        let header =
            RecordHeader { payload_len, lsn: end.get(), durable, salt, tag: 1, payload_crc: 0, kind };
        let mut bad = good.clone();
        bad[end.get() as usize..][..48].copy_from_slice(&header.encode(&HeaderKey::new(&UUID)));
        put(&fs, &segment(1), &bad);
        if let Ok((records, recovered)) = scan(&fs, Lsn::FIRST, Lsn::ZERO) {
            assert_eq!(records.len(), 3);
            assert!(recovered.end >= end);
        }
    }
}

/// A segment, and where in it what is skipped begins and how long it is; nothing is where all of it is skipped. No segment, and a
/// position and a length, where it is missing.
type Skip = (u64, u64, u64);

fn salvage(fs: &CrashFileSystem) -> (Vec<u64>, Vec<Skip>) {
    let (mut tags, mut skips) = (Vec::new(), Vec::new());
    let salvaged = Recovery::salvage(fs, dir(), UUID, Lsn::FIRST, Lsn::ZERO, &small(), |piece| {
        match piece {
            Salvage::Record(record) => {
                assert_eq!(record.payload, payload(record.tag));
                tags.push(record.tag);
            }
            Salvage::Skipped { segment, offset, bytes, .. } => skips.push((segment, offset, bytes)),
            Salvage::SkippedSegment { segment } => skips.push((segment, 0, 0)),
            Salvage::Missing { from, to } => {
                skips.push((0, from.get(), to.map_or(0, |to| to.get() - from.get())));
            }
        }
        Ok::<(), Infallible>(())
    })
    .unwrap();
    assert_eq!(salvaged.records, tags.len() as u64);
    assert_eq!(salvaged.skips, skips.len() as u64);
    (tags, skips)
}

#[test]
fn salvage_gives_what_is_whole_and_names_what_is_not() {
    let fs = CrashFileSystem::new();
    let (log, _appender) = filled(&fs, small(), 200, |_| true);
    log.prepare(0).unwrap();
    assert_eq!(salvage(&fs), ((0..200).collect(), vec![]), "a spare is no loss");

    let mut bad = read(&fs, &segment(2));
    bad[5000] ^= 1;
    put(&fs, &segment(2), &bad);
    let (tags, skips) = salvage(&fs);
    assert_eq!(tags.len(), 199);
    assert_eq!(skips.len(), 1);
    let (in_segment, from, bytes) = skips[0];
    assert!(in_segment == 2 && (from..from + bytes).contains(&5000), "{skips:?}");
    assert!(bytes < 400, "one record: {skips:?}");

    // The end of a segment that the log went on behind is a loss as well.
    let end = bad.iter().rposition(|byte| *byte != 0).unwrap();
    let mut torn = bad.clone();
    torn[end - 100..=end].iter_mut().for_each(|byte| *byte ^= 1);
    put(&fs, &segment(2), &torn);
    let (_, two) = salvage(&fs);
    assert!(two.len() == 2 && two[1].0 == 2 && two[1].1 <= end as u64 - 100, "{two:?}");
    put(&fs, &segment(2), &bad);

    let mut bad = read(&fs, &segment(3));
    bad[0] ^= 1;
    put(&fs, &segment(3), &bad);
    assert_eq!(salvage(&fs), (tags, skips), "a lost segment header costs no record");
    // The place of the first record behind it, which is in the header's second field.
    bad[4096 + 8] ^= 1;
    put(&fs, &segment(3), &bad);
    assert_eq!(salvage(&fs).0.len(), 198, "with the first record after it, that one");
    put(&fs, &segment(3), &vec![0xFF; bad.len()]);
    let (tags, skips) = salvage(&fs);
    assert!(skips.contains(&(3, 0, 0)) && tags.len() < 198, "{skips:?}");
    assert!(scan(&fs, Lsn::FIRST, log.durable()).is_err());
}

/// Tags of the records from `start` on, and whether anything was told to be lost.
fn salvage_from(fs: &CrashFileSystem, start: Lsn, proven: Lsn) -> (Vec<u64>, bool) {
    let (mut tags, mut lost) = (Vec::new(), false);
    Recovery::salvage(fs, dir(), UUID, start, proven, &small(), |piece| {
        match piece {
            Salvage::Record(record) => tags.push(record.tag),
            _ => lost = true,
        }
        Ok::<(), Infallible>(())
    })
    .unwrap();
    (tags, lost)
}

#[test]
fn salvage_tells_of_whatever_is_gone_or_cut() {
    for options in [short(small()), short(plain())] {
        let fs = CrashFileSystem::new();
        let (log, mut appender) = filled(&fs, options, 60, |tag| tag % 4 == 3);
        let checkpoint = log.durable();
        for tag in 60..200 {
            append(&mut appender, tag, &payload(tag)).unwrap();
        }
        assert!(log.spans().len() > 3);
        let whole: Vec<_> = paths(&fs).into_iter().map(|path| (read(&fs, &path), path)).collect();
        for (start, first) in [(Lsn::FIRST, 0), (checkpoint, 60)] {
            let all: Vec<_> = (first..200).collect();
            assert_eq!(salvage_from(&fs, start, start), (all.clone(), false));
            let mut gone = 0;
            for (bytes, path) in &whole {
                remove(&fs, path);
                let (tags, lost) = salvage_from(&fs, start, start);
                assert!(lost || tags == all, "{path:?} gone: {tags:?}");
                gone += u64::from(lost);
                for len in (0..bytes.len()).step_by(64) {
                    put(&fs, path, &bytes[..len]);
                    let (tags, lost) = salvage_from(&fs, start, start);
                    assert!(lost || tags == all, "{path:?} of {len} bytes: {tags:?}");
                }
                put(&fs, path, bytes);
            }
            assert!(gone > 2, "{gone} segments count");
            for (_, path) in &whole {
                remove(&fs, path);
            }
            assert_eq!(salvage_from(&fs, start, start), (vec![], true));
            whole.iter().for_each(|(bytes, path)| put(&fs, path, bytes));
        }
    }
}

#[test]
fn salvage_goes_by_what_segments_are_and_not_by_their_names() {
    let fs = CrashFileSystem::new();
    let (log, _appender) = filled(&fs, short(small()), 120, |_| true);
    let all = ((0..120).collect(), false);
    let whole: Vec<_> = paths(&fs).into_iter().map(|path| (read(&fs, &path), path)).collect();
    assert!(log.spans().len() > 3);
    for (at, (bytes, path)) in whole.iter().enumerate() {
        put(&fs, &segment(100), bytes);
        assert_eq!(salvage_from(&fs, Lsn::FIRST, Lsn::ZERO), all, "{path:?} twice");
        remove(&fs, path);
        assert_eq!(salvage_from(&fs, Lsn::FIRST, Lsn::ZERO), all, "{path:?} renamed");
        remove(&fs, &segment(100));
        for (other_bytes, other) in &whole[..at] {
            put(&fs, path, other_bytes);
            put(&fs, other, bytes);
            assert_eq!(
                salvage_from(&fs, Lsn::FIRST, Lsn::ZERO),
                all,
                "{path:?} as {other:?}, and it as that"
            );
            put(&fs, other, other_bytes);
        }
        put(&fs, path, bytes);
    }
}

#[test]
fn salvage_takes_no_older_copy_of_a_segment_under_another_name() {
    let fs = CrashFileSystem::new();
    let (_log, mut appender) = filled(&fs, small(), 5, |_| true);
    let older = read(&fs, &segment(1));
    append(&mut appender, 5, &payload(5)).unwrap();
    for name in [0, 100] {
        put(&fs, &segment(name), &older);
        assert_eq!(salvage_from(&fs, Lsn::FIRST, Lsn::ZERO), ((0..=5).collect(), false), "{name}");
        remove(&fs, &segment(name));
    }
}

#[test]
fn salvage_tells_of_an_end_that_the_caller_or_the_log_knows_of() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = filled(&fs, small(), 5, |_| false);
    let end = append(&mut appender, 5, &payload(5)).unwrap();
    assert_eq!(salvage_from(&fs, Lsn::FIRST, end), ((0..=5).collect(), false));
    let whole = read(&fs, &segment(1));
    let mut bad = whole.clone();
    bad[place_of(end.get()) - 8..].fill(0);
    put(&fs, &segment(1), &bad);
    assert_eq!(salvage_from(&fs, Lsn::FIRST, Lsn::ZERO), ((0..5).collect(), false), "a torn tail");
    assert_eq!(salvage_from(&fs, Lsn::FIRST, end), ((0..5).collect(), true));
    put(&fs, &segment(1), &whole);

    log.sync_now().unwrap();
    let mark = appender.append_watermark().unwrap().unwrap();
    let whole = read(&fs, &segment(1));
    let mut bad = whole.clone();
    bad[place_of(end.get()) - 8] ^= 1;
    put(&fs, &segment(1), &bad);
    let (tags, lost) = salvage_from(&fs, Lsn::FIRST, Lsn::ZERO);
    assert!(lost && tags == [0, 1, 2, 3, 4], "what follows says that it was on the disk: {tags:?}");
    // The record of the last bytes is whole but for its payload, and tells how far the log was synced.
    put(&fs, &segment(1), &whole);
    append(&mut appender, 6, &payload(6)).unwrap();
    let mut bad = read(&fs, &segment(1));
    bad[place_of(end.get())..place_of(mark.get())].fill(0);
    bad[place_of(mark.get()) + 100] ^= 1;
    bad[place_of(end.get()) - 8] ^= 1;
    put(&fs, &segment(1), &bad);
    let (tags, lost) = salvage_from(&fs, Lsn::FIRST, Lsn::ZERO);
    assert!(lost && tags == [0, 1, 2, 3, 4], "{tags:?}");
}

#[test]
fn salvage_takes_no_spare_for_the_end_of_the_log() {
    for every in [4, 7] {
        let fs = CrashFileSystem::new();
        let (log, mut appender) = filled(&fs, short(small()), 60, |tag| tag % every == every - 1);
        let released = log.durable();
        for tag in 60..120 {
            append(&mut appender, tag, &payload(tag)).unwrap();
        }
        log.sync_now().unwrap();
        log.release_before(released).unwrap();
        log.prepare(0).unwrap();
        let spare = paths(&fs).pop().unwrap();
        let kept = read(&fs, &spare);
        assert!(kept[..4096].iter().all(|byte| *byte == 0) && kept[4096..].iter().any(|byte| *byte != 0));
        for start in [Lsn::FIRST, released] {
            let (tags, lost) = salvage_from(&fs, start, start);
            assert!(tags.ends_with(&(60..120).collect::<Vec<_>>()), "from {start:?}: {tags:?}");
            assert!(start == released || tags[0] < 50, "what the spare has kept: {tags:?}");
            assert!(tags.is_sorted_by(|before, after| before < after), "{tags:?}");
            assert_eq!(lost, start == Lsn::FIRST && tags.len() < 120, "{tags:?}");
        }
        // It comes into use, and a power cut takes what was written to it.
        let mut tag = 120;
        let rotations = log.stats().rotations;
        while log.stats().rotations == rotations {
            append(&mut appender, tag, &payload(tag)).unwrap();
            tag += 1;
        }
        put(&fs, &spare, &kept);
        for start in [Lsn::FIRST, released] {
            let (tags, lost) = salvage_from(&fs, start, start);
            assert!(tags.ends_with(&(60..tag - 1).collect::<Vec<_>>()), "{tags:?}");
            assert_eq!(lost, start == Lsn::FIRST, "{tags:?}");
        }
    }
}

#[test]
fn salvage_goes_on_where_a_header_has_become_zeros() {
    let fs = CrashFileSystem::new();
    let (log, _appender) = filled(&fs, short(small()), 120, |_| true);
    let spans = log.spans().len() as u64;
    assert!(spans > 4);
    for zeroed in 1..=spans {
        for second in zeroed..=spans {
            let whole = [zeroed, second].map(|sequence| (segment(sequence), read(&fs, &segment(sequence))));
            for (path, bytes) in &whole {
                put(&fs, path, &[vec![0; 4096], bytes[4096..].to_vec()].concat());
            }
            let found = salvage_from(&fs, Lsn::FIRST, Lsn::ZERO);
            assert_eq!(found, ((0..120).collect(), false), "segments {zeroed} and {second}");
            whole.iter().for_each(|(path, bytes)| put(&fs, path, bytes));
        }
    }
}

/// No record names the segment that a recovery begins.
#[test]
fn salvage_goes_on_in_a_segment_of_a_recovery_whose_header_is_lost() {
    for fill in [0, 0xFF] {
        let fs = CrashFileSystem::new();
        drop(filled(&fs, small(), 5, |_| true));
        let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
        let (log, mut appender) = recovered.into_log(&env(&fs, 2), small()).unwrap();
        for tag in 5..200 {
            append(&mut appender, tag, &payload(tag)).unwrap();
            log.sync_now().unwrap();
        }
        let fresh = paths(&fs).into_iter().nth(1).unwrap();
        for path in [&fresh, &paths(&fs).pop().unwrap()] {
            let whole = read(&fs, path);
            put(&fs, path, &[vec![fill; 4096], whole[4096..].to_vec()].concat());
            assert_eq!(
                salvage_from(&fs, Lsn::FIRST, Lsn::ZERO),
                ((0..200).collect(), false),
                "{path:?}, {fill}"
            );
            put(&fs, path, &whole);
        }
        // The only one behind the first.
        for path in paths(&fs).iter().skip(2) {
            remove(&fs, path);
        }
        put(&fs, &fresh, &[vec![fill; 4096], read(&fs, &fresh)[4096..].to_vec()].concat());
        let (tags, lost) = salvage_from(&fs, Lsn::FIRST, Lsn::ZERO);
        assert!(tags.len() > 10 && lost, "{tags:?}");
    }
}

#[test]
fn salvage_takes_damage_that_nobody_needs_for_no_loss() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = filled(&fs, small(), 5, |_| true);
    let checkpoint = log.durable();
    let mut bad = read(&fs, &segment(1));
    bad[4096 + 8] ^= 1;
    put(&fs, &segment(1), &bad);
    assert_eq!(salvage_from(&fs, checkpoint, checkpoint), (vec![], false));
    // The last one, behind which there is nothing yet.
    let whole = bad.clone();
    let last = place_of(checkpoint.get()) - 16;
    bad[last] ^= 1;
    put(&fs, &segment(1), &bad);
    assert_eq!(salvage_from(&fs, checkpoint, checkpoint), (vec![], false));
    put(&fs, &segment(1), &whole);
    append(&mut appender, 5, &payload(5)).unwrap();
    assert_eq!(salvage_from(&fs, checkpoint, checkpoint), (vec![5], false));
    log.close(appender).unwrap();
    let closed = read(&fs, &segment(1));
    put(&fs, &segment(1), &closed[..closed.len() - 64]);
    assert_eq!(salvage_from(&fs, checkpoint, checkpoint), (vec![5], false), "it ends where it was closed");
}

#[test]
fn what_is_cut_off_the_end_is_told() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = filled(&fs, small(), 2, |_| true);
    let before = log.appended();
    append(&mut appender, 2, &payload(5)).unwrap();
    let whole = read(&fs, &segment(1));
    let cut = |bytes: &[u8]| {
        put(&fs, &segment(1), bytes);
        let (records, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
        (records.len(), recovered.cut)
    };
    assert_eq!(cut(&whole), (3, None));
    let end = place_of(log.appended().get());
    let mut scrap = whole.clone();
    scrap[end + 3] = 1;
    let nothing_started = CutTail { segment: 1, offset: end as u64, reached: log.appended() };
    assert_eq!(cut(&scrap), (3, Some(nothing_started)));
    let mut torn = whole;
    torn[place_of(before.get()) + HEADER_BYTES] ^= 1;
    let record = CutTail { offset: place_of(before.get()) as u64, ..nothing_started };
    assert_eq!(cut(&torn), (2, Some(record)));
}

#[test]
fn what_an_earlier_segment_left_in_a_file_is_no_torn_tail() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = filled(&fs, small(), 300, |_| false);
    log.sync_now().unwrap();
    log.release_before(log.durable()).unwrap();
    assert!(log.stats().recycled > 0);
    let rotations = log.stats().rotations;
    let mut tag = 300;
    while log.stats().rotations == rotations {
        append(&mut appender, tag, &payload(tag)).unwrap();
        tag += 1;
    }
    let spans = log.spans();
    let used = log.appended().get() - spans[spans.len() - 1].base.get() + 4096;
    let current = log.segments.lock().live.back().map(|live| live.sequence).unwrap();
    let file = read(&fs, &segment(current));
    assert!(file[used as usize..].iter().any(|byte| *byte != 0), "the file is as it was behind the end");
    let (_, recovered) = scan(&fs, spans[0].base, log.durable()).unwrap();
    assert_eq!((recovered.end, recovered.cut), (log.appended(), None));
}

#[test]
fn salvage_gives_no_record_twice_and_takes_no_unused_space_for_a_loss() {
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, small(), 320, |tag| tag < 300);
    assert!(log.stats().rotations > 2);
    drop((log, appender));
    // What was not synced is copied into the fresh segment, and is in the old one as well.
    let fs = fs.kill();
    let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
    let (_log, mut appender) = recovered.into_log(&env(&fs, 2), small()).unwrap();
    append(&mut appender, 320, &payload(320)).unwrap();
    assert_eq!(salvage(&fs), ((0..=320).collect(), vec![]));
}

/// The last bytes of a segment may be a record, and proof of all before it.
#[test]
fn a_record_at_the_very_end_of_a_segment_is_seen() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
    // It leaves room for the one that says that the log was closed.
    let left = 8192 - place_of(log.appended().get());
    append(&mut appender, 0, &vec![7; left - 2 * HEADER_BYTES]).unwrap();
    log.close(appender).unwrap();
    assert!(scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap().1.clean_close);
    assert_eq!(place_of(log.appended().get()), 8192);
    let mut bad = read(&fs, &segment(1));
    assert_eq!(bad.len(), 8192);
    bad[5000] ^= 1;
    put(&fs, &segment(1), &bad);
    let error = scan(&fs, Lsn::FIRST, Lsn::ZERO).map(|(records, _)| records.len()).unwrap_err();
    assert!(matches!(error, RecoveryError::Corrupt { what: Damage::ProvenByLog { .. }, .. }), "{error}");
}

#[test]
fn a_record_of_an_earlier_life_does_not_go_on_where_the_log_ends() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = filled(&fs, small(), 0, |_| false);
    let at = place_of(log.appended().get());
    for tag in 0..3 {
        append(&mut appender, tag, &payload(tag)).unwrap();
    }
    log.sync_now().unwrap();
    let end = place_of(log.appended().get());
    let mut bytes = read(&fs, &segment(1));
    let key = HeaderKey::new(&UUID);
    let first = RecordHeader::decode(bytes[at..].first_chunk().unwrap(), &key).unwrap();
    assert!(first.kind.is_user());
    let size = first.size() as usize;
    bytes.copy_within(at..at + size, end);
    let stale = RecordHeader { lsn: log.appended().get(), salt: first.salt + 1, ..first };
    bytes[end..][..HEADER_BYTES].copy_from_slice(&stale.encode(&key));
    put(&fs, &segment(1), &bytes);
    assert_eq!(scan(&fs, Lsn::FIRST, log.durable()).unwrap().0.len(), 3);
}

#[test]
fn a_record_may_be_as_long_as_the_limit_and_no_longer() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
    append(&mut appender, 0, &[1; 1000]).unwrap();
    append(&mut appender, 1, &[2; 1001]).unwrap();
    log.sync_now().unwrap();
    for (limit, records) in [(999, 0), (1000, 1), (1001, 2)] {
        let options = LogOptions { max_record_bytes: limit, ..small() };
        let mut count = 0;
        let scanned = Recovery::scan(&fs, dir(), UUID, Lsn::FIRST, log.durable(), &options, |_| {
            count += 1;
            Ok::<(), Infallible>(())
        });
        assert_eq!((count, scanned.is_ok()), (records, records == 2), "{scanned:?}");
    }
}

/// A log that has just gone on in a second segment; nothing of it is synced.
fn of_two_segments(fs: &CrashFileSystem) -> Arc<Log> {
    let (log, mut appender) = filled(fs, small(), 0, |_| false);
    let mut tag = 0;
    while log.stats().rotations == 0 {
        append(&mut appender, tag, &payload(tag)).unwrap();
        tag += 1;
    }
    log
}

fn assert_second_missed(fs: &CrashFileSystem) {
    let error = scan(fs, Lsn::FIRST, Lsn::ZERO).unwrap_err();
    assert!(
        matches!(error, RecoveryError::Corrupt { what: Damage::SegmentGone { segment: 2 }, .. }),
        "{error}"
    );
}

#[test]
fn a_segment_that_the_log_went_on_in_is_missed() {
    let fs = CrashFileSystem::new();
    let _log = of_two_segments(&fs);
    // Nothing was ever synced, so nothing but the end of the first segment speaks of the second.
    remove(&fs, &segment(2));
    assert_second_missed(&fs);
}

/// Behind a torn tail only records of the segment's own salt at their own places are evidence: a value may hold the bytes
/// of any record.
#[test]
fn what_looks_like_a_record_elsewhere_proves_nothing() {
    let fs = CrashFileSystem::new();
    let (log, _appender) = filled(&fs, small(), 3, |tag| tag < 2);
    let end = log.appended().get();
    let bytes = read(&fs, &segment(1));
    let key = HeaderKey::new(&UUID);
    let first =
        RecordHeader::decode(bytes[place_of(Lsn::FIRST.get())..].first_chunk().unwrap(), &key).unwrap();
    // Behind a gap, where no record begins.
    let there = end + 64;
    for (lsn, salt, proves) in
        [(there, first.salt, true), (there + 8, first.salt, false), (there, first.salt + 1, false)]
    {
        let claim = RecordHeader { lsn, salt, durable: there, ..first };
        let mut with_it = bytes.clone();
        with_it[place_of(there)..][..HEADER_BYTES].copy_from_slice(&claim.encode(&key));
        put(&fs, &segment(1), &with_it);
        let scanned = scan(&fs, Lsn::FIRST, Lsn::ZERO);
        assert_eq!(scanned.is_err(), proves, "{scanned:?}");
        if let Ok((records, _)) = scanned {
            assert_eq!(records.len(), 3);
        }
    }
}

#[test]
fn a_segment_under_anothers_name_is_none() {
    let fs = CrashFileSystem::new();
    let log = of_two_segments(&fs);
    log.sync_now().unwrap();
    assert!(scan(&fs, Lsn::FIRST, log.durable()).is_ok());
    fs.rename(&segment(2), &segment(7)).unwrap();
    assert_second_missed(&fs);
}

#[test]
fn salvage_looks_within_what_a_bad_record_claims() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = filled(&fs, small(), 2, |_| true);
    let at = log.appended().get();
    for tag in 2..8 {
        append(&mut appender, tag, &payload(tag)).unwrap();
    }
    log.sync_now().unwrap();
    let mut bad = read(&fs, &segment(1));
    let key = HeaderKey::new(&UUID);
    let place = place_of(at);
    let header = RecordHeader::decode(bad[place..].first_chunk().unwrap(), &key).unwrap();
    assert_eq!(header.lsn, at);
    let longer = RecordHeader { payload_len: 600, ..header };
    bad[place..][..HEADER_BYTES].copy_from_slice(&longer.encode(&key));
    put(&fs, &segment(1), &bad);
    let mut tags = Vec::new();
    Recovery::salvage(&fs, dir(), UUID, Lsn::FIRST, Lsn::ZERO, &small(), |piece| {
        if let Salvage::Record(record) = piece {
            tags.push(record.tag);
        }
        Ok::<(), Infallible>(())
    })
    .unwrap();
    assert_eq!(tags, [0, 1, 3, 4, 5, 6, 7]);
}

#[test]
fn an_older_copy_of_the_log_is_not_taken_for_its_end() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
    append(&mut appender, 0, &payload(5)).unwrap();
    let older = read(&fs, &segment(1));
    append(&mut appender, 1, &payload(5)).unwrap();
    log.sync_now().unwrap();
    let checkpoint = log.durable();
    let (records, _) = scan(&fs, checkpoint, checkpoint).unwrap();
    assert_eq!(records, [], "the log ends at the checkpoint");
    append(&mut appender, 2, &payload(5)).unwrap();
    put(&fs, &segment(1), &older);
    let error = scan(&fs, checkpoint, checkpoint).unwrap_err();
    assert!(matches!(error, RecoveryError::Missing { .. }), "{error}");
}

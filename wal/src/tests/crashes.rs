//! The process or the machine dies at every operation, and again in the recovery from that.

use std::sync::Arc;

use braid_vfs::faulty::{CrashChoice, CrashFileSystem};

use super::helpers::*;
use crate::record::{HEADER_BYTES, record_size};
use crate::segment::HEADER_FIELD_BYTES;
use crate::{Log, LogError, LogOptions, Lsn};

/// What a run was promised: how many records, and up to which position the log stands.
#[derive(Clone, Copy, Debug)]
struct Promise {
    records: u64,
    proven: Lsn,
}

/// Appends with syncs now and then until the files die. Returns what was acknowledged by then.
fn run(
    log: &Arc<Log>,
    mut appender: crate::Appender,
    from: u64,
    promise: &mut Promise,
) -> Result<(), LogError> {
    for tag in from..from + 47 {
        let end = append(&mut appender, tag, &payload(tag))?;
        if tag % 4 == 0 {
            log.sync_through(end)?;
            *promise = Promise { records: tag + 1, proven: end };
        }
        if tag % 9 == 0 && appender.append_watermark()?.is_some() && tag % 2 == 0 {
            log.sync_now()?;
        }
        if log.wants_preparation() {
            log.prepare(0)?;
        }
    }
    log.close(appender)?;
    promise.records = from + 47;
    Ok(())
}

/// Reads the log, and checks it against the promise.
fn check(fs: &CrashFileSystem, promise: Promise, context: &str) -> (u64, crate::Recovered) {
    let (records, recovered) =
        scan(fs, Lsn::FIRST, Lsn::ZERO).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_prefix(&records);
    assert!(records.len() as u64 >= promise.records, "{context}: {} of {promise:?}", records.len());
    assert!(recovered.end >= promise.proven, "{context}");
    (records.len() as u64, recovered)
}

fn crash_everywhere(options: LogOptions) {
    let whole = CrashFileSystem::new();
    let (log, appender) = Log::create(&env(&whole, 1), dir(), UUID, options).unwrap();
    let created = whole.steps();
    let mut promise = Promise { records: 0, proven: Lsn::ZERO };
    run(&log, appender, 0, &mut promise).unwrap();
    let steps = whole.steps() - created;
    assert!(log.stats().rotations > 1, "the log has several segments");

    for at in 0..steps {
        let fs = CrashFileSystem::new();
        let mut promise = Promise { records: 0, proven: Lsn::ZERO };
        let (log, appender) = Log::create(&env(&fs, 1), dir(), UUID, options).unwrap();
        fs.cut_power_after(at);
        assert!(run(&log, appender, 0, &mut promise).is_err() || at + 2 > steps, "step {at}: it died");
        // Killed and opened again, and only then the power cut.
        let killed = fs.after_kill();
        let context = format!("step {at}, killed");
        let (count, recovered) = check(&killed, promise, &context);
        recovered.into_log(&env(&killed, 2 + at), options).unwrap();
        let after = killed.crash(CrashChoice::KeepNone);
        assert_eq!(check(&after, promise, &context).0, count, "{context}: what recovery showed stands");

        for (index, cut) in (0..).zip(cuts(&fs, at)) {
            let first = fs.after_crash(cut);
            let context = format!("step {at}, {cut:?}");
            let (count, recovered) = check(&first, promise, &context);
            if at % 5 != index {
                continue;
            }
            let (_log, appender) = recovered.into_log(&env(&first, 2 + at), options).unwrap();
            drop(appender);
            let after = first.crash(CrashChoice::KeepNone);
            let (again, _) = check(&after, Promise { records: count, ..promise }, &context);
            assert_eq!(again, count, "{context}: what recovery showed stands, and no more comes back");
        }
    }
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    crash_everywhere(short(small()));
}

#[test]
fn the_same_with_plain_writes() {
    crash_everywhere(short(plain()));
}

#[test]
fn a_power_cut_at_any_byte_keeps_a_prefix() {
    for (options, is_plain) in [(short(small()), false), (short(plain()), true)] {
        let fs = CrashFileSystem::new();
        let synced = 19;
        let (log, mut appender) = filled(&fs, options, synced, |tag| tag + 1 == synced);
        assert_eq!((fs.unsynced_changes(), log.stats().rotations), (0, 0));
        // The length of each change since, and how many of them make up each record and all before it.
        let (mut lengths, mut records) = (Vec::new(), Vec::new());
        for tag in synced..synced + 6 {
            let rotations = log.stats().rotations;
            append(&mut appender, tag, &payload(tag)).unwrap();
            if log.stats().rotations > rotations {
                lengths.extend([HEADER_BYTES, HEADER_FIELD_BYTES]);
            }
            let length = record_size(payload(tag).len() as u32) as usize;
            lengths.extend(if is_plain { vec![length - HEADER_BYTES, HEADER_BYTES] } else { vec![length] });
            records.push(lengths.len());
        }
        assert_eq!(log.stats().rotations, 1, "the cut goes over the end of a segment");
        assert_eq!(lengths.len(), fs.unsynced_changes());

        let promise = Promise { records: synced, proven: log.durable() };
        for (changes, length) in lengths.into_iter().chain([1]).enumerate() {
            let whole = synced + records.iter().filter(|record| **record <= changes).count() as u64;
            for bytes in 0..length {
                let after = fs.after_crash(CrashChoice::Prefix { changes, bytes });
                let context = format!("{changes} changes and {bytes} bytes");
                let (count, recovered) = check(&after, promise, &context);
                // A record whose last bytes are zeros is whole without them.
                assert!((whole..=whole + 1).contains(&count), "{context}: {count} of {whole}");
                if bytes % 40 == 0 {
                    recovered.into_log(&env(&after, 2), options).unwrap();
                    let after = after.crash(CrashChoice::KeepNone);
                    assert_eq!(check(&after, promise, &context).0, count, "{context}: it stands");
                }
            }
        }
    }
}

#[test]
fn a_crash_at_any_step_of_recovery_leaves_a_log_that_recovers() {
    // A killed process with much that only the page cache holds, and a torn tail behind it.
    let base = CrashFileSystem::new();
    let (log, mut appender) = filled(&base, small(), 60, |tag| tag == 20);
    let torn = log.appended();
    append(&mut appender, 60, &payload(60)).unwrap();
    append(&mut appender, 61, &payload(61)).unwrap();
    drop((log, appender));
    let last = paths(&base).into_iter().rfind(|path| read(&base, path)[0] != 0).unwrap();
    let mut bytes = read(&base, &last);
    let position = crate::bytes::u64_at(&bytes, 40);
    let end = (torn.get() - position + 4096) as usize + record_size(60 * 37 % 300) as usize;
    bytes[end + 100] ^= 1;
    overwrite(&base, &last, &bytes);

    let dry = base.after_kill();
    let (_, recovered) = scan(&dry, Lsn::FIRST, Lsn::ZERO).unwrap();
    recovered.into_log(&env(&dry, 9), small()).unwrap();
    let steps = dry.steps();
    assert!(steps > 6);

    let promise = Promise { records: 21, proven: Lsn::ZERO };
    for at in 0..steps {
        for index in 0..5 {
            let fs = base.after_kill();
            let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
            fs.cut_power_after(at);
            assert!(recovered.into_log(&env(&fs, 9), small()).is_err() || at + 20 > steps);
            let cut = cuts(&fs, at)[index];
            let first = fs.after_crash(cut);
            check(&first, promise, &format!("step {at}, {cut:?}"));

            // Killed in the next recovery too, then cut.
            let again = fs.after_kill();
            let (count, recovered) = check(&again, promise, "second");
            assert_eq!(count, 61, "a kill takes nothing from the page cache");
            again.cut_power_after(at / 2);
            let _ = recovered.into_log(&env(&again, 10), small());
            let third = again.crash(cuts(&again, at + 1)[index]);
            let (count, recovered) = check(&third, promise, &format!("steps {at} and {}, {cut:?}", at / 2));
            recovered.into_log(&env(&third, 11), small()).unwrap();
            let (end, _) =
                check(&third.crash(CrashChoice::KeepNone), Promise { records: count, ..promise }, "third");
            assert_eq!(end, count);
        }
    }
}

#[test]
fn a_cut_tail_never_comes_back() {
    for round in 0..40 {
        let words = |life| CrashChoice::Subset { seed: round * 16 + life, unit: 8 };
        let fs = CrashFileSystem::new();
        let (log, appender) = filled(&fs, small(), 50, |tag| tag == 10);
        drop((log, appender));
        let mut fs = fs.crash(words(9));
        let mut next = 0;
        // Each life appends other records at the positions of the tail that was cut before it, and is cut itself.
        for life in 0..5 {
            let (records, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
            let kept: Vec<u64> = records.iter().map(|(tag, _)| *tag).collect();
            assert!(kept.len() as u64 >= next, "life {life}: what was synced is there");
            assert!(kept.is_sorted(), "life {life}: {kept:?}");
            let (log, mut appender) = recovered.into_log(&env(&fs, 100 * round + life), small()).unwrap();
            for index in 0..30 {
                let end = append(&mut appender, 1000 * (life + 1) + index, &payload(index)).unwrap();
                if index == 10 {
                    log.sync_through(end).unwrap();
                    next = kept.len() as u64 + 11;
                }
            }
            // At most the records of this life follow those that recovery had shown.
            let after = fs.crash(words(life));
            let (records, _) = scan(&after, Lsn::FIRST, Lsn::ZERO).unwrap();
            assert!(records.iter().map(|(tag, _)| *tag).take(kept.len()).eq(kept.iter().copied()));
            assert!(records.iter().skip(kept.len()).all(|(tag, _)| *tag >= 1000 * (life + 1)));
            fs = after;
        }
    }
}

#[test]
fn a_crash_while_the_log_is_created_leaves_all_or_nothing() {
    let whole = CrashFileSystem::new();
    Log::create(&env(&whole, 1), dir(), UUID, small()).unwrap();
    for at in 0..=whole.steps() {
        let fs = CrashFileSystem::new();
        fs.cut_power_after(at);
        let created = Log::create(&env(&fs, 1), dir(), UUID, small());
        assert_eq!(created.is_ok(), at == whole.steps());
        for cut in cuts(&fs, at) {
            let fs = fs.after_crash(cut);
            match scan(&fs, Lsn::FIRST, Lsn::ZERO) {
                Ok((records, _)) => assert_eq!(records.len(), 0),
                Err(error) => assert!(created.is_err(), "step {at}, {cut:?}: {error}"),
            }
            Log::remove_segments(&fs, dir()).unwrap();
            Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
        }
    }
}

#[test]
fn recoveries_that_are_killed_one_after_the_other_leave_no_hole_to_a_power_cut() {
    let dirty = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&dirty, 1), dir(), UUID, small()).unwrap();
    let mut promise = Promise { records: 0, proven: Lsn::ZERO };
    for tag in 0..6 {
        let end = append(&mut appender, tag, &payload(tag)).unwrap();
        if tag == 2 {
            log.sync_through(end).unwrap();
            promise = Promise { records: tag + 1, proven: end };
        }
    }
    let dirty = dirty.kill();
    let recover = |fs: &CrashFileSystem| {
        let (_, recovered) = scan(fs, Lsn::FIRST, Lsn::ZERO).unwrap();
        recovered.into_log(&env(fs, 2), small())
    };
    let whole = dirty.after_kill();
    recover(&whole).unwrap();
    for first in 0..=whole.steps() {
        let killed = dirty.after_kill();
        killed.cut_power_after(first);
        let _ = recover(&killed);
        let killed = killed.kill();
        for second in 0..=whole.steps() {
            let fs = killed.after_kill();
            fs.cut_power_after(second);
            let _ = recover(&fs);
            for seed in 0..6 {
                let cut = fs.after_crash(CrashChoice::Subset { seed, unit: 512 });
                check(&cut, promise, &format!("steps {first} and {second}, seed {seed}"));
            }
        }
    }
}

//! The process or the machine dies at every operation, and again in the recovery from that.

use std::sync::Arc;

use braid_vfs::memory::SeededRandom;

use super::crash_fs::{CrashFs, Cut};
use super::helpers::*;
use crate::{Log, LogError, LogOptions, Lsn};

const CUTS: [Cut; 4] = [Cut::Nothing, Cut::Everything, Cut::Words, Cut::Sectors];

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
fn check(fs: &CrashFs, promise: Promise, context: &str) -> (u64, crate::Recovered) {
    let (records, recovered) =
        scan(fs, Lsn::FIRST, Lsn::ZERO).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_prefix(&records);
    assert!(records.len() as u64 >= promise.records, "{context}: {} of {promise:?}", records.len());
    assert!(recovered.end >= promise.proven, "{context}");
    (records.len() as u64, recovered)
}

fn crash_everywhere(options: LogOptions) {
    let whole = CrashFs::new();
    let (log, appender) = Log::create(&env(&whole, 1), dir(), UUID, options).unwrap();
    let created = whole.operations();
    let mut promise = Promise { records: 0, proven: Lsn::ZERO };
    run(&log, appender, 0, &mut promise).unwrap();
    let operations = whole.operations();

    for at in created..operations {
        let fs = CrashFs::new();
        let mut promise = Promise { records: 0, proven: Lsn::ZERO };
        let (log, appender) = Log::create(&env(&fs, 1), dir(), UUID, options).unwrap();
        fs.die_at(at);
        let _ = run(&log, appender, 0, &mut promise);
        // Killed and opened again, and only then the power cut.
        let killed = fs.killed();
        let context = format!("operation {at}, killed");
        let (count, recovered) = check(&killed, promise, &context);
        recovered.into_log(&env(&killed, 2 + at), options).unwrap();
        let after = killed.cut(Cut::Nothing, &SeededRandom::new(at));
        assert_eq!(check(&after, promise, &context).0, count, "{context}: what recovery showed stands");

        for (index, cut) in CUTS.into_iter().enumerate() {
            let random = SeededRandom::new(at * 16 + index as u64);
            let first = fs.cut(cut, &random);
            let context = format!("operation {at}, {cut:?}");
            let (count, recovered) = check(&first, promise, &context);
            if at % 5 != index as u64 {
                continue;
            }
            let (_log, appender) = recovered.into_log(&env(&first, 2 + at), options).unwrap();
            drop(appender);
            let after = first.cut(Cut::Nothing, &random);
            let (again, _) = check(&after, Promise { records: count, ..promise }, &context);
            assert_eq!(again, count, "{context}: what recovery showed stands, and no more comes back");
        }
    }
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    crash_everywhere(small());
}

#[test]
fn the_same_with_plain_writes() {
    crash_everywhere(plain());
}

#[test]
fn a_crash_at_any_step_of_recovery_leaves_a_log_that_recovers() {
    // A killed process with much that only the page cache holds, and a torn tail behind it.
    let base = CrashFs::new();
    let (log, mut appender) = filled(&base, small(), 60, |tag| tag == 20);
    let torn = log.appended();
    append(&mut appender, 60, &payload(60)).unwrap();
    append(&mut appender, 61, &payload(61)).unwrap();
    drop((log, appender));
    let last = base.paths().into_iter().rfind(|path| base.read(path)[0] != 0).unwrap();
    let mut bytes = base.read(&last);
    let position = crate::bytes::u64_at(&bytes, 40);
    let end = (torn.get() - position + 4096) as usize + crate::record::record_size(60 * 37 % 300) as usize;
    bytes[end + 100] ^= 1;
    base.overwrite(&last, &bytes);

    let dry = base.killed();
    let (_, recovered) = scan(&dry, Lsn::FIRST, Lsn::ZERO).unwrap();
    recovered.into_log(&env(&dry, 9), small()).unwrap();
    let steps = dry.operations();
    assert!(steps > 6);

    let promise = Promise { records: 21, proven: Lsn::ZERO };
    for at in 0..steps {
        for (index, cut) in CUTS.into_iter().enumerate() {
            let random = SeededRandom::new(at * 16 + index as u64);
            let fs = base.killed();
            let (_, recovered) = scan(&fs, Lsn::FIRST, Lsn::ZERO).unwrap();
            fs.die_at(at);
            assert!(recovered.into_log(&env(&fs, 9), small()).is_err() || at + 20 > steps);
            let first = fs.cut(cut, &random);
            check(&first, promise, &format!("step {at}, {cut:?}"));

            // Killed in the next recovery too, then cut.
            let again = fs.killed();
            let (count, recovered) = check(&again, promise, "second");
            assert_eq!(count, 61, "a kill takes nothing from the page cache");
            again.die_at(at / 2);
            let _ = recovered.into_log(&env(&again, 10), small());
            let third = again.cut(cut, &random);
            let (count, recovered) = check(&third, promise, &format!("steps {at} and {}, {cut:?}", at / 2));
            recovered.into_log(&env(&third, 11), small()).unwrap();
            let (end, _) =
                check(&third.cut(Cut::Nothing, &random), Promise { records: count, ..promise }, "third");
            assert_eq!(end, count);
        }
    }
}

#[test]
fn a_cut_tail_never_comes_back() {
    for round in 0..40 {
        let random = SeededRandom::new(round);
        let fs = CrashFs::new();
        let (log, appender) = filled(&fs, small(), 50, |tag| tag == 10);
        drop((log, appender));
        let mut fs = fs.cut(Cut::Words, &random);
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
            let after = fs.cut(Cut::Words, &random);
            let (records, _) = scan(&after, Lsn::FIRST, Lsn::ZERO).unwrap();
            assert!(records.iter().map(|(tag, _)| *tag).take(kept.len()).eq(kept.iter().copied()));
            assert!(records.iter().skip(kept.len()).all(|(tag, _)| *tag >= 1000 * (life + 1)));
            fs = after;
        }
    }
}

#[test]
fn a_crash_while_the_log_is_created_leaves_all_or_nothing() {
    let whole = CrashFs::new();
    Log::create(&env(&whole, 1), dir(), UUID, small()).unwrap();
    for at in 0..whole.operations() {
        for (index, cut) in CUTS.into_iter().enumerate() {
            let fs = CrashFs::new();
            fs.die_at(at);
            let _ = Log::create(&env(&fs, 1), dir(), UUID, small());
            let fs = fs.cut(cut, &SeededRandom::new(at * 16 + index as u64));
            if let Ok((records, _)) = scan(&fs, Lsn::FIRST, Lsn::ZERO) {
                assert_eq!(records.len(), 0);
            }
            Log::remove(&fs, dir()).unwrap();
            Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
        }
    }
}

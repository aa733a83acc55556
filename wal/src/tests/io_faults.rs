//! Every call to a file fails in every way, once and for good, in every part of a log's life; or the power does.
//!
//! One life creates the log, appends over several segments, gives some back for reuse, and closes; the next one, on
//! the same machine, recovers, appends, and closes. A caller goes on as far as the errors allow. Whatever happened, the
//! log that is left recovers, after a kill and after a power cut, to a prefix that holds all that was said to stand.

use std::io::ErrorKind;
use std::sync::Arc;

use braid_vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Faults, FaultyFileSystem, Operation};

use super::helpers::*;
use crate::{AppendError, Appender, Log, LogError, LogOptions, Lsn, RecoveryError, SyncError};

/// Records that each life appends, where nothing else is said.
const RECORDS: u64 = 26;

/// Calls that can find the disk full.
const TAKE_SPACE: [Operation; 9] = [
    Operation::Create,
    Operation::Write,
    Operation::SetLen,
    Operation::SyncData,
    Operation::SyncAll,
    Operation::SyncDir,
    Operation::Rename,
    Operation::CreateDir,
    Operation::Map,
];

/// Calls that may stop early, as a matter of course.
const TRANSFERS: [Operation; 2] = [Operation::Read, Operation::Write];

/// What was said to whoever used the log.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// The log exists.
    created: bool,
    /// Where to read from, and the tag of the first record there: what is before was given back.
    start: Lsn,
    first: u64,
    /// So many records were appended, but for the last one it may be unknown.
    appended: u64,
    /// So many records stand, which end here.
    durable: u64,
    proven: Lsn,
    /// Errors on the way.
    errors: u64,
}

impl Told {
    fn nothing() -> Self {
        Self {
            created: false,
            start: Lsn::FIRST,
            first: 0,
            appended: 0,
            durable: 0,
            proven: Lsn::ZERO,
            errors: 0,
        }
    }

    fn stands(&mut self, log: &Log) {
        (self.durable, self.proven) = (self.appended, log.durable());
    }
}

/// Notes an error, which must be one that a failing file explains.
fn note<T>(told: &mut Told, result: Result<T, LogError>) -> Result<T, LogError> {
    result.inspect_err(|error| {
        told.errors += 1;
        let explained = matches!(
            error,
            LogError::Io { .. }
                | LogError::Poisoned(_)
                | LogError::Append(AppendError::Io(_) | AppendError::InDoubt(_) | AppendError::Poisoned(_))
                | LogError::Sync(SyncError::Failed(_) | SyncError::Poisoned(_))
        );
        assert!(explained, "{error:?}");
        assert!(!error.to_string().is_empty());
    })
}

/// The first life, up to its end or to an error that ends it.
fn first_life(
    fs: &CrashFileSystem,
    files: &FaultyFileSystem,
    options: LogOptions,
    records: u64,
    told: &mut Told,
) {
    let created = Log::create(&env(files, 1), dir(), UUID, options);
    let Ok((log, appender)) = note(told, created) else { return };
    told.created = true;
    told.proven = log.durable();
    let _ = life(fs, &log, appender, records, told);
}

/// The second life. Tries once more where the first attempt fails.
fn second_life(fs: &CrashFileSystem, files: &FaultyFileSystem, options: LogOptions, told: &mut Told) {
    for _ in 0..2 {
        let (records, recovered) = match scan(files, told.start, told.proven) {
            Ok(scanned) => scanned,
            Err(RecoveryError::Io { .. }) => {
                told.errors += 1;
                continue;
            }
            Err(error) => {
                assert!(!told.created, "{error}");
                return;
            }
        };
        let tags = records.iter().map(|(tag, _)| *tag);
        assert!(tags.eq(told.first..told.first + records.len() as u64), "a prefix is recovered");
        let end = told.first + records.len() as u64;
        assert!((told.durable..=told.appended).contains(&end), "{end} records are left of {told:?}");
        if let Ok((log, appender)) = note(told, recovered.into_log(&env(files, 2), options)) {
            told.created = true;
            told.appended = end;
            told.stands(&log);
            let _ = life(fs, &log, appender, RECORDS, told);
            return;
        }
    }
}

/// Appends, syncs, makes ready, gives back, and closes.
fn life(
    fs: &CrashFileSystem,
    log: &Arc<Log>,
    mut appender: Appender,
    records: u64,
    told: &mut Told,
) -> Result<(), LogError> {
    for index in 0..records {
        let tag = told.appended;
        let mut appended = note(told, append(&mut appender, tag, &payload(tag)));
        if matches!(appended, Err(LogError::Append(AppendError::Io(_)) | LogError::Io { .. })) {
            let (records, _) = scan(&fs.after_kill(), told.start, told.proven).unwrap();
            assert_eq!(told.first + records.len() as u64, tag, "nothing is left of what was taken back");
            if !log.is_poisoned() && index % 2 == 0 {
                // What is advised to who finds the disk full. It may have begun a segment that nothing is in.
                give_back(log, told)?;
            }
            appended = note(told, append(&mut appender, tag, &payload(tag)));
        }
        if matches!(appended, Err(LogError::Append(AppendError::InDoubt(_)))) {
            assert!(log.is_poisoned());
            told.appended += 1;
        }
        let end = appended?;
        told.appended += 1;
        if index % 5 == 4 {
            note(told, log.sync_through(end).map_err(LogError::from))?;
            told.stands(log);
        }
        if index % 8 == 7 {
            note(told, appender.append_watermark().map_err(LogError::from))?;
        }
        if log.wants_preparation() {
            // In the background, where a failure is nobody's concern.
            let _ = note(told, log.prepare(0));
        }
        if index % 24 == 23 {
            give_back(log, told)?;
        }
    }
    note(told, log.close(appender))?;
    told.stands(log);
    Ok(())
}

/// Syncs all there is, and gives it back.
fn give_back(log: &Log, told: &mut Told) -> Result<(), LogError> {
    note(told, log.sync_now().map_err(LogError::from))?;
    told.stands(log);
    (told.start, told.first) = (log.appended(), told.appended);
    let _ = note(told, log.release_before(told.start));
    Ok(())
}

/// The log that is left, after a kill and after power cuts, and whether it can go on.
fn check(fs: &CrashFileSystem, options: LogOptions, told: Told, seed: u64, context: &str) {
    let cut = cuts(fs, seed)[(seed % 5) as usize];
    for (left, how) in [
        (fs.after_crash(CrashChoice::KeepNone), "cut".to_owned()),
        (fs.after_crash(cut), format!("{cut:?}")),
        (fs.kill(), "killed".to_owned()),
    ] {
        let context = format!("{context}, {how}");
        let (records, recovered) = match scan(&left, told.start, told.proven) {
            Ok(scanned) => scanned,
            Err(error) => {
                assert!(!told.created, "{context}: {error}");
                continue;
            }
        };
        assert_nothing_missing(&left, told.start, told.proven, &context);
        let prefix = (told.first..).zip(&records);
        for (expected, (tag, bytes)) in prefix {
            assert_eq!(*tag, expected, "{context}: a prefix");
            assert_eq!(*bytes, payload(*tag), "{context}: record {tag} is whole");
        }
        let count = told.first + records.len() as u64;
        assert!((told.durable..=told.appended).contains(&count), "{context}: {count} left of {told:?}");

        let went_on = recovered.into_log(&env(&left, 3), options).and_then(|(log, mut appender)| {
            append(&mut appender, count, &payload(count))?;
            log.close(appender)
        });
        went_on.unwrap_or_else(|error| panic!("{context}: {error}"));
        let (records, recovered) = scan(&left.crash(CrashChoice::KeepNone), told.start, told.proven).unwrap();
        assert_eq!(told.first + records.len() as u64, count + 1, "{context}: what was shown stands");
        assert!(recovered.clean_close);
    }
}

/// Both lives under `fault`, the machine running on between them, with a look at what would be left after each.
fn run(options: LogOptions, fault: Option<Fault>, seed: u64, context: &str) -> (Told, Faults) {
    let options = short(options);
    let fs = CrashFileSystem::new();
    if seed % 2 == 1 {
        fs.set_failed_sync(CrashChoice::Subset { seed, unit: 8 });
    }
    let files = fs.under_faults();
    let faults = files.faults();
    // Many times what both lives need: whoever comes here tries for ever. The first fault decides, so it is this one.
    let endless = || panic!("the log spins");
    faults.inject(Fault::on_any(&Operation::FALLIBLE).nth(20_000).sticky().call(endless));
    if let Some(fault) = fault {
        faults.inject(fault);
    }
    let mut told = Told::nothing();
    first_life(&fs, &files, options, RECORDS, &mut told);
    if faults.fired() > 0 {
        check(&fs.after_kill(), options, told, seed, context);
    }
    second_life(&fs, &files, options, &mut told);
    check(&fs, options, told, seed, context);
    (told, faults)
}

/// Meets every call in turn with what `fault` makes of it.
fn sweep(context: &str, fault: impl Fn(u64) -> Fault, expected: impl Fn(Told) -> bool) {
    let mut met = 0;
    for options in [small(), plain()] {
        for nth in 1.. {
            let context = format!("{context} of call {nth}, {:?}", options.mapping);
            let (told, faults) = run(options, Some(fault(nth)), nth, &context);
            if faults.fired() == 0 {
                assert_eq!(told.errors, 0, "{context}");
                break;
            }
            assert!(told.errors > 0 || unharmed(told), "{context}: a silent failure, {told:?}");
            assert!(expected(told), "{context}: {told:?}");
            met += 1;
        }
    }
    assert!(met > 100, "{context}: {met} calls");
}

/// Whether both lives went through as if nothing had been.
fn unharmed(told: Told) -> bool {
    told.errors == 0 && told.durable == 2 * RECORDS
}

#[test]
fn the_lives_that_are_disturbed_use_every_call() {
    for (options, unused) in
        [(small(), vec![Operation::SetLen]), (plain(), vec![Operation::SetLen, Operation::Map])]
    {
        let (told, faults) = run(options, None, 0, "undisturbed");
        assert!(unharmed(told) && told.first > 0, "{told:?}");
        let counters = faults.counters();
        let idle = Operation::FALLIBLE.into_iter().filter(|operation| counters.calls(*operation) == 0);
        assert!(idle.eq(unused), "{counters:?}");
        assert!(counters.calls_on(Operation::Rename, ".seg") > 0, "a segment is used again");
    }
}

#[test]
fn no_call_that_fails_once_loses_what_was_told() {
    sweep("an error", |nth| Fault::on_any(&Operation::FALLIBLE).nth(nth), |_| true);
}

#[test]
fn no_call_that_fails_from_then_on_loses_what_was_told() {
    sweep("errors for good", |nth| Fault::on_any(&Operation::FALLIBLE).nth(nth).sticky(), |_| true);
}

#[test]
fn no_call_that_finds_the_disk_full_loses_what_was_told() {
    let full = |nth| Fault::on_any(&TAKE_SPACE).kind(ErrorKind::StorageFull).nth(nth);
    sweep("a full disk", full, |_| true);
    sweep("a disk full for good", |nth| full(nth).sticky(), |told| told.errors > 0);
}

#[test]
fn no_call_that_is_done_and_says_it_failed_loses_what_was_told() {
    let lies = |nth| Fault::on_any(&Operation::FALLIBLE).done_but_fails(ErrorKind::Other).nth(nth);
    sweep("a false error", lies, |_| true);
}

#[test]
fn short_and_interrupted_calls_are_nobodys_concern() {
    sweep("a short call", |nth| Fault::on_any(&TRANSFERS).short(5).nth(nth), unharmed);
    let interrupted = |nth| Fault::on_any(&TRANSFERS).kind(ErrorKind::Interrupted).nth(nth);
    sweep("an interruption", interrupted, unharmed);
}

#[test]
fn a_call_that_moves_nothing_is_an_error_and_no_endless_loop() {
    sweep("an empty call", |nth| Fault::on_any(&TRANSFERS).short(0).nth(nth), |told| told.errors > 0);
    sweep("empty calls", |nth| Fault::on_any(&TRANSFERS).short(0).nth(nth).sticky(), |told| told.errors > 0);
}

#[test]
fn no_cut_of_the_power_while_segments_are_used_again_loses_what_was_told() {
    for options in [short(small()), short(plain())] {
        for at in 0.. {
            let fs = CrashFileSystem::new();
            fs.cut_power_after(at);
            let mut told = Told::nothing();
            first_life(&fs, &fs.under_faults(), options, 80, &mut told);
            let went_through = told.errors == 0;
            check(&fs, options, told, at, &format!("step {at}"));
            if went_through {
                assert_eq!(told.durable, 80);
                break;
            }
        }
    }
}

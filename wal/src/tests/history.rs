//! Reading a log back beside its appends, and after a recovery that kept what came before.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use braid_vfs::FileSystem as _;
use braid_vfs::faulty::{CrashChoice, CrashFileSystem};

use super::helpers::*;
use crate::record::{HEADER_BYTES, HeaderKey, RecordHeader};
use crate::segment::{HeaderState, SegmentHeader};
use crate::{Log, LogHistory, LogReader, Lsn, ReadError};

fn rest(reader: &mut LogReader) -> Result<Records, ReadError> {
    let mut records = Records::new();
    while let Some(record) = reader.advance()? {
        let mut payload = reader.payload()?;
        assert_eq!(payload.bytes(), u64::from(record.payload_bytes));
        records.push((record.tag, payload.get(0, usize::MAX)?.to_vec()));
    }
    Ok(records)
}

#[test]
fn what_is_durable_and_nothing_else() {
    for options in [small(), plain()] {
        let fs = CrashFileSystem::new();
        let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, options).unwrap();
        let mut reader = log.history().reader(Lsn::FIRST);
        let mut read = Records::new();
        for tag in 0..400 {
            append(&mut appender, tag, &payload(tag)).unwrap();
            if tag % 7 == 6 {
                assert_eq!(reader.position(), log.durable(), "it has read all that was durable");
                log.sync_now().unwrap();
                read.extend(rest(&mut reader).unwrap());
                assert_eq!(read.len() as u64, tag + 1);
            } else {
                assert_eq!(rest(&mut reader).unwrap(), []);
            }
        }
        assert!(log.stats().rotations > 3);
        assert_prefix(&read);
        // From every segment on.
        for base in log.history().segments() {
            let mut reader = log.history().reader(base);
            assert_eq!(reader.segment(), None, "it has read nothing");
            if reader.advance().unwrap().is_some() {
                assert_eq!(reader.segment(), Some(base));
                assert!(!reader.payload().unwrap().needs_log(), "a short one is held");
            }
            let records = rest(&mut log.history().reader(base)).unwrap();
            let first = records.first().map_or(read.len() as u64, |(tag, _)| *tag);
            assert_eq!(records, read[first as usize..]);
        }
    }
}

#[test]
fn a_reader_that_was_overtaken_says_so_and_gives_nothing_wrong() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, short(small())).unwrap();
    let mut readers: Vec<_> = (0..40).map(|_| log.history().reader(Lsn::FIRST)).collect();
    for tag in 0..600_u64 {
        append(&mut appender, tag, &payload(tag)).unwrap();
        log.sync_now().unwrap();
        // Each reader stops at another place.
        if let Some(reader) = readers.get_mut((tag / 15) as usize) {
            while let Ok(Some(_)) = reader.advance() {}
        }
        if tag % 50 == 49 {
            log.release_before(log.durable()).unwrap();
        }
    }
    assert!(log.stats().recycled > 2, "segments are used again under the readers");
    let mut gone = 0;
    for reader in &mut readers {
        match rest(reader) {
            Ok(records) => assert!(records.iter().all(|(tag, bytes)| *bytes == payload(*tag))),
            Err(ReadError::Gone { lsn, oldest }) => {
                assert!(lsn < oldest);
                gone += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(gone > 20, "{gone}");
}

#[test]
fn a_long_payload_is_read_in_pieces_and_not_after_its_segment() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
    let long: Vec<u8> = (0..500_000_u32).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
    append(&mut appender, 0, &long).unwrap();
    append(&mut appender, 1, &vec![1; 20_000]).unwrap();
    log.sync_now().unwrap();
    let mut reader = log.history().reader(Lsn::FIRST);
    assert_eq!(reader.advance().unwrap().unwrap().tag, 0);
    let mut payload = reader.payload().unwrap();
    assert!(payload.needs_log());
    for at in [0, 130_000, 131_071, 400_000, 499_990, 500_000] {
        let piece = payload.get(at, 1000).unwrap();
        assert_eq!(*piece, long[at as usize..(at as usize + 1000).min(long.len())]);
    }
    log.release_before(log.durable()).unwrap();
    assert!(matches!(payload.get(0, 10), Err(ReadError::Gone { .. })));
}

#[test]
fn what_is_kept_outlives_recoveries_and_is_not_replayed() {
    let mut fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, short(small()), 200, |tag| tag % 5 == 0);
    log.sync_now().unwrap();
    let mut start = log.durable();
    drop((log, appender));
    let mut count = 200;
    for life in 0..6_u64 {
        fs = if life % 2 == 0 { fs.crash(CrashChoice::KeepNone) } else { fs.kill() };
        let (replayed, recovered) = scan(&fs, start, start).unwrap();
        assert_eq!(replayed, [], "nothing before the start is replayed");
        let history = {
            let (_, recovered) = scan(&fs, start, start).unwrap();
            recovered.into_history(&env(&fs, 9), &small())
        };
        let (log, mut appender) = recovered.into_log(&env(&fs, life + 2), short(small())).unwrap();
        for history in [history, log.history()] {
            let records = rest(&mut history.reader(history.segments()[0])).unwrap();
            assert_eq!(records.len() as u64, count);
            assert_prefix(&records);
        }
        for tag in count..count + 30 {
            append(&mut appender, tag, &payload(tag)).unwrap();
        }
        count += 30;
        log.sync_now().unwrap();
        start = log.durable();
        log.set_aside_before(start);
        assert_eq!(rest(&mut log.history().reader(Lsn::FIRST)).unwrap().len() as u64, count);
        if life == 4 {
            log.close(appender).unwrap();
            start = log.durable();
            let (_, recovered) = scan(&fs, start, start).unwrap();
            assert!(recovered.clean_close || recovered.end == start);
        }
    }
}

/// What is proven may end where a segment begins: of that one nothing is left, and it is in nobody's way, whether its file is
/// removed or stays.
#[test]
fn what_is_kept_leads_up_to_a_segment_that_took_the_place_of_another() {
    for stray in [false, true] {
        let fs = CrashFileSystem::new();
        let (log, appender) = filled(&fs, small(), 300, |_| false);
        let spans = log.spans();
        drop((log, appender));
        let mut fs = fs.kill();
        let proven = spans[4].base;
        let replaced = read(&fs, &segment(5));
        for life in 0..3 {
            let (replayed, recovered) = scan(&fs, proven, proven).unwrap();
            assert!(!replayed.is_empty());
            let (log, appender) = recovered.into_log(&env(&fs, life + 2), small()).unwrap();
            log.sync_now().unwrap();
            let records = rest(&mut log.history().reader(Lsn::FIRST)).unwrap();
            assert_eq!(records.len(), 300, "stray {stray}, life {life}");
            assert_prefix(&records);
            drop((log, appender));
            fs = fs.kill();
            if stray {
                put(&fs, &segment(5), &replaced);
            }
        }
    }
}

#[test]
fn history_ends_where_a_segment_is_missing_or_damaged() {
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, short(small()), 200, |_| true);
    let start = log.durable();
    drop((log, appender));
    let all = paths(&fs);
    let victim = all[all.len() / 2].clone();
    let kept = |fs: &CrashFileSystem| {
        let (_, recovered) = scan(fs, start, start).unwrap();
        let history = recovered.into_history(&env(fs, 3), &small());
        (history.segments(), rest(&mut history.reader(history.segments()[0])))
    };
    let (whole, records) = kept(&fs);
    assert_eq!((whole.len(), records.unwrap().len()), (all.len(), 200));

    let gap = fs.kill();
    remove(&gap, &victim);
    let (segments, records) = kept(&gap);
    assert_eq!(segments, whole[all.len() / 2 + 1..], "what lies before a gap is no history of what follows");
    assert!(records.unwrap().last().unwrap().0 == 199);

    // A flipped bit behind the header is the affair of its readers, and no reason to refuse the log.
    let bad = fs.kill();
    let mut bytes = read(&bad, &victim);
    bytes[5000] ^= 1;
    put(&bad, &victim, &bytes);
    let (segments, records) = kept(&bad);
    assert_eq!(segments, whole);
    assert!(
        matches!(records, Err(ReadError::Corrupt { segment, .. }) if victim == super::helpers::segment(segment))
    );
    let behind = LogHistory::clone(&{
        let (_, recovered) = scan(&bad, start, start).unwrap();
        recovered.into_history(&env(&bad, 3), &small())
    });
    assert!(!rest(&mut behind.reader(whole[all.len() / 2 + 1])).unwrap().is_empty());
    assert!(bad.read_dir(dir()).unwrap().len() == all.len(), "nothing was written");
}

/// Of another place, another use of the file, or longer than it can be: what a disk may have put there by mistake.
#[test]
fn a_whole_record_that_does_not_belong_there_is_damage() {
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, short(small()), 200, |_| true);
    let start = log.durable();
    drop((log, appender));
    let all = paths(&fs);
    let victim = &all[all.len() / 2];
    let bytes = read(&fs, victim);
    let (key, at) = (HeaderKey::new(&UUID), 4096);
    let header = RecordHeader::decode(bytes[at..].first_chunk().unwrap(), &key).unwrap();
    for forged in [
        RecordHeader { lsn: header.lsn + 8, ..header },
        RecordHeader { lsn: header.lsn + 4096, ..header },
        RecordHeader { salt: header.salt + 1, ..header },
        RecordHeader { payload_len: 1 << 20, ..header },
    ] {
        let bad = fs.kill();
        let mut bytes = bytes.clone();
        bytes[at..at + HEADER_BYTES].copy_from_slice(&forged.encode(&key));
        put(&bad, victim, &bytes);
        let (_, recovered) = scan(&bad, start, start).unwrap();
        let history = recovered.into_history(&env(&bad, 3), &small());
        let records = rest(&mut history.reader(history.segments()[0]));
        assert!(matches!(records, Err(ReadError::Corrupt { .. })), "{forged:?}: {records:?}");
    }
}

/// While the log is open nobody has looked at the headers of old segments since they were written.
#[test]
fn a_segment_that_is_not_the_one_it_should_be_is_damage() {
    let fs = CrashFileSystem::new();
    let (log, appender) = filled(&fs, short(small()), 200, |_| true);
    let start = log.durable();
    drop((log, appender));
    let (_, recovered) = scan(&fs, start, start).unwrap();
    let history = recovered.into_history(&env(&fs, 3), &small());
    let victim = &paths(&fs)[2];
    let bytes = read(&fs, victim);
    let HeaderState::Valid(header) = SegmentHeader::decode(bytes.first_chunk().unwrap()) else {
        panic!("the segment has no header")
    };
    let forged = [
        SegmentHeader { uuid: [9; 16], ..header },
        SegmentHeader { sequence: header.sequence + 1, ..header },
        SegmentHeader { base: header.base + 8, ..header },
    ];
    for first in forged.map(|header| header.encode()).into_iter().chain([[0; 128], [7; 128]]) {
        overwrite(&fs, victim, &first);
        let records = rest(&mut history.reader(history.segments()[0]));
        assert!(matches!(records, Err(ReadError::Corrupt { offset: 0, .. })), "{records:?}");
    }
    overwrite(&fs, victim, &bytes);
    assert_eq!(rest(&mut history.reader(history.segments()[0])).unwrap().len(), 200);
    remove(&fs, victim);
    let records = rest(&mut history.reader(history.segments()[0]));
    assert!(matches!(records, Err(ReadError::Io { .. })), "{records:?}");
}

#[test]
fn no_flipped_bit_of_a_payload_is_given_to_a_reader() {
    for bytes in [0, 1, 100, 200_000] {
        let fs = CrashFileSystem::new();
        let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
        append(&mut appender, 1, &vec![3; bytes]).unwrap();
        log.sync_now().unwrap();
        let at = log.history().segments()[0];
        let mut reader = log.history().reader(at);
        assert_eq!(rest(&mut reader).unwrap().len(), 1);
        // A long one makes the log go on in a segment that has room for it.
        let file = segment(log.history().segments().len() as u64);
        let first = 4096 + HEADER_BYTES;
        for byte in (first..first + bytes).step_by(1 + bytes / 7) {
            let whole = read(&fs, &file);
            let mut flipped = whole.clone();
            flipped[byte] ^= 4;
            overwrite(&fs, &file, &flipped);
            let records = rest(&mut log.history().reader(at));
            assert!(matches!(records, Err(ReadError::Corrupt { .. })), "{byte} of {bytes}");
            overwrite(&fs, &file, &whole);
        }
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn watchers_are_woken_once_by_progress_and_by_the_end() {
    let fs = CrashFileSystem::new();
    let (log, mut appender) = Log::create(&env(&fs, 1), dir(), UUID, small()).unwrap();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let watcher = log.watcher();
    let server = braid_vfs::sync::thread::spawn({
        let log = Arc::clone(&log);
        move || log.serve_futures()
    });
    let called = |times: usize| {
        while count.0.load(Ordering::SeqCst) < times {
            std::thread::yield_now();
        }
        count.0.load(Ordering::SeqCst) == times
    };
    let known = log.durable();
    assert!(watcher.watch(known, &waker) && watcher.watch(known, &waker));
    append(&mut appender, 0, b"one").unwrap();
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    log.sync_now().unwrap();
    assert!(called(1));
    assert!(!watcher.watch(known, &waker), "there is more already");
    assert!(watcher.watch(log.durable(), &waker));
    watcher.unwatch();
    log.wake_watchers();
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "it did not want to know any more");
    assert!(watcher.watch(log.durable(), &waker));
    log.wake_watchers();
    assert!(called(2), "its owner calls whoever watches");
    assert!(watcher.watch(log.durable(), &waker));
    let held = Arc::strong_count(&count);
    let another = log.watcher();
    assert!(another.watch(log.durable(), &waker));
    drop(another);
    assert_eq!(Arc::strong_count(&count), held, "who is gone leaves no waker");
    log.poison(&Arc::new(io::Error::other("by the test")));
    assert!(called(3));
    assert!(!watcher.watch(log.durable(), &waker), "it will never be more");
    log.stop_serving();
    server.join().unwrap();
    assert!(called(3));
}

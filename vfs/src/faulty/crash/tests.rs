//! A crash takes what was not synced, and nothing else.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::choice::{Fates, Torn};
use super::{CrashChoice, CrashFileSystem};
use crate::faulty::{Fault, Operation};
use crate::{File, FileSystem, LockAttempt, LockKind, OpenMode, OpenOptions};

const SECTOR: u64 = 512;

fn open(files: &dyn FileSystem, path: &str) -> Arc<dyn File> {
    files.open(Path::new(path), OpenOptions::new(OpenMode::ReadWriteCreate)).unwrap()
}

fn sync_root(files: &dyn FileSystem) {
    files.sync_dir(Path::new("/")).unwrap();
}

/// The bytes under a name, if there is a file of that name.
fn bytes(files: &dyn FileSystem, path: &str) -> Option<Vec<u8>> {
    let file = files.open(Path::new(path), OpenOptions::new(OpenMode::ReadOnly)).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

/// A file whose name and first bytes are durable.
fn synced(files: &CrashFileSystem, path: &str, contents: &[u8]) -> Arc<dyn File> {
    let file = open(files, path);
    file.write_all_at(contents, 0).unwrap();
    file.sync_data().unwrap();
    sync_root(files);
    file
}

#[test]
fn without_a_crash_it_conforms() {
    let files = CrashFileSystem::new();
    files.create_dir(Path::new("/base"), 0o700).unwrap();
    for at_once in [false, true] {
        files.set_renames_new_at_once(at_once);
        crate::conformance::check(&files, Path::new("/base"));
    }
    crate::conformance::check_links(
        &files,
        Path::new("/base"),
        |target, link| files.symlink(target, link),
        |existing, link| files.hard_link(existing, link),
    );
}

#[test]
fn what_was_synced_stands_and_what_was_not_is_chosen() {
    let files = CrashFileSystem::new();
    let file = synced(&files, "/f", b"durable");
    file.write_all_at(b"later", 7).unwrap();
    assert_eq!(bytes(&files, "/f").unwrap(), b"durablelater");
    assert_eq!(files.unsynced_changes(), 1);
    assert_eq!(bytes(&files.after_crash(CrashChoice::KeepNone), "/f").unwrap(), b"durable");
    assert_eq!(bytes(&files.after_crash(CrashChoice::KeepAll), "/f").unwrap(), b"durablelater");
    file.sync_data().unwrap();
    assert_eq!(files.unsynced_changes(), 0);
    assert_eq!(bytes(&files.after_crash(CrashChoice::KeepNone), "/f").unwrap(), b"durablelater");
}

#[test]
fn a_cut_of_length_is_a_change_in_order() {
    let files = CrashFileSystem::new();
    let file = synced(&files, "/f", b"0123456789");
    file.set_len(4).unwrap();
    file.write_all_at(b"ab", 6).unwrap();
    assert_eq!(bytes(&files.after_crash(CrashChoice::KeepNone), "/f").unwrap(), b"0123456789");
    assert_eq!(bytes(&files.after_crash(CrashChoice::KeepAll), "/f").unwrap(), b"0123\0\0ab");
    let only_the_cut = CrashChoice::Prefix { changes: 1, bytes: 0 };
    assert_eq!(bytes(&files.after_crash(only_the_cut), "/f").unwrap(), b"0123");
}

#[test]
fn a_name_needs_a_sync_of_its_directory() {
    let files = CrashFileSystem::new();
    let file = open(&files, "/f");
    file.write_all_at(b"bytes", 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(bytes(&files.after_crash(CrashChoice::KeepNone), "/f"), None, "synced bytes without a name");
    sync_root(&files);
    assert_eq!(bytes(&files.after_crash(CrashChoice::KeepNone), "/f").unwrap(), b"bytes");
    files.remove_file(Path::new("/f")).unwrap();
    assert_eq!(
        bytes(&files.after_crash(CrashChoice::KeepNone), "/f").unwrap(),
        b"bytes",
        "a name comes back"
    );
    assert_eq!(bytes(&files.after_crash(CrashChoice::KeepAll), "/f"), None);
    sync_root(&files);
    assert_eq!(bytes(&files.after_crash(CrashChoice::KeepNone), "/f"), None);
}

#[test]
fn a_synced_name_of_unsynced_bytes_is_an_empty_file() {
    let files = CrashFileSystem::new();
    open(&files, "/f").write_all_at(b"bytes", 0).unwrap();
    sync_root(&files);
    assert_eq!(bytes(&files.after_crash(CrashChoice::KeepNone), "/f").unwrap(), b"");
}

#[test]
fn what_is_in_a_directory_is_lost_with_its_name() {
    let files = CrashFileSystem::new();
    files.create_dir(Path::new("/d"), 0o700).unwrap();
    open(&files, "/d/f").sync_data().unwrap();
    files.sync_dir(Path::new("/d")).unwrap();
    let after = files.after_crash(CrashChoice::KeepNone);
    assert_eq!(after.identity(Path::new("/d")).unwrap(), None);
    assert_eq!(after.read_dir(Path::new("/")).unwrap(), Vec::<std::ffi::OsString>::new());
    sync_root(&files);
    let after = files.after_crash(CrashChoice::KeepNone);
    assert_eq!(after.read_dir(Path::new("/d")).unwrap(), ["f"]);
}

#[test]
fn a_rename_happens_whole_or_not_at_all() {
    let files = CrashFileSystem::new();
    synced(&files, "/f", b"old");
    synced(&files, "/f.new", b"new");
    files.rename(Path::new("/f.new"), Path::new("/f")).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..64 {
        let after = files.after_crash(CrashChoice::Subset { seed, unit: SECTOR });
        seen.insert((bytes(&after, "/f"), bytes(&after, "/f.new")));
    }
    let before = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    let after = (Some(b"new".to_vec()), None);
    assert_eq!(seen, BTreeSet::from([before, after]));
}

#[test]
fn a_rename_to_a_new_name_happens_whole_or_through_two_names() {
    for at_once in [true, false] {
        let files = CrashFileSystem::new();
        files.set_renames_new_at_once(at_once);
        synced(&files, "/f", b"bytes");
        files.rename_new(Path::new("/f"), Path::new("/g")).unwrap();
        let mut seen = BTreeSet::new();
        for prefix in 0..=files.unsynced_changes() {
            let after = files.after_crash(CrashChoice::Prefix { changes: prefix, bytes: 0 });
            let names = [bytes(&after, "/f"), bytes(&after, "/g")];
            assert!(names.iter().flatten().all(|bytes| bytes == b"bytes"));
            seen.insert(names.map(|name| name.is_some()));
        }
        let mut expected = BTreeSet::from([[true, false], [false, true]]);
        if !at_once {
            expected.insert([true, true]);
        }
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_sync_of_one_directory_keeps_both_halves_of_a_rename_into_it() {
    let files = CrashFileSystem::new();
    files.create_dir(Path::new("/d"), 0o700).unwrap();
    sync_root(&files);
    open(&files, "/f").sync_data().unwrap();
    files.rename(Path::new("/f"), Path::new("/d/f")).unwrap();
    open(&files, "/unrelated-and-later");
    files.sync_dir(Path::new("/d")).unwrap();
    let after = files.after_crash(CrashChoice::KeepNone);
    assert_eq!(after.read_dir(Path::new("/")).unwrap(), ["d"]);
    assert_eq!(after.read_dir(Path::new("/d")).unwrap(), ["f"]);
}

#[test]
fn a_store_through_a_mapping_is_a_change_like_a_write() {
    let files = CrashFileSystem::new();
    let file = synced(&files, "/f", &[0; 1024]);
    let mut mapping = file.map_for_append(1024).unwrap().unwrap();
    mapping.write(10, b"stored");
    assert_eq!(&bytes(&files, "/f").unwrap()[10..16], b"stored");
    assert_eq!(bytes(&files.after_crash(CrashChoice::KeepNone), "/f").unwrap(), [0; 1024]);
    assert_eq!(&bytes(&files.kill(), "/f").unwrap()[10..16], b"stored", "a kill takes no store");
}

#[test]
fn a_prefix_ends_anywhere_within_a_change() {
    let files = CrashFileSystem::new();
    let (f, g) = (synced(&files, "/f", b""), synced(&files, "/g", b""));
    f.write_all_at(b"abc", 0).unwrap();
    g.write_all_at(b"def", 0).unwrap();
    f.write_all_at(b"ghi", 3).unwrap();
    assert_eq!(files.unsynced_changes(), 3);
    open(&files, "/h").set_len(7).unwrap();
    assert_eq!(files.unsynced_bytes(), [3, 3, 3, 0, 0]);
    let mut all = String::new();
    for changes in 0..=3 {
        for kept in 0..3 {
            let after = files.after_crash(CrashChoice::Prefix { changes, bytes: kept });
            let texts = [bytes(&after, "/f"), bytes(&after, "/g")]
                .map(|bytes| String::from_utf8(bytes.unwrap()).unwrap());
            all += &format!("{} ", texts.join("/"));
        }
    }
    assert_eq!(
        all,
        "/ a/ ab/ abc/ abc/d abc/de abc/def abcg/def abcgh/def abcghi/def abcghi/def abcghi/def "
    );
}

#[test]
fn a_subset_is_torn_at_its_units_and_reaches_every_state() {
    let files = CrashFileSystem::new();
    let file = synced(&files, "/f", &[0; 2048]);
    file.write_all_at(&[1; 1024], 256).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..512 {
        let after = bytes(&files.after_crash(CrashChoice::Subset { seed, unit: SECTOR }), "/f").unwrap();
        assert_eq!(after.len(), 2048);
        let pieces = [256..512, 512..1024, 1024..1280];
        let kept = pieces.map(|piece| {
            let first = after[piece.start];
            assert!(after[piece].iter().all(|byte| *byte == first), "a sector is kept or lost as a whole");
            first
        });
        seen.insert(kept);
        assert!(after[..256].iter().chain(&after[1280..]).all(|byte| *byte == 0));
    }
    assert_eq!(seen.len(), 8, "every subset of three pieces");
}

#[test]
fn one_seed_always_says_the_same() {
    let state = |seed| {
        let files = CrashFileSystem::new();
        for name in ["/a", "/b", "/c"] {
            let file = open(&files, name);
            file.write_all_at(&[7; 3000], 100).unwrap();
            file.set_len(2000).unwrap();
        }
        sync_root(&files);
        let after = files.crash(CrashChoice::Subset { seed, unit: 8 });
        ["/a", "/b", "/c"].map(|name| bytes(&after, name).unwrap())
    };
    assert_eq!(state(3), state(3));
    let different: BTreeSet<_> = (0..16).map(state).collect();
    assert!(different.len() > 8, "seeds differ");
}

#[test]
fn a_lost_write_may_leave_its_length() {
    let files = CrashFileSystem::new();
    let file = synced(&files, "/f", b"x");
    file.write_all_at(&[7; 512], 512).unwrap();
    let seen: BTreeSet<_> = (0..128)
        .map(|seed| bytes(&files.after_crash(CrashChoice::Subset { seed, unit: SECTOR }), "/f").unwrap())
        .map(|bytes| (bytes.len(), bytes.last().copied().unwrap()))
        .collect();
    assert_eq!(seen, BTreeSet::from([(1, b'x'), (1024, 0), (1024, 7)]));
}

#[test]
fn a_torn_write_says_which_pieces_are_left() {
    let whole_or_part = |choice, kept: std::ops::Range<usize>, keeps_length| {
        let torn = Fates::new(choice).tear(1000, 9);
        assert_eq!(torn, Torn { pieces: Vec::from([kept]), keeps_length }, "{choice:?}");
    };
    whole_or_part(CrashChoice::Prefix { changes: 0, bytes: 5 }, 0..5, false);
    whole_or_part(CrashChoice::KeepAll, 0..9, true);
    let torn = Fates::new(CrashChoice::Subset { seed: 1, unit: 0 }).tear(u64::MAX - 20, 9);
    assert!(torn.pieces.iter().all(|piece| piece.end <= 9), "the greatest offsets and an impossible unit");
}

#[test]
fn everything_opened_before_a_crash_fails_after_it() {
    let files = CrashFileSystem::new();
    let file = synced(&files, "/f", &[0; 64]);
    assert_eq!(file.try_lock(LockKind::Exclusive).unwrap(), LockAttempt::Acquired);
    let mut mapping = file.map_for_append(64).unwrap().unwrap();
    let old_identity = file.identity().unwrap();
    let after = files.crash(CrashChoice::KeepAll);

    mapping.write(0, b"too late");
    assert!(file.write_at(b"too late", 0).is_err());
    assert!(file.read_at(&mut [0], 0).is_err());
    assert!(file.sync_data().is_err());
    assert!(file.len().is_err());
    assert!(file.try_lock(LockKind::Shared).is_err());
    assert!(files.open(Path::new("/f"), OpenOptions::new(OpenMode::ReadOnly)).is_err());
    assert!(files.rename(Path::new("/f"), Path::new("/g")).is_err());
    assert!(files.sync_dir(Path::new("/")).is_err());
    assert!(files.resolve(Path::new("/f")).is_err());

    assert_eq!(bytes(&after, "/f").unwrap(), [0; 64]);
    let reopened = open(&after, "/f");
    assert_eq!(
        reopened.try_lock(LockKind::Exclusive).unwrap(),
        LockAttempt::Acquired,
        "locks end with the process"
    );
    assert_ne!(reopened.identity().unwrap(), old_identity, "an old core is not taken for the new file's");
    assert_eq!(reopened.mode().unwrap(), 0o600);
}

#[test]
fn links_of_one_file_are_one_file_after_a_crash() {
    let files = CrashFileSystem::new();
    synced(&files, "/f", b"x");
    files.hard_link(Path::new("/f"), Path::new("/g")).unwrap();
    sync_root(&files);
    let after = files.crash(CrashChoice::KeepNone);
    assert_eq!(after.identity(Path::new("/f")).unwrap(), after.identity(Path::new("/g")).unwrap());
    open(&after, "/g").write_all_at(b"y", 0).unwrap();
    assert_eq!(bytes(&after, "/f").unwrap(), b"y");
}

#[test]
fn what_a_kill_leaves_a_cut_may_still_take() {
    let files = CrashFileSystem::new();
    let file = synced(&files, "/f", b"durable");
    file.write_all_at(b"later", 7).unwrap();
    open(&files, "/g");
    let killed = files.kill();
    assert!(file.read_at(&mut [0], 0).is_err());
    assert_eq!(bytes(&killed, "/f").unwrap(), b"durablelater");
    assert_eq!(bytes(&killed, "/g").unwrap(), b"");
    assert_eq!(killed.unsynced_changes(), 2);
    open(&killed, "/f").write_all_at(b"last", 12).unwrap();
    let none = killed.after_crash(CrashChoice::KeepNone);
    assert_eq!((bytes(&none, "/f").unwrap(), bytes(&none, "/g")), (b"durable".to_vec(), None));
    let first = killed.after_crash(CrashChoice::Prefix { changes: 1, bytes: 0 });
    assert_eq!(bytes(&first, "/f").unwrap(), b"durablelater", "the order goes on over the kill");
    open(&killed, "/f").sync_data().unwrap();
    let synced = killed.crash(CrashChoice::KeepNone);
    assert_eq!(bytes(&synced, "/f").unwrap(), b"durablelaterlast");
}

#[test]
fn what_a_kill_would_leave_lives_its_own_life() {
    let files = CrashFileSystem::new();
    let file = synced(&files, "/f", b"durable");
    file.write_all_at(b"later", 7).unwrap();
    let killed = files.after_kill();
    assert_eq!(killed.unsynced_changes(), 1);
    file.write_all_at(b"DURABLE", 0).unwrap();
    open(&killed, "/f").write_all_at(b"LATER", 7).unwrap();
    assert_eq!(bytes(&files, "/f").unwrap(), b"DURABLElater");
    assert_eq!(bytes(&killed, "/f").unwrap(), b"durableLATER");
    file.sync_data().unwrap();
    assert_eq!(bytes(&killed.crash(CrashChoice::KeepNone), "/f").unwrap(), b"durable");
}

#[test]
fn what_a_failed_sync_should_have_covered_never_becomes_durable() {
    let files = CrashFileSystem::new();
    let faulty = files.under_faults();
    synced(&files, "/f", b"durable");
    let file = open(&faulty, "/f");
    file.write_all_at(b"later", 7).unwrap();
    faulty.faults().inject(Fault::on(Operation::SyncData));
    assert!(file.sync_data().is_err());
    assert_eq!(bytes(&files, "/f").unwrap(), b"durablelater", "the system goes on to read it");
    file.sync_data().unwrap();
    for choice in [CrashChoice::KeepAll, CrashChoice::KeepNone] {
        assert_eq!(
            bytes(&files.after_crash(choice), "/f").unwrap(),
            b"durable",
            "a second sync proves nothing"
        );
    }
    file.write_all_at(b"LA", 7).unwrap();
    file.sync_data().unwrap();
    assert_eq!(bytes(&files.crash(CrashChoice::KeepNone), "/f").unwrap(), b"durableLA");
}

#[test]
fn part_of_what_a_failed_sync_covered_may_have_reached_the_disk() {
    let files = CrashFileSystem::new();
    files.set_failed_sync(CrashChoice::Prefix { changes: 0, bytes: 2 });
    let file = synced(&files, "/f", b"durable");
    file.write_all_at(b"later", 7).unwrap();
    files.fail_sync(file.identity().unwrap());
    assert_eq!(bytes(&files.crash(CrashChoice::KeepAll), "/f").unwrap(), b"durablela");
}

#[test]
fn the_power_fails_after_a_number_of_steps() {
    let workload = |files: &CrashFileSystem| -> io::Result<()> {
        let file = files.open(Path::new("/f"), OpenOptions::new(OpenMode::ReadWriteCreate))?;
        files.sync_dir(Path::new("/"))?;
        for number in 0..3u8 {
            file.write_all_at(&[number; 4], u64::from(number) * 4)?;
            file.sync_data()?;
        }
        Ok(())
    };
    let whole = CrashFileSystem::new();
    workload(&whole).unwrap();
    assert_eq!(whole.steps(), 8);
    let mut lengths = Vec::new();
    for steps in 0..=whole.steps() {
        let files = CrashFileSystem::new();
        files.cut_power_after(steps);
        assert_eq!(workload(&files).is_ok(), steps == whole.steps());
        assert_eq!(files.steps(), steps);
        let after = files.crash(CrashChoice::KeepNone);
        lengths.push(bytes(&after, "/f").map(|bytes| bytes.len()));
    }
    let lengths: Vec<i64> =
        lengths.into_iter().map(|len| len.map_or(-1, |len| len.try_into().unwrap())).collect();
    assert_eq!(lengths, [-1, -1, 0, 0, 4, 4, 8, 8, 12]);
}

#[test]
fn a_crash_among_running_threads_loses_nothing_that_was_answered() {
    for round in 0..20 {
        let files = CrashFileSystem::new();
        let file = synced(&files, "/f", b"");
        let (after, answered) = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..3u64)
                .map(|writer| {
                    let file = Arc::clone(&file);
                    scope.spawn(move || {
                        let mut answered = 0;
                        for row in 0.. {
                            let offset = row * 3 + writer;
                            if file.write_all_at(&[1], offset).and_then(|()| file.sync_data()).is_err() {
                                break;
                            }
                            answered = row + 1;
                        }
                        answered
                    })
                })
                .collect();
            while files.steps() < 10 * (round + 1) {
                std::thread::yield_now();
            }
            let after = files.crash(CrashChoice::KeepNone);
            (after, writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<u64>>())
        });
        let bytes = bytes(&after, "/f").unwrap();
        for (writer, answered) in (0u64..).zip(answered) {
            for row in 0..answered {
                let offset = usize::try_from(row * 3 + writer).unwrap();
                assert_eq!(bytes.get(offset), Some(&1), "writer {writer} was told that row {row} stands");
            }
        }
    }
}

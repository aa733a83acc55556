//! Faults meet the calls that they were planned for, and no others.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use super::{Fault, Faults, FaultyFileSystem, Operation};
use crate::memory::MemoryFileSystem;
use crate::{File, FileSystem, OpenMode, OpenOptions};

fn faulty() -> (FaultyFileSystem, Faults) {
    let files = FaultyFileSystem::new(Arc::new(MemoryFileSystem::new()));
    let faults = files.faults();
    (files, faults)
}

fn create(files: &dyn FileSystem, path: &str) -> io::Result<Arc<dyn File>> {
    files.open(Path::new(path), OpenOptions::new(OpenMode::CreateNew))
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.expect_err("this must fail").kind()
}

#[test]
fn without_a_fault_it_conforms() {
    let memory = MemoryFileSystem::new();
    let files = FaultyFileSystem::new(Arc::new(memory.clone()));
    files.create_dir(Path::new("/base"), 0o700).unwrap();
    crate::conformance::check(&files, Path::new("/base"));
    crate::conformance::check_links(
        &files,
        Path::new("/base"),
        |target, link| memory.symlink(target, link),
        |existing, link| memory.hard_link(existing, link),
    );
}

#[test]
fn the_nth_call_fails_once() {
    let (files, faults) = faulty();
    let file = create(&files, "/f").unwrap();
    faults.inject(Fault::on(Operation::SyncData).nth(3));
    let failed: Vec<bool> = (0..5).map(|_| file.sync_data().is_err()).collect();
    assert_eq!(failed, [false, false, true, false, false]);
    assert_eq!(faults.fired(), 1);
    assert_eq!(faults.counters().calls(Operation::SyncData), 5);
}

#[test]
fn a_sticky_fault_stays_until_it_is_cleared() {
    let (files, faults) = faulty();
    let file = create(&files, "/f").unwrap();
    faults.inject(Fault::on(Operation::Write).kind(ErrorKind::StorageFull).nth(2).sticky());
    assert!(file.write_at(b"a", 0).is_ok());
    assert_eq!(kind(file.write_at(b"b", 0)), ErrorKind::StorageFull);
    assert_eq!(kind(file.write_at(b"b", 0)), ErrorKind::StorageFull);
    faults.clear();
    assert!(file.write_at(b"c", 0).is_ok());
    assert_eq!(file.len().unwrap(), 1);
}

#[test]
fn every_kind_of_call_can_fail_and_then_has_done_nothing() {
    for operation in Operation::FALLIBLE.into_iter().chain([Operation::Unlock]) {
        let (files, faults) = faulty();
        let file = create(&files, "/f").unwrap();
        file.write_all_at(&[1; 100], 0).unwrap();
        faults.inject(Fault::on(operation));
        let result = match operation {
            Operation::Open => files.open(Path::new("/f"), OpenOptions::new(OpenMode::ReadOnly)).map(drop),
            Operation::Create => create(&files, "/g").map(drop),
            Operation::Read => file.read_at(&mut [0], 0).map(drop),
            Operation::Write => file.write_at(b"longer than it was", 90).map(drop),
            Operation::SetLen => file.set_len(3),
            Operation::SyncData => file.sync_data(),
            Operation::SyncAll => file.sync_all(),
            Operation::SyncDir => files.sync_dir(Path::new("/")),
            Operation::Rename => files.rename(Path::new("/f"), Path::new("/g")),
            Operation::Remove => files.remove_file(Path::new("/f")),
            Operation::CreateDir => files.create_dir(Path::new("/g"), 0o700),
            Operation::Map => file.map_for_append(100).map(drop),
            Operation::Unlock => file.unlock(),
            Operation::MappedWrite => unreachable!("a store cannot fail"),
        };
        assert_eq!(
            result.unwrap_err().raw_os_error(),
            Some(5),
            "{operation:?} fails as a broken device does"
        );
        assert_eq!(faults.fired(), 1, "{operation:?}");
        assert_eq!(files.read_dir(Path::new("/")).unwrap(), ["f"], "{operation:?}");
        assert_eq!(file.len().unwrap(), 100, "{operation:?}");
    }
}

#[test]
fn a_fault_meets_only_its_paths() {
    let (files, faults) = faulty();
    let (log, tree) = (create(&files, "/db-wal").unwrap(), create(&files, "/db").unwrap());
    faults.inject(Fault::on(Operation::Write).on_paths_ending("-wal").sticky().errno(28));
    assert!(tree.write_at(b"x", 0).is_ok());
    assert_eq!(kind(log.write_at(b"x", 0)), ErrorKind::StorageFull);
    assert_eq!(faults.counters().calls_on(Operation::Write, "-wal"), 1);
    assert_eq!(faults.counters().calls_on(Operation::Write, "/db"), 1);
}

#[test]
fn short_and_interrupted_calls_are_finished_and_empty_ones_refused() {
    let (files, faults) = faulty();
    let file = create(&files, "/f").unwrap();
    faults.inject(Fault::on_any(&[Operation::Read, Operation::Write]).kind(ErrorKind::Interrupted).every(2));
    faults.inject(Fault::on_any(&[Operation::Read, Operation::Write]).short(3).sticky());
    file.write_all_at(b"ten bytes!", 0).unwrap();
    let mut read = [0; 10];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"ten bytes!");
    let counters = faults.counters();
    assert!(
        counters.calls(Operation::Write) >= 7,
        "four writes of three bytes and the interruptions between"
    );
    assert_eq!((counters.bytes(Operation::Write), counters.bytes(Operation::Read)), (10, 10));

    faults.clear();
    faults.inject(Fault::on(Operation::Write).short(0).sticky());
    assert_eq!(kind(file.write_all_at(b"x", 0)), ErrorKind::WriteZero);
}

#[test]
fn a_call_may_be_done_and_say_that_it_failed() {
    let (files, faults) = faulty();
    faults.inject(Fault::on(Operation::CreateDir).done_but_fails(ErrorKind::TimedOut));
    assert_eq!(kind(files.create_dir(Path::new("/d"), 0o700)), ErrorKind::TimedOut);
    assert!(files.identity(Path::new("/d")).unwrap().is_some());
    faults.inject(Fault::on(Operation::Create).done_but_fails(ErrorKind::TimedOut));
    assert_eq!(kind(create(&files, "/d/f")), ErrorKind::TimedOut);
    assert!(files.identity(Path::new("/d/f")).unwrap().is_some());
}

#[test]
fn a_fault_may_hold_a_call_up() {
    let (files, faults) = faulty();
    let file = create(&files, "/f").unwrap();
    let gate = Arc::new(std::sync::Barrier::new(2));
    let held = Arc::clone(&gate);
    faults.inject(Fault::on(Operation::SyncData).call(move || {
        held.wait();
        held.wait();
    }));
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| file.sync_data());
        gate.wait();
        file.write_all_at(b"meanwhile", 0).unwrap();
        assert!(!syncing.is_finished());
        gate.wait();
        syncing.join().unwrap().unwrap();
    });
}

#[test]
fn the_quota_counts_all_files_and_cuts_writes_short() {
    let (files, faults) = faulty();
    faults.set_quota(Some(100));
    let (a, b) = (create(&files, "/a").unwrap(), create(&files, "/b").unwrap());
    a.write_all_at(&[1; 60], 0).unwrap();
    assert_eq!(b.write_at(&[2; 60], 0).unwrap(), 40, "what fits is written");
    assert_eq!(kind(b.write_at(&[2; 1], 40)), ErrorKind::StorageFull);
    assert_eq!(kind(b.set_len(41)), ErrorKind::StorageFull);
    assert_eq!(a.write_at(&[3; 60], 0).unwrap(), 60, "an overwrite takes no space");
    assert_eq!(faults.bytes_used(), 100);
    a.set_len(50).unwrap();
    assert_eq!(b.write_at(&[2; 60], 40).unwrap(), 10);
    faults.set_quota(Some(120));
    b.write_all_at(&[2; 20], 50).unwrap();
    drop(a);
    files.remove_file(Path::new("/a")).unwrap();
    assert_eq!(faults.bytes_used(), 70);
    files.rename(Path::new("/b"), Path::new("/c")).unwrap();
    assert_eq!(faults.bytes_used(), 70);
    create(&files, "/d").unwrap().write_all_at(&[4; 50], 0).unwrap();
    files.rename(Path::new("/c"), Path::new("/d")).unwrap();
    assert_eq!(faults.bytes_used(), 70, "what a rename replaces gives its space back");
}

#[test]
fn where_writes_are_bounded_an_overwrite_takes_space_too() {
    let (files, faults) = faulty();
    let file = create(&files, "/f").unwrap();
    file.write_all_at(&[1; 100], 0).unwrap();
    faults.set_writable(Some(30));
    assert_eq!(file.write_at(&[2; 20], 0).unwrap(), 20);
    assert_eq!(file.write_at(&[2; 20], 20).unwrap(), 10, "what fits is written");
    assert_eq!(kind(file.write_at(&[2; 20], 30)), ErrorKind::StorageFull);
    faults.set_writable(None);
    assert_eq!(file.write_at(&[2; 20], 30).unwrap(), 20);
}

#[test]
fn a_failed_write_takes_no_space() {
    let (files, faults) = faulty();
    let file = create(&files, "/f").unwrap();
    faults.set_quota(Some(10));
    let reader = files.open(Path::new("/f"), OpenOptions::new(OpenMode::ReadOnly)).unwrap();
    assert!(reader.write_at(&[1; 10], 0).is_err());
    assert_eq!(faults.bytes_used(), 0);
    assert_eq!(file.write_at(&[1; 10], 0).unwrap(), 10);
}

#[test]
fn the_counters_tell_readers_from_writers() {
    let (files, faults) = faulty();
    let file = create(&files, "/f").unwrap();
    file.write_all_at(&[0; 4096], 0).unwrap();
    let mut mapping = file.map_for_append(4096).unwrap().unwrap();
    mapping.write(0, b"stored");
    assert_eq!(faults.counters().calls(Operation::MappedWrite), 1);
    assert_eq!(faults.counters().bytes_on(Operation::MappedWrite, "/f"), 6);
    assert_eq!(faults.counters().changes(), 3, "a creation, a write and a store");

    faults.reset_counters();
    let reader = files.open(Path::new("/f"), OpenOptions::new(OpenMode::ReadOnly)).unwrap();
    let existing = files.open(Path::new("/f"), OpenOptions::new(OpenMode::ReadWriteCreate)).unwrap();
    reader.read_exact_at(&mut [0; 10], 0).unwrap();
    existing.sync_all().unwrap();
    assert_eq!(faults.counters().changes(), 0);
    assert_eq!(faults.counters().file_syncs(), 1);
    assert_eq!(faults.counters().bytes(Operation::Read), 10);
}

#[test]
fn a_sweep_over_the_nth_call_ends() {
    let mut runs = 0;
    for nth in 1.. {
        let (files, faults) = faulty();
        faults.inject(Fault::on_any(&Operation::FALLIBLE).nth(nth));
        let run = || -> io::Result<()> {
            let file = create(&files, "/f")?;
            file.write_all_at(b"x", 0)?;
            file.sync_data()?;
            files.sync_dir(Path::new("/"))
        };
        let result = run();
        runs += 1;
        assert_eq!(result.is_err(), faults.fired() == 1);
        if faults.fired() == 0 {
            break;
        }
    }
    assert_eq!(runs, 6, "an open, a creation, a write and two syncs; then a run without");
}

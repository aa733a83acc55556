//! The begin protocol against seals, folds, commits, trims and sweeps, under many schedules.

use braid_vfs::explore;
use braid_vfs::sync::{Arc, thread};

use super::SnapshotKind::{ReadOnly, ReadWrite};
use super::model::Core;

fn run(core: &Arc<Core>, threads: &[fn(&Core)]) {
    let start = |work: &fn(&Core)| {
        let (core, work) = (Arc::clone(core), *work);
        thread::spawn(move || work(&core))
    };
    let threads: Vec<_> = threads.iter().map(start).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    core.check_quiet();
}

fn everything_at_once() {
    run(
        &Arc::new(Core::new()),
        &[
            |core| (0..4).for_each(|_| core.commit()),
            |core| (0..2).for_each(|_| core.commit()),
            |core| (0..2).for_each(|_| core.checkpoint()),
            |core| (0..3).for_each(|_| core.read(ReadOnly, thread::yield_now)),
            |core| (0..3).for_each(|_| core.read(ReadWrite, thread::yield_now)),
        ],
    );
}

/// A begin whose lower bound is where the generation starts, against commits that trim.
fn a_begin_and_trims() {
    let core = Arc::new(Core::new());
    core.commit();
    core.checkpoint();
    run(
        &core,
        &[
            |core| (0..3).for_each(|_| core.commit()),
            |core| (0..2).for_each(|_| core.commit()),
            |core| core.read(ReadOnly, || {}),
        ],
    );
}

/// An end puts its view back while that is replaced.
fn an_end_and_a_publication() {
    let core = Arc::new(Core::new());
    run(&core, &[|core| core.checkpoint(), |core| core.read(ReadOnly, || {})]);
}

/// Revocations at any time, against reads, trims, folds, and ends after which the slot is another's.
fn revocations() {
    let core = Arc::new(Core::new());
    core.commit();
    run(
        &core,
        &[
            |core| (0..4).for_each(|_| core.commit()),
            |core| core.checkpoint(),
            |core| (0..2).for_each(|_| core.revoke_all()),
            |core| (0..2).for_each(|_| core.read_leased(ReadOnly, 2, thread::yield_now)),
            |core| {
                core.read_leased(ReadWrite, 2, thread::yield_now);
                core.read(ReadOnly, thread::yield_now);
            },
        ],
    );
}

/// One reader whose row is trimmed by every commit once it does not count any more.
fn a_revocation_and_trims() {
    let core = Arc::new(Core::new());
    core.commit();
    run(
        &core,
        &[
            |core| (0..3).for_each(|_| core.commit()),
            |core| core.revoke_all(),
            |core| core.read_leased(ReadOnly, 3, || {}),
        ],
    );
}

#[test]
fn a_revoked_snapshot_reads_right_or_not_at_all() {
    explore!(revocations);
}

#[test]
fn no_trim_shows_in_a_revoked_snapshot() {
    explore!(a_revocation_and_trims);
}

#[test]
fn every_snapshot_reads_its_own_moment() {
    explore!(everything_at_once);
}

#[test]
fn no_trim_takes_what_a_beginning_snapshot_will_read() {
    explore!(a_begin_and_trims);
}

#[test]
fn no_replaced_view_stays_in_an_idle_slot() {
    explore!(an_end_and_a_publication);
}

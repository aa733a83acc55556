//! A child process commits and prints an acknowledgement after each commit, until it is killed by `kill -9`. Every
//! acknowledged commit is there afterwards, the `Deferred` ones too, since only the process died; and of a commit that
//! is there, every row is.

use braid::{Result, Table};
use braid_tests::{Actor, Place, assert_clean, number, scale};
use fastrand::Rng;

const THREADS: usize = 4;

fn last_of(db: &braid::Database, table: &Table, thread: usize) -> Result<i64> {
    Ok(db.get(table, format!("{thread} last"))?.map_or(0, |bytes| number(&bytes)))
}

#[test]
fn cycle_after_cycle() -> Result<()> {
    let place = Place::new();
    let mut rng = Rng::with_seed(9);
    let mut before = [0; THREADS];
    let cycles = 24 * scale();
    for cycle in 0..cycles {
        let threads = THREADS.to_string();
        let mut child = Actor::start(env!("CARGO_BIN_EXE_actor"), "write", &place.path(), &[&threads]);
        assert_eq!(child.line().as_deref(), Some("ready"), "cycle {cycle}");
        let mut lines: Vec<String> = Vec::new();
        for _ in 0..rng.usize(1..250) {
            lines.push(child.line().expect("the child commits without end"));
        }
        lines.extend(child.kill());
        let mut acknowledged = before;
        for line in &lines {
            // The last line may have been cut by the kill; then it was never read to its end.
            let fields: Vec<&str> = line.split(' ').collect();
            if let ["ack", thread, at] = fields.as_slice()
                && let (Ok(thread), Ok(at)) = (thread.parse::<usize>(), at.parse::<i64>())
            {
                acknowledged[thread] = acknowledged[thread].max(at);
            } else {
                assert_eq!(Some(line), lines.last(), "cycle {cycle}: the child says {line}");
            }
        }

        // Now and then the recovery is killed too, by a child that has hardly begun.
        if cycle % 5 == 4 {
            drop(Actor::start(env!("CARGO_BIN_EXE_actor"), "hold", &place.path(), &[]).kill());
        }
        let db = place.open()?;
        let table = db.table("rows")?;
        let mut rows = 0;
        let mut shared = 0;
        for thread in 0..THREADS {
            let last = last_of(&db, &table, thread)?;
            let promised = acknowledged[thread];
            assert!(
                last >= promised,
                "cycle {cycle}: thread {thread} was promised {promised}, and {last} is there"
            );
            assert!(
                last <= promised + 1,
                "cycle {cycle}: thread {thread} is at {last} without acknowledgements"
            );
            before[thread] = last;
            rows += 1 + u64::try_from(last).unwrap_or(0);
            shared += last / 8;
            let snapshot = db.snapshot()?;
            for at in (1..=last).rev().take(300) {
                let length = snapshot.get_with(&table, format!("{thread} {at:09}"), <[u8]>::len)?;
                let expected = usize::try_from(at % 40).unwrap_or(0) * 25;
                assert_eq!(length, Some(expected), "cycle {cycle}: row {at} of thread {thread}");
            }
        }
        let sum = db.get(&table, "shared")?.map_or(0, |bytes| number(&bytes));
        assert_eq!(sum, shared, "cycle {cycle}: the row that all threads share counts every commit once");
        let unused = before.iter().filter(|last| **last == 0).count() as u64;
        let shared_row = u64::from(shared > 0);
        assert_eq!(db.snapshot()?.count(&table)?, rows - unused + shared_row, "cycle {cycle}: rows");
        if cycle % 6 == 0 || cycle + 1 == cycles {
            assert_clean(&db)?;
        }
    }
    assert!(before.iter().all(|last| *last > 0), "every thread got its turn: {before:?}");
    Ok(())
}

//! A power cut at any step, which keeps any part of what was not synced: what the next open finds is the state after one
//! of the commits, and no acknowledged one is missing. The next open may be cut short too, and the next.

use std::sync::Arc;

use braid::Result;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem};
use braid_tests::oracle::Life;
use braid_tests::seeds;
use fastrand::Rng;

use crate::workload::{cut_within, live, open, options};

fn random_choice(machine: &CrashFileSystem, rng: &mut Rng) -> CrashChoice {
    match rng.u8(0..10) {
        0 => CrashChoice::KeepAll,
        1 => CrashChoice::KeepNone,
        2 | 3 => CrashChoice::Prefix {
            changes: rng.usize(0..=machine.unsynced_changes()),
            bytes: rng.usize(0..5000),
        },
        _ => CrashChoice::Subset { seed: rng.u64(..), unit: *rng.choice(&[8, 512, 4096]).unwrap_or(&512) },
    }
}

fn one_seed(seed: u64) -> Result<()> {
    let mut rng = Rng::with_seed(seed);
    let options = options(&mut rng);
    let mut told = Life::default();
    let mut machine = CrashFileSystem::new();
    for life in 0..4 {
        // The cut may fall into the recovery itself, or into the work after it, or come once all is done.
        let within = *rng.choice(&[Some(10), Some(60), Some(600), None]).unwrap_or(&None);
        cut_within(&machine, within, &mut rng);
        if let Ok(db) = open(Arc::new(machine.clone()), &options) {
            let steps = rng.usize(5..60);
            let worked = live(&mut told, &db, steps, &mut rng);
            assert!(within.is_some() || worked.is_ok(), "seed {seed}: {worked:?}");
            if rng.u8(0..4) == 0 && worked.is_ok() && db.close().is_ok() {
                told.promise_everything();
            }
        }
        let choice = random_choice(&machine, &mut rng);
        machine = machine.crash(choice);
        let context = format!("seed {seed}, life {life}, {choice:?}");
        // Opened on a machine of its own, so that the judgement does not repair what the next life begins with.
        let judged = machine.after_crash(CrashChoice::KeepAll);
        let db = open(Arc::new(judged), &options).unwrap_or_else(|error| panic!("{context}: {error}"));
        told.settle(&db, false, &context)?;
    }
    Ok(())
}

#[test]
fn at_random_steps_with_random_subsets() -> Result<()> {
    for seed in seeds(300) {
        one_seed(seed)?;
    }
    Ok(())
}

#[test]
fn at_every_step_of_a_short_life() -> Result<()> {
    let options = options(&mut Rng::with_seed(1));
    let whole = |machine: &CrashFileSystem| -> Result<(u64, Life)> {
        let mut told = Life::default();
        if let Ok(db) = open(Arc::new(machine.clone()), &options) {
            // The commits are the same in every life; only the cut moves on.
            let _ = live(&mut told, &db, 12, &mut Rng::with_seed(77));
            let _ = db.close();
        }
        Ok((machine.steps(), told))
    };
    let (steps, told) = whole(&CrashFileSystem::new())?;
    assert!(told.marks().begun > 5 && steps > 20, "{told:?} in {steps} steps");
    for cut in 0..steps {
        for choice in
            [CrashChoice::KeepAll, CrashChoice::KeepNone, CrashChoice::Subset { seed: cut, unit: 512 }]
        {
            let machine = CrashFileSystem::new();
            machine.cut_power_after(cut);
            let (_, mut told) = whole(&machine)?;
            let restarted = machine.crash(choice);
            let context = format!("cut after step {cut} of {steps}, {choice:?}");
            let db = open(Arc::new(restarted), &options).unwrap_or_else(|error| panic!("{context}: {error}"));
            told.settle(&db, false, &context)?;
        }
    }
    Ok(())
}

#[test]
fn with_many_writers() -> Result<()> {
    // Each thread commits numbers in order. What is left of all of them together must be a prefix of the history: no
    // commit is there whose predecessor in the history is not.
    for seed in seeds(40) {
        let mut rng = Rng::with_seed(seed);
        let options = options(&mut rng);
        let machine = CrashFileSystem::new();
        let db = open(Arc::new(machine.clone()), &options)?;
        db.set_journal_mode(braid::JournalMode::Mvcc)?;
        let table = db.table("rows")?;
        machine.cut_power_after(rng.u64(50..1500));
        let acknowledged = braid_tests::together(4, |thread| -> Result<Vec<(u64, Vec<u8>, bool)>> {
            let mut rng = Rng::with_seed(seed * 10 + thread as u64);
            let mut acknowledged = Vec::new();
            for number in 0..80_u64 {
                let durable = rng.bool();
                let durability =
                    Some(if durable { braid::Durability::Sync } else { braid::Durability::Deferred });
                let key = format!("{thread} {number:04}").into_bytes();
                let begun = db.begin_with(braid::TransactionOptions { durability, ..Default::default() });
                let committed = begun.and_then(|mut tx| {
                    tx.put(&table, &key, vec![9; rng.usize(0..2000)])?;
                    tx.commit()
                });
                match committed {
                    Ok(commit) => acknowledged.push((commit.timestamp.get(), key, durable)),
                    Err(_) => break,
                }
            }
            Ok(acknowledged)
        })?;
        drop((db, table));
        let choice = random_choice(&machine, &mut rng);
        let restarted = machine.crash(choice);
        let db = open(Arc::new(restarted), &options)?;
        let snapshot = db.snapshot()?;
        let mut history: Vec<_> = acknowledged.into_iter().flatten().collect();
        history.sort();
        let found = match db.existing_table("rows")? {
            Some(table) => history
                .iter()
                .map(|(_, key, _)| snapshot.contains(&table, key))
                .collect::<Result<Vec<bool>>>()?,
            None => vec![false; history.len()],
        };
        let prefix = found.iter().position(|found| !found).unwrap_or(found.len());
        assert!(
            found[prefix..].iter().all(|found| !found),
            "seed {seed}, {choice:?}: a hole at {prefix} in {found:?}"
        );
        let durable = history.iter().rposition(|(_, _, durable)| *durable).map_or(0, |last| last + 1);
        assert!(
            prefix >= durable,
            "seed {seed}, {choice:?}: {prefix} commits are left, {durable} were promised"
        );
        braid_tests::assert_clean(&db)?;
    }
    Ok(())
}

//! A page that cannot be read is an error of the read that needed it, and of no other; when the disk answers again so
//! does the database.

use std::sync::Arc;

use braid::vfs::faulty::{CrashFileSystem, Fault, Operation};
use braid::{Database, Error, Options, Result};
use braid_tests::{Place, assert_clean, faulty_env, key};

use crate::workload::open;

#[test]
fn and_do_not_stick() -> Result<()> {
    let place = Place::new();
    let (env, faults) = faulty_env();
    let options = Options { page_bytes: 512, cache_bytes: 16 << 10, ..Options::default() };
    let db = Database::open_in(env, place.path(), options)?;
    let table = db.table("rows")?;
    let mut tx = db.begin_immediate()?;
    for number in 0..3000 {
        tx.put(&table, key(number), [4_u8; 100])?;
    }
    tx.commit()?;
    db.checkpoint()?;
    db.put(&table, "in the row store", "1")?;
    faults.inject(Fault::on(Operation::Read).sticky());
    let failed = (0..3000).filter(|number| {
        let read = db.get(&table, key(*number));
        assert!(matches!(read, Ok(Some(_)) | Err(Error::Io { .. })), "{read:?}");
        read.is_err()
    });
    assert!(failed.count() > 0, "the table is larger than the cache");
    let scanned = db.snapshot()?.scan(&table)?.collect::<Result<Vec<_>>>();
    assert!(
        matches!(scanned, Err(Error::Io { .. })),
        "a scan that cannot go on says so and does not end early"
    );
    assert_eq!(db.get(&table, "in the row store")?, Some(b"1".to_vec()));
    faults.clear();
    for number in 0..3000 {
        assert_eq!(db.get(&table, key(number))?, Some(vec![4; 100]));
    }
    assert_clean(&db)
}

/// The creation was killed after its log was made; the next open looks at that log and cannot read it. That is no word
/// about whose log it is.
#[test]
fn of_the_log_of_an_unfinished_creation() -> Result<()> {
    let small = Options { page_bytes: 512, log_segment_bytes: 64 << 10, ..Options::default() };
    let mut reported = 0;
    for steps in 0..200 {
        let machine = CrashFileSystem::new();
        machine.cut_power_after(steps);
        if open(Arc::new(machine.clone()), &small).is_ok() {
            break;
        }
        for nth in 1..60 {
            let machine = machine.after_kill();
            let files = machine.under_faults();
            files.faults().inject(Fault::on_any(&Operation::FALLIBLE).nth(nth));
            let opened = open(Arc::new(files.clone()), &small);
            if files.faults().fired() == 0 {
                break;
            }
            if let Err(error) = opened {
                let right = matches!(error, Error::Io { .. } | Error::Poisoned { .. });
                assert!(right, "after {steps} steps, call {nth}: {error}");
                reported += 1;
            }
            open(Arc::new(machine), &small)?;
        }
    }
    assert!(reported > 0);
    Ok(())
}

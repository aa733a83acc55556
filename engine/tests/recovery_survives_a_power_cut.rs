//! Opening after a kill, and power cuts during that.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use braid::vfs::faulty::{CrashChoice, CrashFileSystem};
use braid::vfs::{Env, FileSystem};
use braid::{Database, Durability, Options};

const PATH: &str = "/db";
const ROWS: u32 = 150;

fn open(machine: &CrashFileSystem, row_store_bytes: usize) -> braid::Result<Database> {
    let files: Arc<dyn FileSystem> = Arc::new(machine.clone());
    let options = Options {
        row_store_bytes,
        log_segment_bytes: 64 << 10,
        durability: Durability::Deferred,
        deferred_sync_interval: Duration::from_secs(3600),
        ..Options::default()
    };
    Database::open_in(Env::with_files(files), PATH, options)
}

/// What a killed process leaves whose commits no sync has covered; they span several segments.
fn killed_with_a_long_log() -> CrashFileSystem {
    let machine = CrashFileSystem::new();
    let db = open(&machine, 64 << 20).unwrap();
    let table = db.table("t").unwrap();
    for row in 0..ROWS {
        db.put(&table, row.to_be_bytes(), [7; 1000]).unwrap();
    }
    machine.kill()
}

/// How many rows there are, which must be the first ones.
fn prefix(db: &Database) -> u32 {
    let Some(table) = db.existing_table("t").unwrap() else { return 0 };
    let keys: Vec<_> = db.snapshot().unwrap().scan(&table).unwrap().map(|row| row.unwrap().0).collect();
    for (row, key) in (0_u32..).zip(&keys) {
        assert_eq!(key[..], row.to_be_bytes());
    }
    keys.len().try_into().unwrap()
}

#[test]
fn a_power_cut_while_a_recovery_folds_leaves_a_database_that_opens() {
    let killed = killed_with_a_long_log();
    for steps in (0..).step_by(3) {
        let machine = killed.kill();
        machine.cut_power_after(steps);
        let opened = open(&machine, 64 << 10);
        let after = machine.crash(CrashChoice::KeepNone);
        let finished = opened.is_ok();
        drop(opened);
        let db = open(&after, 64 << 20).unwrap_or_else(|error| panic!("cut after {steps} steps: {error}"));
        let rows = prefix(&db);
        let table = db.table("t").unwrap();
        db.put(&table, rows.to_be_bytes(), "next").unwrap();
        db.sync().unwrap();
        drop(db);
        let db = open(&after.crash(CrashChoice::KeepNone), 64 << 20).unwrap();
        assert_eq!(prefix(&db), rows + 1, "cut after {steps} steps");
        if finished {
            assert_eq!(rows, ROWS, "everything that was replayed stands once the open has returned");
            return;
        }
    }
}

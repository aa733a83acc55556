//! Handles of one file come and go: the registry, the last close, and those who open meanwhile.

use braid::Durability::{Deferred, Sync};
use braid::vfs::explore;
use braid::vfs::memory::MemoryFileSystem;
use braid::vfs::sync::thread;
use braid::{Database, Error};

use crate::kit::*;

/// Opens, whoever closes; writes a row and goes, by a drop or by a close.
fn visit(env: &braid::vfs::Env, visitor: u8) {
    let db = open(env).unwrap();
    let table = db.existing_table("t").unwrap().expect("what was committed is there at every open");
    assert!(db.get(&table, "first").unwrap().is_some());
    add(&db, &table, &[visitor], Sync);
    drop(table);
    if pick(2) == 0 {
        db.close().unwrap();
    }
}

fn assert_rows(env: &braid::vfs::Env, rows: u8) {
    let db = open(env).unwrap();
    let table = db.existing_table("t").unwrap().unwrap();
    assert_eq!(db.get(&table, COUNTER).unwrap().map_or(0, |count| count[0]), rows);
    assert!(db.check().unwrap().is_ok());
}

#[test]
fn an_open_waits_for_the_close_of_the_last_handle() {
    explore!(|| {
        let env = env(MemoryFileSystem::new());
        let (db, table) = create(&env);
        db.put(&table, "first", []).unwrap();
        let visitors = [1, 2].map(|visitor: u8| {
            let env = env.clone();
            thread::spawn(move || visit(&env, visitor))
        });
        drop((db, table));
        join(visitors);
        assert_rows(&env, 2);
    });
}

/// The close folds first, for which it has to be the last; an open may make it not so at any moment.
#[test]
fn a_close_does_not_take_the_core_from_a_new_handle() {
    explore!(|| {
        let env = env(MemoryFileSystem::new());
        let (db, table) = create(&env);
        db.put(&table, "first", []).unwrap();
        let visitor = {
            let env = env.clone();
            thread::spawn(move || visit(&env, 1))
        };
        let sibling = {
            let db = db.clone();
            thread::spawn(move || {
                db.close().unwrap();
            })
        };
        drop(table);
        db.close().unwrap();
        join([visitor, sibling]);
        assert_rows(&env, 1);
    });
}

/// One who only reads shares the core that writes, or has one of its own that shows the same.
#[test]
fn a_reader_attaches_or_opens_by_itself() {
    explore!(|| {
        let env = env(MemoryFileSystem::new());
        let (db, table) = create(&env);
        db.put(&table, "first", []).unwrap();
        let reader = {
            let env = env.clone();
            thread::spawn(move || {
                let db = Database::open_read_only_in(env, PATH, options()).unwrap();
                let table = db.existing_table("t").unwrap().unwrap();
                assert!(db.get(&table, "first").unwrap().is_some());
                assert!(matches!(db.put(&table, "refused", []), Err(Error::ReadOnly)));
            })
        };
        let writer = {
            let env = env.clone();
            thread::spawn(move || match open(&env) {
                Ok(db) => {
                    let table = db.existing_table("t").unwrap().unwrap();
                    add(&db, &table, &[1], Sync);
                }
                // The reader was there first, alone.
                Err(Error::OptionsConflict { option, .. }) => {
                    assert!(option.contains("read-only"), "{option}")
                }
                Err(error) => panic!("{error}"),
            })
        };
        drop((db, table));
        join([reader, writer]);
        let db = open(&env).unwrap();
        let table = db.existing_table("t").unwrap().unwrap();
        assert!(db.get(&table, "refused").unwrap().is_none());
    });
}

/// Snapshots and cursors hold the core as handles do: whichever is the last to go closes it.
#[test]
fn a_snapshot_keeps_its_core() {
    explore!(|| {
        let env = env(MemoryFileSystem::new());
        let (db, table) = create(&env);
        db.put(&table, "first", []).unwrap();
        let (snapshot, held) = (db.snapshot().unwrap(), table.clone());
        let reader = thread::spawn(move || {
            let mut rows = snapshot.scan(&held).unwrap();
            drop(snapshot);
            thread::yield_now();
            assert_eq!(rows.next().unwrap().unwrap().0, b"first");
            assert!(rows.next().is_none());
        });
        let visitor = {
            let env = env.clone();
            thread::spawn(move || visit(&env, 1))
        };
        drop((db, table));
        join([reader, visitor]);
        assert_rows(&env, 1);
    });
}

/// The last handle goes while both background threads have work: nothing that was committed goes with it.
#[test]
fn a_close_ends_the_background() {
    explore!(|| {
        let env = env(MemoryFileSystem::new());
        let (db, table) = create(&env);
        let fold = spawn(&db, &table, |db, _| assert!(db.checkpoint().is_ok()));
        join([1, 2].map(|writer: u8| {
            // Enough to ask for a checkpoint, and for the log to be settled.
            spawn(&db, &table, move |db, table| {
                db.put(table, [writer], [writer; 20 << 10]).unwrap();
                add(db, table, &[writer, 0], Deferred);
            })
        }));
        drop((db, table));
        let db = open(&env).unwrap();
        let table = db.existing_table("t").unwrap().unwrap();
        assert_eq!(db.get(&table, COUNTER).unwrap().as_deref(), Some(&[2][..]));
        assert_eq!(db.get(&table, [1]).unwrap().map(|value| value.len()), Some(20 << 10));
        join([fold]);
    });
}

//! A fork of a process that has a database open, on real files, with the real lock and the real mapped log: the child is
//! refused whatever it asks for, and neither what it does nor how it ends takes the lock from the parent or touches the
//! log.
//!
//! Alone in its binary: a fork holds what its parent has open until it ends.
#![cfg(all(unix, not(miri)))]
#![expect(unsafe_code, reason = "a real fork")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use braid::{Changes, Database, Error, JournalMode, Options, Result, Sequence, Snapshot, Table, Transaction};
use braid_tests::{Actor, Place, assert_clean, contents, key, value};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// How a child ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// As a process does that is done: what was registered for the exit runs, destructors do not.
    Exit,
    /// At once, as after a failed `exec`.
    AtOnce,
    /// Having dropped everything that it got from its parent.
    Dropping,
    /// By an abort.
    Abort,
}

/// What the parent has open, and the child gets a copy of.
struct Held {
    db: Database,
    table: Table,
    ids: Sequence,
    snapshot: Snapshot,
    writer: Transaction,
    feed: Changes,
}

impl Held {
    fn new(place: &Place, map_log: bool) -> Result<Self> {
        // Nothing but calls changes a file then.
        let deferred_sync_interval = Duration::from_secs(3600);
        let options =
            Options { map_log, log_segment_bytes: 64 << 10, deferred_sync_interval, ..Options::default() };
        let db = place.open_mvcc(options)?;
        let table = db.table("rows")?;
        db.put(&table, key(0), value(0))?;
        db.checkpoint()?;
        let feed = db.changes(db.snapshot()?.timestamp())?;
        db.put(&table, key(1), value(1))?;
        let mut writer = db.begin_concurrent()?;
        writer.put(&table, key(2), value(2))?;
        let (ids, snapshot) = (db.sequence("ids")?, db.snapshot()?);
        Ok(Self { db, table, ids, snapshot, writer, feed })
    }

    /// In the child: the number of the first call that is not refused as one of a fork; 0 if all are.
    fn first_allowed(&mut self) -> i32 {
        let Self { db, table, ids, snapshot, writer, feed } = self;
        let refused = [
            is_refused(&db.put(table, key(0), "of the child")),
            is_refused(&db.get(table, key(0))),
            is_refused(&db.begin_concurrent()),
            is_refused(&db.snapshot()),
            is_refused(&snapshot.get(table, key(0))),
            is_refused(&snapshot.scan(table)),
            is_refused(&writer.put(table, key(0), "of the child")),
            is_refused(&writer.get(table, key(2))),
            is_refused(&feed.try_next()),
            is_refused(&ids.next()),
            is_refused(&db.sync()),
            is_refused(&db.checkpoint()),
            is_refused(&db.compact()),
            is_refused(&db.check()),
            is_refused(&db.set_journal_mode(JournalMode::Wal)),
        ];
        refused.iter().position(|refused| !refused).map_or(0, |first| i32::try_from(first).unwrap_or(99) + 1)
    }
}

fn is_refused<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Forked))
}

/// All that a child does.
fn child(mut held: Held, place: &Place, end: End) -> ! {
    let work = catch_unwind(AssertUnwindSafe(|| {
        let mut first = held.first_allowed();
        // The lock is the parent's, for its fork as for anybody else.
        let again = Database::open(place.path());
        if first == 0 && !matches!(again, Err(Error::Locked { .. })) {
            first = 98;
        }
        first
    }));
    let first = work.unwrap_or(97);
    let code = match end {
        _ if first != 0 => first,
        End::Dropping => {
            let dropped = catch_unwind(AssertUnwindSafe(|| {
                let refused = is_refused(&held.writer.commit()) && is_refused(&held.db.clone().close());
                drop((held.db, held.table, held.ids, held.snapshot, held.feed));
                i32::from(!refused) * 95
            }));
            dropped.unwrap_or(96)
        }
        End::Exit => std::process::exit(0),
        End::Abort => std::process::abort(),
        End::AtOnce => 0,
    };
    // SAFETY: it takes a number and does not come back.
    unsafe { libc::_exit(code) }
}

/// Forks; the child's status.
fn forked(held: Held, place: &Place, end: End) -> (Held, i32) {
    // SAFETY:
    // 1. No other thread of this process holds a lock that the child comes by: the test is alone, and the database's own
    //    threads sleep with their locks given back.
    // 2. `waitpid` gets the id of this process's own child and a place for one `c_int`.
    unsafe {
        let id = libc::fork();
        if id == 0 {
            child(held, place, end);
        }
        assert!(id > 0, "fork failed");
        let mut status = 0;
        assert_eq!(libc::waitpid(id, &raw mut status, 0), id);
        (held, status)
    }
}

/// What another process is told that opens the database for writing.
fn told_to_another(place: &Place) -> String {
    let mut actor = Actor::start(ACTOR, "open", &place.path(), &[]);
    actor.line().unwrap_or_default()
}

#[test]
fn the_lock_and_the_log_stay_with_the_parent() -> Result<()> {
    for (map_log, end) in [true, false]
        .into_iter()
        .flat_map(|mapped| [End::Exit, End::AtOnce, End::Dropping, End::Abort].map(|end| (mapped, end)))
    {
        // Where a sync costs nothing; what is locked and mapped there is so as on a disk.
        let place = Place::in_memory();
        let held = Held::new(&place, map_log)?;
        let before = place.fingerprint();
        let (held, status) = forked(held, &place, end);
        if matches!(end, End::Abort) {
            assert!(libc::WIFSIGNALED(status), "{end:?}: status {status:x}");
        } else {
            assert!(libc::WIFEXITED(status), "{end:?}: status {status:x}");
            assert_eq!(libc::WEXITSTATUS(status), 0, "{end:?}: the call that was not refused");
        }
        assert!(place.fingerprint() == before, "{end:?}: the child changed a file");
        let parent = std::process::id();
        assert_eq!(told_to_another(&place), format!("locked {parent}"), "{end:?}");

        // The parent goes on with everything that it had open, over more than one segment of the log.
        let Held { db, table, ids, snapshot, writer, mut feed } = held;
        writer.commit()?;
        let put = feed.try_next()?.expect("what was committed before the fork is told");
        assert_eq!(put.count(), 1);
        assert_eq!(ids.next()?, 1);
        for round in 0..4 {
            let mut tx = db.begin_concurrent()?;
            for number in 3..40 {
                tx.put(&table, key(number), vec![round; 600])?;
            }
            tx.commit()?;
        }
        assert_eq!(snapshot.count(&table)?, 2, "{end:?}: the snapshot is what it was");
        db.checkpoint()?;
        let mut last = db.begin_concurrent()?;
        last.put(&table, key(40), value(40))?;
        last.commit()?;
        let rows = contents(&db.snapshot()?, &table)?;
        assert_eq!(rows.len(), 41);
        assert_clean(&db)?;
        assert_eq!(told_to_another(&place), format!("locked {parent}"), "{end:?}");

        drop((snapshot, feed, ids));
        db.close()?;
        assert_eq!(told_to_another(&place), "opened", "{end:?}");
        let db = place.open()?;
        assert!(contents(&db.snapshot()?, &db.table("rows")?)? == rows, "{end:?}");
        assert_clean(&db)?;
    }
    Ok(())
}

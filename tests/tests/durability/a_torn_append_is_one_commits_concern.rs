//! A write to the log that fails half way leaves one commit unknown, and names it. Who comes after it has written
//! nothing and is told so: no two commits are ever unknown at one place in the history.

use std::sync::Arc;

use braid::vfs::faulty::{CrashFileSystem, Fault, Operation};
use braid::{Error, JournalMode, Options, Result};

use crate::workload::open;

fn unmapped() -> Options {
    Options { page_bytes: 512, log_segment_bytes: 64 << 10, map_log: false, ..Options::default() }
}

#[test]
fn the_next_commit_is_refused_and_not_unknown() -> Result<()> {
    let machine = CrashFileSystem::new();
    let files = machine.under_faults();
    let faults = files.faults();
    let db = open(Arc::new(files), &unmapped())?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    let before = db.put(&table, "before", "1")?.timestamp;
    let (mut first, mut second) = (db.begin_concurrent()?, db.begin_concurrent()?);
    first.put(&table, "first", "1")?;
    second.put(&table, "second", "1")?;

    // The payload goes first and the header second; without its header it is no record.
    faults
        .inject(Fault::on(Operation::Write).on_paths(|path| path.to_string_lossy().contains("-wal")).nth(2));
    let unknown = first.commit();
    assert!(
        matches!(unknown, Err(Error::CommitUnknown { commit_ts, .. }) if commit_ts > before),
        "{unknown:?}"
    );
    let refused = second.commit();
    assert!(matches!(refused, Err(Error::Poisoned { .. })), "{refused:?}");
    drop((db, table));

    let db = open(Arc::new(machine), &unmapped())?;
    let table = db.table("rows")?;
    assert!(db.get(&table, "before")?.is_some());
    assert!(db.get(&table, "second")?.is_none());
    Ok(())
}

#[test]
fn what_is_no_commit_is_not_unknown_as_one() -> Result<()> {
    let files = CrashFileSystem::new().under_faults();
    let faults = files.faults();
    let db = open(Arc::new(files), &unmapped())?;
    faults
        .inject(Fault::on(Operation::Write).on_paths(|path| path.to_string_lossy().contains("-wal")).nth(2));
    let failed = db.set_journal_mode(JournalMode::Mvcc);
    assert!(matches!(failed, Err(Error::Poisoned { .. })), "{failed:?}");
    Ok(())
}

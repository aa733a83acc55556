//! Looking after a database while others work in it.

use std::time::Duration;

use braid::Database;

use crate::run::oracle::Promise;
use crate::run::session::{PATH, Session};
use crate::run::show::dump;

/// A call that makes durable what was acknowledged before it.
fn durable(session: &mut Session, doing: &str, call: impl FnOnce(&Database) -> braid::Result<()>) {
    let began = session.shared.moment();
    match call(&session.db) {
        Ok(()) if session.shared.has_power() => session.history.promises.push(Promise { began }),
        // Nobody was told.
        Ok(()) => {}
        Err(error) => session.met(doing, &error),
    }
}

pub(super) fn checkpoint(session: &mut Session) {
    durable(session, "checkpoint", |db| db.checkpoint().map(drop));
}

pub(super) fn compact(session: &mut Session) {
    durable(session, "compact", |db| db.compact().map(drop));
}

pub(super) fn sync(session: &mut Session) {
    durable(session, "sync", Database::sync);
}

pub(super) fn check(session: &mut Session) {
    let (mut last, mut in_order) = ((0, 0), true);
    let checked = session.db.check_with(&mut |done, total| {
        in_order &= last.0 <= done && done <= total;
        last = (done, total);
    });
    if !in_order {
        session.shared.wrong(format_args!("the check is at {} of {} after less than that", last.0, last.1));
    }
    match checked {
        Ok(report) if report.is_ok() || session.shared.is_damaged() => {}
        Ok(report) if session.shared.may_fail() && report.findings.iter().any(|one| is_of_a_call(one)) => {}
        Ok(report) => session.shared.wrong(format_args!("the check finds {:?}", report.findings)),
        Err(error) => session.met("check", &error),
    }
}

/// Whether a finding says that a page could not be read at all. What lies under it is not found then either.
fn is_of_a_call(finding: &str) -> bool {
    finding.contains("reading a page failed")
}

/// Copies the database, opens the copy and writes down what it holds.
pub(super) fn backup(session: &mut Session) {
    let path = session.shared.backup_path();
    let report = match session.db.backup(&path) {
        Ok(report) => report,
        Err(error) => return session.met("backup", &error),
    };
    session.say(format_args!("  copied the moment {}", report.timestamp));
    let options = session.shared.plan.options.clone();
    let copy = Database::open_in(session.shared.env.clone(), &path, options).and_then(|copy| {
        let mut dump = dump(&copy)?;
        dump.ts = report.timestamp.get();
        let rows: u64 = dump.tables.values().map(|(_, rows)| rows.len() as u64).sum();
        if rows != report.rows || dump.tables.len() as u64 != report.tables {
            session.shared.wrong(format_args!("{report:?} tells of a copy with {rows} rows"));
        }
        let check = copy.check()?;
        let of_calls = session.shared.may_fail() && check.findings.iter().any(|one| is_of_a_call(one));
        if !check.is_ok() && !of_calls && !session.shared.is_damaged() {
            session.shared.wrong(format_args!("the check of a copy finds {:?}", check.findings));
        }
        copy.close()?;
        Ok(dump)
    });
    match copy {
        Ok(dump) => session.history.dumps.push(dump),
        Err(error) => session.met("opening a backup", &error),
    }
    // The space is wanted; that it fails without power is no matter.
    let files = &session.shared.env.files;
    let _removed = files.remove_file(&path);
}

pub(super) fn statistics(session: &mut Session) {
    let stats = session.db.stats();
    session.say(format_args!("  {} commits, {} open", stats.commits, stats.open_snapshots));
    let path = session.db.path().is_some_and(|path| path.ends_with(PATH.trim_start_matches('/')));
    if !path || session.db.is_read_only() {
        session.shared.wrong(format_args!("the database says that it is {:?}", session.db.path()));
    }
    let listed: u64 = stats.snapshots.iter().map(|one| one.pinned_bytes).sum();
    let all = stats.snapshots.len() as u64 == stats.open_snapshots;
    if listed > stats.pinned_bytes || (all && listed != stats.pinned_bytes) {
        session.shared.wrong(format_args!("the shares of what is kept do not add up: {stats:?}"));
    }
}

/// Somebody makes room on the disk.
pub(super) fn free_space(session: &mut Session) {
    session.shared.faults.set_quota(None);
    session.shared.faults.set_writable(None);
}

/// Time goes by.
pub(super) fn wait(session: &mut Session) {
    let milliseconds = [1, 10, 120, 700, 2000][session.rng.usize(0..5)];
    session.shared.env.clock.sleep(Duration::from_millis(milliseconds));
}

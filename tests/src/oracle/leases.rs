//! What is open for too long is revoked by the next fold, and told so.

use std::fmt::Debug;
use std::time::Duration;

use braid::{Admission, Database, Error, JournalMode, Result, SnapshotOptions, TransactionOptions};

/// Has a snapshot and a transaction revoked while they keep what is folded. Nothing that can be read changes.
pub(super) fn revoke(db: &Database, table: &str) -> Result<()> {
    let max_age = Some(Duration::ZERO);
    let table = db.existing_table(table)?.ok_or_else(|| Error::NoSuchTable(table.to_owned()))?;
    let snapshot = db.snapshot_with(SnapshotOptions { max_age, ..SnapshotOptions::default() })?;
    let mut writer = None;
    if db.journal_mode() == JournalMode::Mvcc {
        let options =
            TransactionOptions { admission: Admission::Concurrent, max_age, ..TransactionOptions::default() };
        let mut tx = db.begin_with(options)?;
        match tx.put(&table, "revoked", "") {
            Ok(()) => writer = Some(tx),
            // Whoever looks at leases in the background was faster, and it was told so.
            Err(Error::BusySnapshot { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    db.checkpoint()?;
    refused("a snapshot", &snapshot.get(&table, "revoked"))?;
    match writer {
        Some(tx) => refused("a transaction", &tx.commit()),
        None => Ok(()),
    }
}

fn refused<T: Debug>(who: &str, answer: &Result<T>) -> Result<()> {
    if matches!(answer, Err(Error::BusySnapshot { .. })) {
        return Ok(());
    }
    Err(Error::other(format!("{who} that was to be revoked answers {answer:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_all_the_same_is_found() {
        assert!(refused("a snapshot", &Ok(())).is_err());
        assert!(refused::<()>("a snapshot", &Err(Error::TransactionClosed)).is_err());
    }
}

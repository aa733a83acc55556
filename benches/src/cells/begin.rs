//! What it costs to begin, and to let go.

use braid::Durability;

use crate::Result;
use crate::cell::{Context, Readings, options, verify};
use crate::measure::times;
use crate::rows::{Order, value};

pub(super) fn run(cx: &Context) -> Result<Readings> {
    let (db, table) = cx.create(options(Durability::Deferred))?;
    let commit = db.put(&table, Order::Sequential.key(0), value(0, 0))?;
    let count = cx.size.rows;
    let mut right = 0;
    let snapshots = times(count, |_| {
        let snapshot = db.snapshot()?;
        right += u64::from(snapshot.timestamp() == commit.timestamp);
        Ok(())
    })?;
    let transactions = times(count, |_| {
        let tx = db.begin_concurrent()?;
        right += u64::from(tx.timestamp() == commit.timestamp);
        Ok(())
    })?;
    verify("snapshots of the newest commit", right, 2 * count)?;
    verify("rolled back", db.stats().rollbacks, count)?;
    let mut readings = Readings::default();
    readings.add("snapshot, begin and drop", snapshots.nanos_each(), "ns");
    readings.add("concurrent transaction, begin and drop", transactions.nanos_each(), "ns");
    Ok(readings)
}

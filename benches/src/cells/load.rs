//! Bulk load: transactions of 1,000 rows, deferred, then a checkpoint.

use std::time::Instant;

use braid::{Database, Durability, Table};

use crate::Result;
use crate::cell::{Context, Readings, options, verify_database};
use crate::rows::{Order, value};

/// Rows of one transaction.
const BATCH: u64 = 1000;

/// Writes the rows of the numbers below `rows`.
pub(super) fn fill(db: &Database, table: &Table, order: Order, rows: u64) -> Result<()> {
    for first in (0..rows).step_by(usize::try_from(BATCH)?) {
        let mut tx = db.begin_concurrent()?;
        for number in first..(first + BATCH).min(rows) {
            tx.put(table, order.key(number), value(number, 0))?;
        }
        tx.commit()?;
    }
    Ok(())
}

pub(super) fn sequential(cx: &Context) -> Result<Readings> {
    run(cx, Order::Sequential)
}

pub(super) fn random(cx: &Context) -> Result<Readings> {
    run(cx, Order::Random)
}

fn run(cx: &Context, order: Order) -> Result<Readings> {
    let rows = cx.size.rows;
    let (db, table) = cx.create(options(Durability::Deferred))?;
    let began = Instant::now();
    fill(&db, &table, order, rows)?;
    let loaded = began.elapsed();
    db.checkpoint()?;
    let folded = began.elapsed();
    verify_database(&db, &table, rows)?;
    let file = db.stats().file;
    let used = file.bytes - file.free_bytes - file.withheld_bytes;

    let mut readings = Readings::default();
    readings.add("rows, until the last commit", rows as f64 / loaded.as_secs_f64(), "1/s");
    readings.add("rows, until all is in the tree", rows as f64 / folded.as_secs_f64(), "1/s");
    readings.add("pages in use", used as f64 / rows as f64, "bytes/row");
    readings.add("file", file.bytes as f64 / rows as f64, "bytes/row");
    Ok(readings)
}

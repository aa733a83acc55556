//! One hot row: every writer adds one to it, by the retry runner.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use braid::Durability;

use crate::Result;
use crate::cell::{Context, Readings, options, verify};
use crate::measure::for_a_time;

const WRITERS: usize = 16;

pub(super) fn durable(cx: &Context) -> Result<Readings> {
    run(cx, Durability::Sync)
}

pub(super) fn deferred(cx: &Context) -> Result<Readings> {
    run(cx, Durability::Deferred)
}

fn run(cx: &Context, durability: Durability) -> Result<Readings> {
    let (db, table) = cx.create(options(durability))?;
    let number =
        |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
    let (attempts, exclusive) = (AtomicU64::new(0), AtomicU64::new(0));
    let all = for_a_time(WRITERS, Duration::from_secs_f64(cx.size.seconds), |_, _| {
        let outcome = db.transact(|tx| {
            let next = number(tx.get(&table, "counter")?) + 1;
            tx.put(&table, "counter", next.to_le_bytes())
        })?;
        attempts.fetch_add(u64::from(outcome.attempts), Ordering::Relaxed);
        exclusive.fetch_add(u64::from(outcome.exclusive), Ordering::Relaxed);
        Ok(())
    })?;
    verify("the counter", number(db.get(&table, "counter")?), all.operations)?;
    let stats = db.stats();
    drop(db);
    let (db, table) = cx.create(options(durability))?;
    verify("the counter after a reopen", number(db.get(&table, "counter")?), all.operations)?;

    let each = |count: u64| count as f64 / all.operations.max(1) as f64;
    let mut readings = Readings::default();
    readings.add("increments", all.per_second(), "1/s");
    readings.add("attempts for each", each(attempts.into_inner()), "×");
    readings.add("attempts, most", stats.max_attempts as f64, "");
    readings.add("admitted exclusively", 100.0 * each(exclusive.into_inner()), "%");
    if durability == Durability::Sync {
        readings.add(
            "increments for each log sync",
            all.operations as f64 / stats.log.syncs.max(1) as f64,
            "×",
        );
    }
    all.add_latencies(&mut readings);
    Ok(readings)
}

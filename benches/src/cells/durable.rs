//! Durable commits of one row, each writer with keys of its own, in turns with the raw sync rate of the same disk, and
//! with threads that do nothing but wait for one sync together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use braid::Durability;
use braid_measure::Spread;

use super::raw::RawLog;
use super::rounds::Rounds;
use crate::Result;
use crate::cell::{Context, Readings, options, verify, verify_database};
use crate::measure::{Repeated, for_a_time};
use crate::rows::{Order, value};

pub(super) fn run(cx: &Context, writers: usize) -> Result<Readings> {
    const SLICES: u32 = 8;
    let (db, table) = cx.create(options(Durability::Sync))?;
    let mut raw = RawLog::create(&cx.dir.join("raw"), true)?;
    let mut bare = Rounds::create(&cx.dir.join("rounds"), writers)?;
    let (mut commits, mut syncs) = (Repeated::none()?, Repeated::none()?);
    let (mut ratios, mut bare_rates, mut bare_ratios, mut log_syncs) =
        (Vec::new(), Vec::new(), Vec::new(), 0);
    let next: Vec<_> = (0..writers as u64).map(|writer| AtomicU64::new(writer << 32)).collect();
    let slice = Duration::from_secs_f64(cx.size.seconds / f64::from(SLICES));
    for _ in 0..SLICES {
        let beside = raw.run(slice / 2)?;
        let threads = bare.run(slice / 2)?;
        let before = db.stats();
        let slice = for_a_time(writers, slice, |writer, _| {
            let number = next.get(writer).ok_or("no such writer")?.fetch_add(1, Ordering::Relaxed);
            db.put(&table, Order::Random.key(number), value(number, 0))?;
            Ok(())
        })?;
        let after = db.stats();
        verify("acknowledged commits", after.commits - before.commits, slice.operations)?;
        log_syncs += after.log.syncs - before.log.syncs;
        ratios.push(slice.per_second() / beside.per_second());
        bare_rates.push(threads);
        bare_ratios.push(slice.per_second() / threads);
        commits.then(&slice)?;
        syncs.then(&beside)?;
    }
    verify_database(&db, &table, commits.operations)?;
    drop(db);
    let (db, table) = cx.create(options(Durability::Sync))?;
    verify_database(&db, &table, commits.operations)?;

    let mut readings = Readings::default();
    readings.add("commits", commits.per_second(), "1/s");
    readings.add("raw syncs in turns with them", syncs.per_second(), "1/s");
    let median = |of: &[f64]| Spread::of(of).map(|spread| spread.median).ok_or("nothing was measured");
    readings.add("commits for each raw sync", median(&ratios)?, "×");
    if writers > 1 {
        readings.add("bare threads in turns with them", median(&bare_rates)?, "1/s");
        readings.add("commits for each record of bare threads", median(&bare_ratios)?, "×");
    }
    readings.add("commits for each log sync", commits.operations as f64 / log_syncs.max(1) as f64, "×");
    commits.add_latencies(&mut readings);
    Ok(readings)
}

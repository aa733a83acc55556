//! Deferred commits of one row: first with memory for all of it, then with the default options, where the background
//! checkpoints take their share of the machine.

use std::time::Duration;

use braid::{Durability, Options};

use crate::Result;
use crate::cell::{self, Context, Readings, options, unfolded_options, verify, verify_database};
use crate::measure::for_a_time;
use crate::rows::{Order, value};

pub(super) fn one_sequential(cx: &Context) -> Result<Readings> {
    run(cx, 1, Order::Sequential)
}

pub(super) fn one_random(cx: &Context) -> Result<Readings> {
    run(cx, 1, Order::Random)
}

pub(super) fn two_sequential(cx: &Context) -> Result<Readings> {
    run(cx, 2, Order::Sequential)
}

pub(super) fn two_random(cx: &Context) -> Result<Readings> {
    run(cx, 2, Order::Random)
}

fn run(cx: &Context, writers: usize, order: Order) -> Result<Readings> {
    let mut readings = Readings::default();
    let unfolded = unfolded_options(Durability::Deferred);
    measure(cx, "in memory", unfolded, writers, order, cx.size.seconds.min(2.0), &mut readings)?;
    let sustained = options(Durability::Deferred);
    measure(cx, "sustained", sustained, writers, order, cx.size.seconds, &mut readings)?;
    Ok(readings)
}

fn measure(
    cx: &Context,
    name: &str,
    options: Options,
    writers: usize,
    order: Order,
    seconds: f64,
    readings: &mut Readings,
) -> Result<()> {
    let (db, table) = cell::create(&cx.dir.join(name), options)?;
    let before = db.stats();
    let all = for_a_time(writers, Duration::from_secs_f64(seconds), |writer, repetition| {
        let number = ((writer as u64) << 40) | repetition;
        db.put(&table, order.key(number), value(number, 0))?;
        Ok(())
    })?;
    let after = db.stats();
    verify("acknowledged commits", after.commits - before.commits, all.operations)?;
    db.sync()?;
    verify_database(&db, &table, all.operations)?;
    readings.add(format!("commits, {name}"), all.per_second(), "1/s");
    if name == "sustained" {
        all.add_latencies(readings);
        readings.add("checkpoints", (after.checkpoints.count - before.checkpoints.count) as f64, "");
        readings.add("commits that waited for one", (after.stalls - before.stalls) as f64, "");
    }
    Ok(())
}

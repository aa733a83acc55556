//! One row that sixteen writers read and write back, one higher.

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings, verify};
use crate::engine::{Durability, Result};
use crate::measure::{at_once, for_a_time};
use crate::rows::{Order, round_of, value};

const WRITERS: usize = 16;

pub(super) fn cells() -> Vec<Cell> {
    [Durability::Durable, Durability::Deferred].map(cell).into()
}

fn cell(durability: Durability) -> Cell {
    let (name, about) = match durability {
        Durability::Durable => ("durable", "durable increments of one counter by 16 writers"),
        Durability::Deferred => ("deferred", "deferred increments of one counter by 16 writers"),
    };
    Cell {
        name: format!("counter-{name}-{WRITERS}"),
        group: "counter",
        about,
        threads: WRITERS,
        durability,
        cache_bytes: AMPLE_CACHE,
        primary: "increments",
        short: durability == Durability::Durable,
        run: Box::new(run),
    }
}

fn run(cx: &Context) -> Result<Readings> {
    let engine = cx.open()?;
    let key = Order::Sequential.key(0);
    engine.session()?.transact(&mut |tx| tx.put(&key, &value(0, 0)))?;
    let crew = for_a_time(&*engine, WRITERS, cx.size.seconds, at_once, |session, tally, _| {
        tally.attempts += session.transact(&mut |tx| {
            let mut count = None;
            tx.get(&key, &mut |value| count = round_of(value))?;
            tx.put(&key, &value(0, count.ok_or("the counter is gone")? + 1))
        })?;
        Ok(())
    })?;
    let mut count = None;
    engine.session()?.get(&key, &mut |value| count = round_of(value))?;
    verify("the counter", count.unwrap_or_default(), crew.all.operations)?;
    engine.close()?;
    let mut readings = Readings::default();
    readings.add("increments", crew.all.per_second(), "1/s", Better::More);
    crew.add_attempts(&mut readings, crew.all.operations);
    crew.all.add_latencies(&mut readings);
    crew.add_processor(&mut readings, cx.settings.durability);
    Ok(readings)
}

//! A table many times the cache: reads and updates of one row each, anywhere, and the memory that they take.
//!
//! Another process loads the table, so that nothing of that is left in the memory that is measured.

use crate::cell::{Better, Cell, Context, Readings, verify_rows};
use crate::engine::{Durability, Result};
use crate::measure::{at_once, for_a_time};
use crate::rows::{Order, throw, value};

use super::helper::{Helper, Task};
use super::ledger::{Ledger, round};
use super::memory;
use super::table::get;

const ROWS: u64 = 10_000_000;
const CACHE: usize = 64 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Reads,
    Updates,
}

pub(super) fn cells() -> Vec<Cell> {
    [Variant::Reads, Variant::Updates].map(cell).into()
}

fn cell(variant: Variant) -> Cell {
    let (name, about) = match variant {
        Variant::Reads => ("reads", "reads of one row of 10M with a cache of 64 MiB"),
        Variant::Updates => ("updates", "deferred updates of one row of 10M with a cache of 64 MiB"),
    };
    Cell {
        name: format!("larger-than-cache-{name}-1"),
        group: "larger-than-cache",
        about,
        threads: 1,
        durability: Durability::Deferred,
        cache_bytes: CACHE,
        primary: name,
        short: false,
        run: Box::new(move |cx| run(cx, variant)),
    }
}

fn run(cx: &Context, variant: Variant) -> Result<Readings> {
    let count = cx.rows(ROWS);
    Helper::start(cx, Task::Load, count)?.wait()?;
    let order = Order::Sequential;
    let ((engine, crew), most) = memory::watch(|| {
        let engine = cx.open()?;
        let crew = for_a_time(&*engine, 1, cx.size.seconds, at_once, |session, tally, repetition| {
            let number = throw(tally.thread, repetition) % count;
            let key = order.key(number);
            if variant == Variant::Reads {
                return get(session, &key, number);
            }
            let value = value(number, round(tally.thread, repetition));
            session.transact(&mut |tx| tx.put(&key, &value)).map(drop)
        })?;
        Ok((engine, crew))
    })?;
    match variant {
        Variant::Reads => verify_rows(&*engine, count)?,
        Variant::Updates => {
            let written = |thread, repetition| Some(throw(thread, repetition) % count);
            Ledger::of(&crew.repetitions(), written).verify(&*engine, order, count)?;
        }
    }
    engine.close()?;
    let mut readings = Readings::default();
    let name = if variant == Variant::Reads { "reads" } else { "updates" };
    readings.add(name, crew.all.per_second(), "1/s", Better::More);
    crew.all.add_latencies(&mut readings);
    most.add_to(&mut readings);
    Ok(readings)
}

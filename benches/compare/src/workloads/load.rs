//! Filling an empty table in the fastest way that an engine has, and the room that the rows take.

use std::time::Instant;

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings};
use crate::engine::{Durability, Result};
use crate::rows::{Fresh, Order};

use super::disk;
use super::ledger::Ledger;

const ROWS: u64 = 1_000_000;

pub(super) fn cells() -> Vec<Cell> {
    [Order::Sequential, Order::Random].map(cell).into()
}

fn cell(order: Order) -> Cell {
    let (name, about) = match order {
        Order::Sequential => {
            ("sequential", "loads of 1M rows in the order of their keys, durable at the end")
        }
        Order::Random => ("random", "loads of 1M rows with keys all over, durable at the end"),
    };
    Cell {
        name: format!("load-{name}-1"),
        group: "load",
        about,
        threads: 1,
        durability: Durability::Deferred,
        cache_bytes: AMPLE_CACHE,
        primary: "rows",
        short: true,
        run: Box::new(move |cx| run(cx, order)),
    }
}

fn run(cx: &Context, order: Order) -> Result<Readings> {
    let engine = cx.open()?;
    let count = cx.rows(ROWS);
    let began = Instant::now();
    engine.load(&Fresh { order, count })?;
    let loaded = began.elapsed();
    engine.settle()?;
    let settled = began.elapsed();
    Ledger::of(&[], |_, _| None).verify(&*engine, order, count)?;
    let size = disk::size_of(&cx.dir)?;
    engine.close()?;
    let rows = count as f64;
    let mut readings = Readings::default();
    readings.add("rows", rows / loaded.as_secs_f64(), "rows/s", Better::More);
    readings.add("rows, settled as well", rows / settled.as_secs_f64(), "rows/s", Better::More);
    size.add_to(&mut readings, count);
    Ok(readings)
}

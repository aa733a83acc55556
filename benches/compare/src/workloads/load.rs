//! Filling an empty table in the fastest way that an engine has, and the room that the rows take.

use std::time::Instant;

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings};
use crate::engine::{Durability, Result};
use crate::rows::{Fresh, Order, Sorted};

use super::disk;
use super::ledger::Ledger;

const ROWS: u64 = 1_000_000;

pub(super) fn cells() -> Vec<Cell> {
    [Variant::Sequential, Variant::Random, Variant::Presorted].map(cell).into()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    /// Rows that come in the order of their keys.
    Sequential,
    /// Rows whose keys are all over: an engine that wants them sorted has to sort them.
    Random,
    /// The same, sorted by the program before they are loaded, as most engines' fastest way wants them. The sort counts.
    Presorted,
}

fn cell(variant: Variant) -> Cell {
    let (name, about) = match variant {
        Variant::Sequential => {
            ("sequential", "loads of 1M rows in the order of their keys, durable at the end")
        }
        Variant::Random => ("random", "loads of 1M rows with keys all over, durable at the end"),
        Variant::Presorted => (
            "presorted",
            "loads of 1M rows with keys all over, sorted by the program first, durable at the end",
        ),
    };
    Cell {
        name: format!("load-{name}-1"),
        group: "load",
        about,
        threads: 1,
        durability: Durability::Deferred,
        cache_bytes: AMPLE_CACHE,
        primary: "rows",
        short: variant != Variant::Presorted,
        run: Box::new(move |cx| run(cx, variant)),
    }
}

fn run(cx: &Context, variant: Variant) -> Result<Readings> {
    let order = if variant == Variant::Sequential { Order::Sequential } else { Order::Random };
    let engine = cx.open()?;
    let count = cx.rows(ROWS);
    let began = Instant::now();
    match variant {
        Variant::Presorted => engine.load(&Sorted::new(u32::try_from(count)?))?,
        Variant::Sequential | Variant::Random => engine.load(&Fresh { order, count })?,
    }
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

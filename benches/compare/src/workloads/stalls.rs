//! The slowest commits of a long stretch of updates: an engine that writes its tables or compacts them on the side should
//! not be noticed doing so, however large the table.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings};
use crate::engine::{Durability, Engine, Failure, Result};
use crate::measure::{at_once, for_a_time};
use crate::rows::{Order, value};

use super::ledger::{Ledger, round};
use super::table::Table;

/// As many times as long as other cells: six seconds at least at full size.
const LONGER: f64 = 2.0;
/// Between two checkpoints that are asked for.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for settling in [false, true] {
        cells.extend([1, 4].map(|millions| cell(settling, millions)));
    }
    cells
}

fn cell(settling: bool, millions: u64) -> Cell {
    Cell {
        name: format!("checkpoint-stalls-{}{millions}m-1", if settling { "settling-" } else { "" }),
        group: "checkpoint-stalls",
        about: match (settling, millions) {
            (false, 1) => "deferred updates of one row of 1M; checkpoints as the engine sees fit",
            (false, _) => "deferred updates of one row of 4M; checkpoints as the engine sees fit",
            (true, 1) => "deferred updates of one row of 1M, with checkpoints all the time",
            (true, _) => "deferred updates of one row of 4M, with checkpoints all the time",
        },
        threads: 1,
        durability: Durability::Deferred,
        cache_bytes: AMPLE_CACHE,
        primary: "latency p99.9",
        short: !settling && millions == 1,
        run: Box::new(move |cx| run(cx, settling, millions * 1_000_000)),
    }
}

fn run(cx: &Context, settling: bool, rows: u64) -> Result<Readings> {
    let engine = cx.open()?;
    let table = Table::load(cx, &*engine, rows)?;
    let (done, settled) = (AtomicBool::new(false), AtomicU64::new(0));
    let writing = || {
        let crew =
            for_a_time(&*engine, 1, cx.size.seconds * LONGER, at_once, |session, tally, repetition| {
                let number = table.pick(tally.thread, repetition);
                let (key, value) = (table.key(number), value(number, round(tally.thread, repetition)));
                session.transact(&mut |tx| tx.put(&key, &value)).map(drop)
            });
        done.store(true, Ordering::Relaxed);
        crew
    };
    let crew = std::thread::scope(|scope| {
        let settler = settling.then(|| scope.spawn(|| settle_until(&*engine, &done, &settled)));
        let crew = writing();
        if let Some(settler) = settler {
            settler.join().map_err(|_| "the settling thread panicked")??;
        }
        crew
    })?;
    let written = |thread, repetition| Some(table.pick(thread, repetition));
    Ledger::of(&crew.repetitions(), written).verify(&*engine, Order::Random, table.count)?;
    engine.close()?;
    let mut readings = Readings::default();
    crew.all.add_latencies(&mut readings);
    readings.add("commits", crew.all.per_second(), "1/s", Better::More);
    if settling {
        readings.add("checkpoints", settled.into_inner() as f64, "", Better::Neither);
    }
    Ok(readings)
}

fn settle_until(engine: &dyn Engine, done: &AtomicBool, settled: &AtomicU64) -> Result<()> {
    while !done.load(Ordering::Relaxed) {
        match engine.checkpoint() {
            Ok(()) => {
                settled.fetch_add(1, Ordering::Relaxed);
            }
            // The writer was in its way; it comes round again.
            Err(Failure::Conflict) => {}
            Err(broken) => return Err(broken),
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

//! Reads of one row each, anywhere in a table that fits the cache: a snapshot for each, or one for many.

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings};
use crate::engine::{Durability, Result, Session};
use crate::measure::for_a_time;
use crate::rows::number_of;

use super::table::{Table, get, verify_read};

/// Reads of one snapshot where it is shared.
const SHARED: u64 = 1000;
const ROWS: u64 = 1_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Fresh,
    Shared,
    Unsettled,
}

pub(super) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for threads in [1, 2] {
        cells.push(cell(Variant::Fresh, threads));
        cells.push(cell(Variant::Shared, threads));
    }
    cells.push(cell(Variant::Unsettled, 1));
    cells
}

fn cell(variant: Variant, threads: usize) -> Cell {
    let (name, about) = match variant {
        Variant::Fresh => ("fresh", "reads of one row of 1M in cache, a snapshot each"),
        Variant::Shared => ("shared", "reads of one row of 1M in cache, a thousand for a snapshot"),
        Variant::Unsettled => (
            "fresh-unsettled",
            "reads of one row of 1M in cache, a snapshot each; a tenth of the rows just updated",
        ),
    };
    Cell {
        name: format!("point-reads-{name}-{threads}"),
        group: "point-reads",
        about,
        threads,
        durability: Durability::Deferred,
        cache_bytes: AMPLE_CACHE,
        primary: "reads",
        short: threads == 1 && variant != Variant::Unsettled,
        run: Box::new(move |cx| run(cx, variant, threads)),
    }
}

fn run(cx: &Context, variant: Variant, threads: usize) -> Result<Readings> {
    let engine = cx.open()?;
    let table = Table::load(cx, &*engine, ROWS)?;
    if variant == Variant::Unsettled {
        table.update_a_tenth(&*engine)?;
    }
    let warm = |session: &mut dyn Session| table.warm(session);
    let crew = for_a_time(&*engine, threads, cx.size.seconds, warm, |session, tally, repetition| {
        if variant != Variant::Shared {
            tally.rows += 1;
            let number = table.pick(tally.thread, repetition);
            return get(session, &table.key(number), number);
        }
        session.read(&mut |snapshot| {
            for read in repetition * SHARED..(repetition + 1) * SHARED {
                let number = table.pick(tally.thread, read);
                let mut said = None;
                let found = snapshot.get(&table.key(number), &mut |value| said = number_of(value))?;
                verify_read(number, found, said)?;
            }
            Ok(())
        })?;
        tally.rows += SHARED;
        Ok(())
    })?;
    engine.close()?;
    let mut readings = Readings::default();
    readings.add("reads", crew.rows_per_second(), "1/s", Better::More);
    if variant != Variant::Shared {
        crew.all.add_latencies(&mut readings);
    }
    Ok(readings)
}

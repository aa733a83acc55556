//! Scans in ascending order: a hundred rows from anywhere in the table, or all of it; a snapshot each.

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings};
use crate::engine::{Durability, Result, Session};
use crate::measure::for_a_time;

use super::table::Table;

const ROWS: u64 = 1_000_000;

#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    about: &'static str,
    /// `None`: the whole table.
    limit: Option<u64>,
    /// Whether a tenth of the rows is updated before, and not settled.
    unsettled: bool,
}

const SOME: Variant =
    Variant { name: "100", about: "scans of 100 rows of 1M in cache", limit: Some(100), unsettled: false };
const ALL: Variant =
    Variant { name: "all", about: "scans of a whole table of 1M rows", limit: None, unsettled: false };
const SOME_UNSETTLED: Variant = Variant {
    name: "100-unsettled",
    about: "scans of 100 rows of 1M in cache; a tenth of the rows just updated",
    unsettled: true,
    ..SOME
};
const ALL_UNSETTLED: Variant = Variant {
    name: "all-unsettled",
    about: "scans of a whole table of 1M rows; a tenth of them just updated",
    unsettled: true,
    ..ALL
};

pub(super) fn cells() -> Vec<Cell> {
    let chosen = [(SOME, 1), (SOME, 2), (ALL, 1), (ALL, 2), (SOME_UNSETTLED, 1), (ALL_UNSETTLED, 1)];
    chosen.into_iter().map(|(variant, threads)| cell(variant, threads)).collect()
}

fn cell(variant: Variant, threads: usize) -> Cell {
    Cell {
        name: format!("scans-{}-{threads}", variant.name),
        group: "scans",
        about: variant.about,
        threads,
        durability: Durability::Deferred,
        cache_bytes: AMPLE_CACHE,
        primary: "rows",
        short: threads == 1 && !variant.unsettled,
        run: Box::new(move |cx| run(cx, variant, threads)),
    }
}

fn run(cx: &Context, variant: Variant, threads: usize) -> Result<Readings> {
    let engine = cx.open()?;
    let table = Table::load(cx, &*engine, ROWS)?;
    if variant.unsettled {
        table.update_a_tenth(&*engine)?;
    }
    let warm = |session: &mut dyn Session| table.warm(session);
    let crew = for_a_time(&*engine, threads, cx.size.seconds, warm, |session, tally, repetition| {
        let (place, limit) = match variant.limit {
            Some(limit) => (table.pick(tally.thread, repetition), limit),
            None => (0, u64::MAX),
        };
        session.read(&mut |snapshot| {
            tally.rows += table.scan(snapshot, place, limit)?;
            Ok(())
        })
    })?;
    engine.close()?;
    let mut readings = Readings::default();
    readings.add("rows", crew.rows_per_second(), "rows/s", Better::More);
    readings.add("scans", crew.all.per_second(), "1/s", Better::More);
    if variant.limit.is_some() {
        crew.all.add_latencies(&mut readings);
    }
    Ok(readings)
}

//! Commits of one new row each, every writer in a part of the keys of its own.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings, verify_rows};
use crate::engine::{Durability, Result};
use crate::measure::for_a_time;
use crate::rows::{Order, value};

pub(super) fn cells() -> Vec<Cell> {
    let durable = [1, 2, 8, 32, 64].map(|threads| cell(threads, Durability::Durable));
    let deferred = [1, 2, 8].map(|threads| cell(threads, Durability::Deferred));
    durable.into_iter().chain(deferred).collect()
}

fn cell(threads: usize, durability: Durability) -> Cell {
    let (group, about) = match durability {
        Durability::Durable => ("commits-durable", "durable commits of one new row, disjoint keys"),
        Durability::Deferred => ("commits-deferred", "deferred commits of one new row, disjoint keys"),
    };
    Cell {
        name: format!("{group}-{threads}"),
        group,
        about,
        threads,
        durability,
        cache_bytes: AMPLE_CACHE,
        primary: "commits",
        short: matches!(threads, 1 | 8 | 64),
        run: Box::new(move |cx| run(cx, threads)),
    }
}

fn run(cx: &Context, threads: usize) -> Result<Readings> {
    let engine = cx.open()?;
    let attempts = AtomicU64::new(0);
    let repeated = for_a_time(&*engine, threads, cx.size.seconds, |session, thread, repetition| {
        let number = (thread as u64) << 24 | repetition;
        let (key, value) = (Order::Random.key(number), value(number, 0));
        let tried = session.transact(&mut |tx| tx.put(&key, &value))?;
        attempts.fetch_add(tried, Ordering::Relaxed);
        Ok(())
    })?;
    verify_rows(&*engine, repeated.operations)?;
    engine.close()?;
    let mut readings = Readings::default();
    readings.add("commits", repeated.per_second(), "1/s", Better::More);
    let attempts = attempts.into_inner() as f64 / repeated.operations as f64;
    readings.add("attempts for each", attempts, "×", Better::Less);
    repeated.add_latencies(&mut readings);
    Ok(readings)
}

//! Commits of one new row each, every writer in a part of the keys of its own: a thread, or a task.

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings};
use crate::engine::{Durability, Result};
use crate::measure::{Crew, at_once, for_a_time};
use crate::rows::{Order, value};
use crate::tasks::{Row, write_for_a_time};

use super::ledger::{Ledger, number_of_many, own_number, round};

pub(super) fn cells() -> Vec<Cell> {
    let durable = [1, 2, 8, 32, 64].map(|threads| cell(threads, Durability::Durable));
    let deferred = [1, 2, 8].map(|threads| cell(threads, Durability::Deferred));
    let tasks = [8, 64, 512].map(cell_of_tasks);
    durable.into_iter().chain(tasks).chain(deferred).collect()
}

fn cell_of_tasks(writers: usize) -> Cell {
    Cell {
        name: format!("commits-durable-tasks-{writers}"),
        group: "commits-durable-tasks",
        about: "durable commits of one new row by tasks on two threads; a thread each where the engine has no asynchronous \
                interface",
        threads: writers,
        durability: Durability::Durable,
        cache_bytes: AMPLE_CACHE,
        primary: "commits",
        short: writers == 64,
        run: Box::new(move |cx| run_tasks(cx, writers)),
    }
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
    let crew = for_a_time(&*engine, threads, cx.size.seconds, at_once, |session, tally, repetition| {
        let number = own_number(tally.thread, repetition)?;
        let (key, value) = (Order::Random.key(number), value(number, round(tally.thread, repetition)));
        tally.attempts += session.transact(&mut |tx| tx.put(&key, &value))?;
        Ok(())
    })?;
    let written = |thread, repetition| own_number(thread, repetition).ok();
    Ledger::of(&crew.repetitions(), written).verify(&*engine, Order::Random, 0)?;
    engine.close()?;
    Ok(readings(&crew, cx.settings.durability))
}

fn run_tasks(cx: &Context, writers: usize) -> Result<Readings> {
    let engine = cx.open()?;
    let (crew, threads) = write_for_a_time(&*engine, writers, cx.size.seconds, |writer, repetition| {
        let number = number_of_many(writer, repetition)?;
        Ok(Row { key: Order::Random.key(number), value: value(number, round(writer, repetition)) })
    })?;
    let written = |writer, repetition| number_of_many(writer, repetition).ok();
    Ledger::of(&crew.repetitions(), written).verify(&*engine, Order::Random, 0)?;
    engine.close()?;
    let mut readings = readings(&crew, cx.settings.durability);
    readings.add("threads of the writers", threads as f64, "", Better::Neither);
    Ok(readings)
}

fn readings(crew: &Crew, durability: Durability) -> Readings {
    let mut readings = Readings::default();
    readings.add("commits", crew.all.per_second(), "1/s", Better::More);
    crew.add_attempts(&mut readings, crew.all.operations);
    crew.all.add_latencies(&mut readings);
    crew.add_processor(&mut readings, durability);
    readings
}

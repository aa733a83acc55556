//! A reader that scans the whole table again and again, each time in one snapshot, beside a writer that updates rows of it;
//! and each of them alone.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings};
use crate::engine::{Durability, Engine, Result, Session};
use crate::measure::{Repeated, Tally, at_once, for_a_time};
use crate::rows::{Order, value};

use super::ledger::{Ledger, round};
use super::table::Table;

const ROWS: u64 = 1_000_000;
/// Rows between two looks at the clock: a scan ends where the time does, so that none goes on when the writer has stopped.
const PIECE: u64 = 10_000;

pub(super) fn cells() -> Vec<Cell> {
    vec![Cell {
        name: "reader-beside-writers-2".into(),
        group: "reader-beside-writers",
        about: "deferred updates of one row of 1M, beside scans of the whole table in another thread",
        threads: 2,
        durability: Durability::Deferred,
        cache_bytes: AMPLE_CACHE,
        primary: "commits together",
        short: true,
        run: Box::new(run),
    }]
}

/// Phases of the cell, which are threads of their own in the ledger.
const ALONE: u64 = 0;
const TOGETHER: u64 = 1;

fn run(cx: &Context) -> Result<Readings> {
    let engine = cx.open()?;
    let table = Table::load(cx, &*engine, ROWS)?;
    let seconds = cx.size.seconds;
    let scan = |session: &mut dyn Session, tally: &mut Tally, until: Instant| {
        session.read(&mut |snapshot| {
            let mut place = 0;
            while place < table.count {
                let seen = table.scan(snapshot, place, PIECE)?;
                tally.rows += seen;
                place += seen;
                if Instant::now() > until {
                    break;
                }
            }
            Ok(())
        })
    };
    let update = |session: &mut dyn Session, phase, repetition| {
        let number = table.pick(phase, repetition);
        let (key, value) = (table.key(number), value(number, round(phase, repetition)));
        session.transact(&mut |tx| tx.put(&key, &value)).map(drop)
    };

    let end = || Instant::now() + Duration::from_secs_f64(seconds);
    let until = end();
    let reading = for_a_time(&*engine, 1, seconds, at_once, |session, tally, _| scan(session, tally, until))?;
    let writing = for_a_time(&*engine, 1, seconds, at_once, |session, _, repetition| {
        update(session, ALONE, repetition)
    })?;
    let until = end();
    let both = for_a_time(&*engine, 2, seconds, at_once, |session, tally, repetition| match tally.thread {
        0 => scan(session, tally, until),
        _ => update(session, TOGETHER, repetition),
    })?;
    let [(scanned, reader), (_, writer)] = &both.hands[..] else {
        return Err("two threads were asked for".into());
    };
    verify_updates(&*engine, &table, writing.all.operations, writer.operations)?;
    engine.close()?;

    let rows_per_second =
        |tally: &Tally, repeated: &Repeated| tally.rows as f64 / repeated.elapsed.as_secs_f64();
    let mut readings = Readings::default();
    readings.add("commits together", writer.per_second(), "1/s", Better::More);
    readings.add("rows read together", rows_per_second(scanned, reader), "rows/s", Better::More);
    readings.add("commits alone", writing.all.per_second(), "1/s", Better::More);
    readings.add("rows read alone", reading.rows_per_second(), "rows/s", Better::More);
    writer.add_latencies(&mut readings);
    Ok(readings)
}

/// A row that was updated in both phases has the value of the second.
fn verify_updates(engine: &dyn Engine, table: &Table, alone: u64, together: u64) -> Result<()> {
    let again: HashSet<u64> = (0..together).map(|rep| table.pick(TOGETHER, rep)).collect();
    let written = |phase, repetition| {
        let number = table.pick(phase, repetition);
        (phase == TOGETHER || !again.contains(&number)).then_some(number)
    };
    Ledger::of(&[alone, together], written).verify(engine, Order::Random, table.count)
}

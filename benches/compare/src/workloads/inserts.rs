//! Transactions of a hundred new rows each, with work for the processor between begin and commit: with it, only engines
//! whose writers are in their transactions at the same time keep more than one core busy.

use std::hint::black_box;
use std::time::{Duration, Instant};

use braid_measure::scramble;

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings};
use crate::engine::{Durability, Result};
use crate::measure::{at_once, for_a_time};
use crate::rows::{Order, value};

use super::ledger::{Ledger, own_number, round};

/// Rows of a transaction.
const ROWS: u64 = 100;

pub(super) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for computing in [0, 500, 1000] {
        cells.extend([1, 2, 4, 8].map(|threads| cell(computing, threads)));
    }
    cells
}

fn cell(micros: u64, threads: usize) -> Cell {
    Cell {
        name: format!("inserts-computing-{micros}us-{threads}"),
        group: "inserts-computing",
        about: match micros {
            0 => "transactions of 100 new rows",
            500 => "transactions of 100 new rows and 500 µs of the processor's time",
            _ => "transactions of 100 new rows and 1 ms of the processor's time",
        },
        threads,
        durability: Durability::Deferred,
        cache_bytes: AMPLE_CACHE,
        primary: "rows",
        short: threads == 8 && micros <= 500,
        run: Box::new(move |cx| run(cx, micros, threads)),
    }
}

fn run(cx: &Context, micros: u64, threads: usize) -> Result<Readings> {
    let engine = cx.open()?;
    let computing = Computing::of(Duration::from_micros(micros));
    let crew = for_a_time(&*engine, threads, cx.size.seconds, at_once, |session, tally, repetition| {
        tally.attempts += session.transact(&mut |tx| {
            for row in repetition * ROWS..(repetition + 1) * ROWS {
                let number = own_number(tally.thread, row)?;
                tx.put(&Order::Random.key(number), &value(number, round(tally.thread, row)))?;
                if row == repetition * ROWS {
                    // After the first row, so that the transaction has begun in every engine.
                    computing.compute();
                }
            }
            Ok(())
        })?;
        Ok(())
    })?;
    let rows: Vec<u64> = crew.repetitions().iter().map(|repetitions| repetitions * ROWS).collect();
    Ledger::of(&rows, |thread, row| own_number(thread, row).ok()).verify(&*engine, Order::Random, 0)?;
    engine.close()?;
    let mut readings = Readings::default();
    let rows = (crew.all.operations * ROWS) as f64;
    readings.add("rows", rows / crew.all.elapsed.as_secs_f64(), "rows/s", Better::More);
    crew.add_attempts(&mut readings, crew.all.operations);
    crew.all.add_latencies(&mut readings);
    Ok(readings)
}

/// A fixed amount of work. Not a wait for the clock, which goes on for threads that have no core.
#[derive(Clone, Copy, Debug)]
struct Computing {
    steps: u64,
}

impl Computing {
    /// Work that takes so long on a core of one's own. The fastest of many short trials is the one that nobody disturbed.
    fn of(time: Duration) -> Self {
        const TRIAL: u64 = 10_000;
        let trial = || {
            let began = Instant::now();
            Self { steps: TRIAL }.compute();
            began.elapsed()
        };
        let fastest = (0..200).map(|_| trial()).min().unwrap_or_default();
        Self { steps: (time.as_nanos() * u128::from(TRIAL) / fastest.as_nanos().max(1)) as u64 }
    }

    fn compute(self) {
        let mut number = black_box(self.steps);
        for _ in 0..self.steps {
            number = scramble(number);
        }
        black_box(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computing_takes_at_least_its_time() {
        let time = Duration::from_millis(2);
        let computing = Computing::of(time);
        let began = Instant::now();
        computing.compute();
        assert!(began.elapsed() > time / 2, "{:?}", began.elapsed());
        assert_eq!(Computing::of(Duration::ZERO).steps, 0);
    }
}

//! The mixes of the Yahoo! Cloud Serving Benchmark on 1M rows, of which a few are asked for often.

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings, see_rows, verify};
use crate::engine::{Durability, Engine, Result, Session};
use crate::measure::{Crew, Tally, at_once, for_a_time};
use crate::rows::{FIRST_KEY, KEY_BYTES, Order, number_of, round_of, throw, value};

use super::ledger::{Ledger, own_number, round};
use super::table::{Table, get, verify_read};
use super::zipf::Zipf;

const ROWS: u64 = 1_000_000;
/// Throws of the dice made ahead; a thread that does more begins again.
const THROWS: u64 = 1 << 20;
/// The longest scan.
const SCAN: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mix {
    A,
    B,
    C,
    E,
    F,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Read,
    Update,
    Scan,
    Insert,
    Modify,
}

impl Mix {
    fn group(self) -> (&'static str, &'static str) {
        match self {
            Self::A => ("ycsb-a", "50 % reads, 50 % updates; zipfian"),
            Self::B => ("ycsb-b", "95 % reads, 5 % updates; zipfian"),
            Self::C => ("ycsb-c", "reads; zipfian"),
            Self::E => ("ycsb-e", "95 % scans of 1 to 100 rows, 5 % inserts; zipfian"),
            Self::F => ("ycsb-f", "50 % reads, 50 % read-modify-writes; zipfian"),
        }
    }

    /// What a thread's repetition does.
    fn step(self, thread: u64, repetition: u64) -> Step {
        let hundredth = throw(thread, repetition) % 100;
        match self {
            Self::A if hundredth < 50 => Step::Update,
            Self::B if hundredth < 5 => Step::Update,
            Self::E if hundredth < 5 => Step::Insert,
            Self::E => Step::Scan,
            Self::F if hundredth < 50 => Step::Modify,
            Self::A | Self::B | Self::C | Self::F => Step::Read,
        }
    }
}

pub(super) fn cells() -> Vec<Cell> {
    let mixes = [Mix::A, Mix::B, Mix::C, Mix::E, Mix::F];
    mixes.into_iter().flat_map(|mix| [2, 8].map(|threads| cell(mix, threads))).collect()
}

fn cell(mix: Mix, threads: usize) -> Cell {
    let (group, about) = mix.group();
    Cell {
        name: format!("{group}-{threads}"),
        group,
        about,
        threads,
        durability: Durability::Deferred,
        cache_bytes: AMPLE_CACHE,
        primary: "operations",
        short: matches!((mix, threads), (Mix::A, 8) | (Mix::E, 2)),
        run: Box::new(move |cx| run(cx, mix, threads)),
    }
}

/// The loaded table and what is asked for in it.
struct Store {
    mix: Mix,
    table: Table,
    zipf: Zipf,
}

fn run(cx: &Context, mix: Mix, threads: usize) -> Result<Readings> {
    let engine = cx.open()?;
    let table = Table::load(cx, &*engine, ROWS)?;
    let zipf = Zipf::new(u32::try_from(table.count)?, usize::try_from(cx.rows(THROWS))?);
    let store = Store { mix, table, zipf };
    let crew = for_a_time(&*engine, threads, cx.size.seconds, at_once, |session, tally, repetition| {
        store.step(session, tally, repetition)
    })?;
    let writes = store.verify(&*engine, &crew)?;
    engine.close()?;
    let mut readings = Readings::default();
    readings.add("operations", crew.all.per_second(), "1/s", Better::More);
    if mix != Mix::C {
        crew.add_attempts(&mut readings, writes);
    }
    crew.all.add_latencies(&mut readings);
    Ok(readings)
}

impl Store {
    fn step(&self, session: &mut dyn Session, tally: &mut Tally, repetition: u64) -> Result<()> {
        let number = self.zipf.at(tally.thread, repetition);
        let key = self.table.key(number);
        match self.mix.step(tally.thread, repetition) {
            Step::Read => get(session, &key, number)?,
            Step::Update => {
                let value = value(number, round(tally.thread, repetition));
                tally.attempts += session.transact(&mut |tx| tx.put(&key, &value))?;
            }
            Step::Insert => {
                let number = own_number(tally.thread, repetition)?;
                let (key, value) =
                    (Order::Random.key(number), value(number, round(tally.thread, repetition)));
                tally.attempts += session.transact(&mut |tx| tx.put(&key, &value))?;
            }
            Step::Scan => {
                let limit = 1 + (throw(tally.thread, repetition) >> 32) % SCAN;
                scan(session, &key, limit, self.least(&key, limit))?;
            }
            Step::Modify => {
                tally.attempts += session.transact(&mut |tx| {
                    let (mut said, mut count) = (None, 0);
                    let found = tx.get(&key, &mut |value| {
                        said = number_of(value);
                        count = round_of(value).unwrap_or_default();
                    })?;
                    verify_read(number, found, said)?;
                    tx.put(&key, &value(number, count + 1))
                })?;
            }
        }
        Ok(())
    }

    /// The fewest rows that a scan of at most `limit` from `key` on can have: rows are only added.
    fn least(&self, key: &[u8], limit: u64) -> u64 {
        if key <= &self.table.key_before_end(SCAN)[..] { limit } else { 1 }
    }

    /// Looks for what was written, and tells how many writes there were.
    fn verify(&self, engine: &dyn Engine, crew: &Crew) -> Result<u64> {
        let written = |thread, repetition| match self.mix.step(thread, repetition) {
            Step::Update | Step::Modify => Some(self.zipf.at(thread, repetition)),
            Step::Insert => own_number(thread, repetition).ok(),
            Step::Read | Step::Scan => None,
        };
        let repetitions = crew.repetitions();
        let of_thread = |(thread, count): (u64, &u64)| {
            (0..*count).filter(|&repetition| written(thread, repetition).is_some()).count() as u64
        };
        let writes = (0..).zip(&repetitions).map(of_thread).sum();
        if self.mix != Mix::F {
            Ledger::of(&repetitions, written).verify(engine, Order::Random, self.table.count)?;
            return Ok(writes);
        }
        let mut modified = 0_u64;
        see_rows(&mut *engine.session()?, self.table.count, &mut |_, value| {
            modified = modified.wrapping_add(round_of(value).unwrap_or(u64::MAX));
        })?;
        verify("modifications found in the rows", modified, writes)?;
        Ok(writes)
    }
}

/// Scans from a row that is there on.
fn scan(session: &mut dyn Session, from: &[u8], limit: u64, least: u64) -> Result<()> {
    let (mut seen, mut wrong, mut last) = (0, 0, [0; KEY_BYTES]);
    session.read(&mut |snapshot| {
        seen = snapshot.scan(from, limit, &mut |key, value| {
            let in_order = if last == FIRST_KEY { key == from } else { key > &last[..] };
            wrong += u64::from(!in_order || number_of(value).is_none());
            if let Some(key) = key.first_chunk() {
                last = *key;
            }
        })?;
        Ok(())
    })?;
    verify("rows of a scan out of order", wrong, 0)?;
    verify("rows of a scan, at least", seen.min(least), least)?;
    verify("rows of a scan, at most", seen.max(limit), limit)
}

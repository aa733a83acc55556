//! The steps of the benchmark that redb publishes, with our rows: load, single and batched durable writes, reads and short
//! scans in one snapshot, removals; and the size at the end, with nothing compacted.

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings, see_rows, verify};
use crate::engine::{Durability, Engine, Reader, Result, Session};
use crate::measure::{Repeated, times};
use crate::rows::{Fresh, Order, number_of, throw, value};

use super::disk;
use super::table::{Table, verify_read};

const LOADED: u64 = 1_000_000;
const SINGLE: u64 = 1000;
const BATCHES: u64 = 100;
const BATCH: u64 = 1000;
const READS: u64 = 1_000_000;
const SCANS: u64 = 500_000;
const SCANNED: u64 = 10;
/// Rows removed in a transaction.
const REMOVED: u64 = 10_000;

pub(super) fn cells() -> Vec<Cell> {
    vec![Cell {
        name: "lmdb-benchmark-1".into(),
        group: "lmdb-benchmark",
        about: "redb's lmdb_benchmark: load 1M, write 1000 and 100 × 1000, read 1M, scan 500k × 10, remove half; durable",
        threads: 1,
        durability: Durability::Durable,
        cache_bytes: AMPLE_CACHE,
        primary: "total",
        short: false,
        run: Box::new(run),
    }]
}

fn run(cx: &Context) -> Result<Readings> {
    let engine = cx.open()?;
    let (loaded, single, batches) = (cx.rows(LOADED), cx.rows(SINGLE), cx.rows(BATCHES));
    let total = loaded + single + batches * BATCH;
    let mut steps = Vec::new();
    steps.push(("bulk load", times(1, |_| engine.load(&Fresh { order: Order::Random, count: loaded }))?));
    {
        let mut session = engine.session()?;
        let session = &mut *session;
        steps.push(("individual writes", times(single, |write| add(session, loaded + write, 1))?));
        let first = loaded + single;
        steps.push(("batch writes", times(batches, |batch| add(session, first + batch * BATCH, BATCH))?));
        let table = Table::known(total)?;
        steps.push(("random reads", read(session, &table, cx.rows(READS))?));
        steps.push(("random range reads", scan(session, &table, cx.rows(SCANS))?));
        steps.push(("removals", remove(session, total / 2)?));
    }
    engine.sync()?;
    let size = disk::size_of(&cx.dir)?;
    verify_removed(&*engine, total, total / 2)?;
    engine.close()?;

    let millis = |step: &Repeated| step.elapsed.as_secs_f64() * 1000.0;
    let mut readings = Readings::default();
    readings.add("total", steps.iter().map(|(_, step)| millis(step)).sum(), "ms", Better::Less);
    for (name, step) in &steps {
        readings.add(*name, millis(step), "ms", Better::Less);
    }
    readings.add("uncompacted size", size.allocated as f64 / f64::from(1 << 20), "MiB", Better::Less);
    Ok(readings)
}

/// One transaction of new rows.
fn add(session: &mut dyn Session, first: u64, count: u64) -> Result<()> {
    session.transact(&mut |tx| {
        (first..first + count).try_for_each(|number| tx.put(&Order::Random.key(number), &value(number, 0)))
    })?;
    Ok(())
}

fn read(session: &mut dyn Session, table: &Table, count: u64) -> Result<Repeated> {
    in_a_snapshot(session, |snapshot| {
        times(count, |read| {
            let number = table.pick(0, read);
            let mut said = None;
            let found = snapshot.get(&table.key(number), &mut |value| said = number_of(value))?;
            verify_read(number, found, said)
        })
    })
}

fn scan(session: &mut dyn Session, table: &Table, count: u64) -> Result<Repeated> {
    in_a_snapshot(session, |snapshot| {
        times(count, |scan| table.scan(snapshot, throw(1, scan) % table.count, SCANNED).map(drop))
    })
}

/// What `body` tells, which runs in one snapshot.
fn in_a_snapshot(
    session: &mut dyn Session,
    body: impl Fn(&mut dyn Reader) -> Result<Repeated>,
) -> Result<Repeated> {
    let mut outcome = None;
    session.read(&mut |snapshot| {
        outcome = Some(body(snapshot)?);
        Ok(())
    })?;
    outcome.ok_or_else(|| "the snapshot was not used".into())
}

/// Removes the rows of the numbers below `count`, whose keys are all over.
fn remove(session: &mut dyn Session, count: u64) -> Result<Repeated> {
    times(count.div_ceil(REMOVED), |batch| {
        session.transact(&mut |tx| {
            let mut numbers = batch * REMOVED..((batch + 1) * REMOVED).min(count);
            numbers.try_for_each(|number| tx.delete(&Order::Random.key(number)))
        })?;
        Ok(())
    })
}

fn verify_removed(engine: &dyn Engine, total: u64, removed: u64) -> Result<()> {
    let mut wrong = 0;
    see_rows(&mut *engine.session()?, total - removed, &mut |key, value| {
        let number = number_of(value).filter(|&number| (removed..total).contains(&number));
        wrong += u64::from(number.is_none_or(|number| key != Order::Random.key(number)));
    })?;
    verify("rows that should be removed, or are not the written ones", wrong, 0)
}

//! Reads of a table in the cache: from the tree alone, and with 100,000 newer rows in the row store.

use std::time::Duration;

use braid::{Database, Durability, Options, Snapshot, Table};

use super::load::fill;
use crate::Result;
use crate::cell::{Context, Readings, unfolded_options, verify, verify_database};
use crate::measure::{Repeated, for_a_time, times};
use crate::rows::{Dice, Order, number_of, value};

/// Rows that are changed after the checkpoint, at most.
const UNFOLDED: u64 = 100_000;
/// Rows of a short scan.
const SCAN: u64 = 100;
const ORDER: Order = Order::Random;

pub(super) fn run(cx: &Context) -> Result<Readings> {
    let options = Options { cache_bytes: 1 << 30, ..unfolded_options(Durability::Deferred) };
    let (db, table) = cx.create(options)?;
    let rows = cx.size.rows;
    fill(&db, &table, ORDER, rows)?;
    db.checkpoint()?;
    let mut readings = Readings::default();
    measure(&db, &table, rows, "tree", &mut readings)?;

    let mut dice = Dice::new(7);
    for _ in 0..UNFOLDED.min(rows) / 100 {
        let mut tx = db.begin_concurrent()?;
        for _ in 0..100 {
            let number = dice.below(rows);
            tx.put(&table, ORDER.key(number), value(number, 1))?;
        }
        tx.commit()?;
    }
    measure(&db, &table, rows, "with rows unfolded", &mut readings)?;
    verify_database(&db, &table, rows)?;
    Ok(readings)
}

fn measure(db: &Database, table: &Table, rows: u64, layers: &str, readings: &mut Readings) -> Result<()> {
    // The cache is filled by the first look.
    let scanned = full_scan(&db.snapshot()?, table, rows)?;
    readings.add(format!("full scan by cursor, {layers}"), scanned.per_second(), "rows/s");
    let count = rows.min(500_000);
    let mut dice = Dice::new(1);
    let mut point = |name: &str, read: &mut dyn FnMut(u64) -> Result<Option<u64>>| -> Result<()> {
        let all = times(count, |_| {
            let number = dice.below(rows);
            verify("the row read", read(number)?.ok_or("a row is missing")?, number)
        })?;
        readings.add(format!("{name}, {layers}"), all.per_second(), "1/s");
        Ok(())
    };
    let copied = |value: Option<Vec<u8>>| value.and_then(|value| number_of(&value));
    point("get, a snapshot each", &mut |number| Ok(copied(db.snapshot()?.get(table, ORDER.key(number))?)))?;
    point("get_with, a snapshot each", &mut |number| {
        Ok(db.snapshot()?.get_with(table, ORDER.key(number), number_of)?.flatten())
    })?;
    let snapshot = db.snapshot()?;
    point("get, one snapshot", &mut |number| Ok(copied(snapshot.get(table, ORDER.key(number))?)))?;
    point("get_with, one snapshot", &mut |number| {
        Ok(snapshot.get_with(table, ORDER.key(number), number_of)?.flatten())
    })?;

    let both = for_a_time(2, Duration::from_secs(1), |thread, repetition| {
        let number = braid_measure::scramble(repetition * 2 + thread as u64) % rows;
        let read = db.snapshot()?.get_with(table, ORDER.key(number), number_of)?.flatten();
        verify("the row read", read.ok_or("a row is missing")?, number)
    })?;
    readings.add(format!("get_with, a snapshot each, 2 threads, {layers}"), both.per_second(), "1/s");
    scans(db, table, rows, layers, readings)
}

fn scans(db: &Database, table: &Table, rows: u64, layers: &str, readings: &mut Readings) -> Result<()> {
    let mut dice = Dice::new(2);
    let count = (rows / SCAN).min(20_000);
    let snapshot = db.snapshot()?;
    let mut seen = 0;
    let by_range = times(count, |_| {
        let from = ORDER.key(dice.below(rows));
        for row in snapshot.range(table, from.as_slice()..)?.take(usize::try_from(SCAN)?) {
            let (key, value) = row?;
            seen += u64::from(number_of(&value).is_some_and(|number| key == ORDER.key(number)));
        }
        Ok(())
    })?;
    let mut at_the_end = count * SCAN - seen;
    readings.add(format!("scan of 100 rows by range, {layers}"), by_range.per_second(), "1/s");
    seen = 0;
    let by_cursor = times(count, |_| {
        let mut cursor = snapshot.cursor(table)?;
        let mut there = cursor.seek_ge(ORDER.key(dice.below(rows)))?;
        for _ in 0..SCAN {
            if !there {
                break;
            }
            seen += u64::from(cursor.value()?.and_then(number_of).is_some());
            there = cursor.next()?;
        }
        Ok(())
    })?;
    readings.add(format!("scan of 100 rows by cursor, {layers}"), by_cursor.per_second(), "1/s");
    // Only a scan that began among the last rows sees fewer.
    at_the_end = at_the_end.max(count * SCAN - seen);
    verify("scans that saw too little", u64::from(at_the_end > count * SCAN / 100), 0)
}

fn full_scan(snapshot: &Snapshot, table: &Table, rows: u64) -> Result<Repeated> {
    let walk = || -> Result<Repeated> {
        let mut cursor = snapshot.cursor(table)?;
        let mut sum = 0_u64;
        let all = times(rows, |_| {
            if !cursor.next()? {
                return Err("the table is too short".into());
            }
            sum += cursor.value()?.and_then(number_of).ok_or("a value is too short")?;
            Ok(())
        })?;
        verify("the sum of all rows", sum, rows * (rows - 1) / 2)?;
        verify("rows after the last", u64::from(cursor.next()?), 0)?;
        Ok(all)
    };
    walk()?;
    walk()
}

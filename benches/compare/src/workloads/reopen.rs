//! Opening after the process was killed that had just committed: how long until the first row can be read, and whether
//! every commit is there.

use std::time::{Duration, Instant};

use crate::cell::{Better, Cell, Context, MODEST_CACHE, Readings, metrics};
use crate::engine::{Durability, Result};
use crate::rows::Order;

use super::disk;
use super::helper::{Helper, Task, surviving};
use super::ledger::{Ledger, own_number};
use super::table::get;

const ROWS: u64 = 1_000_000;

pub(super) fn cells() -> Vec<Cell> {
    vec![Cell {
        name: "reopen-1".into(),
        group: "reopen",
        about: "open and first read after SIGKILL behind 1M deferred commits of one new row; where those do not survive, \
            behind durable ones of 100 rows; in proportion, where an engine got less done in 20 seconds",
        threads: 1,
        durability: Durability::Deferred,
        cache_bytes: MODEST_CACHE,
        primary: "reopen",
        short: true,
        run: Box::new(run),
    }]
}

fn run(cx: &Context) -> Result<Readings> {
    let (durability, of_commit) = surviving(&cx.kind)?;
    let mut cx = cx.clone();
    cx.settings.durability = durability;
    let asked = cx.rows(ROWS);
    let committed = Helper::start(&cx, Task::Commit, asked)?.kill_when_committed()?;
    let size = disk::size_of(&cx.dir)?;
    let log = disk::written(&cx.dir, cx.kind.log)?;

    let last = own_number(0, committed.saturating_sub(1))?;
    let began = Instant::now();
    let engine = cx.open()?;
    let opened = began.elapsed();
    get(&mut *engine.session()?, &Order::Random.key(last), last)?;
    let read = began.elapsed();

    Ledger::of(&[committed], |_, row| own_number(0, row).ok()).verify(&*engine, Order::Random, 0)?;
    engine.close()?;
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut readings = Readings::default();
    readings.add("reopen", millis(read) * asked as f64 / committed as f64, "ms", Better::Less);
    readings.add("open as measured", millis(opened), "ms", Better::Less);
    readings.add("open and first read as measured", millis(read), "ms", Better::Less);
    readings.add("commits", committed.div_ceil(of_commit) as f64, "", Better::Neither);
    readings.add("rows of a commit", of_commit as f64, "", Better::Neither);
    readings.add(
        metrics::LOG_AT_THE_KILL,
        log as f64 / committed.max(1) as f64,
        "bytes/row",
        Better::Neither,
    );
    size.add_to(&mut readings, committed);
    Ok(readings)
}

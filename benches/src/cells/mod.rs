//! The cells.

mod begin;
mod counter;
mod deferred;
mod durable;
mod load;
mod raw;
mod reads;
pub(crate) mod reopen;
mod rounds;

use crate::cell::Cell;

/// In the order in which a round runs them.
pub(crate) const ALL: &[Cell] = &[
    Cell {
        name: "sync-raw",
        about: "one record stored and synced, through a mapping and by pwrite",
        run: raw::run,
    },
    Cell { name: "durable-1", about: "durable commits, 1 writer", run: |cx| durable::run(cx, 1) },
    Cell { name: "durable-8", about: "durable commits, 8 writers", run: |cx| durable::run(cx, 8) },
    Cell { name: "durable-32", about: "durable commits, 32 writers", run: |cx| durable::run(cx, 32) },
    Cell { name: "durable-64", about: "durable commits, 64 writers", run: |cx| durable::run(cx, 64) },
    Cell {
        name: "deferred-1-sequential",
        about: "deferred commits, 1 writer, ascending keys",
        run: deferred::one_sequential,
    },
    Cell {
        name: "deferred-1-random",
        about: "deferred commits, 1 writer, random keys",
        run: deferred::one_random,
    },
    Cell {
        name: "deferred-2-sequential",
        about: "deferred commits, 2 writers, ascending keys",
        run: deferred::two_sequential,
    },
    Cell {
        name: "deferred-2-random",
        about: "deferred commits, 2 writers, random keys",
        run: deferred::two_random,
    },
    Cell { name: "begin", about: "begin and drop of a snapshot and of a transaction", run: begin::run },
    Cell {
        name: "load-sequential",
        about: "bulk load in ascending order, then a checkpoint",
        run: load::sequential,
    },
    Cell { name: "load-random", about: "bulk load in random order, then a checkpoint", run: load::random },
    Cell {
        name: "reads",
        about: "point reads and scans, folded and with 100,000 rows unfolded",
        run: reads::run,
    },
    Cell {
        name: "reopen-sequential",
        about: "reopen after a kill, nothing folded, ascending keys",
        run: reopen::sequential,
    },
    Cell {
        name: "reopen-random",
        about: "reopen after a kill, nothing folded, random keys",
        run: reopen::random,
    },
    Cell {
        name: "reopen-default",
        about: "reopen after a kill, default options, random keys",
        run: reopen::default_options,
    },
    Cell { name: "counter-durable", about: "one hot row, 16 writers, durable", run: counter::durable },
    Cell { name: "counter-deferred", about: "one hot row, 16 writers, deferred", run: counter::deferred },
];

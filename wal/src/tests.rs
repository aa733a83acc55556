//! Whole logs, on files that crash.

#![expect(clippy::cast_possible_truncation, reason = "positions and lengths of these logs are small")]

mod bad_sectors;
mod crashes;
mod damage;
mod failures;
mod folios;
mod helpers;
mod history;
mod io_faults;
mod scarcity;
mod segments;

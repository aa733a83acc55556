//! The work, one kind in each file. A file makes the cells of its groups; a cell loads what it needs, measures, and verifies
//! what it did before it says how fast that was.

mod bank;
mod beside;
mod commits;
mod counter;
pub(crate) mod disk;
pub(crate) mod helper;
mod inserts;
mod larger;
mod ledger;
mod lmdb_benchmark;
mod load;
mod memory;
mod point_reads;
mod reopen;
mod scans;
mod stalls;
mod table;
mod ycsb;
mod zipf;

#[cfg(test)]
mod tests;

use crate::cell::Cell;

/// In the order in which a round runs them.
pub(crate) fn all() -> Vec<Cell> {
    let groups = [
        commits::cells(),
        point_reads::cells(),
        scans::cells(),
        load::cells(),
        bank::cells(),
        inserts::cells(),
        ycsb::cells(),
        reopen::cells(),
        larger::cells(),
        counter::cells(),
        beside::cells(),
        stalls::cells(),
        lmdb_benchmark::cells(),
    ];
    groups.into_iter().flatten().collect()
}

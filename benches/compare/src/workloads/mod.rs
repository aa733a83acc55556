//! The work, one kind in each file. A file makes the cells of its groups; a cell loads what it needs, measures, and verifies
//! what it did before it says how fast that was.

mod bank;
mod beside;
mod commits;
mod counter;
mod disk;
mod inserts;
mod ledger;
mod load;
mod point_reads;
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
        counter::cells(),
        beside::cells(),
        stalls::cells(),
    ];
    groups.into_iter().flatten().collect()
}

//! The work, one kind in each file. A file makes the cells of its groups; a cell loads what it needs, measures, and verifies
//! what it did before it says how fast that was.

mod commits;
mod disk;
mod ledger;
mod load;
mod point_reads;
mod scans;
mod table;

#[cfg(test)]
mod tests;

use crate::cell::Cell;

/// In the order in which a round runs them.
pub(crate) fn all() -> Vec<Cell> {
    [commits::cells(), point_reads::cells(), scans::cells(), load::cells()].into_iter().flatten().collect()
}

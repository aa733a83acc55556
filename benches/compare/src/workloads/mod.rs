//! The work, one kind in each file. A file makes the cells of its groups; a cell loads what it needs, measures, and verifies
//! what it did before it says how fast that was.

mod commits;

use crate::cell::Cell;

/// In the order in which a round runs them.
pub(crate) fn all() -> Vec<Cell> {
    [commits::cells()].into_iter().flatten().collect()
}

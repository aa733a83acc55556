//! How much of the log is worth keeping for use again when a checkpoint lets go of it.
//!
//! To make a segment is to write all of it, which for a log that only ever removes what it has used is as much as is logged:
//! half of what the disk can do. A segment that is used again costs two small writes. Until the next release the log
//! needs about what is released now, and it had that much a moment ago: so keeping that takes no more of the disk than was in
//! use already. After a burst it takes half as much less with each release.

/// Bytes of the segments that are filled from one release to the next, lately.
#[derive(Debug, Default)]
pub(super) struct Demand(u64);

impl Demand {
    /// So many bytes are released: how many are likely to be needed until the next time.
    pub(super) fn released(&mut self, bytes: u64) -> u64 {
        self.0 = bytes.max(self.0.midpoint(bytes));
        self.0
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    #[test]
    fn it_grows_at_once_and_shrinks_by_halves() {
        let mut demand = Demand::default();
        for (released, wanted) in
            [(400, 400), (100, 250), (100, 175), (1000, 1000), (0, 500), (0, 250), (300, 300)]
        {
            assert_eq!(demand.released(released), wanted, "after {released}");
        }
    }
}

//! Positions in the log.

use std::fmt;

/// A byte position in the endless log that the segments hold pieces of; never a timestamp.
///
/// Positions only grow and are multiples of eight. No record starts at [`Lsn::ZERO`], which therefore means "before
/// everything".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(u64);

impl Lsn {
    /// Before every record.
    pub const ZERO: Self = Self(0);

    /// Where the first record of a new log starts.
    pub const FIRST: Self = Self(4096);

    /// The position `bytes` from the start of the log.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The position in bytes from the start of the log.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

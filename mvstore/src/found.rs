//! What a lookup finds.

use std::fmt;

/// The version of a row that a reader sees.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// The row has this value.
    Value(&'a [u8]),
    /// The row was deleted: what older layers hold of it counts for nothing.
    Tombstone,
}

impl<'a> Found<'a> {
    /// The value; `None` for a deleted row.
    #[must_use]
    pub fn value(self) -> Option<&'a [u8]> {
        match self {
            Self::Value(value) => Some(value),
            Self::Tombstone => None,
        }
    }
}

impl fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "\"{}\"", value.escape_ascii()),
            Self::Tombstone => f.write_str("deleted"),
        }
    }
}

//! One module per command; each has its `Args` and a `run`.

pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod changes;
pub(crate) mod check;
pub(crate) mod compact;
mod conflicts;
pub(crate) mod dump;
pub(crate) mod load;
mod open;
pub(crate) mod salvage;
pub(crate) mod sequences;
pub(crate) mod stat;
pub(crate) mod tables;

//! Reading a log back: what is whole, where it ends, and whether it ends there rightly.
//!
//! # Torn or corrupt?
//!
//! The scan goes from record to record until one is not valid, at position X. That may be where the log ended, or
//! the tail that a crash tore, or damage to what was once on the disk. Every record and every segment header says up
//! to which position the log was known to be synced when it was written. So the scan goes on behind X, looking only
//! for such statements: if one of them, or the caller's own, says that X was synced, X is damage, and the log is
//! refused. Otherwise X and what follows was never promised to anybody: it is cut.
//!
//! # Bounds
//!
//! Every file is read a fixed number of times, forward, through a buffer that holds one record. A length read from
//! disk is compared with the file and the limit before memory is taken for it. Every step moves at least eight bytes
//! on.

mod catalog;
mod evidence;
mod lenient;
mod reader;
mod recovered;
mod salvage;
mod scan;
mod spares;
mod stray;

pub use recovered::{CutTail, Recovered};
pub use salvage::{Salvage, Salvaged};
pub use scan::{RecoveredRecord, Recovery};

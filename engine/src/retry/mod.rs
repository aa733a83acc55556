//! The retry runner: the loop that everybody needs around an optimistic transaction, written once.
//!
//! It cannot starve: after a number of losses the transaction is admitted exclusively, and then it cannot lose.

mod policy;
mod runner;

pub use policy::RetryPolicy;
pub use runner::Outcome;
pub(crate) use runner::transact;

//! The retry runner: the loop that everybody needs around an optimistic transaction, written once for threads and for futures.
//!
//! It cannot starve: after a number of losses the transaction is admitted exclusively, and then it cannot lose.

mod future;
mod policy;
mod run;
mod runner;
mod waits;

pub use future::TransactFuture;
pub use policy::RetryPolicy;
pub use run::Outcome;
pub(crate) use runner::transact;

//! Runs of a whole program in which one seed decides everything: which thread runs, when a wait times out, what time
//! it is.
//!
//! Inside [`run`] the locks, threads and waits of [`sync`](crate::sync) belong to a scheduler. Threads are threads of
//! the operating system, so thread locals and panics are what they always are; but exactly one of them holds the
//! *baton* and runs, and it passes the baton on at *points*: before it takes a lock, when it waits, when it gives up the
//! processor, at each [`schedule_point`](crate::sync::schedule_point), which is in each call of the files in memory. The
//! scheduler's dice say whether it does, and to whom. Time is virtual: a little passes at each point, and when all
//! threads wait it leaps to the first deadline. Outside of a run the same types are the native ones.
//!
//! Atomics are no points: interleavings between them are for `shuttle` and `loom`, which cost far more for each step.
//!
//! Invariant: the scheduler's state, and all that the tasks share, is touched by the holder of the baton only. So
//! whatever the tasks do is a function of the seed, as long as they take time, randomness, files and threads from an
//! [`Env`](crate::Env) made for the run, and share nothing with a run beside them in the same process.

mod clock;
mod failure;
mod scheduler;
mod task;

pub use self::clock::SimulatedClock;
pub use self::failure::Failure;
pub(crate) use self::scheduler::Place;
pub use self::scheduler::Settings;
pub(crate) use self::task::{Current, Start, current};
pub use self::task::{run, steps};

#[cfg(test)]
mod tests;

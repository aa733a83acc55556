//! What threads that wait for one sync together can do: each stores a record, and the last one of a round to come syncs
//! once for all of them.
//!
//! They do nothing else: no transaction, no row, no checks. Group commit with a thread for each writer does at least
//! that much, so this is its limit on a machine; what is between the two is the engine's.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use braid_vfs::sync::Event;

use super::raw::RawLog;
use crate::Result;
use crate::cell::verify;

/// What the threads of a round are told.
const AGAIN: u32 = 1;
const END: u32 = 2;

/// So many threads and their log.
#[derive(Debug)]
pub(crate) struct Rounds {
    threads: usize,
    log: RawLog,
}

/// Those of a round who have come.
#[derive(Debug, Default)]
struct Round {
    came: usize,
    /// Where they sleep.
    synced: Arc<Event>,
    rounds: u64,
    /// Nobody sleeps any more: a record could not be stored.
    over: bool,
}

impl Rounds {
    pub(crate) fn create(path: &Path, threads: usize) -> Result<Self> {
        Ok(Self { threads, log: RawLog::create(path, true)? })
    }

    /// Records a second, over about so long.
    pub(crate) fn run(&mut self, duration: Duration) -> Result<f64> {
        let stored_before = self.log.stored();
        let shared = Mutex::new((Round::default(), &mut self.log));
        let (threads, began) = (self.threads, Instant::now());
        let turn = || -> Result<u32> {
            let mut held = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let (round, log) = &mut *held;
            if round.over {
                return Ok(END);
            }
            let stored = log.store();
            round.over = stored.is_err();
            round.came += 1;
            if stored.is_ok() && round.came < threads {
                let synced = Arc::clone(&round.synced);
                drop(held);
                return Ok(synced.wait());
            }
            // All others sleep: nobody wants what is held.
            let outcome = stored.and_then(|()| log.sync());
            let told = if outcome.is_err() || began.elapsed() >= duration { END } else { AGAIN };
            let synced = std::mem::take(&mut round.synced);
            (round.came, round.rounds) = (0, round.rounds + 1);
            drop(held);
            synced.set(told);
            outcome.map(|()| told)
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| -> Result<()> {
                        while turn()? != END {}
                        Ok(())
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a thread panicked")?)
        })?;
        let elapsed = began.elapsed();
        let rounds = shared.into_inner().unwrap_or_else(PoisonError::into_inner).0.rounds;
        let records = rounds * threads as u64;
        verify("records of whole rounds", self.log.stored() - stored_before, records)?;
        Ok(records as f64 / elapsed.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored is checked by [`Rounds::run`] itself.
    #[test]
    fn rounds_end_with_all_threads() {
        let dir = tempfile::tempdir().unwrap();
        for threads in [1, 3] {
            let mut rounds = Rounds::create(&dir.path().join(threads.to_string()), threads).unwrap();
            // On a slow disk a run may be of one round.
            let mut duration = Duration::from_millis(20);
            loop {
                let before = rounds.log.stored();
                assert!(rounds.run(duration).unwrap() > 0.0);
                if rounds.log.stored() >= before + 2 * threads as u64 {
                    break;
                }
                duration *= 2;
            }
        }
    }
}

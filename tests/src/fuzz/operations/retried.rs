//! A row written by the engine's own retry loop, with a thread or as a future, beside a rival that makes it lose.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use braid::{Error, Result, RetryPolicy, Transaction};

use super::{Life, Lived, State, TABLES, key};

/// More than any future here needs that does not hang.
const MOST_POLLS: u32 = 64;

impl Life<'_> {
    /// Puts a row: at the first attempt or, where a rival commits meanwhile, at one that is admitted exclusively.
    pub(super) fn transact(&mut self, which: u8, how: u8) -> Lived {
        let (by_future, has_rival) = (how & 1 == 1, how & 2 == 2);
        let most_polls = if how & 0xc == 0xc { u32::from(how >> 4 & 3) } else { MOST_POLLS };
        let (number, key) = (usize::from(which >> 7), key(which));
        let table = match self.db.table(TABLES[number]) {
            Err(error) if error.is_retryable() => return Ok(()),
            table => self.excuse("making a table", table)?,
        };
        let (db, mut rival) = (self.db.clone(), None);
        let body = |tx: &mut Transaction| {
            if has_rival && rival.is_none() {
                let committed = db.begin_concurrent().and_then(|mut other| {
                    other.put(&table, &key, b"of a rival")?;
                    other.commit()
                });
                rival = Some(committed.map(drop));
            }
            tx.put(&table, &key, vec![how; 20])
        };
        let policy = RetryPolicy::without_backoff().exclusive_after(1).max_attempts(3);
        let (done, installed) = if by_future {
            let mut future = self.db.transact_async_with(policy, body);
            let done = self.wait(&mut future, most_polls);
            (done, future.timestamp().is_some())
        } else {
            (Some(self.db.transact_with(policy, body).map(drop)), false)
        };
        assert!(done.is_some() || most_polls < MOST_POLLS, "a future never gets ready");

        let of_rival = rival.map_or(Ok(()), |rival| self.wrote(number, &key, b"of a rival", rival));
        let own = match done {
            Some(done) => self.wrote(number, &key, &[how; 20], done),
            None => {
                // It is promised to nobody. That it stands, which a snapshot has to know to see it, nobody says before somebody
                // commits behind it.
                if installed {
                    self.push(number, &key, &[how; 20]);
                    let behind = self.db.begin_immediate().and_then(Transaction::commit);
                    self.excuse("a commit behind a dropped one", behind.map(drop))
                } else {
                    Ok(())
                }
            }
        };
        of_rival.and(own)
    }

    /// Polls a future so often at most. Nobody serves futures here, so what they wait for is done in between.
    fn wait<T>(
        &self,
        future: &mut (impl Future<Output = Result<T>> + Unpin),
        polls: u32,
    ) -> Option<Result<()>> {
        for _ in 0..polls {
            match Pin::new(&mut *future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(done) => return Some(done.map(drop)),
                // A failure is told to the future too.
                Poll::Pending => _ = self.db.sync(),
            }
        }
        None
    }

    /// A transaction has put a row, or says why not.
    fn wrote(&mut self, number: usize, key: &[u8], value: &[u8], done: Result<()>) -> Lived {
        match done {
            Ok(()) => {
                self.push(number, key, value);
                self.model.promised = self.model.last();
                Ok(())
            }
            // The journal mode allows no rival beside.
            Err(Error::JournalMode) => Ok(()),
            Err(Error::Busy(conflict)) => {
                let somebody_holds_it = self.open.iter().any(Option::is_some);
                assert!(somebody_holds_it && conflict.key.is_none(), "nobody else wrote that: {conflict}");
                Ok(())
            }
            Err(error @ Error::CommitUnknown { .. }) => {
                self.push(number, key, value);
                self.excuse("a retried commit", Err(error))
            }
            Err(error) => self.excuse("a retried transaction", Err(error)),
        }
    }

    fn push(&mut self, number: usize, key: &[u8], value: &[u8]) {
        let key = (number, key.to_vec());
        let mut rows = self.model.states[self.model.last()].rows.clone();
        rows.insert(key.clone(), value.to_vec());
        self.model.states.push(State { rows, wrote: vec![key] });
    }
}

//! Commits and whole retry loops by future: awaited at once or later, or dropped on the way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use braid::vfs::sync::{Event, thread};
use braid::{Result, Transaction};
use braid_tests::{Outcome, Record};

use super::session::Session;

/// Whatever is kept counts as a session of its own.
const PENDING: usize = 64;

#[derive(Default)]
struct Alarm(Event);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.set(1);
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> (Poll<F::Output>, Arc<Alarm>) {
    let alarm = Arc::new(Alarm::default());
    let polled = Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(&alarm))));
    (polled, alarm)
}

fn wait<F: Future + Unpin>(mut future: F) -> F::Output {
    loop {
        match poll(&mut future) {
            (Poll::Ready(output), _) => return output,
            (Poll::Pending, alarm) => _ = alarm.0.wait(),
        }
    }
}

/// Awaits a future, or drops it after so many polls.
pub(super) fn wait_or_drop<F: Future + Unpin>(future: &mut F, most_polls: Option<u8>) -> Option<F::Output> {
    let Some(most) = most_polls else { return Some(wait(future)) };
    for _ in 0..most {
        if let Poll::Ready(output) = poll(future).0 {
            return Some(output);
        }
        thread::yield_now();
    }
    None
}

impl Session<'_> {
    /// Commits a transaction by a future. Its commit is asked for already.
    pub(super) fn commit_by_future(&mut self, tx: Transaction, mut record: Record) -> Result<()> {
        // Who began beside others is a session of its own already.
        let may_stay = self.pending.is_none() && record.session < PENDING / 4 && !tx.is_exclusive();
        let mut future = tx.commit_async();
        for _ in 0..self.work.rng.u8(0..3) {
            if let Poll::Ready(committed) = poll(&mut future).0 {
                return self.answered(record, committed);
            }
            thread::yield_now();
        }
        match self.work.rng.u8(0..8) {
            0 => {
                if let Some(ts) = future.timestamp() {
                    record.outcome = Outcome::Unknown(ts.get());
                }
                drop(future);
                self.give_up(record);
                Ok(())
            }
            1..4 if may_stay => {
                record.session += PENDING;
                self.pending = Some((future, record));
                Ok(())
            }
            _ => {
                let committed = wait(future);
                self.answered(record, committed)
            }
        }
    }

    /// Awaits the future that is kept.
    pub(super) fn await_pending(&mut self) -> Result<()> {
        let Some((future, record)) = self.pending.take() else { return Ok(()) };
        let committed = wait(future);
        self.answered(record, committed)
    }
}

//! Commits as futures: one thread, many writers, and none of them waits for the disk.
//!
//! The executor is written out here, as braid needs none in particular: in a program with a runtime, `commit_async().await` is
//! all there is to it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use braid::{Database, Error, JournalMode, Result, Table};

const WRITERS: usize = 64;
const ROUNDS: u64 = 20;

/// Adds one to a counter, and again if somebody else was faster.
async fn count(db: &Database, counters: &Table, name: &str) -> Result<u64> {
    let counted = db.transact_async(|tx| {
        let next = tx.get(counters, name)?.map_or(Ok(0), number)? + 1;
        tx.put(counters, name, next.to_string())?;
        Ok(next)
    });
    // The thread goes on with other writers until a sync covers this commit.
    Ok(counted.await?.value)
}

/// The same without the retry runner: one attempt, whose loss is an error.
async fn count_once(db: &Database, counters: &Table, name: &str) -> Result<u64> {
    let mut tx = db.begin_concurrent()?;
    let next = tx.get(counters, name)?.map_or(Ok(0), number)? + 1;
    tx.put(counters, name, next.to_string())?;
    tx.commit_async().await?;
    Ok(next)
}

fn number(bytes: Vec<u8>) -> Result<u64> {
    let text = String::from_utf8(bytes).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| Error::other("a counter is damaged"))
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::other)?;
    let db = Database::open(folder.path().join("counters.braid"))?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let counters = db.table("counters")?;

    let before = db.stats().log.syncs;
    let writers = (0..WRITERS).map(|writer| {
        let (db, counters) = (db.clone(), counters.clone());
        async move {
            let name = format!("counter {writer}");
            // Its own row: nobody else writes it.
            count_once(&db, &counters, &name).await?;
            for _ in 1..ROUNDS {
                count(&db, &counters, &name).await?;
            }
            count(&db, &counters, "everybody's").await?;
            Ok(())
        }
    });
    block_on(all(writers))?;

    let commits = WRITERS as u64 * (ROUNDS + 1);
    let syncs = db.stats().log.syncs - before;
    println!("{commits} durable commits by one thread, in {syncs} syncs");
    assert!(syncs < commits, "writers share syncs");
    let everybody = db.get(&counters, "everybody's")?.map_or(Ok(0), number)?;
    assert_eq!(everybody, WRITERS as u64);
    for writer in 0..WRITERS {
        let value = db.get(&counters, format!("counter {writer}"))?.map_or(Ok(0), number)?;
        assert_eq!(value, ROUNDS);
    }
    Ok(())
}

/// All futures side by side; the first error ends them. Dropping the others rolls back what they have not committed.
fn all<F: Future<Output = Result<()>>>(futures: impl Iterator<Item = F>) -> impl Future<Output = Result<()>> {
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(move |context| {
        let mut failed = None;
        waiting.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Ready(outcome) => {
                failed = failed.take().or(outcome.err());
                false
            }
            Poll::Pending => true,
        });
        match failed {
            Some(error) => Poll::Ready(Err(error)),
            None if waiting.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    })
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread, which sleeps while there is nothing to do.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future: Pin<&mut F> = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs() {
        super::main().unwrap();
    }
}

//! The retry runner: `transact` reruns the closure while it loses, waits between attempts, and cannot starve.

use std::thread;

use braid::{Database, Error, JournalMode, Outcome, Result, RetryPolicy, Table};

const WRITERS: usize = 8;
const ROUNDS: usize = 100;

/// Takes one ticket out of the pool.
fn take_ticket(db: &Database, pool: &Table) -> Result<Outcome<u64>> {
    db.transact(|tx| {
        let left = left(tx.get(pool, "tickets")?)?;
        if left == 0 {
            // An error of your own ends it at once: rolled back, no further attempt.
            return Err(Error::other("sold out"));
        }
        tx.put(pool, "tickets", (left - 1).to_string())?;
        Ok(left)
    })
}

fn left(value: Option<Vec<u8>>) -> Result<u64> {
    let text = value.and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(|| Error::other("the pool is damaged"))
}

fn main() -> Result<()> {
    let db = Database::in_memory()?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let pool = db.table("pool")?;
    db.put(&pool, "tickets", (WRITERS * ROUNDS).to_string())?;

    let mut tickets = Vec::new();
    let mut most_attempts = 0;
    thread::scope(|scope| {
        let takers: Vec<_> = (0..WRITERS)
            .map(|_| scope.spawn(|| (0..ROUNDS).map(|_| take_ticket(&db, &pool)).collect::<Result<Vec<_>>>()))
            .collect();
        for taker in takers {
            for outcome in taker.join().unwrap_or_else(|_| Err(Error::other("a taker died")))? {
                most_attempts = most_attempts.max(outcome.attempts);
                tickets.push(outcome.value);
            }
        }
        Ok::<_, Error>(())
    })?;

    tickets.sort_unstable();
    tickets.dedup();
    println!("{} tickets, each sold once; no sale took more than {most_attempts} attempts", tickets.len());
    assert_eq!(tickets.len(), WRITERS * ROUNDS);
    assert!(most_attempts <= RetryPolicy::default().exclusive_after + 1, "nobody starves");

    match take_ticket(&db, &pool) {
        Err(error) if !error.is_retryable() => println!("the next one: {error}"),
        other => panic!("sold out, and yet {other:?}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs() {
        super::main().unwrap();
    }
}

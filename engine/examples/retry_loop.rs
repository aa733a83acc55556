//! The retry loop by hand: begin, work, commit; on a retryable error all of it again.
//!
//! `transact` (see the example of that name) is the same with backoff and a guard against starvation.

use std::thread;

use braid::{Database, Error, JournalMode, Result, Table};

const WRITERS: u64 = 4;
const VISITS: u64 = 250;

/// Adds one to the counter, and says how many attempts it took.
fn count_visit(db: &Database, counters: &Table) -> Result<u32> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match try_to_count(db, counters) {
            Ok(()) => return Ok(attempts),
            // Somebody else committed first. Nothing of this attempt is left; the next one reads what they wrote.
            Err(error) if error.is_retryable() => thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
}

fn try_to_count(db: &Database, counters: &Table) -> Result<()> {
    let mut tx = db.begin_concurrent()?;
    let visits = tx.get(counters, "visits")?.map_or(Ok(0), |bytes| number(&bytes))?;
    // Here a real program works; others commit meanwhile.
    thread::yield_now();
    tx.put(counters, "visits", (visits + 1).to_string())?;
    tx.commit()?;
    Ok(())
}

fn number(bytes: &[u8]) -> Result<u64> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::other("the counter holds something else"))
}

fn main() -> Result<()> {
    let db = Database::in_memory()?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let counters = db.table("counters")?;

    let attempts = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| {
                    (0..VISITS).map(|_| count_visit(&db, &counters).map(u64::from)).sum::<Result<u64>>()
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap_or_else(|_| Err(died()))).sum::<Result<u64>>()
    })?;

    let visits = db.get(&counters, "visits")?.map_or(Ok(0), |bytes| number(&bytes))?;
    println!("{visits} visits counted in {attempts} attempts, {} of them lost", attempts - visits);
    assert_eq!(visits, WRITERS * VISITS, "no update is lost");
    Ok(())
}

fn died() -> Error {
    Error::other("a writer died")
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs() {
        super::main().unwrap();
    }
}

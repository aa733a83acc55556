//! One writer: transfers between two accounts picked at random, each through the retry runner, until told to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use braid::{Database, Error, RetryPolicy, TransactionOptions};
use hdrhistogram::Histogram;

use super::ledger::{Ledger, key, number};

/// The largest transfer.
const MAX_AMOUNT: u64 = 100;
/// The longest latency that the histogram tells apart, in nanoseconds: an hour.
const MAX_LATENCY_NS: u64 = 3_600_000_000_000;

/// What all tellers see.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) stop: AtomicBool,
    pub(super) commits: AtomicU64,
    pub(super) attempts: AtomicU64,
}

/// What one teller, or all of them together, did.
#[derive(Debug)]
pub(super) struct Tally {
    /// Nanoseconds from the first attempt to the acknowledged commit.
    pub(super) latency: Histogram<u64>,
    pub(super) commits: u64,
    pub(super) attempts: u64,
    pub(super) most_attempts: u32,
    pub(super) exclusive: u64,
    /// Transfers that the retry runner gave up.
    pub(super) given_up: u64,
    /// What ended the run early.
    pub(super) error: Option<Error>,
}

impl Tally {
    pub(super) fn new() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the bounds are constants within what the histogram documents"
        )]
        let latency = Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3).expect("valid bounds");
        Self { latency, commits: 0, attempts: 0, most_attempts: 0, exclusive: 0, given_up: 0, error: None }
    }

    pub(super) fn add(&mut self, other: Self) {
        let _ = self.latency.add(&other.latency);
        self.commits += other.commits;
        self.attempts += other.attempts;
        self.most_attempts = self.most_attempts.max(other.most_attempts);
        self.exclusive += other.exclusive;
        self.given_up += other.given_up;
        self.error = self.error.take().or(other.error);
    }
}

/// Works until `shared.stop`.
pub(super) fn work(db: &Database, ledger: &Ledger, seed: u64, shared: &Shared) -> Tally {
    let policy = RetryPolicy {
        deadline: None,
        transaction: TransactionOptions { name: Some("teller".into()), ..TransactionOptions::default() },
        ..RetryPolicy::default()
    };
    let mut random = SplitMix64(seed);
    let mut tally = Tally::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let from = random.below(ledger.accounts);
        let to = (from + 1 + random.below(ledger.accounts - 1)) % ledger.accounts;
        let amount = 1 + random.below(MAX_AMOUNT);
        let began = Instant::now();
        match transfer(db, ledger, &policy, from, to, amount) {
            Ok(outcome) => {
                let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                tally.latency.saturating_record(nanos);
                tally.commits += 1;
                tally.attempts += u64::from(outcome.attempts);
                tally.most_attempts = tally.most_attempts.max(outcome.attempts);
                tally.exclusive += u64::from(outcome.exclusive);
                shared.commits.fetch_add(1, Ordering::Relaxed);
                shared.attempts.fetch_add(u64::from(outcome.attempts), Ordering::Relaxed);
            }
            Err(error) if error.is_retryable() => tally.given_up += 1,
            Err(error) => {
                tally.error = Some(error);
                shared.stop.store(true, Ordering::Relaxed);
            }
        }
    }
    tally
}

/// Moves `amount`, or what there is, from one account to another.
fn transfer(
    db: &Database,
    ledger: &Ledger,
    policy: &RetryPolicy,
    from: u64,
    to: u64,
    amount: u64,
) -> Result<braid::Outcome<()>, Error> {
    let balance =
        |value: Option<Vec<u8>>| number(&value.ok_or_else(|| Error::other("an account is missing"))?);
    db.transact_with(policy.clone(), |tx| {
        let payer = balance(tx.get(&ledger.table, key(from))?)?;
        let payee = balance(tx.get(&ledger.table, key(to))?)?;
        let moved = amount.min(payer);
        tx.put(&ledger.table, key(from), (payer - moved).to_string())?;
        tx.put(&ledger.table, key(to), payee.saturating_add(moved).to_string())
    })
}

/// Vigna's SplitMix64: small, fast, and the same everywhere for the same seed.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    /// A number below `bound`, evenly enough for a benchmark.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;

    #[test]
    fn transfers_move_what_there_is_and_no_more() {
        let db = Database::in_memory().unwrap();
        let ledger = Ledger::open(&db, Some(2), 2, &Interrupt::default()).unwrap();
        for _ in 0..3 {
            transfer(&db, &ledger, &RetryPolicy::default(), 0, 1, 600).unwrap();
        }
        assert_eq!(db.get(&ledger.table, key(0)).unwrap().unwrap(), b"0");
        assert_eq!(db.get(&ledger.table, key(1)).unwrap().unwrap(), b"2000");
        assert_eq!(ledger.total(&db.snapshot().unwrap()).unwrap(), ledger.expected());
    }

    #[test]
    fn the_same_seed_gives_the_same_transfers() {
        let draw = |seed| {
            let mut random = SplitMix64(seed);
            (0..8).map(|_| random.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}

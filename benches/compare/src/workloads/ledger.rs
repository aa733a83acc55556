//! Which value each row must have after threads have written it: what a thread's repetition writes follows from their two
//! numbers, so that afterwards it can be told again, without anything to remember while the clock runs.
//!
//! A row that several threads wrote must have the last value of one of them: anything older is a lost write.

use std::collections::HashMap;

use crate::cell::{see_rows, verify};
use crate::engine::{Engine, Result};
use crate::rows::{Order, number_of, round_of};

/// Repetitions of one thread that [`own_number`] keeps apart.
const OWN_BITS: u32 = 25;
/// Those that [`number_of_many`] does, for up to 1,023 writers.
const MANY_BITS: u32 = 22;

/// The round that a thread's repetition writes; 0 is that of rows as they were loaded.
pub(super) fn round(thread: u64, repetition: u64) -> u64 {
    thread << 40 | (repetition + 1)
}

/// The number of a new row that no other thread and no other repetition writes, above those of loaded rows.
pub(super) fn own_number(thread: u64, repetition: u64) -> Result<u64> {
    number_of_bits(OWN_BITS, thread, repetition)
}

/// The same for more writers, each with fewer rows.
pub(super) fn number_of_many(writer: u64, repetition: u64) -> Result<u64> {
    number_of_bits(MANY_BITS, writer, repetition)
}

fn number_of_bits(bits: u32, thread: u64, repetition: u64) -> Result<u64> {
    let number = (thread + 1) << bits | repetition;
    // Ids are of the low 32 bits.
    if repetition >> bits == 0 && number >> 32 == 0 {
        Ok(number)
    } else {
        Err("there are no more new rows; run it for less time, or with fewer threads".into())
    }
}

/// The last repetition of each thread that wrote each row.
#[derive(Debug)]
pub(super) struct Ledger(Vec<HashMap<u64, u64>>);

impl Ledger {
    /// Of threads that did so many repetitions each; `written(thread, repetition)` is the number of the row that was written.
    pub(super) fn of(repetitions: &[u64], written: impl Fn(u64, u64) -> Option<u64>) -> Self {
        let last = |(thread, count): (u64, &u64)| {
            (0..*count).filter_map(|repetition| Some((written(thread, repetition)?, repetition))).collect()
        };
        Self((0..).zip(repetitions).map(last).collect())
    }

    /// Sees every row: none is missing, none too much, each has its last value.
    pub(super) fn verify(&self, engine: &dyn Engine, order: Order, loaded: u64) -> Result<()> {
        let mut new: Vec<u64> = self.0.iter().flat_map(HashMap::keys).copied().collect();
        new.retain(|&number| number >= loaded);
        new.sort_unstable();
        new.dedup();
        let mut wrong = 0;
        see_rows(&mut *engine.session()?, loaded + new.len() as u64, &mut |key, value| {
            wrong += u64::from(!self.allows(order, loaded, key, value).unwrap_or(false));
        })?;
        verify("rows with a value that was not the last one written", wrong, 0)
    }

    fn allows(&self, order: Order, loaded: u64, key: &[u8], value: &[u8]) -> Option<bool> {
        let (number, found) = (number_of(value)?, round_of(value)?);
        if key != order.key(number) {
            return Some(false);
        }
        if found == 0 {
            return Some(number < loaded && self.0.iter().all(|last| !last.contains_key(&number)));
        }
        let thread = found >> 40;
        let last = self.0.get(usize::try_from(thread).ok()?)?.get(&number)?;
        Some(found == round(thread, *last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{key, value};

    #[test]
    fn numbers_of_ones_own_are_refused_before_they_meet() {
        let most = (1 << OWN_BITS) - 1;
        assert!(own_number(0, most).unwrap() < own_number(1, 0).unwrap());
        assert!(own_number(0, most + 1).is_err());
        assert!(own_number(126, most).is_ok());
        assert!(own_number(127, 0).is_err());
        assert!(number_of_many(1022, 1).is_ok() && number_of_many(1023, 1).is_err());
    }

    #[test]
    fn only_the_last_value_of_a_thread_is_allowed() {
        // Thread 0 writes row 5 twice and row 1 once, thread 1 row 5 once.
        let ledger = Ledger::of(&[3, 1], |_, repetition| Some(if repetition == 1 { 1 } else { 5 }));
        let order = Order::Sequential;
        let allows = |number, round| {
            ledger.allows(order, 10, &order.key(number), &value(number, round)).unwrap_or(false)
        };
        assert!(allows(5, round(0, 2)) && allows(5, round(1, 0)) && allows(1, round(0, 1)));
        assert!(!allows(5, round(0, 0)), "a value that was written over");
        assert!(!allows(5, 0) && !allows(1, 0), "a loaded value that was written over");
        assert!(!allows(2, round(0, 1)) && !allows(2, round(7, 0)), "a value that nobody wrote");
        assert!(allows(2, 0) && !allows(10, 0), "only loaded rows may be as they were loaded");
        assert_eq!(ledger.allows(order, 10, &key(3), &value(2, 0)), Some(false), "another row's value");
    }
}

//! A table that was loaded before the clock runs, and what is read of it.

use crate::cell::{Context, see_rows, verify, verify_rows};
use crate::engine::{Engine, Reader, Result, Session};
use crate::rows::{FIRST_KEY, KEY_BYTES, Order, Sorted, number_of, throw, value};

/// Rows in one transaction that changes a loaded table before the clock runs.
const BATCH: u64 = 100;

/// The loaded rows: numbers below `count`, keys all over.
pub(super) struct Table {
    rows: Sorted,
    pub(super) count: u64,
}

impl Table {
    /// Loads so many rows, in proportion to the size, settles them, and sees all of them once.
    pub(super) fn load(cx: &Context, engine: &dyn Engine, at_full_size: u64) -> Result<Self> {
        Self::load_exactly(engine, cx.rows(at_full_size))
    }

    /// The same, at any size.
    pub(super) fn load_exactly(engine: &dyn Engine, count: u64) -> Result<Self> {
        let table = Self::known(count)?;
        engine.load(&table.rows)?;
        engine.settle()?;
        verify_rows(engine, count)?;
        Ok(table)
    }

    /// One that is there already.
    pub(super) fn known(count: u64) -> Result<Self> {
        Ok(Self { rows: Sorted::new(u32::try_from(count)?), count })
    }

    /// Updates a tenth of the rows, which the engine is not told to settle.
    pub(super) fn update_a_tenth(&self, engine: &dyn Engine) -> Result<()> {
        let mut session = engine.session()?;
        for batch in 0..(self.count / 10).div_ceil(BATCH) {
            session.transact(&mut |tx| {
                for place in batch * BATCH..(batch + 1) * BATCH {
                    let number = self.pick(u64::MAX >> 40, place);
                    tx.put(&self.key(number), &value(number, 1))?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    pub(super) fn key(&self, number: u64) -> [u8; KEY_BYTES] {
        Order::Random.key(number)
    }

    /// The key of the row that has so many loaded rows from it on, itself among them, or the first one.
    pub(super) fn key_before_end(&self, rows: u64) -> [u8; KEY_BYTES] {
        let numbers = self.rows.numbers();
        let place = numbers.len().saturating_sub(usize::try_from(rows).unwrap_or(usize::MAX));
        numbers.get(place).map_or(FIRST_KEY, |&number| self.key(number.into()))
    }

    /// The number of the row that a thread's repetition is about, each as likely as any other.
    pub(super) fn pick(&self, thread: u64, repetition: u64) -> u64 {
        throw(thread, repetition) % self.count
    }

    /// Puts all rows into whatever the session keeps them in.
    pub(super) fn warm(&self, session: &mut dyn Session) -> Result<()> {
        see_rows(session, self.count, &mut |_, _| {})
    }

    /// Scans `limit` rows, or those that are left, from the row at a place in the order of keys on, and tells how many. They
    /// must be exactly the loaded ones.
    pub(super) fn scan(&self, snapshot: &mut dyn Reader, place: u64, limit: u64) -> Result<u64> {
        let place = usize::try_from(place)?;
        let rest = self.rows.numbers().get(place..).unwrap_or_default();
        let from = match rest.first() {
            Some(&number) if place > 0 => self.key(number.into()),
            _ => FIRST_KEY,
        };
        let (mut expected, mut right) = (rest.iter(), 0);
        let told = snapshot.scan(&from, limit, &mut |key, value| {
            let number = expected.next().map(|&number| number.into());
            right += u64::from(number.is_some() && number_of(value) == number && key.len() == KEY_BYTES);
        })?;
        verify("rows of a scan", told, limit.min(rest.len() as u64))?;
        verify("rows of a scan that were in their place", right, told)?;
        Ok(told)
    }
}

/// Refuses a read that did not find row `number`.
pub(super) fn verify_read(number: u64, found: bool, said: Option<u64>) -> Result<()> {
    if found && said == Some(number) {
        Ok(())
    } else {
        Err(format!("row {number} was read as {said:?}, found: {found}").into())
    }
}

/// Reads row `number` in a snapshot of its own.
pub(super) fn get(session: &mut dyn Session, key: &[u8], number: u64) -> Result<()> {
    let mut said = None;
    let found = session.get(key, &mut |value| said = number_of(value))?;
    verify_read(number, found, said)
}

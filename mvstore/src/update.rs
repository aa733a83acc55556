//! Updates that say what to do with a row instead of what it becomes: add, max, min, append.
//!
//! Two of them on one row need not know of each other: whichever comes first, the other applies to what it left. So they
//! never conflict, and a row is read as late as its transaction commits.
//!
//! A number is eight bytes, a little-endian `i64`. A row that is not there counts as 0 where something is added to it, as
//! the other operand where the larger or smaller is taken, and as empty where something is appended.
//!
//! Several updates of one row become one: of numbers, whatever they are and in whatever order, `x` becomes
//! `clamp(x + shift, least, most)`, and beside it stands what becomes of a row that is not there. They are computed in 128
//! bits, and what counts is whether the result fits into 64.

use std::fmt;

use braid_vfs::planted;

/// Why an update cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The result does not fit into an `i64`.
    Overflow,
    /// The row's value is not eight bytes long, and so no number.
    NotANumber {
        /// How long it is.
        bytes: u64,
    },
    /// The value would be longer than a value may be.
    TooLong {
        /// How long it would be.
        bytes: u64,
        /// How long it may be.
        limit: u64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overflow => {
                f.write_str("the result does not fit into 64 bits; put a number that leaves room")
            }
            Self::NotANumber { bytes } => {
                write!(f, "its value has {bytes} bytes, and a number has 8; put a number first, or use put")
            }
            Self::TooLong { bytes, limit } => {
                write!(f, "the value would have {bytes} bytes, and may have {limit}; begin a new row")
            }
        }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Number(Number),
    Append(Vec<u8>),
}

/// What becomes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    /// Where there is none.
    alone: i128,
    shift: i128,
    least: i128,
    most: i128,
}

/// Beyond everything that updates make of numbers.
const FAR: i128 = i128::MAX / 2;

impl Number {
    const NO_CHANGE: Self = Self { alone: 0, shift: 0, least: -FAR, most: FAR };

    fn apply(self, number: i128) -> i128 {
        // `least` never lies above `most`: each is what some number became.
        number.saturating_add(self.shift).max(self.least).min(self.most)
    }

    /// This one first, and then `next`.
    fn then(self, next: Self) -> Self {
        Self {
            alone: next.apply(self.alone),
            shift: self.shift.saturating_add(next.shift),
            least: next.apply(self.least),
            most: next.apply(self.most),
        }
    }
}

/// A value that an update makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number([u8; 8]),
    Bytes(Vec<u8>),
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Number(bytes) => bytes,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Update {
    /// Adds to a number.
    #[must_use]
    pub fn add(number: i64) -> Self {
        let number = i128::from(number);
        Self(Kind::Number(Number { alone: number, shift: number, ..Number::NO_CHANGE }))
    }

    /// Raises a number to at least this.
    #[must_use]
    pub fn max(number: i64) -> Self {
        let number = i128::from(number);
        Self(Kind::Number(Number { alone: number, least: number, ..Number::NO_CHANGE }))
    }

    /// Lowers a number to at most this.
    #[must_use]
    pub fn min(number: i64) -> Self {
        let number = i128::from(number);
        Self(Kind::Number(Number { alone: number, most: number, ..Number::NO_CHANGE }))
    }

    /// Appends to a value.
    #[must_use]
    pub fn append(bytes: &[u8]) -> Self {
        Self(Kind::Append(bytes.to_vec()))
    }

    /// How long the value becomes at least.
    #[must_use]
    pub fn least_len(&self) -> usize {
        match &self.0 {
            Kind::Number(_) => 8,
            Kind::Append(bytes) => bytes.len(),
        }
    }

    /// Why it cannot be made of a value of that length, if the length says so.
    pub(crate) fn refuses(&self, len: usize, max_len: usize) -> Option<Refusal> {
        match &self.0 {
            Kind::Number(_) => (len != 8).then_some(Refusal::NotANumber { bytes: len as u64 }),
            Kind::Append(bytes) => {
                let len = len.saturating_add(bytes.len());
                (len > max_len).then_some(Refusal::TooLong { bytes: len as u64, limit: max_len as u64 })
            }
        }
    }

    /// How long a value of that length becomes, beyond [`least_len`](Self::least_len).
    pub(crate) fn growth(&self, len: usize) -> usize {
        match &self.0 {
            Kind::Number(_) => 0,
            Kind::Append(_) => len,
        }
    }

    /// This update and then `next`, as one; `None` where one is of a number and the other is not.
    pub(crate) fn then(&self, next: &Self) -> Option<Self> {
        Some(Self(match (&self.0, &next.0) {
            (Kind::Number(first), Kind::Number(next)) => Kind::Number(first.then(*next)),
            (Kind::Append(first), Kind::Append(next)) => Kind::Append([&**first, next].concat()),
            _ => return None,
        }))
    }

    /// What it makes of a row.
    pub(crate) fn apply(&self, row: Option<&[u8]>, max_len: usize) -> Result<Value, Refusal> {
        match &self.0 {
            Kind::Number(number) => {
                let result = match row {
                    None => number.alone,
                    Some(bytes) => {
                        let is = <[u8; 8]>::try_from(bytes)
                            .map_err(|_| Refusal::NotANumber { bytes: bytes.len() as u64 })?;
                        number.apply(i128::from(i64::from_le_bytes(is)))
                    }
                };
                let result = match i64::try_from(result) {
                    Ok(result) => result,
                    Err(_) if planted!(OverflowWraps) => truncated(result),
                    Err(_) => return Err(Refusal::Overflow),
                };
                Ok(Value::Number(result.to_le_bytes()))
            }
            Kind::Append(bytes) => {
                let row = row.unwrap_or_default();
                let len = row.len().saturating_add(bytes.len());
                if len > max_len {
                    return Err(Refusal::TooLong { bytes: len as u64, limit: max_len as u64 });
                }
                Ok(Value::Bytes([row, bytes].concat()))
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a mistake on purpose")]
fn truncated(number: i128) -> i64 {
    number as i64
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::*;
    use crate::testing::Rng;

    const LIMIT: usize = 100;

    fn bytes(number: i64) -> [u8; 8] {
        number.to_le_bytes()
    }

    fn number(update: &Update, row: Option<i64>) -> Result<i64, Refusal> {
        let row = row.map(bytes);
        let value = update.apply(row.as_ref().map(<[u8; 8]>::as_slice), LIMIT)?;
        Ok(i64::from_le_bytes(value.as_ref().try_into().expect("a number has eight bytes")))
    }

    #[test]
    fn each_does_what_its_name_says() {
        assert_eq!(number(&Update::add(5), Some(-7)), Ok(-2));
        assert_eq!(number(&Update::add(5), None), Ok(5));
        assert_eq!(number(&Update::max(5), Some(-7)), Ok(5));
        assert_eq!(number(&Update::max(5), Some(7)), Ok(7));
        assert_eq!(number(&Update::max(-5), None), Ok(-5));
        assert_eq!(number(&Update::min(5), Some(-7)), Ok(-7));
        assert_eq!(number(&Update::min(5), Some(7)), Ok(5));
        assert_eq!(number(&Update::min(5), None), Ok(5));
        let append = Update::append(b"cd");
        assert_eq!(
            append.apply(Some(b"ab"), LIMIT).map(|value| value.as_ref().to_vec()),
            Ok(b"abcd".to_vec())
        );
        assert_eq!(append.apply(None, LIMIT).map(|value| value.as_ref().to_vec()), Ok(b"cd".to_vec()));
        let twice = append.then(&Update::append(b"ef")).expect("both are of bytes");
        assert_eq!(twice, Update::append(b"cdef"));
        assert_eq!([append.least_len(), twice.least_len(), Update::add(5).least_len()], [2, 4, 8]);
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        assert_eq!(number(&Update::add(1), Some(i64::MAX)), Err(Refusal::Overflow));
        assert_eq!(number(&Update::add(-1), Some(i64::MIN)), Err(Refusal::Overflow));
        assert_eq!(Update::add(1).apply(Some(b"12"), LIMIT), Err(Refusal::NotANumber { bytes: 2 }));
        assert_eq!(Update::max(1).apply(Some(&[0; 9]), LIMIT), Err(Refusal::NotANumber { bytes: 9 }));
        let refused = Refusal::TooLong { bytes: 101, limit: 100 };
        assert_eq!(Update::append(b"x").apply(Some(&[0; LIMIT]), LIMIT), Err(refused));
        let longest = Update::append(b"x").apply(Some(&[0; LIMIT - 1]), LIMIT);
        assert_eq!(longest.map(|value| value.as_ref().len()), Ok(LIMIT));
        assert_eq!(Update::add(1).then(&Update::append(b"x")), None);
        assert_eq!(Update::append(b"x").then(&Update::add(1)), None);
    }

    #[test]
    fn a_refusal_says_what_is_the_matter_and_what_to_do() {
        for (refusal, words) in [
            (Refusal::Overflow, ["64 bits", "put a number that leaves room"]),
            (Refusal::NotANumber { bytes: 3 }, ["3 bytes", "put a number first"]),
            (Refusal::TooLong { bytes: 101, limit: 100 }, ["101 bytes, and may have 100", "begin a new row"]),
        ] {
            let text = refusal.to_string();
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
    }

    #[test]
    fn many_become_one_that_does_the_same() {
        let mut rng = Rng::new(21);
        for _ in 0..20_000 {
            let mut row = (rng.below(3) > 0).then(|| i128::from(rng.below(41_u8)) - 20);
            let before = row.and_then(|row| i64::try_from(row).ok());
            let mut all: Option<Update> = None;
            for _ in 0..1 + rng.below(6) {
                let operand = i64::from(rng.below(41_u8)) - 20;
                let wide = i128::from(operand);
                let (update, becomes) = match rng.below(3) {
                    0 => (Update::add(operand), row.unwrap_or(0) + wide),
                    1 => (Update::max(operand), row.map_or(wide, |row| row.max(wide))),
                    _ => (Update::min(operand), row.map_or(wide, |row| row.min(wide))),
                };
                row = Some(becomes);
                all = Some(match &all {
                    Some(all) => all.then(&update).expect("both are of numbers"),
                    None => update,
                });
            }
            let all = all.expect("there was one");
            assert_eq!(number(&all, before).map(i128::from).ok(), row, "{before:?} {all:?}");
        }
    }

    #[test]
    fn what_counts_is_the_result() {
        let mut all = Update::add(i64::MAX);
        for _ in 0..1000 {
            all = all.then(&Update::add(i64::MAX)).expect("both are of numbers");
        }
        assert_eq!(number(&all, Some(0)), Err(Refusal::Overflow));
        for _ in 0..1001 {
            all = all.then(&Update::add(-i64::MAX)).expect("both are of numbers");
        }
        assert_eq!(number(&all, Some(7)), Ok(7));
    }
}

//! The one logical clock's values.

use std::fmt;
use std::str::FromStr;

/// A place in the order of the commits of one database, and not a time of day: it grows with each commit, over reopens too, with
/// gaps. [`Timestamp::ZERO`] is before everything. At a billion commits a second the range lasts 146 years.
// The two highest bits are never set, so that a word can carry a timestamp and two flags, as the pins of the registry do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Before every commit.
    pub const ZERO: Self = Self(0);

    /// The last moment there is.
    pub const MAX: Self = Self((1 << 62) - 1);

    /// The timestamp with this number, or `None` past [`Timestamp::MAX`]: numbers read from disk come in here.
    #[must_use]
    pub const fn new(raw: u64) -> Option<Self> {
        if raw <= Self::MAX.0 { Some(Self(raw)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The moment after this one, or `None` when there is no more.
    #[must_use]
    pub const fn checked_next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// A number that this crate stored itself.
    pub(crate) const fn from_stored(raw: u64) -> Self {
        debug_assert!(raw <= Self::MAX.0);
        Self(raw)
    }
}

impl From<Timestamp> for u64 {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.0
    }
}

/// Numbers that come from elsewhere; see [`Timestamp::new`].
impl TryFrom<u64> for Timestamp {
    type Error = ParseTimestampError;

    fn try_from(number: u64) -> Result<Self, ParseTimestampError> {
        Self::new(number).ok_or(ParseTimestampError)
    }
}

/// Text, or a number, that is no [`Timestamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no timestamp; give a whole number up to {}, as the timestamp was printed", Timestamp::MAX)]
pub struct ParseTimestampError;

/// What [`Display`](fmt::Display) prints.
impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        text.parse().ok().and_then(Self::new).ok_or(ParseTimestampError)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_it_was_printed() {
        for ts in [Timestamp::ZERO, Timestamp(7), Timestamp::MAX] {
            assert_eq!(ts.to_string().parse(), Ok(ts));
            assert_eq!(u64::from(ts), ts.get());
            assert_eq!(Timestamp::try_from(ts.get()), Ok(ts));
        }
        let beyond = Timestamp::MAX.get() + 1;
        assert_eq!(Timestamp::try_from(beyond), Err(ParseTimestampError));
        let beyond = beyond.to_string();
        for wrong in ["", "-1", "one", &beyond, "99999999999999999999"] {
            assert_eq!(wrong.parse::<Timestamp>(), Err(ParseTimestampError), "{wrong}");
        }
    }

    #[test]
    fn the_clock_ends_with_an_answer_instead_of_a_wrap() {
        assert_eq!(Timestamp::ZERO.checked_next().map(Timestamp::get), Some(1));
        assert_eq!(Timestamp::MAX.checked_next(), None);
        assert_eq!(Timestamp::new(Timestamp::MAX.get()), Some(Timestamp::MAX));
        assert_eq!(Timestamp::new(Timestamp::MAX.get() + 1), None);
        assert_eq!(Timestamp::new(u64::MAX), None);
    }

    #[test]
    fn a_moment_is_named_by_its_number() {
        assert_eq!(Timestamp::ZERO.to_string(), "0");
        assert_eq!(Timestamp::MAX.to_string(), "4611686018427387903");
    }
}

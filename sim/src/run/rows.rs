//! Keys and values that tell who they are.
//!
//! A value is made of a number that no other value has, and of filler that follows from it. So it is known again by
//! its number and length alone, and the oracle keeps no bytes.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use fastrand::Rng;

/// A row's key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Vec<u8>);

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0).replace(LONG_PREFIX, "…/"))
    }
}

/// The rows of a table.
pub type Rows = BTreeMap<Key, Datum>;

/// What is known of a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Datum {
    number: u64,
    length: usize,
    /// 0 where every byte is what its number makes it; else made of the bytes that are not, in their order.
    odd: u32,
}

impl fmt::Debug for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}({} B)", self.number, self.length)?;
        if self.odd == 0 { Ok(()) } else { write!(f, " with strange bytes, {:x}", self.odd) }
    }
}

const NUMBER_BYTES: usize = 8;

impl Datum {
    /// Recognises a value.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut number = [0; NUMBER_BYTES];
        let known = bytes.len().min(NUMBER_BYTES);
        number[..known].copy_from_slice(&bytes[..known]);
        let number = u64::from_le_bytes(number);
        let start = Self { number, length: known, odd: 0 };
        start.followed_by(bytes.get(known..).unwrap_or_default())
    }

    /// The same of this value with `bytes` behind it.
    #[must_use]
    pub fn appended(self, bytes: &[u8]) -> Self {
        if self.length >= NUMBER_BYTES {
            return self.followed_by(bytes);
        }
        let mut whole = Self::bytes(self.number, self.length);
        whole.extend_from_slice(bytes);
        Self::of(&whole)
    }

    fn followed_by(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            let strange = byte.wrapping_sub(filler(self.number, self.length));
            self.odd = self.odd.wrapping_mul(0x0100_0193).wrapping_add(strange.into());
            self.length += 1;
        }
        self
    }

    /// The number that the engine takes it for, if it does.
    #[must_use]
    pub fn as_number(self) -> Option<i64> {
        (self.length == NUMBER_BYTES).then_some(self.number.cast_signed())
    }

    /// The bytes of a value; what is too short for its number holds the start of it.
    #[must_use]
    pub fn bytes(number: u64, length: usize) -> Vec<u8> {
        let mut bytes = number.to_le_bytes()[..length.min(NUMBER_BYTES)].to_vec();
        bytes.extend((bytes.len()..length).map(|at| filler(number, at)));
        bytes
    }
}

#[expect(clippy::cast_possible_truncation, reason = "any byte will do")]
fn filler(number: u64, at: usize) -> u8 {
    let word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (at as u64).wrapping_mul(0x2545_f491);
    (word >> 29) as u8
}

const LONG_PREFIX: &str = "a long prefix that several keys share and no page should repeat/";

/// One of `count` keys. Some are long and share long prefixes.
#[must_use]
pub fn key(number: u32, count: u32) -> Key {
    let number = number % count.max(1);
    let middle = match number % 5 {
        0 => LONG_PREFIX,
        1 => "middling/",
        _ => "",
    };
    Key(format!("k{}{middle}{number:03}", number % 3).into_bytes())
}

/// Any of `count` keys.
#[must_use]
pub fn any_key(rng: &mut Rng, count: u32) -> Key {
    key(rng.u32(0..count.max(1)), count)
}

const NUMBER_PREFIX: &str = "k1number/";

/// Some key of a row that is mostly a number.
#[must_use]
pub fn number_key(rng: &mut Rng) -> Key {
    Key(format!("{NUMBER_PREFIX}{}", rng.u8(0..4)).into_bytes())
}

impl Key {
    /// Whether the row is mostly a number.
    #[must_use]
    pub fn is_of_number(&self) -> bool {
        self.0.starts_with(NUMBER_PREFIX.as_bytes())
    }
}

/// Some key of a row that is mostly appended to.
#[must_use]
pub fn text_key(rng: &mut Rng) -> Key {
    Key(format!("k2text/{}", rng.u8(0..3)).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_known_again_and_changes_are_seen() {
        for length in [0, 3, 8, 9, 500] {
            let bytes = Datum::bytes(77, length);
            assert_eq!(bytes.len(), length);
            let datum = Datum::of(&bytes);
            assert_eq!(datum.odd, 0);
            for at in 0..length {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                assert_ne!(Datum::of(&changed), datum, "byte {at} of {length}");
            }
        }
        assert_ne!(Datum::of(&Datum::bytes(1, 20)), Datum::of(&Datum::bytes(2, 20)));
    }

    #[test]
    fn what_is_appended_is_known_without_the_bytes_before() {
        for length in [0, 3, 8, 9, 40] {
            for more in [0, 1, 6, 30] {
                let mut whole = Datum::bytes(77, length);
                let mut datum = Datum::of(&whole);
                for round in 0..3 {
                    let bytes = vec![round; more];
                    datum = datum.appended(&bytes);
                    whole.extend(bytes);
                    assert_eq!(datum, Datum::of(&whole), "{length} and {more}");
                }
            }
        }
        assert_eq!(Datum::of(&(-5_i64).to_le_bytes()).as_number(), Some(-5));
    }

    #[test]
    fn keys_are_distinct() {
        let keys: std::collections::BTreeSet<_> = (0..60).map(|number| key(number, 60)).collect();
        assert_eq!(keys.len(), 60);
    }
}

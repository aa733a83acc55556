//! Keys and values that tell who they are.
//!
//! A value is made of a number that no other value has, and of filler that follows from it. So it is known again by
//! its number and length alone, and the oracle keeps no bytes.

use std::collections::BTreeMap;
use std::fmt;

use fastrand::Rng;

/// A row's key.
pub type Key = Vec<u8>;
/// The rows of a table.
pub type Rows = BTreeMap<Key, Datum>;

/// What is known of a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Datum {
    number: u64,
    length: usize,
    /// Every byte is what its number makes it; the sum of what was found otherwise.
    odd: u32,
}

impl fmt::Debug for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}({} B)", self.number, self.length)?;
        if self.odd == 0 { Ok(()) } else { write!(f, " with {} strange bytes", self.odd) }
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
        let rest = bytes.iter().enumerate().skip(known);
        let odd = rest.filter(|(at, byte)| **byte != filler(number, *at)).count();
        Self { number, length: bytes.len(), odd: u32::try_from(odd).unwrap_or(u32::MAX) }
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

/// One of `count` keys. Some are long and share long prefixes.
#[must_use]
pub fn key(number: u32, count: u32) -> Key {
    let number = number % count.max(1);
    let middle = match number % 5 {
        0 => "a long prefix that several keys share and no page should repeat/",
        1 => "middling/",
        _ => "",
    };
    format!("k{}{middle}{number:03}", number % 3).into_bytes()
}

/// Any of `count` keys.
#[must_use]
pub fn any_key(rng: &mut Rng, count: u32) -> Key {
    key(rng.u32(0..count.max(1)), count)
}

/// A key as a person reads it.
#[must_use]
pub fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key)
        .replace("a long prefix that several keys share and no page should repeat", "…")
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
    fn keys_are_distinct() {
        let keys: std::collections::BTreeSet<_> = (0..60).map(|number| key(number, 60)).collect();
        assert_eq!(keys.len(), 60);
    }
}

//! Numbers that tell what has become of them.
//!
//! Nobody looks at a number that is added to, and so nobody knows what it was before. But each addition is of a bit of
//! its own: a sum is the set of all that was added. And each number that another is raised or lowered to is there once:
//! what is found says whose it is, and of all that lie beyond it that they were not there.

use braid_tests::Number;

/// So many numbers are drawn before others take the place of those that they go to.
const GROUP: u64 = 240;
/// Sums side by side, each with a bit for every draw that comes to it.
const SUMS: u64 = 4;

/// Where a draw goes, and what is to be done there. `jump` makes some overtake others.
pub(super) fn draw(ticket: u64, which: u8, jump: u64) -> (Vec<u8>, Number) {
    let group = ticket / GROUP;
    let unique = i64::try_from((ticket + jump) << 20 | (ticket & 0xf_ffff)).unwrap_or(i64::MAX);
    match which {
        0 => (name("highest", group), Number::Max(unique)),
        1 => (name("lowest", group), Number::Min(-unique)),
        _ => {
            let (sum, bit) = (group * SUMS + ticket % SUMS, ticket % GROUP / SUMS);
            let one = 1 << bit;
            // Every other one counts down.
            (name("sum", sum), Number::Add(if sum.is_multiple_of(2) { one } else { -one }))
        }
    }
}

/// The key of a number that is drawn at about that time.
pub(super) fn key(ticket: u64, which: u8, sum: u64) -> Vec<u8> {
    let group = ticket / GROUP;
    match which {
        0 => name("highest", group),
        1 => name("lowest", group),
        _ => name("sum", group * SUMS + sum % SUMS),
    }
}

fn name(kind: &str, number: u64) -> Vec<u8> {
    format!("{kind} {number:04}").into_bytes()
}

/// What a row holds.
pub(super) fn number(value: &[u8]) -> Option<i64> {
    value.try_into().ok().map(i64::from_le_bytes)
}

/// What a change is known by among those of its row.
pub(super) const fn element(change: Number) -> i64 {
    match change {
        Number::Add(one) => one.unsigned_abs().trailing_zeros() as i64,
        Number::Max(number) | Number::Min(number) => number,
    }
}

/// Which additions are in a sum.
pub(super) fn added(sum: i64) -> impl Iterator<Item = i64> {
    let bits = sum.unsigned_abs();
    (0..64).filter(move |bit| bits >> bit & 1 == 1)
}

/// How a row of this name is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Added,
    Raised,
    Lowered,
}

impl Way {
    pub(super) fn of(key: &[u8]) -> Self {
        match key.first() {
            Some(b'h') => Self::Raised,
            Some(b'l') => Self::Lowered,
            _ => Self::Added,
        }
    }

    /// Whether a number is left as it is by one that is there.
    pub(super) fn is_overtaken(self, number: i64, by: i64) -> bool {
        match self {
            Self::Added => false,
            Self::Raised => number <= by,
            Self::Lowered => number >= by,
        }
    }
}

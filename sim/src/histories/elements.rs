//! The rows that both checkers look at, as bytes.

use super::Elements;

/// Their table.
pub(super) const ELEMENTS: usize = 0;
/// Rows that only the replay looks at, written blindly.
pub(super) const ROWS: usize = 1;
/// Rows, and entries that lead to them by value, written together.
pub(super) const INDEX: usize = 2;
/// One row for each transaction that wrote something, so that a crash shows which of them are left.
pub(super) const MARKS: usize = 3;
/// Numbers that are counted without a look at them: each either added to, raised or lowered.
pub(super) const NUMBERS: usize = 4;
/// All tables that stay.
pub(super) const TABLES: [&str; 5] = ["elements", "rows", "index", "marks", "numbers"];
/// Tables that come and go.
pub(super) const MADE: [&str; 3] = ["one", "other", "third"];

/// The number of the first of these; the others follow.
pub(super) const MADE_FROM: usize = braid_tests::made_table(0);

/// The rows of those.
pub(super) fn made_keys() -> impl Iterator<Item = Vec<u8>> {
    (0..6_u8).map(made_key)
}

pub(super) fn made_key(row: u8) -> Vec<u8> {
    format!("row {row}").into_bytes()
}

/// A bound behind every key.
pub(super) const END: [u8; 1] = [0xff];

/// The key of an element.
pub(super) fn key(number: u64) -> Vec<u8> {
    format!("{number:06}").into_bytes()
}

/// The number of an element.
pub(super) fn number(key: &[u8]) -> Option<i64> {
    std::str::from_utf8(key).ok()?.parse().ok()
}

/// All that was appended to a list.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = u32> {
    value.chunks_exact(4).filter_map(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)))
}

/// A list with one more.
pub(super) fn appended(list: Option<&[u8]>, element: u32) -> Vec<u8> {
    let mut bytes = list.unwrap_or_default().to_vec();
    bytes.extend(element.to_be_bytes());
    bytes
}

/// What a write of an element wrote.
pub(super) fn written(elements: Elements, value: &[u8]) -> Option<u32> {
    match elements {
        Elements::Lists => list(value).last(),
        Elements::Registers => list(value).next(),
    }
}

/// A register with bytes behind its number, which only make it longer.
pub(super) fn register(element: u32, padding: usize) -> Vec<u8> {
    let mut bytes = element.to_be_bytes().to_vec();
    bytes.resize(4 + padding, b'.');
    bytes
}

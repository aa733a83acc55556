//! Numbers as rows: keys in big-endian, so that they sort; values as decimal text.

use std::collections::BTreeMap;

use braid::{Result, Snapshot, Table};

/// A key that sorts as its number does.
#[must_use]
pub fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// A value that holds a number.
#[must_use]
pub fn value(number: i64) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// The number that a value holds.
///
/// # Panics
/// When it holds something else: the database gave back bytes that nobody wrote.
#[must_use]
pub fn number(value: &[u8]) -> i64 {
    let text = std::str::from_utf8(value).expect("a value is the text that was written");
    text.parse().expect("a value is the number that was written")
}

/// The number in the row at `at`, if there is one.
///
/// # Errors
/// Those of the read.
pub fn number_at(snapshot: &Snapshot, table: &Table, at: u64) -> Result<Option<i64>> {
    snapshot.get_with(table, key(at), number)
}

/// Every row of a table.
///
/// # Errors
/// Those of the read.
pub fn contents(snapshot: &Snapshot, table: &Table) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    snapshot.scan(table)?.collect()
}

/// The low byte of a number, for a value that tells numbers apart.
#[must_use]
pub fn byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

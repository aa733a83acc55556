//! What the log's records say: a transaction's changes, the clock's reservations, the journal mode.
//!
//! A commit's payload is its changes, one after another until the payload ends:
//!
//! ```text
//! table id      varint (LEB128)
//! key length    varint
//! value length  varint: 0 = the row is deleted, n + 1 = a value of n bytes
//! key, value    bytes
//! ```
//!
//! Its timestamp is the record's tag. The other kinds carry one little-endian number or byte.

use braid_mvstore::{TableId, Timestamp, WriteRow};
use braid_wal::{EncodedRecord, RecordKind};

use crate::options::JournalMode;

/// Kinds of record.
pub(crate) mod kind {
    use braid_wal::RecordKind;

    /// One transaction's changes.
    pub(crate) const COMMIT: RecordKind = RecordKind::user::<1>();
    /// No timestamp up to this one will be issued again: u64.
    pub(crate) const CLOCK_RESERVE: RecordKind = RecordKind::user::<2>();
    /// A clean close: the clock stands exactly here: u64.
    pub(crate) const CLOCK_EXACT: RecordKind = RecordKind::user::<3>();
    /// The journal mode from here on: u8.
    pub(crate) const JOURNAL_MODE: RecordKind = RecordKind::user::<4>();
}

/// A payload that does not follow the format although its checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// One change of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change<'a> {
    /// The table.
    pub(crate) table: TableId,
    /// The row's key.
    pub(crate) key: &'a [u8],
    /// The new value; `None`: deleted.
    pub(crate) value: Option<&'a [u8]>,
}

impl<'a> Change<'a> {
    /// The change that a transaction's write is.
    #[inline]
    pub(crate) fn of(row: &WriteRow<'a>) -> Self {
        Self { table: row.table, key: row.key, value: row.value.value() }
    }
}

/// A finished record of the engine's own.
pub(crate) fn of_kind(kind: RecordKind, payload: &[u8]) -> EncodedRecord {
    let mut record = EncodedRecord::new();
    record.begin(kind);
    record.extend_from_slice(payload);
    record.finish();
    record
}

/// Appends one change to a commit's payload.
pub(crate) fn encode_change(out: &mut EncodedRecord, change: Change<'_>) {
    let table = u64::from(change.table.0);
    let key_len = change.key.len() as u64;
    let value_len = change.value.map_or(0, |value| value.len() as u64 + 1);
    if table | key_len | value_len < 0x80 {
        // Mostly: at once, with one look whether there is room.
        out.extend_from_slice(&[(table & 0x7f) as u8, (key_len & 0x7f) as u8, (value_len & 0x7f) as u8]);
    } else {
        put_varint(out, table);
        put_varint(out, key_len);
        put_varint(out, value_len);
    }
    out.extend_from_slice(change.key);
    out.extend_from_slice(change.value.unwrap_or_default());
}

/// The changes of a commit's payload, in the order they were written.
pub(crate) fn changes(payload: &[u8]) -> Changes<'_> {
    Changes { rest: payload }
}

/// Iterator over a commit's changes; ends after the first malformed one.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    rest: &'a [u8],
}

/// What comes before a change's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangeHead {
    /// The table.
    pub(crate) table: TableId,
    /// Length of the key.
    pub(crate) key_bytes: u64,
    /// Length of the value; `None`: deleted.
    pub(crate) value_bytes: Option<u64>,
    /// Length of this.
    pub(crate) bytes: u64,
}

/// The most bytes that a head takes.
pub(crate) const MAX_HEAD_BYTES: usize = 30;

impl ChangeHead {
    /// The head that `bytes` begin with, which go on for as long as the payload or for [`MAX_HEAD_BYTES`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = Changes { rest: bytes };
        let table = u32::try_from(rest.varint()?).map_err(|_| Malformed("a table id above 32 bits"))?;
        let (key_bytes, value_bytes) = (rest.varint()?, rest.varint()?.checked_sub(1));
        let bytes = (bytes.len() - rest.rest.len()) as u64;
        Ok(Self { table: TableId(table), key_bytes, value_bytes, bytes })
    }
}

impl<'a> Changes<'a> {
    fn decode(&mut self) -> Result<Change<'a>, Malformed> {
        let table = u32::try_from(self.varint()?).map_err(|_| Malformed("a table id above 32 bits"))?;
        let key_len = self.varint()?;
        let value_len = self.varint()?;
        let key = self.take(key_len)?;
        let value = match value_len.checked_sub(1) {
            None => None,
            Some(len) => Some(self.take(len)?),
        };
        Ok(Change { table: TableId(table), key, value })
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(len).map_err(|_| Malformed("a length beyond memory"))?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed("a length beyond the record"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed("a number cut short"))?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number above 64 bits"))
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Result<Change<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let change = self.decode();
        if change.is_err() {
            self.rest = &[];
        }
        Some(change)
    }
}

fn put_varint(out: &mut EncodedRecord, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// The payload of a clock record.
pub(crate) fn encode_timestamp(ts: Timestamp) -> [u8; 8] {
    ts.get().to_le_bytes()
}

/// The timestamp in a clock record.
pub(crate) fn decode_timestamp(payload: &[u8]) -> Result<Timestamp, Malformed> {
    let bytes = payload.try_into().map_err(|_| Malformed("a clock record of the wrong length"))?;
    Timestamp::new(u64::from_le_bytes(bytes)).ok_or(Malformed("a timestamp beyond the clock's range"))
}

/// The byte that stands for a journal mode, in the log and in the meta page.
pub(crate) const fn encode_mode(mode: JournalMode) -> u8 {
    match mode {
        JournalMode::Wal => 0,
        JournalMode::Mvcc => 1,
    }
}

/// The journal mode that a byte stands for.
pub(crate) const fn decode_mode(byte: u8) -> Option<JournalMode> {
    match byte {
        0 => Some(JournalMode::Wal),
        1 => Some(JournalMode::Mvcc),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_survive_the_round_trip() {
        let long = vec![7; 300];
        let written = [
            Change { table: TableId(0), key: b"", value: Some(b"") },
            Change { table: TableId(u32::MAX), key: &long, value: None },
            Change { table: TableId(128), key: b"k", value: Some(&long) },
        ];
        let mut record = EncodedRecord::new();
        for change in written {
            encode_change(&mut record, change);
        }
        let read: Vec<_> = changes(record.payload()).collect::<Result<_, _>>().unwrap();
        assert_eq!(read, written);
    }

    #[test]
    fn every_cut_is_malformed_or_a_prefix() {
        let mut record = EncodedRecord::new();
        let mut ends = vec![0];
        for key in [&b"a"[..], b"bb", b"ccc"] {
            encode_change(&mut record, Change { table: TableId(9), key, value: Some(key) });
            ends.push(record.payload().len());
        }
        let payload = record.payload();
        for cut in 0..payload.len() {
            let whole = changes(&payload[..cut]).all(|change| change.is_ok());
            assert_eq!(whole, ends.contains(&cut), "cut at {cut}");
        }
    }

    #[test]
    fn numbers_above_64_bits_are_refused() {
        let payload = [0xff; 11];
        assert!(changes(&payload).next().unwrap().is_err());
    }
}

//! One record: a header with a checksum of its own, then the payload.
//!
//! ```text
//! offset  bytes  field
//!      0      4  header checksum: CRC-32 of the database's uuid and bytes 4..48
//!      4      4  payload length, without padding
//!      8      8  position of this record (its first byte)
//!     16      8  durable position: the end, exclusive, of what was known synced when this was written
//!     24      8  salt of the segment
//!     32      8  tag, the caller's
//!     40      4  payload checksum: CRC-32 of payload and padding
//!     44      1  kind
//!     45      3  zero
//!     48      -  payload, then zeros up to a multiple of eight
//! ```
//!
//! The uuid in the checksum makes a record of another database invalid, the salt one of the segment's earlier life,
//! the position one that was moved. The payload checksum is computed before the record has a position, outside every
//! lock; the header checksum binds it to the rest.

use braid_vfs::planted;
use crc32fast::Hasher;

use crate::bytes::{put, u32_at, u64_at};
use crate::{AppendError, Lsn};

/// Bytes of a record header.
pub(crate) const HEADER_BYTES: usize = 48;
/// The same, as a distance in the log.
pub(crate) const HEADER_SIZE: u64 = HEADER_BYTES as u64;
pub(crate) const ALIGNMENT_BYTES: usize = 8;
/// Every record starts at a multiple of this.
pub(crate) const ALIGNMENT: u64 = ALIGNMENT_BYTES as u64;

/// What a record is to whoever wrote it. Kinds from `0xF0` up are the log's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordKind(u8);

impl RecordKind {
    /// The first kind that the log keeps for itself.
    const FIRST_OWN: u8 = 0xF0;
    /// Carries nothing but its durable position.
    pub(crate) const WATERMARK: Self = Self(0xF0);
    /// The last record of a log that was closed; everything before it was synced before it was written.
    pub(crate) const CLOSE: Self = Self(0xF1);
    /// The last record of a segment; its tag is the sequence number of the next one.
    pub(crate) const ROTATE: Self = Self(0xF2);

    /// A caller's kind, below `0xF0`, which the compiler checks.
    ///
    /// ```
    /// const COMMIT: braid_wal::RecordKind = braid_wal::RecordKind::user::<1>();
    /// assert_eq!(COMMIT.get(), 1);
    /// ```
    #[must_use]
    pub const fn user<const KIND: u8>() -> Self {
        const { assert!(KIND < Self::FIRST_OWN, "kinds from 0xF0 up are the log's own") };
        Self(KIND)
    }

    /// The kind's number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    pub(crate) const fn is_user(self) -> bool {
        self.0 < Self::FIRST_OWN
    }

    const fn is_known(self) -> bool {
        self.is_user() || self.0 <= Self::ROTATE.0
    }
}

/// What a database's record headers are checksummed with.
#[derive(Clone, Debug)]
pub(crate) struct HeaderKey(Hasher);

impl HeaderKey {
    pub(crate) fn new(uuid: &[u8; 16]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(uuid);
        Self(hasher)
    }

    fn checksum(&self, fields: &[u8]) -> u32 {
        let mut hasher = self.0.clone();
        hasher.update(fields);
        hasher.finalize()
    }
}

/// The header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) payload_len: u32,
    pub(crate) lsn: u64,
    pub(crate) durable: u64,
    pub(crate) salt: u64,
    pub(crate) tag: u64,
    pub(crate) payload_crc: u32,
    pub(crate) kind: RecordKind,
}

impl RecordHeader {
    pub(crate) fn encode(&self, key: &HeaderKey) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        put(&mut bytes, 4, &self.payload_len.to_le_bytes());
        put(&mut bytes, 8, &self.lsn.to_le_bytes());
        put(&mut bytes, 16, &self.durable.to_le_bytes());
        put(&mut bytes, 24, &self.salt.to_le_bytes());
        put(&mut bytes, 32, &self.tag.to_le_bytes());
        put(&mut bytes, 40, &self.payload_crc.to_le_bytes());
        put(&mut bytes, 44, &[self.kind.0]);
        let checksum = key.checksum(bytes.get(4..).unwrap_or_default());
        put(&mut bytes, 0, &checksum.to_le_bytes());
        bytes
    }

    /// The header in `bytes`, or `None` where they are not one that this database wrote.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES], key: &HeaderKey) -> Option<Self> {
        if u32_at(bytes, 0) != key.checksum(bytes.get(4..).unwrap_or_default()) && !planted!(HeaderUnchecked)
        {
            return None;
        }
        let [.., kind, 0, 0, 0] = *bytes else { return None };
        let header = Self {
            payload_len: u32_at(bytes, 4),
            lsn: u64_at(bytes, 8),
            durable: u64_at(bytes, 16),
            salt: u64_at(bytes, 24),
            tag: u64_at(bytes, 32),
            payload_crc: u32_at(bytes, 40),
            kind: RecordKind(kind),
        };
        let plausible = header.kind.is_known()
            && header.lsn != 0
            && header.lsn.is_multiple_of(ALIGNMENT)
            && header.durable <= header.lsn
            && header.end().is_some()
            && (header.kind.is_user() || header.payload_len == 0);
        plausible.then_some(header)
    }

    /// Bytes of the whole record, padding included.
    pub(crate) fn size(&self) -> u64 {
        record_size(self.payload_len)
    }

    /// The position after this record.
    pub(crate) fn end(&self) -> Option<u64> {
        self.lsn.checked_add(self.size())
    }
}

/// The position field of what may be a header, without checking anything else.
pub(crate) fn peek_lsn(bytes: &[u8; HEADER_BYTES]) -> u64 {
    u64_at(bytes, 8)
}

/// The salt field of what may be a header, without checking anything else.
pub(crate) fn peek_salt(bytes: &[u8; HEADER_BYTES]) -> u64 {
    u64_at(bytes, 24)
}

/// Bytes of a record with a payload of `payload_len` bytes.
pub(crate) fn record_size(payload_len: u32) -> u64 {
    (HEADER_SIZE + u64::from(payload_len)).next_multiple_of(ALIGNMENT)
}

/// The checksum of a payload with its padding.
pub(crate) fn payload_checksum(padded: &[u8]) -> u32 {
    crc32fast::hash(padded)
}

/// A record ready for the log but for its place in it. Filled outside every lock, and filled again for the next
/// record without allocating.
///
/// ```
/// use braid_wal::{EncodedRecord, RecordKind};
///
/// let mut record = EncodedRecord::new();
/// record.begin(RecordKind::user::<1>());
/// record.extend_from_slice(b"payload");
/// record.finish();
/// assert_eq!(record.payload(), b"payload");
/// ```
#[derive(Clone, Debug)]
pub struct EncodedRecord {
    /// Room for the header, the payload, and once finished the padding.
    bytes: Vec<u8>,
    kind: RecordKind,
    payload_len: usize,
    payload_crc: u32,
    finished: bool,
    held: Held,
    /// Without input. Kept, as each one that is made asks anew what the processor can do.
    hasher: Hasher,
}

/// The first part of a payload, which is there to stay: see [`EncodedRecord::hold`].
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    len: usize,
    crc: u32,
}

impl Default for EncodedRecord {
    fn default() -> Self {
        Self::new()
    }
}

impl EncodedRecord {
    /// An empty record of kind 0.
    #[must_use]
    pub fn new() -> Self {
        let mut record = Self {
            bytes: Vec::new(),
            kind: RecordKind(0),
            payload_len: 0,
            payload_crc: 0,
            finished: false,
            held: Held::default(),
            hasher: Hasher::new(),
        };
        record.begin(RecordKind(0));
        record
    }

    /// Empties the record for one of `kind`; keeps the memory.
    pub fn begin(&mut self, kind: RecordKind) {
        self.bytes.clear();
        self.bytes.resize(HEADER_BYTES, 0);
        self.kind = kind;
        self.payload_len = 0;
        self.finished = false;
        self.held = Held::default();
    }

    /// The payload so far is there to stay, and its checksum computed: what comes behind it can be taken back with
    /// [`rewind`](Self::rewind), and costs nothing for what is before it.
    ///
    /// ```
    /// use braid_wal::{EncodedRecord, RecordKind};
    ///
    /// let mut record = EncodedRecord::new();
    /// record.begin(RecordKind::user::<1>());
    /// record.extend_from_slice(b"known, ");
    /// record.hold();
    /// record.extend_from_slice(b"guessed");
    /// record.finish();
    /// record.rewind();
    /// record.extend_from_slice(b"corrected");
    /// record.finish();
    /// assert_eq!(record.payload(), b"known, corrected");
    /// ```
    pub fn hold(&mut self) {
        self.reopen();
        let len = self.bytes.len() - HEADER_BYTES;
        self.held = Held { len, crc: self.checksum() };
    }

    /// Takes back what was added since [`hold`](Self::hold), or everything.
    pub fn rewind(&mut self) {
        self.finished = false;
        self.bytes.truncate(HEADER_BYTES + self.held.len);
    }

    /// Of all that is there.
    #[inline(always)]
    fn checksum(&self) -> u32 {
        let mut hasher =
            if self.held.len == 0 { self.hasher.clone() } else { Hasher::new_with_initial(self.held.crc) };
        hasher.update(self.bytes.get(HEADER_BYTES + self.held.len..).unwrap_or_default());
        hasher.finalize()
    }

    /// Adds to the payload.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reopen();
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds one byte to the payload.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.reopen();
        self.bytes.push(byte);
    }

    /// The payload so far.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let end = if self.finished { HEADER_BYTES + self.payload_len } else { self.bytes.len() };
        self.bytes.get(HEADER_BYTES..end).unwrap_or_default()
    }

    /// The payload so far, to be patched: a count that is known last, for example.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.reopen();
        self.held = Held::default();
        self.bytes.get_mut(HEADER_BYTES..).unwrap_or_default()
    }

    /// Bytes that the record takes in the log.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.bytes.len() as u64).next_multiple_of(ALIGNMENT)
    }

    /// Pads the payload and computes its checksum. Call it outside the commit section; an append of a record that
    /// is not finished does it there.
    pub fn finish(&mut self) {
        if self.finished {
            return;
        }
        self.payload_len = self.bytes.len() - HEADER_BYTES;
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT_BYTES), 0);
        self.payload_crc = self.checksum();
        self.finished = true;
    }

    /// Refuses a payload over `limit` bytes, which is less than `u32::MAX`.
    pub(crate) fn check(&self, limit: u64) -> Result<(), AppendError> {
        let bytes = self.payload().len() as u64;
        if bytes > limit { Err(AppendError::TooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// Gives a finished record that was checked its place, and returns the bytes as they belong in the log.
    pub(crate) fn place(&mut self, place: &Placement<'_>) -> &[u8] {
        self.finish();
        let header = RecordHeader {
            payload_len: u32::try_from(self.payload_len).unwrap_or(u32::MAX),
            lsn: place.lsn.get(),
            durable: place.durable.get(),
            salt: place.salt,
            tag: place.tag,
            payload_crc: self.payload_crc,
            kind: self.kind,
        };
        put(&mut self.bytes, 0, &header.encode(place.key));
        &self.bytes
    }

    /// Takes the padding off again, so that more can be added.
    #[inline]
    fn reopen(&mut self) {
        if self.finished {
            self.bytes.truncate(HEADER_BYTES + self.payload_len);
            self.finished = false;
        }
    }
}

/// Where a record goes, and what its header says besides the payload.
#[derive(Debug)]
pub(crate) struct Placement<'a> {
    pub(crate) lsn: Lsn,
    pub(crate) durable: Lsn,
    pub(crate) salt: u64,
    pub(crate) tag: u64,
    pub(crate) key: &'a HeaderKey,
}

/// The header of one of the log's own records, which have no payload.
pub(crate) fn own_record(kind: RecordKind, lsn: u64, durable: u64, salt: u64, tag: u64) -> RecordHeader {
    RecordHeader { payload_len: 0, lsn, durable, salt, tag, payload_crc: payload_checksum(&[]), kind }
}

#[cfg(test)]
mod tests;

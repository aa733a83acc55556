//! The header block of a segment.
//!
//! ```text
//! offset  bytes  field
//!      0      8  magic "BRAIDLOG"
//!      8      4  format version, 1
//!     12      4  checksum: CRC-32 of bytes 0..128 with this field zero
//!     16     16  uuid of the database
//!     32      8  sequence number, as in the file name
//!     40      8  base: the position of the first record
//!     48      8  salt
//!     56      8  durable position when the segment came into use
//!     64      8  sequence number of the segment before it, or 0
//!     72      4  flags: 1 = the file was another segment before and holds its stale bytes
//!     76      8  length of the file in bytes
//!     84     44  zero
//!    128   3968  zero
//! ```
//!
//! A block whose first 128 bytes are zero belongs to a segment that was made ready and is not yet in use. The
//! checksum is not keyed, so that a segment of another database can be told from a damaged one; its place and extent
//! are the same in every version, so that a newer one can be told too.

use crate::bytes::{put, u32_at, u64_at};

/// Bytes of the header block, and of the shortest writes that fill a segment.
pub(crate) const BLOCK: usize = 4096;
/// The same, as a distance in the file: records start after the header block.
pub(crate) const BLOCK_BYTES: u64 = BLOCK as u64;
/// Bytes of the block that the checksum covers.
pub(crate) const HEADER_FIELD_BYTES: usize = 128;

const MAGIC: [u8; 8] = *b"BRAIDLOG";
/// The format that this code writes, and the newest that it reads.
pub const LOG_FORMAT_VERSION: u32 = 1;
const FLAG_RECYCLED: u32 = 1;

/// The header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) uuid: [u8; 16],
    pub(crate) sequence: u64,
    pub(crate) base: u64,
    pub(crate) salt: u64,
    pub(crate) durable: u64,
    pub(crate) previous: u64,
    pub(crate) recycled: bool,
    /// The file's length, which was synced before the header was written: a shorter file was cut.
    pub(crate) bytes: u64,
}

/// What the header block of a file turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderState {
    /// All zero: made ready, not yet used.
    Unused,
    /// In use.
    Valid(SegmentHeader),
    /// Neither.
    Damaged,
    /// Intact, of a version that this code does not know.
    Newer(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_FIELD_BYTES] {
        let mut bytes = [0; HEADER_FIELD_BYTES];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 8, &LOG_FORMAT_VERSION.to_le_bytes());
        put(&mut bytes, 16, &self.uuid);
        put(&mut bytes, 32, &self.sequence.to_le_bytes());
        put(&mut bytes, 40, &self.base.to_le_bytes());
        put(&mut bytes, 48, &self.salt.to_le_bytes());
        put(&mut bytes, 56, &self.durable.to_le_bytes());
        put(&mut bytes, 64, &self.previous.to_le_bytes());
        put(&mut bytes, 72, &(if self.recycled { FLAG_RECYCLED } else { 0 }).to_le_bytes());
        put(&mut bytes, 76, &self.bytes.to_le_bytes());
        let checksum = crc32fast::hash(&bytes);
        put(&mut bytes, 12, &checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_FIELD_BYTES]) -> HeaderState {
        if bytes.iter().all(|byte| *byte == 0) {
            return HeaderState::Unused;
        }
        let mut unsigned = *bytes;
        put(&mut unsigned, 12, &[0; 4]);
        if !bytes.starts_with(&MAGIC) || crc32fast::hash(&unsigned) != u32_at(bytes, 12) {
            return HeaderState::Damaged;
        }
        let version = u32_at(bytes, 8);
        if version > LOG_FORMAT_VERSION {
            return HeaderState::Newer(version);
        }
        let flags = u32_at(bytes, 72);
        let header = Self {
            uuid: bytes.get(16..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default(),
            sequence: u64_at(bytes, 32),
            base: u64_at(bytes, 40),
            salt: u64_at(bytes, 48),
            durable: u64_at(bytes, 56),
            previous: u64_at(bytes, 64),
            recycled: flags == FLAG_RECYCLED,
            bytes: u64_at(bytes, 76),
        };
        let plausible = version == LOG_FORMAT_VERSION
            && flags <= FLAG_RECYCLED
            && header.base != 0
            && header.base.is_multiple_of(8);
        if plausible { HeaderState::Valid(header) } else { HeaderState::Damaged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        uuid: [7; 16],
        sequence: 3,
        base: 4096,
        salt: 0x1234,
        durable: 4000,
        previous: 2,
        recycled: true,
        bytes: 65_536,
    };

    #[test]
    fn decodes_what_it_encodes() {
        assert_eq!(SegmentHeader::decode(&HEADER.encode()), HeaderState::Valid(HEADER));
        assert_eq!(SegmentHeader::decode(&[0; HEADER_FIELD_BYTES]), HeaderState::Unused);
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let good = HEADER.encode();
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bad), HeaderState::Damaged, "bit {bit}");
        }
    }

    #[test]
    fn what_no_version_wrote_is_damage_whatever_its_checksum() {
        for (at, field) in [
            (8, &[0; 4][..]),
            (72, &2_u32.to_le_bytes()[..]),
            (40, &[0; 8][..]),
            (40, &4_u64.to_le_bytes()[..]),
        ] {
            let mut bytes = HEADER.encode();
            put(&mut bytes, at, field);
            put(&mut bytes, 12, &[0; 4]);
            let checksum = crc32fast::hash(&bytes);
            put(&mut bytes, 12, &checksum.to_le_bytes());
            assert_eq!(SegmentHeader::decode(&bytes), HeaderState::Damaged, "{field:?} at {at}");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = HEADER.encode();
        put(&mut bytes, 8, &(LOG_FORMAT_VERSION + 1).to_le_bytes());
        put(&mut bytes, 12, &[0; 4]);
        let checksum = crc32fast::hash(&bytes);
        put(&mut bytes, 12, &checksum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), HeaderState::Newer(LOG_FORMAT_VERSION + 1));
    }
}

//! Segments whose headers are lost, and where in the log they belong.

use braid_vfs::{FileSystem, planted};

use super::catalog::{Catalog, Entry, Link};
use super::reader::{Identity, SegmentReader, lsn_of};
use crate::record::{ALIGNMENT, HeaderKey};
use crate::segment::{BLOCK_BYTES, SegmentHeader};
use crate::{Lsn, RecoveryError};

/// A segment that the chain of the log cannot be told to hold: its header is lost, and its records are those of a place that its
/// sequence number does not have.
///
/// A segment that was released and made ready again is one as long as nothing was written to it: it has the number of a segment to
/// come, and the records of one that was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stray {
    pub(super) sequence: u64,
    /// Its header is not the zeros of a spare.
    pub(super) damaged: bool,
    /// What of it may be read: `limit` is to be set to where the next segment begins.
    pub(super) link: Link,
}

impl Stray {
    /// Whether it may be the segment of this number that the log went on in at `lsn`, and not what the file held before.
    pub(super) fn follows(&self, sequence: u64, lsn: u64) -> bool {
        self.sequence == sequence && self.link.identity.base == lsn
    }
}

/// Gives entries their headers back, as far as their first records at or after `start` tell them and their sequence numbers
/// agree. Returns those that do not, in the order of their positions, and the sequence numbers of damaged segments of which nothing
/// is known.
pub(super) fn infer_headers(
    catalog: &mut Catalog,
    files: &dyn FileSystem,
    uuid: &[u8; 16],
    max_record_bytes: u64,
    start: Lsn,
) -> Result<(Vec<Stray>, Vec<u64>), RecoveryError> {
    let key = HeaderKey::new(uuid);
    let mut known: Vec<_> = catalog
        .entries
        .iter()
        .filter_map(|entry| entry.header.map(|header| (entry.sequence, header.base)))
        .collect();
    let (mut strays, mut unknown) = (Vec::new(), Vec::new());
    for (index, entry) in catalog.entries.iter_mut().enumerate() {
        if entry.header.is_some() {
            continue;
        }
        let mut reader = SegmentReader::open(files, &entry.path, &key, max_record_bytes)?;
        let Some(identity) = first_from(&mut reader, start)? else {
            if entry.damaged {
                unknown.push(entry.sequence);
            }
            continue;
        };
        let in_place = match place_of(entry, identity.base, &known) {
            Place::Fits => true,
            Place::Behind => entry.damaged || was_in_use(&mut reader, identity)?,
            Place::Elsewhere => planted!(SpareOutranksTheLog),
        };
        if in_place {
            let Identity { base, salt } = identity;
            known.push((entry.sequence, base));
            let (uuid, sequence) = (*uuid, entry.sequence);
            let of_file = SegmentHeader {
                uuid,
                sequence,
                base,
                salt,
                durable: 0,
                previous: 0,
                recycled: true,
                bytes: 0,
            };
            entry.header = Some(of_file);
        } else {
            let link =
                Link { entry: index, identity, durable: 0, recycled: true, previous: 0, limit: u64::MAX };
            strays.push(Stray { sequence: entry.sequence, damaged: entry.damaged, link });
        }
    }
    strays.sort_unstable_by_key(|stray| stray.link.identity.base);
    Ok((strays, unknown))
}

/// How a base goes with the headers that are known.
enum Place {
    /// Between those of lower and of higher sequence numbers.
    Fits,
    /// Behind all of them.
    Behind,
    /// Not where its sequence number is.
    Elsewhere,
}

/// Where `base` is among the `known` sequence numbers and bases.
fn place_of(entry: &Entry, base: u64, known: &[(u64, u64)]) -> Place {
    let mut before = known.iter().filter(|(sequence, _)| *sequence <= entry.sequence);
    let mut after = known.iter().filter(|(sequence, _)| *sequence > entry.sequence);
    if known.is_empty() && !entry.damaged || before.any(|(_, earlier)| *earlier >= base) {
        Place::Elsewhere
    } else if after.any(|(_, later)| *later > base) {
        Place::Fits
    } else {
        Place::Behind
    }
}

/// Whether the log went on here for good: a record says that a part of the segment was synced, and its header was then. What a
/// recovery has cut off never was.
fn was_in_use(reader: &mut SegmentReader<'_>, identity: Identity) -> Result<bool, RecoveryError> {
    let mut offset = BLOCK_BYTES;
    let wanted = |at, lsn: u64, _| lsn_of(identity.base, at) == Some(lsn);
    while let Some(at) = reader.next_wanted(offset, wanted)? {
        let record = reader.header(at, |_, _| true)?;
        if record.is_some_and(|record| record.salt == identity.salt && record.durable > identity.base) {
            return Ok(true);
        }
        offset = at + ALIGNMENT;
    }
    Ok(false)
}

/// What the header of a segment must have said, going by the first record at or after `start`.
fn first_from(reader: &mut SegmentReader<'_>, start: Lsn) -> Result<Option<Identity>, RecoveryError> {
    let mut offset = BLOCK_BYTES;
    let wanted = |_, lsn: u64, _| lsn >= start.get() && lsn.is_multiple_of(ALIGNMENT);
    while let Some(at) = reader.next_wanted(offset, wanted)? {
        if let Some(record) = reader.header(at, |_, _| true)? {
            let base = record.lsn.checked_sub(at).and_then(|base| base.checked_add(BLOCK_BYTES));
            return Ok(base.filter(|base| *base != 0).map(|base| Identity { base, salt: record.salt }));
        }
        offset = at + ALIGNMENT;
    }
    Ok(None)
}

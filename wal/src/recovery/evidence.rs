//! What the bytes behind the first bad record say.

use braid_vfs::FileSystem;

use super::catalog::{Catalog, Entry};
use super::reader::{Identity, SegmentReader, lsn_of};
use crate::RecoveryError;
use crate::record::{ALIGNMENT, HeaderKey, RecordHeader};
use crate::segment::BLOCK_BYTES;

/// What was found, all of it positions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// The highest end of what something says was synced.
    pub(super) durable: u64,
    /// The furthest end of a record that was started.
    pub(super) reached: u64,
}

/// Looks behind a bad record at `lsn`.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) files: &'a dyn FileSystem,
    pub(super) key: &'a HeaderKey,
    pub(super) max_record_bytes: u64,
    pub(super) lsn: u64,
    pub(super) evidence: Evidence,
}

impl Search<'_> {
    /// The rest of the segment with the bad record: only records of its own salt, at their own positions.
    pub(super) fn rest(
        &mut self,
        reader: &mut SegmentReader<'_>,
        identity: Identity,
        offset: u64,
    ) -> Result<(), RecoveryError> {
        self.walk(reader, offset, |at, lsn, salt| {
            salt == identity.salt && lsn_of(identity.base, at) == Some(lsn)
        })
    }

    /// The segments that come after `sequence`, be they part of the log or not.
    pub(super) fn later(&mut self, catalog: &Catalog, sequence: u64) -> Result<(), RecoveryError> {
        for entry in catalog.entries.iter().filter(|entry| entry.sequence > sequence) {
            self.segment(entry)?;
        }
        Ok(())
    }

    fn segment(&mut self, entry: &Entry) -> Result<(), RecoveryError> {
        let mut reader = SegmentReader::open(self.files, &entry.path, self.key, self.max_record_bytes)?;
        if let Some(header) = entry.header {
            // What a header says was known when it was written, whatever became of the records after it.
            self.evidence.durable = self.evidence.durable.max(header.durable);
            self.evidence.reached = self.evidence.reached.max(header.base);
            return self.rest(&mut reader, Identity { base: header.base, salt: header.salt }, BLOCK_BYTES);
        }
        // Without its header: a record is told from the stale ones of an earlier life by its position, as those were
        // released before the log came to where it is.
        let from = self.lsn;
        self.walk(&mut reader, BLOCK_BYTES, |_, lsn, _| lsn >= from && lsn.is_multiple_of(ALIGNMENT))
    }

    /// Goes over a file in steps of eight bytes, and in one step over each record whose header is whole.
    fn walk(
        &mut self,
        reader: &mut SegmentReader<'_>,
        mut offset: u64,
        wanted: impl Fn(u64, u64, u64) -> bool,
    ) -> Result<(), RecoveryError> {
        while let Some(at) = reader.next_wanted(offset, &wanted)? {
            let header = reader.header(at, |_, _| true)?;
            offset = at.saturating_add(header.map_or(ALIGNMENT, |header| self.note(&header)));
        }
        Ok(())
    }

    /// Takes a header's word, and returns the size of its record.
    pub(super) fn note(&mut self, header: &RecordHeader) -> u64 {
        self.evidence.durable = self.evidence.durable.max(header.durable);
        self.evidence.reached = self.evidence.reached.max(header.end().unwrap_or(header.lsn));
        header.size()
    }
}

//! Plain, buffered, bounded reads of one segment file.

use std::io;
use std::path::Path;
use std::sync::Arc;

use braid_vfs::planted;
use braid_vfs::{File, FileSystem, OpenMode, OpenOptions};

use super::catalog::read_failed;
use crate::RecoveryError;
use crate::record::{
    ALIGNMENT, ALIGNMENT_BYTES, HEADER_BYTES, HEADER_SIZE, HeaderKey, RecordHeader, payload_checksum,
    peek_lsn, peek_salt,
};
use crate::segment::BLOCK_BYTES;

/// Bytes that are read at a time.
const CHUNK: usize = 128 * 1024;

/// A file seen through a buffer that moves forward.
#[derive(Debug)]
pub(super) struct Window {
    file: Arc<dyn File>,
    len: u64,
    chunk: usize,
    buffer: Vec<u8>,
    start: u64,
}

impl Window {
    pub(super) fn new(file: Arc<dyn File>) -> io::Result<Self> {
        Self::with_chunk(file, CHUNK)
    }

    /// One that reads no more than it is asked for.
    pub(super) fn small(file: Arc<dyn File>) -> io::Result<Self> {
        Self::with_chunk(file, 0)
    }

    fn with_chunk(file: Arc<dyn File>, chunk: usize) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, len, chunk, buffer: Vec::new(), start: 0 })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The `count` bytes at `offset`; `None` where the file ends before.
    pub(super) fn get(&mut self, offset: u64, count: usize) -> io::Result<Option<&[u8]>> {
        Ok(self.get_more(offset, count)?.and_then(|bytes| bytes.get(..count)))
    }

    /// The same, and as much of what follows as has been read.
    fn get_more(&mut self, offset: u64, count: usize) -> io::Result<Option<&[u8]>> {
        let Some(end) = offset.checked_add(count as u64).filter(|end| *end <= self.len) else {
            return Ok(None);
        };
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            self.fill(offset, count)?;
        }
        let from = usize::try_from(offset - self.start).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(self.buffer.get(from..).filter(|rest| rest.len() >= count))
    }

    fn fill(&mut self, offset: u64, count: usize) -> io::Result<()> {
        let left = usize::try_from(self.len - offset).unwrap_or(usize::MAX);
        let size = count.max(self.chunk).min(left);
        self.buffer.clear();
        self.buffer.try_reserve(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.buffer.resize(size, 0);
        self.start = offset;
        let read = self.file.read_exact_at(&mut self.buffer, offset);
        if read.is_err() {
            self.buffer.clear();
        }
        read
    }
}

/// Which records belong to a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) base: u64,
    pub(super) salt: u64,
}

/// What is at a position.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A whole record, and its payload with its padding.
    Record(RecordHeader, &'a [u8]),
    /// A valid header whose payload is not what it says.
    BadPayload(RecordHeader),
    /// No record.
    Nothing,
}

/// Reads the records of one segment.
#[derive(Debug)]
pub(super) struct SegmentReader<'a> {
    path: &'a Path,
    window: Window,
    key: &'a HeaderKey,
    max_record_bytes: u64,
}

impl<'a> SegmentReader<'a> {
    pub(super) fn open(
        files: &dyn FileSystem,
        path: &'a Path,
        key: &'a HeaderKey,
        max_record_bytes: u64,
    ) -> Result<Self, RecoveryError> {
        let file = files
            .open(path, OpenOptions::new(OpenMode::ReadOnly).without_link())
            .map_err(read_failed("open", path))?;
        let window = Window::new(file).map_err(read_failed("read", path))?;
        Ok(Self { path, window, key, max_record_bytes })
    }

    /// The length of the file.
    pub(super) fn len(&self) -> u64 {
        self.window.len()
    }

    /// Whether the file ends before a record at `offset` could have a header.
    pub(super) fn is_past_end(&self, offset: u64) -> bool {
        offset.checked_add(HEADER_SIZE).is_none_or(|end| end > self.window.len())
    }

    /// Where, from `offset` on in steps of the alignment, there is the next header that `wanted` lets through; it sees place,
    /// position and salt, and nothing else is looked at. A few instructions for each step: a search goes over whole files.
    pub(super) fn next_wanted(
        &mut self,
        mut offset: u64,
        wanted: impl Fn(u64, u64, u64) -> bool,
    ) -> Result<Option<u64>, RecoveryError> {
        loop {
            let bytes = self.window.get_more(offset, HEADER_BYTES).map_err(read_failed("read", self.path))?;
            let Some(bytes) = bytes else { return Ok(None) };
            for header in bytes.windows(HEADER_BYTES).step_by(ALIGNMENT_BYTES) {
                let Some(header) = header.first_chunk() else { break };
                if wanted(offset, peek_lsn(header), peek_salt(header)) {
                    return Ok(Some(offset));
                }
                offset += ALIGNMENT;
            }
        }
    }

    /// The header bytes at `offset`; `None` where the file ends before.
    pub(super) fn header_bytes(&mut self, offset: u64) -> Result<Option<&[u8; HEADER_BYTES]>, RecoveryError> {
        let bytes = self.window.get(offset, HEADER_BYTES).map_err(read_failed("read", self.path))?;
        Ok(bytes.and_then(|bytes| bytes.first_chunk()))
    }

    /// The header at `offset` that `wanted` lets through; it sees position and salt before any checksum is computed.
    pub(super) fn header(
        &mut self,
        offset: u64,
        wanted: impl FnOnce(u64, u64) -> bool,
    ) -> Result<Option<RecordHeader>, RecoveryError> {
        let key = self.key;
        let bytes = self.header_bytes(offset)?;
        Ok(bytes
            .filter(|bytes| wanted(peek_lsn(bytes), peek_salt(bytes)))
            .and_then(|bytes| RecordHeader::decode(bytes, key)))
    }

    /// What is at position `lsn` of the segment that `identity` says this is.
    pub(super) fn record(&mut self, identity: Identity, lsn: u64) -> Result<Found<'_>, RecoveryError> {
        let Some(offset) = offset_of(identity.base, lsn) else { return Ok(Found::Nothing) };
        let Some(header) = self.header(offset, |at, salt| at == lsn && salt == identity.salt)? else {
            return Ok(Found::Nothing);
        };
        if u64::from(header.payload_len) > self.max_record_bytes {
            return Ok(Found::BadPayload(header));
        }
        let Ok(count) = usize::try_from(header.size() - HEADER_SIZE) else {
            return Ok(Found::BadPayload(header));
        };
        let payload = self.window.get(offset + HEADER_SIZE, count).map_err(read_failed("read", self.path))?;
        Ok(match payload {
            Some(payload)
                if payload_checksum(payload) == header.payload_crc || planted!(PayloadUnchecked) =>
            {
                Found::Record(header, payload)
            }
            _ => Found::BadPayload(header),
        })
    }
}

/// Where position `lsn` is in a segment that starts at `base`.
pub(super) fn offset_of(base: u64, lsn: u64) -> Option<u64> {
    lsn.checked_sub(base)?.checked_add(BLOCK_BYTES)
}

/// What position is at `offset` of a segment that starts at `base`.
pub(super) fn lsn_of(base: u64, offset: u64) -> Option<u64> {
    base.checked_add(offset)?.checked_sub(BLOCK_BYTES)
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use braid_vfs::memory::MemoryFileSystem;

    use super::*;

    #[test]
    fn a_search_finds_what_lies_across_the_edge_of_what_is_read_at_once() {
        let files = MemoryFileSystem::new();
        let path = Path::new("/segment");
        let file = files.open(path, OpenOptions::new(OpenMode::CreateNew)).unwrap();
        let chunk = CHUNK as u64;
        let len = 2 * chunk + 1000;
        file.set_len(len).unwrap();
        let last = (len - HEADER_SIZE) / ALIGNMENT * ALIGNMENT;
        let edge = [chunk - HEADER_SIZE, chunk - 40, chunk - 8, chunk, chunk + 8];
        let places: Vec<_> = [0, 8].into_iter().chain(edge).chain([2 * chunk - 16, last]).collect();
        for place in &places {
            file.write_all_at(&(1 << 40 | place).to_le_bytes(), place + 8).unwrap();
        }
        let key = HeaderKey::new(&[0; 16]);
        let mut reader = SegmentReader::open(&files, path, &key, 0).unwrap();
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(at) = reader.next_wanted(from, |at, lsn, _| lsn == 1 << 40 | at).unwrap() {
            found.push(at);
            from = at + ALIGNMENT;
        }
        assert_eq!(found, places);
        assert_eq!(reader.next_wanted(last, |_, _, _| true).unwrap(), Some(last));
        assert_eq!(reader.next_wanted(last + ALIGNMENT, |_, _, _| true).unwrap(), None);
    }
}

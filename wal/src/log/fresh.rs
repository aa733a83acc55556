//! The segment that a log starts with, after its creation and after every recovery.
//!
//! It is written under a temporary name, contents first, synced, renamed, and its name synced; only then does it
//! count. So a crash before that leaves what was there before, and after it everything up to the start of the new
//! log is on the disk. Its contents end with a watermark record: thereby every record that follows says that this
//! segment was synced, its header included.

use std::io;
use std::path::Path;

use braid_vfs::planted;
use braid_vfs::{Env, OpenMode, OpenOptions};

use super::shared::failed;
use crate::bytes::round_up;
use crate::record::{HEADER_SIZE, HeaderKey, RecordHeader, RecordKind, own_record};
use crate::segment::{
    BLOCK, BLOCK_BYTES, FillWriter, SEGMENT_SUFFIX, SegmentFile, SegmentHeader, TEMPORARY_SUFFIX,
    open_mapping, path_of,
};
use crate::{LogError, LogOptions, Lsn};

/// A fresh segment on the disk.
#[derive(Debug)]
pub(crate) struct FreshSegment {
    pub(crate) segment: SegmentFile,
    pub(crate) base: u64,
    pub(crate) salt: u64,
    /// The end of its contents, all of it durable.
    pub(crate) end: Lsn,
}

/// What a fresh segment is to be.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) uuid: [u8; 16],
    pub(crate) options: &'a LogOptions,
    pub(crate) sequence: u64,
    pub(crate) previous: u64,
    pub(crate) base: u64,
    /// Where the records that are copied into it end; the base where there are none.
    pub(crate) copied_end: u64,
}

/// Puts records into a fresh segment at the positions they have.
pub(crate) struct Copier<'a> {
    writer: FillWriter<'a>,
    key: &'a HeaderKey,
    salt: u64,
    durable: u64,
    next: u64,
}

impl Copier<'_> {
    /// Adds a record that was read elsewhere, `padded` being its payload with its padding. What the log's own ones
    /// said about the old segments is not true here: they become watermarks.
    pub(crate) fn copy(&mut self, header: &RecordHeader, padded: &[u8]) -> io::Result<()> {
        debug_assert_eq!(header.lsn, self.next, "copied records follow one another");
        let new = if header.kind.is_user() {
            RecordHeader { durable: self.durable, salt: self.salt, ..*header }
        } else {
            own_record(RecordKind::WATERMARK, header.lsn, self.durable, self.salt, 0)
        };
        self.writer.write(&new.encode(self.key))?;
        self.writer.write(padded)?;
        self.next += new.size();
        Ok(())
    }
}

impl FreshSegment {
    /// The first segment of a new log.
    pub(crate) fn first(
        env: &Env,
        dir: &Path,
        uuid: [u8; 16],
        options: &LogOptions,
    ) -> Result<Self, LogError> {
        let base = Lsn::FIRST.get();
        let plan = Plan { dir, uuid, options, sequence: 1, previous: 0, base, copied_end: base };
        Self::write(env, &plan, |_| Ok(()))
    }

    /// Writes the segment with the records that `copy` puts into it, and makes it part of the log.
    pub(crate) fn write(
        env: &Env,
        plan: &Plan<'_>,
        copy: impl FnOnce(&mut Copier<'_>) -> Result<(), LogError>,
    ) -> Result<Self, LogError> {
        let temporary = path_of(plan.dir, plan.sequence, TEMPORARY_SUFFIX);
        let written = Self::write_as(env, plan, &temporary, copy);
        if written.is_err() {
            // It does not count, so the first error is the one to report.
            let _ = env.files.remove_file(&temporary);
        }
        written
    }

    fn write_as(
        env: &Env,
        plan: &Plan<'_>,
        temporary: &Path,
        copy: impl FnOnce(&mut Copier<'_>) -> Result<(), LogError>,
    ) -> Result<Self, LogError> {
        let &Plan { dir, uuid, options, sequence, previous, base, copied_end } = plan;
        let files = &*env.files;
        let end = copied_end.checked_add(HEADER_SIZE).ok_or(LogError::Exhausted)?;
        let bytes = file_bytes(end - base, options).ok_or(LogError::Exhausted)?;
        base.checked_add(bytes).ok_or(LogError::Exhausted)?;
        let salt = env.random.next_u64();
        let key = HeaderKey::new(&uuid);
        let header =
            SegmentHeader { uuid, sequence, base, salt, durable: end, previous, recycled: false, bytes };

        let create = OpenOptions::new(OpenMode::CreateNew).with_permissions(options.permissions);
        let file = files.open(temporary, create).map_err(failed("create", temporary))?;
        let mut writer = FillWriter::new(&*file, BLOCK);
        writer.write(&header.encode()).map_err(failed("write", temporary))?;
        writer.fill_to(BLOCK_BYTES).map_err(failed("write", temporary))?;
        let mut copier = Copier { writer, key: &key, salt, durable: base, next: base };
        copy(&mut copier)?;
        if copier.next != copied_end {
            return Err(LogError::Changed { path: dir.to_path_buf() });
        }
        let last = own_record(RecordKind::WATERMARK, copied_end, base, salt, 0);
        copier.copy(&last, &[]).map_err(failed("write", temporary))?;
        let mut writer = copier.writer;
        writer.fill_to(bytes).map_err(failed("write", temporary))?;
        writer.finish().map_err(failed("write", temporary))?;
        if !planted!(FreshSegmentNotSynced) {
            file.sync_all().map_err(failed("sync", temporary))?;
        }

        let path = path_of(dir, sequence, SEGMENT_SUFFIX);
        files.rename(temporary, &path).map_err(failed("rename", temporary))?;
        if !planted!(FreshNameNotSynced) {
            files.sync_dir(dir).map_err(failed("sync", dir))?;
        }
        let mapping = open_mapping(&*file, bytes, options).map_err(failed("map", &path))?;
        let segment = SegmentFile { sequence, bytes, file, mapping, recycled: false, filled_by: BLOCK };
        Ok(Self { segment, base, salt, end: Lsn::new(end) })
    }
}

/// The length of a fresh segment that starts with `contents` bytes of records: the usual one where that leaves half
/// of it free, else longer by that much.
fn file_bytes(contents: u64, options: &LogOptions) -> Option<u64> {
    let first = options.first_segment_bytes;
    let used = contents.checked_add(BLOCK_BYTES + HEADER_SIZE)?;
    if used.checked_mul(2)? <= first.max(4 * BLOCK_BYTES) && used <= first {
        Some(first)
    } else {
        round_up(used.checked_add(first)?, BLOCK_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_fresh_segment_is_free() {
        let options = LogOptions { first_segment_bytes: 16 * BLOCK_BYTES, ..LogOptions::default() };
        let just_half = 8 * BLOCK_BYTES - BLOCK_BYTES - HEADER_SIZE;
        assert_eq!(file_bytes(0, &options), Some(16 * BLOCK_BYTES));
        assert_eq!(file_bytes(just_half, &options), Some(16 * BLOCK_BYTES));
        assert_eq!(file_bytes(just_half + 8, &options), Some(25 * BLOCK_BYTES));
        assert_eq!(file_bytes(u64::MAX, &options), None);
    }
}

//! The segment that a log starts with, after its creation and after every recovery.
//!
//! It is written under a temporary name, contents first, synced, renamed, and its name synced; only then does it
//! count. So a crash before that leaves what was there before, and after it everything up to the start of the new
//! log is on the disk. Its contents end with a watermark record: thereby every record that follows says that this
//! segment was synced, its header included.
//!
//! Where the disk has no room for it, the caller is asked for some; and where that is not enough it is made shorter. Either is done
//! before the segment counts, so whatever becomes of it, the log is what it was before.

use std::io;
use std::path::Path;
use std::sync::Arc;

use braid_vfs::events::tell;
use braid_vfs::planted;
use braid_vfs::{Env, File, LogMapping, OpenMode, OpenOptions};

use super::scarce::{LEAST_SEGMENT_BYTES, half, is_full};
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
        Self::write(env, &plan, |_| Ok(()), || false)
    }

    /// Writes the segment with the records that `copy` puts into it, and makes it part of the log. `make_room` is called once
    /// where the disk is full, and says whether it has given something back.
    pub(crate) fn write(
        env: &Env,
        plan: &Plan<'_>,
        copy: impl Fn(&mut Copier<'_>) -> Result<(), LogError>,
        make_room: impl FnOnce() -> bool,
    ) -> Result<Self, LogError> {
        let &Plan { dir, options, sequence, base, copied_end, .. } = plan;
        let files = &*env.files;
        let end = copied_end.checked_add(HEADER_SIZE).ok_or(LogError::Exhausted)?;
        let mut bytes = file_bytes(end - base, options).ok_or(LogError::Exhausted)?;
        base.checked_add(bytes).ok_or(LogError::Exhausted)?;
        let least = least_bytes(end - base, options).ok_or(LogError::Exhausted)?.min(bytes);
        let temporary = path_of(dir, sequence, TEMPORARY_SUFFIX);
        let mut make_room = Some(make_room);
        let (file, salt) = loop {
            let error = match Self::write_as(env, plan, &temporary, end, bytes, &copy) {
                Ok(written) => break written,
                Err(error) => error,
            };
            // It does not count, so the first error is the one to report.
            let left =
                files.remove_file(&temporary).is_err_and(|error| error.kind() != io::ErrorKind::NotFound);
            let full = matches!(&error, LogError::Io { source, .. } if is_full(source));
            if left || !full {
                return Err(error);
            }
            if make_room.take().is_some_and(|make_room| make_room()) {
                continue;
            }
            if bytes <= least {
                return Err(error);
            }
            let length = bytes;
            tell(move || tracing::debug!(%error, length, "no room for a segment; a shorter one is tried"));
            bytes = half(bytes, least);
        };
        match Self::name(env, plan, &temporary, &*file, bytes) {
            Ok(mapping) => {
                let segment =
                    SegmentFile { sequence, bytes, file, mapping, recycled: false, filled_by: BLOCK };
                Ok(Self { segment, base, salt, end: Lsn::new(end) })
            }
            Err(error) => {
                let _ = files.remove_file(&temporary);
                Err(error)
            }
        }
    }

    /// Writes and syncs the file, under a name that does not count. The salt comes along.
    fn write_as(
        env: &Env,
        plan: &Plan<'_>,
        temporary: &Path,
        end: u64,
        bytes: u64,
        copy: impl Fn(&mut Copier<'_>) -> Result<(), LogError>,
    ) -> Result<(Arc<dyn File>, u64), LogError> {
        let &Plan { dir, uuid, options, sequence, previous, base, copied_end } = plan;
        let salt = env.random.next_u64();
        let key = HeaderKey::new(&uuid);
        let header =
            SegmentHeader { uuid, sequence, base, salt, durable: end, previous, recycled: false, bytes };

        let create = OpenOptions::new(OpenMode::CreateNew).with_permissions(options.permissions);
        let file = env.files.open(temporary, create).map_err(failed("create", temporary))?;
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
        Ok((file, salt))
    }

    /// Gives the file the name by which it counts.
    fn name(
        env: &Env,
        plan: &Plan<'_>,
        temporary: &Path,
        file: &dyn File,
        bytes: u64,
    ) -> Result<Option<Box<dyn LogMapping>>, LogError> {
        let &Plan { dir, sequence, options, .. } = plan;
        let path = path_of(dir, sequence, SEGMENT_SUFFIX);
        env.files.rename(temporary, &path).map_err(failed("rename", temporary))?;
        if !planted!(FreshNameNotSynced) {
            env.files.sync_dir(dir).map_err(failed("sync", dir))?;
        }
        open_mapping(file, bytes, options).map_err(failed("map", &path))
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

/// The least length of one that starts with `contents` bytes of records, where there is no room for more: half of the least that any
/// segment has is free, so that an open is not followed by a commit that needs the next one.
fn least_bytes(contents: u64, options: &LogOptions) -> Option<u64> {
    let least = LEAST_SEGMENT_BYTES.min(options.first_segment_bytes);
    let used = contents.checked_add(BLOCK_BYTES + HEADER_SIZE)?;
    Some(round_up(used.checked_add(least / 2)?, BLOCK_BYTES)?.max(least))
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

    #[test]
    fn the_shortest_fresh_segment_has_room_for_more_than_its_contents() {
        let of = |contents, blocks| {
            let options = LogOptions { first_segment_bytes: blocks * BLOCK_BYTES, ..LogOptions::default() };
            let (least, usual) = (least_bytes(contents, &options), file_bytes(contents, &options));
            assert!(least.unwrap().min(usual.unwrap()) >= contents + BLOCK_BYTES + HEADER_SIZE);
            least.unwrap() / BLOCK_BYTES
        };
        let (short, long) = (48, 100 * BLOCK_BYTES);
        assert_eq!((of(short, 256), of(short, 16), of(short, 2)), (16, 16, 3));
        assert_eq!((of(long, 256), of(long, 16), of(long, 2)), (110, 110, 103));
    }
}

//! What a full disk gets back for a log that goes on: the segments that an earlier life had made ready, and nothing that the log may
//! need.
//!
//! A spare lies behind the end of the log, its header is zeros, the log does not name it as the one that it went on in (the next scan
//! would miss it), and no record from the start on is in it. So it is removed before there is a fresh segment, and not only
//! afterwards like other files that are no part of the log: whatever a crash leaves of that, the next scan finds the same records, and
//! the same that says that they were synced. A segment whose zeros are damage, or a header that was lost with a torn tail, has
//! records, and stays until the fresh segment counts.

use std::path::{Path, PathBuf};

use braid_vfs::FileSystem;
use braid_vfs::events::tell;

use super::reader::SegmentReader;
use crate::record::{ALIGNMENT, HeaderKey};
use crate::segment::BLOCK_BYTES;
use crate::{Lsn, RecoveryError};

/// What is needed to tell a spare from what is none.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) files: &'a dyn FileSystem,
    pub(super) key: &'a HeaderKey,
    pub(super) max_record_bytes: u64,
    /// Where the log was read from.
    pub(super) start: Lsn,
}

impl Look<'_> {
    /// Removes those of the `unused` segments that are spares. Returns the sequence numbers of the ones that are gone.
    pub(super) fn remove_spares(&self, unused: &[(u64, PathBuf)]) -> Vec<u64> {
        // One that cannot be read may hold anything.
        let spares = unused.iter().filter(|(_, path)| self.holds_record(path).is_ok_and(|holds| !holds));
        let gone = spares.filter(|(_, path)| remove_stray(self.files, path));
        gone.map(|(sequence, _)| *sequence).collect()
    }

    /// Whether some record of this database, at or after the start, is in the file.
    fn holds_record(&self, path: &Path) -> Result<bool, RecoveryError> {
        let mut reader = SegmentReader::open(self.files, path, self.key, self.max_record_bytes)?;
        let mut offset = BLOCK_BYTES;
        let wanted = |_, lsn: u64, _| lsn >= self.start.get() && lsn.is_multiple_of(ALIGNMENT);
        while let Some(at) = reader.next_wanted(offset, wanted)? {
            if reader.header(at, |_, _| true)?.is_some() {
                return Ok(true);
            }
            offset = at + ALIGNMENT;
        }
        Ok(false)
    }
}

/// Removes a file that is no part of the log; whether it is gone. It does no harm if it stays.
pub(super) fn remove_stray(files: &dyn FileSystem, path: &Path) -> bool {
    let removed = files.remove_file(path);
    if let Err(error) = removed {
        let path = path.to_path_buf();
        tell(move || {
            tracing::warn!(path = %path.display(), %error, "a stray log segment could not be removed");
        });
        return false;
    }
    true
}

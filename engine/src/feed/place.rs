//! Where in the log a feed begins.
//!
//! A consumer's position is stored in the system table `CONSUMERS`, under its name:
//!
//! ```text
//! offset  bytes  field
//!      0      1  version, 1
//!      1      8  the newest commit that it has acknowledged
//!      9      8  a position in the log that no later commit lies before
//! ```

use braid_mvstore::Timestamp;
use braid_wal::{LogHistory, Lsn, ReadError};

use crate::core::{Anchor, timestamp};
use crate::record::kind;

const VERSION: u8 = 1;

/// The value of a consumer's row.
pub(super) fn encode_position(position: Anchor) -> [u8; 17] {
    let mut bytes = [VERSION; 17];
    let (ts, lsn) = (position.timestamp.get().to_le_bytes(), position.lsn.get().to_le_bytes());
    for (to, from) in bytes.iter_mut().skip(1).zip(ts.into_iter().chain(lsn)) {
        *to = from;
    }
    bytes
}

/// The position in a consumer's row.
pub(crate) fn decode_position(bytes: &[u8]) -> Option<Anchor> {
    let (&[VERSION, ..], 17) = (bytes, bytes.len()) else { return None };
    let number = |at: usize| bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes);
    Some(Anchor { timestamp: Timestamp::new(number(1)?)?, lsn: Lsn::new(number(9)?) })
}

/// The latest position that is known to have everything after `after` behind it, and the oldest timestamp for which there is
/// one. `anchor` is one that is known; beyond it the segments tell, by their first commits, those from `floor` on.
pub(super) fn locate(
    history: &LogHistory,
    floor: Lsn,
    anchor: Option<Lsn>,
    after: Timestamp,
) -> Result<(Option<Lsn>, Option<Timestamp>), ReadError> {
    let mut segments = history.segments();
    segments.retain(|base| *base >= floor);
    let skip = anchor.map_or(0, |anchor| segments.partition_point(|base| *base <= anchor));
    let mut candidates = segments.get(skip..).unwrap_or_default();
    let mut found = anchor;
    // First commits grow from segment to segment. One without a commit is passed over to the left, which is never wrong:
    // what lies before is older.
    while let Some(&base) = candidates.get(candidates.len() / 2) {
        let first = first_commit(history, base)?;
        if first.is_some_and(|first| first.get() <= after.get().saturating_add(1)) {
            found = Some(base);
            candidates = candidates.get(candidates.len() / 2 + 1..).unwrap_or_default();
        } else {
            candidates = candidates.get(..candidates.len() / 2).unwrap_or_default();
        }
    }
    let oldest = match (found, segments.first()) {
        (None, Some(&base)) => {
            first_commit(history, base)?.map(|first| timestamp(first.get().saturating_sub(1)))
        }
        _ => None,
    };
    Ok((found, oldest))
}

/// The first commit at or after the start of a segment, within it.
fn first_commit(history: &LogHistory, base: Lsn) -> Result<Option<Timestamp>, ReadError> {
    let mut reader = history.reader(base);
    while let Some(record) = reader.advance()? {
        if reader.segment().is_some_and(|segment| segment != base) {
            return Ok(None);
        }
        if record.kind == kind::COMMIT {
            return Ok(Some(timestamp(record.tag)));
        }
    }
    Ok(None)
}

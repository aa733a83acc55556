//! The payload of one record, read piece by piece.

use crc32fast::Hasher;

use super::reader::is_whole;
use super::source::LogHistory;
use super::window::{CHUNK, Window};
use crate::ReadError;
use crate::record::{HEADER_SIZE, RecordHeader};

/// A payload that was found whole. A short one is held; of a long one, pieces are read from the log when they are asked for,
/// so that memory has to do with the pieces and not with the record.
#[derive(Debug)]
pub struct Payload {
    bytes: u64,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Held(Vec<u8>),
    InLog { history: LogHistory, sequence: u64, lsn: u64, window: Window, offset: u64 },
}

impl Payload {
    pub(super) fn empty() -> Self {
        Self { bytes: 0, body: Body::Held(Vec::new()) }
    }

    /// The payload at `offset` of the segment; `None` where it is not what its header says.
    pub(super) fn read(
        history: &LogHistory,
        sequence: u64,
        window: &mut Window,
        offset: u64,
        header: &RecordHeader,
    ) -> Result<Option<Self>, ReadError> {
        let padded = header.size() - HEADER_SIZE;
        let limit = offset.saturating_add(padded);
        let bytes = u64::from(header.payload_len);
        if let Some(count) = usize::try_from(padded).ok().filter(|count| *count <= CHUNK) {
            let all = window.get(offset, count, limit)?;
            let payload = usize::try_from(bytes).ok().and_then(|bytes| all.get(..bytes)).unwrap_or_default();
            return Ok(is_whole(header, all).then(|| Self { bytes, body: Body::Held(payload.to_vec()) }));
        }
        let mut window = window.another();
        let mut hasher = Hasher::new();
        let mut at = offset;
        while at < limit {
            let count = usize::try_from(limit - at).unwrap_or(CHUNK).min(CHUNK);
            hasher.update(window.get(at, count, limit)?);
            at += count as u64;
        }
        let body = Body::InLog { history: history.clone(), sequence, lsn: header.lsn, window, offset };
        Ok((hasher.finalize() == header.payload_crc).then_some(Self { bytes, body }))
    }

    /// Its length.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether pieces of it are read from the log, which must then keep the segment.
    #[must_use]
    pub fn needs_log(&self) -> bool {
        matches!(self.body, Body::InLog { .. })
    }

    /// The `count` bytes at `at`; fewer where the payload ends before.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Gone`] where the log has let the segment go since.
    pub fn get(&mut self, at: u64, count: usize) -> Result<&[u8], ReadError> {
        let left = self.bytes.saturating_sub(at);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(count);
        match &mut self.body {
            Body::Held(bytes) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                Ok(bytes.get(from..).and_then(|rest| rest.get(..count)).unwrap_or_default())
            }
            Body::InLog { history, sequence, lsn, window, offset } => {
                let piece =
                    window.get(offset.saturating_add(at), count, offset.saturating_add(self.bytes))?;
                // Only after the read: what was read before the segment left the log is what was appended there.
                if history.holds(*sequence) { Ok(piece) } else { Err(history.gone(*lsn)) }
            }
        }
    }
}

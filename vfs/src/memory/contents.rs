//! The bytes of a file in memory: blocks of 64 KiB, so that growth moves nothing and a copy shares
//! what does not change, and holes that cost nothing.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

const BLOCK: usize = 64 * 1024;

/// The bytes of one file. A block that is absent reads as zeros; no byte at or past `len` is anything but zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    len: u64,
    blocks: BTreeMap<u64, Arc<[u8]>>,
}

impl Contents {
    /// The length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Reads what there is of `buf.len()` bytes at `offset`.
    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let available = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = buf.len().min(available);
        let mut position = offset;
        let mut rest = &mut buf[..count];
        while !rest.is_empty() {
            let (number, within) = split(position);
            let (now, later) = rest.split_at_mut(rest.len().min(BLOCK - within));
            match self.blocks.get(&number) {
                Some(block) => now.copy_from_slice(&block[within..within + now.len()]),
                None => now.fill(0),
            }
            position += now.len() as u64;
            rest = later;
        }
        count
    }

    /// Writes all of `bytes` at `offset`, growing the file where needed.
    ///
    /// # Errors
    /// `FileTooLarge` when the end is past what an offset can say.
    pub(crate) fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = end_of(bytes.len(), offset)?;
        let mut position = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, within) = split(position);
            let (now, later) = rest.split_at(rest.len().min(BLOCK - within));
            let block = self.blocks.entry(number).or_insert_with(|| Arc::from(vec![0; BLOCK]));
            Arc::make_mut(block)[within..within + now.len()].copy_from_slice(now);
            position += now.len() as u64;
            rest = later;
        }
        if !bytes.is_empty() {
            self.len = self.len.max(end);
        }
        Ok(())
    }

    /// Cuts, or extends with zeros.
    ///
    /// # Errors
    /// `FileTooLarge` when `len` is past what an offset can say.
    pub(crate) fn set_len(&mut self, len: u64) -> io::Result<()> {
        end_of(0, len)?;
        if len < self.len {
            let (number, within) = split(len);
            self.blocks.split_off(&number.saturating_add(u64::from(within != 0)));
            if within != 0
                && let Some(block) = self.blocks.get_mut(&number)
            {
                Arc::make_mut(block)[within..].fill(0);
            }
        }
        self.len = len;
        Ok(())
    }
}

/// The end of a write, which the system bounds by the greatest signed offset.
pub(crate) fn end_of(count: usize, offset: u64) -> io::Result<u64> {
    offset
        .checked_add(count as u64)
        .filter(|end| i64::try_from(*end).is_ok())
        .ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}

/// The block that an offset is in, and the place within it.
fn split(offset: u64) -> (u64, usize) {
    #[expect(clippy::cast_possible_truncation, reason = "a remainder of BLOCK is less than BLOCK")]
    let within = (offset % BLOCK as u64) as usize;
    (offset / BLOCK as u64, within)
}

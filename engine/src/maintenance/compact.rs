//! Compaction: the file gives back what it does not need.

use braid_vfs::events::tell;

use crate::core::{COMPACTION_STEP_PAGES, Core};
use crate::error::{Error, Result};
use crate::statistics::OpenSnapshot;

/// What a compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactReport {
    /// Bytes of the file before, or with all in it that was not folded yet, where that is more.
    pub bytes_before: u64,
    /// Bytes of the file after.
    pub bytes_after: u64,
    /// Bytes that could not be given back because old snapshots still read them.
    pub held_bytes: u64,
    /// The oldest of these snapshots, if any bytes are held.
    pub held_by: Option<OpenSnapshot>,
}

impl Core {
    /// Folds what is not folded yet, then moves pages from the end of the file into free ones before, step by step, until
    /// a step finds nothing more to give back.
    pub(crate) fn compact(&self) -> Result<CompactReport> {
        let before = self.file_bytes()?;
        self.checkpoint()?;
        let bytes_before = before.max(self.file_bytes()?);
        let mut held_pages = 0;
        let mut idle_steps = 0;
        for _ in 0..self.most_steps() {
            let step = self.compact_step()?;
            held_pages = step.held_pages;
            // What a step moves away from is given back by the one after.
            idle_steps = if step.moved_pages == 0 && step.returned_pages == 0 { idle_steps + 1 } else { 0 };
            if idle_steps == 2 {
                break;
            }
        }
        let stats = crate::statistics::of(self);
        let report = CompactReport {
            bytes_before,
            bytes_after: self.file_bytes()?,
            held_bytes: u64::from(held_pages) * u64::from(self.base.page_bytes()),
            held_by: stats.oldest_snapshot.filter(|_| held_pages > 0),
        };
        let told = report.clone();
        tell(move || tracing::info!(report = ?told, "compacted"));
        Ok(report)
    }

    /// Steps enough to move every page four times over. Without writers fewer do; beside them it must end all the same.
    fn most_steps(&self) -> u32 {
        self.base.space_stats().file_pages / COMPACTION_STEP_PAGES * 4 + 16
    }

    fn file_bytes(&self) -> Result<u64> {
        self.base.file().len().map_err(|error| Error::io("asking for the length of the file", error))
    }
}

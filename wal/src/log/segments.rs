//! Which segments hold the log, and which are ready to.

use std::collections::VecDeque;
use std::sync::Arc;

use braid_vfs::planted;
use braid_vfs::{File, LogMapping};

use crate::segment::SegmentFile;

/// A segment in use. The last one takes the appends.
#[derive(Debug)]
pub(crate) struct LiveSegment {
    pub(crate) sequence: u64,
    pub(crate) base: u64,
    /// Where it ends; `u64::MAX` while it takes the appends.
    pub(crate) end: u64,
    pub(crate) bytes: u64,
    /// What to sync, and what may be used again. `None` for one that recovery found: all that it holds is durable,
    /// and as it may have a cut tail it is never used again.
    pub(crate) file: Option<Arc<dyn File>>,
    /// The mapping, once the appender is done with it.
    pub(crate) mapping: Option<Box<dyn LogMapping>>,
    /// Length of the writes that filled the file, in bytes.
    pub(crate) filled_by: usize,
}

impl LiveSegment {
    /// Bytes of its file that hold nothing of the log; none while it takes the appends.
    pub(crate) fn slack(&self) -> u64 {
        if self.end == u64::MAX { 0 } else { self.bytes.saturating_sub(self.end - self.base) }
    }
}

/// Both, in order. Held for moments only and never across I/O, as appends and syncs pass through here.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pub(crate) live: VecDeque<LiveSegment>,
    /// Ready for use, in order of their sequence numbers, which are all after those of `live`.
    pub(crate) spares: VecDeque<SegmentFile>,
}

impl Segments {
    /// The files with something in `from..through`, oldest first.
    pub(crate) fn files_between(&self, from: u64, through: u64) -> Vec<Arc<dyn File>> {
        let count = self.live.iter().rev().take_while(|segment| segment.end > from).count();
        let count = if planted!(OneSegmentSynced) { count.min(1) } else { count };
        self.live
            .iter()
            .skip(self.live.len() - count)
            .filter(|segment| segment.base < through)
            .filter_map(|segment| segment.file.clone())
            .collect()
    }

    /// Takes out the segments that end at or before `lsn`, where the log is on the disk up to `durable`. One that ends just
    /// there stays: nothing of the next one is known to be synced, its header neither, and that log would have no beginning.
    pub(crate) fn take_released(&mut self, lsn: u64, durable: u64) -> Vec<LiveSegment> {
        let goes = |segment: &LiveSegment| {
            segment.end <= lsn
                && (segment.end < durable || planted!(SuccessorNotSynced) && segment.end == durable)
        };
        let count = self.live.iter().take_while(|segment| goes(segment)).count();
        let count = if planted!(SegmentReleasedEarly) { (count + 1).min(self.live.len() - 1) } else { count };
        self.live.drain(..count).collect()
    }

    /// Takes out the spares at the front that are shorter than `bytes`, which would keep longer ones from use.
    pub(crate) fn take_shorter(&mut self, bytes: u64) -> Vec<SegmentFile> {
        let count = self.spares.iter().take_while(|spare| spare.bytes < bytes).count();
        self.spares.drain(..count).collect()
    }

    /// Takes out the spares that will not do.
    pub(crate) fn take_all_but(&mut self, will_do: impl Fn(&SegmentFile) -> bool) -> Vec<SegmentFile> {
        let (kept, others): (VecDeque<_>, VecDeque<_>) = self.spares.drain(..).partition(will_do);
        self.spares = kept;
        others.into()
    }

    /// Whether the segment that takes the appends was filled by writes of such a length.
    pub(crate) fn current_is(&self, filled_by: impl Fn(usize) -> bool) -> bool {
        self.live.back().is_some_and(|segment| filled_by(segment.filled_by))
    }

    /// Takes out the spares behind the first ones that are at least `keep` bytes together: those that would be used last.
    pub(crate) fn take_surplus(&mut self, keep: u64) -> Vec<SegmentFile> {
        let mut bytes = 0;
        let kept = self.spares.iter().take_while(|spare| {
            let wanted = bytes < keep;
            bytes += spare.bytes;
            wanted
        });
        let count = kept.count();
        self.spares.drain(count..).collect()
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.live.iter().map(|segment| segment.bytes).sum()
    }

    pub(crate) fn spare_bytes(&self) -> u64 {
        self.spares.iter().map(|spare| spare.bytes).sum()
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use std::path::Path;

    use braid_vfs::memory::MemoryFileSystem;
    use braid_vfs::{FileSystem as _, OpenMode, OpenOptions};

    use super::*;

    fn spare(sequence: u64, bytes: u64) -> SegmentFile {
        let files = MemoryFileSystem::new();
        let file = files.open(Path::new("/segment"), OpenOptions::new(OpenMode::CreateNew));
        let file = file.expect("there is no such file yet");
        SegmentFile { sequence, bytes, file, mapping: None, recycled: false, filled_by: 4096 }
    }

    #[test]
    fn surplus_spares_are_those_that_would_be_used_last() {
        for (keep, left) in [(0, 0), (1, 1), (100, 1), (101, 2), (300, 2), (301, 3), (u64::MAX, 3)] {
            let mut segments = Segments::default();
            segments.spares.extend([spare(1, 100), spare(2, 200), spare(3, 150)]);
            let surplus = segments.take_surplus(keep);
            assert_eq!((segments.spares.len(), surplus.len()), (left, 3 - left), "{keep}");
            assert!(
                segments.spares.iter().all(|kept| surplus.iter().all(|gone| kept.sequence < gone.sequence))
            );
        }
    }

    #[test]
    fn spares_in_front_that_are_too_short_are_taken_out() {
        for (needed, taken, left) in [
            (0, &[][..], &[1, 2, 3][..]),
            (100, &[], &[1, 2, 3]),
            (101, &[1], &[2, 3]),
            (200, &[1], &[2, 3]),
            (201, &[1, 2, 3], &[]),
        ] {
            let mut segments = Segments::default();
            segments.spares.extend([spare(1, 100), spare(2, 200), spare(3, 150)]);
            assert_eq!(segments.spare_bytes(), 450);
            let sequences =
                |spares: &[SegmentFile]| spares.iter().map(|spare| spare.sequence).collect::<Vec<_>>();
            assert_eq!(sequences(&segments.take_shorter(needed)), taken, "{needed} bytes are needed");
            assert_eq!(sequences(segments.spares.make_contiguous()), left, "{needed} bytes are needed");
        }
    }
}

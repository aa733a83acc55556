//! How large the folios are in which the page cache holds a segment: as large as the writes that filled it.
//!
//! The first store to a clean page of a mapped file is a fault, and what it costs depends on the folio that the page is part
//! of: with folios of 64 KiB a quarter of what it costs with those of 4 KiB. A sync, though, writes a folio back whole.
//! So folios are to be small beside what a sync has to write: a block where each commit is synced, more where thousands
//! of commits share a sync. `docs/decisions/0044` has the figures.
//!
//! [`FillSize`] looks back when a segment is made, and at which segments are worth using again. [`Fit`] looks at the
//! segment that takes the appends, which may be wrong for longer than its writers should bear: after a load, one for each
//! commit of which is synced.

use braid_vfs::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::segment::BLOCK;

/// No folio is longer: past this a fault gets little cheaper.
const MOST: usize = 64 << 10;
/// A sync writes at least so many folios.
const FOLIOS_OF_A_SYNC: u64 = 4;
/// What is appended in the meantime says nothing about how often the log is synced if it is less than this.
const EVIDENCE_BYTES: u64 = 256 << 10;
/// A segment is used again if its folios are up to so many times as long as wanted, or as short.
const TOLERANCE: usize = 4;
/// A segment is not left for folios that are little shorter: those of one that is used again may be as long as these.
const SHORT_FOLIO: u64 = (TOLERANCE * BLOCK) as u64;
/// The segment is left for one with shorter folios after so many syncs that commits waited for more than there were folios
/// to write. They take a few milliseconds longer, all of them together, than they would have: about what it takes to make
/// the other one.
const SHORT_SYNCS: u64 = 256;

/// Length in bytes of the writes that fill the next segment, a power of two.
#[derive(Clone, Copy, Debug)]
pub(super) struct FillSize {
    size: usize,
    /// What had been appended, and how many syncs there had been, when that was decided.
    bytes: u64,
    syncs: u64,
}

impl Default for FillSize {
    fn default() -> Self {
        Self { size: BLOCK, bytes: 0, syncs: 0 }
    }
}

impl FillSize {
    /// Decides anew by what was appended and synced since the last time, where that is enough to tell. Takes the bytes appended
    /// and the syncs since the open.
    pub(super) fn observe(&mut self, bytes: u64, syncs: u64) {
        let (appended, synced) = (bytes.saturating_sub(self.bytes), syncs.saturating_sub(self.syncs));
        if appended < EVIDENCE_BYTES {
            return;
        }
        let folio = appended / synced.max(1) / FOLIOS_OF_A_SYNC;
        let folio = usize::try_from(folio).unwrap_or(MOST).clamp(BLOCK, MOST);
        *self = Self { size: 1 << folio.ilog2(), bytes, syncs };
    }

    /// Decides for the shortest, whatever came before: [`Fit`] says so. Takes what `observe` does.
    pub(super) fn shorten(&mut self, bytes: u64, syncs: u64) {
        *self = Self { size: BLOCK, bytes, syncs };
    }

    pub(super) fn get(&self) -> usize {
        self.size
    }

    /// Whether a segment that was filled by writes of `filled_by` bytes is as good as a new one, or nearly so.
    pub(super) fn suits(&self, filled_by: usize) -> bool {
        filled_by <= self.size.saturating_mul(TOLERANCE) && self.size <= filled_by.saturating_mul(TOLERANCE)
    }
}

/// Whether the folios of the segment that takes the appends are too long for its syncs. Seen a moment late it does no
/// harm, so nothing is ordered by it.
#[derive(Debug, Default)]
pub(super) struct Fit {
    /// Their length in bytes.
    folio: AtomicU64,
    /// Syncs that commits waited for, less what all of them wrote in such folios.
    short: AtomicU64,
    /// A commit waits for the next sync.
    waits: AtomicBool,
    /// A segment with shorter ones is ready, to go on in.
    leave: AtomicBool,
}

impl Fit {
    /// Appends go on in a segment that was filled by writes of `filled_by` bytes.
    pub(super) fn begin(&self, filled_by: usize) {
        self.folio.store(filled_by as u64, Ordering::Relaxed);
        self.short.store(0, Ordering::Relaxed);
        self.leave.store(false, Ordering::Relaxed);
    }

    /// A commit is about to wait for a sync.
    #[inline]
    pub(super) fn commit_waits(&self) {
        // Mostly there is nothing to tell, and no line of memory to take from others.
        if self.folio.load(Ordering::Relaxed) > SHORT_FOLIO && !self.waits.load(Ordering::Relaxed) {
            self.waits.store(true, Ordering::Relaxed);
        }
    }

    /// There is a sync of so many bytes. One thread syncs at a time.
    pub(super) fn synced(&self, bytes: u64) {
        let folio = self.folio.load(Ordering::Relaxed);
        if folio <= SHORT_FOLIO {
            return;
        }
        let short = self.short.load(Ordering::Relaxed);
        // One that only bounds what a power cut takes may be long: a trickle of commits that wait for none leaves no segment.
        let waited = u64::from(self.waits.swap(false, Ordering::Relaxed));
        // By what they write and not by their number, as `FillSize` has it: what is left here is not to be made again.
        self.short.store(short.saturating_add(waited).saturating_sub(bytes / folio), Ordering::Relaxed);
    }

    /// Whether they are too long.
    #[inline]
    pub(super) fn is_bad(&self) -> bool {
        self.short.load(Ordering::Relaxed) >= SHORT_SYNCS
    }

    /// Counts anew, as there is no better segment to be had now.
    pub(super) fn put_up_with(&self) {
        self.short.store(0, Ordering::Relaxed);
        self.leave.store(false, Ordering::Relaxed);
    }

    /// A better segment is ready.
    pub(super) fn leave(&self) {
        self.leave.store(true, Ordering::Relaxed);
    }

    /// Whether one is.
    #[inline]
    pub(super) fn is_to_be_left(&self) -> bool {
        self.leave.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    /// Megabytes appended from one time to the next, and syncs of them.
    fn after(history: &[(u64, u64)]) -> FillSize {
        let (mut fill, mut bytes, mut syncs) = (FillSize::default(), 0, 0);
        for (appended, synced) in history {
            (bytes, syncs) = (bytes + (appended << 20), syncs + synced);
            fill.observe(bytes, syncs);
        }
        fill
    }

    #[test]
    fn folios_are_a_small_part_of_what_a_sync_writes() {
        for (history, size) in [
            (&[][..], 4 << 10),
            (&[(1, 0)], 64 << 10),
            (&[(1, 1)], 64 << 10),
            (&[(16, 128)], 32 << 10),
            (&[(16, 255)], 16 << 10),
            (&[(16, 256)], 16 << 10),
            (&[(16, 257)], 8 << 10),
            (&[(16, 1 << 17)], 4 << 10),
            (&[(1, 1), (16, 1 << 17)], 4 << 10),
            (&[(16, 1 << 17), (1, 1)], 64 << 10),
        ] {
            assert_eq!(after(history).get(), size, "{history:?}");
        }
    }

    #[test]
    fn a_few_commits_change_nothing_but_are_not_forgotten() {
        let mut fill = after(&[(1, 0)]);
        fill.observe((1 << 20) + EVIDENCE_BYTES - 1, 1000);
        assert_eq!(fill.get(), 64 << 10);
        fill.observe((1 << 20) + EVIDENCE_BYTES, 1000);
        assert_eq!(fill.get(), 4 << 10);
    }

    #[test]
    fn only_what_is_far_from_wanted_is_not_used_again() {
        let (small, large, between) = (after(&[(16, 1 << 17)]), after(&[(1, 0)]), after(&[(16, 256)]));
        for (fill, suited) in [
            (&small, [true, true, true, false, false]),
            (&between, [true, true, true, true, true]),
            (&large, [false, false, true, true, true]),
        ] {
            assert_eq!([4, 8, 16, 32, 64].map(|size| fill.suits(size << 10)), suited, "{fill:?}");
        }
    }

    /// A commit waited for a sync of so many bytes.
    fn synced(fit: &Fit, bytes: u64) {
        fit.commit_waits();
        fit.synced(bytes);
    }

    #[test]
    fn no_segment_is_left_for_the_load_that_it_was_made_for() {
        // Commits that are synced one by one, and every so often a large one.
        for (small, large) in [(0, 1 << 20), (3, 2 << 20), (20, 4 << 20), (50, 10 << 20), (200, 100 << 20)] {
            let (mut fill, fit) = (FillSize::default(), Fit::default());
            let (mut bytes, mut syncs) = (0, 0);
            for _ in 0..100 {
                (0..small).for_each(|_| synced(&fit, 200));
                synced(&fit, large);
                (bytes, syncs) = (bytes + 200 * small + large, syncs + small + 1);
                fill.observe(bytes, syncs);
                assert!(!fit.is_bad(), "{small} small ones for each of {large} bytes: {fill:?}");
                if syncs == small + 1 {
                    fit.begin(fill.get());
                }
            }
        }
    }

    #[test]
    fn a_segment_is_left_after_many_syncs_of_less_than_a_folio() {
        let fit = Fit::default();
        fit.begin(64 << 10);
        for _ in 1..SHORT_SYNCS {
            synced(&fit, 200);
        }
        (0..1000).for_each(|_| fit.synced(200));
        synced(&fit, (128 << 10) - 1);
        synced(&fit, 128 << 10);
        synced(&fit, 200);
        assert!(!fit.is_bad(), "what one writes more makes up for others, and nobody waited for some");
        synced(&fit, 200);
        assert!(fit.is_bad());
        fit.begin(TOLERANCE * BLOCK);
        for _ in 0..=SHORT_SYNCS {
            synced(&fit, 200);
        }
        assert!(!fit.is_bad(), "others are little shorter");
    }
}

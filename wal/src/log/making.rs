//! Segments are made ready ahead of use, used again, and removed.
//!
//! All of it happens outside the commit section, under the lock of [`Making`], which is held across the I/O.

use braid_vfs::events::keep;
use braid_vfs::sync::atomic::Ordering;

use super::Log;
use super::demand::Demand;
use super::folios::FillSize;
use super::scarce::{LEAST_SEGMENT_BYTES, half, is_full};
use super::segments::LiveSegment;
use super::shared::failed;
use crate::bytes::round_up;
use crate::record::HEADER_SIZE;
use crate::segment::{BLOCK_BYTES, SEGMENT_SUFFIX, SegmentFile, path_of, prepare, recycle};
use crate::{LogError, Lsn};

/// The next segment to create, and which are worth keeping.
#[derive(Debug)]
pub(super) struct Making {
    sequence: u64,
    bytes: u64,
    demand: Demand,
    fill: FillSize,
}

impl Making {
    /// Segments double from `bytes` on.
    pub(super) fn new(sequence: u64, bytes: u64) -> Self {
        Self { sequence, bytes, demand: Demand::default(), fill: FillSize::default() }
    }
}

impl Log {
    /// Whether [`prepare`](Self::prepare) would spare an append the wait: the current segment is more than half full
    /// and no other is ready; or would make syncs shorter, as the current one was made for a log that is synced far less often.
    /// A few loads, cheap enough to ask after every append.
    #[must_use]
    pub fn wants_preparation(&self) -> bool {
        !self.has_spare.load(Ordering::Relaxed)
            && self.appended.load(Ordering::Relaxed) > self.half_full.load(Ordering::Relaxed)
            || self.fit.is_bad() && !self.fit.is_to_be_left()
    }

    /// Makes sure that a segment is ready that takes a record of `bytes` bytes: what
    /// [`SegmentNeeded`](crate::AppendError::SegmentNeeded) asks for, or 0 in the background. Where the one that takes the appends
    /// was made for a log that is synced far less often, the next append goes on in this one. Not for the commit section: it
    /// writes and syncs a file.
    ///
    /// # Errors
    /// [`LogError::Io`], with nothing left behind; [`LogError::Poisoned`]; [`LogError::Exhausted`].
    pub fn prepare(&self, bytes: u64) -> Result<(), LogError> {
        let needed = bytes
            .checked_add(BLOCK_BYTES + HEADER_SIZE)
            .and_then(|needed| round_up(needed, BLOCK_BYTES))
            .ok_or(LogError::Exhausted)?;
        let mut making = self.making.lock();
        self.check().map_err(|error| LogError::Poisoned(error.into_cause()))?;
        let unfit = self.is_unfit(&mut making);
        let fill = making.fill;
        let least_bytes = if unfit { needed.max(self.options.first_segment_bytes) } else { needed };
        let will_do =
            |spare: &SegmentFile| spare.bytes >= least_bytes && (!unfit || fill.suits(spare.filled_by));
        let (short, any, ready) = {
            let mut segments = self.segments.lock();
            let short = segments.take_shorter(needed);
            let any = !segments.spares.is_empty();
            self.has_spare.store(any, Ordering::Relaxed);
            (short, any, segments.spares.iter().any(will_do))
        };
        self.remove_spares(short)?;
        if !ready {
            let usual = if unfit { self.options.first_segment_bytes } else { making.bytes };
            let length = usual.max(needed);
            // Where another one takes the record, none is made that is shorter than usual for want of space.
            let least = if any { length } else { needed.max(self.shortest()) };
            match self.make_segment(&mut making, length, least) {
                Ok(spare) => {
                    self.counters.created.add(1);
                    self.add_spare(spare);
                }
                Err(error) => {
                    self.fit.put_up_with();
                    if !any {
                        return Err(error);
                    }
                    // What is asked for is there. It makes syncs longer, and that is all.
                    keep(move || tracing::debug!(%error, "no segment with shorter folios could be made"));
                    return Ok(());
                }
            }
        }
        if unfit { self.leave_for(fill, will_do) } else { Ok(()) }
    }

    /// Whether the segment that takes the appends is to be left early. The next ones are filled by short writes then.
    fn is_unfit(&self, making: &mut Making) -> bool {
        if !self.fit.is_bad() {
            return false;
        }
        making.fill.shorten(self.counters.bytes.get(), self.counters.syncs.get());
        let unfit = self.segments.lock().current_is(|filled_by| !making.fill.suits(filled_by));
        if !unfit {
            self.fit.put_up_with();
        }
        unfit
    }

    /// Has the next append go on in a spare segment that `will_do`, and removes the others.
    fn leave_for(&self, fill: FillSize, will_do: impl Fn(&SegmentFile) -> bool) -> Result<(), LogError> {
        let others = {
            let mut segments = self.segments.lock();
            // Appends may have gone on in another one meanwhile. Where space is short the one that was made may be so
            // too: there is more room in the segment that takes the appends, and in spares with long folios.
            if segments.current_is(|filled_by| !fill.suits(filled_by)) && segments.spares.iter().any(&will_do)
            {
                self.fit.leave();
                segments.take_all_but(will_do)
            } else {
                self.fit.put_up_with();
                Vec::new()
            }
        };
        self.remove_spares(others)
    }

    /// No segment is made shorter than this for want of space.
    fn shortest(&self) -> u64 {
        LEAST_SEGMENT_BYTES.min(self.options.first_segment_bytes)
    }

    /// Makes a segment of `length` bytes, or, where the disk has no room for that, the longest by halves that it has room
    /// for, of `least` bytes or more.
    fn make_segment(
        &self,
        making: &mut Making,
        mut length: u64,
        least: u64,
    ) -> Result<SegmentFile, LogError> {
        making.fill.observe(self.counters.bytes.get(), self.counters.syncs.get());
        let filled_by = making.fill.get();
        loop {
            let sequence = making.sequence;
            making.sequence = sequence.checked_add(1).ok_or(LogError::Exhausted)?;
            let path = path_of(&self.dir, sequence, SEGMENT_SUFFIX);
            match prepare(&*self.files, &self.dir, sequence, length, filled_by, &self.options) {
                Ok(spare) => {
                    let usual = making.bytes.min(length).max(self.options.first_segment_bytes);
                    making.bytes = usual.saturating_mul(2).min(self.options.max_segment_bytes);
                    return Ok(spare);
                }
                Err(error) if length > least && is_full(&error) => {
                    let shorter = half(length, least);
                    keep(move || {
                        tracing::debug!(%error, length, "no room for a segment; a shorter one is tried");
                    });
                    length = shorter;
                }
                Err(error) => return Err(failed("prepare", &path)(error)),
            }
        }
    }

    /// Gives up the segments that lie wholly before `lsn`, which the caller no longer needs for recovery: as many as
    /// are likely to be needed until the next release are made ready for use again, the others removed, and with them those
    /// that were made for a log that is synced far more often, or far less.
    /// Nothing that is not durable is given up, and no segment before something of the next one is durable.
    ///
    /// # Errors
    /// [`LogError::Io`]; the segments are given up nevertheless, and their files go at the next open.
    pub fn release_before(&self, lsn: Lsn) -> Result<(), LogError> {
        let mut making = self.making.lock();
        let (released, current_bytes) = {
            let mut segments = self.segments.lock();
            let released = segments.take_released(lsn.get(), self.durable().get());
            (released, segments.live.back().map_or(0, |segment| segment.bytes))
        };
        if released.is_empty() {
            return Ok(());
        }
        // One at least.
        let bytes = released.iter().map(|segment| segment.bytes).sum();
        let keep = making.demand.released(bytes).clamp(1, self.options.max_spare_bytes.max(1));
        making.fill.observe(self.counters.bytes.get(), self.counters.syncs.get());
        let mut outcome = Ok(());
        for segment in released {
            let LiveSegment { sequence, bytes, file, mapping, filled_by, .. } = segment;
            let fits = (current_bytes..=self.options.max_segment_bytes).contains(&bytes);
            // A plain write marks no more dirty than what it writes.
            let fits = fits && (mapping.is_none() || making.fill.suits(filled_by));
            let wanted = fits && !self.is_poisoned() && self.segments.lock().spare_bytes() < keep;
            let done = match file {
                Some(file) if wanted => {
                    let old = SegmentFile { sequence, bytes, file, mapping, recycled: true, filled_by };
                    self.reuse(&mut making, old)
                }
                _ => self.remove_segment(sequence),
            };
            outcome = outcome.and(done);
        }
        let surplus = self.segments.lock().take_surplus(keep);
        outcome.and(self.remove_spares(surplus))
    }

    /// Removes the segments that are kept ready, for one who has found the disk full; whether there were any.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn give_back_spares(&self) -> Result<bool, LogError> {
        let _making = self.making.lock();
        let spares = std::mem::take(&mut self.segments.lock().spares);
        self.has_spare.store(false, Ordering::Relaxed);
        let any = !spares.is_empty();
        self.remove_spares(spares)?;
        Ok(any)
    }

    fn add_spare(&self, spare: SegmentFile) {
        let mut segments = self.segments.lock();
        segments.spares.push_back(spare);
        // Under the lock: it may be taken at once.
        self.has_spare.store(true, Ordering::Relaxed);
    }

    /// Makes a released segment a spare; removes it where that fails.
    fn reuse(&self, making: &mut Making, old: SegmentFile) -> Result<(), LogError> {
        let (from, to) = (old.sequence, making.sequence);
        making.sequence = to.checked_add(1).ok_or(LogError::Exhausted)?;
        match recycle(&*self.files, &self.dir, old, to) {
            Ok(spare) => {
                self.counters.recycled.add(1);
                self.add_spare(spare);
                Ok(())
            }
            Err(error) => {
                // Either name may be the one that exists now.
                let path = path_of(&self.dir, from, SEGMENT_SUFFIX);
                let _ = self.files.remove_file(&path);
                let _ = self.files.remove_file(&path_of(&self.dir, to, SEGMENT_SUFFIX));
                Err(failed("recycle", &path)(error))
            }
        }
    }

    /// Removes all that can be: what is left goes at the next open.
    fn remove_spares(&self, spares: impl IntoIterator<Item = SegmentFile>) -> Result<(), LogError> {
        let mut outcome = Ok(());
        for spare in spares {
            outcome = outcome.and(self.remove_segment(spare.sequence));
        }
        outcome
    }

    pub(super) fn remove_segment(&self, sequence: u64) -> Result<(), LogError> {
        let path = path_of(&self.dir, sequence, SEGMENT_SUFFIX);
        self.files.remove_file(&path).map_err(failed("remove", &path))?;
        self.counters.removed.add(1);
        Ok(())
    }
}

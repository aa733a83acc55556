//! Which of the changes that were not synced a power cut keeps.

use crate::Random;
use crate::memory::SeededRandom;

/// What a power cut keeps of the changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashChoice {
    /// Every one: all was written in time.
    KeepAll,
    /// None.
    KeepNone,
    /// Any part of them, by the dice of `seed`. A write is torn at multiples of `unit` bytes of the file, each piece
    /// kept or lost on its own: 512 is what a disk's sector keeps whole, 8 what a word of memory does.
    Subset {
        /// The same seed keeps the same changes.
        seed: u64,
        /// Bytes that stay together; at least 1.
        unit: u64,
    },
    /// The first `changes` of them in the order in which they were made, over all files and names, and then the first
    /// `bytes` of the next one, if that is a write.
    Prefix {
        /// How many are kept whole.
        changes: usize,
        /// How much is kept of the next.
        bytes: usize,
    },
}

/// A choice at work, asked once for each change in order.
#[derive(Debug)]
pub(super) struct Fates {
    choice: CrashChoice,
    random: SeededRandom,
    decided: usize,
}

/// What is left of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Torn {
    /// The kept ranges of its bytes, in order.
    pub(super) pieces: Vec<std::ops::Range<usize>>,
    /// Whether the file is as long as if all had been kept. Lengths are written on their own.
    pub(super) keeps_length: bool,
}

impl Fates {
    pub(super) fn new(choice: CrashChoice) -> Self {
        let seed = if let CrashChoice::Subset { seed, .. } = choice { seed } else { 0 };
        Self { choice, random: SeededRandom::new(seed), decided: 0 }
    }

    /// Whether a change that happens as a whole or not at all is kept.
    pub(super) fn keeps_whole(&mut self) -> bool {
        let place = self.decided;
        self.decided += 1;
        match self.choice {
            CrashChoice::KeepAll => true,
            CrashChoice::KeepNone => false,
            CrashChoice::Subset { .. } => self.toss(),
            CrashChoice::Prefix { changes, .. } => place < changes,
        }
    }

    /// What is kept of a write of `len` bytes at `offset`.
    pub(super) fn tear(&mut self, offset: u64, len: usize) -> Torn {
        match self.choice {
            CrashChoice::KeepAll | CrashChoice::KeepNone => {
                let whole = self.keeps_whole();
                Torn { pieces: pieces_from(whole.then_some(0..len)), keeps_length: whole }
            }
            CrashChoice::Prefix { changes, bytes } => {
                let is_next = self.decided == changes;
                let whole = self.keeps_whole();
                let kept = if whole {
                    len
                } else if is_next {
                    bytes.min(len)
                } else {
                    0
                };
                Torn { pieces: pieces_from(Some(0..kept)), keeps_length: whole }
            }
            CrashChoice::Subset { unit, .. } => {
                self.decided += 1;
                self.tear_at_units(offset, len, unit.max(1))
            }
        }
    }

    fn tear_at_units(&mut self, offset: u64, len: usize, unit: u64) -> Torn {
        // Half of all writes are kept or lost whole, else a long write would hardly ever be.
        if self.toss() {
            let whole = self.toss();
            return Torn { pieces: pieces_from(whole.then_some(0..len)), keeps_length: whole || self.toss() };
        }
        let mut pieces: Vec<std::ops::Range<usize>> = Vec::new();
        let mut start = 0;
        while start < len {
            let to_bound = unit - (offset + start as u64) % unit;
            let end = usize::try_from(to_bound).map_or(len, |step| len.min(start.saturating_add(step)));
            if self.toss() {
                match pieces.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => pieces.push(start..end),
                }
            }
            start = end;
        }
        Torn { pieces, keeps_length: self.toss() }
    }

    fn toss(&self) -> bool {
        self.random.next_u64() >> 63 == 1
    }
}

fn pieces_from(range: Option<std::ops::Range<usize>>) -> Vec<std::ops::Range<usize>> {
    range.into_iter().filter(|range| !range.is_empty()).collect()
}

//! The slots: groups that are added as they are needed and never move.
//!
//! The first group is *near*: what at most 64 snapshots at a time use, and all that a look at every pin costs then.
//! Those after it are *far*, and are opened for a burst and closed after it, so that a look costs what is open now, and
//! not what was open in the busiest moment so far. Slots of a closed group are [`Pin::CLOSED`]: nobody claims them.
//! Memory is kept.
//!
//! Invariant: **a slot that can be claimed, or is, is one that is looked at.** A near one is opened after `used` was raised
//! above it; a far one after the bit of its group in `open` was set. The bit is cleared only after every slot of the group was
//! closed, which takes it from *idle*: whoever has claimed a slot keeps its group open. `used`, the bits, and the step
//! from closed to idle are changed under the lock of `growth`.
//!
//! ```text
//!   claim in group 1            closing group 1                a look for the watermark
//!   C  pin: idle → pinned       1 pins: idle → closed, each    L1 reads the bit
//!                               2 clears the bit               L2 reads the pins, if it was set
//!
//!   C before 1   that slot is not idle: no step 2, the bit stands, and L2 sees the pin
//!   1 before C   C fails, and the snapshot begins elsewhere: in a group whose bit is set by then
//!   L1 before the group is opened again, and C after that: a look that came before the pin, which is harmless
//!                (see "A trim against a begin" in the module `registry`)
//! ```
//!
//! Who looks at far pins also closes: there is nobody else for certain after a burst, and a look is what is slow then. It closes
//! while more far groups are open than four times what is needed, or any while half of the near slots would do: not what the next
//! moment opens again. And a few groups at a time, as a look is made in the commit section. Of a group that is not
//! idle as a whole it closes what is: threads come back to the slot that they used last, and move to lower groups thereby.
//!
//! A begin whose own slot is taken tries a bounded number of others, and then opens a group. Only where everything is open up to
//! the limit does it try all.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use braid_vfs::planted;
use braid_vfs::sync::tracked::{AtomicU64, AtomicUsize};
use braid_vfs::sync::{Arc, Mutex, OnceLock, thread_local};
use crossbeam_utils::CachePadded;

use super::TooManySnapshots;
use super::pin::Pin;
use super::slot::Slot;

/// Slots of a group. Few under the checkers, so that groups come and go.
const GROUP: usize = if cfg!(any(shuttle, loom)) { 2 } else { 64 };
const CHUNKS: usize = 16;
/// Groups of a word of bits.
const WORD: usize = 64;
/// Open far groups that a begin tries before it opens another.
const TRIED: usize = 2;
/// Far groups that one look closes at most.
const CLOSED_AT_ONCE: usize = 16;

/// How many slots all chunks have.
pub(super) const CAPACITY: usize = GROUP * ((1 << CHUNKS) - 1);

type Group<V> = [CachePadded<Slot<V>>];

thread_local! {
    /// The slot that this thread claimed last, in whatever registry: where it looks first.
    static LAST: Cell<usize> = const { Cell::new(0) };
}

pub(super) struct Slots<V> {
    near: Box<Group<V>>,
    /// Chunk k holds 2 << k far groups.
    chunks: [OnceLock<Box<Group<V>>>; CHUNKS - 1],
    limit: usize,
    /// How many near slots have ever been claimed.
    used: CachePadded<AtomicUsize>,
    /// How many words of `open` say something; 0 until there is a far group.
    words: AtomicUsize,
    /// A bit for each far group.
    open: Box<[AtomicU64]>,
    /// The far group in which a begin looks next. A hint.
    next: CachePadded<AtomicUsize>,
    growth: Mutex<Growth>,
}

/// Far groups, which are numbered from 0.
#[derive(Debug)]
struct Growth {
    /// How many were ever opened.
    made: usize,
    /// A bit for each: no slot of it is closed. Whatever has none has a closed slot, or was never opened.
    whole: Box<[u64]>,
    /// A bit for each: its slots may hold a view.
    with_views: Box<[u64]>,
    /// The group below which the next look closes.
    close_below: usize,
}

impl<V> Slots<V> {
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.min(CAPACITY);
        let words = limit.saturating_sub(GROUP).div_ceil(GROUP * WORD);
        Self {
            near: closed_slots(limit.min(GROUP)),
            chunks: std::array::from_fn(|_| OnceLock::new()),
            limit,
            used: CachePadded::new(AtomicUsize::new(0)),
            words: AtomicUsize::new(0),
            open: (0..words).map(|_| AtomicU64::new(0)).collect(),
            next: CachePadded::new(AtomicUsize::new(0)),
            growth: Mutex::new(Growth {
                made: 0,
                whole: vec![0; words].into(),
                with_views: vec![0; words].into(),
                close_below: 0,
            }),
        }
    }

    /// Claims a slot for a snapshot and publishes its pin.
    #[inline]
    pub(super) fn claim(&self, pin: Pin) -> Result<(usize, &Slot<V>), TooManySnapshots> {
        let last = LAST.with(Cell::get);
        if let Some(slot) = self.get(last)
            && slot.claim(pin)
        {
            return Ok((last, slot));
        }
        self.claim_another(last, pin)
    }

    #[cold]
    fn claim_another(&self, last: usize, pin: Pin) -> Result<(usize, &Slot<V>), TooManySnapshots> {
        let mut found = self
            .claim_after(last, pin)
            .or_else(|| self.claim_near(last, pin))
            .or_else(|| self.claim_far(TRIED, pin));
        loop {
            found = found.or_else(|| self.claim_new(pin)).or_else(|| self.claim_far(usize::MAX, pin));
            if let Some((index, slot)) = found {
                LAST.with(|last| last.set(index));
                return Ok((index, slot));
            }
            // Else somebody has closed what was idle in between.
            if self.first_not_whole(&self.growth.lock()).is_none() {
                return Err(TooManySnapshots { limit: self.limit });
            }
        }
    }

    /// In the rest of the far group of `last`: of many that one thread opens, the next is mostly free.
    fn claim_after(&self, last: usize, pin: Pin) -> Option<(usize, &Slot<V>)> {
        let group = (last / GROUP).checked_sub(1)?;
        claim_in(self.far(group), last % GROUP + 1, pin).map(|(at, slot)| (first_of(group) + at, slot))
    }

    fn claim_near(&self, last: usize, pin: Pin) -> Option<(usize, &Slot<V>)> {
        let used = self.near.get(..self.used.load(SeqCst))?;
        let last = if last < used.len() { last } else { 0 };
        let found = claim_in(used, last, pin).or_else(|| claim_in(used.get(..last)?, 0, pin));
        if found.is_some() || used.len() == self.near.len() {
            return found;
        }
        let _growth = self.growth.lock();
        let index = self.used.load(SeqCst);
        let slot = self.near.get(index)?;
        self.used.store(index + 1, SeqCst);
        slot.claim_closed(pin).then_some((index, slot))
    }

    /// In the next few far groups that are open.
    fn claim_far(&self, few: usize, pin: Pin) -> Option<(usize, &Slot<V>)> {
        if self.words.load(SeqCst) == 0 {
            return None;
        }
        let first = self.next.load(Relaxed);
        let open = self.open_groups(first).chain(self.open_groups(0).take_while(|group| *group < first));
        let mut tried = first;
        for group in open.take(few) {
            if let Some((at, slot)) = claim_in(self.far(group), 0, pin) {
                self.next.store(group, Relaxed);
                return Some((first_of(group) + at, slot));
            }
            tried = group + 1;
        }
        self.next.store(tried, Relaxed);
        None
    }

    /// In a far group that is opened for it.
    fn claim_new(&self, pin: Pin) -> Option<(usize, &Slot<V>)> {
        let mut growth = self.growth.lock();
        let group = self.first_not_whole(&growth)?;
        let slots = self.make(group);
        growth.made = growth.made.max(group + 1);
        let (word, bit) = bit_of(group);
        *growth.whole.get_mut(word)? |= bit;
        *growth.with_views.get_mut(word)? |= bit;
        self.words.store(self.words.load(SeqCst).max(word + 1), SeqCst);
        self.open.get(word)?.fetch_or(bit, SeqCst);
        let mut found = None;
        for (at, slot) in slots.iter().enumerate() {
            #[cfg(all(test, not(any(shuttle, loom))))]
            crate::testing::count_step();
            // Those that are not closed are claimed, or will be found by whoever looks.
            if found.is_none() && slot.claim_closed(pin) {
                found = Some((first_of(group) + at, &**slot));
            } else {
                slot.open();
            }
        }
        drop(growth);
        self.next.store(group, Relaxed);
        found
    }

    /// The lowest far group that was never opened, or has closed slots.
    fn first_not_whole(&self, growth: &Growth) -> Option<usize> {
        let zeros = growth
            .whole
            .iter()
            .enumerate()
            .flat_map(|(at, word)| ones(!word).map(move |bit| at * WORD + bit));
        zeros.into_iter().find(|group| first_of(*group) < self.limit)
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Slot<V>> {
        match self.near.get(index) {
            Some(slot) => Some(slot),
            None => self.get_far(index),
        }
    }

    #[inline(never)]
    fn get_far(&self, index: usize) -> Option<&Slot<V>> {
        let group = (index / GROUP).checked_sub(1)?;
        self.far(group).get(index % GROUP).map(|slot| &**slot)
    }

    /// The slots of a far group; none if it was never made.
    fn far(&self, group: usize) -> &Group<V> {
        let (chunk, offset) = place(group);
        let slots = self.chunks.get(chunk).and_then(OnceLock::get);
        let end = (offset + GROUP).min(slots.map_or(0, |slots| slots.len()));
        slots.and_then(|slots| slots.get(offset..end)).unwrap_or_default()
    }

    fn make(&self, group: usize) -> &Group<V> {
        let (chunk, offset) = place(group);
        if let Some(place) = self.chunks.get(chunk) {
            let rest = self.limit.saturating_sub(first_of(group) - offset);
            place.get_or_init(|| closed_slots(rest.min(GROUP << (chunk + 1))));
        }
        self.far(group)
    }

    /// The far groups from `first` on that are open now.
    fn open_groups(&self, first: usize) -> impl Iterator<Item = usize> {
        let words = self.open.get(first / WORD..self.words.load(SeqCst)).unwrap_or_default();
        let from = u64::MAX << (first % WORD);
        words.iter().enumerate().flat_map(move |(at, word)| {
            let mask = if at == 0 { from } else { u64::MAX };
            ones(word.load(SeqCst) & mask).map(move |bit| (first / WORD + at) * WORD + bit)
        })
    }

    /// Every pin of a snapshot that is open and was not revoked.
    #[inline]
    pub(super) fn each_pin(&self, mut visit: impl FnMut(Pin)) {
        let first = usize::from(planted!(SlotNotWatched));
        let used = self.used.load(SeqCst);
        for slot in self.near.get(first..used).unwrap_or_default() {
            let pin = slot.pin();
            #[cfg(all(test, not(any(shuttle, loom))))]
            crate::testing::count_step();
            if pin.counts() {
                visit(pin);
            }
        }
        if self.words.load(SeqCst) > 0 {
            self.each_far_pin(&mut visit);
        }
    }

    #[cold]
    #[inline(never)]
    fn each_far_pin(&self, visit: &mut dyn FnMut(Pin)) {
        let (mut open, mut held) = (0_usize, 0_usize);
        for group in self.open_groups(0) {
            open += 1;
            for slot in self.far(group) {
                let pin = slot.pin();
                #[cfg(all(test, not(any(shuttle, loom))))]
                crate::testing::count_step();
                held += usize::from(!pin.is_free());
                if pin.counts() {
                    visit(pin);
                }
            }
        }
        if open == 0 {
            return;
        }
        let too_many = open.saturating_sub(self.enough_for(held));
        if too_many > 0
            && let Some(mut growth) = self.growth.try_lock()
        {
            self.close_some(&mut growth, too_many);
        }
    }

    /// How many far groups may be open when so many far slots are taken: not so few that the next moment opens one again.
    fn enough_for(&self, held: usize) -> usize {
        let used = self.near.get(..self.used.load(SeqCst)).unwrap_or_default();
        let near = used.iter().filter(|slot| !slot.pin().is_free()).count();
        if near + held <= GROUP / 2 { 0 } else { 4 * held.div_ceil(GROUP) + 1 }
    }

    /// Closes up to so many far groups, downwards from where the last look left off; of those that are in use, what is idle.
    fn close_some(&self, growth: &mut Growth, many: usize) {
        let mut group = growth.close_below;
        for _ in 0..many.min(CLOSED_AT_ONCE) {
            let highest = || self.open_below(growth.made);
            let Some(next) = self.open_below(group).or_else(highest) else { break };
            group = next;
            let (word, bit) = bit_of(group);
            let slots = self.far(group);
            let in_use = slots.iter().filter(|slot| !slot.close()).count();
            if in_use < slots.len()
                && let Some(whole) = growth.whole.get_mut(word)
            {
                *whole &= !bit;
            }
            if let Some(open) = self.open.get(word)
                && (in_use == 0 || planted!(GroupClosedEarly))
            {
                open.fetch_and(!bit, SeqCst);
            }
        }
        growth.close_below = group;
    }

    /// The highest far group below `end` that is open.
    fn open_below(&self, end: usize) -> Option<usize> {
        (0..end.div_ceil(WORD)).rev().find_map(|at| {
            #[cfg(all(test, not(any(shuttle, loom))))]
            crate::testing::count_step();
            let below = if at == end / WORD { (1 << (end % WORD)) - 1 } else { u64::MAX };
            let open = self.open.get(at).map_or(0, |word| word.load(SeqCst)) & below;
            open.checked_ilog2().map(|bit| at * WORD + bit as usize)
        })
    }

    /// Every slot that can be claimed, or is.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&Slot<V>)) {
        let used = self.near.get(..self.used.load(SeqCst)).unwrap_or_default();
        used.iter().chain(self.open_groups(0).flat_map(|group| self.far(group))).for_each(|slot| visit(slot));
    }

    /// Takes out the views of slots that `is_stale` picks, and all those of closed groups, which get no more.
    pub(super) fn sweep(&self, is_stale: &dyn Fn(&Slot<V>) -> bool, dropped: &mut dyn FnMut(Arc<V>)) {
        let mut take = |slot: &Slot<V>, all: bool| {
            if (all || is_stale(slot))
                && let Some(view) = slot.take_view()
            {
                dropped(view);
            }
        };
        let used = self.near.get(..self.used.load(SeqCst)).unwrap_or_default();
        used.iter().for_each(|slot| take(slot, false));
        if self.words.load(SeqCst) > 0 {
            let in_two = planted!(SweptInTwoLooks);
            if in_two {
                self.open_groups(0).flat_map(|group| self.far(group)).for_each(|slot| take(slot, false));
            }
            for (group, is_closed) in self.groups_with_views() {
                if is_closed || !in_two {
                    self.far(group).iter().for_each(|slot| take(slot, is_closed));
                }
            }
        }
    }

    /// The far groups that may hold a view, and whether each is closed: all at one moment, so that none that is opened or
    /// closed beside it is passed over. Whoever asks takes all views out of the closed ones.
    fn groups_with_views(&self) -> Vec<(usize, bool)> {
        let mut growth = self.growth.lock();
        let mut groups = Vec::new();
        for (at, (views, open)) in growth.with_views.iter_mut().zip(&self.open).enumerate() {
            let open = open.load(SeqCst);
            groups.extend(ones(*views).map(|bit| (at * WORD + bit, open & 1 << bit == 0)));
            *views &= open;
        }
        groups
    }
}

fn closed_slots<V>(count: usize) -> Box<Group<V>> {
    (0..count).map(|_| CachePadded::new(Slot::new())).collect()
}

/// Claims one of the slots from `first` on.
fn claim_in<V>(slots: &Group<V>, first: usize, pin: Pin) -> Option<(usize, &Slot<V>)> {
    let claimed = |(_, slot): &(usize, &CachePadded<Slot<V>>)| {
        #[cfg(all(test, not(any(shuttle, loom))))]
        crate::testing::count_step();
        slot.claim(pin)
    };
    slots.iter().enumerate().skip(first).find(claimed).map(|(at, slot)| (at, &**slot))
}

/// The index of the first slot of a far group.
const fn first_of(group: usize) -> usize {
    GROUP * (group + 1)
}

/// The chunk of a far group, and where in it its slots begin.
fn place(group: usize) -> (usize, usize) {
    let chunk = (group / 2 + 1).ilog2() as usize;
    (chunk, GROUP * (group - ((2 << chunk) - 2)))
}

/// The word of a far group's bit, and the bit.
const fn bit_of(group: usize) -> (usize, u64) {
    (group / WORD, 1 << (group % WORD))
}

fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (bit < WORD).then_some(bit)
    })
}

#[cfg(test)]
#[cfg(loom)]
mod loom_schedules;
#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;

//! Generations: a slice of the row store between two checkpoints.
//!
//! A generation maps row keys to version chains. While it is active, one committer at a time adds versions to it
//! ([`InstallRights`]); once it is sealed, it does not change any more; and it goes as a whole. Nothing is ever removed
//! from its index, so a chain that was found stays where it is.
//!
//! Reading takes an epoch guard and no lock, and changes no memory that others read: no reference counts.
//!
//! Invariants
//! 1. Every version in it is later than `start_ts`.
//! 2. Versions come in commit order: `last_ts` is that of the newest one, and only rises.
//! 3. A key may have an empty chain (its transaction is still committing, or failed): nobody sees it.

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use braid_vfs::planted;
use braid_vfs::sync::Arc;
use braid_vfs::sync::atomic::{AtomicU64, AtomicUsize};
use crossbeam_utils::CachePadded;
use smallvec::SmallVec;

use crate::chain::{Chain, Pending, Pushed, Version};
use crate::epoch::Guard;
use crate::filter::KeyFilter;
use crate::index::{LANES, Row, RowIndex};
use crate::key::{Probe, RowKey};
use crate::{Found, TableId, Timestamp};

/// Freed versions wait in the thread that trimmed them; from so many bytes on they are handed over at once.
const FLUSH_BYTES: usize = 256 << 10;

/// No version is this early or late: stands for "none" in `first_ts`.
const NONE: u64 = u64::MAX;

/// A slice of the row store.
pub struct Generation {
    start_ts: Timestamp,
    /// The first commit in it, [`NONE`] as long as there is none. Written once, so that readers that ask whether
    /// they can skip it keep it in their caches.
    first_ts: AtomicU64,
    /// Asked before the index is searched for one key.
    filter: KeyFilter,
    pub(crate) index: RowIndex,
    counters: CachePadded<Counters>,
}

/// Written by the holder of the install rights alone.
#[derive(Default)]
struct Counters {
    last_ts: AtomicU64,
    version_bytes: AtomicUsize,
    rows: AtomicUsize,
}

/// The right to add versions to one generation. There is one per generation; the commit section keeps it.
#[derive(Debug)]
pub struct InstallRights {
    generation: Arc<Generation>,
}

impl InstallRights {
    /// The generation that it is for.
    #[must_use]
    pub fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// Ends the generation: with its rights gone, it never changes again. Returns it.
    #[must_use]
    pub fn seal(self) -> Arc<Generation> {
        self.generation
    }
}

/// What one installation did to the counters.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) added: usize,
    pub(crate) freed: usize,
    pub(crate) rows: usize,
}

impl Tally {
    /// Pushes one version. Returns whether the chain asks to be trimmed.
    pub(crate) fn push(
        &mut self,
        chain: &Chain,
        pending: &mut Pending,
        commit_ts: Timestamp,
        guard: &Guard,
    ) -> bool {
        let Pushed { bytes, first, trim_due } = chain.push(pending, commit_ts, guard);
        self.added += bytes;
        self.rows += usize::from(first);
        trim_due
    }
}

/// The memory of a generation to come, taken ahead: its filter is up to 4 MiB of zeros, which are not for the commit
/// section to write.
#[derive(Debug)]
pub struct UnusedGeneration {
    filter: KeyFilter,
}

impl UnusedGeneration {
    /// Memory for a generation that is made to be sealed at about `expected_bytes`, and works beyond that.
    #[must_use]
    pub fn new(expected_bytes: usize) -> Self {
        Self { filter: KeyFilter::for_bytes(expected_bytes) }
    }

    /// What it takes, in bytes, whether rows come or not.
    #[must_use]
    pub fn bytes(expected_bytes: usize) -> usize {
        KeyFilter::bytes_for(expected_bytes)
    }

    /// An empty generation for commits later than `start_ts`, and the right to install them.
    #[must_use]
    pub fn start(self, start_ts: Timestamp) -> (Arc<Generation>, InstallRights) {
        let generation = Arc::new(Generation {
            start_ts,
            first_ts: AtomicU64::new(NONE),
            filter: self.filter,
            index: RowIndex::new(),
            counters: CachePadded::default(),
        });
        let rights = InstallRights { generation: Arc::clone(&generation) };
        (generation, rights)
    }
}

/// A row that is looked up: its key, taken apart once for however many generations.
#[derive(Debug)]
pub struct Wanted<'a> {
    probe: Probe<'a>,
    hash: u64,
}

impl<'a> Wanted<'a> {
    /// The row of a key.
    #[must_use]
    #[inline]
    pub fn new(table: TableId, key: &'a [u8]) -> Self {
        let probe = Probe::new(table, key);
        let hash = probe.hash();
        Self { probe, hash }
    }

    /// The row's table.
    #[must_use]
    #[inline]
    pub fn table(&self) -> TableId {
        self.probe.table()
    }

    /// The hash of table and key, the same for as long as the process lives.
    #[must_use]
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

impl Generation {
    /// An empty generation for commits later than `start_ts`, and the right to install them. It is made to be sealed at
    /// about `expected_bytes`, and works beyond that.
    #[must_use]
    pub fn new(start_ts: Timestamp, expected_bytes: usize) -> (Arc<Self>, InstallRights) {
        UnusedGeneration::new(expected_bytes).start(start_ts)
    }

    /// Every version in it is later than this.
    #[must_use]
    pub fn start_ts(&self) -> Timestamp {
        self.start_ts
    }

    /// The newest commit in it, or `start_ts` when there is none.
    #[must_use]
    pub fn last_ts(&self) -> Timestamp {
        self.start_ts.max(Timestamp::from_stored(self.counters.last_ts.load(Acquire)))
    }

    /// About how much memory its rows occupy; what it takes without any is [`UnusedGeneration::bytes`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.index.bytes() + self.counters.version_bytes.load(Relaxed)
    }

    /// How many rows have a version in it; tombstones count.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.counters.rows.load(Relaxed)
    }

    /// Whether nothing was installed in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first_ts.load(Acquire) == NONE
    }

    /// Whether a snapshot at `at` can see anything of it. Costs a load of memory that hardly ever changes.
    ///
    /// A snapshot at `at` follows the publication of every commit up to `at`, so it cannot miss the first one here.
    #[must_use]
    #[inline]
    pub fn may_hold(&self, at: Timestamp) -> bool {
        let first = self.first_ts.load(Acquire);
        first <= at.get() && !(planted!(FirstCommitSkipped) && first == at.get())
    }

    /// Whether a row may be here. `false` is certain; it costs one look at a filter and needs no guard.
    #[must_use]
    #[inline]
    pub fn may_have(&self, wanted: &Wanted<'_>) -> bool {
        self.filter.may_hold(wanted.hash)
    }

    /// What a snapshot at `at` sees of a row here.
    pub fn get<'g>(
        &'g self,
        table: TableId,
        key: &[u8],
        at: Timestamp,
        guard: &'g Guard,
    ) -> Option<Found<'g>> {
        let wanted = Wanted::new(table, key);
        if self.may_hold(at) && self.may_have(&wanted) { self.look_up(&wanted, at, guard) } else { None }
    }

    /// The same for a row that [may be here](Self::may_have), in a generation that the snapshot
    /// [may see something of](Self::may_hold).
    pub fn look_up<'g>(&'g self, wanted: &Wanted<'_>, at: Timestamp, guard: &'g Guard) -> Option<Found<'g>> {
        let row = self.index.get(&wanted.probe, wanted.hash)?;
        let found = row.chain.read(at, guard).map(Version::found);
        found.filter(|found| !(planted!(TombstoneOverlooked) && found.value().is_none()))
    }

    /// When a row was last changed here: what a commit validates against. Also true of a sealed generation outside
    /// the commit section.
    pub fn newest(&self, table: TableId, key: &[u8], guard: &Guard) -> Option<Timestamp> {
        if self.is_empty() {
            return None;
        }
        self.find(table, key)?.chain.newest(guard).map(Version::commit_ts)
    }

    #[inline]
    fn find(&self, table: TableId, key: &[u8]) -> Option<&Row> {
        let wanted = Wanted::new(table, key);
        if self.may_have(&wanted) { self.index.get(&wanted.probe, wanted.hash) } else { None }
    }

    /// The row of a key.
    pub(crate) fn find_or_create(&self, key: &RowKey) -> &Row {
        let hash = key.hash();
        // On its way while the index is searched.
        self.filter.prefetch(hash);
        let row = self.index.get_or_insert(key, hash);
        self.filter.insert(hash);
        row
    }

    /// The rows of keys in ascending order, one after the other.
    pub(crate) fn find_or_create_all<'g, 'k>(
        &'g self,
        keys: impl Iterator<Item = &'k RowKey>,
        mut each: impl FnMut(&'g Row),
    ) {
        let mut keys = keys.peekable();
        while keys.peek().is_some() {
            let some: SmallVec<[_; LANES]> = keys
                .by_ref()
                .take(LANES)
                .map(|key| {
                    let hash = key.hash();
                    self.filter.prefetch(hash);
                    (key, hash)
                })
                .collect();
            self.index.get_or_insert_all(&some, &mut each);
            some.iter().for_each(|(_, hash)| self.filter.insert(*hash));
        }
    }

    /// Takes the installation of the commits from `first_ts` to `commit_ts` into the counters. Only the holder of the
    /// install rights calls it.
    pub(crate) fn count(&self, tally: &Tally, first_ts: Timestamp, commit_ts: Timestamp, guard: &Guard) {
        debug_assert!(first_ts > self.start_ts, "a commit goes into the generation after its predecessors'");
        let counters = &*self.counters;
        let bytes = counters.version_bytes.load(Relaxed) + tally.added;
        counters.version_bytes.store(bytes.saturating_sub(tally.freed), Relaxed);
        if tally.rows > 0 {
            counters.rows.store(counters.rows.load(Relaxed) + tally.rows, Relaxed);
        }
        debug_assert!(counters.last_ts.load(Relaxed) <= commit_ts.get(), "commits come in order");
        counters.last_ts.store(commit_ts.get(), Release);
        if self.first_ts.load(Relaxed) == NONE {
            self.first_ts.store(first_ts.get(), Release);
        }
        if tally.freed >= FLUSH_BYTES {
            guard.flush();
        }
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("start_ts", &self.start_ts)
            .field("last_ts", &self.last_ts())
            .field("rows", &self.rows())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_schedules;
#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;

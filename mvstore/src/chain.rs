//! Version chains: the history of one row, newest first, read without locks while a committer adds to it.
//!
//! ```text
//! Chain                    Version (one allocation each)
//! ┌──────────┐   ┌──────────────┐   ┌──────────────┐
//! │ head ────┼──►│ commit_ts  9 │   │ commit_ts  4 │
//! │ len      │   │ prev ────────┼──►│ prev = null  │
//! │ trim_at  │   │ len          │   │ len = tomb-  │
//! └──────────┘   │ value bytes… │   │   stone      │
//!                └──────────────┘   └──────────────┘
//! ```
//!
//! Invariants
//! 1. Commit timestamps strictly descend from the head on.
//! 2. A version that is in a chain changes only in `prev`, and there only to null (by a trim).
//! 3. Whoever swaps a pointer to a version out of a chain, and nobody else, has that version freed. Hence nothing
//!    is freed twice, whoever trims at the same time; that there is one committer at a time matters for the order of
//!    versions, not for memory safety.
//! 4. Versions are freed through the epoch, and only once no pointer from the head leads to them.
//!
//! A version is a header and its value in one allocation, behind a thin pointer: that is what [`Pointable`] is for.
#![expect(unsafe_code, reason = "versions are freed through the epoch and allocated with their values")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use braid_vfs::grow_ahead;
use braid_vfs::planted;
#[cfg(not(loom))]
use braid_vfs::prefetch;
use braid_vfs::sync::atomic::AtomicU32;
use crossbeam_epoch::Pointable;

#[cfg(not(loom))]
use crate::epoch::address_of;
use crate::epoch::{Atomic, Guard, Owned, Shared, unprotected};
use crate::{Found, Timestamp};

/// Chains shorter than this are left alone.
const TRIM_FROM: u32 = 8;

/// A checker's schedules are too short for a chain to grow, so that they trim at every push.
const TRIM_ALWAYS: bool = cfg!(any(shuttle, loom));

/// The `len` of a version without a value.
const TOMBSTONE: usize = usize::MAX;

#[cfg(not(loom))]
const CACHE_LINE: usize = 64;

/// What an allocation costs beside its bytes.
const ALLOCATION_OVERHEAD: usize = 8;

/// One value of a row, or its absence, and when that was committed.
///
/// Layout obligation: every `Version` lies in an allocation of `layout(value length)`, made by `Pointable::init`.
#[repr(C)]
pub(crate) struct Version {
    commit_ts: Timestamp,
    prev: Atomic<Version>,
    /// Length of the value, or [`TOMBSTONE`]. Never changes: it is how long the allocation is.
    len: usize,
    bytes: [u8],
}

/// The part of a version before its value, with the same layout.
#[repr(C)]
struct Header {
    commit_ts: Timestamp,
    prev: Atomic<Version>,
    len: usize,
}

/// A value to copy into a new version. Only [`Pending::new`] makes one, from a slice that outlives the call.
pub(crate) struct Source {
    bytes: *const u8,
    len: usize,
    stamp: Timestamp,
}

fn layout(len: usize) -> Option<Layout> {
    let bytes = if len == TOMBSTONE { 0 } else { len };
    let (layout, offset) = Layout::new::<Header>().extend(Layout::array::<u8>(bytes).ok()?).ok()?;
    debug_assert_eq!(offset, size_of::<Header>());
    Some(layout.pad_to_align())
}

/// A fat pointer to the version at `address`, whose value has `len` bytes.
fn fat(address: *mut u8, len: usize) -> *mut Version {
    let bytes = if len == TOMBSTONE { 0 } else { len };
    ptr::slice_from_raw_parts_mut(address, bytes) as *mut Version
}

impl Pointable for Version {
    const ALIGN: usize = align_of::<Header>();

    type Init = Source;

    unsafe fn init(source: Source) -> usize {
        let Some(layout) = layout(source.len) else { capacity_overflow() };
        grow_ahead(layout.size());
        // SAFETY: the layout is not empty, it holds a header.
        let address = unsafe { alloc(layout) };
        if address.is_null() {
            handle_alloc_error(layout);
        }
        let header = Header { commit_ts: source.stamp, prev: Atomic::null(), len: source.len };
        // SAFETY: the allocation is large enough for and aligned as the header, and nobody else knows it.
        unsafe { address.cast::<Header>().write(header) };
        if source.len != TOMBSTONE {
            // SAFETY: 1. the source holds `len` bytes (its own obligation). 2. The allocation has `len` bytes after
            // its header. 3. It is new, so they do not overlap.
            unsafe { ptr::copy_nonoverlapping(source.bytes, address.add(size_of::<Header>()), source.len) };
        }
        address.expose_provenance()
    }

    unsafe fn deref<'a>(address: usize) -> &'a Self {
        let address = ptr::with_exposed_provenance_mut::<u8>(address);
        // SAFETY: 1. the caller has it from `init`, so a header lies there and `len` bytes after it. 2. `len` never
        // changes after `init`, so this plain read races with nothing. 3. The caller keeps the version alive for
        // `'a` and unshared with `deref_mut`.
        unsafe { &*fat(address, (&raw const (*address.cast::<Header>()).len).read()) }
    }

    unsafe fn deref_mut<'a>(address: usize) -> &'a mut Self {
        let address = ptr::with_exposed_provenance_mut::<u8>(address);
        // SAFETY: as in `deref`, and the caller has the version to itself for `'a`.
        unsafe { &mut *fat(address, (&raw const (*address.cast::<Header>()).len).read()) }
    }

    unsafe fn drop(address: usize) {
        let address = ptr::with_exposed_provenance_mut::<u8>(address);
        // SAFETY: the caller has it from `init` and to itself.
        let len = unsafe { (&raw const (*address.cast::<Header>()).len).read() };
        if let Some(layout) = layout(len) {
            // SAFETY: `init` allocated it with the layout for this `len`. No field needs to be dropped: `prev` does
            // not own what it points to.
            unsafe { dealloc(address, layout) };
        }
    }
}

#[cold]
fn capacity_overflow() -> ! {
    // A slice as long as this cannot exist beside anything else in the address space.
    panic!("a value fills the address space")
}

impl Version {
    pub(crate) fn commit_ts(&self) -> Timestamp {
        self.commit_ts
    }

    pub(crate) fn found(&self) -> Found<'_> {
        if self.len == TOMBSTONE { Found::Tombstone } else { Found::Value(&self.bytes) }
    }

    /// Bytes of memory that it occupies.
    pub(crate) fn footprint(&self) -> usize {
        size_of_val(self) + ALLOCATION_OVERHEAD
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.found(), self.commit_ts)
    }
}

/// A version that is not committed yet: a write set's value, in the form that a chain takes without copying it.
///
/// Empty once [`Chain::push`] has taken its version. Points to a version that it alone owns, or to nothing.
pub(crate) struct Pending(Atomic<Version>);

impl Pending {
    /// A version of `value`, `None` for a tombstone.
    pub(crate) fn new(value: Option<&[u8]>) -> Self {
        Self::stamped(value, Timestamp::ZERO)
    }

    /// The same with a number of the owner's, which stands where the timestamp of the commit will.
    pub(crate) fn stamped(value: Option<&[u8]>, stamp: Timestamp) -> Self {
        let source = match value {
            Some(bytes) => Source { bytes: bytes.as_ptr(), len: bytes.len(), stamp },
            None => Source { bytes: ptr::null(), len: TOMBSTONE, stamp },
        };
        Self(Atomic::init(source))
    }

    /// See [`stamped`](Self::stamped).
    pub(crate) fn stamp(&self) -> Timestamp {
        self.version().map_or(Timestamp::ZERO, Version::commit_ts)
    }

    /// The version, unless a chain has taken it.
    pub(crate) fn version(&self) -> Option<&Version> {
        // SAFETY: 1. the version is ours alone, so it lives as long as we are not changed, which the borrow rules
        // out. 2. Nobody else frees or changes it, so no epoch is needed.
        unsafe { self.0.load(Relaxed, unprotected()).as_ref() }
    }

    #[inline]
    fn take(&mut self) -> Option<Owned<Version>> {
        // Not a swap: that would lock the bus, for a pointer which nobody else knows.
        // SAFETY: the pointer is not followed.
        let taken = self.0.load(Relaxed, unsafe { unprotected() });
        self.0.store(Shared::null(), Relaxed);
        // SAFETY: 1. `&mut self`: nobody else uses the pointer. 2. It is taken out, so it is owned once.
        unsafe { taken.try_into_owned() }
    }
}

impl Drop for Pending {
    #[inline]
    fn drop(&mut self) {
        if let Some(version) = self.take() {
            drop_version(version);
        }
    }
}

/// Of a write that was not committed, or not the last one of its row. Apart, so that the end of a write set whose versions
/// were all taken stays small.
#[inline(never)]
fn drop_version(version: Owned<Version>) {
    drop(version);
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.version().map(Version::found).fmt(f)
    }
}

/// The versions of one row, newest first.
pub(crate) struct Chain {
    head: Atomic<Version>,
    /// How many versions there are; only a committer touches it.
    len: AtomicU32,
    /// The length at which trimming is tried again.
    trim_at: AtomicU32,
}

/// What a push did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pushed {
    /// Bytes that the version occupies.
    pub(crate) bytes: usize,
    /// The chain was empty before.
    pub(crate) first: bool,
    /// The chain has grown enough for a [`Chain::trim`] to pay.
    pub(crate) trim_due: bool,
}

/// What a trim cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trimmed {
    pub(crate) versions: usize,
    pub(crate) bytes: usize,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self { head: Atomic::null(), len: AtomicU32::new(0), trim_at: AtomicU32::new(TRIM_FROM) }
    }

    /// Whether it has no version yet: once it has one it always has.
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: the pointer is compared with null, and not followed.
        unsafe { self.head.load(Relaxed, unprotected()).is_null() }
    }

    /// The newest version.
    pub(crate) fn newest<'g>(&'g self, guard: &'g Guard) -> Option<&'g Version> {
        // SAFETY: 1. what `head` points to was published with Release, so its content is visible. 2. It is freed
        // only after this guard is dropped (invariant 4), or with the chain, which `'g` keeps borrowed. 3. No
        // version in a chain is ever mutably borrowed (invariant 2).
        unsafe { self.head.load(Acquire, guard).as_ref() }
    }

    /// Has the processor load the start of the newest version: as much as most of them have. Of no interest to a checker.
    #[inline]
    #[cfg(not(loom))]
    pub(crate) fn prefetch(&self, guard: &Guard) {
        let version = address_of(self.head.load(Relaxed, guard));
        prefetch(version);
        prefetch(version.wrapping_add(CACHE_LINE));
        prefetch(version.wrapping_add(2 * CACHE_LINE));
    }

    #[cfg(loom)]
    pub(crate) fn prefetch(&self, _guard: &Guard) {}

    /// The same for a chain that is dropped soon: of the version its header.
    #[inline]
    #[cfg(not(loom))]
    pub(crate) fn prefetch_to_drop(&self) {
        // SAFETY: the pointer is not followed.
        prefetch(address_of(self.head.load(Relaxed, unsafe { unprotected() })));
    }

    #[cfg(loom)]
    pub(crate) fn prefetch_to_drop(&self) {}

    /// The version that a snapshot at `at` reads: the newest one that is not later.
    pub(crate) fn read<'g>(&'g self, at: Timestamp, guard: &'g Guard) -> Option<&'g Version> {
        let mut version = self.newest(guard)?;
        while version.commit_ts > at && !planted!(NewerVersionRead) {
            // SAFETY: as in `newest`; an older version was published with or before the one that leads to it.
            version = unsafe { version.prev.load(Acquire, guard).as_ref() }?;
        }
        Some(version)
    }

    /// Puts a version at the head, which must be older than `commit_ts`. Does nothing with an empty `pending`.
    pub(crate) fn push(&self, pending: &mut Pending, commit_ts: Timestamp, guard: &Guard) -> Pushed {
        let Some(mut version) = pending.take() else {
            debug_assert!(false, "a version is installed once");
            return Pushed { bytes: 0, first: false, trim_due: false };
        };
        version.commit_ts = commit_ts;
        let bytes = version.footprint();
        let mut head = self.head.load(Acquire, guard);
        loop {
            // SAFETY: as in `newest`.
            let newest = unsafe { head.as_ref() };
            debug_assert!(newest.is_none_or(|newest| newest.commit_ts < commit_ts), "commits come in order");
            version.prev.store(head, Relaxed);
            // Release: a reader that finds the version finds its content. One committer at a time means that this
            // succeeds at once; it is a compare-exchange so that safety does not hang on that.
            match self.head.compare_exchange(head, version, Release, Acquire, guard) {
                Ok(_) => break,
                Err(lost) => (head, version) = (lost.current, lost.new),
            }
        }
        let len = self.len.load(Relaxed).saturating_add(1);
        self.len.store(len, Relaxed);
        Pushed { bytes, first: head.is_null(), trim_due: TRIM_ALWAYS || len >= self.trim_at.load(Relaxed) }
    }

    /// Cuts off every version that no snapshot at or after `watermark` reads: all that are older than the newest one
    /// at or before it.
    ///
    /// Walks the versions that stay, and says by `trim_at` that the next walk pays once their number has doubled: a
    /// push costs one step of a walk on average, however many versions a long reader keeps.
    pub(crate) fn trim(&self, watermark: Timestamp, guard: &Guard) -> Trimmed {
        let mut trimmed = Trimmed::default();
        let mut kept = 0;
        let mut last = self.newest(guard);
        while let Some(version) = last {
            kept += 1;
            if version.commit_ts <= watermark || planted!(TrimmedTooFar) {
                break;
            }
            // SAFETY: as in `newest`.
            last = unsafe { version.prev.load(Acquire, guard).as_ref() };
        }
        if let Some(version) = last {
            let mut cut = version.prev.swap(Shared::null(), AcqRel, guard);
            // SAFETY: as in `newest`.
            while let Some(version) = unsafe { cut.as_ref() } {
                trimmed.versions += 1;
                trimmed.bytes += version.footprint();
                let next = version.prev.swap(Shared::null(), AcqRel, guard);
                // SAFETY: 1. the pointer came out of the chain by a swap, so it is destroyed once (invariant 3).
                // 2. From here on nobody who pins can reach it: the one pointer to it is gone. 3. Versions are
                // `Send`, so any thread may free it.
                unsafe { guard.defer_destroy(cut) };
                cut = next;
            }
        }
        self.len.store(kept, Relaxed);
        self.trim_at.store(kept.saturating_mul(2).max(TRIM_FROM), Relaxed);
        trimmed
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // SAFETY: `&mut self`, so that nobody reads the chain, and whoever read it before has given up its borrow.
        let guard = unsafe { unprotected() };
        let mut next = self.head.swap(Shared::null(), Relaxed, guard);
        // SAFETY: 1. each pointer is taken out of its place before it is owned, so it is owned once. 2. Nobody else
        // can reach it.
        while let Some(version) = unsafe { next.try_into_owned() } {
            next = version.prev.load(Relaxed, guard);
        }
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_schedules;
#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;

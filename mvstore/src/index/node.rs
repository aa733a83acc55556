//! Rows, blocks and nodes as they lie in memory.
#![expect(unsafe_code, reason = "they point to each other, and lie in memory that is given back as a whole")]

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::ptr::NonNull;

use braid_vfs::sync::atomic::{AtomicPtr, AtomicU64};
use smallvec::SmallVec;

use super::order::Order;
use super::whole::Whole;
use super::{RowIndex, SLOTS};
use crate::TableId;
use crate::chain::Chain;
use crate::key::{Probe, RowKey};

/// The low bits of a pointer to a row, which are free.
pub(super) const TAG: usize = align_of::<Row>() - 1;

/// A key of a generation, and the versions of its row.
#[repr(C, align(64))]
pub(crate) struct Row {
    pub(crate) key: RowKey,
    pub(crate) chain: Chain,
    pub(super) whole: Whole,
}

impl Row {
    pub(super) fn new(key: RowKey) -> Self {
        Self { key, chain: Chain::new(), whole: Whole::new() }
    }
}

// An `AtomicPtr` may be shared whatever it points to, so the compiler does not ask this of an index.
#[cfg(not(loom))]
const _: () = {
    const fn may_be_shared<T: Send + Sync>() {}
    may_be_shared::<Row>();
    may_be_shared::<RowKey>();
};

/// Pointers to rows with their tags; null from the first free one on. Two lines of the processor's cache.
pub(super) struct Block {
    pub(super) slots: [AtomicPtr<Row>; SLOTS],
    /// An [`Order`] of the first rows, as somebody has found it who needed one.
    pub(super) order: AtomicU64,
    pub(super) whole: Whole,
}

impl Block {
    /// One with so many rows as the order says.
    pub(super) fn new(slots: [AtomicPtr<Row>; SLOTS], order: Order) -> Self {
        Self { slots, order: AtomicU64::new(order.0), whole: Whole::new() }
    }
}

/// A row of an index that outlives `'i`.
#[derive(Clone, Copy)]
pub(super) struct Stored<'i> {
    /// Not a reference, as the index drops the row by it in the end.
    pub(super) row: NonNull<Row>,
    pub(super) index: PhantomData<&'i RowIndex>,
}

/// Rows of one block in key order.
pub(super) type Rows<'i> = SmallVec<[Stored<'i>; SLOTS]>;

/// A node in memory. Layout obligation: the pointers of its tower follow it, one for each level that it is on
/// or is to be linked on.
#[repr(C)]
pub(super) struct NodeHeader {
    pub(super) first: RowKey,
    pub(super) block: AtomicPtr<Block>,
    pub(super) whole: Whole,
    pub(super) tower: [AtomicPtr<NodeHeader>; 0],
}

/// A node of an index that outlives `'i`.
#[derive(Clone, Copy)]
pub(super) struct Node<'i> {
    /// Not a reference, which would not reach the tower.
    pub(super) header: NonNull<NodeHeader>,
    pub(super) index: PhantomData<&'i RowIndex>,
}

impl<'i> Stored<'i> {
    /// # Safety
    /// `tagged` is null, or leads to a whole row of an index that outlives `'i`.
    #[inline]
    pub(super) unsafe fn new(tagged: *mut Row) -> Option<Self> {
        NonNull::new(tagged.map_addr(|address| address & !TAG)).map(|row| Self { row, index: PhantomData })
    }

    #[inline]
    pub(super) fn get(self) -> &'i Row {
        // SAFETY: the row is whole and lives for `'i`; it is borrowed mutably only when it is dropped.
        let row = unsafe { self.row.as_ref() };
        row.whole.look();
        row
    }

    #[inline]
    pub(super) fn key(self) -> &'i Probe<'i> {
        self.get().key.borrow()
    }

    /// The pointer to it that a slot holds.
    #[inline]
    pub(super) fn tagged(self, hash: u64) -> *mut Row {
        self.row.as_ptr().map_addr(|address| address | tag_of(hash))
    }

    /// Drops what is in the row, which stays as one that nobody ever comes to: a place is not taken twice.
    ///
    /// # Safety
    /// Nobody else uses the row, and nobody looks at it afterwards but the drop of the index.
    pub(super) unsafe fn vacate(self) {
        // SAFETY: the caller's obligation.
        unsafe { *self.row.as_ptr() = Row::new(RowKey::new(TableId(0), &[])) };
    }
}

impl<'i> Node<'i> {
    /// # Safety
    /// `header` is null, or of a whole node of an index that outlives `'i`.
    #[inline]
    pub(super) unsafe fn new(header: *mut NodeHeader) -> Option<Self> {
        NonNull::new(header).map(|header| Self { header, index: PhantomData })
    }

    /// The first key that it may hold.
    #[inline]
    pub(super) fn first(self) -> &'i Probe<'i> {
        // SAFETY: the node is whole, lives for `'i`, and its key never changes.
        let header = unsafe { self.header.as_ref() };
        header.whole.look();
        header.first.borrow()
    }

    /// # Safety
    /// The node was made with a pointer for this level.
    #[inline]
    pub(super) unsafe fn pointer(self, level: usize) -> &'i AtomicPtr<NodeHeader> {
        // SAFETY: 1. the pointers follow the header (layout obligation), and were written when it was made. 2. `header` is
        // the arena's pointer, which may be used for all of the node's memory.
        unsafe { &*(&raw const (*self.header.as_ptr()).tower).cast::<AtomicPtr<NodeHeader>>().add(level) }
    }
}

/// What the pointer to a row of this hash is marked with.
#[inline]
pub(super) fn tag_of(hash: u64) -> usize {
    // The filter uses the low bits and the upper half.
    (hash >> 20) as usize & TAG
}

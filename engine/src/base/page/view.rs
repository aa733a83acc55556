//! A page in memory: bytes that were checked, and what its header says, in one piece.

use std::cmp::Ordering as Order;
use std::ops::Range;

use braid_vfs::grow_ahead;
use braid_vfs::sync::atomic::{AtomicBool, Ordering};
use triomphe::ThinArc;

use super::header::{HEADER_BYTES, SLOT_BYTES};
use crate::base::ids::{PageGeneration, PageId, StoreNumber, TreeId};
use crate::base::refs::{ChildRef, OverflowRef};

const OVERFLOW_FLAG: u16 = 1 << 15;
/// Where in a slot the length is.
const LEN_IN_SLOT: usize = 6;

/// A checked, immutable page of the database file. Clones are the same page: they share its memory and count its holders.
///
/// It is a pointer to one allocation: the count, what a search needs to know first, and the bytes right behind them, so
/// that a reader waits for memory once before it searches.
#[derive(Clone, Debug)]
pub struct Page(pub(super) ThinArc<Description, u8>);

/// What is known of a page's bytes. With the count before it and the length behind it, it has the size of a line of the
/// processor's cache.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) store: StoreNumber,
    /// What a parent says of it, field by field: so all of this fits.
    pub(super) page: PageId,
    pub(super) checksum: u32,
    pub(super) generation: PageGeneration,
    pub(super) rows: u64,
    pub(super) overflow: bool,
    /// Whether it was used since the cache last looked.
    pub(super) used: AtomicBool,
    pub(super) level: u8,
    pub(super) tree: TreeId,
    /// Rows of a leaf, children of a branch.
    pub(super) entries: u16,
    /// Where the slots start: behind the header and the prefix.
    pub(super) slots_at: u16,
    /// Where the slots end, and the references to children start in a branch.
    pub(super) children_at: u16,
    pub(super) end: u16,
}

impl Description {
    /// What a parent says of the page.
    #[inline]
    pub(super) fn reference(&self) -> ChildRef {
        let Self { page, checksum, generation, rows, overflow, .. } = *self;
        ChildRef { page, checksum, generation, rows, overflow }
    }
}

/// What an allocation holds besides the bytes: the count, the description, the length.
const OVERHEAD_BYTES: usize = size_of::<usize>() + size_of::<Description>() + size_of::<usize>();

// The atomics of the model checkers are larger.
#[cfg(all(target_pointer_width = "64", not(any(shuttle, loom))))]
const _: () = assert!(OVERHEAD_BYTES == 64);

/// A value as its leaf has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Inline(&'a [u8]),
    Overflow(OverflowRef),
}

/// Where a row is in its leaf, to be looked up once for its key and its value.
///
/// The numbers are as small as a page allows, so that one may be added to another without a look whether that goes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowPlace {
    start: u32,
    key_end: u32,
    end: u32,
    overflow: bool,
}

impl RowPlace {
    /// Whether the value is a reference to an overflow run.
    #[inline]
    pub(crate) fn has_long_value(&self) -> bool {
        self.overflow
    }

    /// Where in the page it starts.
    #[inline(always)]
    pub(super) fn start(&self) -> usize {
        self.start as usize
    }

    /// How long the key is behind the prefix.
    #[inline]
    pub(crate) fn suffix_len(&self) -> usize {
        (self.key_end - self.start) as usize
    }

    #[inline(always)]
    fn value_range(&self) -> Range<usize> {
        self.key_end as usize..self.end as usize
    }
}

/// What a slot says: where the key starts, its length, and whether the value is a reference to an overflow run.
#[inline(always)]
pub(super) fn decode_slot(slot: &[u8; SLOT_BYTES]) -> (u32, u32, bool) {
    let [.., offset_low, offset_high, len_low, len_high] = *slot;
    let offset = u16::from_le_bytes([offset_low, offset_high]);
    let (len, overflow) = decode_len(u16::from_le_bytes([len_low, len_high]));
    (u32::from(offset), len, overflow)
}

#[inline(always)]
fn decode_len(len: u16) -> (u32, bool) {
    (u32::from(len & !OVERFLOW_FLAG), len & OVERFLOW_FLAG != 0)
}

impl Page {
    #[inline]
    pub(super) fn description(&self) -> &Description {
        &self.0.header.header
    }

    /// The page's number in the file.
    #[must_use]
    pub fn id(&self) -> PageId {
        self.description().page
    }

    /// The checkpoint that wrote it. A page id is used again in time, but the two together name one content while a file is
    /// open: a generation is not tried twice.
    #[must_use]
    pub fn generation(&self) -> PageGeneration {
        self.description().generation
    }

    /// The memory that it takes, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.bytes().len() + OVERHEAD_BYTES
    }

    /// Remembers that the page was used. It writes to memory only when that was not known.
    pub fn mark_used(&self) {
        if !self.description().used.load(Ordering::Relaxed) {
            self.description().used.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets that the page was used, and says whether it was.
    pub fn take_used(&self) -> bool {
        let was = self.description().used.load(Ordering::Relaxed);
        if was {
            self.description().used.store(false, Ordering::Relaxed);
        }
        was
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.description().level == 0
    }

    pub(crate) fn level(&self) -> u8 {
        self.description().level
    }

    #[inline]
    pub(crate) fn entries(&self) -> usize {
        usize::from(self.description().entries)
    }

    /// Where the slots are.
    #[inline]
    pub(super) fn slots_range(&self) -> Range<usize> {
        usize::from(self.description().slots_at)..usize::from(self.description().children_at)
    }

    /// Where the used bytes end.
    #[inline]
    pub(crate) fn end(&self) -> usize {
        usize::from(self.description().end)
    }

    pub(crate) fn reference(&self) -> ChildRef {
        self.description().reference()
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0.slice
    }

    #[inline]
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.bytes()[HEADER_BYTES..usize::from(self.description().slots_at)]
    }

    /// How long the prefix is.
    #[inline]
    pub(crate) fn prefix_len(&self) -> usize {
        usize::from(self.description().slots_at).saturating_sub(HEADER_BYTES)
    }

    /// The slots.
    #[inline(always)]
    pub(super) fn slots(&self) -> &[[u8; SLOT_BYTES]] {
        self.bytes()[self.slots_range()].as_chunks().0
    }

    /// Where a row is.
    #[inline(always)]
    pub(crate) fn row_place(&self, row: usize) -> RowPlace {
        let (start, key_len, overflow) = decode_slot(self.slot(row));
        RowPlace { start, key_end: start + key_len, end: self.row_end(row), overflow }
    }

    /// Where the row behind one is, which starts where that ends; `None` where it takes more than a look to say so.
    #[inline(always)]
    pub(crate) fn place_behind(&self, before: &RowPlace, row: usize) -> Option<RowPlace> {
        // The end of its slot and the start of the next one's, at once.
        let at = usize::from(self.description().slots_at) + row * SLOT_BYTES + LEN_IN_SLOT;
        let [len_low, len_high, _, _, _, _, next_low, next_high] = *self.bytes().get(at..)?.first_chunk()?;
        let (key_len, overflow) = decode_len(u16::from_le_bytes([len_low, len_high]));
        let next = u16::from_le_bytes([next_low, next_high]);
        let end = if row + 1 < self.entries() { next } else { self.description().end };
        Some(RowPlace { start: before.end, key_end: before.end + key_len, end: u32::from(end), overflow })
    }

    /// Where the row before one is, which ends where that starts.
    #[inline(always)]
    pub(crate) fn place_before(&self, behind: &RowPlace, row: usize) -> RowPlace {
        let (start, key_len, overflow) = decode_slot(self.slot(row));
        RowPlace { start, key_end: start + key_len, end: behind.start, overflow }
    }

    /// Where a row ends: where the next one starts.
    #[inline(always)]
    fn row_end(&self, row: usize) -> u32 {
        if row + 1 < self.entries() {
            decode_slot(self.slot(row + 1)).0
        } else {
            u32::from(self.description().end)
        }
    }

    /// One of the slots.
    #[inline(always)]
    fn slot(&self, slot: usize) -> &[u8; SLOT_BYTES] {
        let at = usize::from(self.description().slots_at) + slot * SLOT_BYTES;
        match self.bytes()[at..].first_chunk() {
            Some(slot) => slot,
            None => unreachable!("the slots lie in the page"),
        }
    }

    /// So many bytes from a row on, if the page has them.
    #[inline(always)]
    pub(crate) fn bytes_from<const N: usize>(&self, place: &RowPlace) -> Option<&[u8; N]> {
        let start = place.start as usize;
        self.bytes().get(start..start + N)?.first_chunk()
    }

    /// A row's key without the prefix.
    pub(crate) fn suffix_at(&self, place: &RowPlace) -> &[u8] {
        &self.bytes()[place.start as usize..place.key_end as usize]
    }

    /// The value of a row.
    #[inline]
    pub(crate) fn value_at(&self, place: &RowPlace) -> Value<'_> {
        let body = &self.bytes()[place.value_range()];
        if place.overflow { Value::Overflow(OverflowRef::decode(body)) } else { Value::Inline(body) }
    }

    /// The value of a row that lies in the leaf.
    #[inline(always)]
    pub(crate) fn short_value_at(&self, place: &RowPlace) -> Option<&[u8]> {
        if place.overflow { None } else { self.bytes().get(place.value_range()) }
    }

    /// Compares the key of a slot with another one.
    pub(crate) fn compare_key(&self, slot: usize, key: &[u8]) -> Order {
        let prefix = self.prefix();
        match key.get(..prefix.len()) {
            Some(start) => prefix.cmp(start).then_with(|| self.suffix(slot).cmp(&key[prefix.len()..])),
            None => prefix.cmp(key),
        }
    }

    /// Where the key of a slot is, without the prefix.
    pub(super) fn suffix_range(&self, slot: usize) -> Range<usize> {
        let (offset, len, _) = decode_slot(&self.slots()[slot]);
        offset as usize..(offset + len) as usize
    }

    /// The key of a slot, without the prefix.
    pub(crate) fn suffix(&self, slot: usize) -> &[u8] {
        &self.bytes()[self.suffix_range(slot)]
    }

    /// Puts the prefix and a slot's key into `key`.
    pub(crate) fn copy_key(&self, slot: usize, key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(self.prefix());
        key.extend_from_slice(self.suffix(slot));
    }

    /// Where a row's value is, and whether it is a reference to an overflow run.
    pub(super) fn body_range(&self, row: usize) -> (Range<usize>, bool) {
        let place = self.row_place(row);
        (place.value_range(), place.overflow)
    }

    /// A row's value or reference as bytes, and whether it is a reference.
    pub(crate) fn body(&self, row: usize) -> (&[u8], bool) {
        let (range, overflow) = self.body_range(row);
        (&self.bytes()[range], overflow)
    }

    /// A row's value.
    pub(crate) fn value(&self, row: usize) -> Value<'_> {
        self.value_at(&self.row_place(row))
    }

    /// Where a row's value starts, if it lies in the leaf and has this length.
    pub(crate) fn short_value_of(&self, row: usize, len: usize) -> Option<usize> {
        let (range, overflow) = self.body_range(row);
        (!overflow && range.len() == len).then_some(range.start)
    }

    /// A branch's reference to a child.
    pub(crate) fn child(&self, index: usize) -> ChildRef {
        let at = self.child_at(index);
        ChildRef::decode(&self.bytes()[at..at + ChildRef::BYTES])
    }

    /// Where a branch's reference to a child is.
    pub(crate) fn child_at(&self, index: usize) -> usize {
        usize::from(self.description().children_at) + index * ChildRef::BYTES
    }

    /// Where a row's reference to an overflow run is, if it has one.
    pub(crate) fn overflow_at(&self, row: usize) -> Option<usize> {
        let (range, overflow) = self.body_range(row);
        overflow.then_some(range.start)
    }

    /// Puts the separator before a child into `key`. The first child has none.
    pub(crate) fn copy_separator(&self, child: usize, key: &mut Vec<u8>) {
        debug_assert!(child > 0, "the first child has no separator of its own");
        self.copy_key(child - 1, key);
    }
}

impl Page {
    /// What stands in a cache's slot that holds no page: its id is no page's.
    pub(crate) fn nothing() -> Self {
        Self::with_bytes(&[])
    }

    /// Bytes that are no page's, under an id that is none.
    pub(super) fn with_bytes(bytes: &[u8]) -> Self {
        let page = PageId(u32::MAX);
        let generation = PageGeneration(0);
        let description = Description {
            store: StoreNumber::NONE,
            page,
            checksum: 0,
            generation,
            rows: 0,
            overflow: false,
            used: AtomicBool::new(false),
            level: 0,
            tree: TreeId::DIRECTORY,
            entries: 0,
            slots_at: 0,
            children_at: 0,
            end: 0,
        };
        grow_ahead(bytes.len());
        Self(ThinArc::from_header_and_slice(description, bytes))
    }
}

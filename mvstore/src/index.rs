//! A generation's ordered index of its rows: a skip list of blocks that only grows, and takes no locks.
//!
//! ```text
//! level 1   head ─────────────────────► k ─────────────────────►
//! level 0   head ──────► d ───────────► k ─────► s ────────────►      nodes, each with the first key that it may hold
//!            │           │              │        │
//!          c a b       f d h e        m k      u s t                  blocks of rows, in the order in which they came
//! ```
//!
//! What makes a search slow is misses of the processor's cache. A list of all rows costs one for each row that it looks
//! at. Here a search goes along few nodes, which stay in the cache, to one block, and looks there at tags: six bits of the
//! hash of a key in each pointer. So it looks at the row that it is after and hardly at any other, and one that puts in a
//! row at none.
//!
//! Nodes, blocks and rows are never removed and go as a whole with the [`Arena`] that they lie in. So a row that was found
//! stays where it is as long as the index is borrowed: no reference counts, no epoch.
//!
//! # Invariants
//!
//! 1. The keys of the nodes strictly ascend on each level. A node is on level 0 before it is on any other, so level 0 has
//!    them all; the others only make searches short.
//! 2. A pointer is stored with Release, after what it leads to is whole, and loaded with Acquire. Keys never change.
//! 3. The slots of a block are taken from the first on, each once, by a compare-exchange. So whoever looks for a key up to
//!    the first free slot, and takes that, has put in a row that is not there; and the slots of a full block never change again.
//! 4. A new node comes only out of a full block, which is *split*: first the node with the upper half of the rows is
//!    linked, then the lower half takes the full block's place. Where the rows of the block came in key order, and so the
//!    next ones are likely to come behind them, an empty node right behind them is linked before, and the split is
//!    left until somebody needs room among them. What is done, and in which order, follows from the rows of the block alone
//!    and not from the key that room is made for. So whoever does the same late finds each step done, and has no effect;
//!    a step that only some would take could come after rows were put where another step said.
//! 5. A row is where the last node at or before its key says, or, while that is being split, also in the node behind:
//!    whoever has loaded a block looks at the node's successor *afterwards*, and leaves to that what belongs there.
//!
//! Who has been told of a row's commit finds the row: that comes after the row was put into a block of its node, and so
//! after that node was linked; it sees both. A block that it finds without the row would be one that the node no longer had,
//! or not yet, and then it sees the split's node first.
//!
//! # Where a search starts
//!
//! Keys often ascend: the next one belongs near the last. Each thread remembers the node where it was last, by table, and
//! looks there first. The node may be gone with its index, so it comes with the index's number, which no other index has.
//! The rows that it was at last it remembers themselves (`recent.rs`).
#![expect(unsafe_code, reason = "nodes point to each other, and lie in memory that is given back as a whole")]

mod arena;
mod node;
mod order;
mod recent;
mod search;
mod together;
mod walk;
mod whole;

use std::borrow::Borrow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicPtr, AtomicUsize};
use braid_vfs::sync::thread_local;
use crossbeam_utils::CachePadded;

use self::arena::Arena;
pub(crate) use self::node::Row;
use self::node::{Block, Node, NodeHeader, Stored, TAG, tag_of};
use self::order::Order;
use self::search::Position;
pub(crate) use self::together::LANES;
pub(crate) use self::walk::{Backward, Forward, Rest, Start};
use self::whole::Whole;
use crate::TableId;
use crate::key::{Probe, RowKey};

/// A checker's schedules are too short for large blocks and high towers.
const CHECKED: bool = cfg!(any(shuttle, loom));

/// Rows of a block.
const SLOTS: usize = if CHECKED { 2 } else { 15 };

/// How many rows before it is dropped a row's version is asked for.
const DROPPED_AHEAD: usize = 8;

/// Levels at most: enough for 4¹⁰ blocks.
const LEVELS: usize = if CHECKED { 2 } else { 10 };

/// How many tables a thread remembers its place in.
const TABLES: usize = 4;

/// See the module.
pub(crate) struct RowIndex {
    /// Tells indexes apart.
    number: u64,
    /// What holds the keys before the first node's; null as long as there is none.
    block: AtomicPtr<Block>,
    head: [AtomicPtr<NodeHeader>; LEVELS],
    /// No node is on this level or above; a hint of where a search may start.
    height: AtomicUsize,
    growth: CachePadded<Growth>,
    /// Rows and nothing else, so that they can be dropped in the order in which they came.
    rows: CachePadded<Arena>,
    /// Of blocks.
    arena: CachePadded<Arena>,
    /// Of the nodes alone: a search goes along many of them, and so finds them in few pages.
    nodes: CachePadded<Arena>,
}

/// What those who put in change: not beside what every search reads.
#[derive(Default)]
struct Growth {
    /// Nodes that were begun. Not a step of a checker's schedules, each of which counts the same again.
    nodes: AtomicU64,
    /// Bytes of keys outside of the arena.
    key_bytes: AtomicUsize,
}

/// A node that a thread was at, and the number of its index.
#[derive(Clone, Copy)]
struct Place {
    index: u64,
    node: *mut NodeHeader,
}

thread_local! {
    /// Where a thread was last, by table.
    static PLACES: [Cell<Place>; TABLES] =
        const { [const { Cell::new(Place { index: 0, node: ptr::null_mut() }) }; TABLES] };
}

/// Numbers of indexes, from 1 on.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

// What `make_row`, `make_block` and `make_node` rely on: the arena hands out whole lines.
const _: () = {
    assert!(align_of::<Row>() == arena::LINE && align_of::<Block>() <= arena::LINE);
    assert!(align_of::<NodeHeader>() <= arena::LINE);
};

/// Which of its places a thread remembers for a table.
#[inline]
fn place_of(table: TableId) -> usize {
    table.0 as usize % TABLES
}

/// What a look through a block for a key found.
enum Found<'i> {
    Row(Stored<'i>),
    /// The key is not there, and this is the first free slot.
    Free(usize),
    Full,
}

impl RowIndex {
    pub(crate) fn new() -> Self {
        Self {
            number: NUMBERS.fetch_add(1, Relaxed),
            block: AtomicPtr::new(ptr::null_mut()),
            head: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            height: AtomicUsize::new(1),
            growth: CachePadded::default(),
            rows: CachePadded::new(Arena::new()),
            arena: CachePadded::new(Arena::new()),
            nodes: CachePadded::new(Arena::new()),
        }
    }

    /// Bytes that its rows and nodes occupy, versions not included.
    pub(crate) fn bytes(&self) -> usize {
        let arenas = [&self.rows, &self.arena, &self.nodes];
        arenas.iter().map(|arena| arena.bytes()).sum::<usize>() + self.growth.key_bytes.load(Relaxed)
    }

    /// How many rows there are.
    #[cfg(all(test, not(any(shuttle, loom))))]
    pub(crate) fn len(&self) -> usize {
        self.forward(std::ops::Bound::Unbounded).count()
    }

    /// The row with this key, whose hash is `hash`.
    #[inline]
    pub(crate) fn get(&self, key: &Probe<'_>, hash: u64) -> Option<&Row> {
        if let Some(row) = self.recent(key, hash) {
            return Some(row);
        }
        self.search_row(key, hash)
    }

    fn search_row(&self, key: &Probe<'_>, hash: u64) -> Option<&Row> {
        let mut node = self.node_of(key);
        loop {
            let block = self.block_of(node)?;
            // After the block: invariant 5.
            match self.behind(node) {
                Some(behind) if behind.first() <= key => node = Some(behind),
                _ => match self.find(block, key, hash) {
                    Found::Row(row) => {
                        self.remember(row, hash);
                        return Some(row.get());
                    }
                    Found::Free(_) | Found::Full => return None,
                },
            }
        }
    }

    /// The row with this key, whose hash is `hash`; it is made where it is missing.
    #[inline]
    pub(crate) fn get_or_insert(&self, key: &RowKey, hash: u64) -> &Row {
        if let Some(row) = self.recent(key.borrow(), hash) {
            return row;
        }
        self.search_or_insert(None, key, hash)
    }

    /// The same with a node at or before the key where one is known.
    fn search_or_insert<'i>(&'i self, near: Option<Node<'i>>, key: &RowKey, hash: u64) -> &'i Row {
        let near = near.or_else(|| self.last_place(key.table()));
        let (row, node) = self.get_or_insert_from(near, key, hash);
        let header = node.map_or(ptr::null_mut(), |node| node.header.as_ptr());
        PLACES.with(|places| places[place_of(key.table())].set(Place { index: self.number, node: header }));
        self.remember(row, hash);
        row.get()
    }

    /// The node that the thread was last at, of those that it remembers for the table.
    #[inline]
    fn last_place(&self, table: TableId) -> Option<Node<'_>> {
        let place = PLACES.with(|places| places[place_of(table)].get());
        // SAFETY: it is of this index, whose number no other ever has; so it is whole, and lives as long as `self`.
        if place.index == self.number { unsafe { Node::new(place.node) } } else { None }
    }

    /// Also says in which node the row is.
    fn get_or_insert_from<'i>(
        &'i self,
        near: Option<Node<'i>>,
        key: &RowKey,
        hash: u64,
    ) -> (Stored<'i>, Option<Node<'i>>) {
        let probe = key.borrow();
        let mut made: Option<Stored<'i>> = None;
        let mut node = match near {
            Some(near) if near.first() <= probe && self.is_near(near, probe) => Some(near),
            _ => self.node_of(probe),
        };
        loop {
            let block = self.block_or_make(node);
            // After the block: invariant 5.
            if let Some(behind) = self.behind(node)
                && behind.first() <= probe
            {
                node = self.node_of(probe);
                continue;
            }
            match self.find(block, probe, hash) {
                Found::Row(row) => {
                    if let Some(made) = made {
                        self.forget_key(key);
                        // SAFETY: it was put in no block, and this was its last use.
                        unsafe { made.vacate() };
                    }
                    return (row, node);
                }
                Found::Full => {
                    self.split(node, block, key);
                    node = self.node_of(probe);
                }
                Found::Free(slot) => {
                    let row = *made.get_or_insert_with(|| self.make_row(key));
                    // Release: invariant 2.
                    let tagged = row.tagged(hash);
                    if block.slots[slot].compare_exchange(ptr::null_mut(), tagged, Release, Relaxed).is_ok() {
                        return (row, node);
                    }
                }
            }
        }
    }

    /// Whether a search from this node on would be a step or two.
    #[inline]
    fn is_near(&self, node: Node<'_>, key: &Probe<'_>) -> bool {
        self.behind(Some(node)).is_none_or(|behind| behind.first() > key)
    }

    /// Looks for a key, up to the first free slot.
    #[inline]
    fn find<'i>(&'i self, block: &'i Block, key: &Probe<'_>, hash: u64) -> Found<'i> {
        let tag = tag_of(hash);
        for (slot, pointer) in block.slots.iter().enumerate() {
            let Some((row, its_tag)) = self.stored(pointer) else { return Found::Free(slot) };
            if its_tag == tag && row.key() == key {
                return Found::Row(row);
            }
        }
        Found::Full
    }

    /// What is in a slot of one of its blocks, and the row's tag.
    #[inline]
    fn stored<'i>(&'i self, slot: &'i AtomicPtr<Row>) -> Option<(Stored<'i>, usize)> {
        let tagged = slot.load(Acquire);
        // SAFETY: a slot's pointer leads to a row that was published whole (invariant 2), and lives as long as the index.
        let row = unsafe { Stored::new(tagged) }?;
        Some((row, tagged.addr() & TAG))
    }

    /// Makes room for `key` in a full block of `node`, or sees that somebody has.
    #[cold]
    fn split(&self, node: Option<Node<'_>>, full: &Block, key: &RowKey) {
        let rows = self.sorted(full);
        let Some(last) = rows.last() else { return };
        let goes_on = if planted!(SplitByKey) { last.get().key < *key } else { self.is_ascending(full) };
        if goes_on {
            let made = self.insert_node(&last.get().key.successor(), &[]);
            if made || last.get().key < *key {
                return;
            }
        }
        let (lower, upper) = rows.split_at(SLOTS / 2);
        let Some(middle) = upper.first() else { return };
        self.insert_node(&middle.get().key, if planted!(UpperHalfForgotten) { &[] } else { upper });
        let lower = self.make_block(lower);
        // Fails where somebody else has split the block, who has stored the same.
        let place = self.block_pointer(node);
        let _ = place.compare_exchange(ptr::from_ref(full).cast_mut(), lower, Release, Relaxed);
    }

    /// Makes a node, unless there is one with this key; says which.
    fn insert_node(&self, first: &RowKey, rows: &[Stored<'_>]) -> bool {
        let probe = first.borrow();
        let height = self.height_of_next();
        let mut made = None;
        let mut position = self.search(probe);
        let node = loop {
            if position.node().is_some_and(|node| node.first() == probe) {
                if let Some(node) = made {
                    self.forget_key(first);
                    // SAFETY: it was linked nowhere, and this was its last use.
                    unsafe { self.forget_node(node) };
                }
                return false;
            }
            let node = *made.get_or_insert_with(|| self.make_node(first, rows, height));
            // SAFETY: a node is on level 0 first.
            if unsafe { self.link(node, 0, &position) } {
                break node;
            }
            position = self.search(probe);
        };
        if self.height.load(Relaxed) < height {
            self.height.fetch_max(height, Relaxed);
        }
        for level in 1..height {
            // SAFETY: the node was made with `height` pointers, and is not on this level.
            while !unsafe { self.link(node, level, &position) } {
                // Meets the node itself on the levels below only.
                position = self.search(probe);
            }
        }
        true
    }

    /// How many levels the next node is on: one in four is higher by one. The dice are the index's own, as threads may come
    /// for one row and go.
    fn height_of_next(&self) -> usize {
        let number = self.growth.nodes.fetch_add(1, Relaxed);
        if CHECKED {
            // A checker sees a few nodes only: high and low ones take turns.
            return LEVELS - (number % 2) as usize;
        }
        // The first step of splitmix64.
        let mut dice = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        dice = (dice ^ dice >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        dice = (dice ^ dice >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        dice ^= dice >> 31;
        (dice.trailing_zeros() as usize / 2 + 1).min(LEVELS)
    }

    /// Puts a node into its position on a level; `false` when that is no longer there.
    ///
    /// # Safety
    /// The node has a pointer for the level, and is not on it.
    #[inline]
    unsafe fn link(&self, node: Node<'_>, level: usize, position: &Position<'_>) -> bool {
        let next = position.behind[level].map_or(ptr::null_mut(), |behind| behind.header.as_ptr());
        // SAFETY: the caller's obligation.
        let own = unsafe { node.pointer(level) };
        // Relaxed: nobody else comes to this pointer before the exchange, whose Release has it seen (invariant 2).
        own.store(next, Relaxed);
        self.place(position, level).compare_exchange(next, node.header.as_ptr(), Release, Relaxed).is_ok()
    }

    #[inline]
    fn block_pointer<'i>(&'i self, node: Option<Node<'i>>) -> &'i AtomicPtr<Block> {
        match node {
            // SAFETY: the node is whole and lives for `'i`.
            Some(node) => unsafe { &(*node.header.as_ptr()).block },
            None => &self.block,
        }
    }

    /// The block of a node, or of the head; that has none at first.
    #[inline]
    fn block_of<'i>(&'i self, node: Option<Node<'i>>) -> Option<&'i Block> {
        // SAFETY: 1. it was published whole (invariant 2). 2. It lives as long as the index, and is never borrowed mutably.
        let block = unsafe { self.block_pointer(node).load(Acquire).as_ref() }?;
        block.whole.look();
        Some(block)
    }

    #[inline]
    fn block_or_make<'i>(&'i self, node: Option<Node<'i>>) -> &'i Block {
        loop {
            if let Some(block) = self.block_of(node) {
                return block;
            }
            let block = self.make_block(&[]);
            let _ = self.block_pointer(node).compare_exchange(ptr::null_mut(), block, Release, Relaxed);
        }
    }

    /// Whether the rows of a block came in key order.
    fn is_ascending(&self, block: &Block) -> bool {
        block
            .slots
            .iter()
            .map_while(|slot| self.stored(slot))
            .is_sorted_by(|(one, _), (next, _)| one.key() < next.key())
    }

    /// A row that is in no block yet.
    fn make_row(&self, key: &RowKey) -> Stored<'_> {
        // Whole before it has a place: the drop relies on there being a row in each.
        let row = Row::new(self.copy_of(key));
        let place = self.rows.alloc(size_of::<Row>()).cast::<Row>();
        // SAFETY: the memory is large enough for a row, aligned like one (a line), and ours alone.
        unsafe { place.write(row) };
        Stored { row: place, index: PhantomData }
    }

    /// A key for a row or a node, which [`bytes`](Self::bytes) counts from now on.
    fn copy_of(&self, key: &RowKey) -> RowKey {
        if key.heap_bytes() > 0 {
            self.growth.key_bytes.fetch_add(key.heap_bytes(), Relaxed);
        }
        key.clone()
    }

    /// A key that was copied is dropped before the index is.
    fn forget_key(&self, key: &RowKey) {
        if key.heap_bytes() > 0 {
            self.growth.key_bytes.fetch_sub(key.heap_bytes(), Relaxed);
        }
    }

    /// A block of these rows, in key order, that nobody knows yet.
    fn make_block(&self, rows: &[Stored<'_>]) -> *mut Block {
        let block = self.arena.alloc(size_of::<Block>()).cast::<Block>();
        let slots = std::array::from_fn(|slot| {
            AtomicPtr::new(rows.get(slot).map_or(ptr::null_mut(), |row| row.tagged(row.key().hash())))
        });
        let order = Order::ascending(rows.len());
        // SAFETY: the memory is large enough for a block, aligned for pointers, and ours alone.
        unsafe { block.write(Block::new(slots, order)) };
        block.as_ptr()
    }

    /// A node on no level yet, with these rows.
    fn make_node(&self, first: &RowKey, rows: &[Stored<'_>], height: usize) -> Node<'_> {
        let block = self.make_block(rows);
        let size = size_of::<NodeHeader>() + size_of::<AtomicPtr<NodeHeader>>() * height;
        let header = self.nodes.alloc(size).cast::<NodeHeader>();
        // SAFETY: 1. the memory is large enough for the header and its tower, and aligned (a line is more than either asks).
        // 2. It is ours alone. 3. Afterwards it is a whole node with a pointer for each level.
        unsafe {
            let address = header.as_ptr();
            (&raw mut (*address).first).write(self.copy_of(first));
            (&raw mut (*address).block).write(AtomicPtr::new(block));
            (&raw mut (*address).whole).write(Whole::new());
            let tower = (&raw mut (*address).tower).cast::<AtomicPtr<NodeHeader>>();
            for level in 0..height {
                tower.add(level).write(AtomicPtr::new(ptr::null_mut()));
            }
        }
        Node { header, index: PhantomData }
    }

    /// Drops a node that is not published, or nobody uses any more. Its memory stays unused.
    ///
    /// # Safety
    /// It is not used again, and not dropped twice.
    unsafe fn forget_node(&self, node: Node<'_>) {
        // SAFETY: the caller's obligation; the rest of a node is pointers to what the arena has.
        unsafe { ptr::drop_in_place(&raw mut (*node.header.as_ptr()).first) };
    }
}

impl Drop for RowIndex {
    fn drop(&mut self) {
        // What else is in a node is pointers to what the arenas have.
        if self.growth.key_bytes.load(Relaxed) > 0 {
            let mut node = self.behind(None);
            while let Some(this) = node {
                node = self.behind(node);
                // SAFETY: 1. `&mut self`: nobody else uses the node. 2. The walk has gone past it.
                unsafe { self.forget_node(this) };
            }
        }
        // Not in key order: rows lie in the order in which they came, and most versions in that in which they were written. So
        // memory is walked through, and what the allocator joins lies side by side.
        let places = self.rows.places(size_of::<Row>());
        let mut upcoming = places.clone().map(NonNull::cast::<Row>).skip(DROPPED_AHEAD);
        for place in places {
            if let Some(row) = upcoming.next().filter(|_| !CHECKED) {
                // SAFETY: it is whole, and not dropped yet.
                unsafe { row.as_ref() }.chain.prefetch_to_drop();
            }
            // SAFETY: 1. whoever takes a place puts a row there. 2. Whoever had found it has given up its borrow of the index.
            // 3. Each place is met once.
            unsafe { ptr::drop_in_place(place.cast::<Row>().as_ptr()) };
        }
    }
}

impl fmt::Debug for RowIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowIndex").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_schedules;
#[cfg(test)]
#[cfg(shuttle)]
mod shuttle_schedules;
#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests;

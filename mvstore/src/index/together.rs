//! Several keys at once, whose searches take turns.
//!
//! A search in a large index waits for memory at nearly every node that it comes to, and has little to do in between. Searches
//! for several keys need not wait for each other: each asks for the node that it will look at next, and while that is on its
//! way the others have their turn. (Kocberber, Falsafi, Grot: "Asynchronous Memory Access Chaining", VLDB 2015.)
//!
//! Where keys ascend beside each other nothing is to be waited for, and each is looked for where the last one was.
//!
//! A node that was found so is a hint, as the node is that a thread remembers: [`RowIndex::get_or_insert_from`] asks whether it
//! still is the one.
#![expect(unsafe_code, reason = "nodes point to each other")]

use std::borrow::Borrow;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

use braid_vfs::prefetch;
use smallvec::SmallVec;

use super::node::{Node, NodeHeader, tag_of};
use super::{CHECKED, Row, RowIndex};
use crate::key::{Probe, RowKey, Sought};

/// How many searches take turns: about as many lines as a processor asks memory for at a time.
pub(crate) const LANES: usize = if CHECKED { 2 } else { 16 };

/// One search on its way down.
struct Lane<'k, 'i> {
    key: Sought<'k>,
    /// The last node that was found to be at or before the key; `None` for the head.
    node: Option<Node<'i>>,
    /// Behind it on `level`, asked for and not looked at yet.
    next: Option<Node<'i>>,
    level: usize,
    /// A node that was found to be behind the key.
    behind: *mut NodeHeader,
}

impl<'k, 'i> Lane<'k, 'i> {
    fn new(key: &'k Probe<'k>, level: usize) -> Self {
        Self { key: Sought::new(key), node: None, next: None, level, behind: ptr::null_mut() }
    }

    /// Looks at the node that was asked for, and asks for the next one; `false` where there is none and `node` is the one.
    #[inline]
    fn step(&mut self, index: &'i RowIndex) -> bool {
        if let Some(next) = self.next.take() {
            if self.key.is_before(next.first()) {
                self.behind = next.header.as_ptr();
            } else {
                self.node = Some(next);
            }
        }
        loop {
            // SAFETY: a search goes down from where it went along, and a node is on all levels below one that it is on.
            match unsafe { index.next_on(self.node, self.level) } {
                Some(next) if next.header.as_ptr() != self.behind => {
                    prefetch(next.header.as_ptr());
                    self.next = Some(next);
                    return true;
                }
                _ if self.level == 0 => return false,
                _ => self.level -= 1,
            }
        }
    }
}

impl RowIndex {
    /// The rows of up to [`LANES`] keys in ascending order, which come with their hashes; they are made where they are missing.
    pub(crate) fn get_or_insert_all<'i>(&'i self, keys: &[(&RowKey, u64)], mut each: impl FnMut(&'i Row)) {
        let [(first, _), .., (last, _)] = keys else {
            return keys.iter().for_each(|(key, hash)| each(self.get_or_insert(key, *hash)));
        };
        // Whoever has read its rows is to search no more.
        let (mut recent, mut unknown) = ([None; LANES], 0_u32);
        for (number, ((key, hash), row)) in keys.iter().zip(&mut recent).enumerate() {
            *row = self.recent((*key).borrow(), *hash);
            unknown |= u32::from(row.is_none()) << number;
        }
        let mut nodes = [None; LANES];
        if unknown != 0 && !(self.is_around(first) && self.is_around(last)) {
            self.nodes_of(keys, unknown, &mut nodes);
        }
        for (((key, hash), row), node) in keys.iter().zip(recent).zip(nodes) {
            each(row.unwrap_or_else(|| self.search_or_insert(node, key, *hash)));
        }
    }

    /// Whether the thread was last where a key belongs, or right before.
    fn is_around(&self, key: &RowKey) -> bool {
        let key: &Probe<'_> = key.borrow();
        let Some(near) = self.last_place(key.table()).filter(|near| near.first() <= key) else {
            return false;
        };
        self.is_near(near, key) || self.behind(Some(near)).is_some_and(|behind| self.is_near(behind, key))
    }

    /// The last node at or before each key whose bit is set in `unknown`, on its way to the processor with the block and the row
    /// that the key may have.
    fn nodes_of<'k, 'i>(
        &'i self,
        keys: &[(&'k RowKey, u64)],
        unknown: u32,
        nodes: &mut [Option<Node<'i>>; LANES],
    ) {
        let top = self.height.load(Relaxed) - 1;
        let lane = |(key, _): &(&'k RowKey, u64)| Lane::new((*key).borrow(), top);
        let mut lanes: SmallVec<[_; LANES]> = keys.iter().take(LANES).map(lane).collect();
        let mut under_way = unknown;
        while under_way != 0 {
            for (number, lane) in lanes.iter_mut().enumerate() {
                if under_way & 1 << number != 0 && !lane.step(self) {
                    under_way &= !(1 << number);
                    if let Some(block) = self.block_of(lane.node) {
                        prefetch(&raw const block.slots);
                        prefetch(&raw const block.order);
                    }
                }
            }
        }
        for (number, ((lane, (_, hash)), node)) in lanes.iter().zip(keys).zip(nodes).enumerate() {
            *node = lane.node;
            // Nothing for a checker to see.
            if CHECKED || unknown & 1 << number == 0 {
                continue;
            }
            let slots = self.block_of(lane.node).into_iter().flat_map(|block| &block.slots);
            let rows = slots.map_while(|slot| self.stored(slot));
            rows.filter(|(_, tag)| *tag == tag_of(*hash)).for_each(|(row, _)| prefetch(row.row.as_ptr()));
        }
    }
}

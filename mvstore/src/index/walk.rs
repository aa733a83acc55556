//! Walks along an index, a block at a time.
#![expect(unsafe_code, reason = "a node is remembered as a pointer")]

use std::ops::Bound;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use braid_vfs::prefetch;

use super::node::{Block, Node, NodeHeader, Row, Rows, Stored};
use super::order::Order;
use super::{CHECKED, RowIndex};
use crate::key::Probe;

/// Rows of one block in ascending order, where they lie.
pub(super) struct Ordered<'i> {
    index: &'i RowIndex,
    /// `None`: no rows.
    block: Option<&'i Block>,
    order: Order,
    /// The first of them that counts, and the one behind the last: places in the order.
    start: usize,
    end: usize,
}

/// A node that a walk came to, and the number of its index: where another one may begin without a search.
#[derive(Debug, Default)]
pub(crate) struct Near {
    index: u64,
    /// Atomic for no more than that it may be sent and shared.
    node: AtomicPtr<NodeHeader>,
}

/// Rows in ascending order.
pub(crate) struct Forward<'i> {
    rows: Ordered<'i>,
    /// The node that they are of, `None` for the head; and the one that comes next.
    node: Option<Node<'i>>,
    behind: Option<Node<'i>>,
}

/// Rows in descending order.
pub(crate) struct Backward<'i> {
    /// What is left of a node's rows.
    rows: Ordered<'i>,
    /// `None` for the head.
    node: Option<Node<'i>>,
}

impl<'i> Ordered<'i> {
    fn none(index: &'i RowIndex) -> Self {
        Self { index, block: None, order: Order(0), start: 0, end: 0 }
    }

    /// All rows of a block.
    fn of(index: &'i RowIndex, block: &'i Block) -> Self {
        let known = Order(block.order.load(Acquire));
        let mut rows = Self { index, block: Some(block), order: known, start: 0, end: known.len() };
        if !CHECKED {
            // A search waits for one row after the other, if they are not on their way.
            let slots = block.slots.iter().map_while(|slot| index.stored(slot));
            slots.for_each(|(row, _)| prefetch(row.row.as_ptr()));
        }
        for slot in &block.slots[known.len()..] {
            let Some((row, _)) = index.stored(slot) else { break };
            let is_last = rows.at_end().is_none_or(|last| last.key() < row.key());
            let place = if is_last { rows.end } else { rows.partition_point(|one| one.key() < row.key()) };
            rows.order = rows.order.with(place);
            rows.end += 1;
        }
        if rows.order != known {
            block.order.store(rows.order.0, Release);
        }
        rows
    }

    /// The row at a place in the order.
    #[inline]
    fn at(&self, place: usize) -> Option<Stored<'i>> {
        let slot = self.block?.slots.get(self.order.slot(place))?;
        self.index.stored(slot).map(|(row, _)| row)
    }

    #[inline]
    fn at_end(&self) -> Option<Stored<'i>> {
        if self.start < self.end { self.at(self.end - 1) } else { None }
    }

    /// The place of the first row that `is_before` does not hold for.
    #[inline]
    fn partition_point(&self, is_before: impl Fn(Stored<'i>) -> bool) -> usize {
        let (mut low, mut high) = (self.start, self.end);
        while low < high {
            let middle = low.midpoint(high);
            if self.at(middle).is_some_and(&is_before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    #[inline]
    fn take_last(&mut self) -> Option<Stored<'i>> {
        let last = self.at_end()?;
        self.end -= 1;
        Some(last)
    }
}

impl Near {
    /// A node of an index.
    fn of(index: &RowIndex, node: Option<Node<'_>>) -> Self {
        let node = node.map_or(ptr::null_mut(), |node| node.header.as_ptr());
        Self { index: index.number, node: AtomicPtr::new(node) }
    }

    /// The node, if it is one of this index and near a key that it is not behind: blocks may have been split since.
    fn before<'i>(&self, index: &'i RowIndex, key: &Probe<'_>) -> Option<Node<'i>> {
        if self.index != index.number {
            return None;
        }
        // SAFETY: it is null or of this index, whose number no other ever has; so it is whole, and lives as long as `index`.
        let node = unsafe { Node::new(self.node.load(Relaxed)) };
        node.filter(|node| node.first() <= key && index.is_near(*node, key))
    }
}

impl RowIndex {
    /// The rows from a bound on.
    pub(crate) fn forward(&self, from: Bound<&Probe<'_>>) -> Forward<'_> {
        self.forward_near(&Near::default(), from)
    }

    /// The same for one who was near there just before.
    pub(crate) fn forward_near(&self, near: &Near, from: Bound<&Probe<'_>>) -> Forward<'_> {
        let (node, mut rows, behind) = match from {
            Bound::Unbounded => self.settled(None, |_| false),
            Bound::Included(key) | Bound::Excluded(key) => {
                let node = near.before(self, key).or_else(|| self.node_of(key));
                self.settled(node, |behind| behind.first() <= key)
            }
        };
        match from {
            Bound::Unbounded => {}
            Bound::Included(key) => rows.start = rows.partition_point(|row| row.key() < key),
            Bound::Excluded(key) => rows.start = rows.partition_point(|row| row.key() <= key),
        }
        Forward { rows, node, behind }
    }

    /// The rows up to a bound, from there on backwards, for one who was near there just before.
    pub(crate) fn backward_near(&self, near: &Near, to: Bound<&Probe<'_>>) -> Backward<'_> {
        let (node, mut rows, _) = match to {
            Bound::Unbounded => self.settled(self.last_node(), |_| true),
            Bound::Included(key) | Bound::Excluded(key) => {
                let node = near.before(self, key).or_else(|| self.node_of(key));
                self.settled(node, |behind| behind.first() <= key)
            }
        };
        match to {
            Bound::Unbounded => {}
            Bound::Included(key) => rows.end = rows.partition_point(|row| row.key() <= key),
            Bound::Excluded(key) => rows.end = rows.partition_point(|row| row.key() < key),
        }
        Backward { rows, node }
    }

    /// The rows up to a bound, from there on backwards.
    #[cfg(test)]
    pub(crate) fn backward(&self, to: Bound<&Probe<'_>>) -> Backward<'_> {
        self.backward_near(&Near::default(), to)
    }

    /// A node's rows, and the node behind; goes on to that as long as the caller says so: it may have been linked since the
    /// caller's search.
    fn settled<'i>(
        &'i self,
        node: Option<Node<'i>>,
        goes_on: impl Fn(Node<'i>) -> bool,
    ) -> (Option<Node<'i>>, Ordered<'i>, Option<Node<'i>>) {
        let mut node = node;
        loop {
            let (rows, behind) = self.rows_of(node);
            match behind {
                Some(next) if goes_on(next) => node = behind,
                _ => return (node, rows, behind),
            }
        }
    }

    /// A node's rows in key order, and the node behind.
    pub(super) fn rows_of<'i>(&'i self, node: Option<Node<'i>>) -> (Ordered<'i>, Option<Node<'i>>) {
        let mut rows = match self.block_of(node) {
            Some(block) => Ordered::of(self, block),
            None => Ordered::none(self),
        };
        // After the block: invariant 5.
        let behind = self.behind(node);
        if let Some(behind) = behind
            && rows.at_end().is_some_and(|last| last.key() >= behind.first())
        {
            rows.end = rows.partition_point(|row| row.key() < behind.first());
        }
        if let Some(block) = behind.filter(|_| !CHECKED).and_then(|behind| self.block_of(Some(behind))) {
            // A walk waits for it next.
            prefetch(&raw const block.order);
            prefetch(&raw const block.slots);
        }
        (rows, behind)
    }

    /// The rows of a block in key order.
    pub(super) fn sorted<'i>(&'i self, block: &'i Block) -> Rows<'i> {
        Ordered::of(self, block).collect()
    }
}

impl<'i> Iterator for Ordered<'i> {
    type Item = Stored<'i>;

    #[inline]
    fn next(&mut self) -> Option<Stored<'i>> {
        let first = if self.start < self.end { self.at(self.start)? } else { return None };
        self.start += 1;
        Some(first)
    }
}

impl Forward<'_> {
    /// Where it is.
    pub(crate) fn near(&self) -> Near {
        Near::of(self.rows.index, self.node)
    }
}

impl Backward<'_> {
    /// Where it is.
    pub(crate) fn near(&self) -> Near {
        Near::of(self.rows.index, self.node)
    }
}

impl<'i> Iterator for Forward<'i> {
    type Item = &'i Row;

    #[inline]
    fn next(&mut self) -> Option<&'i Row> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(row.get());
            }
            self.node = Some(self.behind?);
            (self.rows, self.behind) = self.rows.index.rows_of(self.node);
        }
    }
}

impl<'i> Iterator for Backward<'i> {
    type Item = &'i Row;

    fn next(&mut self) -> Option<&'i Row> {
        loop {
            if let Some(row) = self.rows.take_last() {
                return Some(row.get());
            }
            let last = self.node?.first();
            let index = self.rows.index;
            (self.node, self.rows, _) =
                index.settled(index.node_before(last), |behind| behind.first() < last);
        }
    }
}

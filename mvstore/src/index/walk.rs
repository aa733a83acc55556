//! Walks along an index, a block at a time.
#![expect(unsafe_code, reason = "a node is remembered as a pointer")]

use std::ops::Bound;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use braid_vfs::prefetch;

use super::arena::LINE;
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

/// Where a walk stopped, and the number of its index: another one may go on there without a search, and without a look at
/// what has come since.
///
/// Rows, blocks and nodes stay where they are for as long as the index lives, and so do the rows of a block's first slots.
/// So the walk that goes on comes to every row that was there when the first one began, whatever was put in and split
/// meanwhile: what a split moves into a node that it links before `behind` are rows of the block that is remembered.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// 0: nowhere.
    index: u64,
    is_forward: bool,
    /// What is left of the block's rows; see [`Ordered`].
    order: u64,
    start: usize,
    end: usize,
    /// Atomic for no more than that they may be sent and shared.
    block: AtomicPtr<Block>,
    node: AtomicPtr<NodeHeader>,
    behind: AtomicPtr<NodeHeader>,
}

/// The node where a walk is to begin, and the number of its index. As with any node that was searched for, others may
/// have been linked behind it by the time that the walk begins, which looks for them.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// 0: nowhere.
    index: u64,
    /// Null for the head. Atomic for no more than that it may be sent and shared.
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
            index.prefetch_rows(block);
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

impl Start {
    /// The node, `None` within for the head, if the start is in this index.
    #[expect(clippy::option_option, reason = "the head is no node")]
    fn node_in<'i>(&self, index: &'i RowIndex) -> Option<Option<Node<'i>>> {
        if self.index != index.number {
            return None;
        }
        // SAFETY: it is null or of this index, whose number no other ever has; so it is whole, and lives as long.
        Some(unsafe { Node::new(self.node.load(Relaxed)) })
    }
}

impl Rest {
    fn of(rows: &Ordered<'_>, node: Option<Node<'_>>, behind: Option<Node<'_>>, is_forward: bool) -> Self {
        let header = |node: Option<Node<'_>>| node.map_or(ptr::null_mut(), |node| node.header.as_ptr());
        let block = rows.block.map_or(ptr::null_mut(), |block| ptr::from_ref(block).cast_mut());
        Self {
            index: rows.index.number,
            is_forward,
            order: rows.order.0,
            start: rows.start,
            end: rows.end,
            block: AtomicPtr::new(block),
            node: AtomicPtr::new(header(node)),
            behind: AtomicPtr::new(header(behind)),
        }
    }

    fn rows<'i>(&self, index: &'i RowIndex) -> Ordered<'i> {
        // SAFETY: it is null or of this index (the callers have looked), so it is whole, and lives as long as `index`.
        let block = unsafe { self.block.load(Relaxed).as_ref() };
        Ordered { index, block, order: Order(self.order), start: self.start, end: self.end }
    }

    /// What is left of a walk forward in this index.
    pub(crate) fn forward<'i>(&self, index: &'i RowIndex) -> Option<Forward<'i>> {
        if self.index != index.number || !self.is_forward {
            return None;
        }
        // SAFETY: they are null or of this index, whose number no other ever has; so they are whole, and live as long.
        let [node, behind] = unsafe { [&self.node, &self.behind].map(|node| Node::new(node.load(Relaxed))) };
        Some(Forward { rows: self.rows(index), node, behind })
    }

    /// What is left of a walk backward in this index.
    pub(crate) fn backward<'i>(&self, index: &'i RowIndex) -> Option<Backward<'i>> {
        if self.index != index.number || self.is_forward {
            return None;
        }
        // SAFETY: as in `forward`.
        let node = unsafe { Node::new(self.node.load(Relaxed)) };
        Some(Backward { rows: self.rows(index), node })
    }
}

impl RowIndex {
    /// The rows from a bound on.
    pub(crate) fn forward(&self, from: Bound<&Probe<'_>>) -> Forward<'_> {
        self.forward_from(&self.start_forward(from), from)
    }

    /// Where the rows from a bound on begin.
    pub(crate) fn start_forward(&self, from: Bound<&Probe<'_>>) -> Start {
        match from {
            Bound::Unbounded => self.start_in(None),
            Bound::Included(key) | Bound::Excluded(key) => self.start_in(self.node_of(key)),
        }
    }

    /// The rows from a bound on, from where they were found to begin.
    pub(crate) fn forward_from(&self, start: &Start, from: Bound<&Probe<'_>>) -> Forward<'_> {
        let (node, mut rows, behind) = match (start.node_in(self), from) {
            (Some(node), Bound::Unbounded) => self.settled(node, |_| false),
            (Some(node), Bound::Included(key) | Bound::Excluded(key)) => {
                self.settled(node, |behind| behind.first() <= key)
            }
            (None, _) => return self.forward(from),
        };
        match from {
            Bound::Unbounded => {}
            Bound::Included(key) => rows.start = rows.partition_point(|row| row.key() < key),
            Bound::Excluded(key) => rows.start = rows.partition_point(|row| row.key() <= key),
        }
        Forward { rows, node, behind }
    }

    /// The rows up to a bound, from there on backwards.
    #[cfg(test)]
    pub(crate) fn backward(&self, to: Bound<&Probe<'_>>) -> Backward<'_> {
        self.backward_from(&self.start_backward(to), to)
    }

    /// Where the rows up to a bound begin, from there on backwards.
    pub(crate) fn start_backward(&self, to: Bound<&Probe<'_>>) -> Start {
        match to {
            Bound::Unbounded => self.start_in(self.last_node()),
            Bound::Included(key) | Bound::Excluded(key) => self.start_in(self.node_of(key)),
        }
    }

    /// The rows up to a bound, from where they were found to begin backwards.
    pub(crate) fn backward_from(&self, start: &Start, to: Bound<&Probe<'_>>) -> Backward<'_> {
        let (node, mut rows, _) = match (start.node_in(self), to) {
            (Some(node), Bound::Unbounded) => self.settled(node, |_| true),
            (Some(node), Bound::Included(key) | Bound::Excluded(key)) => {
                self.settled(node, |behind| behind.first() <= key)
            }
            (None, _) => return self.backward_from(&self.start_backward(to), to),
        };
        match to {
            Bound::Unbounded => {}
            Bound::Included(key) => rows.end = rows.partition_point(|row| row.key() <= key),
            Bound::Excluded(key) => rows.end = rows.partition_point(|row| row.key() < key),
        }
        Backward { rows, node }
    }

    /// A start in a node, whose block the processor is to load.
    fn start_in(&self, node: Option<Node<'_>>) -> Start {
        if !CHECKED {
            let block = self.block_pointer(node).load(Relaxed);
            prefetch(block);
            prefetch(block.map_addr(|address| address + LINE));
        }
        let node = node.map_or(ptr::null_mut(), |node| node.header.as_ptr());
        Start { index: self.number, node: AtomicPtr::new(node) }
    }

    /// Has the processor load the rows around a start.
    pub(crate) fn prefetch_start(&self, start: &Start) {
        if CHECKED {
            return;
        }
        if let Some(block) = start.node_in(self).and_then(|node| self.block_of(node)) {
            self.prefetch_rows(block);
        }
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

    /// Has the processor load the rows of a block.
    #[inline]
    fn prefetch_rows(&self, block: &Block) {
        let slots = block.slots.iter().map_while(|slot| self.stored(slot));
        slots.for_each(|(row, _)| prefetch(row.row.as_ptr()));
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

impl<'i> Forward<'i> {
    /// The next rows, as many of a few as are in this block. Where none is, has the processor load those of the next one.
    pub(crate) fn upcoming(&self, rows: usize) -> impl Iterator<Item = &'i Row> {
        // Nothing for a checker to see.
        let rows = if CHECKED { 0 } else { rows };
        let known = self.rows.start..self.rows.end.min(self.rows.start + rows);
        if known.is_empty()
            && let Some(block) = self.behind.and_then(|node| self.rows.index.block_of(Some(node)))
        {
            self.rows.index.prefetch_rows(block);
        }
        known.filter_map(|place| self.rows.at(place)).map(Stored::get)
    }

    /// What is left of it.
    pub(crate) fn rest(&self) -> Rest {
        Rest::of(&self.rows, self.node, self.behind, true)
    }
}

impl Backward<'_> {
    /// What is left of it.
    pub(crate) fn rest(&self) -> Rest {
        Rest::of(&self.rows, self.node, None, false)
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

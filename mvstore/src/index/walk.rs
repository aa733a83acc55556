//! Walks along an index, a block at a time.

use std::ops::Bound;

use super::RowIndex;
use super::node::{Node, Row, Rows};
use crate::key::Probe;

/// Rows in ascending order.
pub(crate) struct Forward<'i> {
    index: &'i RowIndex,
    rows: Rows<'i>,
    position: usize,
    /// The node that comes next.
    behind: Option<Node<'i>>,
}

/// Rows in descending order.
pub(crate) struct Backward<'i> {
    index: &'i RowIndex,
    /// What is left of a node's rows, in ascending order.
    rows: Rows<'i>,
    /// `None` for the head.
    node: Option<Node<'i>>,
}

impl RowIndex {
    /// The rows from a bound on.
    pub(crate) fn forward(&self, from: Bound<&Probe<'_>>) -> Forward<'_> {
        let (_, rows, behind) = match from {
            Bound::Unbounded => self.settled(None, |_| false),
            Bound::Included(key) | Bound::Excluded(key) => {
                self.settled(self.node_of(key), |behind| behind.first() <= key)
            }
        };
        let position = rows.partition_point(|row| match from {
            Bound::Unbounded => false,
            Bound::Included(key) => row.key() < key,
            Bound::Excluded(key) => row.key() <= key,
        });
        Forward { index: self, rows, position, behind }
    }

    /// The rows up to a bound, from there on backwards.
    pub(crate) fn backward(&self, to: Bound<&Probe<'_>>) -> Backward<'_> {
        let (node, mut rows, _) = match to {
            Bound::Unbounded => self.settled(self.last_node(), |_| true),
            Bound::Included(key) | Bound::Excluded(key) => {
                self.settled(self.node_of(key), |behind| behind.first() <= key)
            }
        };
        rows.truncate(rows.partition_point(|row| match to {
            Bound::Unbounded => true,
            Bound::Included(key) => row.key() <= key,
            Bound::Excluded(key) => row.key() < key,
        }));
        Backward { index: self, rows, node }
    }

    /// A node's rows, and the node behind; goes on to that as long as the caller says so: it may have been linked since the
    /// caller's search.
    fn settled<'i>(
        &'i self,
        node: Option<Node<'i>>,
        goes_on: impl Fn(Node<'i>) -> bool,
    ) -> (Option<Node<'i>>, Rows<'i>, Option<Node<'i>>) {
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
    pub(super) fn rows_of<'i>(&'i self, node: Option<Node<'i>>) -> (Rows<'i>, Option<Node<'i>>) {
        let mut rows = self.block_of(node).map(|block| self.sorted(block)).unwrap_or_default();
        // After the block: invariant 5.
        let behind = self.behind(node);
        if let Some(behind) = behind
            && rows.last().is_some_and(|last| last.key() >= behind.first())
        {
            rows.truncate(rows.partition_point(|row| row.key() < behind.first()));
        }
        (rows, behind)
    }
}

impl<'i> Iterator for Forward<'i> {
    type Item = &'i Row;

    #[inline]
    fn next(&mut self) -> Option<&'i Row> {
        loop {
            if let Some(row) = self.rows.get(self.position) {
                self.position += 1;
                return Some(row.get());
            }
            let node = self.behind?;
            (self.rows, self.behind) = self.index.rows_of(Some(node));
            self.position = 0;
        }
    }
}

impl<'i> Iterator for Backward<'i> {
    type Item = &'i Row;

    fn next(&mut self) -> Option<&'i Row> {
        loop {
            if let Some(row) = self.rows.pop() {
                return Some(row.get());
            }
            let last = self.node?.first();
            (self.node, self.rows, _) =
                self.index.settled(self.index.node_before(last), |behind| behind.first() < last);
        }
    }
}

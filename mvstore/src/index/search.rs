//! Searches along the nodes.
#![expect(unsafe_code, reason = "nodes point to each other")]

use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use braid_vfs::prefetch;
use braid_vfs::sync::atomic::AtomicPtr;

use super::node::{Node, NodeHeader};
use super::{CHECKED, LEVELS, RowIndex};
use crate::key::{Probe, Sought};

/// Where a key belongs: the last node at or before it on each level, `None` for the head, and the first one behind.
///
/// Invariant: a node in `before` is on that level.
#[derive(Default)]
pub(super) struct Position<'i> {
    before: [Option<Node<'i>>; LEVELS],
    pub(super) behind: [Option<Node<'i>>; LEVELS],
}

impl<'i> Position<'i> {
    /// The last node at or before the key.
    #[inline]
    pub(super) fn node(&self) -> Option<Node<'i>> {
        self.before[0]
    }
}

impl RowIndex {
    /// The last node at or before a key; `None` for what is before the first.
    #[inline]
    pub(super) fn node_of(&self, key: &Probe<'_>) -> Option<Node<'_>> {
        let key = Sought::new(key);
        let mut node = None;
        let mut known = ptr::null_mut();
        for level in (0..self.height.load(Relaxed)).rev() {
            // SAFETY: searches go down from where they went along, and a node is on all levels below one that it is on.
            while let Some(next) = unsafe { self.next_on(node, level) } {
                // What was found behind the key on the level above need not be looked at again.
                if next.header.as_ptr() == known {
                    break;
                }
                if key.is_before(next.first()) {
                    known = next.header.as_ptr();
                    break;
                }
                node = Some(next);
                if let Some(below) = level.checked_sub(1).filter(|_| !CHECKED) {
                    // Where the search goes if not along this level: so it waits for one of the two and not for both.
                    // SAFETY: as above.
                    prefetch(unsafe { self.pointer(node, below).load(Relaxed) });
                }
            }
        }
        node
    }

    /// The last node before a key.
    pub(super) fn node_before(&self, key: &Probe<'_>) -> Option<Node<'_>> {
        let mut node = None;
        for level in (0..self.height.load(Relaxed)).rev() {
            // SAFETY: as in `node_of`.
            while let Some(next) = unsafe { self.next_on(node, level) }.filter(|next| next.first() < key) {
                node = Some(next);
            }
        }
        node
    }

    pub(super) fn last_node(&self) -> Option<Node<'_>> {
        let mut node = None;
        for level in (0..self.height.load(Relaxed)).rev() {
            // SAFETY: as in `node_of`.
            while let Some(next) = unsafe { self.next_on(node, level) } {
                node = Some(next);
            }
        }
        node
    }

    pub(super) fn search(&self, key: &Probe<'_>) -> Position<'_> {
        let mut position = Position::default();
        let mut node = None;
        for level in (0..self.height.load(Relaxed)).rev() {
            let behind = loop {
                // SAFETY: as in `node_of`.
                match unsafe { self.next_on(node, level) } {
                    Some(next) if next.first() <= key => node = Some(next),
                    behind => break behind,
                }
            };
            position.before[level] = node;
            position.behind[level] = behind;
        }
        position
    }

    /// The node behind one, or behind the head.
    #[inline]
    pub(super) fn behind<'i>(&'i self, node: Option<Node<'i>>) -> Option<Node<'i>> {
        // SAFETY: all nodes are on level 0.
        unsafe { self.next_on(node, 0) }
    }

    /// The next node on a level.
    ///
    /// # Safety
    /// `node` is on the level.
    #[inline]
    pub(super) unsafe fn next_on<'i>(&'i self, node: Option<Node<'i>>, level: usize) -> Option<Node<'i>> {
        // SAFETY: 1. the caller's obligation. 2. The pointer leads to a whole node (invariant 2) of this index.
        unsafe { Node::new(self.pointer(node, level).load(Acquire)) }
    }

    /// The pointer behind which a key belongs on a level.
    #[inline]
    pub(super) fn place<'i>(&'i self, position: &Position<'i>, level: usize) -> &'i AtomicPtr<NodeHeader> {
        // SAFETY: the position's invariant.
        unsafe { self.pointer(position.before[level], level) }
    }

    /// # Safety
    /// `node` is on the level.
    #[inline]
    unsafe fn pointer<'i>(&'i self, node: Option<Node<'i>>, level: usize) -> &'i AtomicPtr<NodeHeader> {
        match node {
            // SAFETY: the caller's obligation.
            Some(node) => unsafe { node.pointer(level) },
            None => &self.head[level],
        }
    }
}

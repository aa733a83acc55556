//! Searches along the nodes.
#![expect(unsafe_code, reason = "nodes point to each other")]

use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use braid_vfs::sync::atomic::AtomicPtr;

use super::node::{Node, NodeHeader};
use super::{LEVELS, RowIndex};
use crate::key::Probe;

/// Where a key belongs: the last node at or before it on each level, `None` for the head, and the first one behind.
#[derive(Default)]
pub(super) struct Position<'i> {
    pub(super) before: [Option<Node<'i>>; LEVELS],
    pub(super) behind: [Option<Node<'i>>; LEVELS],
}

impl RowIndex {
    /// The last node at or before a key; `None` for what is before the first.
    #[inline]
    pub(super) fn node_of(&self, key: &Probe<'_>) -> Option<Node<'_>> {
        let mut node = None;
        let mut known = ptr::null_mut();
        for level in (0..self.height.load(Relaxed)).rev() {
            while let Some(next) = self.next_on(node, level) {
                // What was found behind the key on the level above need not be looked at again.
                if next.header.as_ptr() == known {
                    break;
                }
                if next.first() > key {
                    known = next.header.as_ptr();
                    break;
                }
                node = Some(next);
            }
        }
        node
    }

    /// The last node before a key.
    pub(super) fn node_before(&self, key: &Probe<'_>) -> Option<Node<'_>> {
        let mut node = None;
        for level in (0..self.height.load(Relaxed)).rev() {
            while let Some(next) = self.next_on(node, level).filter(|next| next.first() < key) {
                node = Some(next);
            }
        }
        node
    }

    pub(super) fn last_node(&self) -> Option<Node<'_>> {
        let mut node = None;
        for level in (0..self.height.load(Relaxed)).rev() {
            while let Some(next) = self.next_on(node, level) {
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
                match self.next_on(node, level) {
                    Some(next) if next.first() <= key => node = Some(next),
                    behind => break behind,
                }
            };
            position.before[level] = node;
            position.behind[level] = behind;
        }
        position
    }

    /// The next node on a level, behind one that is on it, or the head.
    #[inline]
    pub(super) fn next_on<'i>(&'i self, node: Option<Node<'i>>, level: usize) -> Option<Node<'i>> {
        // SAFETY: 1. searches go down from where they went along, so `node` is on the level. 2. The pointer leads to a
        // whole node (invariant 2) of this index.
        unsafe { Node::new(self.pointer(node, level).load(Acquire)) }
    }

    /// # Safety
    /// `node` is on the level.
    #[inline]
    pub(super) unsafe fn pointer<'i>(
        &'i self,
        node: Option<Node<'i>>,
        level: usize,
    ) -> &'i AtomicPtr<NodeHeader> {
        match node {
            // SAFETY: the caller's obligation.
            Some(node) => unsafe { node.pointer(level) },
            None => &self.head[level],
        }
    }
}

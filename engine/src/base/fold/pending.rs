//! One level of a tree while it is rewritten: entries that are not in a page yet.
//!
//! Entries come in key order. As they come, the buffer notes where a page would be full (a cut), with the exact size
//! of a page, so that nothing is measured twice. The first pages can be taken out as soon as enough follow; the rest is
//! divided when it is known to be all there is.

use std::ops::Range;

use crate::base::bytes::common_prefix;
use crate::base::page::{Entry, Measure};

#[derive(Clone, Copy, Debug)]
struct Item {
    at: usize,
    key: usize,
    body: usize,
    overflow: bool,
}

/// Entries of one level. On level 0 they are rows; above, they are children with the separator before each.
#[derive(Debug)]
pub(super) struct Pending {
    leaf: bool,
    usable: usize,
    arena: Vec<u8>,
    items: Vec<Item>,
    /// The item that each page but the first would start with, if every page were filled.
    cuts: Vec<usize>,
    /// The last page.
    open: Measure,
    /// The separator before the first row. A child brings its own.
    first_separator: Vec<u8>,
}

/// The shortest key that is greater than `left` and not greater than `right`.
fn shortest_separator<'a>(left: &[u8], right: &'a [u8]) -> &'a [u8] {
    right.get(..=common_prefix(left, right)).unwrap_or(right)
}

/// Whether a page of so many bytes need not be merged with another.
pub(super) fn is_enough(bytes: usize, usable: usize) -> bool {
    bytes >= usable * 2 / 5
}

impl Pending {
    pub(super) fn new(leaf: bool, usable: usize) -> Self {
        Self {
            leaf,
            usable,
            arena: Vec::new(),
            items: Vec::new(),
            cuts: Vec::new(),
            open: Measure::default(),
            first_separator: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether what is here makes a page that need not be merged with another.
    pub(super) fn is_enough(&self) -> bool {
        !self.cuts.is_empty() || is_enough(self.open.bytes(), self.usable)
    }

    /// Pages that the entries fill, the last one perhaps not quite.
    pub(super) fn pages(&self) -> usize {
        self.cuts.len() + usize::from(!self.is_empty())
    }

    pub(super) fn cuts(&self) -> &[usize] {
        &self.cuts
    }

    pub(super) fn entry(&self, index: usize) -> Entry<'_> {
        let item = self.items[index];
        let body_at = item.at + item.key;
        Entry {
            key: &self.arena[item.at..body_at],
            body: &self.arena[body_at..body_at + item.body],
            overflow: item.overflow,
        }
    }

    pub(super) fn entries(&self, range: Range<usize>) -> impl Iterator<Item = Entry<'_>> + Clone {
        range.map(|index| self.entry(index))
    }

    /// Adds an entry, with its key in two parts. `lower` is a separator before it, used if it is the first row.
    pub(super) fn push(&mut self, lower: &[u8], key: (&[u8], &[u8]), body: &[u8], overflow: bool) {
        if self.items.is_empty() {
            self.first_separator.clear();
            self.first_separator.extend_from_slice(lower);
        }
        let at = self.arena.len();
        self.arena.extend_from_slice(key.0);
        self.arena.extend_from_slice(key.1);
        self.arena.extend_from_slice(body);
        self.items.push(Item { at, key: key.0.len() + key.1.len(), body: body.len(), overflow });
        self.measure_last();
    }

    /// The first key that a page starting with item `start` keeps: a branch leaves its first separator to its parent.
    fn first_kept_key(&self, start: usize) -> Option<&[u8]> {
        let first = if self.leaf { start } else { start + 1 };
        (first < self.items.len()).then(|| self.entry(first).key)
    }

    fn measure_last(&mut self) {
        let last = self.items.len() - 1;
        let start = self.cuts.last().copied().unwrap_or(0);
        let entry = self.entry(last);
        let grown = self.open.with(self.leaf, &entry, self.first_kept_key(start));
        if grown.bytes() <= self.usable || self.open.entries() == 0 {
            self.open = grown;
        } else {
            self.open = Measure::default().with(self.leaf, &entry, None);
            self.cuts.push(last);
        }
    }

    /// Takes the last entry out: the separator before it and its body.
    pub(super) fn pop(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let last = self.items.len().checked_sub(1)?;
        let entry = self.entry(last);
        let popped = (entry.key.to_vec(), entry.body.to_vec());
        if self.cuts.last() == Some(&last) {
            self.cuts.pop();
        }
        let item = self.items.pop()?;
        self.arena.truncate(item.at);
        let start = self.cuts.last().copied().unwrap_or(0);
        self.open = self.measure(start, last).0;
        Some(popped)
    }

    /// Measures a page of the entries from `start` on, before `end` and as long as they fit; and where it stops.
    fn measure(&self, start: usize, end: usize) -> (Measure, usize) {
        let mut measure = Measure::default();
        for index in start..end {
            let grown = measure.with(self.leaf, &self.entry(index), self.first_kept_key(start));
            if index > start && grown.bytes() > self.usable {
                return (measure, index);
            }
            measure = grown;
        }
        (measure, end)
    }

    /// Cuts that spread all entries evenly over as few pages as they fill.
    pub(super) fn even_cuts(&self) -> Vec<usize> {
        let mut cuts = Vec::new();
        let size = |item: &Item| item.key + item.body;
        let mut left: usize = self.items.iter().map(size).sum();
        let mut pages = self.pages();
        let mut start = 0;
        while start < self.items.len() {
            let target = left / pages.max(1);
            let (_, limit) = self.measure(start, self.items.len());
            let mut end = start;
            let mut taken = 0;
            while end < limit && (end == start || pages <= 1 || taken + size(&self.items[end]) / 2 <= target)
            {
                taken += size(&self.items[end]);
                end += 1;
            }
            left -= taken;
            pages = pages.saturating_sub(1);
            start = end;
            if start < self.items.len() {
                cuts.push(start);
            }
        }
        cuts
    }

    /// The separator before the page that starts with item `start`.
    pub(super) fn separator(&self, start: usize) -> &[u8] {
        if !self.leaf {
            self.entry(start).key
        } else if start == 0 {
            &self.first_separator
        } else {
            shortest_separator(self.entry(start - 1).key, self.entry(start).key)
        }
    }

    /// Drops the first `count` entries, which must end at a cut or be all.
    pub(super) fn drop_front(&mut self, count: usize) {
        if count >= self.items.len() {
            self.arena.clear();
            self.items.clear();
            self.cuts.clear();
            self.open = Measure::default();
            return;
        }
        self.first_separator = self.separator(count).to_vec();
        let from = self.items[count].at;
        self.arena.drain(..from);
        self.items.drain(..count);
        for item in &mut self.items {
            item.at -= from;
        }
        self.cuts.retain(|cut| *cut > count);
        for cut in &mut self.cuts {
            *cut -= count;
        }
    }
}

//! The key of the row that a cursor stands on.

use super::page::{Page, RowPlace};

/// Bytes of a key that are copied at once: a copy of a fixed length is two instructions and not a call, and most keys are no
/// longer behind the prefix of their leaf.
const SHORT_KEY: usize = 16;

/// A key as its leaf has it: a prefix that stays from row to row of the leaf, and what the row adds.
#[derive(Debug, Default)]
pub(super) struct RowKeyBuffer {
    /// The key, and behind it room for a longer one.
    bytes: Vec<u8>,
    len: usize,
}

impl RowKeyBuffer {
    #[inline(always)]
    pub(super) fn key(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Becomes the key of a row.
    pub(super) fn set(&mut self, leaf: &Page, place: &RowPlace) {
        let prefix = leaf.prefix();
        self.make_room(prefix.len(), place);
        if let Some(to) = self.bytes.get_mut(..prefix.len()) {
            to.copy_from_slice(prefix);
        }
        self.go_to(leaf, place);
    }

    /// Becomes the key of another row of the leaf that the last one is of.
    pub(super) fn go_to(&mut self, leaf: &Page, place: &RowPlace) {
        if !self.go_quickly_to(leaf, place) {
            let (prefix, suffix) = (leaf.prefix_len(), leaf.suffix_at(place));
            self.make_room(prefix, place);
            self.len = prefix + suffix.len();
            if let Some(to) = self.bytes.get_mut(prefix..self.len) {
                to.copy_from_slice(suffix);
            }
        }
    }

    /// The same if that is short; else it stays.
    #[inline(always)]
    pub(super) fn go_quickly_to(&mut self, leaf: &Page, place: &RowPlace) -> bool {
        let (prefix, suffix) = (leaf.prefix_len(), place.suffix_len());
        if suffix > SHORT_KEY {
            return false;
        }
        let Some(from) = leaf.bytes_from::<SHORT_KEY>(place) else { return false };
        let Some(room) = self.bytes.get_mut(prefix..prefix + SHORT_KEY) else { return false };
        room.copy_from_slice(from);
        self.len = prefix + suffix;
        true
    }

    #[inline]
    fn make_room(&mut self, prefix: usize, place: &RowPlace) {
        let room = prefix + place.suffix_len().max(SHORT_KEY);
        if self.bytes.len() < room {
            self.bytes.resize(room, 0);
        }
    }
}

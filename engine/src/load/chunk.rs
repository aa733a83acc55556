//! Rows in memory, in the order they came, to be sorted.

use crate::base::{BaseError, Change, ChangeSource, TreeId};

/// Where a row lies, with the first bytes of its key: most comparisons need no more.
#[derive(Clone, Copy, Debug)]
struct Place {
    prefix: u64,
    at: usize,
    key: u32,
    value: u32,
}

/// Rows of one table.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Keys and values, one after the other.
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// Whether each key was greater than the one before.
    descends: bool,
}

impl Chunk {
    /// Adds a row, whose lengths are within the limits of keys and values.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        if let Some(last) = self.places.last()
            && self.key(last) >= key
        {
            self.descends = true;
        }
        let place =
            Place { prefix: prefix(key), at: self.bytes.len(), key: length(key), value: length(value) };
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.places.push(place);
    }

    /// Memory of the rows so far.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + self.places.len() * size_of::<Place>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether the rows came in ascending order.
    pub(super) fn ascends(&self) -> bool {
        !self.descends
    }

    /// The keys of the first row and of the last one: in the order in which they came, or once they are sorted in that.
    pub(super) fn ends(&self) -> Option<(&[u8], &[u8])> {
        Some((self.key(self.places.first()?), self.key(self.places.last()?)))
    }

    /// Sorts the rows by key; of those with one key only the last that came stays.
    pub(super) fn sort(&mut self) {
        if !self.descends {
            return;
        }
        let bytes = &self.bytes;
        let key = |place: &Place| bytes.get(place.at..place.at + place.key as usize).unwrap_or_default();
        // Later rows lie behind earlier ones; where one without a byte lies at the place of the next, that is the longer.
        self.places.sort_unstable_by(|a, b| {
            let newest_first = || (b.at, b.value).cmp(&(a.at, a.value));
            a.prefix.cmp(&b.prefix).then_with(|| key(a).cmp(key(b))).then_with(newest_first)
        });
        self.places.dedup_by(|later, first| later.prefix == first.prefix && key(later) == key(first));
        self.descends = false;
    }

    /// The sorted rows.
    pub(super) fn rows(&self) -> Rows<'_> {
        debug_assert!(!self.descends, "rows of a chunk that is not sorted");
        Rows { chunk: self, next: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
        self.descends = false;
    }

    fn key(&self, place: &Place) -> &[u8] {
        self.bytes.get(place.at..place.at + place.key as usize).unwrap_or_default()
    }

    fn value(&self, place: &Place) -> &[u8] {
        let at = place.at + place.key as usize;
        self.bytes.get(at..at + place.value as usize).unwrap_or_default()
    }
}

/// The rows of a sorted chunk, one after the other.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    chunk: &'a Chunk,
    next: usize,
}

impl<'a> Iterator for Rows<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let place = self.chunk.places.get(self.next)?;
        self.next += 1;
        Some((self.chunk.key(place), self.chunk.value(place)))
    }
}

/// The rows of a sorted chunk as what becomes of a tree.
#[derive(Debug)]
pub(super) struct ChunkChanges<'a> {
    pub(super) tree: TreeId,
    pub(super) rows: Rows<'a>,
}

impl ChangeSource for ChunkChanges<'_> {
    fn next(&mut self) -> Result<Option<Change<'_>>, BaseError> {
        Ok(self.rows.next().map(|(key, value)| Change { tree: self.tree, key, value: Some(value) }))
    }
}

/// The first eight bytes, as a number that compares as they do.
pub(super) fn prefix(key: &[u8]) -> u64 {
    match key.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut first = [0; 8];
            first.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
            u64::from_be_bytes(first)
        }
    }
}

/// Keys and values are far shorter than 4 GiB.
pub(super) fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut chunk = Chunk::default();
        for (key, value) in rows {
            chunk.push(key.as_bytes(), value.as_bytes());
        }
        chunk.sort();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        chunk.rows().map(|(key, value)| (text(key), text(value))).collect()
    }

    fn owned(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn rows_are_sorted_whatever_their_keys_have_in_common() {
        let rows = [("b", "1"), ("abcdefghz", "2"), ("abcdefgh", "3"), ("", "4"), ("a\0", "5"), ("a", "6")];
        let expected =
            [("", "4"), ("a", "6"), ("a\0", "5"), ("abcdefgh", "3"), ("abcdefghz", "2"), ("b", "1")];
        assert_eq!(sorted(&rows), owned(&expected));
    }

    #[test]
    fn of_rows_with_one_key_the_last_stays() {
        let rows = [("k", "1"), ("a", "2"), ("k", "3"), ("a", "4"), ("k", "5")];
        assert_eq!(sorted(&rows), owned(&[("a", "4"), ("k", "5")]));
        assert_eq!(sorted(&[("k", "1"), ("k", "2")]), owned(&[("k", "2")]));
        // Without a byte, so that the one after lies at the same place.
        assert_eq!(sorted(&[("", ""), ("", "1")]), owned(&[("", "1")]));
        assert_eq!(sorted(&[("", ""), ("", ""), ("", "1"), ("", "")]), owned(&[("", "")]));
    }

    #[test]
    fn rows_in_order_are_left_as_they_are() {
        let mut chunk = Chunk::default();
        for key in ["a", "b", "c"] {
            chunk.push(key.as_bytes(), b"");
        }
        assert!(chunk.ascends());
        assert_eq!(chunk.ends(), Some((&b"a"[..], &b"c"[..])));
        chunk.push(b"c", b"");
        assert!(!chunk.ascends());
    }
}

//! Merges sorted runs: of rows with one key, the newest wins.

use super::chunk::{Rows, prefix};
use super::run::RunReader;
use crate::base::{BaseError, Change, ChangeSource, TreeId};

/// One of the sorted inputs, standing on a row.
#[derive(Debug)]
enum Source<'a> {
    Run(RunReader),
    Chunk { rows: Rows<'a>, row: (&'a [u8], &'a [u8]) },
}

impl Source<'_> {
    fn key(&self) -> &[u8] {
        match self {
            Self::Run(reader) => reader.key(),
            Self::Chunk { row, .. } => row.0,
        }
    }

    fn row(&mut self) -> Result<(&[u8], &[u8]), BaseError> {
        match self {
            Self::Run(reader) => reader.row(),
            Self::Chunk { row, .. } => Ok(*row),
        }
    }

    /// Goes to the next row; whether there is one.
    fn advance(&mut self) -> Result<bool, BaseError> {
        match self {
            Self::Run(reader) => reader.advance(),
            Self::Chunk { rows, row } => match rows.next() {
                Some(next) => {
                    *row = next;
                    Ok(true)
                }
                None => Ok(false),
            },
        }
    }
}

/// An input in the heap, with the first bytes of the key that it stands on.
#[derive(Debug)]
struct Input<'a> {
    prefix: u64,
    /// Later inputs hold newer rows.
    age: usize,
    source: Source<'a>,
}

impl Input<'_> {
    /// Whether its row comes first: the smaller key, and of one key the newer row.
    fn is_before(&self, other: &Self) -> bool {
        self.prefix
            .cmp(&other.prefix)
            .then_with(|| self.source.key().cmp(other.source.key()))
            .then_with(|| other.age.cmp(&self.age))
            .is_lt()
    }
}

/// The rows of all inputs, ascending, each key once.
#[derive(Debug)]
pub(super) struct Merge<'a> {
    tree: TreeId,
    /// A binary heap, the first row at the top.
    heap: Vec<Input<'a>>,
    /// The key that was given last.
    last: Option<Vec<u8>>,
}

impl<'a> Merge<'a> {
    /// Over runs, given oldest first, and a chunk that is newer than all.
    pub(super) fn new(
        tree: TreeId,
        runs: impl Iterator<Item = RunReader>,
        chunk: Rows<'a>,
    ) -> Result<Self, BaseError> {
        let mut merge = Self { tree, heap: Vec::new(), last: None };
        let runs = runs.map(Source::Run);
        for (age, mut source) in runs.chain([Source::Chunk { rows: chunk, row: (&[], &[]) }]).enumerate() {
            if source.advance()? {
                let prefix = prefix(source.key());
                merge.heap.push(Input { prefix, age, source });
            }
        }
        for place in (0..merge.heap.len() / 2).rev() {
            merge.sift_down(place);
        }
        Ok(merge)
    }

    fn sift_down(&mut self, mut place: usize) {
        loop {
            let mut first = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if let (Some(below), Some(best)) = (self.heap.get(child), self.heap.get(first))
                    && below.is_before(best)
                {
                    first = child;
                }
            }
            if first == place {
                return;
            }
            self.heap.swap(place, first);
            place = first;
        }
    }

    /// Moves the input at the top to its next row.
    fn advance(&mut self) -> Result<(), BaseError> {
        let Some(top) = self.heap.first_mut() else { return Ok(()) };
        if top.source.advance()? {
            top.prefix = prefix(top.source.key());
        } else {
            self.heap.swap_remove(0);
        }
        self.sift_down(0);
        Ok(())
    }
}

impl ChangeSource for Merge<'_> {
    fn next(&mut self) -> Result<Option<Change<'_>>, BaseError> {
        // What was given last, and older rows of its key.
        while let (Some(last), Some(top)) = (&self.last, self.heap.first())
            && top.source.key() == last.as_slice()
        {
            self.advance()?;
        }
        let Some(top) = self.heap.first_mut() else { return Ok(None) };
        let (key, value) = top.source.row()?;
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
        Ok(Some(Change { tree: self.tree, key, value: Some(value) }))
    }
}

/// The next rows of a merge, about so many bytes of them.
#[derive(Debug)]
pub(super) struct Step<'s, 'a> {
    merge: &'s mut Merge<'a>,
    left: usize,
}

impl<'s, 'a> Step<'s, 'a> {
    pub(super) fn new(merge: &'s mut Merge<'a>, bytes: usize) -> Self {
        Self { merge, left: bytes }
    }

    /// Whether it ended before the merge did, as far as it knows.
    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }
}

impl ChangeSource for Step<'_, '_> {
    fn next(&mut self) -> Result<Option<Change<'_>>, BaseError> {
        if self.is_full() {
            return Ok(None);
        }
        let change = self.merge.next()?;
        if let Some(Change { key, value, .. }) = &change {
            self.left = self.left.saturating_sub(key.len() + value.map_or(0, <[u8]>::len));
        }
        Ok(change)
    }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use braid_vfs::Env;

    use super::super::chunk::Chunk;
    use super::super::run::RunFile;
    use super::*;

    #[test]
    fn every_key_comes_once_in_order_with_its_newest_value() {
        let env = Env::in_memory();
        let mut file = RunFile::create(&*env.files, Path::new("runs")).unwrap();
        let mut model = BTreeMap::new();
        let mut chunk = Chunk::default();
        for number in 0..10_000_u32 {
            let key = (number.wrapping_mul(2_654_435_761) % 4_000).to_be_bytes();
            chunk.push(&key, &number.to_le_bytes());
            model.insert(key.to_vec(), number.to_le_bytes().to_vec());
            if number % 1500 == 1499 {
                chunk.sort();
                file.write(chunk.rows()).unwrap();
                chunk.clear();
            }
        }
        chunk.sort();
        let mut merge = Merge::new(TreeId(7), file.readers(0), chunk.rows()).unwrap();
        let mut merged = Vec::new();
        while let Some(change) = merge.next().unwrap() {
            merged.push((change.key.to_vec(), change.value.unwrap().to_vec()));
        }
        assert_eq!(merged, model.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn nothing_merges_to_nothing() {
        let chunk = Chunk::default();
        let mut merge = Merge::new(TreeId(7), std::iter::empty(), chunk.rows()).unwrap();
        assert_eq!(merge.next().unwrap(), None);
    }
}

//! One table as a snapshot sees it: own writes over generations over base, merged in key order, both ways.
//!
//! Invariant, with the merge standing on a row, after its end or before its beginning: every layer stands on its first
//! row at or beyond that place in the direction of travel. Turning round seeks every layer anew from the current key, and
//! so does the step after one that failed.
//! Where a key stands in several layers the topmost wins; a tombstone hides the row in the layers below.

use std::cmp::Ordering;
use std::ops::Bound;

use braid_mvstore::{Direction, Found, TableId, Timestamp};
use braid_vfs::planted;
use braid_vfs::sync::Arc;

use super::inner::Inner;
use super::overlay::{GenerationLayer, OwnLayer};
use crate::base::{BaseCursor, BaseStore};
use crate::core::View;
use crate::error::{Error, Result};

/// What an error of the base interrupts.
const READING: &str = "reading the database file";

/// Where a merge stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nowhere yet.
    Nowhere,
    /// On a row, which this layer holds.
    Row(Layer),
    /// Beyond the last row in the direction of travel.
    End,
    /// Right behind `key` in the direction of travel, with the layers anywhere: a step could not be made.
    Behind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Own,
    Generation(usize),
    Base,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Layers {
    table: TableId,
    at: Timestamp,
    own: OwnLayer,
    generations: Vec<GenerationLayer>,
    /// `None`: the layers above the base alone, with their tombstones.
    base: Option<BaseCursor>,
    place: Place,
    direction: Direction,
    /// The current row's key, kept while layers other than the base take part; and the key that a failed step left.
    key: Vec<u8>,
}

impl Layers {
    /// A merge that stands nowhere yet.
    pub(crate) fn over(store: &Arc<BaseStore>, view: &View, table: TableId, at: Timestamp) -> Self {
        let base = BaseCursor::new(Arc::clone(store), Arc::clone(&view.base), table.into());
        Self { base: Some(base), ..Self::overlay(view, table, at) }
    }

    /// The same of the layers above the base, tombstones included.
    pub(crate) fn overlay(view: &View, table: TableId, at: Timestamp) -> Self {
        let generations = view
            .generations()
            .filter(|generation| generation.may_hold(at))
            .take(if planted!(SealedNotScanned) { 1 } else { usize::MAX })
            .map(|generation| GenerationLayer::new(Arc::clone(generation)))
            .collect();
        Self {
            table,
            at,
            own: OwnLayer::default(),
            generations,
            base: None,
            place: Place::Nowhere,
            direction: Direction::Forward,
            key: Vec::new(),
        }
    }

    /// Goes to the first row from `from` on in `direction`; whether there is one.
    pub(crate) fn seek(
        &mut self,
        own: Option<&Inner>,
        from: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<bool> {
        self.place = Place::Nowhere;
        self.direction = direction;
        self.own.seek(own, self.table, from, direction);
        for generation in &mut self.generations {
            generation.seek(self.table, from, direction, self.at);
        }
        if let Some(base) = &mut self.base {
            seek_base(base, from, direction)?;
        }
        self.settle(own)
    }

    /// Goes one row on in `direction`. From nowhere that is the first row that way; from beyond an end, the last row
    /// before that end, or nothing. A step that fails leaves the row: another one tries it again, one back comes to the
    /// row.
    pub(crate) fn step(&mut self, own: Option<&Inner>, direction: Direction) -> Result<bool> {
        let ahead = direction == self.direction;
        match self.place {
            Place::End if ahead => Ok(false),
            Place::Nowhere | Place::End => self.seek(own, Bound::Unbounded, direction),
            Place::Row(_) if ahead => self.advance(own).inspect_err(|_| self.place = Place::Behind),
            Place::Row(_) | Place::Behind => {
                let back_to_it = self.place == Place::Behind && !ahead;
                let travelled = self.direction;
                let key = self.take_key();
                let from = if back_to_it { Bound::Included(&*key) } else { Bound::Excluded(&*key) };
                let found = self.seek(own, from, direction);
                if found.is_err() {
                    self.direction = if back_to_it { travelled } else { direction };
                    (self.key, self.place) = (key, Place::Behind);
                }
                found
            }
        }
    }

    /// Goes from a row to the next in the direction of travel.
    fn advance(&mut self, own: Option<&Inner>) -> Result<bool> {
        if self.is_base_alone(own)
            && let Some(base) = &mut self.base
        {
            let found = match advance_base(base, self.direction) {
                Ok(found) => found,
                Err(error) => {
                    self.key.clear();
                    self.key.extend_from_slice(base.last_key());
                    return Err(error);
                }
            };
            self.place = if found { Place::Row(Layer::Base) } else { Place::End };
            return Ok(found);
        }
        if let Place::Row(Layer::Base) = self.place {
            self.remember_base_key();
        }
        if self.own.is_stale(own) {
            self.own.seek(own, self.table, Bound::Excluded(&self.key), self.direction);
        }
        self.pass_current(own)?;
        self.settle(own)
    }

    /// Whether a step in `direction` stays where it is, beyond the last row that way.
    pub(crate) fn has_ended(&self, direction: Direction) -> bool {
        self.place == Place::End && direction == self.direction
    }

    /// Whether only the base has rows: then there is nothing to merge.
    fn is_base_alone(&self, own: Option<&Inner>) -> bool {
        self.base.is_some()
            && self.generations.is_empty()
            && !self.own.is_stale(own)
            && self.own.key().is_none()
    }

    fn remember_base_key(&mut self) {
        self.key.clear();
        if let Some(base) = &self.base {
            self.key.extend_from_slice(base.key());
        }
    }

    fn take_key(&mut self) -> Vec<u8> {
        if let Place::Row(Layer::Base) = self.place {
            self.remember_base_key();
        }
        std::mem::take(&mut self.key)
    }

    /// Moves every layer beyond the current key.
    fn pass_current(&mut self, own: Option<&Inner>) -> Result<()> {
        if self.own.key() == Some(&self.key) {
            self.own.seek(own, self.table, Bound::Excluded(&self.key), self.direction);
        }
        for generation in &mut self.generations {
            if generation.key() == Some(&self.key) {
                generation.advance(self.table, self.direction, self.at);
            }
        }
        if let Some(base) = &mut self.base
            && base.is_on_row()
            && base.key() == self.key
        {
            advance_base(base, self.direction)?;
        }
        Ok(())
    }

    /// Finds the current row among the layers' positions, passing rows that a tombstone hides.
    fn settle(&mut self, own: Option<&Inner>) -> Result<bool> {
        if self.is_base_alone(own) {
            let found = self.base_key().is_some();
            self.place = if found { Place::Row(Layer::Base) } else { Place::End };
            return Ok(found);
        }
        loop {
            let Some((layer, key)) = self.first() else {
                self.place = Place::End;
                return Ok(false);
            };
            let hidden = self.base.is_some() && matches!(self.found(layer), Some(Found::Tombstone));
            let key = key.to_vec();
            self.key = key;
            if !hidden {
                self.place = Place::Row(layer);
                return Ok(true);
            }
            self.pass_current(own)?;
        }
    }

    /// The layer whose key comes first in the direction of travel; of equal keys the topmost layer's.
    fn first(&self) -> Option<(Layer, &[u8])> {
        let before = match self.direction {
            Direction::Forward => Ordering::Less,
            Direction::Backward => Ordering::Greater,
        };
        let own = self.own.key().map(|key| (Layer::Own, key));
        let generations = self
            .generations
            .iter()
            .enumerate()
            .filter_map(|(index, generation)| Some((Layer::Generation(index), generation.key()?)));
        let base = self.base_key().map(|key| (Layer::Base, key));
        own.into_iter()
            .chain(generations)
            .chain(base)
            .reduce(|first, next| if next.1.cmp(first.1) == before { next } else { first })
    }

    fn found(&self, layer: Layer) -> Option<Found<'_>> {
        match layer {
            Layer::Own => self.own.found(),
            Layer::Generation(index) => self.generations.get(index)?.found(),
            Layer::Base => None,
        }
    }

    /// The current row's key.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        match self.place {
            Place::Row(Layer::Base) => self.base_key(),
            Place::Row(_) => Some(&self.key),
            Place::Nowhere | Place::End | Place::Behind => None,
        }
    }

    /// The current row's value, as it was when the merge came to it.
    pub(crate) fn value(&self) -> Result<Option<&[u8]>> {
        match self.place {
            Place::Row(Layer::Base) => match &self.base {
                Some(base) => base.value().map(Some).map_err(|error| Error::from_base(error, READING)),
                None => Ok(None),
            },
            Place::Row(layer) => Ok(self.found(layer).and_then(Found::value)),
            Place::Nowhere | Place::End | Place::Behind => Ok(None),
        }
    }

    /// The current row's key and value.
    pub(crate) fn row(&self) -> Result<Option<(&[u8], &[u8])>> {
        match self.place {
            Place::Nowhere | Place::End | Place::Behind => Ok(None),
            Place::Row(_) => Ok(self.key().zip(self.value()?)),
        }
    }

    fn base_key(&self) -> Option<&[u8]> {
        self.base.as_ref().filter(|base| base.is_on_row()).map(BaseCursor::key)
    }

    /// For a merge without the base: the current row's key, and whether the row is there or deleted.
    pub(crate) fn overlay_row(&self) -> Option<(&[u8], bool)> {
        match self.place {
            Place::Row(layer) => Some((&self.key, !matches!(self.found(layer), Some(Found::Tombstone)))),
            Place::Nowhere | Place::End | Place::Behind => None,
        }
    }
}

fn seek_base(base: &mut BaseCursor, from: Bound<&[u8]>, direction: Direction) -> Result<bool> {
    let found = match (direction, from) {
        (Direction::Forward, Bound::Unbounded) => base.first(),
        (Direction::Forward, Bound::Included(key)) => base.seek_ge(key),
        (Direction::Forward, Bound::Excluded(key)) => base.seek_gt(key),
        (Direction::Backward, Bound::Unbounded) => base.last(),
        (Direction::Backward, Bound::Included(key)) => base.seek_le(key),
        (Direction::Backward, Bound::Excluded(key)) => base.seek_lt(key),
    };
    found.map_err(|error| Error::from_base(error, READING))
}

fn advance_base(base: &mut BaseCursor, direction: Direction) -> Result<bool> {
    let moved = match direction {
        Direction::Forward => base.next(),
        Direction::Backward => base.prev(),
    };
    moved.map_err(|error| Error::from_base(error, READING))
}

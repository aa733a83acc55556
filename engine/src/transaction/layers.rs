//! One table as a snapshot sees it: own writes over generations over base, merged in key order, both ways.
//!
//! It does not hold the view that it reads, but is handed it with each move, always the same one: between two moves a
//! snapshot may be revoked, and then nothing of its view is to be left here but copies, and one page.
//!
//! Invariant, with the merge standing on a row, after its end or before its beginning: every layer stands on its first
//! row at or beyond that place in the direction of travel. Turning round seeks every layer anew from the current key, and
//! so does the step after one that failed.
//! Where a key stands in several layers the topmost wins; a tombstone hides the row in the layers below.
//!
//! Most rows are the base's, so that a merge which comes to one looks where the layers above go on, and lets the base's
//! cursor run free up to there: within its leaf, a step is then one of the base alone.
//!
//! So a step tries, from the cheapest on, in each of `Cursor` (may it? is it noted?), `Layers` and `BaseCursor`:
//!
//! | rung | `Cursor` | `Layers` | `BaseCursor` |
//! | --- | --- | --- | --- |
//! | in the run, between short rows, without a call | `step_quickly` | `step_quickly` | `step_quickly` |
//! | in the run | `step_at_hand` | `step_in_run` | `step_in_run` |
//! | from the run to the one generation above | `step_at_hand` | `step_to_generation` | `step_to_fence` |
//! | and back | `step_at_hand` | `step_from_generation` | `step_in_leaf` |
//! | nothing further above the base | `step_out_of_run` | `step_within`, `advance_base_alone` | `next`, `prev` |
//! | the merge | `step_out_of_run` | `step_within`, `advance` | `next`, `prev` |
//! | anew, after a turn or a failure | `step_out_of_run` | `step_within`, `seek_within` | `seek_…` |
//!
//! `Cursor::step` is all of it without a limit, and `Cursor::step_within` with one.

use std::cmp::Ordering;
use std::ops::Bound;

use braid_mvstore::{Direction, Found, TableId, Timestamp};
use braid_vfs::planted;
use braid_vfs::sync::Arc;

use super::inner::Inner;
use super::overlay::{GenerationLayer, OwnLayer, generation_layers, give_back};
use crate::base::{BaseCursor, BaseDirection, BaseStore};
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
    /// From the first seek on.
    generations: Vec<GenerationLayer>,
    has_generations: bool,
    /// `None`: the layers above the base alone, with their tombstones.
    base: Option<BaseCursor>,
    place: Place,
    direction: Direction,
    /// With the merge standing on a row of another layer: whether the base stands on a row with the same key.
    tied: bool,
    /// With the merge standing on a row of the base: the layer whose key comes next, which the base's run ends before.
    fence: Option<Layer>,
    /// The key of a row that is being passed, and the one that a failed step left.
    key: Vec<u8>,
    /// The same of a row that a tombstone hides: a step that fails beyond it begins anew before it, as the tombstone may be
    /// taken back by then.
    hidden: Vec<u8>,
}

impl Layers {
    /// A merge that stands nowhere yet.
    pub(crate) fn over(store: &Arc<BaseStore>, view: &View, table: TableId, at: Timestamp) -> Self {
        let base = BaseCursor::within(Arc::clone(store), &view.base, table.into());
        let mut layers = Self::overlay(table, at);
        layers.base = Some(base);
        layers
    }

    /// The same of the layers above the base, tombstones included.
    pub(crate) fn overlay(table: TableId, at: Timestamp) -> Self {
        Self {
            table,
            at,
            own: OwnLayer::default(),
            generations: Vec::new(),
            has_generations: false,
            base: None,
            place: Place::Nowhere,
            direction: Direction::Forward,
            tied: false,
            fence: None,
            key: Vec::new(),
            hidden: Vec::new(),
        }
    }

    /// Goes to the first row from `from` on in `direction`; whether there is one.
    pub(crate) fn seek(
        &mut self,
        view: &View,
        own: Option<&Inner>,
        from: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<bool> {
        self.seek_within(view, own, from, direction, Bound::Unbounded)
    }

    /// The same for one to whom what lies beyond `limit` means no more than that it does: there it ends at the first key
    /// that a layer has, though the row may be deleted, and its value is not to be asked for.
    pub(super) fn seek_within(
        &mut self,
        view: &View,
        own: Option<&Inner>,
        from: Bound<&[u8]>,
        direction: Direction,
        limit: Bound<&[u8]>,
    ) -> Result<bool> {
        self.place = Place::Nowhere;
        self.direction = direction;
        self.own.seek(own, self.table, from, direction)?;
        if !std::mem::replace(&mut self.has_generations, true) {
            self.generations = generation_layers(view, self.at);
        }
        let Self { generations, base, table, at, .. } = self;
        for generation in &mut *generations {
            generation.approach(view, *table, from, direction, *at);
        }
        if let Some(base) = base {
            seek_base(base, from, direction, || generations.iter().for_each(|one| one.draw_near(view)))?;
        }
        for generation in generations {
            generation.seek(view, *table, from, direction, *at);
        }
        self.settle(view, own, limit, None)
    }

    /// Goes one row on in `direction`. From nowhere that is the first row that way; from beyond an end, the last row
    /// before that end, or nothing. A step that fails leaves the row: another one tries it again, one back comes to the
    /// row.
    pub(crate) fn step(&mut self, view: &View, own: Option<&Inner>, direction: Direction) -> Result<bool> {
        self.step_within(view, own, direction, Bound::Unbounded)
    }

    /// The same with a limit, as for [`seek_within`](Self::seek_within).
    pub(super) fn step_within(
        &mut self,
        view: &View,
        own: Option<&Inner>,
        direction: Direction,
        limit: Bound<&[u8]>,
    ) -> Result<bool> {
        if self.step_in_run(own, direction) {
            return Ok(true);
        }
        let ahead = direction == self.direction;
        match self.place {
            Place::End if ahead => Ok(false),
            Place::Nowhere | Place::End => self.seek_within(view, own, Bound::Unbounded, direction, limit),
            Place::Row(Layer::Base) if ahead && self.is_base_alone(own) => self.advance_base_alone(),
            Place::Row(layer) if ahead => {
                self.advance(layer, view, own, limit).inspect_err(|_| self.place = Place::Behind)
            }
            Place::Row(_) | Place::Behind => {
                let back_to_it = self.place == Place::Behind && !ahead;
                let travelled = self.direction;
                let key = self.take_key();
                let from = if back_to_it { Bound::Included(&*key) } else { Bound::Excluded(&*key) };
                let found = self.seek_within(view, own, from, direction, limit);
                if found.is_err() {
                    self.direction = if back_to_it { travelled } else { direction };
                    (self.key, self.place) = (key, Place::Behind);
                }
                found
            }
        }
    }

    /// Goes to the next row if that is one more of the base's run: nothing but the transaction's own writes can have come
    /// between. A run begins where the merge comes to a row of the base, and ends with every other move.
    pub(crate) fn step_in_run(&mut self, own: Option<&Inner>, direction: Direction) -> bool {
        !self.own.is_stale(own)
            && self.base.as_mut().is_some_and(|base| base.step_in_run(base_direction(direction)))
    }

    /// The same where a few instructions do it; see [`BaseCursor::step_quickly`].
    #[inline(always)]
    pub(crate) fn step_quickly(&mut self, own: &Inner, direction: Direction) -> bool {
        !self.own.is_stale(Some(own))
            && self.base.as_mut().is_some_and(|base| base.step_quickly(base_direction(direction)))
    }

    /// Goes one row on within the base's run, or where there is one generation above the base, and what is at hand says
    /// which row that is: from the end of the run to the fence, and from there to the base or to a row of the batch. Nothing
    /// is read, and nothing can fail; wherever it takes more, it stays and says `false`.
    pub(crate) fn step_at_hand(&mut self, own: &Inner, direction: Direction) -> bool {
        match self.place {
            Place::Row(Layer::Generation(_)) => self.step_from_generation(own, direction),
            Place::Row(Layer::Base) => {
                self.step_in_run(Some(own), direction) || self.step_to_generation(own, direction)
            }
            _ => false,
        }
    }

    /// Whether there is nothing but generations above the base, in this direction.
    #[inline(always)]
    fn has_no_own(&self, own: &Inner, direction: Direction) -> bool {
        direction == self.direction && self.own.key().is_none() && !self.own.is_stale(Some(own))
    }

    #[inline(always)]
    fn step_to_generation(&mut self, own: &Inner, direction: Direction) -> bool {
        if !self.has_no_own(own, direction) {
            return false;
        }
        let ([generation], Some(base)) = (&*self.generations, &mut self.base) else { return false };
        if !generation.has_value() {
            return false;
        }
        let Some(tied) =
            generation.key().and_then(|fence| base.step_to_fence(fence, base_direction(direction)))
        else {
            return false;
        };
        self.tied = tied;
        self.place = Place::Row(Layer::Generation(0));
        true
    }

    #[inline(always)]
    fn step_from_generation(&mut self, own: &Inner, direction: Direction) -> bool {
        if !self.has_no_own(own, direction) {
            return false;
        }
        let ([generation], Some(base)) = (&mut *self.generations, &mut self.base) else { return false };
        let base_direction = base_direction(direction);
        if !generation.goes_on() || !base.is_on_row() || self.tied && !base.step_in_leaf(base_direction) {
            return false;
        }
        generation.go_on();
        let order = base.meet(generation.key(), base_direction);
        self.tied = order == Ordering::Equal;
        if order == Ordering::Less {
            self.fence = Some(Layer::Generation(0));
            self.place = Place::Row(Layer::Base);
        }
        true
    }

    /// Goes from a row of `layer` to the next in the direction of travel. Where that fails, `key` is the row's.
    fn advance(
        &mut self,
        layer: Layer,
        view: &View,
        own: Option<&Inner>,
        limit: Bound<&[u8]>,
    ) -> Result<bool> {
        self.remember_key_of(layer);
        if self.own.is_stale(own) {
            self.own.seek(own, self.table, Bound::Excluded(&self.key), self.direction)?;
            self.fence = None;
        }
        if layer == Layer::Base
            && let Some(fence) = self.fence
            && let Some(tied) = self.step_to_fence_of(fence)
        {
            return self.settle(view, own, limit, Some((fence, tied)));
        }
        self.pass(layer, view, own)?;
        self.settle(view, own, limit, None)
    }

    /// Goes from the last row of the base's run to the fence that `layer` is; see [`BaseCursor::step_to_fence`].
    fn step_to_fence_of(&mut self, layer: Layer) -> Option<bool> {
        let fence = key_of(&self.own, &self.generations, None, layer)?;
        self.base.as_mut()?.step_to_fence(fence, base_direction(self.direction))
    }

    /// Whether the layers above the base have nothing further in the direction of travel.
    fn is_base_alone(&self, own: Option<&Inner>) -> bool {
        self.own.key().is_none()
            && !self.own.is_stale(own)
            && self.generations.iter().all(|generation| generation.key().is_none())
    }

    /// Goes from a row of the base to its next one, where only the base has any.
    fn advance_base_alone(&mut self) -> Result<bool> {
        let Some(base) = &mut self.base else { return Ok(false) };
        match advance_base(base, self.direction) {
            Ok(true) => {
                base.meet(None, base_direction(self.direction));
            }
            Ok(false) => self.place = Place::End,
            Err(error) => {
                self.key.clear();
                self.key.extend_from_slice(base.last_key());
                self.place = Place::Behind;
                return Err(error);
            }
        }
        Ok(self.place != Place::End)
    }

    /// What a step in `direction` passes first: everything from here on.
    pub(crate) fn start_of_step(&self, direction: Direction) -> Bound<&[u8]> {
        match self.place {
            Place::Row(layer) => self.key_in(layer).map_or(Bound::Unbounded, Bound::Excluded),
            Place::Behind if direction == self.direction => Bound::Excluded(&*self.key),
            Place::Behind => Bound::Included(&*self.key),
            Place::Nowhere | Place::End => Bound::Unbounded,
        }
    }

    /// Stands nowhere: what the last move came to is not to be believed.
    pub(crate) fn forget_place(&mut self) {
        self.place = Place::Nowhere;
        if let Some(base) = &mut self.base {
            base.end_run();
        }
    }

    /// Whether a step in `direction` stays where it is, beyond the last row that way.
    pub(crate) fn has_ended(&self, direction: Direction) -> bool {
        self.place == Place::End && direction == self.direction
    }

    /// Puts the current row's key into `key`.
    fn remember_key(&mut self) {
        if let Place::Row(layer) = self.place {
            self.remember_key_of(layer);
        }
    }

    fn remember_key_of(&mut self, layer: Layer) {
        let Self { own, generations, base, key, .. } = self;
        key.clear();
        key.extend_from_slice(key_of(own, generations, base.as_ref(), layer).unwrap_or_default());
    }

    fn take_key(&mut self) -> Vec<u8> {
        self.remember_key();
        std::mem::take(&mut self.key)
    }

    /// Moves every layer beyond the row of `layer`, whose key is in `key`. The layers above that one are beyond it.
    fn pass(&mut self, layer: Layer, view: &View, own: Option<&Inner>) -> Result<()> {
        if let Some(base) = &mut self.base
            && (layer == Layer::Base || self.tied)
        {
            advance_base(base, self.direction)?;
        }
        let below = match layer {
            Layer::Base => return Ok(()),
            Layer::Own => {
                // It is beyond already where it was found anew.
                if self.own.key() == Some(&self.key) {
                    self.own.seek(own, self.table, Bound::Excluded(&self.key), self.direction)?;
                }
                0
            }
            Layer::Generation(index) => {
                if let Some(generation) = self.generations.get_mut(index) {
                    generation.advance(view, self.table, self.direction, self.at);
                }
                index + 1
            }
        };
        for generation in self.generations.iter_mut().skip(below) {
            if generation.key() == Some(&self.key) {
                generation.advance(view, self.table, self.direction, self.at);
            }
        }
        Ok(())
    }

    /// Finds the current row among the layers' positions, passing rows that a tombstone hides. Which layer's row that is, and
    /// whether the base is tied with it, may be known.
    fn settle(
        &mut self,
        view: &View,
        own: Option<&Inner>,
        limit: Bound<&[u8]>,
        known: Option<(Layer, bool)>,
    ) -> Result<bool> {
        let mut known = known;
        loop {
            let first = match known.take() {
                Some((layer, tied)) => {
                    self.tied = tied;
                    Some(layer)
                }
                None => self.first(),
            };
            let Some(layer) = first else {
                self.place = Place::End;
                return Ok(false);
            };
            // An update that nobody looks at stays one, and conflicts with no other.
            if layer == Layer::Own
                && self.own.is_updated()
                && (!is_beyond(self.own.key(), self.direction, limit) || planted!(UpdateBeyondSettled))
            {
                self.own.settle(own, self.table)?;
            }
            if layer != Layer::Base
                && self.base.is_some()
                && matches!(self.found(layer), Some(Found::Tombstone))
                && !is_beyond(self.key_in(layer), self.direction, limit)
            {
                std::mem::swap(&mut self.key, &mut self.hidden);
                self.remember_key_of(layer);
                let passed = self.pass(layer, view, own);
                std::mem::swap(&mut self.key, &mut self.hidden);
                passed?;
                continue;
            }
            self.place = Place::Row(layer);
            return Ok(true);
        }
    }

    /// The layer whose key comes first in the direction of travel, of equal keys the topmost layer's. Where that is the base,
    /// its run begins; else it says whether the base is tied with it.
    fn first(&mut self) -> Option<Layer> {
        let before = match self.direction {
            Direction::Forward => Ordering::Less,
            Direction::Backward => Ordering::Greater,
        };
        let mut above = self.own.key().map(|key| (Layer::Own, key));
        for (index, generation) in self.generations.iter().enumerate() {
            if let Some(key) = generation.key()
                && above.is_none_or(|(_, first)| key.cmp(first) == before)
            {
                above = Some((Layer::Generation(index), key));
            }
        }
        self.tied = false;
        self.fence = above.map(|(layer, _)| layer);
        let Some(base) = self.base.as_mut().filter(|base| base.is_on_row()) else { return self.fence };
        match base.meet(above.map(|(_, key)| key), base_direction(self.direction)) {
            Ordering::Less => Some(Layer::Base),
            order => {
                self.tied = order == Ordering::Equal;
                self.fence
            }
        }
    }

    fn found(&self, layer: Layer) -> Option<Found<'_>> {
        match layer {
            Layer::Own => self.own.found(),
            Layer::Generation(index) => self.generations.get(index)?.found(),
            Layer::Base => None,
        }
    }

    /// The current row's key.
    #[inline]
    pub(crate) fn key(&self) -> Option<&[u8]> {
        match self.place {
            Place::Row(layer) => self.key_in(layer),
            Place::Nowhere | Place::End | Place::Behind => None,
        }
    }

    /// The current row's value, as it was when the merge came to it.
    #[inline(always)]
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
    #[inline(always)]
    pub(crate) fn row(&self) -> Result<Option<(&[u8], &[u8])>> {
        match (self.place, &self.base) {
            (Place::Row(Layer::Base), Some(base)) => {
                base.row().map_err(|error| Error::from_base(error, READING))
            }
            (Place::Row(_), _) => Ok(self.key().zip(self.value()?)),
            (Place::Nowhere | Place::End | Place::Behind, _) => Ok(None),
        }
    }

    /// The same of a row of the base whose value lies in its leaf.
    #[inline(always)]
    pub(crate) fn base_row(&self) -> Option<(&[u8], &[u8])> {
        if matches!(self.place, Place::Row(Layer::Base)) { self.base.as_ref()?.short_row() } else { None }
    }

    fn key_in(&self, layer: Layer) -> Option<&[u8]> {
        key_of(&self.own, &self.generations, self.base.as_ref(), layer)
    }

    /// For a merge without the base: the current row's key, and whether the row is there or deleted.
    pub(crate) fn overlay_row(&self) -> Option<(&[u8], bool)> {
        match self.place {
            Place::Row(layer) => {
                Some((self.key_in(layer)?, !matches!(self.found(layer), Some(Found::Tombstone))))
            }
            Place::Nowhere | Place::End | Place::Behind => None,
        }
    }
}

/// Whether a row lies beyond the limit of a move.
pub(super) fn is_beyond(key: Option<&[u8]>, direction: Direction, limit: Bound<&[u8]>) -> bool {
    key.is_some_and(|key| match (limit, direction) {
        (Bound::Unbounded, _) => false,
        (Bound::Included(limit), Direction::Forward) => key > limit,
        (Bound::Excluded(limit), Direction::Forward) => key >= limit,
        (Bound::Included(limit), Direction::Backward) => key < limit,
        (Bound::Excluded(limit), Direction::Backward) => key <= limit,
    })
}

/// The key of the row that a layer stands on.
fn key_of<'a>(
    own: &'a OwnLayer,
    generations: &'a [GenerationLayer],
    base: Option<&'a BaseCursor>,
    layer: Layer,
) -> Option<&'a [u8]> {
    match layer {
        Layer::Own => own.key(),
        Layer::Generation(index) => generations.get(index)?.key(),
        Layer::Base => base.filter(|base| base.is_on_row()).map(BaseCursor::key),
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        if !self.generations.is_empty() {
            give_back(std::mem::take(&mut self.generations));
        }
    }
}

fn base_direction(direction: Direction) -> BaseDirection {
    match direction {
        Direction::Forward => BaseDirection::Forward,
        Direction::Backward => BaseDirection::Backward,
    }
}

fn seek_base(
    base: &mut BaseCursor,
    from: Bound<&[u8]>,
    direction: Direction,
    meanwhile: impl FnOnce(),
) -> Result<bool> {
    let found = match (direction, from) {
        (Direction::Forward, Bound::Unbounded) => base.first(),
        (Direction::Forward, Bound::Included(key)) => base.seek_ge(key, meanwhile),
        (Direction::Forward, Bound::Excluded(key)) => base.seek_gt(key, meanwhile),
        (Direction::Backward, Bound::Unbounded) => base.last(),
        (Direction::Backward, Bound::Included(key)) => base.seek_le(key, meanwhile),
        (Direction::Backward, Bound::Excluded(key)) => base.seek_lt(key, meanwhile),
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

//! A place in a tree that can be moved.

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use braid_vfs::planted;
use smallvec::SmallVec;

use super::error::{BaseError, Result};
use super::ids::TreeId;
use super::overflow::OverflowValue;
use super::page::{Expected, Page, RowPlace, Value};
use super::refs::OverflowRef;
use super::row_key::RowKeyBuffer;
use super::store::{Base, BaseStore};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    BeforeFirst,
    Row,
    AfterLast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

/// How far [`step_in_run`](BaseCursor::step_in_run) may go within the leaf: one way or the other, or not at all.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// From a row before this one there is a step forward.
    last: usize,
    /// From a row behind this one there is a step backward.
    first: usize,
    /// The row of the leaf where the fence ends it.
    fence: Option<Fence>,
}

/// The first row of a leaf at a fence or beyond it, in the direction of the run.
#[derive(Clone, Copy, Debug)]
struct Fence {
    row: usize,
    /// Whether the row is at the fence, and not beyond. `None`: no row before it is at the fence or beyond; about the
    /// row itself its key has to be asked, which is on its way into the processor's cache.
    at_it: Option<bool>,
}

impl Run {
    const NONE: Self = Self { last: 0, first: usize::MAX, fence: None };
}

/// Branches above a leaf that need no memory of their own.
const PATH: usize = 3;

/// A cursor over one tree of one base. One made by [`new`](Self::new) holds the base, so it may live as long as anybody
/// likes. One made [`within`](Self::within) a base does not: whoever moves it holds the base meanwhile.
///
/// Keys ascend from leaf to leaf, whatever the file says: a scan of a made-up tree in which pages have two parents comes to
/// the second one and ends there, as damage.
///
/// Each move says whether the cursor stands on a row now. Past either end it stays there: a step back comes to the last
/// row, or the first. A new cursor stands before the first row. After an error it stands there too.
#[derive(Debug)]
pub(crate) struct BaseCursor {
    store: Arc<BaseStore>,
    /// Where the tree begins; `None` if it has no rows.
    top: Option<Expected>,
    /// Held for no more than that its pages stay.
    _base: Option<Arc<Base>>,
    tree: TreeId,
    place: Place,
    /// The branches above the leaf, each with the child taken. They are looked up again when the cursor comes back to one,
    /// so that it holds no page that all cursors pass: they would meet at its reference count.
    path: SmallVec<[(Expected, usize); PATH]>,
    leaf: Option<Page>,
    row: usize,
    run: Run,
    row_place: RowPlace,
    /// The key of the row, or of the one that it stood on last.
    key: RowKeyBuffer,
    /// The row's value, if it is a long one and was asked for.
    long_value: OnceLock<OverflowValue>,
}

impl BaseCursor {
    /// A cursor before the first row of a tree, which may have no rows.
    #[cfg(test)]
    pub(crate) fn new(store: Arc<BaseStore>, base: Arc<Base>, tree: TreeId) -> Self {
        let within = Self::within(store, &base, tree);
        Self { _base: Some(base), ..within }
    }

    /// The same, in a base that is held by whoever moves it, as long as each move takes. A part of who makes it, into
    /// whose place it is written.
    #[inline(always)]
    pub(crate) fn within(store: Arc<BaseStore>, base: &Base, tree: TreeId) -> Self {
        Self {
            store,
            top: base.top(tree),
            _base: None,
            tree,
            place: Place::BeforeFirst,
            path: SmallVec::new(),
            leaf: None,
            row: 0,
            run: Run::NONE,
            row_place: RowPlace::default(),
            key: RowKeyBuffer::default(),
            long_value: OnceLock::new(),
        }
    }

    /// Whether the cursor stands on a row.
    #[inline]
    pub(crate) fn is_on_row(&self) -> bool {
        self.place == Place::Row
    }

    /// The row's key; empty when the cursor stands on none.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        if self.is_on_row() { self.key.key() } else { &[] }
    }

    /// The key of the row that it stood on last, which an error leaves as it was.
    pub(crate) fn last_key(&self) -> &[u8] {
        self.key.key()
    }

    /// Key and value of the row, if it stands on one whose value lies in the leaf.
    #[inline(always)]
    pub(crate) fn short_row(&self) -> Option<(&[u8], &[u8])> {
        let leaf = self.leaf.as_ref().filter(|_| self.is_on_row())?;
        Some((self.key.key(), leaf.short_value_at(&self.row_place)?))
    }

    /// The row's value; empty when the cursor stands on none. A long value is read at the first call and kept until the
    /// cursor moves.
    ///
    /// # Errors
    /// `Corrupt`, and what reading gives.
    #[inline]
    pub(crate) fn value(&self) -> Result<&[u8]> {
        let Some(leaf) = self.leaf.as_ref().filter(|_| self.is_on_row()) else { return Ok(&[]) };
        match leaf.value_at(&self.row_place) {
            Value::Inline(value) => Ok(value),
            Value::Overflow(run) => self.long_value(&run),
        }
    }

    /// Key and value of the row; `None` when the cursor stands on none.
    ///
    /// # Errors
    /// As for [`value`](Self::value).
    #[inline]
    pub(crate) fn row(&self) -> Result<Option<(&[u8], &[u8])>> {
        if self.is_on_row() { Ok(Some((self.key.key(), self.value()?))) } else { Ok(None) }
    }

    #[cold]
    fn long_value(&self, run: &OverflowRef) -> Result<&[u8]> {
        if let Some(read) = self.long_value.get() {
            return Ok(read.value());
        }
        let read = self.store.read_overflow(self.tree, run)?;
        Ok(self.long_value.get_or_init(|| read).value())
    }

    /// Moves to the first row.
    ///
    /// # Errors
    /// `Corrupt`, and what reading gives; so for all moves.
    pub(crate) fn first(&mut self) -> Result<bool> {
        self.go_to_edge(Direction::Forward)
    }

    /// Moves to the last row.
    ///
    /// # Errors
    /// See [`first`](Self::first).
    pub(crate) fn last(&mut self) -> Result<bool> {
        self.go_to_edge(Direction::Backward)
    }

    /// Moves to the first row whose key is not less than `key`. While the leaf is on its way into the processor's cache
    /// it may do something else; so for all seeks.
    ///
    /// # Errors
    /// See [`first`](Self::first).
    pub(crate) fn seek_ge(&mut self, key: &[u8], meanwhile: impl FnOnce()) -> Result<bool> {
        let Some(Ok(row) | Err(row)) = self.find(key, meanwhile)? else { return Ok(false) };
        self.settle_forward(row)
    }

    /// Moves to the first row whose key is greater than `key`.
    ///
    /// # Errors
    /// See [`first`](Self::first).
    pub(crate) fn seek_gt(&mut self, key: &[u8], meanwhile: impl FnOnce()) -> Result<bool> {
        let row = match self.find(key, meanwhile)? {
            Some(Ok(row)) => row + 1,
            Some(Err(row)) => row,
            None => return Ok(false),
        };
        self.settle_forward(row)
    }

    /// Moves to the last row whose key is not greater than `key`.
    ///
    /// # Errors
    /// See [`first`](Self::first).
    pub(crate) fn seek_le(&mut self, key: &[u8], meanwhile: impl FnOnce()) -> Result<bool> {
        let end = match self.find(key, meanwhile)? {
            Some(Ok(row)) => row + 1,
            Some(Err(row)) => row,
            None => return Ok(false),
        };
        self.settle_backward(end)
    }

    /// Moves to the last row whose key is less than `key`.
    ///
    /// # Errors
    /// See [`first`](Self::first).
    pub(crate) fn seek_lt(&mut self, key: &[u8], meanwhile: impl FnOnce()) -> Result<bool> {
        let Some(Ok(end) | Err(end)) = self.find(key, meanwhile)? else { return Ok(false) };
        self.settle_backward(end)
    }

    /// Moves to the next row.
    ///
    /// # Errors
    /// See [`first`](Self::first).
    pub(crate) fn next(&mut self) -> Result<bool> {
        match self.place {
            Place::Row => self.settle_forward(self.row + 1),
            Place::BeforeFirst => self.first(),
            Place::AfterLast => Ok(false),
        }
    }

    /// Moves to the row before.
    ///
    /// # Errors
    /// See [`first`](Self::first).
    pub(crate) fn prev(&mut self) -> Result<bool> {
        match self.place {
            Place::Row => self.settle_backward(self.row),
            Place::AfterLast => self.last(),
            Place::BeforeFirst => Ok(false),
        }
    }

    /// Where the row that the cursor stands on lies in `direction`: before a fence, at it or beyond. From a row before it
    /// [`step_in_run`](Self::step_in_run) may go on to the edge of the leaf, but not to the fence or beyond.
    pub(crate) fn meet(&mut self, fence: Option<&[u8]>, direction: Direction) -> Ordering {
        self.end_run();
        let Some(leaf) = self.leaf.as_ref().filter(|_| self.place == Place::Row) else {
            return Ordering::Greater;
        };
        let end = leaf.entries();
        let Some(fence) = fence else {
            self.run = match direction {
                Direction::Forward => Run { last: end.saturating_sub(1), ..Run::NONE },
                Direction::Backward => Run { first: 0, ..Run::NONE },
            };
            return Ordering::Less;
        };
        // The fence's row is mostly some rows ahead: its key is on its way until the run comes there.
        if direction == Direction::Forward
            && let Ok(at) = leaf.approach_row(fence)
            && self.row < at
        {
            self.run = Run { last: at - 1, fence: Some(Fence { row: at, at_it: None }), ..Run::NONE };
            return Ordering::Less;
        }
        let found = leaf.find_row_again(fence);
        let (Ok(at) | Err(at)) = found;
        let at_it = found.is_ok();
        if at_it && at == self.row {
            return Ordering::Equal;
        }
        match direction {
            Direction::Forward if self.row < at => {
                let fence = (at < end).then_some(Fence { row: at, at_it: Some(at_it) });
                self.run = Run { last: at - 1, fence, ..Run::NONE };
                Ordering::Less
            }
            Direction::Backward if self.row >= at => {
                let first = at + usize::from(at_it && !planted!(RunIntoFence));
                let row = if at_it { Some(at) } else { at.checked_sub(1) };
                self.run =
                    Run { first, fence: row.map(|row| Fence { row, at_it: Some(at_it) }), ..Run::NONE };
                Ordering::Less
            }
            Direction::Forward | Direction::Backward => Ordering::Greater,
        }
    }

    /// From the last row of the run that `fence` ends in this leaf, moves to the next row in `direction`, and says
    /// whether that is at the fence, and not beyond. `None` from anywhere else, without a move; the run may go on then.
    ///
    /// Of a row that is at the fence neither key nor value can be asked for: the layer of the fence has it, and the next
    /// move leaves it.
    pub(crate) fn step_to_fence(&mut self, fence: &[u8], direction: Direction) -> Option<bool> {
        let Fence { row, at_it } = self.run.fence?;
        let is_next = match direction {
            Direction::Forward => self.row + 1 == row,
            Direction::Backward => self.row == row + 1,
        };
        if !is_next {
            return None;
        }
        let at_it = match at_it {
            Some(at_it) => at_it,
            None => self.look_at_fence(row, fence)?,
        };
        if at_it {
            self.long_value.take();
            self.end_run();
            self.row = row;
        } else {
            self.go_to(row);
        }
        Some(at_it)
    }

    /// Whether a row that a run forward has come to is at the fence, and not beyond. `None`: it is before, and the run
    /// goes on.
    fn look_at_fence(&mut self, row: usize, fence: &[u8]) -> Option<bool> {
        let leaf = self.leaf.as_ref()?;
        let found = leaf.find_row_from(row, fence);
        let (Ok(at) | Err(at)) = found;
        if at == row {
            return Some(found.is_ok());
        }
        let fence = (at < leaf.entries()).then_some(Fence { row: at, at_it: Some(found.is_ok()) });
        self.run = Run { last: at - 1, fence, ..Run::NONE };
        None
    }

    /// Ends the run.
    pub(crate) fn end_run(&mut self) {
        self.run = Run::NONE;
    }

    /// Moves to the next row in `direction`, if the run since the last [`meet`](Self::meet) goes so far, and goes that
    /// way. Any other move ends the run.
    pub(crate) fn step_in_run(&mut self, direction: Direction) -> bool {
        let Some(leaf) = self.leaf.as_ref().filter(|_| self.run_goes_on(direction)) else { return false };
        if self.row_place.has_long_value() {
            self.long_value = OnceLock::new();
        }
        self.row = match direction {
            Direction::Forward => self.row + 1,
            Direction::Backward => self.row - 1,
        };
        self.row_place = leaf.row_place(self.row);
        self.key.go_to(leaf, &self.row_place);
        true
    }

    #[inline(always)]
    fn run_goes_on(&self, direction: Direction) -> bool {
        match direction {
            Direction::Forward => self.row < self.run.last,
            Direction::Backward => self.row > self.run.first,
        }
    }

    /// The same from a row with a short value to one with a short key, in a few instructions and without a call; `false`
    /// also where [`step_in_run`](Self::step_in_run) has to see to it.
    #[inline(always)]
    pub(crate) fn step_quickly(&mut self, direction: Direction) -> bool {
        let Some(leaf) = &self.leaf else { return false };
        if !self.run_goes_on(direction) || self.row_place.has_long_value() {
            return false;
        }
        let row = match direction {
            Direction::Forward => self.row + 1,
            Direction::Backward => self.row - 1,
        };
        let place = match direction {
            Direction::Forward => leaf.place_behind(&self.row_place, row),
            Direction::Backward => Some(leaf.place_before(&self.row_place, row)),
        };
        let Some(place) = place else { return false };
        if !self.key.go_quickly_to(leaf, &place) {
            return false;
        }
        leaf.prefetch_ahead(&place, direction);
        (self.row, self.row_place) = (row, place);
        true
    }

    /// Moves to the next row in `direction`, if that is in the leaf.
    pub(crate) fn step_in_leaf(&mut self, direction: Direction) -> bool {
        let Some(leaf) = self.leaf.as_ref().filter(|_| self.place == Place::Row) else { return false };
        let next = match direction {
            Direction::Forward => Some(self.row + 1).filter(|next| *next < leaf.entries()),
            Direction::Backward => self.row.checked_sub(1),
        };
        next.map(|row| self.go_to(row)).is_some()
    }

    /// Stands on a row of the leaf, or on the first row of the next leaf.
    fn settle_forward(&mut self, row: usize) -> Result<bool> {
        match &self.leaf {
            Some(leaf) if row < leaf.entries() => self.settle_on(row, Direction::Forward),
            _ => self.next_leaf(Direction::Forward),
        }
    }

    /// Stands on the row before `end` of the leaf, or on the last row of the leaf before.
    fn settle_backward(&mut self, end: usize) -> Result<bool> {
        match end.checked_sub(1) {
            Some(row) => self.settle_on(row, Direction::Backward),
            None => self.next_leaf(Direction::Backward),
        }
    }

    /// Stands on a row of the leaf.
    fn settle_on(&mut self, row: usize, direction: Direction) -> Result<bool> {
        if self.place != Place::Row {
            return self.stand_on(row, direction);
        }
        self.go_to(row);
        Ok(true)
    }

    /// Goes from a row of the leaf to another one.
    fn go_to(&mut self, row: usize) {
        self.long_value.take();
        self.end_run();
        if let Some(leaf) = &self.leaf {
            self.row_place = leaf.row_place(row);
            self.key.go_to(leaf, &self.row_place);
        }
        self.row = row;
    }

    /// Stands on a row of a leaf that it has just come to, in a direction that it may go on in.
    fn stand_on(&mut self, row: usize, direction: Direction) -> Result<bool> {
        self.long_value.take();
        self.end_run();
        if let Some(leaf) = &self.leaf {
            self.row_place = leaf.row_place(row);
            leaf.prefetch_rows(&self.row_place, direction);
            self.key.set(leaf, &self.row_place);
        }
        self.row = row;
        self.place = Place::Row;
        Ok(true)
    }

    fn leave(&mut self, place: Place) -> Result<bool> {
        self.long_value.take();
        self.end_run();
        self.place = place;
        self.path.clear();
        self.leaf = None;
        Ok(false)
    }

    fn go_to_edge(&mut self, direction: Direction) -> Result<bool> {
        self.leave(Place::BeforeFirst)?;
        match self.top {
            Some(top) => self.descend_to_edge(top, direction, |_| {}),
            None => Ok(false),
        }
    }

    /// Goes down from a page to its first row, or to its last; `see` is shown the leaf first.
    fn descend_to_edge(
        &mut self,
        mut at: Expected,
        direction: Direction,
        see: impl FnOnce(&Page),
    ) -> Result<bool> {
        self.store.count_lookups(u64::from(at.level) + 1);
        let pick = |page: &Page| if direction == Direction::Forward { 0 } else { page.entries() - 1 };
        while at.level > 0 {
            let (index, child) = self.read(&at, |branch| {
                let index = pick(branch);
                (index, branch.child(index))
            })?;
            self.path.push((at, index));
            at = Expected { tree: self.tree, child, level: at.level - 1 };
        }
        let leaf = self.read_leaf(&at)?;
        see(&leaf);
        let row = pick(&leaf);
        self.leaf = Some(leaf);
        self.stand_on(row, direction)
    }

    /// Goes to the edge of the leaf after, or before.
    fn next_leaf(&mut self, direction: Direction) -> Result<bool> {
        while let Some((at, index)) = self.path.pop() {
            self.store.count_lookups(1);
            let next = self.read(&at, |branch| {
                let next = match direction {
                    Direction::Forward => Some(index + 1).filter(|next| *next < branch.entries()),
                    Direction::Backward => index.checked_sub(1),
                }?;
                Some((next, branch.child(next)))
            })?;
            if let Some((next, child)) = next {
                self.path.push((at, next));
                let left = self.leaf.take();
                let child = Expected { tree: self.tree, child, level: at.level - 1 };
                // Who has walked to the end of a leaf mostly goes on through the next one.
                self.descend_to_edge(child, direction, Page::prefetch_all)?;
                return self.check_order(left, direction);
            }
        }
        self.leave(match direction {
            Direction::Forward => Place::AfterLast,
            Direction::Backward => Place::BeforeFirst,
        })
    }

    /// Checks that a step came from the leaf that was `left` to a later one in key order.
    fn check_order(&mut self, left: Option<Page>, direction: Direction) -> Result<bool> {
        let (Some(left), Some(leaf)) = (left, &self.leaf) else { return Ok(true) };
        let (edge, in_order) = match direction {
            Direction::Forward => (left.entries() - 1, Ordering::Less),
            Direction::Backward => (0, Ordering::Greater),
        };
        if left.compare_key(edge, self.key.key()) == in_order {
            return Ok(true);
        }
        let page = leaf.id();
        // As after any error: what it stood on last.
        self.key.set(&left, &left.row_place(edge));
        self.leave(Place::BeforeFirst)?;
        Err(BaseError::Corrupt { page, what: "its keys do not follow those of the leaf before" })
    }

    /// Goes to the leaf where a key belongs, and finds its row or its place; `None` when the tree has no rows.
    fn find(
        &mut self,
        key: &[u8],
        meanwhile: impl FnOnce(),
    ) -> Result<Option<std::result::Result<usize, usize>>> {
        if let Some(leaf) = self.leaf.as_ref().filter(|_| self.is_on_row()) {
            // Between two rows of this leaf there is nothing elsewhere.
            let found = leaf.find_row(key);
            if found.is_ok() || found.is_err_and(|place| 0 < place && place < leaf.entries()) {
                return Ok(Some(found));
            }
        }
        self.leave(Place::BeforeFirst)?;
        let Some(mut at) = self.top else { return Ok(None) };
        self.store.count_lookups(u64::from(at.level) + 1);
        while at.level > 0 {
            let (index, child) = self.read(&at, |branch| {
                let index = branch.find_child(key);
                (index, branch.child(index))
            })?;
            self.path.push((at, index));
            at = Expected { tree: self.tree, child, level: at.level - 1 };
        }
        let leaf = self.read_leaf(&at)?;
        meanwhile();
        let found = leaf.find_row(key);
        self.leaf = Some(leaf);
        Ok(Some(found))
    }

    /// Looks into a page.
    fn read<R>(&mut self, at: &Expected, look: impl FnOnce(&Page) -> R) -> Result<R> {
        match self.store.page(at) {
            Ok(page) => Ok(look(&page)),
            Err(error) => {
                self.leave(Place::BeforeFirst)?;
                Err(error)
            }
        }
    }

    fn read_leaf(&mut self, at: &Expected) -> Result<Page> {
        match self.store.page(at) {
            Ok(page) => Ok(page.into_shared()),
            Err(error) => {
                self.leave(Place::BeforeFirst)?;
                Err(error)
            }
        }
    }
}

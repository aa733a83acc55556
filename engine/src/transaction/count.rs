//! Counting without reading: the base knows its rows; the layers above say what they add and take away.

use std::ops::Bound;

use braid_mvstore::{Direction, TableId};

use super::inner::Inner;
use super::layers::Layers;
use crate::core::View;
use crate::error::{Error, Result};

impl Inner {
    /// How many rows the snapshot sees within bounds. Costs two descents of the tree, and a look at each row of the
    /// layers above it.
    pub(super) fn count(&self, table: TableId, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<u64> {
        self.in_view(|view| self.count_in(view, table, from, to))
    }

    fn count_in(&self, view: &View, table: TableId, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<u64> {
        let store = &self.core().base;
        let reading = |error| Error::from_base(error, "counting rows");
        let mut count = store.count_range(&view.base, table.into(), (from, to)).map_err(reading)?;
        let mut above = Layers::overlay(view, table, self.begin_ts);
        let mut found = above.seek(view, Some(self), from, Direction::Forward)?;
        while found && let Some((key, is_there)) = above.overlay_row() {
            let inside = match to {
                Bound::Unbounded => true,
                Bound::Included(to) => key <= to,
                Bound::Excluded(to) => key < to,
            };
            if !inside {
                break;
            }
            let was_there = store.contains(&view.base, table.into(), key).map_err(reading)?;
            match (was_there, is_there) {
                (false, true) => count += 1,
                (true, false) => count = count.saturating_sub(1),
                _ => {}
            }
            found = above.step(view, Some(self), Direction::Forward)?;
        }
        Ok(count)
    }
}

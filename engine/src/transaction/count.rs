//! Counting without reading: the base knows its rows; the layers above say what they add and take away.

use std::ops::Bound;

use braid_mvstore::{Direction, TableId};

use super::inner::Inner;
use super::layers::{Layers, is_beyond};
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
        let mut above = Layers::overlay(table, self.begin_ts);
        let forward = Direction::Forward;
        let mut found = above.seek_within(view, Some(self), from, forward, to)?;
        while found && let Some((key, is_there)) = above.overlay_row() {
            if is_beyond(Some(key), forward, to) {
                break;
            }
            let was_there = store.contains(&view.base, table.into(), key).map_err(reading)?;
            match (was_there, is_there) {
                (false, true) => count += 1,
                (true, false) => count = count.saturating_sub(1),
                _ => {}
            }
            found = above.step_within(view, Some(self), forward, to)?;
        }
        Ok(count)
    }
}

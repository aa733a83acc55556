//! Counting without reading: the base knows its rows; the layers above say what they add and take away.

use braid_mvstore::{Direction, TableId};

use super::inner::Inner;
use super::layers::Layers;
use crate::error::{Error, Result};

impl Inner {
    /// How many rows the snapshot sees in a table. Costs a look at each row of the layers above the base.
    pub(super) fn count(&self, table: TableId) -> Result<u64> {
        let view = self.view()?;
        let store = &self.core().base;
        let reading = |error| Error::from_base(error, "counting rows");
        let mut count = store.count(&view.base, table.into());
        let mut above = Layers::overlay(view, table, self.begin_ts);
        while above.step(Some(self), Direction::Forward)? {
            let Some((key, is_there)) = above.overlay_row() else { break };
            let was_there = store.contains(&view.base, table.into(), key).map_err(reading)?;
            match (was_there, is_there) {
                (false, true) => count += 1,
                (true, false) => count = count.saturating_sub(1),
                _ => {}
            }
        }
        Ok(count)
    }
}

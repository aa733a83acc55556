//! The layers above the base, as a cursor walks them: one position in each.

use std::cell::Cell;
use std::ops::Bound;

use braid_mvstore::{
    Direction, Found, Generation, Scan, ScanBatch, ScanLimit, ScanStart, TableId, Timestamp, pin,
};
use braid_vfs::planted;
use braid_vfs::sync::thread_local;

use super::inner::Inner;
use crate::core::View;
use crate::error::Result;

/// The first batch after a seek is small, as many seeks want one row; each further one is twice as large: a row that
/// is read and not wanted costs as many misses of the processor's caches as one that is.
const FIRST_BATCH_ROWS: usize = 4;
const MAX_BATCH_ROWS: usize = 256;
const MAX_BATCH_BYTES: usize = 64 << 10;
/// Layers with more memory are not kept for the next merge: what has read so much does not feel an allocation.
const MAX_SPARE_BYTES: usize = 32 << 10;

thread_local! {
    /// The layers of a merge that is over, kept for the thread's next one so that a short one does not allocate.
    static SPARE: Cell<Vec<GenerationLayer>> = const { Cell::new(Vec::new()) };
}

/// The layers of a view's generations that a snapshot may see anything of, each nowhere yet.
pub(super) fn generation_layers(view: &View, at: Timestamp) -> Vec<GenerationLayer> {
    let generations = view
        .generations()
        .enumerate()
        .filter(|(_, generation)| generation.may_hold(at))
        .take(if planted!(SealedNotScanned) { 1 } else { usize::MAX });
    let (mut layers, mut used) = (Vec::new(), 0);
    for (place, _) in generations {
        if used == 0 {
            // A thread that ends has none left.
            layers = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        match layers.get_mut(used) {
            Some(layer) => {
                // What another merge has read is nothing to this one.
                layer.batch.clear();
                layer.place = place;
            }
            None => layers.push(GenerationLayer::new(place)),
        }
        used += 1;
    }
    layers.truncate(used);
    layers
}

/// Takes back the layers of a merge that is over.
pub(super) fn give_back(layers: Vec<GenerationLayer>) {
    let bytes: usize = layers.iter().map(|layer| layer.batch.memory_bytes()).sum();
    if bytes <= MAX_SPARE_BYTES {
        let _ = SPARE.try_with(|spare| spare.set(layers));
    }
}

/// A position in one generation of a view, which it does not hold: whoever moves it does. Rows are read a batch at a time:
/// what a snapshot sees of a generation does not change.
#[derive(Debug)]
pub(super) struct GenerationLayer {
    /// Which of the view's generations.
    place: usize,
    /// Where a seek begins to read.
    start: ScanStart,
    batch: ScanBatch,
    index: usize,
    batch_rows: usize,
}

impl GenerationLayer {
    fn new(place: usize) -> Self {
        let (start, batch) = (ScanStart::default(), ScanBatch::new());
        Self { place, start, batch, index: 0, batch_rows: FIRST_BATCH_ROWS }
    }

    /// Finds where a [`seek`](Self::seek) begins to read, which is to follow. What is there is on its way into the
    /// processor's cache then; whoever has something else to do meanwhile does it, and with
    /// [`draw_near`](Self::draw_near) in the middle of it.
    pub(super) fn approach(
        &mut self,
        view: &View,
        table: TableId,
        from: Bound<&[u8]>,
        direction: Direction,
        at: Timestamp,
    ) {
        let scan = self.scan(table, from, direction, at);
        self.start =
            view.generation(self.place).map(|generation| generation.find_start(&scan)).unwrap_or_default();
    }

    /// Has the processor load the rows around the place that was approached.
    pub(super) fn draw_near(&self, view: &View) {
        if let Some(generation) = view.generation(self.place) {
            generation.prefetch_start(&self.start);
        }
    }

    /// Goes to the first row from `from` on, in `direction`.
    pub(super) fn seek(
        &mut self,
        view: &View,
        table: TableId,
        from: Bound<&[u8]>,
        direction: Direction,
        at: Timestamp,
    ) {
        self.batch_rows = FIRST_BATCH_ROWS;
        self.index = 0;
        let scan = self.scan(table, from, direction, at);
        let Some(generation) = view.generation(self.place) else { return };
        generation.scan_from(&self.start, &scan, &mut self.batch, &pin());
        self.fill(generation, table, direction, at);
    }

    #[inline]
    pub(super) fn advance(&mut self, view: &View, table: TableId, direction: Direction, at: Timestamp) {
        self.index += 1;
        if self.index >= self.batch.len()
            && let Some(generation) = view.generation(self.place)
        {
            self.fill(generation, table, direction, at);
        }
    }

    /// Whether it stands on a row with a value.
    #[inline]
    pub(super) fn has_value(&self) -> bool {
        self.batch.has_value(self.index)
    }

    /// Whether the next row has been read, and has a value: then [`go_on`](Self::go_on) comes to it.
    #[inline]
    pub(super) fn goes_on(&self) -> bool {
        self.batch.has_value(self.index + 1)
    }

    /// Goes to the next row, which has been read.
    #[inline]
    pub(super) fn go_on(&mut self) {
        self.index += 1;
    }

    /// Reads on until there is a row at the position, or none left.
    fn fill(&mut self, generation: &Generation, table: TableId, direction: Direction, at: Timestamp) {
        while self.index >= self.batch.len() {
            self.batch_rows = (self.batch_rows * 2).min(MAX_BATCH_ROWS);
            let scan = self.scan(table, Bound::Unbounded, direction, at);
            if !generation.scan_more(&scan, &mut self.batch, &pin()) {
                return;
            }
            self.index = 0;
        }
    }

    fn scan<'a>(
        &self,
        table: TableId,
        start: Bound<&'a [u8]>,
        direction: Direction,
        at: Timestamp,
    ) -> Scan<'a> {
        let (from, to) = match direction {
            Direction::Forward => (start, Bound::Unbounded),
            Direction::Backward => (Bound::Unbounded, start),
        };
        let limit = ScanLimit { rows: self.batch_rows, bytes: MAX_BATCH_BYTES };
        Scan { table, from, to, direction, at, limit }
    }

    #[inline]
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.batch.key(self.index)
    }

    #[inline]
    pub(super) fn found(&self) -> Option<Found<'_>> {
        self.batch.row(self.index).map(|row| row.value)
    }
}

/// A position in the transaction's own writes, as a copy of the row there: the writes go on under the cursor.
#[derive(Debug, Default)]
pub(super) struct OwnLayer {
    present: bool,
    key: Vec<u8>,
    /// `None`: deleted.
    value: Option<Vec<u8>>,
    /// The row has an update that is not settled, and so no value yet.
    updated: bool,
    /// The version of the write set that the position was found in.
    version: u64,
}

impl OwnLayer {
    /// Goes to the first row from `from` on, in `direction`.
    pub(super) fn seek(
        &mut self,
        own: Option<&Inner>,
        table: TableId,
        from: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<()> {
        self.present = false;
        let Some(own) = own.filter(|own| own.writes_version() != 0) else { return Ok(()) };
        let writes = own.writes()?;
        self.version = writes.version();
        let row = match direction {
            Direction::Forward => writes.range(table, from, Bound::Unbounded).next(),
            Direction::Backward => writes.range(table, Bound::Unbounded, from).next_back(),
        };
        self.updated = false;
        let updated = writes.first_updated(table, from, direction).filter(|updated| {
            row.is_none_or(|row| match direction {
                Direction::Forward => *updated < row.key,
                Direction::Backward => *updated > row.key,
            })
        });
        if let Some(key) = updated {
            (self.present, self.updated) = (true, true);
            self.key.clear();
            self.key.extend_from_slice(key);
            self.value = None;
        } else if let Some(row) = row {
            self.present = true;
            self.key.clear();
            self.key.extend_from_slice(row.key);
            self.value = row.value.value().map(<[u8]>::to_vec);
        }
        Ok(())
    }

    /// Where the position is on a row with an update that is not settled: settles it, so that the row has a value.
    pub(super) fn settle(&mut self, own: Option<&Inner>, table: TableId) -> Result<()> {
        if let Some(own) = own.filter(|_| self.updated) {
            self.value = own.settle(table, &self.key)?;
            self.updated = false;
        }
        Ok(())
    }

    pub(super) fn is_updated(&self) -> bool {
        self.updated
    }

    /// Whether the transaction wrote since the position was found.
    pub(super) fn is_stale(&self, own: Option<&Inner>) -> bool {
        own.is_some_and(|own| own.writes_version() != self.version) && !planted!(OwnWriteOvertaken)
    }

    pub(super) fn key(&self) -> Option<&[u8]> {
        self.present.then_some(&*self.key)
    }

    /// `None` also for an update that is not settled.
    pub(super) fn found(&self) -> Option<Found<'_>> {
        (self.present && !self.updated).then(|| self.value.as_deref().map_or(Found::Tombstone, Found::Value))
    }
}

//! What some threads have lost.

use std::collections::BTreeMap;
use std::time::Duration;

use braid_vfs::planted;

use super::recorder::Loss;
use super::report::WastedWork;
use super::sketch::Sketch;
use crate::error::{Conflict, ConflictKind};
use crate::statistics::ConflictStats;

/// How many tables, and how many names, are told apart; what comes after goes by [`OTHERS`].
const LISTED: usize = 64;
/// How many bytes of a name are kept.
const NAME_BYTES: usize = 128;
/// Those that have no line of their own.
pub(super) const OTHERS: &str = "(others)";

/// What a name lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Named {
    pub(super) conflicts: u64,
    pub(super) wasted: WastedWork,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) keys: Sketch,
    pub(super) tables: BTreeMap<String, ConflictStats>,
    /// `None` are those without a name.
    pub(super) names: BTreeMap<Option<String>, Named>,
}

impl Shard {
    pub(super) fn record(&mut self, conflict: Option<&Conflict>, loss: &Loss<'_>) {
        if let Some(Conflict { kind, table: Some(table), key, .. }) = conflict {
            if let Some(key) = key {
                self.keys.count(table, key);
            }
            let listed = self.tables.contains_key(table) || self.tables.len() < LISTED;
            let tally =
                self.tables.entry(if listed { table.clone() } else { OTHERS.to_owned() }).or_default();
            match kind {
                ConflictKind::WriteWrite => tally.write_write += 1,
                ConflictKind::ReadWrite if planted!(KindsMixedUp) => tally.range += 1,
                ConflictKind::ReadWrite => tally.read_write += 1,
                ConflictKind::Range => tally.range += 1,
                ConflictKind::Schema => tally.schema += 1,
                ConflictKind::Timeout => tally.timeout += 1,
            }
        }
        let name = loss.name.map(short);
        let listed = self.names.len() < LISTED || self.names.contains_key(&name);
        let named = self.names.entry(if listed { name } else { Some(OTHERS.to_owned()) }).or_default();
        named.add(&Named { conflicts: 1, wasted: loss.wasted });
    }
}

impl Named {
    pub(super) fn add(&mut self, more: &Self) {
        self.conflicts += more.conflicts;
        self.wasted.add(more.wasted);
    }
}

impl WastedWork {
    pub(super) fn add(&mut self, more: Self) {
        self.time = self.time.saturating_add(more.time);
        self.rows += more.rows;
        self.bytes += more.bytes;
    }

    pub(crate) const fn new(time: Duration, rows: u64, bytes: u64) -> Self {
        Self { time, rows, bytes }
    }
}

/// As much of a name as is kept.
fn short(name: &str) -> String {
    name.get(..name.floor_char_boundary(NAME_BYTES)).unwrap_or(name).to_owned()
}

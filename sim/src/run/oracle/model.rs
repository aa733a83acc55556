//! Every version of every row of one life.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use braid::JournalMode;

use super::history::{Schema, SchemaChange};
use super::own::{Own, OwnRow, OwnRows};
use crate::run::rows::{Datum, Key, Rows};

/// The timestamps later than `after` up to `until`: where something happened whose own timestamp was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Not at this one, nor before.
    pub after: u64,
    /// Not later than this one.
    pub until: u64,
}

impl Span {
    /// One timestamp.
    #[must_use]
    pub fn exactly(ts: u64) -> Self {
        Self { after: ts.saturating_sub(1), until: ts }
    }

    /// Whether what happened has happened at `ts` for sure.
    #[must_use]
    pub fn is_past(self, ts: u64) -> bool {
        self.until <= ts
    }

    /// Whether it may have.
    #[must_use]
    pub fn may_be_past(self, ts: u64) -> bool {
        self.after < ts
    }

    /// Whether it may have happened then.
    #[must_use]
    pub fn holds(self, ts: u64) -> bool {
        self.after < ts && ts <= self.until
    }
}

/// The catalog's rows, as tables of their own: name → id.
pub const NAMES: u32 = 1;
/// And id → name.
pub const TABLES: u32 = 2;

/// Whether tables of this name are made, dropped and renamed by transactions of which the history knows every step. About
/// others it knows the calls, and a [`Span`] for each.
#[must_use]
pub fn is_exact(name: &[u8]) -> bool {
    name.starts_with(b"x")
}

/// An id as a value.
#[must_use]
pub fn id_datum(id: u32) -> Datum {
    Datum::of(&u64::from(id).to_le_bytes())
}

/// An id as a key.
#[must_use]
pub fn id_key(id: u32) -> Key {
    Key::from(id.to_be_bytes().to_vec())
}

/// The database as a life begins.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The timestamp of the last commit.
    pub ts: u64,
    /// The journal mode.
    pub mode: JournalMode,
    /// Tables by name, with their ids.
    pub tables: BTreeMap<String, (u32, Rows)>,
}

/// A table through a life.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// When it came to be; `None` for one that was there at the start.
    pub created: Option<Span>,
    /// Whether it was loaded: snapshots from before that do not see it.
    pub loaded: bool,
    /// When it ceased to be.
    pub dropped: Option<Span>,
    /// Its name is one that [`is_exact`]: the rows of the catalog tell the rest.
    pub exact: bool,
    /// Versions of each row, oldest first; `None` is a delete.
    rows: BTreeMap<Key, Vec<(u64, Option<Datum>)>>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Tables by id.
    pub tables: BTreeMap<u32, Table>,
    /// Tables whose creation was neither acknowledged nor refused.
    pub perhaps: Vec<(String, Span)>,
    /// Ids of tables whose names are exact, of those too that never came to be.
    pub exact: BTreeSet<u32>,
    /// Timestamps of all commits that are known.
    pub commits: BTreeSet<u64>,
}

/// What one commit left of the rows that it wrote, by table and key.
pub type Written = BTreeMap<(u32, Key), Option<Datum>>;

impl Model {
    /// What each commit after `start` wrote and left, without the catalog's and those of loads, which are in no log.
    #[must_use]
    pub fn written(&self, start: u64) -> BTreeMap<u64, Written> {
        let mut commits: BTreeMap<u64, Written> = BTreeMap::new();
        for (id, table) in self.tables.iter().filter(|(id, _)| ![NAMES, TABLES].contains(id)) {
            let loaded_at = table.created.filter(|_| table.loaded);
            // What the transaction wrote that dropped the table, went with it.
            let dropped_at = table.dropped.filter(|_| table.exact);
            for (key, versions) in &table.rows {
                for (ts, value) in versions.iter().filter(|(ts, _)| *ts > start) {
                    if ![loaded_at, dropped_at].into_iter().flatten().any(|at| at.holds(*ts)) {
                        commits.entry(*ts).or_default().insert((*id, key.clone()), *value);
                    }
                }
            }
        }
        commits
    }

    /// The model at the start, and then with the changes of the catalog.
    ///
    /// # Errors
    /// When the changes cannot have happened: a table made twice, or dropped without being there.
    pub fn new(start: &Start, schema: &[Schema]) -> Result<Self, String> {
        let mut model = Self::default();
        model.tables.insert(NAMES, Table::exact("the names of the tables"));
        model.tables.insert(TABLES, Table::exact("the ids of the tables"));
        for (name, (id, rows)) in &start.tables {
            let rows =
                rows.iter().map(|(key, value)| (key.clone(), vec![(start.ts, Some(*value))])).collect();
            let exact = is_exact(name.as_bytes());
            let table =
                Table { name: name.clone(), created: None, loaded: false, dropped: None, exact, rows };
            model.tables.insert(*id, table);
            if exact {
                model.exact.insert(*id);
                let name = Key::from(name.as_bytes());
                let mut own = Own::new();
                own.write(TABLES, &id_key(*id), Some(Datum::of(name.as_ref())));
                own.write(NAMES, &name, Some(id_datum(*id)));
                model.install(own.rows, start.ts)?;
            }
        }
        let mut changes: Vec<&Schema> = schema.iter().collect();
        changes.sort_by_key(|change| change.order);
        for change in changes {
            model.apply(change)?;
        }
        Ok(model)
    }

    fn apply(&mut self, schema: &Schema) -> Result<(), String> {
        let alive = self
            .tables
            .iter_mut()
            .find(|(_, table)| table.name == schema.name && table.dropped.is_none())
            .map(|(id, table)| (*id, table));
        match (schema.change, alive) {
            (SchemaChange::Create(None), _) => self.perhaps.push((schema.name.clone(), schema.at)),
            (SchemaChange::Load(id), Some((alive, table))) => {
                // Somebody else may have found it before the one who loaded it was told.
                if alive != id {
                    return Err(format!(
                        "table `{}` was loaded as {id} and is there as {alive}",
                        schema.name
                    ));
                }
                (table.created, table.loaded) = (Some(schema.at), true);
            }
            (SchemaChange::Create(Some(id)), Some((alive, table))) => {
                if alive != id {
                    return Err(format!("table `{}` was made as {id} and is there as {alive}", schema.name));
                }
                // Several who made it at once were told of one table, which was there when the first was told.
                if let Some(created) = &mut table.created {
                    created.after = created.after.min(schema.at.after);
                }
            }
            (SchemaChange::Create(Some(id)) | SchemaChange::Load(id), None) => {
                let name = schema.name.clone();
                let created = Some(schema.at);
                let loaded = matches!(schema.change, SchemaChange::Load(_));
                let exact = false;
                let table = Table { name, created, loaded, dropped: None, exact, rows: BTreeMap::new() };
                if self.tables.insert(id, table).is_some() {
                    return Err(format!("the id {id} of table `{}` was another's", schema.name));
                }
            }
            (SchemaChange::Drop, Some((_, table))) => table.dropped = Some(schema.at),
            (SchemaChange::Drop, None) if schema.acked.is_none() => {}
            (SchemaChange::Drop, None) => {
                return Err(format!("table `{}` was dropped and was not there", schema.name));
            }
        }
        Ok(())
    }

    /// The value of a row at a moment.
    #[must_use]
    pub fn get(&self, table: u32, key: &Key, ts: u64) -> Option<Datum> {
        visible(self.tables.get(&table)?.rows.get(key)?, ts)
    }

    /// The newest version of a row, whatever it is.
    #[must_use]
    pub fn newest(&self, table: u32, key: &Key) -> Option<u64> {
        Some(self.tables.get(&table)?.rows.get(key)?.last()?.0)
    }

    /// Whether a commit at `ts` wrote the row.
    #[must_use]
    pub fn has_version(&self, table: u32, key: &Key, ts: u64) -> bool {
        let row = self.tables.get(&table).and_then(|table| table.rows.get(key));
        row.is_some_and(|row| row.iter().any(|(at, _)| *at == ts))
    }

    /// The rows of a range at a moment, with what the asker wrote itself.
    #[must_use]
    pub fn range(&self, table: u32, bounds: (&Bound<Key>, &Bound<Key>), ts: u64, own: &Own) -> Rows {
        if is_empty(bounds) {
            return Rows::new();
        }
        let bounds = (bounds.0.as_ref(), bounds.1.as_ref());
        let mut rows = Rows::new();
        if let Some(table) = self.tables.get(&table) {
            let seen = table.rows.range::<Key, _>(bounds);
            rows.extend(seen.filter_map(|(key, row)| Some((key.clone(), visible(row, ts)?))));
        }
        for (key, row) in own.rows.get(&table).into_iter().flat_map(|own| own.range::<Key, _>(bounds)) {
            match row.value(rows.get(key).copied()) {
                Some(Some(value)) => rows.insert(key.clone(), value),
                Some(None) => rows.remove(key),
                // Whoever comes to it is told; whoever does not still counts it.
                None => rows.insert(key.clone(), Datum::of(b"refused")),
            };
        }
        rows
    }

    /// All rows of a table at a moment.
    #[must_use]
    pub fn rows(&self, table: u32, ts: u64) -> Rows {
        self.range(table, (&Bound::Unbounded, &Bound::Unbounded), ts, &Own::new())
    }

    /// The tables that a commit at `ts` made and dropped.
    pub fn apply_names(&mut self, own: &Own, ts: u64) {
        for (key, name) in own.rows.get(&TABLES).into_iter().flatten() {
            let Ok(id) = key.as_ref().try_into().map(u32::from_be_bytes) else { continue };
            match name {
                OwnRow::Is(Some(_)) => {
                    let new = || Table { created: Some(Span::exactly(ts)), ..Table::exact("an exact table") };
                    self.tables.entry(id).or_insert_with(new);
                }
                _ => {
                    if let Some(table) = self.tables.get_mut(&id) {
                        table.dropped = Some(Span::exactly(ts));
                    }
                }
            }
        }
    }

    /// The commit after `ts` that dropped or renamed a table, if one did.
    #[must_use]
    pub fn withdrawn_after(&self, table: u32, ts: u64) -> Option<u64> {
        let versions = self.tables.get(&TABLES)?.rows.get(&id_key(table))?;
        // The first one made it; one that is like the one before gave it the name that it had.
        versions.windows(2).find(|pair| pair[1].0 > ts && pair[0].1 != pair[1].1).map(|pair| pair[1].0)
    }

    /// The tables whose row in the catalog a commit at `ts` wrote: what was there before, and since.
    #[must_use]
    pub fn renamings_at(&self, ts: u64) -> Vec<(u32, Option<Datum>, Option<Datum>)> {
        let rows = self.tables.get(&TABLES).into_iter().flat_map(|table| &table.rows);
        let at = rows.filter_map(|(key, versions)| {
            let place = versions.iter().position(|(at, _)| *at == ts)?;
            let before = place.checked_sub(1).and_then(|before| versions[before].1);
            let id = key.as_ref().try_into().map(u32::from_be_bytes).ok()?;
            Some((id, before, versions[place].1))
        });
        at.collect()
    }

    /// Whether a commit at `ts` changed the catalog.
    #[must_use]
    pub fn changed_names_at(&self, ts: u64) -> bool {
        let rows = self.tables.get(&NAMES).into_iter().flat_map(|table| table.rows.values());
        rows.flatten().any(|(at, _)| *at == ts)
    }

    /// Adds what a commit wrote. What it updated is made of the newest there is.
    ///
    /// # Errors
    /// When an update should have been refused.
    pub fn install(&mut self, own: OwnRows, ts: u64) -> Result<(), String> {
        for (id, rows) in own {
            let Some(table) = self.tables.get_mut(&id) else { continue };
            for (key, row) in rows {
                let versions = table.rows.entry(key.clone()).or_default();
                let before = versions.last().and_then(|(_, value)| *value);
                let Some(value) = row.value(before) else {
                    return Err(format!("{row:?} of `{key:?}` cannot be made of {before:?}"));
                };
                versions.push((ts, value));
            }
        }
        Ok(())
    }

    /// Every value that a row had since a moment.
    pub fn values_since(&self, key: &Key, ts: u64) -> impl Iterator<Item = (u32, Option<Datum>)> {
        self.tables.iter().flat_map(move |(id, table)| {
            let versions = table.rows.get(key).map(Vec::as_slice).unwrap_or_default();
            let later = versions.iter().filter(move |(at, _)| *at > ts).map(|(_, value)| *value);
            std::iter::once(visible(versions, ts)).chain(later).map(move |value| (*id, value))
        })
    }
}

impl Table {
    fn exact(name: &str) -> Self {
        let name = name.to_owned();
        Self { name, created: None, loaded: false, dropped: None, exact: true, rows: BTreeMap::new() }
    }
}

fn visible(versions: &[(u64, Option<Datum>)], ts: u64) -> Option<Datum> {
    let newer = versions.partition_point(|(at, _)| *at <= ts);
    versions.get(newer.checked_sub(1)?)?.1
}

/// Bounds that hold nothing, and that a map of the standard library refuses.
fn is_empty(bounds: (&Bound<Key>, &Bound<Key>)) -> bool {
    match bounds {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

//! What adya is told beside elements: numbers, tables that come and go, and the rows of these; all as lists of
//! everything that was ever written there, in the order of the commits.
//!
//! | object | is written by | is read as |
//! | --- | --- | --- |
//! | a sum | each addition, of a bit of its own | the additions that are in it: a set, which says all |
//! | a highest, a lowest | each that raises or lowers it; who was overtaken has changed nothing | all up to the one that is found |
//! | a name | each transaction that leaves another table there than before | all up to the one that left what is found |
//! | a table | each that makes, renames or drops it | the same, by whoever uses its rows under the name that it was found by |
//! | a row of such a table | each write | all up to the one that left what is found |
//!
//! An answer can have several explanations where the same was left twice, as nothing is by each drop: it is taken for
//! the newest that the reader may have seen, so that nobody is accused who could be right. What nobody left is told all
//! the same, as written by nobody.

use std::collections::{BTreeMap, BTreeSet};

use braid_tests::{NAMES, Op, Record};

use super::elements::{MADE_FROM, NUMBERS};
use super::numbers::{self, Way};

type Key = Vec<u8>;
type Value = Vec<u8>;

/// Something that is told as a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    Number(Key),
    Name(Key),
    /// By the row of its name.
    Table(Value),
    Row(usize, Key),
}

impl Object {
    /// Of a row that is told so.
    pub(super) fn of(table: usize, key: &[u8]) -> Option<Self> {
        match table {
            NUMBERS => Some(Self::Number(key.to_vec())),
            NAMES => Some(Self::Name(key.to_vec())),
            made if is_made(made) => Some(Self::Row(made, key.to_vec())),
            _ => None,
        }
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Number(key) => key.escape_ascii().to_string(),
            Self::Name(key) => format!("name {}", key.escape_ascii()),
            Self::Table(id) => format!("table {}", id.escape_ascii()),
            Self::Row(table, key) => format!("{table} {}", key.escape_ascii()),
        }
    }
}

fn is_made(table: usize) -> bool {
    (MADE_FROM..NAMES).contains(&table)
}

/// One write of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) object: Object,
    /// What tells it from all others of the object.
    pub(super) element: i64,
    /// What it leaves there. Of a number: nothing, the element says it.
    leaves: Option<Value>,
}

/// What a transaction leaves, if it commits.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects {
    /// Of numbers and rows, with the places of the operations.
    pub(super) writes: Vec<(usize, Write)>,
    /// Of names and tables: what is left of all its changes.
    pub(super) changes: Vec<Write>,
    /// Tables whose rows it used, and did not change itself; with the names that it knew them by.
    pub(super) uses: Vec<(Object, Value)>,
}

impl Effects {
    /// Of the transaction of this number, which no other in the history has.
    pub(super) fn of(record: &Record, number: i64) -> Self {
        let mut walk = Walk::default();
        for (at, op) in record.ops.iter().enumerate() {
            walk.go(at, op, number);
        }
        walk.end(number)
    }
}

#[derive(Clone, Debug, Default)]
struct Walk {
    writes: Vec<(usize, Write)>,
    /// Names that it changed, with what it left there.
    named: Vec<(Key, Option<Value>)>,
    /// How long both were at each open savepoint.
    saved: Vec<(usize, usize)>,
    /// What a name led to before it was changed.
    before: BTreeMap<Key, Option<Value>>,
    /// Rows that it wrote, taken back or not: what it finds there it may have written itself.
    touched: BTreeSet<(usize, Key)>,
    /// Tables that it looked at.
    looked_at: BTreeSet<usize>,
    elements: i64,
}

impl Walk {
    fn go(&mut self, at: usize, op: &Op, number: i64) {
        match op {
            Op::Savepoint => self.saved.push((self.writes.len(), self.named.len())),
            Op::TakenBack => {
                let (writes, named) = self.saved.last().copied().unwrap_or_default();
                self.writes.truncate(writes);
                self.named.truncate(named);
            }
            Op::Released => drop(self.saved.pop()),
            Op::Untracked(read) => self.find(read),
            Op::Get { table, key, .. } => {
                self.find(op);
                if is_made(*table) && !self.touched.contains(&(*table, key.clone())) {
                    self.looked_at.insert(*table);
                }
            }
            Op::Range { table, found, .. } if is_made(*table) => {
                let looked = |key: &Key| !self.touched.contains(&(*table, key.clone()));
                if found.iter().any(|(key, _)| looked(key)) {
                    self.looked_at.insert(*table);
                }
            }
            Op::Number { table: NUMBERS, key, change } => {
                let element = numbers::element(*change);
                self.writes.push((at, Write { object: Object::Number(key.clone()), element, leaves: None }));
            }
            Op::Put { table, key, value } => self.write(at, *table, key, Some(value), number),
            Op::Delete { table, key } => self.write(at, *table, key, None, number),
            _ => {}
        }
    }

    fn find(&mut self, op: &Op) {
        if let Op::Get { table: NAMES, key, found } = op
            && !self.touched.contains(&(NAMES, key.clone()))
        {
            self.before.entry(key.clone()).or_insert_with(|| found.clone());
        }
    }

    fn write(&mut self, at: usize, table: usize, key: &Key, value: Option<&Value>, number: i64) {
        let Some(object) = Object::of(table, key) else { return };
        self.touched.insert((table, key.clone()));
        if table == NAMES {
            self.named.push((key.clone(), value.cloned()));
            return;
        }
        self.elements += 1;
        let element = number << 16 | self.elements;
        self.writes.push((at, Write { object, element, leaves: value.cloned() }));
    }

    fn end(self, number: i64) -> Effects {
        let mut after = self.before.clone();
        after.extend(self.named);
        let tables = |names: &BTreeMap<Key, Option<Value>>| -> BTreeMap<Value, Key> {
            names.iter().filter_map(|(name, id)| Some((id.clone()?, name.clone()))).collect()
        };
        let (known, left) = (tables(&self.before), tables(&after));
        let element = number << 16;
        let names = after.iter().filter(|(name, id)| self.before.get(*name) != Some(*id));
        let names =
            names.map(|(name, id)| Write { object: Object::Name(name.clone()), element, leaves: id.clone() });
        let ids: BTreeSet<&Value> = known.keys().chain(left.keys()).collect();
        let changed = ids.into_iter().filter(|id| known.get(*id) != left.get(*id));
        let tables = changed.map(|id| Write {
            object: Object::Table(id.clone()),
            element,
            leaves: left.get(id).cloned(),
        });
        let changes: Vec<_> = names.chain(tables).collect();
        let written = self.writes.iter().filter_map(|(_, write)| match &write.object {
            Object::Row(table, _) => Some(*table),
            _ => None,
        });
        let used: BTreeSet<usize> = written.chain(self.looked_at).collect();
        let uses = used.into_iter().filter_map(|table| {
            let id = u32::try_from(table - MADE_FROM).ok()?.to_be_bytes().to_vec();
            let name = known.get(&id).filter(|name| left.get(&id) == Some(*name))?.clone();
            Some((Object::Table(id), name))
        });
        let uses = uses.collect();
        Effects { writes: self.writes, changes, uses }
    }
}

/// All writes of all objects.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// Of those that stand, in the order of their commits.
    standing: BTreeMap<Object, Vec<(u64, Write)>>,
    /// Of those that do not.
    failed: BTreeMap<Object, Vec<Write>>,
}

impl Versions {
    /// From the transactions in the order of their commits; those that do not stand have none.
    pub(super) fn of<'a>(all: impl Iterator<Item = (Option<u64>, &'a Effects)>) -> Self {
        let mut versions = Self::default();
        for (commit_ts, effects) in all {
            for write in effects.writes.iter().map(|(_, write)| write).chain(&effects.changes) {
                let object = write.object.clone();
                match commit_ts {
                    Some(ts) if versions.changes_something(write) => {
                        versions.standing.entry(object).or_default().push((ts, write.clone()));
                    }
                    Some(_) => {}
                    None => versions.failed.entry(object).or_default().push(write.clone()),
                }
            }
        }
        versions
    }

    /// A number that was overtaken by the time of its commit leaves what is there.
    fn changes_something(&self, write: &Write) -> bool {
        let Object::Number(key) = &write.object else { return true };
        let newest = self.standing.get(&write.object).and_then(|all| all.last());
        newest.is_none_or(|(_, newest)| !Way::of(key).is_overtaken(write.element, newest.element))
    }

    /// Whether a write of a transaction that stands, or fails, is told.
    pub(super) fn tells(&self, write: &Write, stands: bool) -> bool {
        let is_here = |all: &Vec<(u64, Write)>| all.iter().any(|(_, known)| known.element == write.element);
        let may_be_overtaken = stands && matches!(write.object, Object::Number(_));
        !may_be_overtaken || self.standing.get(&write.object).is_some_and(is_here)
    }

    /// What one who found this has read, and may have seen up to `moment`; with what it had written there itself by
    /// then, at its own place in the order.
    pub(super) fn read(
        &self,
        object: &Object,
        found: Option<&[u8]>,
        moment: u64,
        own: Option<(u64, &[Write])>,
    ) -> Vec<i64> {
        let standing = self.standing.get(object).map_or(&[][..], Vec::as_slice);
        match object {
            Object::Number(key) => self.read_number(object, Way::of(key), found.and_then(numbers::number)),
            _ => {
                if let Some((commit_ts, own)) = own
                    && own.last().is_some_and(|own| own.leaves.as_deref() == found)
                {
                    let before = standing.iter().take_while(|(ts, _)| *ts < commit_ts);
                    return before.map(|(_, write)| write).chain(own).map(|write| write.element).collect();
                }
                self.read_left(object, standing, found, moment)
            }
        }
    }

    fn read_number(&self, object: &Object, way: Way, found: Option<i64>) -> Vec<i64> {
        let Some(found) = found else { return Vec::new() };
        let standing = self.standing.get(object).into_iter().flatten().map(|(_, write)| write.element);
        let (mut elements, is_last): (Vec<_>, Option<i64>) = match way {
            Way::Added => (numbers::added(found).collect(), None),
            _ => {
                let up_to = standing.clone().filter(|number| way.is_overtaken(*number, found));
                (up_to.collect(), Some(found))
            }
        };
        // What nobody has written is seen last.
        let place =
            |element: &i64| standing.clone().position(|known| known == *element).unwrap_or(usize::MAX);
        elements.sort_by_key(place);
        if let Some(last) = is_last.filter(|last| elements.last() != Some(last)) {
            elements.push(last);
        }
        elements
    }

    fn read_left(
        &self,
        object: &Object,
        standing: &[(u64, Write)],
        found: Option<&[u8]>,
        moment: u64,
    ) -> Vec<i64> {
        let fits = |(_, (_, write)): &(usize, &(u64, Write))| write.leaves.as_deref() == found;
        let all = || standing.iter().enumerate();
        let seen = all().rev().filter(|(_, (ts, _))| *ts <= moment).find(fits);
        let up_to = |at: usize| standing.iter().take(at + 1).map(|(_, write)| write.element).collect();
        if let Some((at, _)) = seen {
            return up_to(at);
        }
        let Some(found) = found else { return Vec::new() };
        // What it cannot have seen by right.
        if let Some((at, _)) = all().find(fits) {
            return up_to(at);
        }
        let failed = self.failed.get(object).into_iter().flatten();
        let mut failed = failed.filter(|write| write.leaves.as_deref() == Some(found));
        vec![failed.next().map_or(NOBODY, |write| write.element)]
    }
}

/// The element of what nobody has written.
pub(super) const NOBODY: i64 = i64::MIN;

/// Whether a transaction has looked at a row for certain, so that its update of the row is a write.
pub(super) fn has_looked(ops: &[Op], row: (usize, &[u8])) -> bool {
    ops.iter().any(|op| match op {
        Op::Get { table, key, .. } => (*table, &**key) == row,
        Op::Range { table, found, .. } => *table == row.0 && found.iter().any(|(key, _)| key == row.1),
        Op::Count { table, .. } => *table == row.0,
        _ => false,
    })
}

/// The updates of a transaction that are made of what is there at its commit.
pub(super) fn blind(ops: &[Op]) -> impl Iterator<Item = (usize, &[u8])> {
    ops.iter().filter_map(|op| match op {
        Op::Append { table, key, .. } | Op::Number { table, key, .. } => {
            Some((*table, &**key)).filter(|row| !has_looked(ops, *row))
        }
        _ => None,
    })
}

//! A transaction in the words of adya: reads and writes of elements and objects, as micro-operations.

use std::collections::HashSet;

use adya::history::{Id, Interner, Mop, ReadValue, Scalar};
use braid_tests::Op;

use super::Subject;
use crate::histories::Elements;
use crate::histories::elements::{self, ELEMENTS};
use crate::histories::objects::{self, Effects, Object, Versions};

/// One transaction in adya's words.
pub(super) struct Words<'a> {
    pub(super) subject: Subject,
    pub(super) versions: &'a Versions,
    pub(super) effects: &'a Effects,
    /// Its place, if it stands.
    pub(super) commit_ts: Option<u64>,
    /// What it read is of this moment.
    pub(super) moment: u64,
    pub(super) interner: &'a mut Interner,
}

impl Words<'_> {
    /// The reads and writes of what adya is told of; of the reads those that are kept, asked with whether they are
    /// tracked.
    pub(super) fn micro_operations(&mut self, ops: &[Op], keeps: &mut impl FnMut(bool) -> bool) -> Vec<Mop> {
        let mut mops = Vec::new();
        let mut saved = Vec::new();
        // What it has written itself to objects, taken back or not; of names only what is left in the end is told.
        let mut own: Vec<(usize, Object)> = Vec::new();
        for (at, op) in ops.iter().enumerate() {
            let (op, tracked) = match op {
                Op::Untracked(read) => (&**read, false),
                op => (op, true),
            };
            match op {
                Op::Savepoint => saved.push((mops.len(), own.len())),
                Op::TakenBack => {
                    let (from, own_from) = saved.last().copied().unwrap_or_default();
                    take_back(&mut mops, from);
                    let is_name = |(_, object): &(usize, Object)| matches!(object, Object::Name(_));
                    let names: Vec<_> = own.split_off(own_from).into_iter().filter(is_name).collect();
                    own.extend(names);
                }
                Op::Released => drop(saved.pop()),
                Op::Get { table, key, found } => {
                    mops.extend(self.read(*table, key, found.as_deref(), &own, || keeps(tracked)));
                }
                Op::Range { table, from, to, limit, found, .. } => {
                    let mut keeps = || keeps(tracked);
                    for (key, value) in found {
                        mops.extend(self.read(*table, key, Some(value), &own, &mut keeps));
                    }
                    // Of a table that comes and goes all keys are known, and a scan says which are not there.
                    let whole = from.is_empty() && **to == elements::END && *limit == usize::MAX;
                    for key in elements::made_keys().filter(|_| whole && *table >= elements::MADE_FROM) {
                        if found.iter().all(|(known, _)| *known != key) {
                            mops.extend(self.read(*table, &key, None, &own, &mut keeps));
                        }
                    }
                }
                Op::Append { table: ELEMENTS, key, bytes: value }
                | Op::Put { table: ELEMENTS, key, value } => {
                    mops.extend(self.write_element(key, value));
                }
                Op::Put { table, key, .. } | Op::Delete { table, key } | Op::Number { table, key, .. } => {
                    if let Some(object) = Object::of(*table, key) {
                        own.push((at, object));
                    }
                    mops.extend(self.write_object(at));
                }
                _ => {}
            }
        }
        if self.subject.objects {
            let changes = self.effects.changes.iter();
            let appends = changes.map(|write| append(&write.object, write.element, self.interner));
            mops.extend(appends);
        }
        mops
    }

    fn read(
        &mut self,
        table: usize,
        key: &[u8],
        found: Option<&[u8]>,
        own: &[(usize, Object)],
        mut keeps: impl FnMut() -> bool,
    ) -> Option<Mop> {
        if table == ELEMENTS {
            let elements = self.subject.elements.filter(|_| keeps())?;
            return read(key, found, elements, self.interner);
        }
        let object = Object::of(table, key).filter(|_| self.subject.objects)?;
        let wrote = |(_, of): &&(usize, Object)| *of == object;
        if matches!(object, Object::Name(_)) && own.iter().any(|one| wrote(&one)) || !keeps() {
            return None;
        }
        let kept = |at: usize| self.effects.writes.iter().find(|(of, _)| *of == at).map(|(_, write)| write);
        let own: Option<Vec<_>> = own.iter().filter(wrote).map(|(at, _)| kept(*at).cloned()).collect();
        // Where some of it is taken back later, nobody else has seen what it found.
        let own = own?;
        let own = self.commit_ts.map(|commit_ts| (commit_ts, &*own));
        let list = self.versions.read(&object, found, self.moment, own);
        Some(read_of(&object, &list, self.interner))
    }

    fn write_element(&mut self, key: &[u8], value: &[u8]) -> Option<Mop> {
        let elements = self.subject.elements?;
        let (key, value) = (elements::number(key)?, elements::written(elements, value)?);
        let (key, value) = (self.interner.intern(Scalar::Int(key)), of(value, self.interner));
        Some(match elements {
            Elements::Lists => Mop::Append { key, value },
            Elements::Registers => Mop::Write { key, value },
        })
    }

    /// What is written to an object there, and not taken back.
    fn write_object(&mut self, at: usize) -> Option<Mop> {
        let (_, write) = self.effects.writes.iter().find(|(of, _)| *of == at)?;
        let tells = self.subject.objects && self.versions.tells(write, self.commit_ts.is_some());
        tells.then(|| append(&write.object, write.element, self.interner))
    }

    /// The tables that it used, as they were when it knew their names.
    pub(super) fn uses(&mut self) -> Vec<Mop> {
        let uses = self.effects.uses.iter().filter(|_| self.subject.objects);
        uses.map(|(table, name)| {
            let list = self.versions.read(table, Some(name), self.moment, None);
            read_of(table, &list, self.interner)
        })
        .collect()
    }

    /// The rows that it updated without a look.
    pub(super) fn blind(&mut self, ops: &[Op]) -> HashSet<Id> {
        let key_of = |(table, key)| match Object::of(table, key) {
            Some(object) if self.subject.objects => Some(key_of(&object, self.interner)),
            None if table == ELEMENTS && self.subject.elements.is_some() => {
                Some(self.interner.intern(Scalar::Int(elements::number(key)?)))
            }
            _ => None,
        };
        objects::blind(ops).filter_map(key_of).collect()
    }
}

fn key_of(object: &Object, interner: &mut Interner) -> Id {
    interner.intern(Scalar::Str(object.name()))
}

fn append(object: &Object, element: i64, interner: &mut Interner) -> Mop {
    Mop::Append { key: key_of(object, interner), value: interner.intern(Scalar::Int(element)) }
}

fn read_of(object: &Object, list: &[i64], interner: &mut Interner) -> Mop {
    let key = key_of(object, interner);
    let list: Vec<Id> = list.iter().map(|element| interner.intern(Scalar::Int(*element))).collect();
    Mop::Read { key, value: if list.is_empty() { ReadValue::Nil } else { ReadValue::List(list) } }
}

/// Forgets what was written from a place on, and who read that.
fn take_back(mops: &mut Vec<Mop>, from: usize) {
    let mut written = Vec::new();
    for mop in mops.split_off(from) {
        match mop {
            Mop::Append { key, .. } | Mop::Write { key, .. } => written.push(key),
            Mop::Read { key, .. } if written.contains(&key) => {}
            read => mops.push(read),
        }
    }
}

fn read(key: &[u8], found: Option<&[u8]>, elements: Elements, interner: &mut Interner) -> Option<Mop> {
    let key = interner.intern(Scalar::Int(elements::number(key)?));
    let value = match (found, elements) {
        (None, _) => ReadValue::Nil,
        (Some(found), Elements::Lists) => {
            ReadValue::List(elements::list(found).map(|element| of(element, interner)).collect())
        }
        (Some(found), Elements::Registers) => {
            ReadValue::Scalar(of(elements::written(elements, found)?, interner))
        }
    };
    Some(Mop::Read { key, value })
}

fn of(element: u32, interner: &mut Interner) -> Id {
    interner.intern(Scalar::Int(element.into()))
}

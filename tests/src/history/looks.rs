//! What a transaction has looked at for certain before it committed: such a row is not updated blindly.
//!
//! From what was asked alone: a rollback to a savepoint takes back what was written and nothing that was seen. An untracked read
//! is no look. What its own writes answered, it has not seen.

use std::collections::BTreeSet;

use super::record::{Op, Row};

type Key = Vec<u8>;

#[derive(Debug, Default)]
pub(super) struct Looks {
    rows: BTreeSet<Row>,
    /// From one key up to another.
    spans: Vec<(usize, Key, Key)>,
    /// Whole ones.
    tables: BTreeSet<usize>,
}

impl Looks {
    pub(super) fn of(ops: &[Op]) -> Self {
        let (mut looks, mut written) = (Self::default(), Self::default());
        for op in ops {
            match op {
                Op::Get { table, key, .. } => {
                    let row = (*table, key.clone());
                    if !written.has(&row) {
                        looks.rows.insert(row);
                    }
                }
                Op::Range { table, found, .. } => {
                    looks.rows.extend(found.iter().map(|(key, _)| (*table, key.clone())));
                }
                Op::Count { table, .. } => _ = looks.tables.insert(*table),
                Op::DeleteRange { table, from, to, .. } if from < to => {
                    looks.spans.push((*table, from.clone(), to.clone()));
                    written.spans.push((*table, from.clone(), to.clone()));
                }
                Op::Put { table, key, .. } | Op::Delete { table, key } => {
                    written.rows.insert((*table, key.clone()));
                }
                // Of a row that it wrote before these are writes, and of others a look settles them.
                _ => {}
            }
        }
        looks
    }

    pub(super) fn has(&self, row: &Row) -> bool {
        let within = |(table, from, to): &(usize, Key, Key)| *table == row.0 && (from..to).contains(&&row.1);
        self.rows.contains(row) || self.tables.contains(&row.0) || self.spans.iter().any(within)
    }

    /// The tables of what was looked at.
    pub(super) fn tables(&self) -> impl Iterator<Item = usize> {
        let rows = self.rows.iter().map(|(table, _)| *table);
        rows.chain(self.spans.iter().map(|(table, ..)| *table)).chain(self.tables.iter().copied())
    }
}

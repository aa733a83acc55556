//! What one transaction does: random reads and writes, each written down with its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use braid::{Result, Snapshot, Table, Transaction};
use braid_tests::{Number, Op};
use fastrand::Rng;

use super::elements::{self, ELEMENTS, END, INDEX, NUMBERS, ROWS};
use super::{Elements, numbers};

/// The rows of each table that the random keys of one life fall on.
const KEYS: u64 = 40;

/// Where the random operations of a session go.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) tables: Vec<Table>,
    pub(super) elements: Elements,
    /// How many numbers were drawn, through all lives.
    pub(super) numbers: Arc<AtomicU64>,
    /// The first element that is still written; those before it are full.
    pub(super) first_element: u64,
    pub(super) rng: Rng,
    /// The next value that was never there.
    pub(super) fresh: u32,
}

impl Work {
    fn row_key(&mut self) -> Vec<u8> {
        format!("row {:02}", self.rng.u64(0..KEYS)).into_bytes()
    }

    fn row_value(&mut self) -> Vec<u8> {
        let length =
            if self.rng.u8(0..24) == 0 { self.rng.usize(1000..9000) } else { self.rng.usize(8..120) };
        let mut bytes = self.rng.u64(..).to_be_bytes().to_vec();
        bytes.resize(length, b'.');
        bytes
    }

    /// A number, and what is to become of it.
    fn number(&mut self) -> (Vec<u8>, Number) {
        let (which, jump) = (self.rng.u8(0..6), self.rng.u64(0..30));
        numbers::draw(self.numbers.fetch_add(1, Ordering::Relaxed), which, jump)
    }

    /// One that was changed not long ago.
    fn number_key(&mut self) -> Vec<u8> {
        let drawn = self.numbers.load(Ordering::Relaxed);
        let (ago, which, sum) = (self.rng.u64(0..40), self.rng.u8(0..6), self.rng.u64(0..8));
        numbers::key(drawn.saturating_sub(ago), which, sum)
    }

    fn element_key(&mut self) -> Vec<u8> {
        elements::key(self.first_element + self.rng.u64(0..5))
    }

    pub(super) fn fresh(&mut self) -> u32 {
        self.fresh += 1;
        self.fresh
    }

    /// One read, somewhere.
    pub(super) fn read(&mut self, snapshot: &Snapshot, ops: &mut Vec<Op>) -> Result<()> {
        if self.rng.u8(0..16) == 0 {
            return self.read_by_name(snapshot, ops);
        }
        ops.push(self.read_rows(snapshot)?);
        Ok(())
    }

    /// One read that the commit does not answer for.
    pub(super) fn read_untracked(&mut self, tx: &Transaction, ops: &mut Vec<Op>) -> Result<()> {
        let mut untracked = Vec::new();
        let read = self.read(&tx.untracked(), &mut untracked);
        ops.extend(untracked.into_iter().map(|op| Op::Untracked(Box::new(op))));
        read
    }

    fn read_rows(&mut self, snapshot: &Snapshot) -> Result<Op> {
        match self.rng.u8(0..26) {
            20 | 21 => {
                let key = self.number_key();
                self.get(snapshot, NUMBERS, key)
            }
            22 => {
                let (from, to) = (self.number_key(), self.number_key());
                self.range(snapshot, NUMBERS, from, to)
            }
            0..9 | 23.. => {
                let key = self.element_key();
                self.get(snapshot, ELEMENTS, key)
            }
            9 => {
                let (from, to) = (self.element_key(), self.element_key());
                self.range(snapshot, ELEMENTS, from, to)
            }
            10..14 => {
                let key = self.row_key();
                self.get(snapshot, ROWS, key)
            }
            14 => {
                let table = [ROWS, INDEX, NUMBERS][self.rng.usize(0..3)];
                Ok(Op::Count { table, found: snapshot.count(&self.tables[table])? })
            }
            15..18 => {
                let (from, to) = (self.row_key(), self.row_key());
                self.range(snapshot, ROWS, from, to)
            }
            18 => {
                let from = self.row_key();
                self.by_cursor(snapshot, ROWS, &from)
            }
            _ => {
                let from = entry(self.rng.u8(..), b"");
                self.range(snapshot, INDEX, from, END.to_vec())
            }
        }
    }

    fn get(&self, snapshot: &Snapshot, table: usize, key: Vec<u8>) -> Result<Op> {
        let found = snapshot.get(&self.tables[table], &key)?;
        Ok(Op::Get { table, key, found })
    }

    fn range(&mut self, snapshot: &Snapshot, table: usize, from: Vec<u8>, to: Vec<u8>) -> Result<Op> {
        let (from, to) = if from <= to { (from, to) } else { (to, from) };
        let (backwards, limit) = (self.rng.bool(), self.rng.usize(1..30));
        let range = snapshot.range(&self.tables[table], from.clone()..to.clone())?;
        let found = if backwards {
            range.rev().take(limit).collect::<Result<Vec<_>>>()?
        } else {
            range.take(limit).collect::<Result<Vec<_>>>()?
        };
        Ok(Op::Range { table, from, to, backwards, limit, found })
    }

    /// The same by hand: a seek and some steps.
    fn by_cursor(&mut self, snapshot: &Snapshot, table: usize, from: &[u8]) -> Result<Op> {
        let limit = self.rng.usize(1..8);
        let mut cursor = snapshot.cursor(&self.tables[table])?;
        let mut found = Vec::new();
        let mut stands = cursor.seek_ge(from)?;
        while stands && let Some((key, value)) = cursor.row()? {
            found.push((key.to_vec(), value.to_vec()));
            stands = found.len() < limit && cursor.next()?;
        }
        Ok(Op::Range { table, from: from.to_vec(), to: END.to_vec(), backwards: false, limit, found })
    }

    /// One write, somewhere, with the reads that it needs.
    pub(super) fn write(&mut self, tx: &mut Transaction, ops: &mut Vec<Op>) -> Result<()> {
        match self.rng.u8(0..28) {
            20 | 21 => self.change_tables(tx, ops),
            22 | 23 => {
                let (table, (key, change)) = (NUMBERS, self.number());
                if self.rng.u8(0..3) == 0 {
                    ops.push(self.get(tx, table, key.clone())?);
                }
                match change {
                    Number::Add(number) => tx.add(&self.tables[table], &key, number)?,
                    Number::Max(number) => tx.max(&self.tables[table], &key, number)?,
                    Number::Min(number) => tx.min(&self.tables[table], &key, number)?,
                }
                ops.push(Op::Number { table, key, change });
                Ok(())
            }
            0..9 | 24.. => self.write_element(tx, ops),
            9 | 10 => {
                let (table, key, bytes) = (ROWS, self.row_key(), self.fresh().to_be_bytes().to_vec());
                tx.append(&self.tables[table], &key, &bytes)?;
                ops.push(Op::Append { table, key, bytes });
                Ok(())
            }
            11..14 => {
                let (table, key, value) = (ROWS, self.row_key(), self.row_value());
                tx.put(&self.tables[table], &key, &value)?;
                ops.push(Op::Put { table, key, value });
                Ok(())
            }
            14 | 15 => {
                let (table, key) = (ROWS, self.row_key());
                tx.delete(&self.tables[table], &key)?;
                ops.push(Op::Delete { table, key });
                Ok(())
            }
            16 => {
                let (table, from) = (ROWS, self.row_key());
                let to = [&from[..], b"~"].concat();
                let removed = tx.delete_range(&self.tables[table], from.clone()..to.clone())?;
                ops.push(Op::DeleteRange { table, from, to, removed });
                Ok(())
            }
            _ => self.write_indexed(tx, ops),
        }
    }

    fn write_element(&mut self, tx: &mut Transaction, ops: &mut Vec<Op>) -> Result<()> {
        let (table, key, element) = (ELEMENTS, self.element_key(), self.fresh());
        if self.elements == Elements::Lists && self.rng.bool() && !has_seen(ops, &key) {
            let bytes = element.to_be_bytes().to_vec();
            tx.append(&self.tables[table], &key, &bytes)?;
            ops.push(Op::Append { table, key, bytes });
            return Ok(());
        }
        let value = match self.elements {
            Elements::Lists => {
                let found = tx.get(&self.tables[table], &key)?;
                let value = elements::appended(found.as_deref(), element);
                ops.push(Op::Get { table, key: key.clone(), found });
                value
            }
            Elements::Registers => elements::register(element, self.rng.usize(0..100)),
        };
        tx.put(&self.tables[table], &key, &value)?;
        ops.push(Op::Put { table, key, value });
        Ok(())
    }

    /// A row and the entry that leads to it, in place of the old ones.
    fn write_indexed(&mut self, tx: &mut Transaction, ops: &mut Vec<Op>) -> Result<()> {
        let (key, bucket) = (self.row_key(), self.rng.u8(..));
        let table = &self.tables[INDEX];
        let found = tx.get(table, &key)?;
        let old = found.as_ref().and_then(|value| value.first().copied());
        ops.push(Op::Get { table: INDEX, key: key.clone(), found });
        if let Some(old) = old {
            let old = entry(old, &key);
            tx.delete(table, &old)?;
            ops.push(Op::Delete { table: INDEX, key: old });
        }
        for (key, value) in [(entry(bucket, &key), Vec::new()), (key, vec![bucket; 20])] {
            tx.put(table, &key, &value)?;
            ops.push(Op::Put { table: INDEX, key, value });
        }
        Ok(())
    }

    /// A row to be written by itself, without a look at what is there.
    pub(super) fn lone_write(&mut self) -> Op {
        if self.rng.bool() {
            let (table, key, element) = (ELEMENTS, self.element_key(), self.fresh());
            return match self.elements {
                Elements::Lists => Op::Append { table, key, bytes: element.to_be_bytes().to_vec() },
                Elements::Registers => Op::Put { table, key, value: elements::register(element, 9) },
            };
        }
        if self.rng.u8(0..3) == 0 {
            let (key, change) = self.number();
            return Op::Number { table: NUMBERS, key, change };
        }
        let (table, key) = (ROWS, self.row_key());
        match self.rng.u8(0..6) {
            0 => Op::Delete { table, key },
            1 | 2 => Op::Append { table, key, bytes: self.fresh().to_be_bytes().to_vec() },
            _ => Op::Put { table, key, value: self.row_value() },
        }
    }
}

/// Whether a transaction has looked at an element: what it appends then would be no answer to what others append.
fn has_seen(ops: &[Op], element: &[u8]) -> bool {
    ops.iter().any(|op| match op {
        Op::Untracked(op) => has_seen(std::slice::from_ref(op), element),
        Op::Get { table: ELEMENTS, key, .. } => key == element,
        Op::Range { table: ELEMENTS, found, .. } => found.iter().any(|(key, _)| key == element),
        _ => false,
    })
}

/// The entry of an indexed row; sorts behind all rows of the same table.
fn entry(bucket: u8, key: &[u8]) -> Vec<u8> {
    [format!("to {bucket:03} ").as_bytes(), key].concat()
}

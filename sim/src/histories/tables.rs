//! Tables that come and go within transactions, and what is done to their rows.

use braid::{Result, Snapshot, Table, Transaction};
use braid_tests::{NAMES, Op, made_table};

use super::elements::{END, MADE, made_key};
use super::work::Work;

impl Work {
    fn some_name(&mut self) -> &'static str {
        MADE[self.rng.usize(0..MADE.len())]
    }

    fn made_key(&mut self) -> Vec<u8> {
        made_key(self.rng.u8(0..6))
    }

    /// Looks at a table by its name.
    pub(super) fn read_by_name(&mut self, snapshot: &Snapshot, ops: &mut Vec<Op>) -> Result<()> {
        let name = self.some_name();
        let Some(table) = find(snapshot, name, ops)? else { return Ok(()) };
        if self.rng.bool() {
            let key = self.made_key();
            let found = snapshot.get(&table, &key)?;
            ops.push(Op::Get { table: made_table(table.id()), key, found });
            return Ok(());
        }
        ops.push(read_all(snapshot, &table)?);
        Ok(())
    }

    /// Makes a table, drops or renames it, or writes to it.
    pub(super) fn change_tables(&mut self, tx: &mut Transaction, ops: &mut Vec<Op>) -> Result<()> {
        let name = self.some_name();
        let Some(table) = find(tx, name, ops)? else {
            let table = tx.create_table(name)?;
            ops.push(named(name, Some(&table)));
            return self.fill(tx, &table, ops);
        };
        match self.rng.u8(0..8) {
            0 | 1 => {
                tx.drop_table(name)?;
                ops.push(named(name, None));
                Ok(())
            }
            2 => {
                let to = self.some_name();
                if find(tx, to, ops)?.is_none() {
                    tx.rename_table(name, to)?;
                    ops.extend([named(name, None), named(to, Some(&table))]);
                }
                Ok(())
            }
            _ => self.fill(tx, &table, ops),
        }
    }

    fn fill(&mut self, tx: &mut Transaction, table: &Table, ops: &mut Vec<Op>) -> Result<()> {
        let number = made_table(table.id());
        for _ in 0..self.rng.usize(1..4) {
            let key = self.made_key();
            if self.rng.u8(0..4) == 0 {
                tx.delete(table, &key)?;
                ops.push(Op::Delete { table: number, key });
            } else {
                let value = self.fresh().to_be_bytes().to_vec();
                tx.put(table, &key, &value)?;
                ops.push(Op::Put { table: number, key, value });
            }
        }
        Ok(())
    }
}

/// Opens a table by its name, and writes down what it is.
pub(super) fn find(snapshot: &Snapshot, name: &str, ops: &mut Vec<Op>) -> Result<Option<Table>> {
    let table = snapshot.existing_table(name)?;
    let found = table.as_ref().map(id);
    ops.push(Op::Get { table: NAMES, key: name.into(), found });
    Ok(table)
}

/// Reads all rows of a table.
pub(super) fn read_all(snapshot: &Snapshot, table: &Table) -> Result<Op> {
    let found = snapshot.scan(table)?.collect::<Result<Vec<_>>>()?;
    let (from, to) = (Vec::new(), END.to_vec());
    let table = made_table(table.id());
    Ok(Op::Range { table, from, to, backwards: false, limit: usize::MAX, found })
}

/// What a table is, as the row of its name has it.
fn id(table: &Table) -> Vec<u8> {
    table.id().to_be_bytes().to_vec()
}

fn named(name: &str, table: Option<&Table>) -> Op {
    let key = name.into();
    match table {
        Some(table) => Op::Put { table: NAMES, key, value: id(table) },
        None => Op::Delete { table: NAMES, key },
    }
}

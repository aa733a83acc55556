//! Savepoints, updates without a look, tables within transactions, tokens, sequences, and a copy kept by the feed.
//!
//! A table that is made within a transaction has one row, which it gets at once: for the model it is a row of
//! [`MADE`], under its name. A token is a row of [`TOKENS`].

use braid::{Error, SequenceOptions, Snapshot, Transaction};

use super::{Key, Life, Lived, MADE, Model, Open, Over, Rows, TABLES, TOKENS, byte};

const NAMES: [&str; 3] = ["x", "y", "z"];
/// The key of the one row of a table that comes and goes.
const ROW: &str = "row";
/// The most savepoints that are open at once.
const SAVEPOINTS_MAX: usize = 8;

/// What becomes of a row without a look at it. A key takes one kind only.
#[derive(Clone, Copy, Debug)]
pub(super) enum Update {
    Add(i64),
    Max(i64),
    Min(i64),
    Append(u8),
}

impl Update {
    fn of(self, before: Option<&Vec<u8>>) -> Vec<u8> {
        let number = before.and_then(|value| <[u8; 8]>::try_from(&**value).ok()).map(i64::from_le_bytes);
        let number = match (self, number) {
            (Self::Append(byte), _) => return [before.map_or(&[][..], Vec::as_slice), &[byte; 9]].concat(),
            (Self::Add(number) | Self::Max(number) | Self::Min(number), None) => number,
            (Self::Add(number), Some(before)) => before + number,
            (Self::Max(number), Some(before)) => before.max(number),
            (Self::Min(number), Some(before)) => before.min(number),
        };
        number.to_le_bytes().to_vec()
    }
}

/// What some updates make of a row.
pub(super) fn updated(updates: &[Update], before: Option<&Vec<u8>>) -> Option<Vec<u8>> {
    updates.iter().fold(before.cloned(), |value, update| Some(update.of(value.as_ref())))
}

impl Open {
    /// A row was looked at: its update is from now on a write.
    pub(super) fn look(&mut self, key: &Key) {
        if !self.wrote.contains(key) {
            self.looked.insert(key.clone());
        }
        if let Some(updates) = self.blind.remove(key)
            && let Some(value) = updated(&updates, self.rows.get(key))
        {
            self.rows.insert(key.clone(), value);
            self.wrote.push(key.clone());
        }
    }

    /// All rows of a table from a key on were looked at.
    pub(super) fn look_from(&mut self, from: &Key) {
        let keys: Vec<Key> =
            self.blind.range(from.clone()..(from.0 + 1, Vec::new())).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.look(key));
    }

    /// Takes everything back to the last savepoint.
    fn take_back(&mut self) {
        if let Some((_, rows, wrote, blind)) = self.savepoints.last() {
            (self.rows, self.wrote, self.blind) = (rows.clone(), wrote.clone(), blind.clone());
        }
    }
}

impl Life<'_> {
    /// One of the operations of this module.
    pub(super) fn objects(&mut self, slot: usize, operation: u8, data: &mut &[u8]) -> Lived {
        match operation {
            0..=3 => self.savepoint(slot),
            4..=6 => self.take_back(slot),
            7 => self.release(slot),
            8..=15 => self.update(slot, byte(data)),
            16..=21 => self.change_tables(slot, byte(data)),
            22..=24 => self.draw(byte(data)),
            25..=27 => self.ask(byte(data)),
            28 | 29 => self.transact(byte(data), byte(data)),
            _ => self.keep_up(),
        }
    }

    fn savepoint(&mut self, slot: usize) -> Lived {
        let Some(open) = &mut self.open[slot] else { return Ok(()) };
        if open.savepoints.len() < SAVEPOINTS_MAX {
            let made = open.tx.savepoint();
            if let Ok(savepoint) = &made {
                let now = (open.rows.clone(), open.wrote.clone(), open.blind.clone());
                open.savepoints.push((*savepoint, now.0, now.1, now.2));
            }
            // Savepoints are of the transaction's own writes, and there for a revoked one as well.
            self.excuse("a savepoint", made)?;
        }
        Ok(())
    }

    fn take_back(&mut self, slot: usize) -> Lived {
        let Some(open) = &mut self.open[slot] else { return Ok(()) };
        let Some((savepoint, ..)) = open.savepoints.last() else { return Ok(()) };
        let done = open.tx.rollback_to(savepoint);
        open.take_back();
        self.excuse("taking back", done)
    }

    fn release(&mut self, slot: usize) -> Lived {
        let Some(open) = &mut self.open[slot] else { return Ok(()) };
        let Some((savepoint, ..)) = open.savepoints.pop() else { return Ok(()) };
        let done = open.tx.release(savepoint);
        self.excuse("a release", done)
    }

    fn update(&mut self, slot: usize, which: u8) -> Lived {
        let Some(open) = &mut self.open[slot] else { return Ok(()) };
        let table = usize::from(which >> 7);
        let number = i64::from(which & 0x1f) - 16;
        let (name, update) = match which >> 5 & 3 {
            0 => ("sum", Update::Add(number)),
            1 => ("most", Update::Max(number)),
            2 => ("least", Update::Min(number)),
            _ => ("text", Update::Append(which)),
        };
        let done = match update {
            Update::Add(number) => open.tx.add(&open.tables[table], name, number),
            Update::Max(number) => open.tx.max(&open.tables[table], name, number),
            Update::Min(number) => open.tx.min(&open.tables[table], name, number),
            Update::Append(byte) => open.tx.append(&open.tables[table], name, [byte; 9]),
        };
        let key = (table, name.as_bytes().to_vec());
        if open.wrote.contains(&key) {
            let value = update.of(open.rows.get(&key));
            open.rows.insert(key, value);
        } else {
            open.blind.entry(key).or_default().push(update);
        }
        self.excuse_open(slot, "an update", done)
    }

    fn change_tables(&mut self, slot: usize, which: u8) -> Lived {
        let Some(open) = &mut self.open[slot] else { return Ok(()) };
        let name = |at: u8| NAMES[usize::from(at) % NAMES.len()];
        let (name, to) = (name(which), name(which / 3));
        let key = |name: &str| (MADE, name.as_bytes().to_vec());
        let done = match open.rows.get(&key(name)).cloned() {
            None => {
                open.rows.insert(key(name), vec![which]);
                open.wrote.push(key(name));
                make(&mut open.tx, name, which)
            }
            Some(_) if which >> 6 == 0 => {
                open.rows.remove(&key(name));
                open.wrote.push(key(name));
                open.tx.drop_table(name).map(|there| assert!(there, "the table is there"))
            }
            Some(row) if which >> 6 == 1 && !open.rows.contains_key(&key(to)) => {
                open.rows.remove(&key(name));
                open.rows.insert(key(to), row);
                open.wrote.extend([key(name), key(to)]);
                open.tx.rename_table(name, to)
            }
            Some(row) => {
                open.read.push(key(name));
                if open.wrote.contains(&key(name)) {
                    // Under another name, perhaps, which it may have again.
                    open.unsure = true;
                } else {
                    open.looked.insert(key(name));
                }
                let found = open.tx.existing_table(name).and_then(|table| {
                    let table = table.ok_or_else(|| Error::NoSuchTable(name.to_owned()))?;
                    open.tx.get(&table, ROW)
                });
                found.map(|found| assert_eq!(found, Some(row), "a table has its row"))
            }
        };
        self.excuse_open(slot, "a change of tables", done)
    }

    fn draw(&mut self, which: u8) -> Lived {
        let options = SequenceOptions { block: u64::from(which % 4) + 1, ..SequenceOptions::default() };
        let sequence = self.excuse("a sequence", self.db.sequence_with("ids", options))?;
        // Where nothing is drawn, it is raised.
        if which >> 5 == 0 {
            let newest = self.model.ids.last().copied().unwrap_or(0);
            let left_out = newest + 1..=newest + u64::from(which);
            self.excuse("raising a sequence", sequence.raise_to(left_out.end() + 1))?;
            self.model.ids.extend(left_out);
        }
        for _ in 0..which >> 5 {
            let id = self.excuse("an id", sequence.next())?;
            assert!(self.model.ids.insert(id), "{id} is given out twice");
        }
        Ok(())
    }

    /// Asks for a token.
    fn ask(&mut self, which: u8) -> Lived {
        let token = self.model.token(which);
        let place = self.excuse("a token", self.db.was_committed(&token))?;
        let there = self.model.states[self.model.last()].rows.contains_key(&(TOKENS, token));
        assert_eq!(place.is_some(), there, "a token is known just when it was committed");
        Ok(())
    }

    /// Brings the copy up to date that the feed's consumer keeps.
    pub(super) fn keep_up(&mut self) -> Lived {
        // One that is exclusive would have it wait for ever.
        if self.open.iter().any(Option::is_some) {
            return Ok(());
        }
        let kept = self.model.mirror.keep_up(&self.db);
        if let Err(Error::Other(why)) = &kept {
            panic!("{why}");
        }
        if matches!(&kept, Err(Error::HistoryGone { .. })) && !self.model.mirrored {
            // A checkpoint came before the consumer.
            return Ok(());
        }
        self.excuse("keeping up", kept)?;
        self.model.promised = self.model.last();
        self.model.mirrored = true;
        Ok(())
    }
}

fn make(tx: &mut Transaction, name: &str, value: u8) -> braid::Result<()> {
    let table = tx.create_table(name)?;
    tx.put(&table, ROW, [value])
}

impl Model {
    /// A token that may have been used, or not.
    pub(super) fn token(&mut self, which: u8) -> Vec<u8> {
        let token = format!("token {}", which & 0x1f).into_bytes();
        self.tokens.insert(token.clone());
        token
    }
}

/// The tables that come and go, as a snapshot sees them.
pub(super) fn made(snapshot: &Snapshot, rows: &mut Rows) -> braid::Result<()> {
    for name in snapshot.tables()? {
        if TABLES.contains(&&*name) {
            continue;
        }
        let table = snapshot.existing_table(&name)?.ok_or_else(|| Error::NoSuchTable(name.clone()))?;
        rows.insert((MADE, name.into_bytes()), snapshot.get(&table, ROW)?.unwrap_or_default());
    }
    Ok(())
}

/// Looks that the model's tables are those of a crash's survivor, and that the consumer's copy can be brought up to date.
pub(super) fn examine(db: &braid::Database, model: &Model) {
    if model.mirror.is_used()
        && let Err(error) = model.mirror.examine(db, model.mirrored)
    {
        panic!("the copy that the feed keeps: {error}");
    }
}

/// Whether a machine that fails explains the end.
pub(super) fn taken(error: &Error, lost: bool) -> Result<(), Over> {
    assert!(lost, "nobody has its token, and yet: {error}");
    Ok(())
}

//! One committed transaction, change by change.

use std::str;
use std::sync::Arc;

use braid_mvstore::{TableId, Timestamp};
use braid_wal::{Payload, ReadError};

use super::change::{Change, ChangedTable};
use super::names::Names;
use crate::core::{FIRST_USER_TABLE, Pin, TABLES};
use crate::error::{Error, Result};
use crate::note::{Note, note_of};
use crate::record::{ChangeHead, MAX_HEAD_BYTES, Malformed};

/// A committed transaction: an iterator over its [`Change`]s.
///
/// A long one is read from the log as it is gone through, and holds the log meanwhile: go through it, or drop it, before
/// long.
#[derive(Debug)]
pub struct ChangeSet {
    timestamp: Timestamp,
    rows: Rows,
    /// As of this transaction.
    names: Names,
    /// The row behind a change of a table, which was looked at to know what that is.
    ahead: Option<Row>,
    /// The tables that it dropped: what it wrote to them before has gone with them.
    gone: Vec<TableId>,
    failed: bool,
    /// Keeps the log for a long transaction.
    _pin: Option<Pin>,
}

/// The rows of a record.
#[derive(Debug)]
struct Rows {
    payload: Payload,
    at: u64,
}

#[derive(Debug)]
struct Row {
    table: TableId,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    /// What it takes in the record.
    bytes: u64,
}

impl Rows {
    /// Goes to the next row that may concern a user; what comes before its key, and where it ends.
    fn find(&mut self, oldest: Timestamp) -> Result<Option<(ChangeHead, u64)>> {
        while self.at < self.payload.bytes() {
            let head = self.payload.get(self.at, MAX_HEAD_BYTES);
            let head = ChangeHead::decode(head.map_err(|error| gone(error, oldest))?).map_err(malformed)?;
            let bytes = head.key_bytes.checked_add(head.value_bytes.unwrap_or(0));
            let end = bytes.and_then(|bytes| self.at.checked_add(head.bytes)?.checked_add(bytes));
            let Some(end) = end.filter(|end| *end <= self.payload.bytes()) else {
                return Err(malformed(Malformed("a length beyond the record")));
            };
            if head.table == TABLES || head.table.0 >= FIRST_USER_TABLE {
                return Ok(Some((head, end)));
            }
            self.at = end;
        }
        Ok(None)
    }

    /// The next row that may concern a user.
    fn next(&mut self, oldest: Timestamp) -> Result<Option<Row>> {
        let Some((head, end)) = self.find(oldest)? else { return Ok(None) };
        let begin = self.at.saturating_add(head.bytes);
        let beyond_memory = || malformed(Malformed("a length beyond memory"));
        let count = usize::try_from(end.saturating_sub(begin)).map_err(|_| beyond_memory())?;
        let key_bytes = usize::try_from(head.key_bytes).map_err(|_| beyond_memory())?;
        let both = self.payload.get(begin, count).map_err(|error| gone(error, oldest))?;
        let (key, value) =
            both.split_at_checked(key_bytes).ok_or_else(|| malformed(Malformed("a key cut short")))?;
        let value = head.value_bytes.map(|_| copied(value)).transpose()?;
        let bytes = end.saturating_sub(self.at);
        let row = Row { table: head.table, key: copied(key)?, value, bytes };
        self.at = end;
        Ok(Some(row))
    }
}

impl ChangeSet {
    /// The transaction that committed at `timestamp`, if it changed anything of the users'; brings `names` up to it.
    pub(super) fn new(
        timestamp: Timestamp,
        payload: Payload,
        names: &mut Names,
        pin: Option<Pin>,
    ) -> Result<Option<Self>> {
        let rows = Rows { payload, at: 0 };
        let mut set = Self {
            timestamp,
            rows,
            names: names.clone(),
            ahead: None,
            gone: Vec::new(),
            failed: false,
            _pin: pin,
        };
        // Changes of tables come first. They are gone through twice, so that the feed knows them whatever becomes of this.
        let mut found = false;
        while set.ahead.is_none()
            && let Some((head, _)) = set.rows.find(timestamp)?
        {
            if head.table != TABLES {
                found = true;
                break;
            }
            let Some(change) = set.step()? else { break };
            found = true;
            match &change {
                Change::Create(ChangedTable { id, name: Some(name) })
                | Change::Load(ChangedTable { id, name: Some(name) })
                | Change::Rename { table: ChangedTable { id, name: Some(name) }, .. } => {
                    names.insert(TableId(*id), name);
                }
                Change::Drop(table) => names.remove(TableId(table.id)),
                _ => break,
            }
            // What was looked at to know where the notes end comes again.
            if let Some(row) = set.ahead.take() {
                set.rows.at = set.rows.at.saturating_sub(row.bytes);
            }
        }
        set.names = names.clone();
        set.rows.at = 0;
        set.ahead = None;
        set.gone.clear();
        Ok(found.then_some(set))
    }

    /// When it was committed: its place in the history, and what to begin after to go on behind it.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    fn step(&mut self) -> Result<Option<Change>> {
        loop {
            let row = match self.ahead.take() {
                Some(row) => row,
                None => match self.rows.next(self.timestamp)? {
                    Some(row) => row,
                    None => return Ok(None),
                },
            };
            if self.gone.contains(&row.table) {
                continue;
            }
            if row.table != TABLES {
                let table = self.names.table(row.table);
                return Ok(Some(match row.value {
                    Some(value) => Change::Put { table, key: row.key, value },
                    None => Change::Delete { table, key: row.key },
                }));
            }
            // A note without its table says nothing.
            let Ok(id) = <[u8; 4]>::try_from(&*row.key) else { continue };
            if let Some(change) = self.table_changed(TableId(u32::from_be_bytes(id)), row.value)? {
                return Ok(Some(change));
            }
        }
    }

    /// What a row of the catalog says together with the notes behind it.
    fn table_changed(&mut self, id: TableId, name: Option<Vec<u8>>) -> Result<Option<Change>> {
        let (mut created, mut loaded, mut dropped, mut renamed) = (false, false, None, None);
        while let Some(row) = self.rows.next(self.timestamp)? {
            match (row.table == TABLES && row.value.is_none()).then(|| note_of(&row.key)).flatten() {
                Some((of, Note::Created)) if of == id => created = true,
                Some((of, Note::Loaded)) if of == id => loaded = true,
                Some((of, Note::Dropped(name))) if of == id => dropped = Some(Arc::from(name)),
                Some((of, Note::Renamed(name))) if of == id => renamed = Some(Arc::from(name)),
                _ => {
                    self.ahead = Some(row);
                    break;
                }
            }
        }
        let Some(name) = name else {
            self.gone.push(id);
            // Made and dropped by this transaction: nobody has ever seen it. Nor has anybody a name that it had for a moment.
            let name = renamed.or(dropped);
            return Ok((!created && !loaded).then_some(Change::Drop(ChangedTable { id: id.0, name })));
        };
        let name =
            str::from_utf8(&name).map_err(|_| malformed(Malformed("a table's name that is no text")))?;
        let table = ChangedTable { id: id.0, name: Some(Arc::from(name)) };
        Ok(match (created, loaded) {
            (_, true) => Some(Change::Load(table)),
            (true, false) => Some(Change::Create(table)),
            (false, false) => {
                // It may have had another one within the transaction alone.
                (renamed != table.name).then_some(Change::Rename { table, from: renamed })
            }
        })
    }
}

impl Iterator for ChangeSet {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

fn gone(error: ReadError, oldest: Timestamp) -> Error {
    Error::from_history(error, oldest, oldest)
}

fn malformed(Malformed(what): Malformed) -> Error {
    Error::Corrupt(format!("a record of the log holds {what}"))
}

fn copied(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())
        .map_err(|_| Error::io("reading a change", std::io::ErrorKind::OutOfMemory.into()))?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

//! Updates: what to do with a row, instead of what it becomes.
//!
//! They are blind: the row is not looked at before the commit, and then as it is by then (`core/updates.rs`). So two
//! transactions that update one row do not conflict, whoever commits first.
//!
//! Once the transaction looks at the row itself, or has written it, that is over: the update is made of what the snapshot
//! has there, and is from then on a write like any other, which conflicts like any other. The read under it is tracked. What it
//! looked at before is asked for at the commit (`looks.rs`), and such an update made a write there.

use braid_mvstore::{NotUpdated, TableId, Update, UpdateLimits, WriteSet};
use braid_vfs::planted;

use super::inner::{Inner, Tracking};
use super::looks::Looks;
use super::write::Transaction;
use crate::core::{CommitRequest, Core};
use crate::error::{Error, Result};
use crate::limits::MAX_VALUE_BYTES;
use crate::table::Table;

/// Updates of rows that were looked at, and cannot be made of what the snapshot has there.
#[derive(Debug)]
pub(super) struct NotSettled {
    /// What is wrong with the first one.
    why: Error,
    rows: Vec<(TableId, Vec<u8>)>,
}

impl NotSettled {
    /// What the commit is told: what is wrong, unless others have changed meanwhile what it is made of. Then it may
    /// well be made of what is there now.
    pub(super) fn refuse(self, core: &Core, request: &CommitRequest<'_>) -> Error {
        if planted!(UnsettledNotValidated) {
            return self.why;
        }
        core.validate_unsettled(request, &self.rows).err().unwrap_or(self.why)
    }
}

impl Inner {
    /// Updates a row.
    fn update(&self, table: TableId, key: &[u8], update: &Update) -> Result<()> {
        loop {
            match self.change(|writes| writes.update(table, key, update, self.limits()))? {
                Err(NotUpdated::OtherShape) => self.settle(table, key).map(drop)?,
                done => return done.map_err(|error| self.not_updated(table, key, error)),
            }
        }
    }

    /// Makes the update of a row of what the snapshot has there, and returns the row.
    #[cold]
    pub(super) fn settle(&self, table: TableId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        // Not under the lock, and whoever else settles it meanwhile comes to the same.
        let row = self.get_committed(self.tracking, table, key, <[u8]>::to_vec)?;
        if planted!(ReadLeavesUpdateBlind) {
            return Ok(self.writes()?.guess(table, key, row.as_deref()));
        }
        self.change(|writes| {
            writes.settle(table, key, row.as_deref(), self.limits())?;
            Ok(match writes.get(table, key) {
                Some(found) => found.value().map(<[u8]>::to_vec),
                // The update was taken back meanwhile: what is under it is what there is.
                None if planted!(TakenBackReadsNothing) => None,
                None => row,
            })
        })?
        .map_err(|error| self.not_updated(table, key, error))
    }

    /// At the commit: makes writes of the updates of rows that were looked at. Those that cannot be made are passed
    /// back.
    #[cold]
    pub(super) fn settle_looked(
        &self,
        writes: &mut WriteSet,
        looks: &mut Looks,
    ) -> Result<Option<Box<NotSettled>>> {
        if looks.is_empty() {
            return Ok(None);
        }
        looks.sort();
        let looked_at = writes.updated().filter(|(table, key)| looks.has(*table, key));
        let looked_at: Vec<_> = looked_at.map(|(table, key)| (table, key.to_vec())).collect();
        let mut not_settled: Option<Box<NotSettled>> = None;
        for (table, key) in looked_at {
            let row = self.get_committed(Tracking::Nothing, table, &key, <[u8]>::to_vec)?;
            if let Err(error) = writes.settle(table, &key, row.as_deref(), self.limits()) {
                let first =
                    || Box::new(NotSettled { why: self.not_updated(table, &key, error), rows: vec![] });
                not_settled.get_or_insert_with(first).rows.push((table, key));
            }
        }
        Ok(not_settled)
    }

    fn limits(&self) -> UpdateLimits {
        UpdateLimits { value_bytes: MAX_VALUE_BYTES, set_bytes: self.core().options.max_transaction_bytes }
    }

    fn not_updated(&self, table: TableId, key: &[u8], error: NotUpdated) -> Error {
        match error {
            NotUpdated::TooLarge { bytes } => Error::TransactionTooLarge {
                bytes: bytes as u64,
                limit: self.core().options.max_transaction_bytes as u64,
            },
            NotUpdated::Refused(refusal) => self.core().refused(table, key, refusal),
            // Settled before it comes to this.
            NotUpdated::OtherShape => Error::TransactionClosed,
        }
    }
}

impl Transaction {
    /// Adds to a number, which overflow at the commit refuses. The row holds eight bytes, a little-endian `i64`; one that
    /// is not there counts as 0 and comes to be.
    ///
    /// The row is not read before the commit, so concurrent transactions that add to one row all commit: no conflict
    /// among them, in neither isolation level. So it is with [`max`](Self::max), [`min`](Self::min) and
    /// [`append`](Self::append), and with any of them beside another. A transaction that reads the row (by a cursor
    /// that comes to it, too, or a range or count that has it within its bounds) after it has updated it sees the
    /// result at its snapshot, and from then on its update is a write like [`put`](Self::put). So is an update of a row
    /// that it has read before, or written: `if get(x) >= 10 { add(x, -10) }` takes the ten once, and whoever commits
    /// second is `Busy`. What is read [untracked](Self::untracked) does not count.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// # let db = braid::Database::in_memory()?;
    /// # db.set_journal_mode(braid::JournalMode::Mvcc)?;
    /// let views = db.table("views")?;
    /// let (mut one, mut other) = (db.begin_concurrent()?, db.begin_concurrent()?);
    /// one.add(&views, "home", 1)?;
    /// other.add(&views, "home", 2)?;
    /// one.commit()?;
    /// other.commit()?;
    /// assert_eq!(db.get(&views, "home")?.as_deref(), Some(&3_i64.to_le_bytes()[..]));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`put`](Self::put). What cannot be done is refused with [`Error::UpdateRefused`]: by the commit, unless
    /// that loses by anything else, or here where the transaction knows the row already.
    pub fn add(&mut self, table: &Table, key: impl AsRef<[u8]>, number: i64) -> Result<()> {
        self.update(table, key.as_ref(), &Update::add(number))
    }

    /// Raises a number to at least `number`, which is what a row that is not there becomes. Blind, and a write once the row was
    /// read or written, like [`add`](Self::add).
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn max(&mut self, table: &Table, key: impl AsRef<[u8]>, number: i64) -> Result<()> {
        self.update(table, key.as_ref(), &Update::max(number))
    }

    /// Lowers a number to at most `number`, which is what a row that is not there becomes. Blind, and a write once the row was
    /// read or written, like [`add`](Self::add).
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn min(&mut self, table: &Table, key: impl AsRef<[u8]>, number: i64) -> Result<()> {
        self.update(table, key.as_ref(), &Update::min(number))
    }

    /// Appends to a value; a row that is not there counts as empty and comes to be. Appends of concurrent transactions
    /// stand in the order of their commits. Costs what the whole value costs. Blind, and a write once the row was read or
    /// written, like [`add`](Self::add).
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn append(&mut self, table: &Table, key: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        self.inner().core().check_row(&[], bytes)?;
        self.update(table, key.as_ref(), &Update::append(bytes))
    }

    fn update(&mut self, table: &Table, key: &[u8], update: &Update) -> Result<()> {
        let inner = self.inner();
        inner.check(table.info())?;
        inner.core().check_row(key, &[])?;
        inner.update(table.info().id, key, update)
    }
}

//! Tables by name, as a snapshot sees them; and in a write transaction made, dropped and renamed.
//!
//! Invariants:
//!
//! 1. A name stands for what the rows of the catalog say at the snapshot, with the transaction's own on top: never for
//!    what others have committed since.
//! 2. A change is nothing but rows of the catalog, all of one change or none: what the commit does to the tables follows
//!    from the rows that are left then, so that a rollback, a whole one or one to a savepoint, leaves nothing of it.
//! 3. A handle of a table that the transaction made is good where the transaction's own rows say so, and elsewhere once
//!    the commit has said so. No row is ever written into a tree without a name.

use std::ops::Bound;

use braid_mvstore::{Direction, TableId};
use braid_vfs::planted;
use braid_vfs::sync::Arc;

use super::inner::{Inner, Tracking};
use super::layers::Layers;
use super::read_set::LastSpan;
use super::snapshot::Snapshot;
use super::write::Transaction;
use crate::core::{NAMES, TABLES, named_id};
use crate::error::{Error, Result};
use crate::note::Note;
use crate::schema::check_name;
use crate::table::Table;

fn malformed() -> Error {
    Error::Corrupt("a row of the catalog is malformed".to_owned())
}

impl Inner {
    /// The table that a name stands for.
    fn named(&self, tracking: Tracking, name: &str) -> Result<Option<TableId>> {
        if planted!(NewestNameFound) {
            return Ok(self.core().tables.by_name(name).map(|info| info.id));
        }
        self.get(tracking, NAMES, name.as_bytes(), named_id)?.map(|id| id.ok_or_else(malformed)).transpose()
    }

    fn open(&self, tracking: Tracking, name: &str) -> Result<Option<Table>> {
        let Some(id) = self.named(tracking, name)? else { return Ok(None) };
        if let Some(info) = self.core().tables.by_id(id) {
            return Ok(Some(Table::new(info, name)));
        }
        // It is kept for as long as a snapshot may ask for it: this one was revoked meanwhile.
        self.check_lease()?;
        Err(Error::NoSuchTable(name.to_owned()))
    }

    fn write_names(&self, id: TableId, name: &str, note: Note<'_>) -> Result<()> {
        self.write_catalog(&[
            (NAMES, name.as_bytes(), Some(&id.0.to_le_bytes())),
            (TABLES, &id.0.to_be_bytes(), Some(name.as_bytes())),
            (TABLES, &note.key(id), None),
        ])
    }
}

impl Snapshot {
    /// The table that had this name at the moment of the snapshot, or has it by what the transaction itself did; if there
    /// was one.
    ///
    /// # Errors
    /// When the transaction is over, or the file cannot be read.
    pub fn existing_table(&self, name: &str) -> Result<Option<Table>> {
        self.inner.check_open()?;
        self.inner.open(self.tracking, name)
    }

    /// The names of all tables at the moment of the snapshot, with what the transaction itself did, in order.
    ///
    /// # Errors
    /// As for [`existing_table`](Self::existing_table).
    pub fn tables(&self) -> Result<Vec<String>> {
        let inner = &*self.inner;
        inner.check_open()?;
        if let Some(mut reads) = inner.reads()?.filter(|_| self.tracking == Tracking::Reads) {
            reads.span(&mut LastSpan::default(), NAMES, Bound::Unbounded, Bound::Unbounded);
        }
        inner.in_view(|view| {
            let mut rows = Layers::over(&inner.core().base, view, NAMES, inner.begin_ts);
            let mut names = Vec::new();
            let mut found = rows.seek(view, Some(inner), Bound::Unbounded, Direction::Forward)?;
            while found && let Some(name) = rows.key() {
                names.push(std::str::from_utf8(name).map_err(|_| malformed())?.to_owned());
                found = rows.step(view, Some(inner), Direction::Forward)?;
            }
            Ok(names)
        })
    }
}

/// Tables are made, dropped and renamed like rows are written: nobody else sees any of it before the commit, and a
/// rollback leaves nothing.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// let db = braid::Database::in_memory()?;
/// let old = db.table("prices")?;
/// db.put(&old, "apple", "3")?;
///
/// // A new version of a table takes the place of the old one, whole and at once.
/// let mut tx = db.begin()?;
/// let new = tx.create_table("prices, new")?;
/// for row in tx.scan(&old)? {
///     let (key, value) = row?;
///     tx.put(&new, key, [&value[..], b".00"].concat())?;
/// }
/// tx.drop_table("prices")?;
/// tx.rename_table("prices, new", "prices")?;
/// tx.commit()?;
///
/// assert_eq!(db.tables()?, ["prices"]);
/// let prices = db.table("prices")?;
/// assert_eq!(db.get(&prices, "apple")?.as_deref(), Some(&b"3.00"[..]));
/// # Ok(()) }
/// ```
impl Transaction {
    /// Makes a table. Until the commit it is there for this transaction alone: another one that uses the handle gets
    /// [`Error::UncommittedTable`], and after a rollback everybody gets [`Error::NoSuchTable`].
    ///
    /// If another transaction makes one of that name meanwhile, one of the two commits is `Busy` with
    /// [`ConflictKind::Schema`](crate::ConflictKind::Schema).
    ///
    /// # Errors
    /// [`Error::TableExists`]; [`Error::Limit`] for a name longer than 120 bytes or empty; and as for
    /// [`put`](Self::put).
    pub fn create_table(&mut self, name: &str) -> Result<Table> {
        check_name(name)?;
        let inner = &self.snapshot.inner;
        inner.check_open()?;
        if inner.named(inner.tracking, name)?.is_some() {
            return Err(Error::TableExists(name.to_owned()));
        }
        let info = inner.core().tables.begin_creation(name, inner.as_maker())?;
        self.note_creation(Arc::clone(&info));
        let named = self.snapshot.inner.write_names(info.id, name, Note::Created);
        if named.is_err() {
            self.end_lost_creations();
        }
        named.map(|()| Table::new(info, name))
    }

    /// Opens a table, making it if there is none.
    ///
    /// # Errors
    /// As for [`create_table`](Self::create_table), save that the table may exist.
    pub fn table(&mut self, name: &str) -> Result<Table> {
        match self.existing_table(name)? {
            Some(table) => Ok(table),
            None => self.create_table(name),
        }
    }

    /// Drops a table with all its rows, what this transaction wrote to it included; whether there was one. Handles of it
    /// are of no more use in this transaction. Another transaction that wrote to it, or read it and wrote anything,
    /// and commits later, will be `Busy` with [`ConflictKind::Schema`](crate::ConflictKind::Schema). The space is used
    /// again when the last snapshot that sees the table has gone.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub fn drop_table(&mut self, name: &str) -> Result<bool> {
        let inner = &self.snapshot.inner;
        inner.check_open()?;
        let Some(id) = inner.named(inner.tracking, name)? else { return Ok(false) };
        inner.write_catalog(&[
            (NAMES, name.as_bytes(), None),
            (TABLES, &id.0.to_be_bytes(), None),
            (TABLES, &Note::Dropped(name).key(id), None),
        ])?;
        Ok(true)
    }

    /// Gives a table another name. It stays the same table: its id, its rows and its handles stay. Several renames in one
    /// transaction may exchange names.
    ///
    /// Another transaction that wrote to the table, or read it and wrote anything, and commits later, will be `Busy`
    /// with [`ConflictKind::Schema`](crate::ConflictKind::Schema), as if the table had been dropped: what it wrote was
    /// meant for the table of the old name, which may be another one now.
    ///
    /// # Errors
    /// [`Error::NoSuchTable`] when there is no table `from`, [`Error::TableExists`] when there is one `to`,
    /// [`Error::Limit`] for a name longer than 120 bytes or empty; and as for [`put`](Self::put).
    pub fn rename_table(&mut self, from: &str, to: &str) -> Result<()> {
        check_name(to)?;
        let inner = &self.snapshot.inner;
        inner.check_open()?;
        let Some(id) = inner.named(inner.tracking, from)? else {
            return Err(Error::NoSuchTable(from.to_owned()));
        };
        if from == to {
            return Ok(());
        }
        if inner.named(inner.tracking, to)?.is_some() {
            return Err(Error::TableExists(to.to_owned()));
        }
        let (key, value) = (id.0.to_be_bytes(), id.0.to_le_bytes());
        // None for a table that the transaction has made.
        let before = inner.get_committed(Tracking::Nothing, TABLES, &key, <[u8]>::to_vec)?;
        let before = before.map(String::from_utf8).transpose().map_err(|_| malformed())?;
        let note = before.map(|name| Note::Renamed(&name).key(id));
        let mut rows = vec![
            (NAMES, from.as_bytes(), None),
            (NAMES, to.as_bytes(), Some(&value[..])),
            (TABLES, &key, Some(to.as_bytes())),
        ];
        rows.extend(note.as_deref().map(|note| (TABLES, note, None)));
        inner.write_catalog(&rows)
    }

    /// Gives a table its rows in the catalog, where nothing may have its name.
    pub(crate) fn name_table(&mut self, id: TableId, name: &str) -> Result<()> {
        let inner = &self.snapshot.inner;
        if inner.named(inner.tracking, name)?.is_some() {
            return Err(Error::TableExists(name.to_owned()));
        }
        inner.write_names(id, name, Note::Loaded)
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use crate::{Database, Error, Options, Result, Table};

    fn is_none(answer: &Result<Option<Vec<u8>>>) {
        assert!(matches!(answer, Err(Error::NoSuchTable(_))), "{answer:?}");
    }

    /// Nothing is kept of it, however often that is done, and a handle of it is of no use to anybody.
    #[test]
    fn a_creation_that_is_taken_back_is_over() {
        let db = Database::in_memory().unwrap();
        let known = || db.core().tables.known().len();
        let kept = db.table("kept").unwrap();
        let mut tx = db.begin_immediate().unwrap();
        let early = tx.create_table("early").unwrap();
        tx.drop_table("early").unwrap();
        let before = tx.savepoint().unwrap();
        let first = tx.create_table("first").unwrap();
        let mut handles: Vec<Table> = vec![];
        for _ in 0..100 {
            let inner = tx.savepoint().unwrap();
            handles.push(tx.create_table("made").unwrap());
            tx.create_table("another").unwrap();
            tx.rename_table("made", "renamed").unwrap();
            tx.drop_table("first").unwrap();
            tx.rollback_to(&inner).unwrap();
            tx.release(inner).unwrap();
            assert_eq!(known(), 3, "the one that was there, and two that were made before");
            assert_eq!(tx.get(&first, "row").unwrap(), None);
        }
        for made in &handles {
            is_none(&tx.get(made, "row"));
            is_none(&db.get(made, "row"));
        }
        tx.rollback_to(&before).unwrap();
        assert_eq!(known(), 2);
        let made = tx.create_table("made").unwrap();
        tx.put(&made, "row", "1").unwrap();
        tx.commit().unwrap();
        assert_eq!((known(), db.tables().unwrap()), (2, vec!["kept".to_owned(), "made".to_owned()]));
        assert_eq!(db.get(&made, "row").unwrap().unwrap(), b"1");
        assert_eq!(db.get(&kept, "row").unwrap(), None);
        handles.extend([early, first]);
        for made in &handles {
            is_none(&db.get(made, "row"));
        }
    }

    #[test]
    fn a_creation_that_does_not_fit_is_over() {
        let options = Options { max_transaction_bytes: 1000, ..Options::default() };
        let db = Database::in_memory_with(options).unwrap();
        let table = db.table("t").unwrap();
        let mut tx = db.begin_immediate().unwrap();
        tx.put(&table, "row", vec![1; 900]).unwrap();
        for _ in 0..100 {
            assert!(matches!(tx.create_table("made"), Err(Error::TransactionTooLarge { .. })));
        }
        assert_eq!(db.core().tables.known().len(), 1);
    }
}

//! A copy of a database that is kept in step by a consumer of its changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use braid::{Change, Changes, Database, Error, Result, Timestamp};

use super::{Contents, Rows};

/// The consumer's name.
const NAME: &str = "mirror";

/// Tables by id, with their names.
type Tables = BTreeMap<u32, (String, Rows)>;

/// What the copy held at each position that the consumer may stand at, for one who finds it there after a crash.
#[derive(Clone, Debug)]
pub struct Mirror(Arc<Mutex<BTreeMap<Timestamp, Arc<Tables>>>>);

impl Default for Mirror {
    fn default() -> Self {
        Self(Arc::new(Mutex::new([(Timestamp::ZERO, Arc::default())].into())))
    }
}

impl Mirror {
    /// Whether a consumer was ever there.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.at(Timestamp::MAX).is_some()
    }

    /// A copy that goes its own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())))
    }

    fn at(&self, position: Timestamp) -> Option<Arc<Tables>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&position).cloned()
    }

    fn put(&self, position: Timestamp, tables: Arc<Tables>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(position, tables);
    }

    /// Brings the copy up to date, compares it, and acknowledges that.
    ///
    /// # Errors
    /// Those of the database, and `Other` where the copy is not what it should be.
    pub fn keep_up(&self, db: &Database) -> Result<()> {
        // There may be one from now on.
        self.put(Timestamp::MAX, Arc::default());
        db.sync()?;
        let consumer = db.consumer(NAME, Timestamp::ZERO)?;
        let mut changes = consumer.changes()?;
        let tables = self.follow(consumer.position()?, &mut changes)?;
        compare(&tables, db)?;
        self.put(changes.passed(), Arc::new(tables));
        consumer.acknowledge(changes.passed())
    }

    /// Looks for the consumer, and compares the copy with what is there once all that it missed is added; `must_be`: it
    /// was told that it is registered.
    ///
    /// # Errors
    /// Those of the database, and `Other` where the copy is not what it should be.
    pub fn examine(&self, db: &Database, must_be: bool) -> Result<()> {
        let Some(found) = db.consumers()?.into_iter().find(|consumer| consumer.name == NAME) else {
            return if must_be { Err(Error::NoSuchConsumer(NAME.to_owned())) } else { Ok(()) };
        };
        let mut changes = db.consumer(NAME, Timestamp::ZERO)?.changes()?;
        let tables = self.follow(found.position, &mut changes)?;
        compare(&tables, db).map_err(|error| {
            let Error::Other(what) = error else { return error };
            Error::other(format!("from {} to {}, {what}", found.position, changes.passed()))
        })
    }

    /// The copy at a position with the changes after it.
    fn follow(&self, position: Timestamp, changes: &mut Changes) -> Result<Tables> {
        let before = self.at(position).filter(|_| position != Timestamp::MAX);
        let before = before.ok_or_else(|| Error::other(format!("the consumer never stood at {position}")))?;
        let mut tables = Tables::clone(&before);
        while let Some(set) = changes.try_next()? {
            for change in set {
                let id = change.as_ref().map_or(0, |change| change.table().id);
                let unknown = || Error::other(format!("a change of table {id}, which is not there"));
                match change? {
                    Change::Put { key, value, .. } => {
                        tables.get_mut(&id).ok_or_else(unknown)?.1.insert(key, value.into());
                    }
                    Change::Delete { key, .. } => {
                        tables.get_mut(&id).ok_or_else(unknown)?.1.remove(&key);
                    }
                    Change::Create(table) => {
                        let name = table.name.as_deref().unwrap_or_default().to_owned();
                        if tables.insert(id, (name, Rows::new())).is_some() {
                            return Err(Error::other(format!("table {id} is made twice")));
                        }
                    }
                    Change::Rename { table, .. } => {
                        let name = table.name.as_deref().unwrap_or_default();
                        name.clone_into(&mut tables.get_mut(&id).ok_or_else(unknown)?.0);
                    }
                    Change::Drop(_) => drop(tables.remove(&id).ok_or_else(unknown)?),
                    other => return Err(Error::other(format!("nobody did {other:?}"))),
                }
            }
        }
        Ok(tables)
    }
}

fn compare(tables: &Tables, db: &Database) -> Result<()> {
    let copy: BTreeMap<_, _> = tables.values().cloned().collect();
    let contents = Contents::of(db)?;
    if copy == contents.tables {
        return Ok(());
    }
    let copy = Contents { mode: contents.mode, tables: copy };
    Err(Error::other(format!("the changes lead to {copy:?} and not to {contents:?}")))
}

//! Table handles.

use std::fmt;
use std::hash::{Hash, Hasher};

use braid_vfs::sync::Arc;

use crate::core::TableInfo;

/// A table: ordered byte keys, each with a byte value. A cheap handle, good for as long as the table stands, in every
/// transaction of its database.
///
/// A table made by a transaction is there for that transaction alone until it commits. If that never happens the handle is
/// of no use: [`Error::NoSuchTable`](crate::Error::NoSuchTable).
///
/// # The order of keys
///
/// Keys are ordered byte by byte, as slices of `u8` are: `"a"` before `"aa"` before `"b"`. So numbers go in with their
/// highest byte first, by `to_be_bytes`; a signed one with its sign turned round too, so that the negative ones come
/// first. Of a key of several parts each part but the last is of a fixed length, or ends with a byte that is not in it.
/// Values may look as they like.
///
/// ```
/// # fn main() -> braid::Result<()> {
/// let db = braid::Database::in_memory()?;
/// let order = |keys: [Vec<u8>; 3]| -> braid::Result<Vec<String>> {
///     let table = db.table("t")?;
///     keys.iter().zip(["first", "second", "third"]).try_for_each(|(key, name)| db.put(&table, key, name).map(drop))?;
///     let rows = db.snapshot()?.scan(&table)?.map(|row| Ok(String::from_utf8_lossy(&row?.1).into_owned())).collect();
///     db.drop_table("t")?;
///     rows
/// };
/// let unsigned = |number: u64| number.to_be_bytes().to_vec();
/// let signed = |number: i64| (number ^ i64::MIN).to_be_bytes().to_vec();
/// assert_eq!(order([unsigned(1), unsigned(2), unsigned(256)])?, ["first", "second", "third"]);
/// assert_eq!(order([signed(-2), signed(-1), signed(1)])?, ["first", "second", "third"]);
/// // Lowest byte first, 256 comes before 1 and 2.
/// let turned = |number: u64| number.to_le_bytes().to_vec();
/// assert_eq!(order([turned(1), turned(2), turned(256)])?, ["third", "first", "second"]);
/// # Ok(()) }
/// ```
///
/// Handles are equal where they are of the same table of the same database, by whatever names.
#[derive(Clone)]
pub struct Table {
    info: Arc<TableInfo>,
    name: Arc<str>,
}

impl Table {
    pub(crate) fn new(info: Arc<TableInfo>, name: impl Into<Arc<str>>) -> Self {
        Self { info, name: name.into() }
    }

    pub(crate) fn info(&self) -> &Arc<TableInfo> {
        &self.info
    }

    /// The name by which the handle came about. It stays what it is when the table is renamed, and the handle stays good.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number, which lasts as long as the table, whatever its name, and is never given to another.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.info.id.0
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        (self.info.core, self.info.id) == (other.info.core, other.info.id)
    }
}

impl Eq for Table {}

impl Hash for Table {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.info.core, self.info.id.0).hash(state);
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("id", &self.id()).field("name", &self.name).finish()
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use std::collections::HashSet;

    use crate::Database;

    #[test]
    fn equal_are_handles_of_one_table() {
        let (db, other) = (Database::in_memory().unwrap(), Database::in_memory().unwrap());
        let table = db.table("t").unwrap();
        assert_eq!(other.table("t").unwrap().id(), table.id());
        assert_ne!(other.table("t").unwrap(), table, "of another database");
        assert_ne!(db.table("u").unwrap(), table);
        db.rename_table("t", "v").unwrap();
        let renamed = db.table("v").unwrap();
        assert_eq!(renamed, table);
        assert_eq!(HashSet::from([table, renamed]).len(), 1);
        assert_ne!(db.table("t").unwrap(), db.table("v").unwrap(), "a new one of the old name");
    }
}

//! What may be used on both sides of a `catch_unwind`: a panic of a user's code, in a closure or in a callback, rolls
//! back what it was in and leaves nothing locked, so whoever comes after it finds everything as it should be.

use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::database::Database;
use crate::feed::Consumer;
use crate::sequence::Sequence;
use crate::table::Table;
use crate::transaction::Snapshot;

impl UnwindSafe for Database {}
impl RefUnwindSafe for Database {}
impl UnwindSafe for Snapshot {}
impl RefUnwindSafe for Snapshot {}
impl UnwindSafe for Table {}
impl RefUnwindSafe for Table {}
impl UnwindSafe for Sequence {}
impl RefUnwindSafe for Sequence {}
impl UnwindSafe for Consumer {}
impl RefUnwindSafe for Consumer {}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use std::panic::{catch_unwind, resume_unwind};

    use crate::{Database, Result};

    #[test]
    fn what_is_shared_goes_on_after_a_panic() {
        let db = Database::in_memory().unwrap();
        let table = db.table("t").unwrap();
        let before = db.snapshot().unwrap();
        let (ids, consumer) = (db.sequence("ids").unwrap(), db.consumer("c", before.timestamp()).unwrap());
        let panicked = catch_unwind(|| {
            let rows = before.count(&table).unwrap();
            db.transact(|tx| -> Result<()> {
                tx.put(&table, "a", (rows + ids.next()?).to_be_bytes())?;
                let _feed = consumer.changes()?;
                resume_unwind(Box::new("on purpose"))
            })
        });
        assert!(panicked.is_err());
        db.put(&table, "b", "").unwrap();
        assert_eq!((ids.next().unwrap(), consumer.position().unwrap()), (2, before.timestamp()));
        assert_eq!((before.count(&table).unwrap(), db.snapshot().unwrap().count(&table).unwrap()), (0, 1));
    }
}

//! The lock belongs to the open database: another open and close of the same file in this process does not free it, as
//! it would a POSIX record lock.

use braid::Result;
use braid_tests::{Actor, Place, assert_clean};

#[test]
fn other_processes_stay_locked_out() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    db.put(&table, "a", "1")?;
    for file in place.files() {
        Place::touch(&file);
    }
    let said = Actor::start(env!("CARGO_BIN_EXE_actor"), "open", &place.path(), &[]).line();
    assert_eq!(said, Some(format!("locked {}", std::process::id())));
    db.put(&table, "b", "2")?;
    assert_clean(&db)
}

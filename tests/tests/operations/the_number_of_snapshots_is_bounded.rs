//! `max_snapshots` bounds what may be open at once, with a typed error, and what is closed makes room.

use braid::{Error, Options, Result};
use braid_tests::Place;

#[test]
fn and_what_is_closed_makes_room() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(Options { max_snapshots: 8, ..Options::default() })?;
    let mut open = Vec::new();
    let refused = loop {
        match db.snapshot() {
            Ok(snapshot) => open.push(snapshot),
            Err(error) => break error,
        }
        assert!(open.len() <= 64, "more than the limit are open");
    };
    assert!(matches!(refused, Error::TooManySnapshots { limit: 8, .. }), "{refused:?}");
    assert_eq!(open.len(), 8);
    assert_eq!(db.stats().open_snapshots, 8);
    open.pop();
    open.push(db.snapshot()?);
    open.clear();
    assert_eq!(db.stats().open_snapshots, 0);
    Ok(())
}

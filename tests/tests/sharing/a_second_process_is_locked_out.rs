//! A second process that opens for writing is told `Locked` at once, and by whom; when the holder goes, however it goes,
//! the lock is free.

use braid::{Database, Error, Result};
use braid_tests::{Actor, Place, assert_clean};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

#[test]
fn while_the_first_one_lives() -> Result<()> {
    let place = Place::new();
    let mut holder = Actor::start(ACTOR, "hold", &place.path(), &[]);
    assert_eq!(holder.line().as_deref(), Some("ready"));
    let Err(Error::Locked { path, holder: pid, .. }) = Database::open(place.path()) else {
        panic!("the file is held");
    };
    assert!(path.ends_with("data.braid"));
    assert_eq!(pid, Some(holder.id()), "the error names the process");
    assert!(
        matches!(Database::open(place.path()), Err(Error::Locked { .. })),
        "a failed open leaves nothing behind"
    );
    let reader = Database::open_read_only(place.path());
    assert!(matches!(reader, Err(Error::Locked { .. })), "{reader:?}");
    assert!(holder.finish(), "the holder closes cleanly");
    assert_clean(&place.open()?)
}

#[test]
fn until_the_first_one_is_killed() -> Result<()> {
    let place = Place::new();
    let mut holder = Actor::start(ACTOR, "hold", &place.path(), &[]);
    assert_eq!(holder.line().as_deref(), Some("ready"));
    assert!(matches!(Database::open(place.path()), Err(Error::Locked { .. })));
    assert!(holder.kill().is_empty());
    assert_clean(&place.open()?)
}

//! Siblings share one core and so its options: an open that asks for others is refused by the name of the option, and
//! so is an open for the other kind of access.

use braid::{Database, Error, Options, Result};
use braid_tests::Place;

#[test]
fn a_different_option_is_named() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(Options { row_store_bytes: 1 << 20, ..Options::default() })?;
    let other = place.open_with(Options { row_store_bytes: 2 << 20, ..Options::default() });
    let Err(Error::OptionsConflict { option, .. }) = other else { panic!("{other:?}") };
    assert!(option.contains("row_store_bytes"), "{option}");
    let same = place.open_with(Options { row_store_bytes: 1 << 20, ..Options::default() })?;
    drop((db, same));
    place.open_with(Options { row_store_bytes: 2 << 20, ..Options::default() }).map(drop)
}

#[test]
fn pages_are_the_file_s_own_affair() -> Result<()> {
    let place = Place::new();
    let pages = |page_bytes| Options { page_bytes, ..Options::default() };
    place.open_with(pages(4096))?.close()?;
    // Whoever comes first with whatever wish: the file has the pages that it was made with, and nobody is refused.
    let db = place.open_with(pages(8192))?;
    let same = place.open_with(pages(4096))?;
    assert_eq!((db.stats().file.page_bytes, same.stats().file.page_bytes), (4096, 4096));
    Ok(())
}

#[test]
fn plain_open_joins_whatever_is_open() -> Result<()> {
    let place = Place::new();
    let db = place.open_with(Options { row_store_bytes: 1 << 20, ..Options::default() })?;
    let sibling = Database::open(place.path())?;
    assert_eq!(sibling.stats().row_store.budget_bytes, db.stats().row_store.budget_bytes);
    Ok(())
}

#[test]
fn a_reader_with_options_has_them_or_is_refused() -> Result<()> {
    let place = Place::new();
    let small = || Options::default().row_store_bytes(1 << 20);
    place.open()?.close()?;
    let db = Database::open_read_only_with(place.path(), small())?;
    assert_eq!(db.stats().row_store.budget_bytes, 1 << 20);
    // Of one that reads and of one that writes alike.
    for db in [Some(db), None] {
        let _open = db.map_or_else(|| place.open_with(small()), Ok)?;
        let refused = Database::open_read_only_with(place.path(), small().cache_bytes(1 << 20));
        let Err(Error::OptionsConflict { option: "cache_bytes", .. }) = refused else {
            panic!("{refused:?}")
        };
        assert!(Database::open_read_only_with(place.path(), small().create(false))?.is_read_only());
        assert!(Database::open_read_only(place.path())?.is_read_only());
    }
    let senseless = Database::open_read_only_with(place.path(), Options::default().max_snapshots(0));
    assert!(matches!(senseless, Err(Error::Limit { .. })), "{senseless:?}");
    Ok(())
}

#[test]
fn senseless_options_are_refused() {
    let place = Place::new();
    let senseless = [
        Options { page_bytes: 1000, ..Options::default() },
        Options { page_bytes: 256, ..Options::default() },
        Options { page_bytes: 1 << 17, ..Options::default() },
        Options { row_store_bytes: 1000, ..Options::default() },
        Options { log_segment_bytes: 1000, ..Options::default() },
    ];
    for options in senseless {
        let opened = place.open_with(options);
        assert!(matches!(opened, Err(Error::Limit { .. })), "{opened:?}");
    }
}

//! What is not a Braid database, or one of a newer version, is refused by a typed error, and not a byte of it is changed.

use braid::{Database, Error, Result};
use braid_tests::{Place, assert_clean};

#[test]
fn foreign_ones() {
    let text = b"An ordinary text that somebody keeps under this name.\n".repeat(400);
    let sqlite = [b"SQLite format 3\0".as_slice(), &[0; 9000]].concat();
    for (what, bytes) in [
        ("text", text),
        ("another database", sqlite),
        ("one byte", vec![7]),
        ("noise", (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()),
    ] {
        let place = Place::new();
        Place::write(&place.path(), &bytes);
        for _ in 0..2 {
            let opened = Database::open(place.path());
            assert!(matches!(opened, Err(Error::NotABraidDatabase { .. })), "{what}: {opened:?}");
            let opened = Database::open_read_only(place.path());
            assert!(matches!(opened, Err(Error::NotABraidDatabase { .. })), "{what}: {opened:?}");
        }
        assert_eq!(Place::read(&place.path()), bytes, "{what} is as it was");
        assert_eq!(place.files().len(), 1, "nothing was put beside {what}");
    }
}

#[test]
fn a_newer_one() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    db.put(&db.table("rows")?, "a", "1")?;
    db.close()?;
    let mut bytes = Place::read(&place.path());
    let original = bytes.clone();
    // Magic, version and checksum of a meta block stand where they do in every version (docs/file-format.md).
    for block in bytes[..8192].chunks_exact_mut(4096) {
        assert_eq!(&block[..8], b"BRAIDDB\0");
        block[8..12].copy_from_slice(&77_u32.to_le_bytes());
        let checksum = crc32fast::hash(&block[..4092]);
        block[4092..].copy_from_slice(&checksum.to_le_bytes());
    }
    Place::write(&place.path(), &bytes);
    for opened in [Database::open(place.path()), Database::open_read_only(place.path())] {
        let Err(error @ Error::NewerFormat { found: 77, .. }) = opened else { panic!("{opened:?}") };
        assert!(error.to_string().contains("newer version of braid"), "{error}");
    }
    assert_eq!(Place::read(&place.path()), bytes);
    Place::write(&place.path(), &original);
    let db = place.open()?;
    assert_eq!(db.get(&db.table("rows")?, "a")?, Some(b"1".to_vec()));
    assert_clean(&db)
}

#[test]
fn a_directory() {
    let place = Place::new();
    let opened = Database::open(place.directory());
    assert!(opened.is_err(), "{opened:?}");
    let opened = Database::open(place.join("no such directory").join("data.braid"));
    assert!(opened.is_err(), "{opened:?}");
}

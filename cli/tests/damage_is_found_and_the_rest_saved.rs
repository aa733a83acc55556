//! A damaged page is found by `check`, and `salvage` keeps the rows that are not on it.

mod common;

use std::collections::HashSet;

use common::{Folder, braid, command, dump};

#[test]
fn of_a_page_in_the_middle() {
    let folder = Folder::new();
    let db = folder.database("db.braid", 20_000);
    let whole = dump(&db, "t");
    let mut bytes = std::fs::read(&db).unwrap();
    // A row in the middle of the file: it lies on a leaf of the table.
    let needle = b"value of 10000";
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at] ^= 0x20;
    std::fs::write(&db, &bytes).unwrap();

    let check = braid(&["check", &db]).code(1);
    assert!(check.stdout.contains("damaged: ") && check.stderr.starts_with("hint: "), "{check:?}");
    assert_eq!(std::fs::read(&db).unwrap(), bytes, "check changes nothing");
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let unread = command(&["check", &db]).stdout(closed).output().unwrap();
    assert_eq!(unread.status.code(), Some(1), "a closed pipe makes no damage good");
    let read = braid(&["dump", &db, "--table", "t"]).code(7);
    assert!(read.stderr.contains("hint: restore a backup"), "{read:?}");

    let out = folder.arg("saved.braid");
    let salvage = braid(&["salvage", &db, &out]).code(1);
    assert!(salvage.stdout.lines().any(|line| line.starts_with("lost: ")), "{salvage:?}");
    let saved = dump(&out, "t");
    let known: HashSet<_> = whole.lines().collect();
    assert!(saved.lines().all(|row| known.contains(row)), "nothing is made up");
    let lost = known.len() - saved.lines().count();
    assert!((1..1_000).contains(&lost), "{lost} rows were lost of one page");
    braid(&["check", &out]).code(0);
}

#[test]
fn of_every_part_of_a_small_file_without_a_panic() {
    let folder = Folder::new();
    let db = folder.database("db.braid", 50);
    let whole = std::fs::read(&db).unwrap();
    let step = (whole.len() / 60).max(1);
    for at in (0..whole.len()).step_by(step) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        std::fs::write(&db, &bytes).unwrap();
        // `braid` asserts that nothing panics; every outcome has a documented code.
        for args in [&["check", &db][..], &["tables", &db], &["dump", &db, "--table", "t"], &["stat", &db]] {
            let run = braid(args);
            assert!((0..=9).contains(&run.code), "byte {at}: {run:?}");
        }
    }
    for len in [0, 1, 100, 4096, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&db, whole.get(..len).unwrap_or(&whole)).unwrap();
        let run = braid(&["check", &db]);
        assert!((0..=9).contains(&run.code), "{len} bytes: {run:?}");
    }
}

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
    for run in [&read, &braid(&["backup", &db, &folder.arg("copy.braid")]).code(7)] {
        assert_eq!(run.stderr.matches("restore a backup").count(), 1, "said once: {run:?}");
        assert_eq!(run.stderr.matches("salvage").count(), 1, "said once: {run:?}");
    }

    let out = folder.arg("saved.braid");
    let salvage = braid(&["salvage", &db, &out]).code(1);
    assert!(salvage.stdout.lines().any(|line| line.starts_with("lost: ")), "{salvage:?}");
    assert!(!salvage.stdout.contains("restore a backup"), "nobody is sent here from here: {salvage:?}");
    let saved = dump(&out, "t");
    let known: HashSet<_> = whole.lines().collect();
    assert!(saved.lines().all(|row| known.contains(row)), "nothing is made up");
    let lost = known.len() - saved.lines().count();
    assert!((1..1_000).contains(&lost), "{lost} rows were lost of one page");
    braid(&["check", &out]).code(0);
}

#[test]
fn of_the_page_that_leads_to_all_others() {
    let folder = Folder::new();
    let db = folder.database("db.braid", 20_000);
    let whole = dump(&db, "t");
    let bytes = std::fs::read(&db).unwrap();
    // The directory is what a checkpoint writes last, before the free list if there is one.
    let mut unknown = 0;
    for back in 1..=3 {
        let out = folder.arg(&format!("saved{back}.braid"));
        let mut damaged = bytes.clone();
        let at = damaged.len() - back * 4096 + 100;
        damaged[at] ^= 0x20;
        std::fs::write(&db, &damaged).unwrap();
        let run = braid(&["salvage", &db, &out]);
        let saved = dump(&out, "t");
        assert!(saved == whole, "page {back} from the end: {run:?}");
        assert_eq!(run.fact("rows of the file"), "20,000");
        unknown += usize::from(run.fact("rows known lost") == "0, and maybe more: how many is unknown");
    }
    assert!(unknown > 0, "the directory was damaged once");
}

#[test]
fn of_the_log_that_is_gone_or_cut() {
    let folder = Folder::new();
    let db = folder.database("db.braid", 100);
    let whole = dump(&db, "t");
    let dir = folder.path("db.braid-wal");
    let segment = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..5_000]).unwrap();
    let cut = braid(&["tables", &db]).fails(7, "shorter");
    assert!(cut.stderr.contains("braid salvage"), "{cut:?}");
    std::fs::remove_dir_all(&dir).unwrap();
    let gone = braid(&["tables", &db]).fails(7, "does not hold position");
    assert_eq!(gone.stderr.matches("braid salvage").count(), 1, "{gone:?}");
    // It was closed in good order, but the file does not say whether the log had more.
    let run = braid(&["salvage", &db, &folder.arg("saved.braid")]).code(1);
    assert!(run.stdout.starts_with("lost: the log: "), "{run:?}");
    assert_eq!(run.fact("rows known lost"), "0, and maybe more: how many is unknown");
    assert_eq!(dump(&folder.arg("saved.braid"), "t"), whole);
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

//! A backup, a compacted file and what is salvaged of an undamaged one hold the rows of the original.

mod common;

use common::{Folder, braid, dump};

#[test]
fn a_backup() {
    let folder = Folder::new();
    let db = folder.database("db.braid", 5_000);
    let out = folder.arg("copy.braid");
    braid(&["backup", &db, &out]).code(0);
    assert_eq!(dump(&out, "t"), dump(&db, "t"));
    braid(&["check", &out]).code(0);
}

#[test]
fn a_compacted_file() {
    let folder = Folder::new();
    let path = folder.database("db.braid", 20_000);
    {
        let db = braid::Database::open(folder.path("db.braid")).unwrap();
        let table = db.table("t").unwrap();
        db.transact(|tx| (100..20_000).try_for_each(|i| tx.delete(&table, format!("{i:06}")))).unwrap();
        db.close().unwrap();
    }
    let before = dump(&path, "t");
    assert_eq!(before.lines().count(), 100);
    let size = std::fs::metadata(&path).unwrap().len();
    let run = braid(&["compact", &path]).code(0);
    assert!(run.stdout.contains("given back"), "{run:?}");
    assert!(std::fs::metadata(&path).unwrap().len() < size / 4, "{run:?}");
    assert_eq!(dump(&path, "t"), before);
    braid(&["check", &path]).code(0);
}

#[test]
fn salvage_of_an_undamaged_file() {
    let folder = Folder::new();
    let db = folder.database("db.braid", 5_000);
    let out = folder.arg("saved.braid");
    let run = braid(&["salvage", &db, &out]).code(0);
    assert_eq!((run.fact("rows of the file"), run.fact("losses")), ("5,000", "0"));
    assert_eq!(dump(&out, "t"), dump(&db, "t"));
}

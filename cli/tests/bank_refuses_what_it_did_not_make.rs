//! The benchmark writes into new files and its own banks, and leaves everything else alone.

mod common;

use common::{Folder, braid, dump};

#[test]
fn a_database_with_other_tables() {
    let folder = Folder::new();
    let db = folder.database("data.braid", 10);
    let before = dump(&db, "t");
    braid(&["bench", "bank", &db, "--seconds", "0.1"]).fails(2, "holds other tables");
    assert_eq!(dump(&db, "t"), before);
    assert_eq!(braid(&["tables", &db]).code(0).stdout, "table  rows\nt        10\n");
}

#[test]
fn a_file_that_is_no_database() {
    let folder = Folder::new();
    let file = folder.file("notes.txt", "not a database, and dear to somebody\n".repeat(400));
    let before = std::fs::read(&file).unwrap();
    braid(&["bench", "bank", &file, "--seconds", "0.1"]).fails(5, "is not a Braid database");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_bank_of_another_size() {
    let folder = Folder::new();
    let path = folder.arg("bank.braid");
    braid(&["bench", "bank", &path, "--accounts", "50", "--seconds", "0.1"]).code(0);
    braid(&["bench", "bank", &path, "--accounts", "51", "--seconds", "0.1"])
        .fails(2, "this bank has 50 accounts, not 51");
}

#[test]
fn a_bank_whose_money_was_touched() {
    let folder = Folder::new();
    let path = folder.arg("bank.braid");
    braid(&["bench", "bank", &path, "--accounts", "50", "--seconds", "0.1"]).code(0);
    {
        let db = braid::Database::open(folder.path("bank.braid")).unwrap();
        db.put(&db.table("accounts").unwrap(), "00000007", "1000000").unwrap();
        db.close().unwrap();
    }
    braid(&["bench", "bank", &path, "--seconds", "0.1"]).fails(1, "must hold 50,000");
}

//! A load that a full disk stops says how much it kept, and that loading again goes on from there.

#![cfg(target_os = "linux")]

mod common;

use std::process::Command;

use common::{Folder, braid, dump, finish};

#[test]
fn on_a_full_disk() {
    let folder = Folder::new();
    let rows: String = (0..8_000).map(|id| format!("{id},{}\n", "text ".repeat(120))).collect();
    let (db, csv) = (folder.arg("db.braid"), folder.file("rows.csv", format!("id,text\n,rejected\n{rows}")));
    let options = ["--table", "t", "--key", "id"];
    // No file may become longer than a few MiB: the system answers as it does where the disk is full.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_braid")]);
    // Nor is there room for what is rejected: that hides nothing of the rest.
    let rejects = ["--rejects", "/dev/full"];
    let run = finish(limited.args(["load", &db, &csv]).args(options).args(rejects).output().unwrap()).code(8);
    assert!(!run.stderr.contains("/dev/full"), "{run:?}");
    assert!(run.stderr.contains("the file of --rejects is not whole"), "{run:?}");
    assert!(run.stderr.contains("what was loaded is kept, and loading again goes on from there"), "{run:?}");
    let added: usize = run.fact("added").replace(',', "").parse().unwrap();
    let kept = dump(&db, "t").lines().count();
    assert!((1..=8_000).contains(&kept) && added <= kept, "{added} told, {kept} kept");

    let again = braid(&[&["load", &db, &csv][..], &options].concat()).code(1);
    assert_eq!(again.fact("unchanged").replace(',', ""), kept.to_string());
    assert_eq!(dump(&db, "t").lines().count(), 8_000);
}

#[test]
fn and_so_does_one_whose_rejected_records_cannot_be_written() {
    let folder = Folder::new();
    let (db, csv) = (folder.arg("db.braid"), folder.file("rows.csv", "id,text\n,rejected\n1,one\n"));
    let run = braid(&["load", &db, &csv, "--table", "t", "--key", "id", "--rejects", "/dev/full"]).code(8);
    assert!(run.stderr.contains("/dev/full"), "{run:?}");
    assert_eq!((run.fact("added"), run.fact("rejected")), ("1", "1"));
}

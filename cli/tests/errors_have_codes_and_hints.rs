//! Every command meets every kind of wrong input with its exit code, one line that says what is wrong, and a hint.

mod common;

use common::{Folder, braid};

/// Each command over a database path.
fn commands<'a>(db: &'a str, csv: &'a str, out: &'a str) -> Vec<Vec<&'a str>> {
    vec![
        vec!["tables", db],
        vec!["stat", db],
        vec!["stat", "--json", db],
        vec!["check", db],
        vec!["dump", db, "--table", "t"],
        vec!["compact", db],
        vec!["backup", db, out],
        vec!["salvage", db, out],
        vec!["load", db, csv, "--table", "t", "--key", "id"],
        vec!["bench", "bank", db, "--seconds", "0.1"],
    ]
}

#[test]
fn nothing_there() {
    let folder = Folder::new();
    let csv = folder.file("rows.csv", "id\n1\n");
    let (missing, out) = (folder.arg("missing.braid"), folder.arg("out.braid"));
    for args in commands(&missing, &csv, &out).into_iter().filter(|args| !matches!(args[0], "load" | "bench"))
    {
        braid(&args).fails(3, "missing.braid");
    }
    assert_eq!(folder.names(), ["rows.csv"], "nothing was made");
    let nowhere = folder.arg("no/such/folder/db.braid");
    for args in commands(&nowhere, &csv, &out) {
        braid(&args).fails(3, "");
    }
}

#[test]
fn something_else_there() {
    let folder = Folder::new();
    let csv = folder.file("rows.csv", "id\n1\n");
    for (name, contents) in
        [("short", vec![b'x'; 10]), ("text", b"Dear diary\n".repeat(2_000)), ("zeros", vec![0; 20_000])]
    {
        let file = folder.file(name, &contents);
        for args in commands(&file, &csv, &folder.arg("out.braid")) {
            let run = braid(&args);
            // To salvage is to look past the first damaged bytes; it may say that there is nothing to find.
            if args[0] == "salvage" {
                assert_ne!(run.code, 0, "{run:?}");
            } else {
                run.fails(5, "is not a Braid database");
            }
            assert_eq!(std::fs::read(&file).unwrap(), contents, "{args:?} left the file alone");
        }
    }
    std::fs::create_dir(folder.path("folder")).unwrap();
    for args in commands(&folder.arg("folder"), &csv, &folder.arg("out.braid")) {
        braid(&args).fails(5, "folder");
    }
}

#[test]
fn an_empty_file_there() {
    let folder = Folder::new();
    let empty = folder.file("empty", "");
    for command in ["check", "stat", "tables", "compact"] {
        braid(&[command, &empty]).fails(5, "it is empty");
    }
    assert_eq!(folder.names(), ["empty"], "nothing was made");
    assert_eq!(std::fs::read(&empty).unwrap(), b"", "nothing was written");
}

#[test]
fn no_folder_there() {
    let folder = Folder::new();
    let csv = folder.file("rows.csv", "id\n1\n");
    let nowhere = folder.arg("no/such/db.braid");
    let run =
        braid(&["load", &nowhere, &csv, "--table", "t", "--key", "id"]).fails(3, "finding the folder of");
    assert!(run.stderr.contains("hint: check that the folder exists"), "{run:?}");
}

#[test]
fn rejects_never_go_over_the_database_or_the_input() {
    let folder = Folder::new();
    let (db, csv) = (folder.database("db.braid", 10), folder.arg("rows.csv"));
    let (rows, bytes) = (std::fs::read(&csv).unwrap(), std::fs::read(&db).unwrap());
    for victim in [&db, &csv] {
        braid(&["load", &db, &csv, "--table", "t", "--key", "id", "--rejects", victim]).fails(2, "--rejects");
    }
    let new = folder.arg("new.braid");
    braid(&["load", &new, &csv, "--table", "t", "--key", "id", "--rejects", &new]).fails(2, "--rejects");
    assert!(!folder.path("new.braid").exists());
    assert_eq!(std::fs::read(&csv).unwrap(), rows);
    assert_eq!(std::fs::read(&db).unwrap(), bytes);
}

#[test]
fn a_name_beyond_the_limits() {
    let folder = Folder::new();
    let csv = folder.file("rows.csv", "id\n1\n");
    let db = folder.arg("db.braid");
    braid(&["load", &db, &csv, "--table", "", "--key", "id"]).fails(2, "is 0, and must be at least 1");
    let long = "x".repeat(121);
    braid(&["load", &db, &csv, "--table", &long, "--key", "id"]).fails(2, "is 121, and must be at most 120");
}

#[test]
fn another_process_there() {
    let folder = Folder::new();
    let csv = folder.file("rows.csv", "id\n1\n");
    let path = folder.database("db.braid", 10);
    let held = braid::Database::open(folder.path("db.braid")).unwrap();
    for args in commands(&path, &csv, &folder.arg("out.braid")) {
        braid(&args).fails(4, "is locked");
    }
    held.close().unwrap();
    braid(&["check", &path]).code(0);
}

#[test]
fn a_newer_format() {
    let folder = Folder::new();
    let csv = folder.file("rows.csv", "id\n1\n");
    let path = folder.database("db.braid", 10);
    // The version stands at the same place in every version of the format, as does the checksum of each meta block.
    let mut bytes = std::fs::read(&path).unwrap();
    for block in bytes.chunks_mut(4096).take(2) {
        block[8..12].copy_from_slice(&99_u32.to_le_bytes());
        let checksum = crc32fast::hash(&block[..4092]);
        block[4092..].copy_from_slice(&checksum.to_le_bytes());
    }
    std::fs::write(&path, &bytes).unwrap();
    for args in commands(&path, &csv, &folder.arg("out.braid")) {
        braid(&args).fails(6, "has format version 99");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{args:?} left the file alone");
    }
}

#[test]
fn a_log_that_is_missing() {
    let folder = Folder::new();
    let csv = folder.file("rows.csv", "id\n1\n");
    let path = folder.database("db.braid", 10);
    std::fs::remove_dir_all(folder.path("db.braid-wal")).unwrap();
    for args in commands(&path, &csv, &folder.arg("out.braid")) {
        if args[0] != "salvage" {
            braid(&args).fails(7, "the log");
        }
    }
    // What is in the file can be had all the same.
    let saved = braid(&["salvage", &path, &folder.arg("out.braid")]);
    assert!(matches!(saved.code, 0 | 1), "{saved:?}");
    assert_eq!(common::dump(&folder.arg("out.braid"), "t").lines().count(), 10);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    let folder = Folder::new();
    let db = folder.arg("db.braid");
    // A limit on the size of files stands for a full disk.
    let script = "ulimit -f 100; trap '' XFSZ; exec \"$0\" load \"$1\" \"$2\" --table t --key icao";
    let run = || {
        let mut shell = std::process::Command::new("sh");
        let output =
            shell.args(["-c", script, env!("CARGO_BIN_EXE_braid"), &db, &common::airports()]).output();
        common::finish(output.unwrap())
    };
    run().fails(8, "no space left");
    run().fails(8, "no space left");
    braid(&["check", &db]).code(0);
    braid(&["load", &db, &common::airports(), "--table", "t", "--key", "icao"]).code(0);

    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    for args in [&["dump", &db, "--table", "t"][..], &["tables", &db], &["stat", &db]] {
        common::finish(common::command(args).stdout(full()).output().unwrap())
            .fails(8, "cannot write the output");
    }
}

#[test]
fn an_output_that_cannot_be_made() {
    let folder = Folder::new();
    let db = folder.database("db.braid", 10);
    for command in ["backup", "salvage"] {
        braid(&[command, &db, &folder.arg("no/such/folder.braid")]).fails(3, "");
    }
    let csv = folder.file("a.csv", "id\n1\n");
    let rejects = folder.arg("no/such/rejects.tsv");
    braid(&["load", &db, &csv, "--table", "t", "--key", "id", "--rejects", &rejects]).fails(3, "rejects.tsv");
}

#[test]
fn an_output_that_exists() {
    let folder = Folder::new();
    let db = folder.database("db.braid", 10);
    let out = folder.file("out.braid", "precious");
    for command in ["backup", "salvage"] {
        braid(&[command, &db, &out]).fails(2, "exists already");
        braid(&[command, &db, &db]).fails(2, "exists already");
    }
    assert_eq!(std::fs::read(&out).unwrap(), b"precious");
}

#[test]
fn no_such_table() {
    let folder = Folder::new();
    let db = folder.database("db.braid", 10);
    braid(&["dump", &db, "--table", "nope"]).fails(3, "there is no table `nope`");
}

#[test]
fn a_file_that_cannot_be_loaded() {
    let folder = Folder::new();
    let db = folder.arg("db.braid");
    let load =
        |file: &str, options: &[&str]| braid(&[&["load", &db, file, "--table", "t"], options].concat());
    load(&folder.arg("missing.csv"), &["--key", "id"]).fails(3, "missing.csv");
    load(&folder.file("a.xlsx", "id\n1\n"), &["--key", "id"]).fails(2, "does not tell the format");
    load(&folder.file("noending", "id\n1\n"), &["--key", "id"]).fails(2, "does not tell the format");
    load(&folder.file("empty.csv", ""), &["--key", "id"]).fails(1, "the file is empty");
    load(&folder.file("a.csv", "a,b\n1,2\n"), &["--key", "id"])
        .fails(1, "there is no column `id`; the header has: a, b");
    load(&folder.file("b.csv", "id,id\n1,2\n"), &["--key", "id"]).fails(1, "twice");
    load(&folder.file("c.csv", "id,\"b\n1,2\n"), &["--key", "id"]).fails(1, "the header on line 1");
    std::fs::create_dir(folder.path("folder.csv")).unwrap();
    load(&folder.arg("folder.csv"), &["--key", "id"]).fails(2, "is a folder");
    load("-", &["--key", "id", "--into", "x"]).fails(2, "given twice");
    braid(&["load", "-", "--table", "t", "--key", "id", "--format", "csv"]).fails(2, "name the database");
    assert!(!folder.path("db.braid").exists(), "no database is made for a file of no use");
}

#[test]
fn a_benchmark_without_a_folder_for_its_database() {
    let folder = Folder::new();
    for benchmark in ["bank", "counter", "skew", "long-reader"] {
        let mut run = common::command(&["bench", benchmark, "--seconds", "0.1"]);
        let run = run.env("TMPDIR", folder.path("missing")).output().unwrap();
        let run = common::finish(run).fails(3, "missing");
        assert!(run.stderr.contains("TMPDIR"), "{run:?}");
    }
}

#[test]
fn a_wrong_command_line() {
    for args in [
        &[][..],
        &["frobnicate"],
        &["check"],
        &["check", "a", "b"],
        &["dump", "a", "--limit", "1"],
        &["dump", "a", "--table", "t", "--limit", "-1"],
        &["dump", "a", "--table", "t", "--limit", "many"],
        &["load"],
        &["load", "a", "b", "--table", "t", "--key", "k", "--writers", "0"],
        &["load", "a", "b", "--table", "t", "--key", "k", "--format", "xml"],
        &["backup", "a"],
        &["salvage", "a"],
        &["stat", "--yaml", "a"],
        &["bench"],
        &["bench", "bank", "--accounts", "1"],
        &["bench", "bank", "--writers", "0"],
        &["bench", "bank", "--seconds", "0"],
        &["bench", "bank", "--seconds", "NaN"],
        &["bench", "bank", "--mode", "fast"],
        &["bench", "bank", "--durability", "none"],
        &["bench", "counter", "path.braid"],
        &["bench", "counter", "--by", "hand"],
        &["bench", "skew", "--writers", "1"],
        &["bench", "skew", "--pairs", "0"],
        &["bench", "long-reader", "--row-store", "0"],
        &["sequences"],
        &["sequences", "a", "--raise", "b"],
        &["sequences", "a", "--raise-from", "b", "--raise-from", "c"],
    ] {
        let run = braid(args).code(2);
        assert!(run.stdout.is_empty() && run.stderr.contains("--help"), "{args:?}: {run:?}");
    }
}

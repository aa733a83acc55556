//! What `braid dump` writes, `braid load` makes the same rows of, whatever bytes they are; and it never takes a user's
//! own JSON lines for a dump, nor a dump for them.

#![allow(clippy::unwrap_used, reason = "it is all test code")]

mod common;

use std::process::Stdio;

use braid::{Database, JournalMode, Options, SequenceOptions};
use common::{Folder, Run, braid, command, dump, finish};

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Every kind of bytes.
fn kinds() -> Vec<Vec<u8>> {
    let mut kinds = vec![
        Vec::new(),
        b"plain text".to_vec(),
        "Z\u{fc}rich \u{1f9f6} \u{feff}".into(),
        b"\0\x01\x1b\r\n\t\"\\/\x7f".to_vec(),
        br#"{"key":"a","value":{"hex":"00"}}"#.to_vec(),
        br#"{"hex":"ff"}"#.to_vec(),
        br#"{"table":"t"}"#.to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"\xc3\x28 almost UTF-8".to_vec(),
        (0..=255).collect(),
    ];
    kinds.extend([0, 1, 255, 256, u64::MAX].map(|number| number.to_le_bytes().to_vec()));
    kinds.extend([1, i64::MAX, i64::MIN].map(|number| number.to_be_bytes().to_vec()));
    kinds
}

/// A database of everything: tables of odd names, one of them empty, each kind of bytes as key and as value, sequences.
fn everything(folder: &Folder, large_value: Option<&str>) -> String {
    let options = Options { page_bytes: 16_384, ..Options::default() };
    let db = Database::open_with(folder.path("old.braid"), options).unwrap();
    db.set_journal_mode(JournalMode::Wal).unwrap();
    let mut tx = db.begin_immediate().unwrap();
    for name in ["t", "odd \u{1b}[2J\n\"name\"", "\u{fc}"] {
        let table = tx.table(name).unwrap();
        for (at, key) in kinds().into_iter().enumerate() {
            let value = &kinds()[(at + name.len()) % kinds().len()];
            tx.put(&table, &key, value).unwrap();
        }
    }
    tx.table("empty").unwrap();
    let large = tx.table("large").unwrap();
    tx.put(&large, [0xff; 4_096], vec![0xfe; 100_000]).unwrap();
    if let Some(value) = large_value {
        tx.put(&large, "text", value).unwrap();
    }
    tx.commit().unwrap();
    let ids = db.sequence_with("orders=\"1\"", SequenceOptions { block: 10, start: 100 }).unwrap();
    assert_eq!(ids.next().unwrap(), 100);
    db.sequence("unused").unwrap();
    drop((ids, large));
    db.close().unwrap();
    folder.arg("old.braid")
}

/// All rows of all tables.
fn rows(path: &str) -> Vec<(String, Rows)> {
    let db = Database::open_read_only(path).unwrap();
    let mut all = Vec::new();
    for name in db.tables().unwrap() {
        let table = db.existing_table(&name).unwrap().unwrap();
        let rows = db.snapshot().unwrap().scan(&table).unwrap().map(Result::unwrap).collect();
        all.push((name, rows));
    }
    all
}

fn load_from(input: std::fs::File, args: &[&str]) -> Run {
    finish(command(args).stdin(Stdio::from(input)).output().unwrap())
}

#[test]
fn a_whole_database_through_a_pipe() {
    let folder = Folder::new();
    // Its line is longer than any that a user's own file may have.
    let old = everything(&folder, Some(&"\u{1}".repeat(1_500_000)));
    let before = std::fs::read(&old).unwrap();
    let dumped = folder.file("all", braid(&["dump", &old]).code(0).stdout);
    assert_eq!(std::fs::read(&old).unwrap(), before);
    let new = folder.arg("new.braid");
    let run = load_from(std::fs::File::open(&dumped).unwrap(), &["load", &new, "-"]).code(0);
    assert_eq!((run.fact("table"), run.fact("rejected")), ("5 tables", "0"));
    let kept = rows(&new);
    assert_eq!(kept.iter().map(|(_, rows)| rows.len()).sum::<usize>(), 3 * kinds().len() + 2);
    assert!(kept == rows(&old), "the same tables, keys and values");
    for args in [&["sequences"][..], &["sequences", "--json"]] {
        let listed = |db: &str| braid(&[args, &[db]].concat()).code(0).stdout;
        assert_eq!(listed(&new), listed(&old));
    }
    let db = Database::open(&new).unwrap();
    assert_eq!(db.journal_mode(), JournalMode::Wal);
    assert_eq!(db.stats().file.page_bytes, 16_384);
    assert!(db.sequence("orders=\"1\"").unwrap().next().unwrap() >= 110);
    db.close().unwrap();
    // From a file of any name, and once more: nothing changes.
    let again = braid(&["load", &new, &dumped]).code(0);
    assert_eq!((again.fact("added"), again.fact("changed")), ("0", "0"));
    assert!(rows(&new) == rows(&old));
}

#[test]
fn one_table() {
    let folder = Folder::new();
    let old = everything(&folder, None);
    let all = rows(&old);
    let (plain, whole) = (folder.file("t.jsonl", dump(&old, "t")), braid(&["dump", &old]).code(0).stdout);
    let whole = folder.file("all.jsonl", whole);
    let new = folder.arg("new.braid");
    braid(&["load", &new, &plain, "--table", "other", "--format", "dump"]).code(0);
    braid(&["load", &new, &whole, "--table", "t"]).code(0);
    let expected = |name: &str| all.iter().find(|(table, _)| table == name).unwrap().1.clone();
    let kept = rows(&new);
    assert_eq!(kept.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["other", "t"]);
    assert!(kept.iter().all(|(_, rows)| *rows == expected("t")));
    assert_eq!(braid(&["sequences", &new]).code(0).stdout, "sequence  next\n", "it was asked for one table");
    braid(&["load", &new, &whole, "--table", "no"]).fails(3, "no table `no`");
}

#[test]
fn neither_is_taken_for_the_other() {
    let folder = Folder::new();
    let own = "{\"key\":\"a\",\"value\":\"b\"}\n{\"key\":\"c\",\"value\":\"d\"}\n";
    let file = folder.file("own.jsonl", own);
    let new = folder.arg("new.braid");
    let to = ["load", &new, &file, "--table", "t"];
    braid(&[&to[..], &["--key", "key"]].concat()).fails(2, "looks like what `braid dump` writes");
    assert!(!folder.path("new.braid").exists());
    braid(&[&to[..], &["--key", "key", "--format", "jsonl"]].concat()).code(0);
    assert!(dump(&new, "t").starts_with(r#"{"key":"a","value":"{\"key\":\"a\",\"value\":\"b\"}"}"#));
    braid(&[&to[..], &["--format", "dump"]].concat()).code(0);
    assert_eq!(dump(&new, "t"), own);
    braid(&[&to[..], &["--format", "dump", "--key", "key"]].concat()).fails(2, "--key");
    // A member more, and it is no dump.
    let file = folder.file("more.jsonl", "{\"key\":\"a\",\"value\":\"b\",\"more\":1}\n");
    braid(&["load", &new, &file, "--table", "more", "--key", "key"]).code(0);

    let mine = folder.file("mine.jsonl", "{\"braid_dump\":1,\"id\":2}\n");
    let to = ["load", &new, &mine, "--table", "mine", "--key", "id"];
    braid(&to).fails(2, "looks like what `braid dump` writes");
    braid(&[&to[..], &["--format", "jsonl"]].concat()).code(0);
    assert_eq!(dump(&new, "mine").lines().count(), 1);
    for (missing, args) in [("--key", &["--table", "t"][..]), ("--table", &["--key", "id"])] {
        braid(&[&["load", &new, &folder.file("x.jsonl", "{\"id\":1}")], args].concat()).fails(2, missing);
    }
    braid(&["load", &new, &folder.file("y.jsonl", "{\"braid_dump\":2}\n")]).fails(6, "format 2");
}

#[test]
fn one_that_was_cut_short_is_told() {
    let folder = Folder::new();
    let old = everything(&folder, None);
    let whole = braid(&["dump", &old]).code(0).stdout;
    let lines: Vec<_> = whole.lines().collect();
    let cut = folder.file("cut", lines[..lines.len() - 1].join("\n"));
    let run = braid(&["load", &folder.arg("new.braid"), &cut]).code(1);
    assert!(run.stderr.contains("cut short"), "{run:?}");
    let gap = folder.file("gap", [&lines[..5], &lines[6..]].concat().join("\n"));
    let run = braid(&["load", &folder.arg("gap.braid"), &gap]).code(1);
    assert!(run.stderr.contains("more, or fewer, tables, rows and sequences"), "{run:?}");
}

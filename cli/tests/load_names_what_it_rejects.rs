//! A bad record is named by line and reason and costs nothing but itself.

mod common;

use common::{Folder, braid, dump};

#[test]
fn in_csv() {
    let folder = Folder::new();
    let csv = folder.file(
        "bad.csv",
        b"id,n\n1,one\n2,\"open\n3,three\n4\n,five\n6,si\"x\n7,\xff\n8,eight,more\n\n9,\"ni\nne\"\n\"10\",\"never closed\n",
    );
    let db = folder.arg("db.braid");
    let run =
        braid(&["load", &db, &csv, "--table", "t", "--key", "id", "--rejects", &folder.arg("rejects.tsv")])
            .code(1);
    let expected = [
        "line 3: a quote is still open",
        "line 5: expected 2 columns, found 1",
        "line 6: the key is empty",
        "line 7: a quote inside the unquoted column 2",
        "line 8: column 2 is not UTF-8",
        "line 9: expected 2 columns, found 3",
        "line 13: a quote is never closed",
    ];
    let told: Vec<_> = run.stderr.lines().collect();
    assert_eq!(told.len(), expected.len(), "{run:?}");
    for (told, expected) in told.iter().zip(expected).skip(1) {
        assert_eq!(*told, format!("rejected: {expected}"));
    }
    assert!(told[0].starts_with("rejected: line 3: "), "{run:?}");
    assert_eq!((run.fact("records"), run.fact("added"), run.fact("rejected")), ("10", "3", "7"));
    let kept = dump(&db, "t");
    let keys: Vec<_> = kept.lines().map(|line| line.get(..10).unwrap()).collect();
    assert_eq!(keys, ["{\"key\":\"1\"", "{\"key\":\"3\"", "{\"key\":\"9\""]);
    let file = std::fs::read_to_string(folder.path("rejects.tsv")).unwrap();
    assert_eq!(file.lines().count(), 7);
    assert!(file.contains("5\texpected 2 columns, found 1\n"), "{file}");
}

#[test]
fn in_json_lines() {
    let folder = Folder::new();
    let jsonl = folder.file("bad.jsonl", "{\"id\":1}\n{\"id\":2\n[3]\n{\"no\":4}\nfive\n{\"id\":\"6\"}\n");
    let db = folder.arg("db.braid");
    let run = braid(&["load", &db, &jsonl, "--table", "t", "--key", "id"]).code(1);
    let lines: Vec<_> = run.stderr.lines().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(lines, ["line 2", "line 3", "line 4", "line 5"], "{run:?}");
    assert_eq!((run.fact("added"), run.fact("rejected")), ("2", "4"));
}

#[test]
fn keys_that_the_engine_refuses() {
    let folder = Folder::new();
    let csv = folder.file("long.csv", format!("id,n\nshort,1\n{},2\n", "k".repeat(4 << 20)));
    let db = folder.arg("db.braid");
    let run = braid(&["load", &db, &csv, "--table", "t", "--key", "id"]).code(1);
    assert!(run.stderr.starts_with("rejected: line 3: "), "{run:?}");
    assert_eq!((run.fact("added"), run.fact("rejected")), ("1", "1"));
}

#[test]
fn many_of_them_are_counted_and_a_few_shown() {
    let folder = Folder::new();
    let csv = folder.file("bad.csv", format!("id,n\n{}good,1\n", "bad\n".repeat(5_000)));
    let run = braid(&["load", &folder.arg("db.braid"), &csv, "--table", "t", "--key", "id"]).code(1);
    assert_eq!((run.fact("added"), run.fact("rejected")), ("1", "5,000"));
    assert_eq!(run.stderr.lines().count(), 21);
    assert!(run.stderr.contains("and 4,980 more"), "{run:?}");
}

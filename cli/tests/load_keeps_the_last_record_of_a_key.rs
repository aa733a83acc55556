//! Of several records of one key the last one wins, however far apart they are and however many writers there are.

mod common;

use common::{Folder, braid, dump};

#[test]
fn and_counts_the_others() {
    let folder = Folder::new();
    // Every key comes three times, thousands of records apart, and once more right behind.
    let mut csv = String::from("id,n\n");
    for round in 0..3 {
        for id in 0..3_000 {
            csv += &format!("{id},{round}\n");
        }
    }
    csv += "0,last\n0,very last\n";
    let csv = folder.file("rows.csv", csv);
    let db = folder.arg("db.braid");
    let run = braid(&["load", &db, &csv, "--table", "t", "--key", "id", "--writers", "5"]).code(0);
    assert_eq!((run.fact("records"), run.fact("added"), run.fact("changed")), ("9,002", "3,000", "0"));
    assert_eq!(run.fact("duplicates"), "6,002; the last record of a key won");
    let rows = dump(&db, "t");
    assert_eq!(rows.lines().count(), 3_000);
    assert_eq!(rows.lines().filter(|row| row.contains(r#"\"n\":\"2\""#)).count(), 2_999);
    assert!(rows.lines().next().unwrap().contains("very last"), "{rows}");
}

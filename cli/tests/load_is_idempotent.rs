//! Real data goes in whole, by any number of writers, and loading it again changes nothing.

mod common;

use std::process::Command;

use common::{Folder, airports, braid, dump};
use serde_json::Value;

const AIRPORTS: &str = include_str!("data/airports.csv");

#[test]
fn whatever_the_number_of_writers() {
    let folder = Folder::new();
    let rows = (AIRPORTS.lines().count() - 1) as u64;
    let mut dumps = Vec::new();
    for (name, writers) in [("one.braid", "1"), ("many.braid", "7")] {
        let db = folder.arg(name);
        let load = ["load", &db, &airports(), "--table", "airports", "--key", "icao", "--writers", writers];
        let first = braid(&load).code(0);
        assert_eq!(first.fact("records").replace(',', ""), rows.to_string());
        assert_eq!(first.fact("added").replace(',', ""), rows.to_string());
        assert_eq!((first.fact("changed"), first.fact("unchanged"), first.fact("rejected")), ("0", "0", "0"));

        let before = braid(&["stat", "--json", &db]).code(0).json();
        let again = braid(&load).code(0);
        assert_eq!(again.fact("unchanged").replace(',', ""), rows.to_string());
        assert_eq!((again.fact("added"), again.fact("changed")), ("0", "0"));
        let after = braid(&["stat", "--json", &db]).code(0).json();
        assert_eq!(before["tables"]["airports"], rows);
        assert_eq!(before["tables"], after["tables"]);
        dumps.push(dump(&db, "airports"));
    }
    assert_eq!(dumps[0], dumps[1]);

    let zurich = dumps[0].lines().find(|line| line.starts_with("{\"key\":\"LSZH\"")).unwrap();
    let row: Value = serde_json::from_str(zurich).unwrap();
    let value: Value = serde_json::from_str(row["value"].as_str().unwrap()).unwrap();
    assert_eq!((&value["iata"], &value["country"]), (&Value::from("ZRH"), &Value::from("CH")));
}

#[test]
fn the_three_ways_to_name_the_database() {
    let folder = Folder::new();
    let csv = folder.file("things.csv", "id,n\na,1\n");
    let options = ["--table", "t", "--key", "id", "--writers", "2"];
    for paths in
        [vec!["load", "first.braid", &csv], vec!["load", &csv, "--into", "second.braid"], vec!["load", &csv]]
    {
        let output = common::command(&paths).args(options).current_dir(folder.path("")).output().unwrap();
        let run = common::finish(output).code(0);
        assert_eq!(run.fact("added"), "1");
    }
    for db in ["first.braid", "second.braid", "things.braid"] {
        assert_eq!(
            dump(&folder.arg(db), "t"),
            "{\"key\":\"a\",\"value\":\"{\\\"id\\\":\\\"a\\\",\\\"n\\\":\\\"1\\\"}\"}\n"
        );
    }
}

#[test]
fn every_format_and_standard_input() {
    let folder = Folder::new();
    let csv = folder.file("a.csv", "id,n\r\nx,1\r\n");
    let tsv = folder.file("a.tsv", "id\tn\nx\t1\n");
    let jsonl = folder.file("a.jsonl", "{\"id\":\"x\",\"n\":\"1\"}\n");
    let db = folder.arg("db.braid");
    let options = ["--table", "t", "--key", "id"];
    let load = |args: &[&str]| braid(&[&["load", &db], args, &options].concat()).code(0);
    assert_eq!(load(&[&csv]).fact("added"), "1");
    assert_eq!(load(&[&tsv]).fact("unchanged"), "1");
    assert_eq!(load(&[&jsonl]).fact("unchanged"), "1");
    let mut piped = common::command(&["load", &db, "-", "--format", "csv"]);
    let output = piped.args(options).stdin(std::fs::File::open(&csv).unwrap()).output().unwrap();
    assert_eq!(common::finish(output).code(0).fact("unchanged"), "1");
}

#[test]
#[ignore = "downloads a package of 1 MB with pip: `just download-tests`"]
fn the_whole_airports_file_loads() {
    let folder = Folder::new();
    let run = |program: &str, args: &[&str]| {
        assert!(Command::new(program).args(args).current_dir(folder.path("")).status().unwrap().success());
    };
    run("pip", &["download", "--quiet", "--no-deps", "--dest", ".", "airportsdata"]);
    let wheel = folder.names().into_iter().find(|name| name.ends_with(".whl")).unwrap();
    run("python3", &["-m", "zipfile", "-e", &wheel, "."]);
    let csv = folder.arg("airportsdata/airports.csv");
    let rows = std::fs::read_to_string(&csv).unwrap().lines().count() - 1;
    assert!(rows > 20_000);
    let db = folder.arg("airports.braid");
    let load = braid(&["load", &db, &csv, "--table", "airports", "--key", "icao", "--writers", "8"]).code(0);
    assert_eq!(load.fact("added").replace(',', ""), rows.to_string());
    assert_eq!(dump(&db, "airports").lines().count(), rows);
}

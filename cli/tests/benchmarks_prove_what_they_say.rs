//! The benchmarks check their own work, and their reports say so.

mod common;

use common::braid;

#[test]
fn skew_is_counted_under_snapshot_and_never_happens_under_serializable() {
    let run =
        braid(&["bench", "skew", "--pairs", "1", "--writers", "4", "--seconds", "0.7", "--json"]).code(0);
    let report = run.json();
    assert_eq!(report[0]["isolation"], "snapshot", "{report}");
    assert_eq!(report[0]["validation"]["looks"], 0, "{report}");
    // How often they meet is up to the machine; that it is skew then is shown beside the command.
    assert!(report[0]["anomalies"].is_u64() && report[0]["commits"].as_u64() > Some(0), "{report}");
    assert_eq!(report[1]["isolation"], "serializable", "{report}");
    assert_eq!(report[1]["anomalies"], 0, "{report}");
    assert!(report[1]["commits"].as_u64() > Some(0), "{report}");
    assert!(report[1]["validation"]["looks"].as_u64() >= report[1]["commits"].as_u64(), "{report}");
}

#[test]
fn a_counter_counts_every_commit() {
    let counter = |durability| {
        let run =
            ["bench", "counter", "--writers", "4", "--seconds", "0.4", "--durability", durability, "--json"];
        braid(&run).code(0).json()
    };
    for (report, way) in ["sync", "deferred"]
        .map(counter)
        .iter()
        .flat_map(|report| report.as_array().unwrap().iter().map(move |way| (report, way)))
    {
        assert_eq!(way["counted"], way["commits"], "{report}");
        assert_eq!(way["reopened"], way["commits"], "{report}");
        assert_eq!(way["conflicts"]["escaped"], 0, "{report}");
        assert_eq!(way["conflicts"]["absorbed"], way["conflicts"]["total"], "{report}");
    }
    let run = braid(&["bench", "counter", "--writers", "4", "--seconds", "0.7"]).code(0);
    let text = &run.stdout;
    assert_eq!(text.matches(", exact, and after reopening").count(), 2, "{text}");
    assert!(!run.stderr.contains("hot row"), "the live table is for terminals");
}

#[test]
fn a_long_reader_sees_its_rows_to_the_end() {
    let run = braid(&["bench", "long-reader", "--seconds", "0.5", "--row-store", "1", "--json"]).code(0);
    let report = run.json();
    for part in ["no reader", "a reader", "it let go"] {
        assert!(report.as_array().unwrap().iter().any(|sample| sample["beside"] == part), "{report}");
    }
}

//! Conflicts as a table: under the live line of a run, in its report, and in what `braid stat` says of the past.

use std::fmt::Write as _;

use braid::{ConflictReport, Database, GateStats, UpdateStats, ValidationStats, Waits};
use serde_json::{Value, json};

use crate::output::{bytes, count, duration, facts, printable, table};

/// How many hot rows are shown while a run goes on, and at its end.
const LIVE_KEYS: usize = 5;
const KEYS: usize = 10;
/// How much of a key is shown.
const KEY_CHARS: usize = 32;

/// What is shown below the live line; nothing before the first conflict.
pub(in crate::commands) fn live(db: &Database) -> String {
    let report = db.stats().conflicts;
    if report.kinds.total() == 0 {
        return String::new();
    }
    format!("\n  {}\n{}", kinds(&report), indented(&hot_keys(&report, LIVE_KEYS)))
}

/// The section of a report; nothing where nothing conflicted.
pub(in crate::commands) fn text(report: &ConflictReport) -> String {
    if report.kinds.total() == 0 {
        return String::new();
    }
    let wasted = report.wasted;
    let mut text = facts([
        ("conflicts", kinds(report)),
        ("absorbed", count(report.absorbed)),
        ("escaped", count(report.escaped)),
        (
            "wasted",
            format!("{}, {} rows, {}", duration(wasted.time), count(wasted.rows), bytes(wasted.bytes)),
        ),
        ("attempts", attempts(report)),
    ]);
    if !report.hot_keys.is_empty() {
        let _ = write!(text, "\n{}", hot_keys(report, KEYS));
    }
    text
}

/// The same for a program.
pub(in crate::commands) fn json(report: &ConflictReport) -> Value {
    let kinds = report.kinds;
    json!({
        "total": kinds.total(),
        "write_write": kinds.write_write,
        "read_write": kinds.read_write,
        "range": kinds.range,
        "schema": kinds.schema,
        "timeout": kinds.timeout,
        "snapshot": kinds.snapshot,
        "absorbed": report.absorbed,
        "escaped": report.escaped,
        "wasted": {
            "seconds": report.wasted.time.as_secs_f64(),
            "rows": report.wasted.rows,
            "bytes": report.wasted.bytes,
        },
        "attempts": report.attempts.iter().filter(|bucket| bucket.transactions > 0).map(|bucket| json!({
            "from": bucket.from,
            "to": (bucket.to < u32::MAX).then_some(bucket.to),
            "transactions": bucket.transactions,
        })).collect::<Vec<_>>(),
        "hot_keys": report.hot_keys.iter().take(KEYS).map(|hot| json!({
            "table": hot.table,
            "key": key(&hot.key),
            "count": hot.count,
            "error": hot.error,
        })).collect::<Vec<_>>(),
        "tables": report.tables.iter().map(|table| json!({
            "table": table.table,
            "conflicts": table.kinds.total(),
        })).collect::<Vec<_>>(),
        "names": report.names.iter().map(|named| json!({
            "name": named.name,
            "conflicts": named.conflicts,
        })).collect::<Vec<_>>(),
    })
}

/// Updates of rows that were not looked at: one line, and the same for a program.
pub(in crate::commands) fn updates(updates: UpdateStats) -> String {
    format!(
        "{} made, {} absorbed, {} made anew in the commit section",
        count(updates.made),
        count(updates.absorbed),
        count(updates.remade)
    )
}

pub(in crate::commands) fn updates_json(updates: UpdateStats) -> Value {
    json!({ "made": updates.made, "absorbed": updates.absorbed, "remade": updates.remade })
}

/// Waits for exclusive transactions: one line, and the same for a program.
pub(in crate::commands) fn gate(gate: GateStats) -> String {
    let waits = |waits: Waits| match waits.count {
        0 => "none".to_owned(),
        n => format!("{} in {}", count(n), duration(waits.time)),
    };
    format!("commits held back {}, turns waited for {}", waits(gate.commits), waits(gate.turns))
}

pub(in crate::commands) fn gate_json(gate: GateStats) -> Value {
    let waits = |waits: Waits| json!({ "count": waits.count, "seconds": waits.time.as_secs_f64() });
    json!({ "commits": waits(gate.commits), "turns": waits(gate.turns) })
}

/// What was looked at for `Serializable`, for a program.
pub(in crate::commands) fn validation_json(validation: ValidationStats) -> Value {
    json!({ "looks": validation.looks, "keys": validation.keys, "ranges": validation.ranges })
}

fn kinds(report: &ConflictReport) -> String {
    let kinds = report.kinds;
    let parts = [
        (kinds.write_write, "write-write"),
        (kinds.read_write, "read-write"),
        (kinds.range, "range"),
        (kinds.schema, "schema"),
        (kinds.timeout, "timeout"),
        (kinds.snapshot, "snapshot"),
    ];
    let parts: Vec<_> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, kind)| format!("{} {kind}", count(*n))).collect();
    parts.join(", ")
}

fn attempts(report: &ConflictReport) -> String {
    let parts: Vec<_> = report
        .attempts
        .iter()
        .filter(|bucket| bucket.transactions > 0)
        .map(|bucket| {
            let range = match (bucket.from, bucket.to) {
                (from, to) if from == to => from.to_string(),
                (from, u32::MAX) => format!("{from}+"),
                (from, to) => format!("{from}-{to}"),
            };
            format!("{range}: {}", count(bucket.transactions))
        })
        .collect();
    parts.join("  ")
}

fn hot_keys(report: &ConflictReport, most: usize) -> String {
    let rows = report
        .hot_keys
        .iter()
        .take(most)
        .map(|hot| [hot.table.clone(), key(&hot.key), count(hot.count), count(hot.count - hot.error)])
        .collect();
    table(["table", "hot row", "lost over it", "at least"], [false, false, true, true], rows)
}

/// Text where it is printable, else hexadecimal; not too much of it.
fn key(key: &[u8]) -> String {
    let text = match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => key.iter().fold("0x".to_owned(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    };
    let shown: String = text.chars().take(KEY_CHARS).collect();
    printable(&if shown.len() < text.len() { format!("{shown}…") } else { shown })
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use braid::{JournalMode, RetryPolicy};

    #[test]
    fn a_report_shows_hot_rows_whatever_their_keys_are() {
        let db = Database::in_memory().unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        assert_eq!(live(&db), "");
        let rows = db.table("rows").unwrap();
        for key in [&b"apples"[..], &[0, 255], "a\u{1b}[2J".as_bytes()] {
            let mut once = true;
            db.transact_with(RetryPolicy::without_backoff(), |tx| {
                if std::mem::take(&mut once) {
                    db.put(&rows, key, "first")?;
                }
                tx.put(&rows, key, "second")
            })
            .unwrap();
        }
        let report = db.stats().conflicts;
        let text = text(&report);
        for part in ["3 write-write", "absorbed", "apples", "0x00ff", "0x611b5b324a", "2: 3"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}') && !live(&db).contains('\u{1b}'));
        assert_eq!(json(&report)["hot_keys"].as_array().unwrap().len(), 3);
    }
}

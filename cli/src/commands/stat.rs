//! `braid stat`: what a database holds and what it costs.

use std::path::PathBuf;

use braid::{Database, OpenSnapshot, PastConflicts};
use serde_json::json;

use crate::commands::open;
use crate::commands::{conflicts, sequences};
use crate::exit::{Code, Result};
use crate::output::{bytes, count, facts, say, table};

/// Shows the sizes and tables of a database, and what only its log holds
///
/// No other process may have it open for writing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database; not a byte of it is changed
    path: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let db = open::read_only(&args.path)?;
    let tables = row_counts(&db)?;
    let mode = db.journal_mode().to_string();
    let stats = db.stats();
    if args.json {
        let tables: serde_json::Map<_, _> =
            tables.into_iter().map(|(name, rows)| (name, rows.into())).collect();
        say(&json!({
            "path": args.path.display().to_string(),
            "journal_mode": mode,
            "timestamp": db.snapshot()?.timestamp().get(),
            "tables": tables,
            "file_bytes": stats.file.bytes,
            "page_bytes": stats.file.page_bytes,
            "free_bytes": stats.file.free_bytes,
            "withheld_bytes": stats.file.withheld_bytes,
            "consumers": db.consumers()?.into_iter().map(|one| json!({
                "name": one.name, "position": one.position.get(), "lag_bytes": one.lag_bytes, "lost": one.lost,
            })).collect::<Vec<_>>(),
            "remembered_tokens": db.remembered_tokens()?,
            "sequences": sequences::positions(&db)?.into_iter()
                .map(|(name, next)| (name, next.into())).collect::<serde_json::Map<_, _>>(),
            "checkpoint": stats.checkpoints.timestamp.get(),
            "row_store": { "generations": stats.row_store.generations, "bytes": stats.row_store.bytes },
            "cache": {
                "hits": stats.cache.hits,
                "misses": stats.cache.misses,
                "resident_bytes": stats.cache.resident_bytes,
            },
            "open_snapshots": stats.open_snapshots,
            "pinned_bytes": stats.pinned_bytes,
            "revoked_snapshots": stats.revoked_snapshots,
            "snapshots": stats.snapshots.iter().map(lease).collect::<Vec<_>>(),
            "past_conflicts": stats.past_conflicts.as_ref().map(past_json),
        })
        .to_string())?;
        return Ok(Code::Done);
    }
    let summary = facts([
        ("journal mode", mode),
        ("newest commit", db.snapshot()?.timestamp().to_string()),
        ("file", bytes(stats.file.bytes)),
        ("page", bytes(stats.file.page_bytes)),
        ("free in the file", bytes(stats.file.free_bytes)),
        ("newest checkpoint", stats.checkpoints.timestamp.to_string()),
        ("not in the file yet, in memory", bytes(stats.row_store.bytes)),
        ("kept for open snapshots", bytes(stats.pinned_bytes)),
        ("remembered tokens", count(db.remembered_tokens()?)),
    ]);
    let rows = tables.into_iter().map(|(name, rows)| [name, count(rows)]).collect();
    say(&format!("{summary}\n{}", table(["table", "rows"], [false, true], rows)))?;
    let sequences: Vec<_> = sequences::positions(&db)?;
    if !sequences.is_empty() {
        let rows = sequences.into_iter().map(|(name, next)| [name, count(next)]).collect();
        say(&format!("\n{}", table(["sequence", "next"], [false, true], rows)))?;
    }
    let behind = |one: braid::ConsumerInfo| {
        let behind = if one.lost { "lost".to_owned() } else { bytes(one.lag_bytes) };
        [one.name, one.position.to_string(), behind]
    };
    let consumers: Vec<_> = db.consumers()?.into_iter().map(behind).collect();
    if !consumers.is_empty() {
        say(&format!("\n{}", table(["consumer", "position", "behind"], [false, true, true], consumers)))?;
    }
    if !stats.snapshots.is_empty() {
        say(&leases(&stats.snapshots))?;
    }
    if let Some(past) = &stats.past_conflicts {
        say(&format!("\n{}", past_text(past)))?;
    }
    Ok(Code::Done)
}

/// What an earlier session has left.
fn past_text(past: &PastConflicts) -> String {
    let PastConflicts { until, commits, updates, report, .. } = past;
    let mut text = format!("the last session with conflicts, up to its checkpoint at {until}:\n");
    text += &facts([("commits", count(*commits)), ("updates", conflicts::updates(*updates))]);
    text += &conflicts::text(report);
    text
}

fn past_json(past: &PastConflicts) -> serde_json::Value {
    let mut value = conflicts::json(&past.report);
    value["until"] = past.until.get().into();
    value["commits"] = past.commits.into();
    value["updates"] = conflicts::updates_json(past.updates);
    value
}

/// The open snapshots, the oldest first.
fn leases(open: &[OpenSnapshot]) -> String {
    let limit =
        |one: &OpenSnapshot| one.max_age.map_or_else(|| "none".to_owned(), |limit| format!("{limit:.1?}"));
    let row = |one: &OpenSnapshot| {
        let name = one.name.clone().unwrap_or_else(|| "(no name)".to_owned());
        [name, format!("{:.1?}", one.age), limit(one), bytes(one.pinned_bytes)]
    };
    let rows = open.iter().map(row).collect();
    table(["snapshot", "age", "limit", "keeps"], [false, true, true, true], rows)
}

fn lease(one: &OpenSnapshot) -> serde_json::Value {
    json!({
        "name": one.name,
        "timestamp": one.begin_ts.get(),
        "writes": one.writes,
        "age_ms": u64::try_from(one.age.as_millis()).unwrap_or(u64::MAX),
        "max_age_ms": one.max_age.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
        "pinned_bytes": one.pinned_bytes,
    })
}

/// Each table and how many rows it has.
fn row_counts(db: &Database) -> Result<Vec<(String, u64)>> {
    let snapshot = db.snapshot()?;
    let mut counts = Vec::new();
    for name in db.tables()? {
        if let Some(table) = db.existing_table(&name)? {
            counts.push((name, snapshot.count(&table)?));
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use braid::SnapshotOptions;

    use super::*;

    #[test]
    fn open_snapshots_are_listed_with_age_limit_and_what_they_keep() -> braid::Result<()> {
        let db = Database::in_memory()?;
        let table = db.table("t")?;
        let max_age = Some(Duration::from_secs(600));
        let held = db.snapshot_with(SnapshotOptions { name: Some("report".into()), max_age })?;
        let other = db.snapshot()?;
        db.put(&table, "key", vec![1; 100])?;
        db.checkpoint()?;
        let stats = db.stats();
        let listed = leases(&stats.snapshots);
        let line = |name| listed.lines().find(|line| line.contains(name)).unwrap_or_default();
        assert!(line("report").contains("600.0s"), "{listed}");
        assert!(line("(no name)").contains("none"), "{listed}");
        let json = lease(&stats.snapshots[0]);
        assert_eq!((&json["name"], &json["max_age_ms"]), (&"report".into(), &600_000.into()));
        assert_eq!(json["timestamp"], held.timestamp().get());
        drop((held, other));
        Ok(())
    }
}

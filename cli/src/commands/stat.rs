//! `braid stat`: what a database holds and what it costs.

use std::path::PathBuf;

use braid::{Database, JournalMode};
use serde_json::json;

use crate::commands::open;
use crate::exit::{Code, Result};
use crate::output::{bytes, count, facts, say, table};

/// Shows the sizes and tables of a database, and what only its log holds
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
    let mode = match db.journal_mode() {
        JournalMode::Wal => "wal",
        JournalMode::Mvcc => "mvcc",
    };
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
            "free_bytes": stats.file.free_bytes,
            "withheld_bytes": stats.file.withheld_bytes,
            "consumers": db.consumers()?.into_iter().map(|one| json!({
                "name": one.name, "position": one.position.get(), "lag_bytes": one.lag_bytes, "lost": one.lost,
            })).collect::<Vec<_>>(),
            "checkpoint": stats.checkpoints.timestamp.get(),
            "row_store": { "generations": stats.row_store.generations, "bytes": stats.row_store.bytes },
            "cache": {
                "hits": stats.cache.hits,
                "misses": stats.cache.misses,
                "resident_bytes": stats.cache.resident_bytes,
            },
        })
        .to_string())?;
        return Ok(Code::Done);
    }
    let summary = facts([
        ("journal mode", mode.to_owned()),
        ("newest commit", db.snapshot()?.timestamp().to_string()),
        ("file", bytes(stats.file.bytes)),
        ("free in the file", bytes(stats.file.free_bytes)),
        ("newest checkpoint", stats.checkpoints.timestamp.to_string()),
        ("only in the log", bytes(stats.row_store.bytes)),
    ]);
    let rows = tables.into_iter().map(|(name, rows)| [name, count(rows)]).collect();
    say(&format!("{summary}\n{}", table(["table", "rows"], [false, true], rows)))?;
    let behind = |one: braid::ConsumerInfo| {
        let behind = if one.lost { "lost".to_owned() } else { bytes(one.lag_bytes) };
        [one.name, one.position.to_string(), behind]
    };
    let consumers: Vec<_> = db.consumers()?.into_iter().map(behind).collect();
    if !consumers.is_empty() {
        say(&format!("\n{}", table(["consumer", "position", "behind"], [false, true, true], consumers)))?;
    }
    Ok(Code::Done)
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

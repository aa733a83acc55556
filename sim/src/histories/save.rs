//! A history on paper, for people.
#![expect(clippy::disallowed_methods, reason = "a report is no file of the database")]

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::{Plan, Played};

/// Writes everything down, one transaction a line in the order of their answers, in a file of the temporary directory.
///
/// # Errors
/// When the file cannot be written.
pub fn save(plan: &Plan, played: &Played, why: &str) -> io::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("braid-history-{}-{}.txt", plan.seed, std::process::id()));
    let mut text = format!("{why}\n\n{plan:#?}\n");
    for (number, life) in played.history.lives.iter().enumerate() {
        let _ = writeln!(text, "\nlife {number}, ends {:?}, synced through {}", life.end, life.synced);
        let mut records: Vec<_> = life.records.iter().collect();
        records.sort_by_key(|record| record.times.map(|times| times.ended));
        for record in records {
            let _ = writeln!(text, "{record:?}");
        }
        for told in &life.ids {
            let _ = writeln!(text, "{told:?}");
        }
        if let Some(found) = &life.found {
            let _ = writeln!(text, "the next open found {} rows", found.len());
        }
    }
    std::fs::write(&path, text)?;
    Ok(path)
}

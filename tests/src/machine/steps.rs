//! The judge of a child that went on whatever failed: [`steps`](crate::child).

use std::path::Path;

use braid::{Database, Error};

use crate::child::steps::{options, row};
use crate::number;

/// What a child met, and what was found after it.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepFigures {
    /// Commits that were acknowledged.
    pub acknowledged: u64,
    /// Commits whose outcome was left open.
    pub unknown: u64,
    /// Commits that were refused or rolled back.
    pub failed: u64,
    /// Whether the open itself was refused.
    pub refused: bool,
    /// Whether the child's last line says that it came to its end.
    pub ended: bool,
}

/// What became of a commit, as far as the child knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Tried,
    Acknowledged,
    Unknown,
    Failed,
}

/// Reads what a child said, reopens its database in good circumstances, and compares: what is there must be the end of a
/// prefix of the history that holds every acknowledged commit, and nothing of a commit that failed.
///
/// # Errors
/// A sentence about what did not hold.
pub fn judge_steps(lines: &[String], path: &Path) -> Result<StepFigures, String> {
    let mut figures = StepFigures::default();
    let outcomes = read(lines, &mut figures)?;
    let failed = |error: Error| format!("the reopened database says: {error}");
    let db = Database::open_with(path, options(true)).map_err(failed)?;
    let table = db.table("rows").map_err(failed)?;
    let snapshot = db.snapshot().map_err(failed)?;
    let last = snapshot.get_with(&table, "last", number).map_err(failed)?.unwrap_or(0);
    let found = usize::try_from(last).unwrap_or(0);
    let promised =
        outcomes.iter().rposition(|outcome| *outcome == Outcome::Acknowledged).map_or(0, |at| at + 1);
    if found < promised {
        return Err(format!("commit {promised} was acknowledged, and {found} is the last there"));
    }
    if found > 0 && outcomes.get(found - 1).is_none_or(|outcome| *outcome == Outcome::Failed) {
        return Err(format!("commit {found} is there, and it failed or was never made"));
    }
    let mut rows = std::collections::BTreeMap::new();
    for (at, outcome) in (1..=last).zip(&outcomes) {
        if *outcome != Outcome::Failed {
            let (key, bytes) = row(at);
            rows.insert(key.into_bytes(), bytes);
        }
    }
    if last > 0 {
        rows.insert(b"last".to_vec(), crate::value(last));
    }
    let contents = crate::contents(&snapshot, &table).map_err(failed)?;
    if contents != rows {
        let wrong = rows.iter().find(|(key, bytes)| contents.get(*key) != Some(bytes));
        let wrong = wrong.map(|(key, _)| String::from_utf8_lossy(key).into_owned());
        return Err(format!("the rows are not those after commit {found}: {wrong:?}"));
    }
    drop(snapshot);
    let report = db.check().map_err(failed)?;
    if !report.is_ok() {
        return Err(format!("the integrity check finds {:?}", report.findings));
    }
    // It takes commits again.
    db.put(&table, "again", "x").map_err(failed)?;
    Ok(figures)
}

/// What became of each commit, the first being 1.
fn read(lines: &[String], figures: &mut StepFigures) -> Result<Vec<Outcome>, String> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut poisoned = false;
    for line in lines {
        let odd = || format!("the child says `{line}`");
        let mut words = line.split(' ');
        let (what, at, kind) = (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next());
        let outcome = match what {
            "try" => {
                // One that a kill took back before it was in the log is tried again.
                outcomes.truncate(at.parse::<usize>().map_err(|_| odd())?.saturating_sub(1));
                outcomes.push(Outcome::Tried);
                continue;
            }
            "ack" => {
                figures.acknowledged += 1;
                if poisoned {
                    return Err(format!("`{line}`, after a failed sync"));
                }
                Outcome::Acknowledged
            }
            "unknown" => {
                figures.unknown += 1;
                poisoned = true;
                Outcome::Unknown
            }
            "error" => {
                figures.failed += 1;
                match kind {
                    Some("Poisoned") => poisoned = true,
                    Some("NoSpace" | "Io") => {}
                    _ => return Err(odd()),
                }
                Outcome::Failed
            }
            "reads" => {
                // Reads stay at the newest commit that was acknowledged.
                let stands = outcomes.iter().rposition(|outcome| *outcome == Outcome::Acknowledged);
                let stands = stands.map_or(0, |at| at + 1).to_string();
                if at != stands && at != "Io" {
                    return Err(format!("`{line}`, and commit {stands} is the last that was acknowledged"));
                }
                continue;
            }
            "checkpoint" | "close" if matches!(at, "NoSpace" | "Io" | "Poisoned") => {
                poisoned |= at == "Poisoned";
                figures.ended |= what == "close";
                continue;
            }
            "closed" => {
                figures.ended = true;
                continue;
            }
            "refused" if matches!(at, "NoSpace" | "Io" | "Poisoned" | "CommitUnknown") => {
                (figures.refused, figures.ended) = (true, true);
                continue;
            }
            _ => return Err(odd()),
        };
        let last = outcomes.last_mut().ok_or_else(odd)?;
        *last = outcome;
    }
    Ok(outcomes)
}

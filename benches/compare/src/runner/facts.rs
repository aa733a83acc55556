//! What the results are of: the machine, the build, the settings. No name of the machine and no path of it is written.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use braid_measure::machine;

use crate::engine::{Kind, Result};
use crate::runner::csv::{self, line};
use crate::runner::text::date;

/// Lines of a name and a value, of the machine and the build; what a run adds comes after them.
pub(crate) fn common(dir: &Path) -> Vec<(&'static str, String)> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut facts = vec![
        ("date", date(now)),
        ("commit", commit().unwrap_or_else(|| "unknown".to_owned())),
        ("compiler", env!("COMPARE_COMPILER").to_owned()),
    ];
    facts.extend(machine::describe(dir));
    facts
}

/// Adds a paragraph of facts to a file.
pub(crate) fn write(path: &Path, facts: &[(&'static str, String)]) -> Result<()> {
    let before = std::fs::read_to_string(path).unwrap_or_default();
    let gap = if before.is_empty() { "" } else { "\n" };
    let lines: String = facts.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    Ok(std::fs::write(path, format!("{before}{gap}{lines}"))?)
}

/// The commit that this was built from, if it is still what is checked out.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let said =
            Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        said.status.success().then(|| String::from_utf8_lossy(&said.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() { commit } else { format!("{commit} with changes") })
}

/// The command, without the places of data and results.
pub(crate) fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let mut words = vec!["braid-compare".to_owned()];
    let mut arguments = arguments.skip(1);
    while let Some(word) = arguments.next() {
        if word == "--dir" || word == "--out" {
            arguments.next();
        } else if !word.starts_with("--dir=") && !word.starts_with("--out=") {
            words.push(word);
        }
    }
    words.join(" ")
}

const ENGINES: &str = "engine,version,writers,isolation,durable,deferred,deferred_survives_kill,notes";

/// Writes the table of engines; those of an earlier part of the results stay.
pub(crate) fn write_engines(path: &Path, kinds: &[Kind]) -> Result<()> {
    let before = std::fs::read_to_string(path).unwrap_or_default();
    Ok(std::fs::write(path, engines_csv(&before, kinds))?)
}

fn engines_csv(before: &str, kinds: &[Kind]) -> String {
    let mut text = format!("{ENGINES}\n");
    let others = before.lines().skip(1).filter(|line| {
        let fields = csv::fields(line);
        !kinds.iter().any(|kind| fields.first().is_some_and(|name| name == kind.name))
    });
    text.extend(others.map(|line| format!("{line}\n")));
    for Kind { name, version, facts, .. } in kinds {
        let survives = facts.deferred_survives_kill.to_string();
        let durable = facts.durable.unwrap_or_default();
        let fields =
            [name, version, facts.writers, facts.isolation, durable, facts.deferred, &survives, facts.notes];
        text.push_str(&line(&fields));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines;

    #[test]
    fn places_are_left_out_of_the_command() {
        let line = "/somewhere/braid-compare run bank --dir /home/me --seconds 1 --out=/tmp/x";
        let words = line.split(' ').map(str::to_owned);
        assert_eq!(command_line(words), "braid-compare run bank --seconds 1");
    }

    #[test]
    fn the_table_of_engines_has_each_once() {
        let first = engines_csv("", engines::ALL);
        assert_eq!(first.lines().count(), 1 + engines::ALL.len());
        assert_eq!(engines_csv(&first, engines::ALL), first);
        let with_other = format!("{ENGINES}\nother,1,\"a, b\",,,,true,\n");
        assert!(engines_csv(&with_other, engines::ALL).starts_with(&with_other));
    }

    #[test]
    fn every_engine_says_what_it_does() {
        for line in engines_csv("", engines::ALL).lines().skip(1) {
            let fields = csv::fields(line);
            assert_eq!(fields.len(), 8, "{line}");
            for index in [0, 1, 2, 3, 5, 6] {
                assert!(!fields[index].is_empty(), "{line}");
            }
        }
    }
}

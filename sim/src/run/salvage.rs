//! Salvage of a copy of what a life has left, held to what the next one opens.
//!
//! 1. A sound file is salvaged without a loss: the tables, rows and sequences are just those that the open finds.
//! 2. After a power cut, and where the process ended within a write or one failed, the log may end in a torn record or
//!    a torn header, which only an open knows to be the last. Then every row is one that the open finds, or that was
//!    written in the life before.
//! 3. Of a damaged file, what the open finds and the salvage has not is no more than it says it lost.

use std::collections::BTreeMap;
use std::path::Path;

use braid::vfs::Env;
use braid::{Database, Options, Result, SalvageReport, salvage_in};

use super::oracle::{Model, Start, Verdict};
use super::rows::Rows;
use super::session::PATH;
use super::show::dump;

/// What was saved.
#[derive(Debug)]
pub struct Salvaged {
    report: SalvageReport,
    tables: BTreeMap<String, Rows>,
    sequences: Sequences,
}

/// The first id of each sequence that nobody has reserved.
type Sequences = BTreeMap<String, Option<u64>>;

/// Salvages the database of a machine, which nobody else looks at.
///
/// # Errors
/// What the salvage meets, or the open of what it made.
pub fn salvage(env: &Env, options: &Options) -> Result<Salvaged> {
    let out = Path::new("/salvaged.braid");
    let report = salvage_in(env, PATH, out)?;
    let db = Database::open_in(env.clone(), out, options.clone())?;
    let found = dump(&db)?.tables;
    let salvaged = Salvaged {
        report,
        tables: found.into_iter().map(|(name, (_, rows))| (name, rows)).collect(),
        sequences: sequences(&db)?,
    };
    db.close()?;
    Ok(salvaged)
}

fn sequences(db: &Database) -> Result<Sequences> {
    let names = db.sequences()?;
    names.into_iter().map(|name| db.unreserved_id(&name).map(|first| (name, first))).collect()
}

/// What the next life has opened, and what is known of it.
#[derive(Debug)]
pub struct Opened<'a> {
    /// It.
    pub db: &'a Database,
    /// Its rows.
    pub found: &'a Start,
    /// The life before.
    pub model: &'a Model,
    /// The power went since that one began, or a write was done in part.
    pub torn: bool,
    /// The files were damaged.
    pub damaged: bool,
}

impl Salvaged {
    /// Whether it says that something is lost.
    #[must_use]
    pub fn lost(&self) -> bool {
        let SalvageReport { lost_rows, more_lost_rows, losses, more_losses, .. } = &self.report;
        *lost_rows > 0 || *more_lost_rows || !losses.is_empty() || *more_losses > 0
    }

    /// See the module.
    ///
    /// # Errors
    /// What is wrong.
    pub fn judge(&self, opened: &Opened<'_>) -> Verdict {
        let tables = &opened.found.tables;
        if opened.damaged {
            return self.judge_damaged(tables);
        }
        if self.lost() {
            return if opened.torn { self.judge_torn(opened) } else { Err(self.wrong("sound files")) };
        }
        let is_same = self.tables.len() == tables.len()
            && tables.iter().all(|(name, (_, rows))| self.tables.get(name) == Some(rows));
        if !is_same {
            return Err(self.wrong(&format!("{tables:?}")));
        }
        let expected = sequences(opened.db).map_err(|error| format!("asking sequences: {error}"))?;
        if self.sequences != expected {
            return Err(self.wrong(&format!("sequences at {expected:?}")));
        }
        Ok(())
    }

    fn judge_torn(&self, opened: &Opened<'_>) -> Verdict {
        for (name, rows) in &self.tables {
            let found = opened.found.tables.get(name).map(|(_, rows)| rows);
            if found.is_none() && name.starts_with("table-") {
                // The name may have been in what is lost. It was not: a load that never ended, or a table that was dropped.
                continue;
            }
            for (key, value) in rows {
                let is_known = found.is_some_and(|rows| rows.get(key) == Some(value))
                    || opened.model.values_since(key, 0).any(|(_, known)| known == Some(*value));
                if !is_known {
                    return Err(self.wrong(&format!("`{key:?}` of `{name}`, which nobody wrote so")));
                }
            }
        }
        Ok(())
    }

    fn judge_damaged(&self, tables: &BTreeMap<String, (u32, Rows)>) -> Verdict {
        if self.report.more_lost_rows {
            return Ok(());
        }
        let mut missing = 0;
        for (name, (_, rows)) in tables {
            let Some(saved) = self.tables.get(name) else {
                // Its name is among the losses.
                if self.lost() {
                    return Ok(());
                }
                return Err(self.wrong(&format!("a table `{name}`")));
            };
            missing += rows.iter().filter(|(key, value)| saved.get(*key) != Some(*value)).count() as u64;
        }
        if missing > self.report.lost_rows {
            return Err(self.wrong(&format!("{missing} rows more")));
        }
        Ok(())
    }

    fn wrong(&self, of: &str) -> String {
        format!(
            "a salvage of {of} has {:?} and {:?}, and says {:?}",
            self.tables, self.sequences, self.report
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use braid::vfs::faulty::CrashFileSystem;

    use super::*;
    use crate::run::oracle::{History, replay};
    use crate::run::rows::{Datum, Key};

    #[test]
    fn what_is_missing_changed_or_more_is_found_unless_it_was_said() {
        let machine = CrashFileSystem::new();
        let env = || Env::with_files(Arc::new(machine.clone()));
        let db = Database::open_in(env(), PATH, Options::default()).unwrap();
        let table = db.table("t").unwrap();
        for key in ["a", "b"] {
            db.put(&table, key, Datum::bytes(7, 20)).unwrap();
        }
        db.sequence("s").unwrap().next().unwrap();
        db.close().unwrap();
        let salvaged =
            || salvage(&Env::with_files(Arc::new(machine.after_kill())), &Options::default()).unwrap();
        let (whole, db) = (salvaged(), Database::open_in(env(), PATH, Options::default()).unwrap());
        let dumped = dump(&db).unwrap();
        let found = Start { ts: dumped.ts, mode: dumped.mode, tables: dumped.tables };
        let model = replay(&found, &History::default()).unwrap();
        let opened = |torn, damaged| Opened { db: &db, found: &found, model: &model, torn, damaged };
        whole.judge(&opened(false, false)).unwrap();

        let row = Key::from(b"a".as_slice());
        let rows = |salvaged: &mut Salvaged, change: &dyn Fn(&mut Rows)| {
            change(salvaged.tables.get_mut("t").unwrap());
        };
        drop(whole);
        let changes: [&dyn Fn(&mut Salvaged); 4] = [
            &|salvaged| rows(salvaged, &|rows| _ = rows.remove(&row)),
            &|salvaged| rows(salvaged, &|rows| _ = rows.insert(row.clone(), Datum::of(b"other"))),
            &|salvaged| salvaged.tables.clear(),
            &|salvaged| *salvaged.sequences.get_mut("s").unwrap() = Some(1),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let copy = || {
                // The machine is in use: what is there was dumped before.
                let tables =
                    found.tables.iter().map(|(name, (_, rows))| (name.clone(), rows.clone())).collect();
                Salvaged { report: SalvageReport::default(), tables, sequences: sequences(&db).unwrap() }
            };
            let mut changed = copy();
            changed.judge(&opened(false, false)).unwrap();
            change(&mut changed);
            changed.judge(&opened(false, false)).unwrap_err();
            if number < 3 {
                changed.judge(&opened(false, true)).unwrap_err();
            }
            changed.report.lost_rows = 1;
            changed.report.losses.push("a row".to_owned());
            changed.judge(&opened(false, false)).unwrap_err();
            changed.judge(&opened(false, true)).unwrap();
            assert_eq!(changed.judge(&opened(true, false)).is_err(), number == 1, "{number}");
        }
    }
}

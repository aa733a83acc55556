//! What transactions lost, against the report of those who lost.
//!
//! 1. Each loss has one kind and one name: the sums are equal.
//! 2. Of each name, kind and table the report has at least the conflicts that somebody was told of; `transact` keeps others to
//!    itself. Losses that a runner made up for are told as such.

use std::collections::BTreeMap;

use braid::{ConflictKind, ConflictReport, ConflictStats, Error, Stats};

use super::Verdict;

/// Losses that sessions were told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// By kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// By table and kind.
    pub tables: BTreeMap<(String, &'static str), u64>,
    /// Those of transactions that are tried once, by their names.
    pub names: BTreeMap<String, u64>,
    /// Attempts of transactions that committed in the end.
    pub made_up_for: u64,
}

impl Losses {
    /// A commit has ended with an error.
    pub fn note(&mut self, error: &Error) {
        let Some(conflict) = error.conflict() else { return };
        let kind = name(conflict.kind);
        *self.kinds.entry(kind).or_default() += 1;
        if let Some(table) = &conflict.table {
            *self.tables.entry((table.clone(), kind)).or_default() += 1;
        }
    }

    /// Adds another session's.
    pub fn merge(&mut self, other: Self) {
        let add = |all: &mut BTreeMap<&'static str, u64>, kind, more| *all.entry(kind).or_default() += more;
        other.kinds.into_iter().for_each(|(kind, more)| add(&mut self.kinds, kind, more));
        for (table, more) in other.tables {
            *self.tables.entry(table).or_default() += more;
        }
        for (name, more) in other.names {
            *self.names.entry(name).or_default() += more;
        }
        self.made_up_for += other.made_up_for;
    }

    /// Holds the report of a life to them, once nobody works any more.
    ///
    /// # Errors
    /// What is wrong.
    pub fn judge(&self, stats: &Stats) -> Verdict {
        let ConflictReport { kinds, absorbed, tables, names, .. } = &stats.conflicts;
        let total = kinds.total();
        let wrong = |what: &str| Err(format!("{what}: {:?} of {self:?}", stats.conflicts));
        if names.iter().map(|named| named.conflicts).sum::<u64>() != total {
            return wrong("losses do not add up");
        }
        if *absorbed < self.made_up_for || stats.retries < self.made_up_for {
            return wrong("losses that were made up for are missing");
        }
        for (name, told) in &self.names {
            let reported = names.iter().find(|named| named.name.as_ref() == Some(name));
            if reported.map_or(0, |named| named.conflicts) < *told {
                return wrong(&format!("`{name}` was told of {told} losses"));
            }
        }
        for (kind, told) in &self.kinds {
            if of(kinds, kind) < *told {
                return wrong(&format!("{told} losses of the kind {kind} were told"));
            }
        }
        for ((table, kind), told) in &self.tables {
            let reported = tables.iter().find(|one| one.table == *table);
            if reported.map_or(0, |one| of(&one.kinds, kind)) < *told {
                return wrong(&format!("{told} losses of the kind {kind} in `{table}` were told"));
            }
        }
        Ok(())
    }
}

fn name(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::WriteWrite => "write-write",
        ConflictKind::ReadWrite => "read-write",
        ConflictKind::Range => "range",
        ConflictKind::Schema => "schema",
        ConflictKind::Locked => "locked",
        _ => "another",
    }
}

fn of(kinds: &ConflictStats, kind: &str) -> u64 {
    match kind {
        "write-write" => kinds.write_write,
        "read-write" => kinds.read_write,
        "range" => kinds.range,
        "schema" => kinds.schema,
        "locked" => kinds.locked,
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use braid::{Database, JournalMode, TransactionOptions};

    use super::*;

    /// A database in which one named transaction has lost, and what it was told.
    fn lost() -> (Losses, Stats) {
        let db = Database::in_memory().unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        let mut tx = db.begin_with(TransactionOptions::default().name("one")).unwrap();
        tx.put(&table, "k", "1").unwrap();
        db.put(&table, "k", "2").unwrap();
        let error = tx.commit().unwrap_err();
        let mut losses = Losses::default();
        losses.note(&error);
        losses.names.insert("one".to_owned(), 1);
        (losses, db.stats())
    }

    #[test]
    fn what_was_told_is_in_the_report() {
        let (losses, stats) = lost();
        losses.judge(&stats).unwrap();
        let refused = |change: fn(&mut Losses)| {
            let mut losses = losses.clone();
            change(&mut losses);
            losses.judge(&stats).unwrap_err();
        };
        refused(|losses| *losses.kinds.get_mut("write-write").unwrap() += 1);
        refused(|losses| _ = losses.kinds.insert("range", 1));
        refused(|losses| _ = losses.tables.insert(("other".to_owned(), "write-write"), 1));
        refused(|losses| *losses.tables.values_mut().next().unwrap() += 1);
        refused(|losses| _ = losses.names.insert("one".to_owned(), 2));
        refused(|losses| losses.made_up_for += 1);
    }

    #[test]
    fn a_report_that_does_not_add_up_is_refused() {
        let (losses, stats) = lost();
        for change in [
            (|stats: &mut Stats| stats.conflicts.kinds.locked += 1) as fn(&mut Stats),
            |stats| stats.conflicts.names[0].conflicts += 1,
            |stats| stats.conflicts.names.clear(),
            |stats| stats.conflicts.tables.clear(),
        ] {
            let mut stats = stats.clone();
            change(&mut stats);
            losses.judge(&stats).unwrap_err();
        }
    }
}

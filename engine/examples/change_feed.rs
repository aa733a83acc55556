//! An index that is kept in step with a table by the change feed, over restarts of the program.
//!
//! A new index copies a snapshot and follows the changes from its timestamp on. It says how far it has come by
//! acknowledging that; after a restart it goes on from there, and misses nothing that was committed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use braid::{Change, Consumer, Database, Result, Table};

/// Who likes which colour.
#[derive(Debug, Default, PartialEq, Eq)]
struct Index {
    /// What each one likes; to find the old entry of a row that changes.
    colours: BTreeMap<Vec<u8>, Vec<u8>>,
    people: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
}

impl Index {
    fn set(&mut self, person: Vec<u8>, colour: Option<Vec<u8>>) {
        if let Some(old) = self.colours.remove(&person)
            && let Some(people) = self.people.get_mut(&old)
        {
            people.remove(&person);
        }
        if let Some(colour) = colour {
            self.people.entry(colour.clone()).or_default().insert(person.clone());
            self.colours.insert(person, colour);
        }
    }

    /// Everything that is on the disk by now.
    fn catch_up(&mut self, consumer: &Consumer) -> Result<u64> {
        let mut changes = consumer.changes()?;
        let mut transactions = 0;
        while let Some(set) = changes.try_next()? {
            transactions += 1;
            for change in set {
                match change? {
                    Change::Put { key, value, .. } => self.set(key, Some(value)),
                    Change::Delete { key, .. } => self.set(key, None),
                    _ => {}
                }
            }
        }
        // An index on a disk would be saved here: first the work, then the word that it is done.
        consumer.acknowledge(changes.passed())?;
        Ok(transactions)
    }
}

/// A new index, and the consumer that keeps it in step.
fn build(db: &Database, table: &Table) -> Result<(Index, Consumer)> {
    let snapshot = db.snapshot()?;
    // Before the copy: from here on the log is kept.
    let consumer = db.consumer("index", snapshot.timestamp())?;
    let mut index = Index::default();
    for row in snapshot.scan(table)? {
        let (person, colour) = row?;
        index.set(person, Some(colour));
    }
    Ok((index, consumer))
}

fn run(path: &Path) -> Result<()> {
    let db = Database::open(path)?;
    let table = db.table("colours")?;
    db.put(&table, "ada", "red")?;
    let (mut index, consumer) = build(&db, &table)?;
    db.put(&table, "bob", "blue")?;
    db.put(&table, "ada", "blue")?;
    println!("{} transactions while it was built", index.catch_up(&consumer)?);
    db.close()?;

    // Another part of the program, at a time when nobody keeps the index.
    let db = Database::open(path)?;
    db.delete(&db.table("colours")?, "bob")?;
    db.close()?;

    let db = Database::open(path)?;
    let consumer = db.consumer("index", db.snapshot()?.timestamp())?;
    println!("{} behind by {:?}", consumer.name(), db.consumers()?.first().map(|found| found.lag_timestamps));
    println!("{} transactions since", index.catch_up(&consumer)?);
    let blue = index.people.get(&b"blue"[..]).map_or(0, BTreeSet::len);
    assert_eq!((blue, &index.colours[&b"ada"[..]][..]), (1, &b"blue"[..]));
    Ok(())
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(braid::Error::other)?;
    run(&folder.path().join("colours.braid"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs() {
        super::main().unwrap();
    }
}

//! An index that is kept in step with a table by the change feed, over restarts of the program.
//!
//! A new index copies a snapshot and follows the changes from its timestamp on. It says how far it has come by
//! acknowledging that; after a restart it goes on from there, and misses nothing that was committed meanwhile. The feed
//! tells of all tables: the index minds its own, by its number, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use braid::{Change, Consumer, Database, Result, Snapshot, Table};

const TABLE: &str = "colours";

/// Who likes which colour.
#[derive(Debug, Default, PartialEq, Eq)]
struct Index {
    /// The number of the table: no other ever has it, and a name may come to be another's.
    table: u32,
    /// What each one likes; to find the old entry of a row that changes.
    colours: BTreeMap<Vec<u8>, Vec<u8>>,
    people: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
}

impl Index {
    /// Of all rows that there are.
    fn of(snapshot: &Snapshot, table: &Table) -> Result<Self> {
        let mut index = Self { table: table.id(), ..Self::default() };
        for row in snapshot.scan(table)? {
            let (person, colour) = row?;
            index.set(person, Some(colour));
        }
        Ok(index)
    }

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

    /// What one change makes of it.
    fn apply(&mut self, db: &Database, change: Change) -> Result<()> {
        match change {
            Change::Put { table, key, value, .. } if table.id == self.table => self.set(key, Some(value)),
            Change::Delete { table, key, .. } if table.id == self.table => self.set(key, None),
            Change::Drop(table) if table.id == self.table => *self = Self::default(),
            // Another table comes to be the one: made, loaded, or renamed. The rows that it has already do not follow. What
            // follows may be older than what is read here, and comes to the same in the end.
            Change::Create(table) | Change::Load(table) | Change::Rename { table, .. }
                if table.name.as_deref() == Some(TABLE) && table.id != self.table =>
            {
                let now = db.snapshot()?;
                let found = now.existing_table(TABLE)?.filter(|found| found.id() == table.id);
                // Where it is gone again, that is told further on.
                *self = found.map_or(Ok(Self::default()), |found| Self::of(&now, &found))?;
            }
            // Other tables, and another name for this one.
            _ => {}
        }
        Ok(())
    }

    /// Everything that is on the disk by now.
    fn catch_up(&mut self, db: &Database, consumer: &Consumer) -> Result<u64> {
        let mut changes = consumer.changes()?;
        let mut transactions = 0;
        while let Some(set) = changes.try_next()? {
            transactions += 1;
            for change in set {
                self.apply(db, change?)?;
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
    Ok((Index::of(&snapshot, table)?, consumer))
}

fn run(path: &Path) -> Result<()> {
    let db = Database::open(path)?;
    let table = db.table(TABLE)?;
    db.put(&table, "ada", "red")?;
    let (mut index, consumer) = build(&db, &table)?;
    db.put(&table, "bob", "blue")?;
    db.put(&table, "ada", "blue")?;
    db.put(&db.table("shapes")?, "ada", "round")?;
    println!("{} transactions while it was built", index.catch_up(&db, &consumer)?);
    db.close()?;

    // Another part of the program, at a time when nobody keeps the index.
    let db = Database::open(path)?;
    db.delete(&db.table(TABLE)?, "bob")?;
    db.close()?;

    let db = Database::open(path)?;
    let consumer = db.consumer("index", db.snapshot()?.timestamp())?;
    println!("{} behind by {:?}", consumer.name(), db.consumers()?.first().map(|found| found.lag_timestamps));
    println!("{} transactions since", index.catch_up(&db, &consumer)?);
    let blue = index.people.get(&b"blue"[..]).map_or(0, BTreeSet::len);
    assert_eq!((blue, &index.colours[&b"ada"[..]][..]), (1, &b"blue"[..]));

    // The table is made anew, of other rows.
    db.drop_table(TABLE)?;
    index.catch_up(&db, &consumer)?;
    assert!(index.colours.is_empty());
    let mut loader = db.load_table(TABLE)?;
    loader.put("cy", "green")?;
    loader.finish()?;
    let table = db.table(TABLE)?;
    db.put(&table, "dee", "green")?;
    index.catch_up(&db, &consumer)?;
    assert_eq!(index, Index::of(&db.snapshot()?, &table)?);
    assert_eq!(index.people[&b"green"[..]].len(), 2);
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

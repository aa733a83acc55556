//! A table takes another shape while the program runs: in one transaction, with a savepoint for each row.
//!
//! Full names are split in two, and indexed by the last one. A row that does not fit is put aside whole: what was already
//! written for it is taken back to the savepoint, and the rest goes on. Others see the old table until the commit, and the
//! new one from then on; who wrote to the old one meanwhile is told so.

use braid::{ConflictKind, Database, Error, JournalMode, Result, Table, Transaction};

struct New {
    people: Table,
    by_last_name: Table,
}

/// Why a row was not converted.
enum Stopped {
    /// It does not fit.
    Misfit(&'static str),
    /// The database could not do it. That says nothing of the row, and is not to be committed around.
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        match error {
            // Two of one name are told apart by hand.
            Error::KeyExists { .. } => Self::Misfit("somebody else has that last name"),
            error => Self::Failed(error),
        }
    }
}

/// Writes the rows that take the place of one. It may stop half way.
fn convert(tx: &mut Transaction, new: &New, id: &[u8], full_name: &[u8]) -> Result<(), Stopped> {
    let full_name = str::from_utf8(full_name).map_err(|_| Stopped::Misfit("it is no text"))?;
    let (first, rest) = full_name.split_once(' ').unwrap_or((full_name, ""));
    tx.put(&new.people, [id, b" first"].concat(), first)?;
    tx.put(&new.people, [id, b" last"].concat(), rest)?;
    if rest.is_empty() {
        return Err(Stopped::Misfit("there is no last name"));
    }
    Ok(tx.insert(&new.by_last_name, rest, id)?)
}

/// How many rows were put aside.
fn migrate(tx: &mut Transaction) -> Result<usize> {
    let old = tx.table("people")?;
    let new = New { people: tx.create_table("people, new")?, by_last_name: tx.create_table("by last name")? };
    let aside = tx.create_table("people, put aside")?;
    let mut put_aside = 0;
    for row in tx.scan(&old)? {
        let (id, full_name) = row?;
        let before = tx.savepoint()?;
        match convert(tx, &new, &id, &full_name) {
            Ok(()) => {}
            Err(Stopped::Failed(error)) => return Err(error),
            Err(Stopped::Misfit(why)) => {
                println!("{} is put aside: {why}", String::from_utf8_lossy(&full_name));
                // What the row has left in the new tables goes; what was written before it stays.
                tx.rollback_to(&before)?;
                tx.put(&aside, &id, &full_name)?;
                put_aside += 1;
            }
        }
        tx.release(before)?;
    }
    tx.drop_table("people")?;
    tx.rename_table("people, new", "people")?;
    Ok(put_aside)
}

fn main() -> Result<()> {
    let db = Database::in_memory()?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let people = db.table("people")?;
    for (id, name) in
        [("1", "Ada Lovelace"), ("2", "Plato"), ("3", "Emmy Noether"), ("4", "Gottfried Noether")]
    {
        db.put(&people, id, name)?;
    }

    let before = db.snapshot()?;
    let mut tx = db.begin_concurrent()?;
    assert_eq!(migrate(&mut tx)?, 2);
    // Nobody else sees any of it yet, and others go on.
    assert_eq!(db.tables()?, ["people"]);
    let mut late = db.begin_concurrent()?;
    late.put(&people, "5", "Grace Hopper")?;
    let done = tx.commit()?;
    println!("at {} there are {:?}", done.timestamp, db.tables()?);

    // The write was meant for the table as it was. A program opens the table anew then, and looks at its shape.
    let Err(lost) = late.commit() else { panic!("its table is gone") };
    println!("too late: {lost}");
    assert_eq!(lost.conflict().map(|conflict| conflict.kind), Some(ConflictKind::Schema));
    db.transact(|tx| {
        let people = tx.table("people")?;
        tx.put(&people, "5 first", "Grace")?;
        tx.put(&people, "5 last", "Hopper")
    })?;

    // Who began before sees the old table to the end.
    assert_eq!(before.get(&people, "1")?.as_deref(), Some(&b"Ada Lovelace"[..]));
    assert_eq!(before.tables()?, ["people"]);

    let now = db.snapshot()?;
    let (people, by_last_name, aside) =
        (db.table("people")?, db.table("by last name")?, db.table("people, put aside")?);
    assert_eq!(now.get(&people, "1 last")?.as_deref(), Some(&b"Lovelace"[..]));
    assert_eq!(now.get(&by_last_name, "Noether")?.as_deref(), Some(&b"3"[..]));
    assert_eq!(now.get(&people, "2 first")?, None, "nothing is left of what did not fit");
    assert_eq!((now.count(&people)?, now.count(&by_last_name)?, now.count(&aside)?), (6, 2, 2));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs() {
        super::main().unwrap();
    }
}

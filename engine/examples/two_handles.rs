//! Two handles, opened separately on one file, change the same row at the same time: +1 and +100 on 0.
//!
//! The first to commit wins. The second is told `Busy`, with the row and the commit it lost to, begins anew, sees the
//! first one's change, and the row ends at 101.

use braid::{ConflictKind, Database, Error, JournalMode, Result, Snapshot, Table};

fn value(tx: &Snapshot, table: &Table) -> Result<i64> {
    let value = tx.get(table, "row")?.and_then(|bytes| bytes.try_into().ok());
    value.map(i64::from_le_bytes).ok_or_else(|| Error::other("the row is missing"))
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::other)?;
    let path = folder.path().join("shared.braid");

    let one = Database::open(&path)?;
    one.set_journal_mode(JournalMode::Mvcc)?;
    let table = one.table("numbers")?;
    one.put(&table, "row", 0_i64.to_le_bytes())?;

    // The same file, opened as by another part of the program that knows nothing of the first.
    let two = Database::open(&path)?;
    assert_eq!(two.journal_mode(), JournalMode::Mvcc, "the mode is the file's");
    let same_table = two.table("numbers")?;

    let mut first = one.begin_concurrent()?;
    let mut second = two.begin_concurrent()?;
    let seen_by_first = value(&first, &table)?;
    first.put(&table, "row", (seen_by_first + 1).to_le_bytes())?;
    let seen_by_second = value(&second, &same_table)?;
    second.put(&same_table, "row", (seen_by_second + 100).to_le_bytes())?;
    println!("both read {seen_by_first} and {seen_by_second}, and write +1 and +100");

    let winner = first.commit()?;
    println!("the first commits at {}", winner.timestamp);

    let Err(lost) = second.commit() else { panic!("the second commit must lose") };
    println!("the second: {lost}");
    assert!(lost.is_retryable());
    let Some(conflict) = lost.conflict() else { panic!("Busy names its conflict") };
    assert_eq!(conflict.kind, ConflictKind::WriteWrite);
    assert_eq!(conflict.table.as_deref(), Some("numbers"));
    assert_eq!(conflict.key.as_deref(), Some(&b"row"[..]));
    assert_eq!(conflict.winner_ts, Some(winner.timestamp));

    let mut again = two.begin_concurrent()?;
    let seen = value(&again, &same_table)?;
    again.put(&same_table, "row", (seen + 100).to_le_bytes())?;
    again.commit()?;
    println!("again: it reads {seen}, and commits {}", seen + 100);

    assert_eq!(value(&one.snapshot()?, &table)?, 101);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs() {
        super::main().unwrap();
    }
}

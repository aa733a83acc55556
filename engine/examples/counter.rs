//! A hot counter: sixteen writers, one row, no conflict. And what the same costs by a read and a write.

use std::thread;

use braid::{Database, Error, JournalMode, Result, Table};

const WRITERS: i64 = 16;
const VISITS: i64 = 50;

fn on_all_threads(visit: impl Fn(i64) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let visit = &visit;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || (0..VISITS).try_for_each(|_| visit(writer))))
            .collect();
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().unwrap_or_else(|_| Err(Error::other("a writer died"))))
    })
}

fn number(db: &Database, table: &Table, key: &str) -> Result<i64> {
    let bytes = db.get(table, key)?.and_then(|value| value.try_into().ok());
    Ok(bytes.map_or(0, i64::from_le_bytes))
}

fn main() -> Result<()> {
    let db = Database::in_memory()?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let pages = db.table("pages")?;

    on_all_threads(|writer| {
        let mut tx = db.begin_concurrent()?;
        // Nobody reads the rows before the commit, so nobody can lose.
        tx.add(&pages, "visits", 1)?;
        tx.max(&pages, "last visitor", writer)?;
        tx.append(&pages, "log", [b'a' + writer.to_le_bytes()[0]])?;
        // What is this writer's alone stands beside them, and stands or falls with them.
        tx.put(&pages, format!("visitor {writer}"), "was here")?;
        tx.commit().map(drop)
    })?;
    let stats = db.stats();
    println!(
        "{} visits, the last visitor was {}, {} conflicts; {} updates of {} would have been some",
        number(&db, &pages, "visits")?,
        number(&db, &pages, "last visitor")?,
        stats.conflicts.kinds.total(),
        stats.updates.absorbed,
        stats.updates.made,
    );
    assert_eq!(number(&db, &pages, "visits")?, WRITERS * VISITS);
    assert_eq!(db.get(&pages, "log")?.map(|log| log.len()), usize::try_from(WRITERS * VISITS).ok());
    assert_eq!(stats.conflicts.kinds.total(), 0);

    // The same by hand: right too, but whoever loses does it again.
    on_all_threads(|_| {
        db.transact(|tx| {
            let bytes = tx.get(&pages, "by hand")?.and_then(|value| value.try_into().ok());
            let visits = bytes.map_or(0, i64::from_le_bytes);
            tx.put(&pages, "by hand", (visits + 1).to_le_bytes())
        })
        .map(drop)
    })?;
    println!("by a read and a write: {} conflicts", db.stats().conflicts.kinds.total());
    assert_eq!(number(&db, &pages, "by hand")?, WRITERS * VISITS);

    // What does not fit is refused by the commit, and nothing of the transaction is there.
    let mut tx = db.begin_concurrent()?;
    tx.put(&pages, "also", "this")?;
    tx.add(&pages, "visits", i64::MAX)?;
    match tx.commit() {
        Err(error @ Error::UpdateRefused { .. }) => println!("refused: {error}"),
        other => panic!("it does not fit, and yet {other:?}"),
    }
    assert_eq!(db.get(&pages, "also")?, None);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs() {
        super::main().unwrap();
    }
}

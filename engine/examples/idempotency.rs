//! Orders that are placed once, whatever becomes of the answer.
//!
//! A request has a name of its own, and its transaction carries that as a token. Whoever does not know what became of a
//! request asks for the token afterwards, or just sends the request again: it is done once. Order numbers come from a
//! sequence, which gives none out twice.

use std::path::Path;

use braid::{
    Database, Error, JournalMode, Result, RetryPolicy, Sequence, Table, Timestamp, TransactionOptions,
};

const APPLES: i64 = 10;

fn once(request: &str) -> TransactionOptions {
    TransactionOptions::default().token(request)
}

/// Places an order, and says where it stands in the history: now, or from when the same request came before.
/// The sequence was opened once, for all of them: each handle reserves numbers of its own, with a commit.
fn place_order(db: &Database, numbers: &Sequence, request: &str) -> Result<Timestamp> {
    let (stock, orders) = (db.table("stock")?, db.table("orders")?);
    let policy = RetryPolicy { transaction: once(request), ..RetryPolicy::default() };
    let placed = db.transact_with(policy, |tx| {
        tx.add(&stock, "apples", -1)?;
        tx.insert(&orders, numbers.next()?.to_be_bytes(), request)
    });
    match placed {
        Ok(outcome) => Ok(outcome.commit.timestamp),
        // Nothing was done a second time.
        Err(Error::AlreadyCommitted { timestamp, .. }) => Ok(timestamp),
        Err(error) => Err(error),
    }
}

fn apples(db: &Database, stock: &Table) -> Result<i64> {
    let apples = db.get(stock, "apples")?.and_then(|bytes| bytes.try_into().ok());
    apples.map(i64::from_le_bytes).ok_or_else(|| Error::other("the stock is damaged"))
}

/// A process that takes two requests, and dies before it has answered either.
fn die_half_way(path: &Path) -> Result<Timestamp> {
    let db = Database::open(path)?;
    let numbers = db.sequence("order numbers")?;
    // This one is committed. But nobody is told.
    let unanswered = place_order(&db, &numbers, "request 1")?;
    // Of this one the work is done, and it is not committed.
    let mut tx = db.begin_with(once("request 2"))?;
    tx.add(&db.table("stock")?, "apples", -1)?;
    drop(tx);
    // The database is not closed either: the next one to open it reads the log.
    Ok(unanswered)
}

fn run(path: &Path) -> Result<()> {
    let db = Database::open(path)?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    db.put(&db.table("stock")?, "apples", APPLES.to_le_bytes())?;
    db.close()?;

    let unanswered = die_half_way(path)?;

    let db = Database::open(path)?;
    let numbers = db.sequence("order numbers")?;
    // The same is to be asked after `Error::CommitUnknown`, once the database is open again.
    for request in ["request 1", "request 2"] {
        match db.was_committed(request)? {
            Some(timestamp) => println!("{request} was committed at {timestamp}"),
            None => println!("{request} was not, and is placed at {}", place_order(&db, &numbers, request)?),
        }
    }
    assert_eq!(db.was_committed("request 1")?, Some(unanswered));

    // A client that has had no answer asks nothing, and sends it again.
    assert_eq!(place_order(&db, &numbers, "request 1")?, unanswered);

    let (stock, orders) = (db.table("stock")?, db.table("orders")?);
    // Numbers ascend and never repeat. What the dead process had reserved of them is left out.
    for row in db.snapshot()?.scan(&orders)? {
        let (number, request) = row?;
        let number = number.try_into().map_or(0, u64::from_be_bytes);
        println!("order {number}: {}", String::from_utf8_lossy(&request));
    }
    assert_eq!(db.snapshot()?.count(&orders)?, 2, "each request has one order");
    assert_eq!(apples(&db, &stock)?, APPLES - 2, "and one apple");
    Ok(())
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::other)?;
    run(&folder.path().join("shop.braid"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs() {
        super::main().unwrap();
    }
}

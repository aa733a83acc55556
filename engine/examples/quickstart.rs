//! Open a file, write, read, and find it all again after a reopen.

use braid::{Database, Result};

fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(braid::Error::other)?;
    let path = folder.path().join("stock.braid");

    let db = Database::open(&path)?;
    let stock = db.table("stock")?;

    // One row, in a transaction of its own. When it returns, it is on the disk.
    db.put(&stock, "apples", "3")?;

    // Several rows at once: all of them, or none.
    let mut tx = db.begin_immediate()?;
    tx.put(&stock, "bananas", "12")?;
    tx.put(&stock, "cherries", "200")?;
    tx.delete(&stock, "apples")?;
    let commit = tx.commit()?;
    println!("committed at {}", commit.timestamp);

    // A snapshot is the database at one moment; what is committed later does not show in it.
    let snapshot = db.snapshot()?;
    db.put(&stock, "dates", "7")?;
    assert_eq!(snapshot.get(&stock, "dates")?, None);
    for row in snapshot.range(&stock, "b"..)? {
        let (key, value) = row?;
        println!("{}: {}", String::from_utf8_lossy(&key), String::from_utf8_lossy(&value));
    }
    drop(snapshot);

    db.close()?;
    let db = Database::open_read_only(&path)?;
    let stock = db.table("stock")?;
    let rows = db.snapshot()?.count(&stock)?;
    println!("{rows} rows after reopening");
    assert_eq!(rows, 3);
    assert_eq!(db.get(&stock, "bananas")?.as_deref(), Some(&b"12"[..]));
    assert_eq!(db.get(&stock, "apples")?, None);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs() {
        super::main().unwrap();
    }
}

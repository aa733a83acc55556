//! Transfers between accounts, from several threads, on a file: whatever happens, the total stays what it was.

use std::thread;

use braid::{Database, Error, JournalMode, Result, Snapshot, Table, Transaction};

const ACCOUNTS: u64 = 20;
const INITIAL: u64 = 100;
const TELLERS: u64 = 4;
const TRANSFERS: u64 = 100;

fn key(account: u64) -> [u8; 8] {
    account.to_be_bytes()
}

fn balance(tx: &Snapshot, accounts: &Table, account: u64) -> Result<u64> {
    let value = tx.get(accounts, key(account))?.and_then(|bytes| bytes.try_into().ok());
    value.map(u64::from_le_bytes).ok_or_else(|| Error::other(format!("there is no account {account}")))
}

/// Moves `amount`; whether there was enough.
fn transfer(tx: &mut Transaction, accounts: &Table, from: u64, to: u64, amount: u64) -> Result<bool> {
    let Some(rest) = balance(tx, accounts, from)?.checked_sub(amount) else {
        return Ok(false);
    };
    let payee = balance(tx, accounts, to)?;
    tx.put(accounts, key(from), rest.to_le_bytes())?;
    tx.put(accounts, key(to), (payee + amount).to_le_bytes())?;
    Ok(true)
}

fn total(db: &Database, accounts: &Table) -> Result<u64> {
    let snapshot = db.snapshot()?;
    (0..ACCOUNTS).map(|account| balance(&snapshot, accounts, account)).sum()
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::other)?;
    let path = folder.path().join("bank.braid");

    let db = Database::open(&path)?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let accounts = db.table("accounts")?;
    let mut tx = db.begin_concurrent()?;
    for account in 0..ACCOUNTS {
        tx.put(&accounts, key(account), INITIAL.to_le_bytes())?;
    }
    tx.commit()?;

    thread::scope(|scope| {
        let tellers: Vec<_> = (0..TELLERS)
            .map(|teller| {
                let (db, accounts) = (&db, &accounts);
                scope.spawn(move || -> Result<(u64, u32)> {
                    let (mut made, mut attempts) = (0, 0);
                    for n in 0..TRANSFERS {
                        let from = (teller * 7 + n * 3) % ACCOUNTS;
                        let to = (from + 1 + n % (ACCOUNTS - 1)) % ACCOUNTS;
                        let outcome = db.transact(|tx| transfer(tx, accounts, from, to, 1 + n % 30))?;
                        made += u64::from(outcome.value);
                        attempts += outcome.attempts;
                    }
                    Ok((made, attempts))
                })
            })
            .collect();
        for (teller, thread) in tellers.into_iter().enumerate() {
            let died = |_| Err(Error::other("a teller died"));
            let (made, attempts) = thread.join().unwrap_or_else(died)?;
            println!("teller {teller}: {made} transfers of {TRANSFERS} were covered, {attempts} attempts");
        }
        Ok::<_, Error>(())
    })?;
    assert_eq!(total(&db, &accounts)?, ACCOUNTS * INITIAL);
    db.close()?;

    let db = Database::open(&path)?;
    let total = total(&db, &db.table("accounts")?)?;
    println!("the total is {total}, also after reopening");
    assert_eq!(total, ACCOUNTS * INITIAL);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs() {
        super::main().unwrap();
    }
}

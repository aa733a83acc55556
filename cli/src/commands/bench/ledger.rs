//! The bank's tables: `accounts` holds a balance per account, `bank` what the bank was made with.
//!
//! Keys and values are text, so that `braid dump` shows a bank as a person reads it. The tables and the number of accounts
//! come with one commit before the first account, the row `open` after the last one: a bank whose making was cut short is
//! known as such, and made anew.

use braid::{Database, Error, Snapshot, Table};

use crate::exit::{Code, Failure, Result};
use crate::interrupt::Interrupt;

const ACCOUNTS: &str = "accounts";
/// What each account holds at the beginning.
const INITIAL_BALANCE: u64 = 1_000;
/// How many accounts one transaction makes.
const BATCH: u64 = 5_000;

/// An open bank.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    pub(super) table: Table,
    pub(super) accounts: u64,
}

/// The key of an account.
pub(super) fn key(account: u64) -> [u8; 8] {
    let mut key = [b'0'; 8];
    let mut rest = account;
    for digit in key.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    key
}

/// The number that a row holds.
pub(super) fn number(value: &[u8]) -> Result<u64, Error> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::other("an account holds something that is not a balance"))
}

impl Ledger {
    /// Opens the bank in `db`, or makes one of `accounts` accounts where there is no table at all.
    pub(super) fn open(
        db: &Database,
        accounts: Option<u64>,
        default_accounts: u64,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let known = match db.existing_table("bank")? {
            Some(bank) => {
                let accounts = db.get(&bank, "accounts")?.map(|value| number(&value)).transpose()?;
                let open = db.get(&bank, "open")?.is_some();
                accounts.map(|accounts| (accounts, open))
            }
            None => None,
        };
        let tables = db.tables()?;
        let is_foreign = match known {
            None => !tables.is_empty(),
            Some((_, open)) => !open && tables.iter().any(|name| name != "bank" && name != ACCOUNTS),
        };
        match known {
            _ if is_foreign => Err(Failure::new(
                Code::Usage,
                "this database holds other tables, and the benchmark would write into it",
                "give a path that does not exist yet, or none for a temporary database",
            )),
            Some((made, true)) => match accounts {
                Some(asked) if asked != made => Err(Failure::new(
                    Code::Usage,
                    format!("this bank has {made} accounts, not {asked}"),
                    "leave --accounts away to go on with it, or give a path that does not exist yet",
                )),
                _ => Ok(Self { table: db.table(ACCOUNTS)?, accounts: made }),
            },
            Some((_, false)) | None => Self::make(db, accounts.unwrap_or(default_accounts), interrupt),
        }
    }

    fn make(db: &Database, accounts: u64, interrupt: &Interrupt) -> Result<Self> {
        db.transact(|tx| {
            let bank = match tx.existing_table("bank")? {
                Some(bank) => bank,
                None => tx.create_table("bank")?,
            };
            // One whose making was cut short may have had more accounts than this.
            tx.drop_table(ACCOUNTS)?;
            tx.create_table(ACCOUNTS)?;
            tx.put(&bank, "accounts", accounts.to_string())
        })?;
        let (bank, table) = (db.table("bank")?, db.table(ACCOUNTS)?);
        let balance = INITIAL_BALANCE.to_string();
        for first in (0..accounts).step_by(usize::try_from(BATCH).unwrap_or(usize::MAX)) {
            if interrupt.requested() {
                return Err(Failure::new(
                    Code::Interrupted,
                    "interrupted before the bank had all of its accounts",
                    "run it again: what there is of it is made anew",
                ));
            }
            db.transact(|tx| {
                (first..accounts.min(first + BATCH))
                    .try_for_each(|account| tx.put(&table, key(account), &balance))
            })?;
        }
        db.put(&bank, "open", "yes")?;
        Ok(Self { table, accounts })
    }

    /// The sum that every moment of this bank's life has.
    pub(super) fn expected(&self) -> u64 {
        self.accounts.saturating_mul(INITIAL_BALANCE)
    }

    /// The sum in another database that should hold this bank: nothing where it does not.
    pub(super) fn total_in(&self, db: &Database) -> Result<u64> {
        match db.existing_table(ACCOUNTS)? {
            Some(table) => Self { table, ..*self }.total(&db.snapshot()?),
            None => Ok(0),
        }
    }

    /// The sum at one moment.
    pub(super) fn total(&self, snapshot: &Snapshot) -> Result<u64> {
        let mut total = 0u64;
        for row in snapshot.scan(&self.table)? {
            total = total.saturating_add(number(&row?.1)?);
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_numbers_do() {
        assert_eq!(&key(42), b"00000042");
        assert_eq!(&key(99_999_999), b"99999999");
        assert!(key(9) < key(10));
    }

    #[test]
    fn a_bank_whose_making_was_cut_short_is_made_anew_of_any_size() {
        let db = Database::in_memory().unwrap();
        let goes_on = Interrupt::default();
        Ledger::open(&db, Some(7), 2, &goes_on).unwrap();
        let bank = db.table("bank").unwrap();
        db.delete(&bank, "open").unwrap();
        let smaller = Ledger::open(&db, Some(3), 2, &goes_on).unwrap();
        assert_eq!(smaller.total(&db.snapshot().unwrap()).unwrap(), smaller.expected());
        db.delete(&bank, "open").unwrap();
        db.table("somebody's").unwrap();
        assert!(Ledger::open(&db, Some(3), 2, &goes_on).is_err(), "it is no bank of ours");
        assert_eq!(smaller.total_in(&db).unwrap(), 3_000);
    }

    #[test]
    fn a_bank_that_is_gone_holds_nothing() {
        let (db, empty) = (Database::in_memory().unwrap(), Database::in_memory().unwrap());
        let ledger = Ledger::open(&db, Some(3), 2, &Interrupt::default()).unwrap();
        assert_eq!(ledger.total_in(&db).unwrap(), 3_000);
        assert_eq!(ledger.total_in(&empty).unwrap(), 0);
        assert_eq!(empty.tables().unwrap(), [] as [&str; 0]);
    }

    #[test]
    fn only_numbers_are_balances() {
        assert_eq!(number(b"17").unwrap(), 17);
        assert!(number(b"-17").is_err() && number(b"").is_err() && number(b"\xff").is_err());
    }
}

//! Transfers between two accounts of a few, where most writers meet, or of many, where hardly any do.
//!
//! An account's round holds its balance, which may be below nothing, and how many transfers touched it: money is neither
//! made nor lost, and no transfer that was acknowledged is missing.

use crate::cell::{AMPLE_CACHE, Better, Cell, Context, Readings, see_rows, verify};
use crate::engine::{Durability, Engine, Result, Session, Writer};
use crate::measure::{at_once, for_a_time};
use crate::rows::{number_of, round_of, throw, value};

use super::table::{Table, verify_read};

/// The heat of the hot bank is the point of it: it is as small at any size.
const HOT: u64 = 100;
const COLD: u64 = 1_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bank {
    Hot,
    Cold,
}

pub(super) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for bank in [Bank::Hot, Bank::Cold] {
        for durability in [Durability::Deferred, Durability::Durable] {
            cells.extend([1, 2, 8, 32].map(|threads| cell(bank, durability, threads)));
        }
    }
    cells
}

fn cell(bank: Bank, durability: Durability, threads: usize) -> Cell {
    let (group, about) = match bank {
        Bank::Hot => ("bank-hot", "transfers between two of 100 accounts, each reads both and writes both"),
        Bank::Cold => ("bank-cold", "transfers between two of 1M accounts, each reads both and writes both"),
    };
    let mode = match durability {
        Durability::Durable => "durable",
        Durability::Deferred => "deferred",
    };
    Cell {
        name: format!("{group}-{mode}-{threads}"),
        group,
        about,
        threads,
        durability,
        cache_bytes: AMPLE_CACHE,
        primary: "transfers",
        short: threads == 8 && durability == Durability::Deferred,
        run: Box::new(move |cx| run(cx, bank, threads)),
    }
}

fn run(cx: &Context, bank: Bank, threads: usize) -> Result<Readings> {
    let engine = cx.open()?;
    let accounts = match bank {
        Bank::Hot => Table::load_exactly(&*engine, HOT)?,
        Bank::Cold => Table::load_exactly(&*engine, cx.rows(COLD).max(2))?,
    };
    let crew = for_a_time(&*engine, threads, cx.size.seconds, at_once, |session, tally, repetition| {
        let thrown = throw(tally.thread, repetition);
        let from = thrown % accounts.count;
        // Another one, always.
        let to = (from + 1 + (thrown >> 32) % (accounts.count - 1)) % accounts.count;
        tally.attempts += transfer(session, &accounts, from, to, 1)?;
        Ok(())
    })?;
    audit(&*engine, accounts.count, crew.all.operations)?;
    engine.close()?;
    let mut readings = Readings::default();
    readings.add("transfers", crew.all.per_second(), "1/s", Better::More);
    crew.add_attempts(&mut readings, crew.all.operations);
    crew.all.add_latencies(&mut readings);
    crew.add_processor(&mut readings, cx.settings.durability);
    Ok(readings)
}

fn transfer(session: &mut dyn Session, accounts: &Table, from: u64, to: u64, amount: i32) -> Result<u64> {
    session.transact(&mut |tx| {
        let paying = Account::of(tx, accounts, from)?;
        let paid = Account::of(tx, accounts, to)?;
        tx.put(&accounts.key(from), &value(from, paying.add(-amount).round()))?;
        tx.put(&accounts.key(to), &value(to, paid.add(amount).round()))
    })
}

/// What an account's round says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Account {
    balance: i32,
    transfers: u32,
}

impl Account {
    fn of(tx: &mut dyn Writer, accounts: &Table, number: u64) -> Result<Self> {
        let (mut said, mut round) = (None, None);
        let found = tx.get(&accounts.key(number), &mut |value| {
            said = number_of(value);
            round = round_of(value);
        })?;
        verify_read(number, found, said)?;
        Ok(Self::from_round(round.ok_or("an account's value is cut")?))
    }

    fn from_round(round: u64) -> Self {
        Self { balance: (round as u32).cast_signed(), transfers: (round >> 32) as u32 }
    }

    fn round(self) -> u64 {
        u64::from(self.transfers) << 32 | u64::from(self.balance.cast_unsigned())
    }

    fn add(self, amount: i32) -> Self {
        Self { balance: self.balance.wrapping_add(amount), transfers: self.transfers.wrapping_add(1) }
    }
}

/// Goes through the books.
fn audit(engine: &dyn Engine, accounts: u64, transfers: u64) -> Result<()> {
    let (mut money, mut touched) = (0_i64, 0_u64);
    see_rows(&mut *engine.session()?, accounts, &mut |_, value| {
        let account = Account::from_round(round_of(value).unwrap_or(u64::MAX));
        money += i64::from(account.balance);
        touched += u64::from(account.transfers);
    })?;
    verify("money made or lost", money.unsigned_abs(), 0)?;
    verify("accounts touched by transfers", touched, 2 * transfers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_survives_its_round() {
        let account = Account { balance: 1, transfers: 2 }.add(-5);
        assert_eq!(account, Account { balance: -4, transfers: 3 });
        assert_eq!(Account::from_round(account.round()), account);
        assert_eq!(Account::from_round(0), Account { balance: 0, transfers: 0 });
    }
}

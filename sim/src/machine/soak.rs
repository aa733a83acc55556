//! Mixed work for a while, with an eye on the memory of the process and the files of the database.
//!
//! Writers move amounts between accounts, put and delete rows of a table that is bounded; readers sum the accounts, some
//! in snapshots that they keep for long; beside them there are checkpoints, compactions, backups that are opened and
//! checked, and tables that come and go. The sum never changes, and in the second half of the time nothing may grow.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use braid::vfs::{Clock, RealClock};
use braid::{Database, Durability, Error, Options, Result, RetryPolicy, Table, TransactionOptions};
use braid_tests::{Place, assert_clean, key, number, value};
use fastrand::Rng;

use super::could_not_begin;
use super::plateau::{is_plateau, median};
use crate::progress::bar;

const ACCOUNTS: u64 = 1000;
const START: i64 = 1000;
/// Keys of the table whose rows come and go.
const ROWS: u64 = 5000;
/// What a quantity may grow by beside a tenth: an allocator and a log breathe.
const SLACK_BYTES: u64 = 8 << 20;

#[derive(Debug, Default)]
struct Totals {
    commits: AtomicU64,
    sums: AtomicU64,
    checkpoints: AtomicU64,
    compactions: AtomicU64,
    backups: AtomicU64,
    tables: AtomicU64,
    failures: Mutex<Vec<String>>,
}

struct Soak {
    db: Database,
    accounts: Table,
    rows: Table,
    goes_on: AtomicBool,
    totals: Totals,
}

/// Works for so long with so many writers.
pub fn soak(length: Duration, writers: usize) -> ExitCode {
    let (place, elsewhere) = (Place::new(), Place::new());
    let soak = match open(&place) {
        Ok(soak) => soak,
        Err(error) => return could_not_begin("machine soak", &error),
    };
    let (mut memory, mut files) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let soak = &soak;
        for writer in 0..writers as u64 {
            scope.spawn(move || soak.again_and_again(writer, Duration::ZERO, Soak::write));
        }
        scope.spawn(|| {
            soak.again_and_again(101, Duration::from_millis(20), |soak, _| soak.sum(Duration::ZERO));
        });
        scope.spawn(|| {
            soak.again_and_again(102, Duration::ZERO, |soak, rng| {
                soak.sum(Duration::from_millis(rng.u64(0..2000)))
            });
        });
        scope.spawn(|| soak.again_and_again(103, Duration::from_millis(300), Soak::keep_house));
        scope.spawn(|| {
            soak.again_and_again(104, Duration::from_millis(700), |soak, _| {
                soak.back_up(elsewhere.directory())
            });
        });
        scope.spawn(|| soak.again_and_again(105, Duration::from_millis(50), Soak::tables_come_and_go));
        let bar = bar(length.as_secs(), "seconds");
        let clock = RealClock::new();
        while clock.now() < length && soak.goes_on.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(100));
            bar.set_position(clock.now().as_secs());
            memory.push(resident_bytes());
            files.push(place.total_bytes_now());
        }
        bar.finish_and_clear();
        soak.goes_on.store(false, Ordering::Relaxed);
    });
    let Soak { db, accounts, rows, totals, .. } = soak;
    drop((accounts, rows));
    let mut failures = totals.failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = assert_clean(&db).and_then(|()| db.close()) {
        failures.push(format!("at the end: {error}"));
    }
    for (what, samples) in [("memory", &memory), ("files", &files)] {
        if !is_plateau(samples, SLACK_BYTES) {
            let quarter = samples.len() / 4;
            let medians: Vec<u64> = samples.chunks(quarter.max(1)).map(median).collect();
            failures.push(format!("{what} grow: {medians:?} bytes in the quarters of the time"));
        }
    }
    for failure in &failures {
        eprintln!(
            "FAILED: {failure}\n  again: braid-sim machine soak --seconds {} --writers {writers}",
            length.as_secs()
        );
    }
    let figure = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mib = |samples: &[u64], of: fn(&[u64]) -> u64| of(samples) >> 20;
    let peak = |samples: &[u64]| samples.iter().copied().max().unwrap_or(0);
    println!(
        "seconds={} commits={} sums={} checkpoints={} compactions={} backups={} tables={} \
         memory_median_mib={} memory_peak_mib={} files_median_mib={} files_peak_mib={} failures={}",
        length.as_secs(),
        figure(&totals.commits),
        figure(&totals.sums),
        figure(&totals.checkpoints),
        figure(&totals.compactions),
        figure(&totals.backups),
        figure(&totals.tables),
        mib(&memory, median),
        mib(&memory, peak),
        mib(&files, median),
        mib(&files, peak),
        failures.len()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn open(place: &Place) -> Result<Soak> {
    let db = place.open_mvcc(Options {
        cache_bytes: 4 << 20,
        row_store_bytes: 8 << 20,
        log_bytes: 16 << 20,
        log_segment_bytes: 2 << 20,
        ..Options::default()
    })?;
    let (accounts, rows) = (db.table("accounts")?, db.table("rows")?);
    let mut tx = db.begin_immediate()?;
    for account in 0..ACCOUNTS {
        tx.put(&accounts, key(account), value(START))?;
    }
    tx.commit()?;
    Ok(Soak { db, accounts, rows, goes_on: AtomicBool::new(true), totals: Totals::default() })
}

impl Soak {
    /// Does `work` until the end, with a pause after each time; its first error is a failure of the soak.
    fn again_and_again(&self, seed: u64, pause: Duration, work: impl Fn(&Self, &mut Rng) -> Result<()>) {
        let mut rng = Rng::with_seed(seed);
        while self.goes_on.load(Ordering::Relaxed) {
            if let Err(error) = work(self, &mut rng) {
                let mut failures = self.totals.failures.lock().unwrap_or_else(PoisonError::into_inner);
                failures.push(format!("worker {seed}: {error}"));
                self.goes_on.store(false, Ordering::Relaxed);
                return;
            }
            if !pause.is_zero() {
                std::thread::park_timeout(pause);
            }
        }
    }

    fn write(&self, rng: &mut Rng) -> Result<()> {
        let durability = if rng.u8(..8) == 0 { Durability::Sync } else { Durability::Deferred };
        let transaction = TransactionOptions { durability: Some(durability), ..Default::default() };
        let policy =
            RetryPolicy { max_attempts: u32::MAX, deadline: None, transaction, ..RetryPolicy::default() };
        let (from, to, amount) = (rng.u64(0..ACCOUNTS), rng.u64(0..ACCOUNTS), rng.i64(1..10));
        let (row, length) =
            (rng.u64(0..ROWS), if rng.u8(..20) == 0 { rng.usize(..20_000) } else { rng.usize(..300) });
        let delete = rng.u8(..3) == 0;
        self.db.transact_with(policy, |tx| {
            for (account, change) in [(from, -amount), (to, amount)] {
                let balance = tx.get(&self.accounts, key(account))?.map_or(0, |bytes| number(&bytes));
                tx.put(&self.accounts, key(account), value(balance + change))?;
            }
            if delete {
                tx.delete(&self.rows, key(row))
            } else {
                tx.put(&self.rows, key(row), vec![7; length])
            }
        })?;
        self.totals.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Sums the accounts, now and again in the same snapshot after `keep`.
    fn sum(&self, keep: Duration) -> Result<()> {
        let snapshot = self.db.snapshot()?;
        for wait in [Duration::ZERO, keep] {
            if !wait.is_zero() {
                std::thread::park_timeout(wait);
            }
            let mut sum = 0;
            for row in snapshot.scan(&self.accounts)? {
                sum += number(&row?.1);
            }
            check_sum(sum)?;
            self.totals.sums.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn keep_house(&self, rng: &mut Rng) -> Result<()> {
        if rng.u8(..3) == 0 {
            self.db.compact()?;
            self.totals.compactions.fetch_add(1, Ordering::Relaxed);
        } else {
            self.db.checkpoint()?;
            self.totals.checkpoints.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes a backup, opens and sums it, and removes it.
    fn back_up(&self, directory: &Path) -> Result<()> {
        let path = directory.join("copy.braid");
        self.db.backup(&path)?;
        let copy = Database::open_read_only(&path)?;
        let mut sum = 0;
        for row in copy.snapshot()?.scan(&copy.table("accounts")?)? {
            sum += number(&row?.1);
        }
        check_sum(sum)?;
        assert_clean(&copy)?;
        drop(copy);
        Place::remove(&path);
        self.totals.backups.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn tables_come_and_go(&self, rng: &mut Rng) -> Result<()> {
        let name = format!("guest {}", rng.u8(..4));
        let table = self.db.table(&name)?;
        for row in 0..rng.u64(1..40) {
            self.db.put(&table, key(row), vec![1; rng.usize(..2000)])?;
        }
        drop(table);
        self.db.drop_table(&name)?;
        self.totals.tables.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn check_sum(sum: i64) -> Result<()> {
    let expected = START * i64::try_from(ACCOUNTS).unwrap_or(0);
    if sum == expected {
        Ok(())
    } else {
        Err(Error::other(format!("the accounts hold {sum}, not {expected}")))
    }
}

/// Memory of this process that is really there; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

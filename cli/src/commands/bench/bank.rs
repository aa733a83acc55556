//! `braid bench bank`: concurrent transfers between accounts, whose sum must never change.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use braid::{Database, Durability, JournalMode, Options};
use clap::ValueEnum;

use super::crew::{scratch_folder, together};
use super::ledger::Ledger;
use super::report::{Report, Totals, commits_per_sync};
use super::teller::{Shared, Tally, work};
use super::{finish, seconds};
use crate::commands::conflicts;
use crate::commands::open;
use crate::exit::{Code, Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::{count, plural, rate, ratio};
use crate::progress::Ticker;

/// How often the run looks whether it is over.
const POLL: Duration = Duration::from_millis(20);
/// How often the progress line is told.
const TICK: Duration = Duration::from_millis(500);
/// How many accounts a new bank has.
const DEFAULT_ACCOUNTS: u64 = 10_000;

/// Transfers money between accounts from many writers at once
///
/// Each transfer reads two balances and writes both in one transaction, run by the retry runner. The sum of all balances
/// is checked before the run, after it, and after closing and reopening the file; where it is not conserved the exit code
/// is 1. Ctrl-C ends the run early and still reports.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database: a new file, or a bank made by this command, which goes on; without it a temporary file
    path: Option<PathBuf>,
    /// How many accounts a new bank has; fewer means more conflicts [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=99_999_999))]
    accounts: Option<u64>,
    /// How many threads transfer
    #[arg(long, value_name = "W", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1024))]
    writers: u64,
    /// How long, in seconds
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds::parse)]
    seconds: Duration,
    /// Who may write
    #[arg(long, value_parser = open::modes(), default_value_t = JournalMode::Mvcc)]
    mode: JournalMode,
    /// What a commit promises
    #[arg(long, value_parser = open::durabilities(), default_value_t = Durability::Sync)]
    durability: Durability,
    /// Whether the writers share one handle, or each opens the file by itself
    #[arg(long, value_enum, default_value_t = Handles::Shared)]
    handles: Handles,
    /// Which accounts are picked
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// How the writers reach the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Handles {
    /// Clones of one handle
    Shared,
    /// Each writer opens the path
    Separate,
}

pub(crate) fn run(args: &Args) -> Result {
    let interrupt = Interrupt::listen();
    let (path, _temporary) = match &args.path {
        Some(path) => (path.clone(), None),
        None => {
            let folder = scratch_folder()?;
            (folder.path().join("bank.braid"), Some(folder))
        }
    };
    let options = Options { durability: args.durability, ..Options::default() };
    let db = Database::open_with(&path, options.clone())?;
    let ledger = Ledger::open(&db, args.accounts, DEFAULT_ACCOUNTS, &interrupt)?;
    db.set_journal_mode(args.mode)?;
    let found = ledger.total(&db.snapshot()?)?;
    if found != ledger.expected() {
        return Err(Failure::new(
            Code::DataProblem,
            format!("this bank holds {} and must hold {}", count(found), count(ledger.expected())),
            "something else has written into it, or money was lost; give a path that does not exist yet",
        ));
    }

    let before = db.stats();
    let began = Instant::now();
    let (tally, interrupted) = transfer_all(&db, &path, &options, &ledger, args, &interrupt)?;
    let elapsed = began.elapsed();
    let after = db.stats();
    let (gate, conflicts) = (after.gate, after.conflicts.clone());
    if let Some(error) = tally.error {
        return Err(error.into());
    }

    let total_after = ledger.total(&db.snapshot()?)?;
    db.close()?;
    let reopened = Database::open_with(&path, options)?;
    let totals =
        Totals { expected: ledger.expected(), after: total_after, reopened: ledger.total_in(&reopened)? };
    reopened.close()?;

    let report = Report {
        title: title(args, ledger.accounts),
        elapsed,
        tally,
        commits_per_sync: commits_per_sync(&before, &after),
        totals,
        conflicts,
        gate,
    };
    let wrong = if totals.conserved() { &[][..] } else { &["money was made or lost".to_owned()] };
    finish(&if args.json { report.json().to_string() } else { report.text() }, wrong, interrupted)
}

/// Runs the tellers and tells how they are doing. What they did, and whether the user has ended it early.
fn transfer_all(
    db: &Database,
    path: &Path,
    options: &Options,
    ledger: &Ledger,
    args: &Args,
    interrupt: &Interrupt,
) -> Result<(Tally, bool)> {
    let mut handles = Vec::new();
    for _ in 0..args.writers {
        handles.push(match args.handles {
            Handles::Shared => db.clone(),
            Handles::Separate => Database::open_with(path, options.clone())?,
        });
    }
    let shared = Shared::default();
    let mut interrupted = false;
    let teller = |(handle, teller): (&Database, u64)| {
        let seed = args.seed.wrapping_mul(0x1_0000_0001).wrapping_add(teller);
        work(handle, ledger, seed, &shared)
    };
    let tallies = together(&shared.stop, handles.iter().zip(0..), teller, || {
        interrupted = supervise(db, &shared, args.seconds, interrupt);
    })?;
    let mut all = Tally::new();
    tallies.into_iter().for_each(|tally| all.add(tally));
    Ok((all, interrupted))
}

/// Returns when the time is over, the user wants it to be, or a teller met an error; whether it was the user.
fn supervise(db: &Database, shared: &Shared, time: Duration, interrupt: &Interrupt) -> bool {
    let ticker = Ticker::new();
    let began = Instant::now();
    let (mut told, mut last_commits, mut last_attempts) = (began, 0, 0);
    let mut interrupted = interrupt.requested();
    while began.elapsed() < time && !interrupted && !shared.stop.load(Ordering::Relaxed) {
        thread::sleep(POLL.min(time.saturating_sub(began.elapsed())));
        if told.elapsed() >= TICK {
            let commits = shared.commits.load(Ordering::Relaxed);
            let attempts = shared.attempts.load(Ordering::Relaxed);
            let line = format!(
                "{:.1} s of {:.1}: {} commits/s, {} attempts per commit, {}",
                began.elapsed().as_secs_f64(),
                time.as_secs_f64(),
                count(rate(commits - last_commits, told.elapsed())),
                ratio(attempts - last_attempts, commits - last_commits),
                plural(commits, "commit")
            );
            ticker.tell_with(line, &conflicts::live(db));
            (told, last_commits, last_attempts) = (Instant::now(), commits, attempts);
        }
        interrupted = interrupt.requested();
    }
    ticker.finish();
    interrupted
}

fn title(args: &Args, accounts: u64) -> String {
    let name = |value: Option<clap::builder::PossibleValue>| {
        value.map(|v| v.get_name().to_owned()).unwrap_or_default()
    };
    format!(
        "{} accounts, {}, mode {}, durability {}, handles {}, seed {}",
        count(accounts),
        plural(args.writers, "writer"),
        args.mode,
        args.durability,
        name(args.handles.to_possible_value()),
        args.seed
    )
}

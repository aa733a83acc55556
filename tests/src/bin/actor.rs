//! The child process of the tests that need one: `actor COMMAND PATH [ARGUMENTS]`.
//!
//! * `open PATH`: opens for writing, prints `opened`, or `locked PID`, and ends.
//! * `read PATH`: the same, read-only.
//! * `hold PATH`: opens, prints `ready`, and keeps the database open until its input ends.
//! * `write PATH THREADS`: commits without end, printing `ack THREAD NUMBER` after each commit. Threads of even number
//!   commit with `Sync`, the others with `Deferred`. Each commit writes the row `THREAD NUMBER`, the row `THREAD last`,
//!   and now and then a row that all threads share.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use braid::{
    Database, Durability, Error, JournalMode, Options, Result, RetryPolicy, Table, TransactionOptions,
};
use braid_tests::{number, together, value};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *arguments.as_slice() {
        ["open", path] => {
            say_how_it_went(Database::open(path));
            Ok(())
        }
        ["read", path] => {
            say_how_it_went(Database::open_read_only(path));
            Ok(())
        }
        ["hold", path] => hold(path),
        ["write", path, threads] => write(path, threads.parse().unwrap_or(1)),
        _ => Err(Error::Aborted("usage: actor open|read|hold|write PATH [THREADS]".into())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error {error}"));
            ExitCode::FAILURE
        }
    }
}

/// One whole line at once, and nothing if nobody listens any more.
fn say(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).is_ok()
}

fn say_how_it_went(opened: Result<Database>) {
    let line = match opened {
        Ok(_) => "opened".to_owned(),
        Err(Error::Locked { holder: Some(pid), .. }) => format!("locked {pid}"),
        Err(Error::Locked { holder: None, .. }) => "locked unknown".to_owned(),
        Err(error) => format!("error {error}"),
    };
    say(&line);
}

fn hold(path: &str) -> Result<()> {
    let db = Database::open(path)?;
    say("ready");
    let mut input = Vec::new();
    // Whatever ends the input ends the wait.
    let _ = std::io::stdin().read_to_end(&mut input);
    db.close()
}

fn write(path: &str, threads: usize) -> Result<()> {
    let options = Options {
        row_store_bytes: 64 << 10,
        log_segment_bytes: 64 << 10,
        log_bytes: 256 << 10,
        ..Options::default()
    };
    let db = Database::open_with(path, options)?;
    db.set_journal_mode(JournalMode::Mvcc)?;
    let table = db.table("rows")?;
    say("ready");
    let heard = AtomicBool::new(true);
    together(threads, |thread| {
        let durability = if thread % 2 == 0 { Durability::Sync } else { Durability::Deferred };
        let mut last = db.get(&table, format!("{thread} last"))?.map_or(0, |bytes| number(&bytes));
        while heard.load(Ordering::Relaxed) {
            last += 1;
            commit(&db, &table, thread, last, durability)?;
            if !say(&format!("ack {thread} {last}")) {
                heard.store(false, Ordering::Relaxed);
            }
        }
        Ok(())
    })
    .map(drop)
}

fn commit(db: &Database, table: &Table, thread: usize, last: i64, durability: Durability) -> Result<()> {
    let transaction = TransactionOptions { durability: Some(durability), ..Default::default() };
    let policy =
        RetryPolicy { max_attempts: u32::MAX, deadline: None, transaction, ..RetryPolicy::default() };
    db.transact(policy, |tx| {
        let length = usize::try_from(last % 40).unwrap_or(0) * 25;
        tx.insert(table, format!("{thread} {last:09}"), vec![b'x'; length])?;
        tx.put(table, format!("{thread} last"), value(last))?;
        if last % 8 == 0 {
            let sum = tx.get(table, "shared")?.map_or(0, |bytes| number(&bytes));
            tx.put(table, "shared", value(sum + 1))?;
        }
        Ok(())
    })
    .map(drop)
}

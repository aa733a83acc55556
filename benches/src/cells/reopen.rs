//! Reopening after a kill: a child commits row by row, is killed, and its log is replayed.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use braid::{Database, Durability, Options};

use crate::Result;
use crate::cell::{self, Context, Readings, options, unfolded_options, verify_database};
use crate::rows::{Order, value};

/// The child.
#[derive(Debug, clap::Args)]
pub(crate) struct Victim {
    path: PathBuf,
    #[arg(long)]
    commits: u64,
    #[arg(long)]
    order: Order,
    /// Keep everything in the log.
    #[arg(long)]
    unfolded: bool,
}

impl Victim {
    pub(crate) fn run(&self) -> Result<()> {
        let (db, table) = cell::create(&self.path, options_for(self.unfolded))?;
        for number in 0..self.commits {
            db.put(&table, self.order.key(number), value(number, 0))?;
        }
        println!("committed");
        std::thread::sleep(Duration::from_secs(600));
        Err("nobody killed this process".into())
    }
}

fn options_for(unfolded: bool) -> Options {
    if unfolded { unfolded_options(Durability::Deferred) } else { options(Durability::Deferred) }
}

pub(super) fn sequential(cx: &Context) -> Result<Readings> {
    run(cx, Order::Sequential, true)
}

pub(super) fn random(cx: &Context) -> Result<Readings> {
    run(cx, Order::Random, true)
}

pub(super) fn default_options(cx: &Context) -> Result<Readings> {
    run(cx, Order::Random, false)
}

fn run(cx: &Context, order: Order, unfolded: bool) -> Result<Readings> {
    let path = cx.database_path();
    let commits = cx.size.rows;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("victim").arg(&path).arg("--commits").arg(commits.to_string()).arg("--order");
    command.arg(if order == Order::Sequential { "sequential" } else { "random" });
    if unfolded {
        command.arg("--unfolded");
    }
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    child.kill()?;
    child.wait()?;
    if line.trim() != "committed" {
        return Err("the child died before it was killed".into());
    }
    let log_bytes = log_bytes(&path)?;

    let began = Instant::now();
    let db = Database::open_with(&path, options_for(unfolded))?;
    let opened = began.elapsed();
    let table = db.table("rows")?;
    verify_database(&db, &table, commits)?;

    let mut readings = Readings::default();
    readings.add("open", opened.as_secs_f64() * 1000.0, "ms");
    if unfolded {
        readings.add("commits replayed", commits as f64 / opened.as_secs_f64(), "1/s");
    }
    readings.add("log files", log_bytes as f64 / f64::from(1 << 20), "MiB");
    Ok(readings)
}

fn log_bytes(path: &std::path::Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(braid::log_dir(path))? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

//! The command `syncs`: whether an engine syncs before it acknowledges, seen from outside.
//!
//! One writer commits one row at a time under strace. A durable engine has to end a sync between any two acknowledgements,
//! and when every sync is made slow, every commit has to be as slow: so a sync in the background does not pass. The same of
//! several writers at once, whose commits may share a sync, but only one that began after all of them were written: so one
//! that is under way already does not pass either.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use braid_measure::number;

use crate::cell::{AMPLE_CACHE, Context, Size};
use crate::engine::{Durability, Engine, Kind, Result, Settings};
use crate::engines;
use crate::process;
use crate::rows::{Order, value};
use crate::runner::csv::line;
use crate::runner::text::table;
use crate::runner::trace::{self, CALLS, Counts, MARK, SLOWED};
use crate::runner::{child, plan};

/// Commits whose syncs are counted.
const COMMITS: u64 = 200;
/// Commits with slow syncs.
const SLOW_COMMITS: u64 = 25;
/// Writers at once of the second run with slow syncs.
const WRITERS: u64 = 4;
/// How much slower a sync is made.
const DELAY: Duration = Duration::from_millis(20);
/// Commits before the first mark, which may make files.
const FIRST_COMMITS: u64 = 10;
const LIMIT: Duration = Duration::from_secs(120);

/// Whose syncs to count, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Engines, with commas between them; all that were built in if none is given
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    engines: Vec<String>,
    /// Where the databases are made, and removed
    #[arg(long, default_value = "target/compare/data")]
    dir: PathBuf,
    /// Where syncs.csv goes
    #[arg(long, default_value = "target/compare/results")]
    out: PathBuf,
}

/// The traced program: commits, and says so after each.
#[derive(Debug, clap::Args)]
pub(crate) struct Probe {
    engine: String,
    #[arg(value_enum)]
    durability: Durability,
    /// Of each writer
    commits: u64,
    #[arg(long, default_value_t = 1)]
    writers: u64,
    #[arg(long)]
    dir: PathBuf,
}

/// What was seen of one engine with one setting.
#[derive(Debug)]
struct Seen {
    kind: Kind,
    durability: Durability,
    counts: Counts,
    /// The fastest commit while every sync took [`DELAY`] longer; only of durable ones.
    fastest_slowed: Option<Duration>,
    /// The same of [`WRITERS`] at once.
    fastest_beside: Option<Duration>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let kinds = plan::engines(engines::ALL, &arguments.engines)?;
    if Command::new("strace").arg("-V").output().is_err() {
        return Err("strace is not installed: apt install strace, or dnf install strace".into());
    }
    child::stop_on_interrupt()?;
    std::fs::create_dir_all(&arguments.out)?;
    let mut all = Vec::new();
    let mut failed = 0;
    for durability in [Durability::Durable, Durability::Deferred] {
        for kind in &kinds {
            if durability == Durability::Durable && kind.facts.durable.is_none() {
                eprintln!("{} has no setting that syncs before it acknowledges", kind.name);
                continue;
            }
            eprint!("{} {} … ", kind.name, durability.name());
            match look(kind, durability, &arguments.dir) {
                Ok(seen) => {
                    eprintln!("{}", seen.counts.words());
                    all.push(seen);
                }
                Err(reason) => {
                    failed += 1;
                    eprintln!("failed: {reason}");
                }
            }
        }
    }
    print!("{}", table(&rows(&all)));
    let csv: String =
        rows(&all).iter().map(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>())).collect();
    std::fs::write(arguments.out.join("syncs.csv"), csv)?;
    let liars = all.iter().filter(|seen| seen.durability == Durability::Durable && !seen.is_durable());
    let liars: Vec<_> = liars.map(|seen| seen.kind.name).collect();
    match (failed, liars.as_slice()) {
        (0, []) => Ok(()),
        (0, liars) => {
            Err(format!("not seen to sync before the acknowledgement: {}", liars.join(", ")).into())
        }
        (failed, _) => Err(format!("{failed} engines could not be traced").into()),
    }
}

fn look(kind: &Kind, durability: Durability, dir: &Path) -> std::result::Result<Seen, String> {
    let (counts, _) = traced(kind, durability, dir, (1, COMMITS), None)?;
    if counts.commits != COMMITS {
        return Err(format!("the trace shows {} commits instead of {COMMITS}", counts.commits));
    }
    let slowed = |writers| match durability {
        Durability::Durable => {
            Ok(Some(traced(kind, durability, dir, (writers, SLOW_COMMITS), Some(DELAY))?.1))
        }
        Durability::Deferred => Ok::<_, String>(None),
    };
    let (fastest_slowed, fastest_beside) = (slowed(1)?, slowed(WRITERS)?);
    Ok(Seen { kind: *kind, durability, counts, fastest_slowed, fastest_beside })
}

/// Runs the probe under strace, with so many writers that commit so many rows each; tells what was counted, and the fastest
/// commit.
fn traced(
    kind: &Kind,
    durability: Durability,
    dir: &Path,
    (writers, commits): (u64, u64),
    delay: Option<Duration>,
) -> std::result::Result<(Counts, Duration), String> {
    let place = dir.join(format!("syncs-{}", std::process::id()));
    let (data, trace) = (place.join("engine"), place.join("trace"));
    std::fs::create_dir_all(&data).map_err(|error| format!("no directory for it: {error}"))?;
    let mut command = Command::new("strace");
    command.args(["-f", "-s", "64", "-e", CALLS]);
    if let Some(delay) = delay {
        command.args(["-e", &format!("inject={SLOWED}:delay_exit={}", delay.as_micros())]);
    }
    command.arg("-o").arg(&trace);
    command.arg(std::env::current_exe().map_err(|error| error.to_string())?);
    command.args(["probe", kind.name, durability.name(), &commits.to_string()]);
    command.args(["--writers", &writers.to_string(), "--dir"]).arg(&data);
    let said = child::output(&mut command, LIMIT);
    let text = std::fs::read(&trace).unwrap_or_default();
    if let Err(error) = std::fs::remove_dir_all(&place) {
        eprintln!("what it wrote could not be removed: {error}");
    }
    let said = said.map_err(|failure| failure.to_string())?;
    let nanos = said.trim().parse().map_err(|_| "it did not say how fast it was")?;
    Ok((trace::count(&String::from_utf8_lossy(&text)), Duration::from_nanos(nanos)))
}

pub(crate) fn probe(probe: Probe) -> Result<()> {
    let Probe { engine, durability, commits, writers, dir } = probe;
    let kind = plan::engine(engines::ALL, &engine)?;
    process::die_with_parent();
    let threads = usize::try_from(writers)?;
    let settings = Settings { durability, cache_bytes: AMPLE_CACHE, threads };
    let size = Size { seconds: 1.0, percent: 100 };
    let engine = Context { kind, dir, size, settings }.open()?;
    let fastest: Result<Vec<Duration>> = std::thread::scope(|scope| {
        let engine = &*engine;
        let crew: Vec<_> =
            (0..writers).map(|writer| scope.spawn(move || commit(engine, writer, commits))).collect();
        crew.into_iter().map(|writer| writer.join().map_err(|_| "a writer panicked")?).collect()
    });
    println!("{}", fastest?.into_iter().min().unwrap_or_default().as_nanos());
    // What comes after the last mark is not looked at, and closing may sync too.
    engine.close()
}

/// One writer of the traced program; tells its fastest commit.
fn commit(engine: &dyn Engine, writer: u64, commits: u64) -> Result<Duration> {
    let mut session = engine.session()?;
    let mut fastest = Duration::MAX;
    for number in 0..FIRST_COMMITS + commits {
        if number == FIRST_COMMITS {
            mark(0)?;
        }
        let row = writer * (FIRST_COMMITS + commits) + number;
        let (key, value) = (Order::Random.key(row), value(row, 0));
        let began = Instant::now();
        session.transact(&mut |tx| tx.put(&key, &value))?;
        if number >= FIRST_COMMITS {
            fastest = fastest.min(began.elapsed());
            mark(number - FIRST_COMMITS + 1)?;
        }
    }
    Ok(fastest)
}

/// One system call that the trace shows.
fn mark(number: u64) -> std::io::Result<()> {
    std::io::stderr().write_all(format!("{MARK} {number}\n").as_bytes())
}

impl Seen {
    /// Whether every commit saw a sync, and waited for it.
    fn is_durable(&self) -> bool {
        // A sync that is a write is not slowed; that one ended within every commit has to do.
        let slowed = [self.fastest_slowed, self.fastest_beside];
        let waits = slowed.into_iter().flatten().all(|fastest| fastest >= DELAY);
        self.counts.without_sync == 0 && (waits || self.syncs_by_writing())
    }

    fn syncs_by_writing(&self) -> bool {
        self.counts.syncs.keys().all(|name| name.contains("write"))
    }

    fn verdict(&self) -> &'static str {
        let hidden = self.counts.unclear.contains_key("io_uring_enter");
        match (self.durability, self.is_durable(), hidden) {
            (Durability::Durable, true, _) => "syncs before it acknowledges",
            (Durability::Durable, false, true) => "cannot be told: io_uring",
            (Durability::Durable, false, false) => "does not sync before it acknowledges",
            (Durability::Deferred, _, _) if self.counts.without_sync == 0 => {
                "syncs every commit, though it need not"
            }
            (Durability::Deferred, ..) => "does not sync every commit",
        }
    }
}

/// A header, and a row for each.
fn rows(all: &[Seen]) -> Vec<Vec<String>> {
    let header = [
        "engine",
        "durability",
        "commits",
        "syncs",
        "syncs_per_commit",
        "commits_without_sync",
        "fastest_ms_if_syncs_take_20_ms_more",
        "fastest_ms_of_4_writers_then",
        "verdict",
        "calls",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for seen in all {
        let counts = &seen.counts;
        let per_commit = counts.all_syncs() as f64 / counts.commits.max(1) as f64;
        let millis =
            |time: Option<Duration>| time.map(|time| number(time.as_secs_f64() * 1000.0)).unwrap_or_default();
        rows.push(vec![
            seen.kind.name.to_owned(),
            seen.durability.name().to_owned(),
            counts.commits.to_string(),
            counts.all_syncs().to_string(),
            format!("{per_commit:.2}"),
            counts.without_sync.to_string(),
            millis(seen.fastest_slowed),
            millis(seen.fastest_beside),
            seen.verdict().to_owned(),
            counts.words(),
        ]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(without_sync: u64, call: &str, fastest_ms: u64) -> Seen {
        beside(without_sync, call, fastest_ms, fastest_ms)
    }

    fn beside(without_sync: u64, call: &str, fastest_ms: u64, beside_ms: u64) -> Seen {
        let counts = Counts {
            commits: 200,
            without_sync,
            syncs: [(call.to_owned(), 200)].into(),
            ..Counts::default()
        };
        let [fastest_slowed, fastest_beside] =
            [fastest_ms, beside_ms].map(|ms| Some(Duration::from_millis(ms)));
        Seen {
            kind: engines::ALL[0],
            durability: Durability::Durable,
            counts,
            fastest_slowed,
            fastest_beside,
        }
    }

    #[test]
    fn a_durable_engine_waits_for_a_sync_of_every_commit() {
        assert!(seen(0, "fdatasync", 21).is_durable());
        assert!(!seen(1, "fdatasync", 21).is_durable());
        // Syncs in the background.
        assert!(!seen(0, "fdatasync", 1).is_durable());
        assert!(seen(0, "write to O_DSYNC", 1).is_durable());
        // Acknowledged while the sync of another commit was under way.
        assert!(!beside(0, "fdatasync", 21, 3).is_durable());
        assert_eq!(seen(0, "fdatasync", 1).verdict(), "does not sync before it acknowledges");
    }

    #[test]
    fn a_row_has_as_many_fields_as_the_header() {
        let rows = rows(&[seen(0, "fdatasync", 21)]);
        assert_eq!(rows[0].len(), rows[1].len());
        assert_eq!(rows[1][4], "1.00");
    }
}

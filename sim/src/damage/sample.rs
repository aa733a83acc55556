//! The databases that are damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use braid::vfs::faulty::CrashFileSystem;
use braid::vfs::memory::VirtualClock;
use braid::vfs::{Env, ThreadSpawn};
use braid::{Database, Durability, JournalMode, Options};
use braid_tests::oracle::{Action, Contents, Life, Write};

use super::copies::{Files, log_dir};
use crate::outside::{PATH, still};

/// How a database came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Closed in good order.
    Closed,
    /// Killed right after its last commit, which nothing on the disk says was synced.
    Killed,
    /// The same, before its first checkpoint.
    Young,
    /// Killed after a moment of quiet: the log says that it is durable to its end.
    Settled,
    /// Killed, opened again, and killed.
    Reopened,
}

impl Rest {
    /// All ways.
    pub(super) const ALL: [Self; 5] =
        [Self::Closed, Self::Killed, Self::Young, Self::Settled, Self::Reopened];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Killed => "killed",
            Self::Young => "young",
            Self::Settled => "settled",
            Self::Reopened => "reopened",
        }
    }
}

/// A database at rest.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) rest: Rest,
    pub(super) files: Files,
    /// The same files in the middle of its life.
    pub(super) older: Files,
    /// What it holds.
    pub(super) contents: Contents,
    /// The last commits, where nothing vouches for them but what follows them in the log.
    pub(super) tail: Vec<Last>,
    /// The segment that the tail is in.
    pub(super) tail_path: PathBuf,
    /// Where in it the record starts that vouches for the tail, if there is one: both go where one piece holds both.
    pub(super) witness: Option<usize>,
    /// Everything that a row ever was.
    pub(super) states: Vec<Contents>,
}

/// One of the last commits.
#[derive(Debug)]
pub(super) struct Last {
    /// Where its record starts in its segment.
    pub(super) from: usize,
    /// What was there before it.
    pub(super) before: Contents,
}

/// Small pages and segments.
pub(super) fn options(page_bytes: usize) -> Options {
    Options {
        page_bytes,
        cache_bytes: 256 << 10,
        log_segment_bytes: 64 << 10,
        deferred_sync_interval: Duration::from_millis(1),
        ..Options::default()
    }
}

fn write(table: &str, key: &str, value: Option<Vec<u8>>) -> Write {
    Write { table: table.to_owned(), key: key.as_bytes().to_vec(), value: value.map(Into::into) }
}

fn commit(writes: Vec<Write>) -> Action {
    Action::Commit { writes, durability: Durability::Sync }
}

/// Rows in the tree and in the log, two tables, values on pages of their own, free pages. `salt` tells databases apart.
pub(super) fn history(salt: u8) -> Vec<Action> {
    let rows = |numbers: std::ops::Range<u8>, version: u8| {
        commit(
            numbers
                .map(|number| {
                    let value = vec![version ^ salt; 5 + usize::from(number % 40)];
                    write("rows", &format!("row {number:03}"), Some(value))
                })
                .collect(),
        )
    };
    vec![
        Action::Mode(JournalMode::Mvcc),
        Action::CreateTable("rows".to_owned()),
        Action::CreateTable("notes".to_owned()),
        rows(0..60, 1),
        commit(vec![
            write("notes", "large", Some(vec![5 ^ salt; 1500])),
            write("notes", "gone", Some(vec![6; 1500])),
        ]),
        Action::Checkpoint,
        commit(vec![write("notes", "gone", None)]),
        Action::Checkpoint,
        rows(50..70, 2),
        commit(vec![write("notes", "larger", Some(vec![7 ^ salt; 700]))]),
        rows(10..13, 3),
        rows(70..73, 4),
    ]
}

/// A database that lives as `actions` say, on a machine of its own.
pub(super) struct Living {
    pub(super) machine: CrashFileSystem,
    pub(super) db: Database,
    pub(super) life: Life,
}

impl Living {
    pub(super) fn new(page_bytes: usize, seed: u64) -> Result<Self, String> {
        Self::on(CrashFileSystem::new(), page_bytes, seed)
    }

    /// One whose log keeper works when the clock goes on.
    fn kept(page_bytes: usize, clock: &Arc<VirtualClock>) -> Result<Self, String> {
        let machine = CrashFileSystem::new();
        let env = Env {
            clock: Arc::clone(clock) as _,
            spawn: Arc::new(ThreadSpawn),
            ..still(Arc::new(machine.clone()), 1)
        };
        let db = Database::open_in(env, PATH, options(page_bytes)).map_err(|error| error.to_string())?;
        Ok(Self { machine, db, life: Life::default() })
    }

    pub(super) fn on(machine: CrashFileSystem, page_bytes: usize, seed: u64) -> Result<Self, String> {
        let env = still(Arc::new(machine.clone()), seed);
        let db = Database::open_in(env, PATH, options(page_bytes)).map_err(|error| error.to_string())?;
        Ok(Self { machine, db, life: Life::default() })
    }

    pub(super) fn act(&mut self, actions: &[Action]) -> Result<(), String> {
        actions
            .iter()
            .try_for_each(|action| self.life.act(&self.db, action))
            .map_err(|error| format!("a sample cannot be made: {error}"))
    }

    /// A database with the usual history.
    pub(super) fn usual(page_bytes: usize, salt: u8) -> Result<Self, String> {
        let mut living = Self::new(page_bytes, u64::from(salt))?;
        living.act(&history(salt))?;
        Ok(living)
    }
}

impl Sample {
    /// A database that came to rest so.
    pub(super) fn new(rest: Rest, page_bytes: usize) -> Result<Self, String> {
        let error = |error: braid::Error| format!("a sample cannot be made: {error}");
        let clock = Arc::new(VirtualClock::new(Duration::ZERO));
        let mut living = if rest == Rest::Settled {
            Living::kept(page_bytes, &clock)?
        } else {
            Living::new(page_bytes, 1)?
        };
        let mut actions = history(0);
        if rest == Rest::Young {
            actions.retain(|action| !matches!(action, Action::Checkpoint));
        }
        let (mut states, mut tail) = (Vec::new(), Vec::new());
        let (mut tail_path, mut older) = (log_dir(), Files::default());
        for (number, action) in actions.iter().enumerate() {
            let (files, before) = (Files::of(&living.machine)?, living.life.newest().clone());
            living.act(std::slice::from_ref(action))?;
            states.push(living.life.newest().clone());
            if matches!(action, Action::Checkpoint) {
                // The meta page says that the log was durable up to here.
                tail.clear();
            } else {
                let (path, from) = changed(&files, &Files::of(&living.machine)?)?;
                tail_path = path;
                tail.push(Last { from, before });
            }
            if number == actions.len() / 2 {
                older = files;
            }
        }
        let contents = living.life.newest().clone();
        let mut witness = None;
        let files = match rest {
            Rest::Closed => {
                living.db.close().map_err(error)?;
                Files::of(&living.machine)?
            }
            Rest::Killed | Rest::Young => Files::of(&living.machine)?,
            Rest::Settled => {
                let before = Files::of(&living.machine)?;
                settle(&living, &clock)?;
                let after = Files::of(&living.machine)?;
                witness = Some(changed(&before, &after)?.1);
                after
            }
            Rest::Reopened => {
                let machine = living.machine.kill();
                let again = Living::on(machine.clone(), page_bytes, 2)?;
                let files = Files::of(&machine)?;
                drop(again);
                files
            }
        };
        if matches!(rest, Rest::Closed | Rest::Reopened) {
            tail.clear();
        }
        Ok(Self { rest, files, older, contents, tail, tail_path, witness, states })
    }

    /// What may be left where the bytes from `at` to `end` of a file are damaged and nothing says so: what there was before
    /// any of the last commits that lie in there, where the damage goes on through the last record of all.
    pub(super) fn limit(&self, path: &Path, at: usize, end: usize) -> Vec<&Contents> {
        let last = self.tail.last().map(|last| self.witness.unwrap_or(last.from));
        if path != self.tail_path || last.is_none_or(|last| end <= last) {
            return Vec::new();
        }
        let next = self.tail.iter().skip(1).map(|next| next.from);
        let ends = next.chain([self.witness.unwrap_or(usize::MAX)]);
        self.tail.iter().zip(ends).filter(|(_, end)| *end > at).map(|(one, _)| &one.before).collect()
    }
}

/// Waits for the log keeper, who says that the log is durable, and syncs that.
fn settle(living: &Living, clock: &VirtualClock) -> Result<(), String> {
    let bytes = living.db.stats().log.bytes_appended;
    for _ in 0..20_000 {
        if living.db.stats().log.bytes_appended > bytes && living.machine.unsynced_changes() == 0 {
            return Ok(());
        }
        clock.advance(Duration::from_millis(1));
        std::thread::park_timeout(Duration::from_micros(100));
    }
    Err("the log keeper does not come".to_owned())
}

/// The segment that a commit changed, and where its record starts.
fn changed(before: &Files, after: &Files) -> Result<(PathBuf, usize), String> {
    for (path, bytes) in &after.log().0 {
        let Some(old) = before.0.get(path) else { continue };
        if let Some(from) = old.iter().zip(bytes.iter()).position(|(old, new)| old != new) {
            // The first byte that differs is in the checksum, with which the record starts.
            return Ok((path.clone(), from / 8 * 8));
        }
    }
    Err("a commit of the sample changed no segment".to_owned())
}

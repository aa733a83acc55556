//! A random sequence of commits on a machine that may lose its power, and the oracle that judges what is left.
//!
//! Every commit sets the row `last` to its number, so what is left names the commit it claims to be; everything else
//! must be as it was right after that one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use braid::vfs::faulty::CrashFileSystem;
use braid::vfs::{Env, FileSystem};
use braid::{Database, Durability, JournalMode, Options, Result, TransactionOptions};
use braid_tests::{assert_clean, contents};
use fastrand::Rng;

pub(crate) const PATH: &str = "/data.braid";

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Every state that the database was ever asked to be in, and how far it promised to stay.
#[derive(Debug)]
pub(crate) struct Oracle {
    /// The rows after each commit, the first being the empty database.
    states: Vec<Rows>,
    /// The newest commit that was acknowledged durable.
    promised: usize,
}

impl Default for Oracle {
    fn default() -> Self {
        Self { states: vec![Rows::new()], promised: 0 }
    }
}

pub(crate) fn options(rng: &mut Rng) -> Options {
    Options {
        row_store_bytes: 64 << 10,
        cache_bytes: 64 << 10,
        page_bytes: 512,
        log_segment_bytes: 64 << 10,
        log_bytes: 128 << 10,
        map_log: rng.bool(),
        ..Options::default()
    }
}

pub(crate) fn open(files: Arc<dyn FileSystem>, options: &Options) -> Result<Database> {
    Database::open_in(Env::with_files(files), Path::new(PATH), options.clone())
}

impl Oracle {
    /// Commits, checkpoints and syncs at random until `steps` are done or something fails.
    pub(crate) fn run(&mut self, db: &Database, steps: usize, rng: &mut Rng) -> Result<()> {
        if rng.bool() {
            db.set_journal_mode(if rng.bool() { JournalMode::Mvcc } else { JournalMode::Wal })?;
        }
        let table = db.table("rows")?;
        for _ in 0..steps {
            match rng.u8(0..20) {
                0 => {
                    db.checkpoint()?;
                }
                1 => {
                    db.sync()?;
                    self.promised = self.states.len() - 1;
                }
                2 if rng.u8(0..4) == 0 => {
                    db.compact()?;
                }
                _ => {
                    let durability = if rng.bool() { Durability::Sync } else { Durability::Deferred };
                    let options = TransactionOptions { durability: Some(durability), ..Default::default() };
                    let mut tx = db.begin_with(options)?;
                    let number = self.states.len();
                    let mut rows = self.states[number - 1].clone();
                    rows.insert(b"last".to_vec(), number.to_le_bytes().to_vec());
                    tx.put(&table, "last", number.to_le_bytes())?;
                    for _ in 0..rng.usize(1..6) {
                        let key = format!("row {}", rng.u8(0..60)).into_bytes();
                        if rng.u8(0..4) == 0 {
                            tx.delete(&table, &key)?;
                            rows.remove(&key);
                        } else {
                            let length =
                                if rng.u8(0..10) == 0 { rng.usize(0..6000) } else { rng.usize(0..200) };
                            let value = vec![rng.u8(..); length];
                            tx.put(&table, &key, &value)?;
                            rows.insert(key, value);
                        }
                    }
                    // From here on the commit may be found, whatever becomes of the call.
                    self.states.push(rows);
                    tx.commit()?;
                    if durability == Durability::Sync {
                        self.promised = number;
                    }
                }
            }
        }
        Ok(())
    }

    /// Judges what an open found, and goes on from there.
    pub(crate) fn judge(&mut self, db: &Database, context: &str) -> Result<()> {
        let rows = match db.existing_table("rows")? {
            Some(table) => contents(&db.snapshot()?, &table)?,
            None => Rows::new(),
        };
        let found = rows.get(b"last".as_slice()).map_or(0, |bytes| {
            usize::from_le_bytes(bytes.as_slice().try_into().expect("the row holds a number"))
        });
        let last = self.states.len() - 1;
        assert!(
            found >= self.promised,
            "commit {found} is the last, and {} was promised: {context}",
            self.promised
        );
        assert!(found <= last, "commit {found} was never made, only {last} were: {context}");
        assert!(rows == self.states[found], "the rows are not those after commit {found}: {context}");
        assert_clean(db)?;
        self.states.truncate(found + 1);
        Ok(())
    }

    /// Says that all that was found is durable from now on, as it is after an open.
    pub(crate) fn promise_everything(&mut self) {
        self.promised = self.states.len() - 1;
    }

    /// How many commits there are.
    pub(crate) fn commits(&self) -> usize {
        self.states.len() - 1
    }
}

/// A machine whose power fails after a random number of steps, if `within` is given.
pub(crate) fn cut_within(machine: &CrashFileSystem, within: Option<u64>, rng: &mut Rng) {
    if let Some(within) = within {
        machine.cut_power_after(rng.u64(0..within));
    }
}

//! A list of operations on a machine that may fail and lose its power, beside a model of maps.
//!
//! One byte names an operation, the next ones say more. Two transactions may be open at once, so conflicts are foretold
//! too: a commit is `Busy` exactly when the model says so. Every life of the process ends in a close, a kill or a power
//! cut; what the next one finds must be the state after one of the commits, and no promised one may be missing.
//! Snapshots and transactions may have leases, which checkpoints revoke.

mod leases;
mod objects;
mod retried;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use braid::vfs::FileSystem as _;
use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Faults, Operation};
use braid::{
    Admission, ConflictKind, Database, Durability, Error, Isolation, JournalMode, Options, Savepoint,
    Snapshot, Table, Transaction, TransactionOptions,
};

use self::leases::Lease;
use self::objects::Update;
use super::bytes::take;
use super::quiet_env;
use crate::oracle::Mirror;

const FILE: &str = "/data.braid";
const TABLES: [&str; 2] = ["first", "second"];
/// More would make single runs slow and find nothing that fewer do not.
const MOST_OPERATIONS: usize = 150;
const FAILING: [Operation; 9] = [
    Operation::Open,
    Operation::Create,
    Operation::Read,
    Operation::Write,
    Operation::SetLen,
    Operation::SyncData,
    Operation::SyncAll,
    Operation::Rename,
    Operation::Remove,
];

type Key = (usize, Vec<u8>);
type Rows = BTreeMap<Key, Vec<u8>>;
type Updates = BTreeMap<Key, Vec<Update>>;

/// Where the model has tables that come and go, by name.
const MADE: usize = 2;
/// Where it has tokens.
const TOKENS: usize = 3;

/// Runs the operations that `data` lists.
///
/// # Panics
/// When the database differs from the model.
pub fn operations(mut data: &[u8]) {
    let mut model = Model { states: vec![State::default()], ..Model::default() };
    let shape = byte(&mut data);
    let mut machine = CrashFileSystem::new();
    let mut left = MOST_OPERATIONS;
    loop {
        let faulty = machine.under_faults();
        let faults = faulty.faults().clone();
        let env = quiet_env(Arc::new(faulty));
        let over = data.is_empty() || left == 0;
        // The power may fail in the midst of recovery too.
        let cut = byte(&mut data);
        let cut = (!over && cut >= 0xc0).then(|| u64::from(cut & 0x3f));
        if let Some(steps) = cut {
            machine.cut_power_after(steps);
        }
        left = left.saturating_sub(1);
        let next = match Database::open_in(env, FILE, options(shape)) {
            // An open goes on where the fold of what short lives left fails: it tells nothing, and nothing can be read.
            Ok(_) if machine.identity(Path::new(FILE)).is_err() => {
                assert!(cut.is_some(), "the power is there");
                restart(&machine, &mut data)
            }
            Ok(db) => {
                let mut life = Life {
                    db,
                    faults,
                    machine: &machine,
                    model: &mut model,
                    open: [None, None],
                    held: None,
                    leases_all: options(shape).snapshot_max_pinned_bytes.is_some(),
                    cut: cut.is_some(),
                };
                life.model.find(&life.db);
                if over {
                    return;
                }
                if shape & 8 == 0 || life.keep_up().is_ok() {
                    life.run(&mut data, &mut left);
                }
                life.end(&mut data)
            }
            Err(error) => {
                assert!(cut.is_some(), "a database that was only cut short does not open: {error}");
                restart(&machine, &mut data)
            }
        };
        machine = next;
    }
}

fn options(shape: u8) -> Options {
    Options {
        page_bytes: if shape & 1 == 0 { 512 } else { 4096 },
        cache_bytes: if shape & 2 == 0 { 4 << 10 } else { 64 << 10 },
        map_log: shape & 4 == 0,
        row_store_bytes: 4 << 20,
        max_snapshots: 64,
        log_segment_bytes: 64 << 10,
        busy_timeout: Duration::ZERO,
        snapshot_max_pinned_bytes: (shape & 0x30 == 0x30).then_some(u64::from(shape >> 6) << 10),
        ..Options::default()
    }
}

fn byte(data: &mut &[u8]) -> u8 {
    take(data, 1).first().copied().unwrap_or(0)
}

fn restart(machine: &CrashFileSystem, data: &mut &[u8]) -> CrashFileSystem {
    let more = byte(data);
    match byte(data) % 6 {
        0 | 1 => machine.kill(),
        2 => machine.crash(CrashChoice::KeepNone),
        3 => machine.crash(CrashChoice::KeepAll),
        4 => machine.crash(CrashChoice::Subset { seed: more.into(), unit: 512 }),
        _ => {
            let changes = usize::from(more) % (machine.unsynced_changes() + 1);
            machine.crash(CrashChoice::Prefix { changes, bytes: usize::from(more) * 7 })
        }
    }
}

/// The database as it is after a commit.
#[derive(Clone, Debug, Default)]
struct State {
    rows: Rows,
    /// Rows that this commit wrote, present ones and absent ones.
    wrote: Vec<Key>,
}

#[derive(Default)]
struct Model {
    states: Vec<State>,
    promised: usize,
    /// Every token that was ever used.
    tokens: BTreeSet<Vec<u8>>,
    /// Every id that was ever given out.
    ids: BTreeSet<u64>,
    mirror: Mirror,
    /// The consumer that keeps it is there for sure.
    mirrored: bool,
}

impl Model {
    fn last(&self) -> usize {
        self.states.len() - 1
    }

    /// Compares what an open found with every state that may be found.
    fn find(&mut self, db: &Database) {
        let mut found = contents(&db.snapshot().expect("an open database can be read"), db);
        for token in &self.tokens {
            if db.was_committed(token).expect("an open database can be asked").is_some() {
                found.insert((TOKENS, token.clone()), Vec::new());
            }
        }
        let at = (self.promised..self.states.len()).rev().find(|at| self.states[*at].rows == found);
        let Some(at) = at else {
            panic!("what is found is the state after none of commits {} to {}", self.promised, self.last())
        };
        self.states.truncate(at + 1);
        self.promised = at;
        let report = db.check().expect("an open database can be checked");
        assert!(report.is_ok(), "the check found {:?}", report.findings);
        objects::examine(db, self);
    }
}

fn contents(snapshot: &Snapshot, db: &Database) -> Rows {
    let mut rows = Rows::new();
    for (number, name) in TABLES.iter().enumerate() {
        let Some(table) = db.existing_table(name).expect("the catalog is in memory") else { continue };
        for row in snapshot.scan(&table).expect("a table can be read") {
            let (key, value) = row.expect("a row can be read");
            rows.insert((number, key), value);
        }
    }
    objects::made(snapshot, &mut rows).expect("tables can be read");
    rows
}

struct Open {
    tx: Transaction,
    tables: [Table; 2],
    began: usize,
    rows: Rows,
    wrote: Vec<Key>,
    read: Vec<Key>,
    /// From which key on it read each of the tables.
    scanned: [Option<Vec<u8>>; 2],
    /// Rows that it updated and did not look at since.
    blind: Updates,
    /// Rows that it looked up, and had not written: an update of one is a write.
    looked: BTreeSet<Key>,
    /// It may have used a table of which the model does not know the name.
    unsure: bool,
    /// Savepoints that are open, with what there was.
    savepoints: Vec<(Savepoint, Rows, Vec<Key>, Updates)>,
    token: Option<Vec<u8>>,
    serializable: bool,
    durable: bool,
    lease: Lease,
}

impl Open {
    fn scan_from(&mut self, number: usize, from: &[u8]) {
        let scanned = &mut self.scanned[number];
        if scanned.as_ref().is_none_or(|scanned| from < scanned.as_slice()) {
            *scanned = Some(from.to_vec());
        }
    }

    /// A row that it looked at is not updated blindly.
    fn has_looked_at(&self, key: &Key) -> bool {
        self.looked.contains(key) || self.has_scanned(key)
    }

    /// Whether it has read a table that comes and goes, and answers for it.
    fn has_used_table(&self, key: &Key) -> bool {
        key.0 == MADE && self.writes() && self.looked.contains(key)
    }

    fn writes(&self) -> bool {
        !(self.wrote.is_empty() && self.blind.is_empty())
    }

    fn has_scanned(&self, (number, key): &Key) -> bool {
        self.scanned.get(*number).is_some_and(|from| from.as_ref().is_some_and(|from| from <= key))
    }
}

/// A snapshot that is kept.
struct Held {
    snapshot: Snapshot,
    at: usize,
    lease: Lease,
}

struct Life<'m> {
    db: Database,
    faults: Faults,
    machine: &'m CrashFileSystem,
    model: &'m mut Model,
    open: [Option<Open>; 2],
    held: Option<Held>,
    /// Whatever is open may be revoked.
    leases_all: bool,
    /// The power is to be cut.
    cut: bool,
}

/// The life is over: the machine failed in a way that leaves nothing to be said of this process.
struct Over;

type Lived = Result<(), Over>;

impl Life<'_> {
    fn run(&mut self, data: &mut &[u8], left: &mut usize) {
        while *left > 0 && !data.is_empty() {
            *left -= 1;
            if self.step(data).is_err() {
                return;
            }
        }
    }

    /// An error of the machine ends the life, if the machine was told to fail.
    fn excuse<T>(&self, what: &str, result: Result<T, Error>) -> Result<T, Over> {
        result.map_err(|error| {
            let excused = self.cut || self.faults.fired() > 0;
            assert!(excused && !matches!(error, Error::Corrupt(_)), "{what}: {error}");
            Over
        })
    }

    fn step(&mut self, data: &mut &[u8]) -> Lived {
        let operation = byte(data);
        let slot = usize::from(operation >> 7);
        if operation & 0x60 == 0x60 {
            return self.objects(slot, operation & 0x1f, data);
        }
        match operation & 0x1f {
            0..=2 => self.begin(slot, byte(data)),
            3..=12 => self.write(slot, data),
            13..=15 => self.read(slot, data),
            16..=20 => self.commit(slot),
            21 => {
                self.open[slot] = None;
                Ok(())
            }
            22 => self.folds("checkpoint", |db| db.checkpoint().map(drop)),
            23 => {
                self.excuse("sync", self.db.sync())?;
                self.model.promised = self.model.last();
                Ok(())
            }
            24 => self.folds("compact", |db| db.compact().map(drop)),
            25 => self.mode(byte(data)),
            26 => self.hold(operation >> 5),
            27 => {
                let kind = FAILING[usize::from(byte(data)) % FAILING.len()];
                let how = byte(data);
                let fault = Fault::on(kind).nth(u64::from(how >> 3) + 1);
                let fault = match how & 7 {
                    0 => fault.sticky(),
                    1 => fault.kind(std::io::ErrorKind::StorageFull),
                    2 => fault.kind(std::io::ErrorKind::StorageFull).sticky(),
                    3 => fault.kind(std::io::ErrorKind::Interrupted),
                    4 => fault.short(usize::from(how)),
                    5 => fault.done_but_fails(std::io::ErrorKind::Other),
                    _ => fault,
                };
                self.faults.inject(fault);
                Ok(())
            }
            28 => {
                self.machine.cut_power_after(u64::from(byte(data)));
                self.cut = true;
                Ok(())
            }
            29 => {
                self.faults.clear();
                Ok(())
            }
            30 => self.compare(),
            _ => Err(Over),
        }
    }

    fn begin(&mut self, slot: usize, how: u8) -> Lived {
        let (serializable, durable) = (how & 1 == 1, how & 2 == 0);
        let max_age = (how & 0x80 != 0).then(|| leases::age(how >> 4));
        let admission = if how & 12 == 4 { Admission::Immediate } else { Admission::ByMode };
        let options = TransactionOptions {
            admission,
            isolation: if serializable { Isolation::Serializable } else { Isolation::Snapshot },
            durability: Some(if durable { Durability::Sync } else { Durability::Deferred }),
            max_age,
            ..TransactionOptions::default()
        };
        let token = (how & 0x40 != 0).then(|| self.model.token(how >> 2));
        let options = match &token {
            Some(token) => options.token(token.clone()),
            None => options,
        };
        self.open[slot] = None;
        let tables = match (self.db.table(TABLES[0]), self.db.table(TABLES[1])) {
            (Ok(first), Ok(second)) => [first, second],
            (Err(error), _) | (_, Err(error)) if error.is_retryable() => return Ok(()),
            (Err(error), _) | (_, Err(error)) => return self.excuse("making a table", Err(error)),
        };
        match self.db.begin_with(options) {
            Ok(tx) => {
                let began = self.model.last();
                let rows = self.model.states[began].rows.clone();
                // Nobody commits beside an exclusive one, so it keeps nothing from going.
                let lease =
                    if tx.is_exclusive() { Lease::default() } else { Lease::new(max_age, self.leases_all) };
                self.open[slot] = Some(Open {
                    tx,
                    tables,
                    began,
                    rows,
                    wrote: Vec::new(),
                    read: Vec::new(),
                    scanned: [None, None],
                    blind: Updates::new(),
                    looked: BTreeSet::new(),
                    unsure: false,
                    savepoints: Vec::new(),
                    token,
                    serializable,
                    durable,
                    lease,
                });
                Ok(())
            }
            Err(error) if error.is_retryable() => {
                assert!(self.open.iter().any(Option::is_some), "nobody holds the database, and yet: {error}");
                Ok(())
            }
            Err(error @ Error::AlreadyCommitted { .. }) => {
                let rows = &self.model.states[self.model.last()].rows;
                objects::taken(&error, token.is_some_and(|token| rows.contains_key(&(TOKENS, token))))
            }
            Err(error) => self.excuse("begin", Err(error)),
        }
    }

    fn write(&mut self, slot: usize, data: &mut &[u8]) -> Lived {
        let (which, how) = (byte(data), byte(data));
        let Some(open) = &mut self.open[slot] else { return Ok(()) };
        let number = usize::from(which >> 7);
        let table = &open.tables[number].clone();
        let key = key(which);
        let result = match how {
            0..=39 => {
                open.rows.remove(&(number, key.clone()));
                open.wrote.push((number, key.clone()));
                open.tx.delete(table, &key)
            }
            40..=47 => {
                open.scan_from(number, &key);
                open.look_from(&(number, key.clone()));
                let gone: Vec<_> = open.rows.range((number, key.clone())..(number + 1, Vec::new())).collect();
                let gone: Vec<Key> = gone.into_iter().map(|(key, _)| key.clone()).collect();
                let deleted = open.tx.delete_range(table, key.clone()..);
                if let Ok(deleted) = deleted {
                    assert_eq!(deleted, gone.len() as u64, "a range is deleted whole");
                }
                for key in gone {
                    open.rows.remove(&key);
                    open.wrote.push(key);
                }
                deleted.map(drop)
            }
            _ => {
                let length = if how > 250 {
                    3000
                } else if how > 230 {
                    300
                } else {
                    usize::from(how % 32)
                };
                let value = vec![how; length];
                open.rows.insert((number, key.clone()), value.clone());
                open.wrote.push((number, key.clone()));
                open.tx.put(table, &key, &value)
            }
        };
        self.excuse_open(slot, "writing", result)
    }

    fn read(&mut self, slot: usize, data: &mut &[u8]) -> Lived {
        let which = byte(data);
        let Some(open) = &mut self.open[slot] else { return Ok(()) };
        let number = usize::from(which >> 7);
        if which & 0x40 != 0 {
            open.look_from(&(number, Vec::new()));
        }
        let table = &open.tables[number].clone();
        let result = if which & 0x40 == 0 {
            let key = if which & 0x30 == 0x30 {
                ["sum", "most", "least", "text"][usize::from(which & 3)].as_bytes().to_vec()
            } else {
                key(which)
            };
            open.look(&(number, key.clone()));
            let table = &open.tables[number];
            let found = open.tx.get(table, &key);
            open.read.push((number, key.clone()));
            if let Ok(found) = &found {
                assert_eq!(found.as_ref(), open.rows.get(&(number, key)), "a transaction reads its state");
            }
            found.map(drop)
        } else {
            open.scan_from(number, &[]);
            let scan = open.tx.scan(table).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            if let Ok(rows) = &scan {
                let expected = open.rows.range((number, Vec::new())..(number + 1, Vec::new()));
                assert!(
                    expected
                        .map(|((_, key), value)| (key, value))
                        .eq(rows.iter().map(|(key, value)| (key, value))),
                    "a scan gives the rows of its state"
                );
            }
            scan.map(drop)
        };
        self.excuse_open(slot, "reading", result)
    }

    fn commit(&mut self, slot: usize) -> Lived {
        let Some(mut open) = self.open[slot].take() else { return Ok(()) };
        let token = open.token.take().map(|token| (TOKENS, token));
        if let Some(token) = &token {
            open.rows.insert(token.clone(), Vec::new());
            open.wrote.push(token.clone());
        }
        let since: Vec<&Key> =
            self.model.states[open.began + 1..].iter().flat_map(|state| &state.wrote).collect();
        let latest = &self.model.states[self.model.last()].rows;
        let may_lose_table =
            open.writes() && (open.unsure || since.iter().any(|key| open.has_used_table(key)));
        let lost = since.iter().any(|key| {
            open.wrote.contains(key)
                || (open.blind.contains_key(key) && open.has_looked_at(key))
                || (open.has_used_table(key) && !latest.contains_key(key))
                || (open.serializable && open.writes() && (open.has_scanned(key) || open.read.contains(key)))
        });
        let done = token.as_ref().is_some_and(|token| since.contains(&token));
        let mut rows = self.model.states[self.model.last()].rows.clone();
        for key in &open.wrote {
            match open.rows.get(key) {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        for (key, updates) in open.blind {
            if let Some(value) = objects::updated(&updates, rows.get(&key)) {
                rows.insert(key.clone(), value);
            }
            open.wrote.push(key);
        }
        let wrote = !open.wrote.is_empty();
        let state = State { rows, wrote: open.wrote };
        let committed = open.tx.commit();
        if open.lease.answers(&committed) {
            return Ok(());
        }
        match committed {
            Ok(_) => {
                assert!(!lost, "a commit that lost was taken");
                // Without writes it waits for the durable ones before it, and those are promised already.
                if wrote {
                    self.model.states.push(state);
                    if open.durable {
                        self.model.promised = self.model.last();
                    }
                }
                Ok(())
            }
            Err(error @ Error::AlreadyCommitted { .. }) => objects::taken(&error, done),
            Err(Error::Busy(conflict)) if conflict.key.is_none() && conflict.kind != ConflictKind::Schema => {
                assert!(
                    self.open.iter().any(Option::is_some),
                    "nobody holds the database, and yet: {conflict}"
                );
                Ok(())
            }
            Err(Error::Busy(conflict)) if conflict.kind == ConflictKind::Schema && may_lose_table => Ok(()),
            Err(Error::Busy(conflict)) => {
                assert!(lost, "nobody else wrote that, and yet: {conflict}");
                Ok(())
            }
            Err(error @ Error::CommitUnknown { .. }) => {
                self.model.states.push(state);
                self.excuse("commit", Err(error))
            }
            Err(error) => self.excuse("commit", Err(error)),
        }
    }

    fn mode(&mut self, how: u8) -> Lived {
        let mode = if how & 1 == 0 { JournalMode::Mvcc } else { JournalMode::Wal };
        match self.db.set_journal_mode(mode) {
            Err(Error::WriteTransactionsOpen { .. } | Error::Busy(_)) => {
                assert!(self.open.iter().any(Option::is_some), "no transaction is open");
                Ok(())
            }
            other => self.excuse("changing the journal mode", other),
        }
    }

    fn compare(&mut self) -> Lived {
        self.still()?;
        let snapshot = self.excuse("a snapshot", self.db.snapshot())?;
        let seen = self.excuse("what a snapshot sees", self.seen(&snapshot))?;
        self.same(&seen, self.model.last());
        Ok(())
    }

    /// Everything that a snapshot sees.
    fn seen(&self, snapshot: &Snapshot) -> Result<Rows, Error> {
        let mut found = Rows::new();
        for (number, name) in TABLES.iter().enumerate() {
            let Some(table) = self.db.existing_table(name)? else { continue };
            let scan = match snapshot.scan(&table) {
                // A snapshot from before the table sees none of it.
                Err(Error::NoSuchTable(_)) => continue,
                scan => scan?,
            };
            for row in scan {
                let (key, value) = row?;
                found.insert((number, key), value);
            }
        }
        objects::made(snapshot, &mut found)?;
        Ok(found)
    }

    fn same(&self, found: &Rows, at: usize) {
        let expected = self.model.states[at].rows.clone();
        let expected: Rows = expected.into_iter().filter(|((table, _), _)| *table != TOKENS).collect();
        assert_eq!(found.len(), expected.len(), "a snapshot has other rows than the model");
        assert!(*found == expected, "a snapshot has other values than the model");
    }

    /// Closes the database, or leaves it to the crash as it is; then the next machine.
    fn end(mut self, data: &mut &[u8]) -> CrashFileSystem {
        if byte(data) & 3 != 0 {
            // Dropped after the crash, the last handle closes what is no longer there.
            return restart(self.machine, data);
        }
        self.open = [None, None];
        self.held = None;
        if self.db.close().is_ok() {
            self.model.promised = self.model.last();
        }
        restart(self.machine, data)
    }
}

fn key(which: u8) -> Vec<u8> {
    let number = which & 0x1f;
    // Some are long, some share a beginning, one is empty.
    match number {
        0 => Vec::new(),
        1..=4 => vec![b'a'; 30 * usize::from(number)],
        _ => format!("row {number:03}").into_bytes(),
    }
}

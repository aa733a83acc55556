//! A subscriber of traces may call the database that tells it something, from every event that there is: nothing that the call
//! waits for is held by whoever tells.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use braid::vfs::faulty::{CrashFileSystem, Fault, Faults, Operation};
use braid::vfs::{Env, FileSystem as _, OpenMode, OpenOptions, Spawn, Task, ThreadSpawn};
use braid::{Database, Durability, Error, JournalMode, Options, SnapshotOptions};

/// What the engine tells, each in the scenario below that has it told.
const TRIED: &[&str] = &[
    "a log segment could not be recycled",
    "a snapshot is revoked",
    "a writer has waited for the checkpoint",
    "an unfinished backup could not be removed",
    "checked",
    "checkpoint begins",
    "checkpoint ends",
    "checkpoint failed",
    "closed",
    "compacted",
    "conflict",
    "folded a part of the log",
    "journal mode",
    "loaded",
    "log goes on in a fresh segment",
    "log poisoned by a failed sync",
    "log poisoned by a failed write",
    "log poisoned by its owner",
    "log read",
    "log refused",
    "no thread to replay the log with",
    "one of the two meta pages is damaged; the log tells if it matters",
    "opened",
    "poisoned: the database file could not be synced",
    "replayed the log",
    "the database was not closed cleanly; the next open replays its log",
    "the log could not be folded; all that is left of it stays in memory",
    "the log was not kept for it any longer",
    "the next log segment could not be prepared",
    "the rows of an unfinished load stay until the next open",
    "trees of unfinished loads stay until the next open",
];

/// What it tells of things that no file of a test brings about. That they are told by `events::tell`, the other test sees.
const NOT_TRIED: &[&str] = &[
    "a lock could not be given up by itself",
    "a lock goes with its descriptor",
    "a stray log segment could not be removed",
    "an open that failed was not closed cleanly",
    "no room for a segment; a shorter one is tried",
    "no segment with shorter folios could be made",
    "the database file keeps its length",
    "the database file keeps the length that a failed checkpoint gave it",
    "the directory of the log cannot be locked",
    "the log of earlier lives is folded before the file is open",
    "torn tail cut",
];

/// What the subscriber uses.
struct Host {
    env: Env,
    options: Options,
    /// `None` where it opens the file itself.
    db: Option<Database>,
}

static HOST: Mutex<Option<Host>> = Mutex::new(None);
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static WRONG: Mutex<Vec<String>> = Mutex::new(Vec::new());

thread_local! {
    /// What it does is told too.
    static USES_IT: Cell<bool> = const { Cell::new(false) };
}

fn use_it(event: &str) -> Result<(), Error> {
    let (env, options, db) = match &*HOST.lock().unwrap() {
        Some(host) => (host.env.clone(), host.options.clone(), host.db.clone()),
        None => return Ok(()),
    };
    let db = match db {
        Some(db) => db,
        None => Database::open_in(env, "/db", options)?,
    };
    let _ = (db.stats(), db.journal_mode());
    let snapshot = db.snapshot()?;
    db.consumers()?;
    let table = db.table("told")?;
    db.put(&table, event, vec![0; 1000])?;
    let ids = db.sequence("numbers")?;
    ids.next()?;
    drop(snapshot);
    db.begin_immediate()?.commit()?;
    Ok(())
}

struct Subscriber;

struct Message(String);

impl tracing::field::Visit for Message {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl tracing::Subscriber for Subscriber {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("braid")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let Message(message) = message;
        if USES_IT.replace(true) {
            return;
        }
        // With any other the files fail, or the log is poisoned. With this one a call has waited in vain for the gate.
        if let Err(error @ Error::Busy(_)) = use_it(&message) {
            WRONG.lock().unwrap().push(format!("{message}: {error}"));
        }
        SEEN.lock().unwrap().insert(message);
        USES_IT.set(false);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// A machine with one database, which the subscriber uses.
struct Machine {
    disk: CrashFileSystem,
    env: Env,
    faults: Faults,
    options: Options,
}

fn small() -> Options {
    Options { row_store_bytes: 256 << 10, log_segment_bytes: 64 << 10, ..Options::default() }
}

impl Machine {
    fn new(options: Options) -> Self {
        Self::on(CrashFileSystem::new(), options)
    }

    fn on(disk: CrashFileSystem, options: Options) -> Self {
        let files = disk.under_faults();
        let faults = files.faults();
        let env = Env::with_files(Arc::new(files));
        let machine = Self { disk, env, faults, options };
        machine.tell_host(None);
        machine
    }

    fn tell_host(&self, db: Option<&Database>) {
        let host = Host { env: self.env.clone(), options: self.options.clone(), db: db.cloned() };
        // Dropped outside of the lock: it may be the last handle.
        let before = HOST.lock().unwrap().replace(host);
        drop(before);
    }

    /// The subscriber opens the file itself while this does.
    fn open(&self) -> Result<Database, Error> {
        self.tell_host(None);
        let db = Database::open_in(self.env.clone(), "/db", self.options.clone())?;
        self.tell_host(Some(&db));
        Ok(db)
    }

    fn close(&self, db: Database) {
        self.faults.clear();
        self.tell_host(None);
        drop(db);
    }

    /// The process dies with the database open.
    fn killed(self, db: Database, options: Options) -> Self {
        let disk = self.disk.kill();
        // What it does on the old disk is of no account.
        let before = HOST.lock().unwrap().take();
        drop(before);
        drop(db);
        Self::on(disk, options)
    }

    fn fail(&self, operation: Operation, suffix: &'static str) {
        self.faults.inject(Fault::on(operation).on_paths_ending(suffix).sticky());
    }

    fn fail_in_log(&self, operation: Operation) {
        let in_log = |path: &Path| path.starts_with("/db-wal");
        self.faults.inject(Fault::on(operation).on_paths(in_log).sticky());
    }

    fn damage(&self, path: &Path, offset: u64) {
        let file = self.env.files.open(path, OpenOptions::new(OpenMode::ReadWrite)).unwrap();
        file.write_all_at(&[0xA5; 64], offset).unwrap();
    }
}

/// Waits for what a background thread tells.
fn await_event(event: &str) {
    while !SEEN.lock().unwrap().contains(event) {
        braid::vfs::sync::thread::yield_now();
    }
}

fn fill(db: &Database, table: &str, rows: u32) {
    let table = db.table(table).unwrap();
    for row in 0..rows {
        db.put(&table, row.to_be_bytes(), [7; 1000]).unwrap();
    }
}

fn what_goes_well() {
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        let machine = Machine::new(Options { snapshot_max_pinned_bytes: Some(0), ..small() });
        let db = machine.open().unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        let mut lost = db.begin_concurrent().unwrap();
        lost.put(&table, "key", "lost").unwrap();
        db.put(&table, "key", "won").unwrap();
        lost.commit().unwrap_err();
        db.set_journal_mode(mode).unwrap();

        // A checkpoint under way ends once a writer waits for it.
        let watched = db.clone();
        let until_stalled = move || {
            while watched.stats().stalls == 0 {
                braid::vfs::sync::thread::yield_now();
            }
        };
        machine.faults.inject(Fault::on(Operation::SyncData).on_paths_ending("/db").call(until_stalled));
        fill(&db, "t", 600);
        machine.faults.clear();

        let old = db.snapshot_with(SnapshotOptions::default()).unwrap();
        fill(&db, "t", 50);
        db.checkpoint().unwrap();
        fill(&db, "t", 50);
        db.checkpoint().unwrap();
        drop(old);
        let mut load = db.load_table("loaded").unwrap();
        load.put("key", "value").unwrap();
        load.finish().unwrap();
        db.compact().unwrap();
        assert!(db.check().unwrap().is_ok());
        machine.close(db);
    }
}

fn consumers() {
    let machine = Machine::new(Options { max_retained_log_bytes: 128 << 10, ..small() });
    let db = machine.open().unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    let start = db.snapshot().unwrap().timestamp();
    drop(db.consumer("slow", start).unwrap());
    for _ in 0..4 {
        fill(&db, "t", 200);
        db.checkpoint().unwrap();
    }
    machine.close(db);
}

/// Has no thread to give for a replay.
#[derive(Debug)]
struct NoReplayers;

impl Spawn for NoReplayers {
    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn Task>> {
        if name == "braid-replay" {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        ThreadSpawn.spawn(name, work)
    }
}

fn an_open() {
    let roomy = Options { row_store_bytes: 16 << 20, ..small() };
    let machine = Machine::new(roomy);
    let db = machine.open().unwrap();
    fill(&db, "t", 600);
    let machine = machine.killed(db, small());
    // After the meta page that the open makes sure of.
    machine.faults.inject(Fault::on(Operation::Write).on_paths_ending("/db").nth(2).sticky());
    let db = machine.open().unwrap();
    let mut machine = machine.killed(db, small());
    machine.env.spawn = Arc::new(NoReplayers);
    let db = machine.open().unwrap();
    // The open has asked for a checkpoint, and a subscriber may hold the database beyond the handle: neither is to write over
    // the damage, nor is the next open to find the core that they have.
    let machine = machine.killed(db, small());
    // The newest or the one before, the log tells.
    machine.damage(Path::new("/db"), 0);
    if let Ok(db) = machine.open() {
        machine.close(db);
    }
    let machine = Machine::new(small());
    let db = machine.open().unwrap();
    fill(&db, "t", 10);
    let machine = machine.killed(db, small());
    for name in machine.env.files.read_dir(Path::new("/db-wal")).unwrap() {
        machine.damage(&Path::new("/db-wal").join(name), 4096 + 64);
    }
    machine.open().unwrap_err();
}

fn what_fails_and_goes_on() {
    let machine = Machine::new(small());
    let db = machine.open().unwrap();
    db.set_journal_mode(JournalMode::Mvcc).unwrap();
    fill(&db, "t", 20);
    machine.fail(Operation::Write, "/db");
    db.checkpoint().unwrap_err();
    machine.faults.clear();

    machine.fail_in_log(Operation::Rename);
    machine.fail_in_log(Operation::Remove);
    while !SEEN.lock().unwrap().contains("a log segment could not be recycled") {
        fill(&db, "t", 100);
        db.checkpoint().unwrap();
    }
    machine.faults.clear();

    machine.fail(Operation::Rename, ".partial");
    machine.fail(Operation::Remove, ".partial");
    db.backup("/copy").unwrap_err();
    machine.faults.clear();

    machine.fail_in_log(Operation::Create);
    let table = db.table("t").unwrap();
    while db.put(&table, "key", [7; 1000]).is_ok() {}
    await_event("the next log segment could not be prepared");
    machine.faults.clear();

    let mut load = db.load_table("unfinished").unwrap();
    for row in 0..2000_u32 {
        load.put(row.to_be_bytes(), [7; 1000]).unwrap();
    }
    machine.fail(Operation::Write, "/db");
    drop(load);
    machine.faults.clear();
    let machine = machine.killed(db, small());
    // The first write makes the newest meta block durable again.
    machine.faults.inject(Fault::on(Operation::Write).on_paths_ending("/db").nth(2).sticky());
    let db = machine.open().unwrap();
    machine.close(db);
}

fn what_poisons() {
    for (operation, path) in [(Operation::SyncData, "/db"), (Operation::SyncData, ".seg")] {
        for mode in [JournalMode::Wal, JournalMode::Mvcc] {
            let machine = Machine::new(small());
            let db = machine.open().unwrap();
            db.set_journal_mode(mode).unwrap();
            fill(&db, "t", 20);
            if path == "/db" {
                machine.fail(operation, path);
                db.checkpoint().unwrap_err();
            } else {
                machine.fail_in_log(operation);
                db.put(&db.table("t").unwrap(), "key", "value").unwrap_err();
            }
            machine.close(db);
        }
    }
    for mode in [JournalMode::Wal, JournalMode::Mvcc] {
        let machine = Machine::new(Options { map_log: false, durability: Durability::Deferred, ..small() });
        let db = machine.open().unwrap();
        db.set_journal_mode(mode).unwrap();
        let table = db.table("t").unwrap();
        db.put(&table, "key", "value").unwrap();
        // The payload arrives, and of the header nobody knows.
        let in_log = |path: &Path| path.starts_with("/db-wal");
        machine.faults.inject(Fault::on(Operation::Write).on_paths(in_log).nth(2).sticky());
        while db.put(&table, "key", "value").is_ok() {}
        machine.close(db);
    }
    let machine = Machine::new(small());
    let db = machine.open().unwrap();
    fill(&db, "t", 1);
    machine.fail_in_log(Operation::SyncData);
    machine.tell_host(None);
    drop(db);
    machine.faults.clear();
}

#[test]
fn from_every_event_there_is() {
    tracing::subscriber::set_global_default(Subscriber).unwrap();
    let (ended, end) = mpsc::channel();
    let worker = braid::vfs::sync::thread::spawn(move || {
        for scenario in [what_goes_well, consumers, an_open, what_fails_and_goes_on, what_poisons] {
            scenario();
        }
        ended.send(()).unwrap();
    });
    let waits = Err(mpsc::RecvTimeoutError::Timeout);
    assert_ne!(end.recv_timeout(Duration::from_secs(60)), waits, "somebody waits for ever");
    worker.join().unwrap();
    let wrong = WRONG.lock().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let seen = SEEN.lock().unwrap();
    let missing: Vec<_> = TRIED.iter().filter(|event| !seen.contains(**event)).collect();
    assert!(missing.is_empty(), "these were not told: {missing:#?}");
    let unknown: Vec<_> = seen
        .iter()
        .filter(|event| !TRIED.contains(&event.as_str()) && !NOT_TRIED.contains(&event.as_str()))
        .collect();
    assert!(unknown.is_empty(), "these are in no list: {unknown:#?}");
}

/// Every event in the sources is told by `events::tell` or `events::keep`, and is in one of the lists.
#[test]
fn no_event_is_told_otherwise() {
    let files = braid::vfs::RealFileSystem;
    let mut found = BTreeSet::new();
    for folder in ["src", "../wal/src", "../mvstore/src"] {
        look_through(&files, &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    let listed: BTreeSet<_> = TRIED.iter().chain(NOT_TRIED).map(ToString::to_string).collect();
    assert_eq!(found, listed);
}

fn look_through(files: &braid::vfs::RealFileSystem, folder: &Path, found: &mut BTreeSet<String>) {
    for name in files.read_dir(folder).unwrap() {
        let path = folder.join(&name);
        if path.extension().is_none_or(|extension| extension != "rs") {
            if let Ok(true) = files.read_dir(&path).map(|_| true) {
                look_through(files, &path, found);
            }
            continue;
        }
        let file = files.open(&path, OpenOptions::new(OpenMode::ReadOnly)).unwrap();
        let mut source = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_exact_at(&mut source, 0).unwrap();
        let source = String::from_utf8(source).unwrap();
        for macro_name in ["error", "warn", "info", "debug", "trace", "event"] {
            let call = format!("tracing::{macro_name}!(");
            for (at, _) in source.match_indices(&call) {
                let before: String = source[..at].split_whitespace().collect();
                let told = [
                    "tell(move||",
                    "tell(||",
                    "tell(move||{",
                    "tell(||{",
                    "keep(move||",
                    "keep(||",
                    "keep(move||{",
                ];
                assert!(
                    told.iter().any(|told| before.ends_with(told)),
                    "{} tells subscribers where it stands: {call}",
                    path.display()
                );
                let arguments = &source[at..];
                let arguments = &arguments[..arguments.find(");").unwrap()];
                let message = arguments.rsplit('"').nth(1).unwrap();
                found.insert(message.to_owned());
            }
        }
    }
}

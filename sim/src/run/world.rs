//! The lives of one seed: open what is left, judge it, work, end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Faults, Operation};
use braid::vfs::memory::SeededRandom;
use braid::vfs::sync::thread;
use braid::vfs::{Clock as _, Env, FileSystem, OpenMode, OpenOptions, ThreadSpawn};
use braid::{ClockCache, Database, Error, Isolation, JournalMode, Stats, Timestamp, TransactionOptions};
use braid_vfs::simulation::{self, Settings, SimulatedClock};
use fastrand::Rng;

use super::disk::{LyingDisk, Mischief};
use super::faults::{Weather, befalls, log_uniform};
use super::oracle::{self, Dump, Ending, History, Start, What};
use super::panics;
use super::report::Figures;
use super::salvage::{self, Opened, Salvaged};
use super::session::{Consumers, Ids, PATH, Session, Shared};
use super::show::dump;
use super::streams::{branch, mixed};
use super::swarm::{Limits, Plan};
use super::trace::Trace;

/// A run that takes more points than this has no end.
const POINTS_MAX: u64 = 5_000_000;
/// Bytes of a meta page.
const META_BYTES: usize = 4096;
/// How often a recovery is cut short before one is let through.
const RECOVERIES_CUT: u32 = 2;

/// Runs one seed.
///
/// # Errors
/// What is wrong, as a sentence. The process should not run another seed after that: threads may be left.
pub fn run_seed(seed: u64, limits: &Limits, trace: &Trace) -> Result<Figures, String> {
    let plan = Plan::of(seed, limits);
    let settings = Settings {
        seed: plan.streams.schedule,
        switch_in: plan.switch_in.into(),
        points_max: POINTS_MAX,
        ..Settings::default()
    };
    let told = trace.clone();
    let ran = simulation::run(settings, move || {
        let figures = World::new(plan, told.clone()).run();
        told.say(format_args!("{} points", simulation::steps()));
        figures.map(|figures| Figures { points: simulation::steps(), ..figures })
    });
    let panics = panics::take();
    if let Some(panic) = panics.first() {
        return Err(format!("a panic: {panic}"));
    }
    ran.map_err(|failure| failure.to_string())?
}

/// What goes through all lives.
struct World {
    plan: Plan,
    trace: Trace,
    machine: CrashFileSystem,
    random: Arc<SeededRandom>,
    values: Arc<AtomicU64>,
    consumers: Consumers,
    /// What each commit wrote that has outlived its life.
    settled: BTreeMap<u64, oracle::Written>,
    ids: Arc<Ids>,
    /// Where the life to come begins; what was there when the last one began, until the next is open.
    start: Start,
    damaged: bool,
    figures: Figures,
    /// Tokens whose transactions are there, with their places, and a time before they were committed.
    tokens: BTreeMap<String, (u64, Duration)>,
    /// What the file may tell of conflicts.
    memo: oracle::past::Memo,
}

/// A life that is over: what happened, and how far the next one must reach back at most.
struct Past {
    model: oracle::Model,
    history: History,
    /// The power went at some time since.
    power_cut: Option<Duration>,
    /// The process ended within a call, or one failed: what was being written may be there in part.
    torn: bool,
    /// The log was damaged: its last batch may be taken for a torn tail.
    log_rotten: bool,
}

/// Bytes of the file as they once were.
struct OldPage {
    at: u64,
    page: Vec<u8>,
}

/// One opened machine with everything that can be done to it.
struct Machine {
    env: Env,
    faults: Faults,
    mischief: Mischief,
}

impl World {
    fn new(plan: Plan, trace: Trace) -> Self {
        trace.say(format_args!("{plan:?}"));
        Self {
            random: Arc::new(SeededRandom::new(mixed(plan.streams.workload, u64::MAX))),
            start: Start { mode: plan.options.journal_mode.unwrap_or_default(), ..Start::default() },
            plan,
            trace,
            machine: CrashFileSystem::new(),
            values: Arc::new(AtomicU64::new(1)),
            consumers: Consumers::default(),
            settled: BTreeMap::new(),
            ids: Arc::default(),
            damaged: false,
            figures: Figures::default(),
            tokens: BTreeMap::new(),
            memo: oracle::past::Memo::default(),
        }
    }

    fn run(mut self) -> Result<Figures, String> {
        // One for all lives, and for the copies that are made on the way.
        if self.plan.features.has("own-cache") && self.plan.sessions > 2 {
            let bytes = self.plan.options.cache_bytes;
            self.plan.options.page_cache = Some(Arc::new(ClockCache::new(bytes)));
        }
        let mut past = Past {
            model: oracle::replay(&Start::default(), &History::default())?,
            history: History::default(),
            power_cut: None,
            torn: false,
            log_rotten: false,
        };
        for life in 0..self.plan.lives {
            let mut dice = branch(self.plan.streams.faults, life.into());
            self.trace.say(format_args!("== life {life}"));
            let mut salvaged = None;
            let (db, machine) = match self.open_through_crashes(&mut dice.fork(), &mut past)? {
                Some(opened) => opened,
                None => {
                    let peeked = self.peek(&mut dice.fork())?;
                    salvaged = self.salvage(&mut dice.fork())?;
                    let machine = self.machine_now();
                    match self.open(&machine).and_then(|db| same_as(db, peeked.as_ref())) {
                        Ok(db) => (db, machine),
                        Err(error) => return self.refused(&error),
                    }
                }
            };
            if !self.take_stock(&db, &past)? {
                return Ok(self.figures);
            }
            self.judge_salvaged(salvaged.as_ref(), &db, &past)?;
            self.log_is_bounded(&db)?;
            past = self.live(life, db, machine, &mut dice)?;
        }
        self.trace.say("== the end");
        let salvaged = self.salvage(&mut branch(self.plan.streams.faults, u64::MAX))?;
        let machine = self.machine_now();
        match self.open(&machine) {
            Ok(db) => {
                if self.take_stock(&db, &past)? {
                    self.judge_salvaged(salvaged.as_ref(), &db, &past)?;
                    if let Err(error) = db.close()
                        && !self.damaged
                    {
                        return Err(format!("the last close failed: {error}"));
                    }
                }
                Ok(self.figures)
            }
            Err(error) => self.refused(&error),
        }
    }

    /// An open failed that no fault excuses. After damage it may.
    fn refused(mut self, error: &Error) -> Result<Figures, String> {
        self.trace.say(format_args!("refused: {error}"));
        let typed = matches!(
            error,
            Error::Corrupt(_)
                | Error::Mismatch(_)
                | Error::NotABraidDatabase { .. }
                | Error::NewerFormat { .. }
        );
        if self.damaged && typed {
            self.figures.refused += 1;
            return Ok(self.figures);
        }
        Err(format!("the database cannot be opened: {error}"))
    }

    fn machine_now(&self) -> Machine {
        let faulty = self.machine.under_faults();
        let (faults, mischief) = (faulty.faults(), Mischief::default());
        let disk = LyingDisk::new(Arc::new(faulty), Path::new(PATH), mischief.clone());
        let env = Env {
            files: Arc::new(disk),
            clock: Arc::new(SimulatedClock),
            random: Arc::clone(&self.random) as _,
            spawn: Arc::new(ThreadSpawn),
        };
        Machine { env, faults, mischief }
    }

    fn open(&self, machine: &Machine) -> braid::Result<Database> {
        Database::open_in(machine.env.clone(), PATH, self.plan.options.clone())
    }

    /// However many lives there were: what only a checkpoint lets go of the log takes no more than it may, but for what the
    /// last checkpoint left of a segment, and the one that the open has begun.
    fn log_is_bounded(&self, db: &Database) -> Result<(), String> {
        let (options, stats) = (&self.plan.options, db.stats());
        let unfolded = stats.log.retained_bytes - stats.feed.retained_bytes;
        let segment = options.log_segment_bytes + 2 * options.max_transaction_bytes as u64;
        let most = options.log_bytes + 2 * segment;
        let (kept, may_keep) = (stats.feed.retained_bytes, options.max_retained_log_bytes);
        if kept > may_keep && !self.damaged && !stats.log.poisoned {
            return Err(format!("{kept} bytes of log are kept for feeds and consumers; {may_keep} may be"));
        }
        if unfolded > most && !self.damaged && !stats.log.poisoned {
            return Err(format!(
                "{unfolded} bytes of log are left by earlier lives; {most} at most were to be"
            ));
        }
        Ok(())
    }

    /// Opens under crashes and faults. An open that succeeds all the same is used.
    fn open_through_crashes(
        &mut self,
        dice: &mut Rng,
        past: &mut Past,
    ) -> Result<Option<(Database, Machine)>, String> {
        for _ in 0..RECOVERIES_CUT {
            let cut = befalls(dice, &self.plan.features, "crash-in-recovery");
            let fails = befalls(dice, &self.plan.features, "fault-in-recovery");
            let steps = log_uniform(dice, 120);
            let fault = Fault::on(Operation::FALLIBLE[dice.usize(0..Operation::FALLIBLE.len())])
                .nth(1 + log_uniform(dice, 60));
            let mut own = dice.fork();
            if !cut && !fails {
                break;
            }
            let machine = self.machine_now();
            if cut {
                self.machine.cut_power_after(steps);
            }
            if fails {
                machine.faults.inject(fault);
            }
            let opened = self.open(&machine);
            self.figures.faults += machine.faults.fired();
            let fired = machine.faults.fired() > 0;
            machine.faults.clear();
            let off = self.machine.identity(Path::new("/")).is_err();
            match opened {
                Ok(db) if !off => {
                    self.machine.cut_power_after(u64::MAX);
                    // A sync may have failed without the open's noticing: then it is poisoned, and opened again.
                    if !fired {
                        return Ok(Some((db, machine)));
                    }
                    drop(db);
                }
                Ok(db) => drop(db),
                Err(error) => {
                    self.trace.say(format_args!("the open fails: {error}"));
                    let right = match &error {
                        Error::Corrupt(_) | Error::Mismatch(_) | Error::NotABraidDatabase { .. } => {
                            self.damaged
                        }
                        Error::Io { .. } | Error::NoSpace(_) | Error::Poisoned { .. } => off || fired,
                        _ => false,
                    };
                    if !right {
                        return Err(format!("an open under faults fails: {error} ({error:?})"));
                    }
                }
            }
            if off {
                if own.bool() {
                    self.cut(&mut own);
                    past.power_cut = Some(past.power_cut.unwrap_or_default());
                } else {
                    self.kill();
                }
            } else {
                self.machine.cut_power_after(u64::MAX);
            }
        }
        Ok(None)
    }

    /// Opens what is left for reading only, now and then: all is there, and not a byte is written.
    fn peek(&self, dice: &mut Rng) -> Result<Option<Dump>, String> {
        if !self.plan.features.has("read-only-first") || dice.bool() || self.start.ts == 0 {
            return Ok(None);
        }
        let machine = self.machine_now();
        let found = Database::open_read_only_in(machine.env.clone(), PATH).and_then(|db| dump(&db));
        if machine.faults.counters().changes() > 0 {
            return Err("an open for reading only has written".to_owned());
        }
        match found {
            Ok(found) => Ok(Some(found)),
            Err(_) if self.damaged => Ok(None),
            Err(error) => Err(format!("it cannot be opened for reading only: {error}")),
        }
    }

    /// Salvages a copy of what is left, now and then.
    fn salvage(&mut self, dice: &mut Rng) -> Result<Option<Salvaged>, String> {
        if !self.plan.features.has("salvage") || dice.bool() || self.start.ts == 0 {
            return Ok(None);
        }
        let files = Arc::new(self.machine.after_kill());
        let env = Env { files, ..self.machine_now().env };
        match salvage::salvage(&env, &self.plan.options) {
            Ok(salvaged) => {
                let what = if salvaged.lost() { "salvage-with-losses" } else { "salvage-whole" };
                *self.figures.operations.entry(what.to_owned()).or_default() += 1;
                Ok(Some(salvaged))
            }
            Err(error) if self.damaged => {
                self.trace.say(format_args!("nothing can be salvaged: {error}"));
                Ok(None)
            }
            Err(error) => Err(format!("what is left cannot be salvaged: {error}")),
        }
    }

    fn judge_salvaged(&self, salvaged: Option<&Salvaged>, db: &Database, past: &Past) -> Result<(), String> {
        let Some(salvaged) = salvaged else { return Ok(()) };
        let (torn, damaged) = (past.torn || past.power_cut.is_some(), self.damaged);
        salvaged.judge(&Opened { db, found: &self.start, model: &past.model, torn, damaged })
    }

    fn cut(&mut self, dice: &mut Rng) {
        let choice = match dice.u8(0..10) {
            0 => CrashChoice::KeepAll,
            1 | 2 => CrashChoice::KeepNone,
            3..=5 => CrashChoice::Subset { seed: dice.u64(..), unit: 512 },
            6 | 7 => CrashChoice::Subset { seed: dice.u64(..), unit: 8 },
            _ => CrashChoice::Prefix {
                changes: dice.usize(0..=self.machine.unsynced_changes()),
                bytes: usize::try_from(log_uniform(dice, 5000)).unwrap_or(0),
            },
        };
        self.trace.say(format_args!("-- power cut, {choice:?}"));
        self.machine = self.machine.crash(choice);
        self.figures.crashes += 1;
    }

    fn kill(&mut self) {
        self.trace.say("-- kill");
        self.machine = self.machine.kill();
        self.figures.crashes += 1;
    }

    /// Looks at what is there, and has it judged; whether to go on.
    fn take_stock(&mut self, db: &Database, past: &Past) -> Result<bool, String> {
        let found = match dump(db) {
            Ok(found) => found,
            Err(error @ (Error::Corrupt(_) | Error::Mismatch(_))) if self.damaged => {
                self.trace.say(format_args!("damage is found: {error}"));
                self.figures.refused += 1;
                return Ok(false);
            }
            Err(error) => return Err(format!("what is left cannot be read: {error}")),
        };
        self.trace.say(format_args!("found {}: {} tables", found.ts, found.tables.len()));
        let ending = past.power_cut.map_or(Ending::Stop, |after| Ending::PowerCut { after });
        let interval = self.plan.options.deferred_sync_interval;
        let promised = if past.log_rotten {
            (self.start.ts, "it was there when the log was opened before".to_owned())
        } else {
            oracle::promise(&self.start, &past.history, ending, interval)
        };
        oracle::judge(&past.model, &found, &promised)?;
        oracle::judge_mode(&self.start, &past.history, found.mode)?;
        self.look_for_tokens(db, past, found.ts)?;
        let end = Timestamp::new(found.ts).unwrap_or_default();
        self.memo.found(db.stats().past_conflicts.as_ref(), end, self.damaged)?;
        let written = past.model.written(self.start.ts).into_iter();
        self.settled.extend(written.take_while(|(ts, _)| *ts <= found.ts));
        let report = db.check().map_err(|error| format!("the check fails: {error}"));
        match report {
            Ok(report) if report.is_ok() || self.damaged => {}
            Ok(report) => return Err(format!("the check finds {:?}", report.findings)),
            Err(_) if self.damaged => {}
            Err(error) => return Err(error),
        }
        let Dump { ts, mode, tables } = found;
        self.start = Start { ts, mode, tables };
        Ok(true)
    }

    /// Tokens are there exactly as far as the history is that was found.
    fn look_for_tokens(&mut self, db: &Database, past: &Past, end: u64) -> Result<(), String> {
        let mut gone = Vec::new();
        for one in &past.history.transactions {
            let (Some(ts), Some(token)) = (one.outcome.place(), &one.token) else { continue };
            let since = past.history.token_times.get(token).copied().unwrap_or_default();
            if ts <= end {
                self.tokens.insert(token.clone(), (ts, since));
            } else {
                gone.push((token, None, Duration::MAX));
            }
        }
        let there = self.tokens.iter().map(|(token, (ts, since))| (token, Some(*ts), *since));
        for (token, place, since) in there.chain(gone) {
            match db.was_committed(token) {
                Ok(found) if found.map(Timestamp::get) == place => {}
                Ok(None) if self.plan.may_forget(since, SimulatedClock.now()) => {}
                Err(Error::Corrupt(_)) if self.damaged => {}
                found => return Err(format!("`{token}` is {found:?} instead of {place:?}")),
            }
        }
        let known = self.tokens.len() as u64;
        let now = SimulatedClock.now();
        let kept =
            self.tokens.values().filter(|(_, since)| !self.plan.may_forget(*since, now)).count() as u64;
        match db.remembered_tokens() {
            Ok(remembered) if (kept..=known).contains(&remembered) => Ok(()),
            _ if self.damaged => Ok(()),
            found => Err(format!("{found:?} tokens are remembered, of {known}, {kept} of them young")),
        }
    }

    /// One life: sessions under faults, to its end.
    fn live(&mut self, life: u32, db: Database, machine: Machine, dice: &mut Rng) -> Result<Past, String> {
        let features = self.plan.features.clone();
        if features.has("mvcc-first") && life == 0 {
            db.set_journal_mode(JournalMode::Mvcc).map_err(|error| format!("switching the mode: {error}"))?;
            self.start.mode = JournalMode::Mvcc;
        }
        let old_page = self.some_page(&mut dice.fork());
        let Machine { env, faults, mischief } = machine;
        let shared = Arc::new(Shared::new(
            env.clone(),
            self.machine.clone(),
            faults.clone(),
            mischief.clone(),
            self.plan.clone(),
            self.trace.clone(),
            self.damaged,
            Arc::clone(&self.values),
            Arc::clone(&self.consumers),
            Arc::clone(&self.ids),
        ));
        let (fired_before, began_at) = (faults.fired(), env.clock.now());
        let weather = Weather {
            faults: faults.clone(),
            mischief: mischief.clone(),
            machine: self.machine.clone(),
            page_bytes: self.plan.options.page_bytes as u64,
        };
        let planned = weather.plan(&mut dice.fork(), &features);
        if planned.contains(&"no-space") {
            shared.set_no_space();
        }
        let power_cut = befalls(dice, &features, "power-cut");
        let killed = befalls(dice, &features, "kill");
        let at_any_step = dice.u8(0..3) > 0;
        let most = u64::from(self.plan.operations * self.plan.sessions) * 12;
        let steps = log_uniform(dice, most);
        if (power_cut || killed) && at_any_step {
            self.machine.cut_power_after(steps);
        }
        self.trace.say(format_args!(
            "faults {planned:?}, cut {power_cut}, kill {killed}, at any step {at_any_step}"
        ));

        let mut history = self.sessions(life, &db, &shared)?;
        // The last sign of life: before it the power was on. After a failed sync no other follows in the background.
        let alive = match (shared.may_fail(), shared.has_power()) {
            (_, false) if faults.fired() == fired_before => history.alive,
            (false, true) => env.clock.now(),
            _ => Duration::ZERO,
        };
        faults.clear();
        faults.set_quota(None);
        faults.set_writable(None);
        mischief.clear();
        if !shared.is_damaged() && shared.has_power() {
            self.still_works(&db, &shared)?;
        }
        let stats = db.stats();
        is_at_rest(&stats)?;
        are_counted(&stats, &history)?;
        history.losses.judge(&stats, env.clock.now().saturating_sub(began_at))?;
        if stats.commits < history.commits_of_transactions() {
            let counted = stats.commits;
            let told = history.commits_of_transactions();
            return Err(format!("{counted} commits are counted, and {told} were told"));
        }
        let folded = if !shared.is_damaged() && shared.has_power() {
            fold_one_more(&db, &shared, &mut history)
        } else {
            None
        };
        self.memo
            .leave(oracle::past::Left { stats: db.stats(), folded: folded.filter(|_| shared.has_power()) });
        let closes = dice.bool();
        let began = shared.moment();
        if closes {
            match db.close() {
                Ok(()) if !shared.has_power() => {}
                Ok(()) => history.promises.push(oracle::Promise { began }),
                Err(error) => {
                    self.trace.say(format_args!("close: {error}"));
                    let damage =
                        matches!(error, Error::Corrupt(_) | Error::Mismatch(_)) && shared.is_damaged();
                    if !damage && !shared.may_fail() {
                        return Err(format!("the close fails: {error}"));
                    }
                }
            }
        } else {
            drop(db);
        }
        self.figures.faults += faults.fired() - fired_before + mischief.played();
        self.damaged |= mischief.played() > 0;
        self.figures.commits += history.commits();
        self.figures.reads += history.reads();
        self.figures.add_operations(&shared);

        let has_power = shared.has_power();
        let torn = !has_power || faults.fired() > fired_before;
        if power_cut || (!has_power && !killed) {
            let mut own = dice.fork();
            self.cut(&mut own);
        } else if killed || !has_power {
            self.kill();
        }
        if let Some(wrong) = shared.first_wrong() {
            return Err(wrong);
        }
        let model = oracle::replay(&self.start, &history)?;
        oracle::feeds(&self.settled, &model, &history, self.start.ts)?;
        let log_rotten = self.rot(dice);
        self.go_stale(dice, old_page);
        let power_cut = (power_cut || (!has_power && !killed)).then_some(alive);
        Ok(Past { model, history, power_cut, torn, log_rotten })
    }

    fn sessions(&self, life: u32, db: &Database, shared: &Arc<Shared>) -> Result<History, String> {
        let mut threads = Vec::new();
        for number in 0..self.plan.sessions {
            let rng = branch(self.plan.streams.workload, u64::from(life) << 32 | u64::from(number));
            let session = Session::new(number, rng, Arc::clone(shared), db.clone());
            let thread = thread::Builder::new()
                .name(format!("session {number}"))
                .spawn(move || session.run())
                .map_err(|error| format!("no thread for a session: {error}"))?;
            threads.push(thread);
        }
        let mut history = History::default();
        for thread in threads {
            let session = thread.join().map_err(|_| "a session panicked".to_owned())?;
            history.merge(session);
        }
        Ok(history)
    }

    /// Once the faults are over, a database that is not poisoned takes commits again.
    fn still_works(&self, db: &Database, shared: &Shared) -> Result<(), String> {
        match db.checkpoint() {
            Ok(_) => Ok(()),
            // A failed sync; only the next open helps.
            Err(Error::Poisoned { .. }) if shared.may_fail() => Ok(()),
            // The power is cut here as anywhere.
            Err(_) if !shared.has_power() => Ok(()),
            Err(error) => Err(format!("the faults are over, and a checkpoint still fails: {error}")),
        }
    }

    /// Damages the files at rest, if that is planned; whether it was the log.
    fn rot(&mut self, dice: &mut Rng) -> bool {
        let rots = befalls(dice, &self.plan.features, "bit-rot");
        let mut own = dice.fork();
        if !rots {
            return false;
        }
        let mut files = vec![Path::new(PATH).to_owned()];
        let log = Path::new("/data.braid-wal");
        for name in self.machine.read_dir(log).unwrap_or_default() {
            files.push(log.join(name));
        }
        let path = files[own.usize(0..files.len())].clone();
        let flipped = self.flip(&path, &mut own);
        self.trace.say(format_args!("-- {} rots: {flipped:?}", path.display()));
        if flipped.is_ok() {
            self.damaged = true;
            self.figures.faults += 1;
        }
        path.starts_with(log)
    }

    /// A page of the database file, or a meta page, as it is now.
    fn some_page(&self, dice: &mut Rng) -> Option<OldPage> {
        let file = self.machine.open(Path::new(PATH), OpenOptions::new(OpenMode::ReadOnly)).ok()?;
        let bytes = self.plan.options.page_bytes.min(META_BYTES);
        let pages = file.len().ok()? / bytes as u64;
        let at = log_uniform(dice, pages.saturating_sub(1)) * bytes as u64;
        let mut page = vec![0; bytes];
        file.read_exact_at(&mut page, at).ok()?;
        Some(OldPage { at, page })
    }

    /// Puts a page back as it was, if that is planned: a disk that has lost what was written there since.
    fn go_stale(&mut self, dice: &mut Rng, old: Option<OldPage>) {
        let stale = befalls(dice, &self.plan.features, "stale-page");
        let (true, Some(OldPage { at, page })) = (stale, old) else { return };
        let Ok(file) = self.machine.open(Path::new(PATH), OpenOptions::new(OpenMode::ReadWrite)) else {
            return;
        };
        let mut now = vec![0; page.len()];
        if file.read_exact_at(&mut now, at).is_ok() && now != page && file.write_all_at(&page, at).is_ok() {
            let synced = file.sync_data();
            self.trace.say(format_args!("-- what was written at {at} is lost: {synced:?}"));
            self.damaged = true;
            self.figures.faults += 1;
        }
    }

    /// Changes up to 16 bytes in a row.
    fn flip(&self, path: &Path, dice: &mut Rng) -> std::io::Result<u64> {
        let file = self.machine.open(path, OpenOptions::new(OpenMode::ReadWrite))?;
        let len = file.len()?;
        let at = if dice.bool() { log_uniform(dice, len) } else { dice.u64(0..=len) };
        let mut bytes = vec![0; dice.usize(1..=16).min(usize::try_from(len - at).unwrap_or(0))];
        file.read_exact_at(&mut bytes, at)?;
        for byte in &mut bytes {
            *byte ^= dice.u8(1..);
        }
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        Ok(at)
    }
}

/// Nothing is open any more, and nobody waits.
fn is_at_rest(stats: &Stats) -> Result<(), String> {
    let waits = stats.futures.to_commit + stats.futures.for_sync;
    if stats.open_snapshots + stats.feed.open + waits + stats.pinned_bytes > 0 {
        return Err(format!("nobody works any more, and something is open: {stats:?}"));
    }
    Ok(())
}

/// Savepoints and refused tokens: each was seen.
fn are_counted(stats: &Stats, history: &History) -> Result<(), String> {
    let made = |what: &What| matches!(what, What::Savepoint { .. });
    let taken_back = |act: &&oracle::Act| matches!(act.what, What::TakenBack { .. });
    let all = &history.transactions;
    let transactions = all.iter().filter(|one| one.acts.iter().any(|act| made(&act.what))).count() as u64;
    let rollbacks = all.iter().flat_map(|one| &one.acts).filter(taken_back).count() as u64;
    let refused = history.tokens_refused;
    if (stats.savepoints.transactions, stats.savepoints.rollbacks) != (transactions, rollbacks) {
        return Err(format!("{:?}, and {transactions} with {rollbacks} were seen", stats.savepoints));
    }
    if stats.tokens.refused != refused {
        return Err(format!("{:?} tokens were refused, and {refused} were seen", stats.tokens));
    }
    Ok(())
}

/// Commits once more, and folds that; where it is folded to.
fn fold_one_more(db: &Database, shared: &Shared, history: &mut History) -> Option<Timestamp> {
    let token = shared.token();
    history.token_times.insert(token.clone(), shared.env.clock.now());
    let tx = db.begin_with(TransactionOptions::default().token(token.as_bytes())).ok()?;
    let (begin, exclusive) = (tx.timestamp().get(), tx.is_exclusive());
    let committed = tx.commit();
    let stands = shared.has_power();
    let outcome = match &committed {
        Ok(commit) => {
            let acked = shared.moment();
            if stands {
                history.alive = acked.time;
            }
            oracle::Outcome::Committed { ts: commit.timestamp.get(), acked }
        }
        Err(Error::CommitUnknown { commit_ts, .. }) => oracle::Outcome::Unknown { ts: commit_ts.get() },
        Err(_) => oracle::Outcome::Nothing,
    };
    history.transactions.push(oracle::Transaction {
        session: u32::MAX,
        begin_ts: Some(begin),
        read_only: false,
        exclusive,
        isolation: Isolation::Snapshot,
        durability: shared.plan.options.durability,
        stands,
        token: Some(token),
        acts: Vec::new(),
        outcome,
    });
    committed.ok()?;
    db.checkpoint().ok().map(|folded| folded.timestamp)
}

/// A database that holds what was found before, if anything was.
fn same_as(db: Database, peeked: Option<&Dump>) -> braid::Result<Database> {
    if let Some(peeked) = peeked {
        let found = dump(&db)?;
        if found.ts != peeked.ts || found.tables != peeked.tables || found.mode != peeked.mode {
            return Err(Error::Aborted(format!("read-only it was {peeked:?}, and now it is {found:?}")));
        }
    }
    Ok(db)
}

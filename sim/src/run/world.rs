//! The lives of one seed: open what is left, judge it, work, end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use braid::vfs::faulty::{CrashChoice, CrashFileSystem};
use braid::vfs::memory::SeededRandom;
use braid::vfs::sync::thread;
use braid::{ClockCache, Database, Error, JournalMode};
use braid_vfs::simulation::{self, Settings};
use fastrand::Rng;

use super::faults::{Weather, befalls, log_uniform};
use super::oracle::{self, History, Start};
use super::panics;
use super::report::Figures;
use super::session::{Consumers, Ids, Session, Shared};
use super::streams::{branch, mixed};
use super::swarm::{Limits, Plan};
use super::trace::Trace;

mod calm;
mod decay;
mod opening;
mod stock;

use calm::{are_counted, fold_one_more, is_at_rest, still_works};
use opening::{Machine, same_as};

/// A run that takes more points than this has no end.
const POINTS_MAX: u64 = 5_000_000;

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
            still_works(&db, &shared)?;
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
                Ok(_) if !shared.has_power() => {}
                Ok(_) => history.promises.push(oracle::Promise { began }),
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
}

//! Goes over moments and choices until enough states were seen.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use braid::vfs::faulty::{CrashChoice, CrashFileSystem};
use indicatif::ProgressBar;

use super::path::{StatePath, Step};
use super::recorder::Moment;
use super::tour::Tour;
use super::workload::{NAMES, Recording, Workload, record_recovery};
use super::{choices, image};

/// One of so many new images has its recovery recorded.
const RECOVERY_OF: u64 = 1024;
/// One of so many moments of a workload is followed by a kill, whose recovery is recorded.
const KILL_OF: usize = 32;
/// One of so many moments of a recovery is gone into: many recoveries in part show more than few as a whole.
const RECOVERED_OF: usize = 4;
/// One of so many new images takes another commit, and another power cut.
const COMMIT_OF: u64 = 16;
/// The most random choices of a moment of the variation that is gone through to its end.
const RANDOM_FIRST: u64 = 8;
/// The most random choices of a moment of any other.
const RANDOM_MAX: u64 = 48;
/// Random choices that give nothing new before a moment is left.
const RANDOM_STALE: u32 = 8;

/// A search through the states of some workloads.
#[derive(Debug)]
pub struct Search {
    /// The first variation of each workload.
    pub seed: u64,
    /// Images to see, all different.
    pub states: u64,
    /// Threads.
    pub jobs: usize,
    /// The workloads; all where there is none.
    pub workload: Option<&'static str>,
}

/// What a search saw.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Variations of workloads that were gone into.
    pub workloads: u64,
    /// Workloads of which every moment of the first variation was gone through.
    pub complete: u64,
    /// Workloads there are.
    pub names: u64,
    /// Moments of these runs.
    pub moments: u64,
    /// Recoveries recorded.
    pub recoveries: u64,
    /// Crashes made.
    pub tried: u64,
    /// Different images that they left, all opened and judged.
    pub states: u64,
    /// Those of them that the crash of a recovery left.
    pub of_recoveries: u64,
    /// What must not be, each with the command that shows it again.
    pub failures: Vec<String>,
}

/// What all threads share.
pub(super) struct Shared<'a> {
    /// What the images hold that were seen: the fingerprint of the contents, or nothing where they cannot be judged.
    seen: Vec<Mutex<HashMap<u64, Option<u64>>>>,
    bar: &'a ProgressBar,
    goal: AtomicU64,
    pub(super) moments: AtomicU64,
    recoveries: AtomicU64,
    tried: AtomicU64,
    states: AtomicU64,
    of_recoveries: AtomicU64,
}

/// A state that was judged.
struct Judged {
    /// Which state of the life it is.
    found: usize,
    image: u64,
    is_new: bool,
}

impl Search {
    /// Searches: first through one variation of each workload to its end, as far as that fits into the states that were asked
    /// for; then through a sample of others. Every workload gets its share.
    #[must_use]
    pub fn run(&self, bar: &ProgressBar) -> Figures {
        let shared = Shared::new(bar);
        let names: Vec<_> =
            NAMES.into_iter().filter(|name| self.workload.is_none_or(|one| one == *name)).collect();
        let mut figures = Figures { names: names.len() as u64, ..Figures::default() };
        let first = |name: &&'static str| Tour::new(Workload { name, seed: self.seed }, RANDOM_FIRST);
        let mut tours: Vec<_> = names.iter().map(first).collect();
        figures.workloads += tours.len() as u64;
        while !tours.is_empty() && shared.states() < self.states {
            self.turn(&shared, &mut tours, &mut figures);
            let under_way = tours.len();
            tours.retain(|tour| !tour.is_over());
            figures.complete += (under_way - tours.len()) as u64;
        }
        for seed in self.seed.saturating_add(1).. {
            let before = shared.states();
            if before >= self.states {
                break;
            }
            let another = |name: &&'static str| Tour::new(Workload { name, seed }, RANDOM_MAX);
            let mut tours: Vec<_> = names.iter().map(another).collect();
            figures.workloads += tours.len() as u64;
            self.turn(&shared, &mut tours, &mut figures);
            if shared.states() == before {
                break;
            }
        }
        figures.moments = shared.moments.into_inner();
        figures.recoveries = shared.recoveries.into_inner();
        figures.tried = shared.tried.into_inner();
        figures.states = shared.states.into_inner();
        figures.of_recoveries = shared.of_recoveries.into_inner();
        figures
    }

    /// Goes on with each tour, and shares what is left to do among those that are left to do it.
    fn turn(&self, shared: &Shared<'_>, tours: &mut [Tour], figures: &mut Figures) {
        let count = tours.len();
        for (place, tour) in tours.iter_mut().enumerate() {
            let left = self.states.saturating_sub(shared.states());
            let share = left.div_ceil((count - place) as u64);
            shared.goal.store(shared.states() + share, Ordering::Relaxed);
            figures.failures.extend(tour.go_on(shared, self.jobs));
        }
    }

    /// Judges one state.
    ///
    /// # Errors
    /// What is wrong with it, or with its name.
    pub fn rerun(workload: Workload, path: &StatePath) -> Result<(), String> {
        let bar = ProgressBar::hidden();
        let shared = Shared::new(&bar);
        let mut recording = workload.record()?;
        for (place, step) in path.0.iter().enumerate() {
            let moment = recording.moments.get(step.moment).ok_or_else(|| {
                format!("there are only {} moments, and {step} asks for another", recording.moments.len())
            })?;
            let judged = shared.judge(&recording, moment, step.choice, true)?;
            if place + 1 < path.0.len() {
                recording = recover(&recording, moment, step.choice, judged.found)?;
            }
        }
        Ok(())
    }
}

impl<'a> Shared<'a> {
    fn new(bar: &'a ProgressBar) -> Self {
        Self {
            seen: (0..64).map(|_| Mutex::default()).collect(),
            bar,
            goal: AtomicU64::new(u64::MAX),
            moments: AtomicU64::new(0),
            recoveries: AtomicU64::new(0),
            tried: AtomicU64::new(0),
            states: AtomicU64::new(0),
            of_recoveries: AtomicU64::new(0),
        }
    }

    fn states(&self) -> u64 {
        self.states.load(Ordering::Relaxed)
    }

    /// Whether enough was seen for now.
    pub(super) fn is_done(&self) -> bool {
        self.states() >= self.goal.load(Ordering::Relaxed)
    }

    /// Goes over the choices of a moment, and over the recoveries of some of the images.
    pub(super) fn explore(
        &self,
        recording: &Recording,
        number: usize,
        before: &StatePath,
        random_max: u64,
    ) -> Result<(), String> {
        let Some(moment) = recording.moments.get(number) else { return Ok(()) };
        let is_first = before.0.is_empty();
        let try_one = |choice: Option<CrashChoice>| {
            let path = before.then(Step { moment: number, choice });
            let named = |error| format!("{error} --state {path}");
            let judged = self.judge(recording, moment, choice, false).map_err(named)?;
            if judged.is_new && !is_first {
                self.of_recoveries.fetch_add(1, Ordering::Relaxed);
            }
            let recovers = match choice {
                None => true,
                Some(_) => judged.is_new && judged.image.is_multiple_of(RECOVERY_OF),
            };
            if is_first && recovers {
                self.recoveries.fetch_add(1, Ordering::Relaxed);
                let recovery = recover(recording, moment, choice, judged.found).map_err(named)?;
                let first = number % RECOVERED_OF;
                for number in (first..recovery.moments.len()).step_by(RECOVERED_OF) {
                    self.explore(&recovery, number, &path, random_max)?;
                }
            }
            Ok::<_, String>(judged.is_new)
        };
        let last = number.checked_sub(1).and_then(|last| recording.moments.get(last));
        for choice in choices::systematic(last, moment) {
            try_one(Some(choice))?;
        }
        if is_first && number.is_multiple_of(KILL_OF) {
            try_one(None)?;
        }
        if moment.machine.unsynced_changes() > 0 {
            let mut stale = 0;
            for seed in 0..random_max {
                let is_new = try_one(Some(choices::random(seed + RANDOM_MAX * number as u64)))?;
                stale = if is_new { 0 } else { stale + 1 };
                if stale == RANDOM_STALE {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Makes a crash, and judges what it leaves.
    fn judge(
        &self,
        recording: &Recording,
        moment: &Moment,
        choice: Option<CrashChoice>,
        deep: bool,
    ) -> Result<Judged, String> {
        self.tried.fetch_add(1, Ordering::Relaxed);
        let image = crash(moment, choice);
        let print = image::fingerprint(&image)?;
        let known = self.shard(print).get(&print).copied();
        let is_new = known.is_none();
        let contents = match known {
            Some(Some(contents)) => contents,
            Some(None) => return Err("this image cannot be judged, as was said before".to_owned()),
            None => {
                let deep = deep || print.is_multiple_of(COMMIT_OF);
                let examined = image::examine(&image, &recording.options, deep);
                let contents = examined.as_ref().ok().map(braid_tests::oracle::Contents::fingerprint);
                self.shard(print).insert(print, contents);
                let states = self.states.fetch_add(1, Ordering::Relaxed) + 1;
                if states.is_multiple_of(256) {
                    self.bar.set_position(states);
                }
                examined?.fingerprint()
            }
        };
        // What a cut keeps whole is what a kill would leave.
        let killed = matches!(choice, None | Some(CrashChoice::KeepAll));
        let found = recording.life.judge(contents, moment.marks, killed)?;
        if is_new || moment.told_only {
            let image = || crash(moment, choice);
            image::examine_beside(image, &recording.life, (found, moment.marks), &recording.options)?;
        }
        Ok(Judged { found, image: print, is_new })
    }

    fn shard(&self, print: u64) -> std::sync::MutexGuard<'_, HashMap<u64, Option<u64>>> {
        let place = usize::try_from(print >> 32).unwrap_or(0) % self.seen.len();
        self.seen[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a crash at a moment leaves.
fn crash(moment: &Moment, choice: Option<CrashChoice>) -> CrashFileSystem {
    match choice {
        None => moment.machine.after_kill(),
        Some(choice) => moment.machine.after_crash(choice),
    }
}

/// Records the recovery of what a crash at a moment leaves. What is on the disk must stay; what a kill left in the
/// page cache must stay once the open has shown it.
fn recover(
    recording: &Recording,
    moment: &Moment,
    choice: Option<CrashChoice>,
    found: usize,
) -> Result<Recording, String> {
    let life = recording.life.go_on(found, moment.marks, choice.is_some());
    record_recovery(&crash(moment, choice), life, &recording.options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_survives_every_crash_that_is_tried() {
        let search = Search { seed: 1, states: 1000, jobs: 2, workload: None };
        let figures = search.run(&ProgressBar::hidden());
        assert_eq!(figures.failures, Vec::<String>::new());
        assert!(figures.states >= 1000 && figures.of_recoveries > 100, "{figures:?}");
        assert_eq!(figures.workloads, NAMES.len() as u64);
        assert_eq!(figures.complete, 0, "so few states end none of them");
    }

    #[test]
    fn a_turn_goes_on_where_the_last_one_ended() {
        let workload = Workload { name: "log", seed: 1 };
        let moments = workload.record().unwrap().moments.len() as u64;
        let bar = ProgressBar::hidden();
        let shared = Shared::new(&bar);
        let mut tour = Tour::new(workload, 1);
        let mut gone = 0;
        for _ in 0..4 {
            shared.goal.store(shared.states() + 20, Ordering::Relaxed);
            assert_eq!(tour.go_on(&shared, 2), Vec::<String>::new());
            // Each moment once: what was passed over in one turn is left for the next.
            let now = shared.moments.load(Ordering::Relaxed);
            assert!(now > gone && !tour.is_over(), "{now} of {moments}");
            assert_eq!(now + tour.left(), moments);
            gone = now;
        }
    }

    #[test]
    fn a_run_is_the_same_every_time() {
        // Under pressure a thread folds, and a writer that waits for it asks for one fold more when that takes long.
        for name in NAMES.into_iter().filter(|name| *name != "pressure") {
            let record = || Workload { name, seed: 5 }.record().unwrap();
            let (one, other) = (record(), record());
            assert_eq!(one.moments.len(), other.moments.len(), "{name}");
            let last = |recording: &Recording| {
                let moments = recording.moments.iter().step_by(7);
                let images = moments.map(|moment| image::fingerprint(&moment.machine).unwrap());
                images.collect::<Vec<_>>()
            };
            assert_eq!(last(&one), last(&other), "{name}");
        }
    }

    #[test]
    fn what_was_promised_and_is_gone_is_found() {
        // A book that promises each commit as soon as it is begun: every crash before its sync breaks that.
        let workload = Workload { name: "log", seed: 1 };
        let mut recording = workload.record().unwrap();
        for moment in &mut recording.moments {
            moment.marks.promised = moment.marks.begun;
        }
        let bar = ProgressBar::hidden();
        let shared = Shared::new(&bar);
        let explored =
            (0..recording.moments.len()).map(|at| shared.explore(&recording, at, &StatePath::default(), 8));
        let failures: Vec<String> = explored.filter_map(Result::err).collect();
        assert!(failures.len() > 10, "{failures:?}");
        assert!(
            failures[0].contains("lacks what was promised") && failures[0].contains("--state "),
            "{failures:?}"
        );
    }

    #[test]
    fn a_state_is_found_again_by_its_name() {
        let workload = Workload::named("checkpoints", 2).unwrap();
        for path in ["40/all", "40/prefix:1:1", "41/subset:3:8", "60/kill,5/none", "70/none,9/all"] {
            Search::rerun(workload, &path.parse().unwrap()).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        assert!(Search::rerun(workload, &"100000/all".parse().unwrap()).is_err());
        assert!(Workload::named("nothing", 0).is_err());
    }
}

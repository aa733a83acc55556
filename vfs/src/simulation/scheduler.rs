//! Who runs, and who waits for what.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Failure;
use super::task::Baton;
use crate::Random as _;
use crate::memory::SeededRandom;

/// What decides a run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The same seed makes the same run.
    pub seed: u64,
    /// At one in so many points the baton is passed on; 1 at each.
    pub switch_in: u64,
    /// The most time that passes from one point to the next.
    pub tick: Duration,
    /// After so many points the run is given up as one without end.
    pub points_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seed: 0, switch_in: 4, tick: Duration::from_micros(20), points_max: 50_000_000 }
    }
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A lock or a condition variable, by its address.
    Address(usize),
    /// The end of a task.
    End(usize),
    /// To be unparked.
    Unpark,
    /// Only its deadline.
    Time,
}

impl Place {
    /// The place of a lock or a condition variable.
    pub(crate) fn of<T>(what: &T) -> Self {
        Self::Address(std::ptr::from_ref(what).addr())
    }
}

#[derive(Debug)]
enum Status {
    Runnable,
    Waiting { place: Place, deadline: Option<Duration> },
    Ended,
}

#[derive(Debug)]
pub(super) struct Task {
    name: String,
    baton: Baton,
    status: Status,
    /// The last wait ended at its deadline.
    timed_out: bool,
    /// It was unparked and has not noticed.
    unparked: bool,
    /// Its thread, until whoever runs next has seen it end.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
pub(super) struct Scheduler {
    settings: Settings,
    state: Mutex<State>,
    /// Passed to when all is over: the thread that called `run`.
    host: Baton,
}

#[derive(Debug)]
struct State {
    tasks: Vec<Task>,
    random: SeededRandom,
    now: Duration,
    points: u64,
    /// A task that has ended and whose thread is yet to.
    ending: Option<JoinHandle<()>>,
    failure: Option<Failure>,
}

/// Whom the baton goes to.
#[derive(Clone, Copy)]
enum Next {
    Task(usize),
    /// Nobody: all have ended, or none can go on.
    Host,
}

impl State {
    fn runnable(&self) -> impl Iterator<Item = usize> {
        let tasks = self.tasks.iter().enumerate();
        tasks.filter(|(_, task)| matches!(task.status, Status::Runnable)).map(|(id, _)| id)
    }

    /// One of those who can run.
    fn choose(&mut self) -> Next {
        let mut count = self.runnable().count() as u64;
        if count == 0 {
            let deadlines = self.tasks.iter().filter_map(|task| match task.status {
                Status::Waiting { deadline, .. } => deadline,
                _ => None,
            });
            if let Some(first) = deadlines.min() {
                self.now = self.now.max(first);
                self.end_waits_of_the_past();
                count = self.runnable().count() as u64;
            }
        }
        if count == 0 {
            if self.tasks.iter().any(|task| !matches!(task.status, Status::Ended)) {
                let threads = self.describe();
                self.failure.get_or_insert(Failure::Deadlock { threads });
            }
            return Next::Host;
        }
        let place = usize::try_from(self.random.below(count)).unwrap_or(0);
        self.runnable().nth(place).map_or(Next::Host, Next::Task)
    }

    fn end_waits_of_the_past(&mut self) {
        let now = self.now;
        for task in &mut self.tasks {
            if let Status::Waiting { deadline: Some(deadline), .. } = task.status
                && deadline <= now
            {
                task.status = Status::Runnable;
                task.timed_out = true;
            }
        }
    }

    fn describe(&self) -> Vec<String> {
        let tasks = self.tasks.iter().filter(|task| !matches!(task.status, Status::Ended));
        tasks.map(|task| format!("`{}` is {:?}", task.name, task.status)).collect()
    }
}

impl Scheduler {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: Mutex::new(State {
                tasks: Vec::new(),
                random: SeededRandom::new(settings.seed),
                now: Duration::ZERO,
                points: 0,
                ending: None,
                failure: None,
            }),
            host: Baton::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a task, which waits for the baton.
    pub(super) fn add(&self, name: String, baton: Baton) -> usize {
        let mut state = self.state();
        state.tasks.push(Task {
            name,
            baton,
            status: Status::Runnable,
            timed_out: false,
            unparked: false,
            thread: None,
        });
        state.tasks.len() - 1
    }

    pub(super) fn set_thread(&self, id: usize, thread: JoinHandle<()>) {
        self.state().tasks[id].thread = Some(thread);
    }

    /// Takes a task back whose thread could not be started.
    pub(super) fn give_up(&self, id: usize) {
        self.state().tasks[id].status = Status::Ended;
    }

    /// Gives the baton to the first task, and returns when it comes back.
    pub(super) fn run_all(&self) -> Result<(), Failure> {
        self.host.belongs_here();
        let next = self.state().choose();
        self.pass_to(next);
        self.host.await_it();
        let (ending, failure) = {
            let mut state = self.state();
            (state.ending.take(), state.failure.clone())
        };
        reap(ending);
        failure.map_or(Ok(()), Err)
    }

    /// A point: time passes, and the baton may.
    pub(super) fn point(&self, me: usize, must_switch: bool) {
        let next = {
            let mut state = self.state();
            state.points += 1;
            if state.points > self.settings.points_max {
                let threads = state.describe();
                state.failure.get_or_insert(Failure::TooLong { points: self.settings.points_max, threads });
                Next::Host
            } else {
                let dice = state.random.next_u64();
                let tick = u64::try_from(self.settings.tick.as_nanos()).unwrap_or(u64::MAX);
                state.now += Duration::from_nanos((dice >> 32) % tick.max(1));
                state.end_waits_of_the_past();
                if !must_switch && !(dice & 0xffff_ffff).is_multiple_of(self.settings.switch_in.max(1)) {
                    return;
                }
                state.choose()
            }
        };
        self.pass_and_await(me, next);
    }

    /// Waits for a wake at `place`; whether the deadline came first.
    pub(super) fn wait(&self, me: usize, place: Place, timeout: Option<Duration>) -> bool {
        let next = {
            let mut state = self.state();
            let deadline = timeout.map(|timeout| state.now.saturating_add(timeout));
            let task = &mut state.tasks[me];
            if place == Place::Unpark && std::mem::take(&mut task.unparked) {
                return false;
            }
            task.timed_out = false;
            task.status = Status::Waiting { place, deadline };
            state.choose()
        };
        self.pass_and_await(me, next);
        let mut state = self.state();
        let task = &mut state.tasks[me];
        if place == Place::Unpark {
            task.unparked = false;
        }
        task.timed_out
    }

    /// Waits for the end of a task.
    pub(super) fn wait_for_end(&self, me: usize, other: usize) {
        while !self.has_ended(other) {
            self.wait(me, Place::End(other), None);
        }
    }

    pub(super) fn has_ended(&self, id: usize) -> bool {
        matches!(self.state().tasks[id].status, Status::Ended)
    }

    /// Wakes all who wait at `place`.
    pub(super) fn wake_all(&self, place: Place) {
        self.state().wake_all(place);
    }

    /// Wakes one of those who wait at `place`.
    pub(super) fn wake_one(&self, place: Place) {
        let mut state = self.state();
        let there = |task: &Task| matches!(task.status, Status::Waiting { place: at, .. } if at == place);
        let count = state.tasks.iter().filter(|task| there(task)).count() as u64;
        let chosen = usize::try_from(state.random.below(count)).unwrap_or(0);
        if let Some(task) = state.tasks.iter_mut().filter(|task| there(task)).nth(chosen) {
            task.status = Status::Runnable;
        }
    }

    pub(super) fn unpark(&self, id: usize) {
        let mut state = self.state();
        let task = &mut state.tasks[id];
        task.unparked = true;
        if matches!(task.status, Status::Waiting { place: Place::Unpark, .. }) {
            task.status = Status::Runnable;
        }
    }

    /// The task is over: the baton goes on, and whoever gets it sees the thread off.
    pub(super) fn end(&self, me: usize, panic: Option<String>) {
        let next = {
            let mut state = self.state();
            if let Some(message) = panic {
                let thread = state.tasks[me].name.clone();
                state.failure.get_or_insert(Failure::Panicked { thread, message });
            }
            state.tasks[me].status = Status::Ended;
            state.ending = state.tasks[me].thread.take();
            state.wake_all(Place::End(me));
            state.choose()
        };
        self.pass_to(next);
    }

    pub(super) fn now(&self) -> Duration {
        self.state().now
    }

    pub(super) fn points(&self) -> u64 {
        self.state().points
    }

    fn pass_to(&self, next: Next) {
        match next {
            Next::Host => self.host.pass(),
            Next::Task(id) => {
                let baton = self.state().tasks[id].baton.clone();
                baton.pass();
            }
        }
    }

    fn pass_and_await(&self, me: usize, next: Next) {
        if matches!(next, Next::Task(id) if id == me) {
            return;
        }
        let mine = self.state().tasks[me].baton.clone();
        self.pass_to(next);
        mine.await_it();
        self.take_over();
    }

    /// What a task does first when it gets the baton: see off the thread that has just ended, thread locals and all.
    pub(super) fn take_over(&self) {
        let ending = self.state().ending.take();
        reap(ending);
    }
}

impl State {
    fn wake_all(&mut self, place: Place) {
        for task in &mut self.tasks {
            if matches!(task.status, Status::Waiting { place: at, .. } if at == place) {
                task.status = Status::Runnable;
            }
        }
    }
}

fn reap(ending: Option<JoinHandle<()>>) {
    if let Some(thread) = ending {
        // Its panic, if there was one, was caught and kept before it ended.
        let _ended = thread.join();
    }
}

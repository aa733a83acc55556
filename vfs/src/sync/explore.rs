//! Running a scenario under many schedules: the one harness of all tests that are built with `--cfg shuttle`.
//!
//! | variable | says |
//! | --- | --- |
//! | `BRAID_SCHEDULES` | how many schedules each scenario runs under |
//! | `BRAID_SCHEDULE_SEED` | where the dice begin; the same seed runs the same schedules |
//! | `BRAID_REPLAY` | a file that a failure left: runs that one schedule |
//!
//! A quarter of the schedules switch threads at random. The others give each thread a rank and change that at one, two or
//! three places only (PCT), which finds what needs few switches at just the right moments.
//!
//! A scenario ends with one line, `schedules=… scenario=…`. One that fails leaves its schedule in a file and says which
//! command runs it again.

use std::path::PathBuf;
use std::sync::Arc;
use std::{env, panic, process};

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};

/// Schedules of a scenario, unless told otherwise.
const SCHEDULES: usize = 200;

/// What a debug build of a whole commit needs.
const STACK_BYTES: usize = 1 << 20;

/// Runs a scenario, a closure that repeats as often as it is told, under many schedules.
///
/// ```ignore
/// #[test]
/// fn nobody_is_forgotten() {
///     braid_vfs::explore!(|| { /* threads, and what must hold */ });
/// }
/// ```
#[macro_export]
macro_rules! explore {
    ($scenario:expr) => {{
        fn here() {}
        $crate::sync::explore::Place {
            package: env!("CARGO_PKG_NAME"),
            binary: env!("CARGO_CRATE_NAME"),
            function: std::any::type_name_of_val(&here),
        }
        .run($scenario)
    }};
}

/// Where a scenario is written; made by [`explore!`](crate::explore).
#[derive(Debug)]
pub struct Place {
    #[doc(hidden)]
    pub package: &'static str,
    #[doc(hidden)]
    pub binary: &'static str,
    /// The path of a function in the test.
    #[doc(hidden)]
    pub function: &'static str,
}

impl Place {
    /// Runs the scenario.
    ///
    /// # Panics
    /// When it does, under any schedule, and when nobody can go on; what to do about it is printed.
    pub fn run(&self, scenario: impl Fn() + Send + Sync + 'static) {
        let scenario = Arc::new(scenario);
        if let Some(file) = env::var_os("BRAID_REPLAY") {
            let schedule =
                ReplayScheduler::new_from_file(file).expect("BRAID_REPLAY names a file with a schedule");
            Runner::new(schedule, config()).run(move || scenario());
            return;
        }
        let schedules = variable("BRAID_SCHEDULES", SCHEDULES);
        let seed = variable("BRAID_SCHEDULE_SEED", 0);
        let by_rank = schedules / 4;
        let mut run = 0;
        run += self.run_under(RandomScheduler::new_from_seed(seed, schedules - 3 * by_rank), &scenario);
        for switches in [1, 2, 3] {
            let ranks = PctScheduler::new_from_seed(seed, 1 + switches, by_rank);
            run += self.run_under(ranks, &scenario);
        }
        println!("schedules={run} scenario={}", self.test());
    }

    fn run_under<F: Fn() + Send + Sync + 'static>(
        &self,
        scheduler: impl Scheduler + 'static,
        scenario: &Arc<F>,
    ) -> usize {
        let scenario = Arc::clone(scenario);
        let run = || Runner::new(scheduler, config()).run(move || scenario());
        match panic::catch_unwind(panic::AssertUnwindSafe(run)) {
            Ok(run) => run,
            Err(panicked) => {
                self.say_how_to_replay();
                panic::resume_unwind(panicked);
            }
        }
    }

    fn say_how_to_replay(&self) {
        let target = if self.binary == self.package.replace('-', "_") {
            "--lib".to_owned()
        } else {
            format!("--test {}", self.binary)
        };
        eprintln!(
            "to run the failing schedule again:\n  \
             BRAID_REPLAY={}/schedule000.txt RUSTFLAGS='--cfg shuttle' \
             cargo test --release -p {} {target} -- --exact {}",
            failures_dir().display(),
            self.package,
            self.test()
        );
    }

    /// The name by which the test harness knows the test.
    fn test(&self) -> &'static str {
        let function = self.function.strip_suffix("::here").unwrap_or(self.function);
        function.split_once("::").map_or(function, |(_crate, path)| path)
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.silence_warnings = true;
    config.failure_persistence = FailurePersistence::File(Some(failures_dir()));
    config
}

/// Where this process leaves its failing schedules.
#[expect(clippy::disallowed_methods, reason = "a report for whoever runs the tests")]
fn failures_dir() -> PathBuf {
    let dir = env::temp_dir().join(format!("braid-schedules-{}", process::id()));
    // Where it cannot be made, the checker prints the schedule.
    let _made = std::fs::create_dir_all(&dir);
    dir
}

fn variable<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    match env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} is a number, not `{value}`")),
        Err(_) => otherwise,
    }
}

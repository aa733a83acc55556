//! One call of the system that fails, or at which the process dies, under a child that goes on whatever fails.

use std::path::Path;

use super::preload::{Again, Call, Effect, Preload};
use super::steps::{StepFigures, judge_steps};
use crate::{Actor, Place, Program};

const EIO: i32 = 5;
const ENOMEM: i32 = 12;
const EINTR: i32 = 4;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const ENODEV: i32 = 19;

/// A kind of call on some of the files, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct FaultPlan {
    /// The call.
    pub call: Call,
    /// How the path ends.
    pub suffix: &'static str,
    /// Which others are met besides the nth.
    pub again: Again,
    /// What becomes of it.
    pub effect: Effect,
}

const fn plan(call: Call, suffix: &'static str, again: Again, effect: Effect) -> FaultPlan {
    FaultPlan { call, suffix, again, effect }
}

/// Everything that is tried. Each is tried at the first such call of a run, the second, and so on.
pub const FAULTS: &[FaultPlan] = &[
    // The log cannot be synced: nobody may be told that its commit stands, and nobody may ask again.
    plan(Call::Sync, ".seg", Again::Once, Effect::Errno(EIO)),
    plan(Call::Sync, ".seg", Again::Always, Effect::Errno(EIO)),
    plan(Call::Sync, ".seg", Again::Once, Effect::Done(EIO)),
    plan(Call::Sync, ".seg", Again::Once, Effect::Errno(ENOSPC)),
    plan(Call::Sync, ".tmp", Again::Once, Effect::Errno(EIO)),
    plan(Call::Sync, "data.braid", Again::Once, Effect::Errno(EIO)),
    plan(Call::Sync, "data.braid", Again::Always, Effect::Errno(EIO)),
    plan(Call::Sync, "-wal", Again::Once, Effect::Errno(EIO)),
    plan(Call::Sync, "", Again::Once, Effect::Errno(EIO)),
    // Writes.
    plan(Call::Write, ".seg", Again::Once, Effect::Errno(ENOSPC)),
    plan(Call::Write, ".seg", Again::Always, Effect::Errno(ENOSPC)),
    plan(Call::Write, ".seg", Again::Once, Effect::Errno(EIO)),
    plan(Call::Write, ".seg", Again::Once, Effect::Done(EIO)),
    plan(Call::Write, ".tmp", Again::Once, Effect::Errno(ENOSPC)),
    plan(Call::Write, "data.braid", Again::Once, Effect::Errno(ENOSPC)),
    plan(Call::Write, "data.braid", Again::Always, Effect::Errno(ENOSPC)),
    plan(Call::Write, "data.braid", Again::Once, Effect::Errno(EIO)),
    plan(Call::Write, "data.braid", Again::Once, Effect::Done(EIO)),
    plan(Call::Write, "", Again::Every, Effect::Short),
    plan(Call::Write, "", Again::Once, Effect::Zero),
    plan(Call::Write, "", Again::Every, Effect::Errno(EINTR)),
    // Reads.
    plan(Call::Read, "", Again::Once, Effect::Errno(EIO)),
    plan(Call::Read, "", Again::Every, Effect::Short),
    plan(Call::Read, "", Again::Every, Effect::Errno(EINTR)),
    // Names and lengths.
    plan(Call::Truncate, "", Again::Once, Effect::Errno(EIO)),
    plan(Call::Create, "", Again::Once, Effect::Errno(ENOSPC)),
    plan(Call::Create, "", Again::Once, Effect::Errno(EMFILE)),
    plan(Call::Open, "", Again::Once, Effect::Errno(EMFILE)),
    plan(Call::Rename, "", Again::Once, Effect::Errno(EIO)),
    plan(Call::Rename, "", Again::Once, Effect::Done(EIO)),
    plan(Call::Unlink, "", Again::Once, Effect::Errno(EIO)),
    // The log cannot be mapped.
    plan(Call::Map, "", Again::Once, Effect::Errno(ENOMEM)),
    plan(Call::Map, "", Again::Always, Effect::Errno(ENODEV)),
    // The process dies at the call.
    plan(Call::Sync, "", Again::Once, Effect::KillBefore),
    plan(Call::Sync, "", Again::Once, Effect::KillAfter),
    plan(Call::Write, "", Again::Once, Effect::KillBefore),
    plan(Call::Write, "", Again::Once, Effect::KillAfter),
    plan(Call::Truncate, "", Again::Once, Effect::KillAfter),
    plan(Call::Create, "", Again::Once, Effect::KillAfter),
    plan(Call::Rename, "", Again::Once, Effect::KillBefore),
    plan(Call::Rename, "", Again::Once, Effect::KillAfter),
    plan(Call::Unlink, "", Again::Once, Effect::KillBefore),
    plan(Call::Unlink, "", Again::Once, Effect::KillAfter),
];

impl FaultPlan {
    /// The plan as the library reads it.
    #[must_use]
    pub fn text(&self, nth: u64) -> String {
        format!("{},{},{nth},{},{}", self.call, self.suffix, self.again, self.effect)
    }

    /// The first number to try: a call that is interrupted every time never ends.
    #[must_use]
    pub fn first(&self) -> u64 {
        if self.again == Again::Every { 2 } else { 1 }
    }

    fn kills(&self) -> bool {
        matches!(self.effect, Effect::KillBefore | Effect::KillAfter)
    }

    /// Whether a run must go on as if nothing had happened.
    fn is_harmless(&self) -> bool {
        matches!((self.effect, self.again), (Effect::Short | Effect::Errno(EINTR), Again::Every))
            || self.call == Call::Map
    }
}

/// What one run met.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultFigures {
    /// Whether there was an nth such call at all.
    pub fired: bool,
    /// What the child met, and what was found after it.
    pub steps: StepFigures,
}

/// Runs a child of `commits` commits whose nth such call is met, and judges what it leaves.
///
/// # Errors
/// A sentence about what did not hold.
pub fn try_fault(
    preload: &Preload,
    program: &Program,
    plan: &FaultPlan,
    nth: u64,
    mapped: bool,
    commits: u64,
) -> Result<FaultFigures, String> {
    let text = plan.text(nth);
    run(preload, program, plan, &text, mapped, commits)
        .map_err(|what| format!("{text} mapped={mapped}: {what}"))
}

fn run(
    preload: &Preload,
    program: &Program,
    plan: &FaultPlan,
    text: &str,
    mapped: bool,
    commits: u64,
) -> Result<FaultFigures, String> {
    let (place, elsewhere) = (Place::in_memory(), Place::in_memory());
    let report = elsewhere.join("report");
    let bare = program;
    let program = preload.around(bare, text, place.directory(), &report);
    let how = if mapped { "mapped" } else { "plain" };
    let mut lines = Vec::new();
    if plan.call == Call::Read {
        // A new database has nothing to read. One that was killed has its log.
        let killed = plan_of_a_kill(commits);
        let before = preload.around(bare, &killed, place.directory(), &elsewhere.join("report before"));
        lines = Actor::run(&before, "steps", &place.path(), &[&commits.to_string(), how]).lines;
    }
    let commits_before = lines.iter().filter(|line| line.starts_with("ack")).count() as u64;
    let ended = Actor::run(&program, "steps", &place.path(), &[&commits.to_string(), how]);
    lines.extend(ended.lines.iter().cloned());
    let met = read_report(&report);
    if met.contains("retried") {
        return Err("a file whose sync had failed was synced again".to_owned());
    }
    let steps = judge_steps(&lines, &place.path()).map_err(|what| {
        format!(
            "{what}; the child ended with {} and said {:?} {}",
            ended.status,
            ended.lines.last(),
            ended.complaint
        )
    })?;
    let fired = !met.is_empty();
    let died = fired && plan.kills();
    let came_to_its_end = ended.status.success() && steps.ended && ended.complaint.is_empty();
    if !died && !came_to_its_end {
        return Err(format!("the child ended with {}: {}", ended.status, ended.complaint));
    }
    let well = steps.acknowledged == commits + commits_before && steps.failed == 0 && steps.unknown == 0;
    if (!fired || plan.is_harmless()) && !well {
        return Err(format!("nothing happened that should keep a commit back, and {steps:?}"));
    }
    Ok(FaultFigures { fired, steps })
}

/// Ends a child when its last commit but a few is synced.
fn plan_of_a_kill(commits: u64) -> String {
    plan(Call::Sync, ".seg", Again::Once, Effect::KillAfter).text(commits / 2)
}

fn read_report(report: &Path) -> String {
    // There is none if no call was met.
    std::fs::read_to_string(report).unwrap_or_default()
}

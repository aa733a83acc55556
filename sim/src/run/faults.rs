//! What goes wrong in a life: drawn once at its beginning, from the stream of faults.

use std::io::ErrorKind;

use braid::vfs::faulty::{CrashChoice, CrashFileSystem, Fault, Faults, Operation};
use fastrand::Rng;

use super::disk::{Mischief, Trick};
use super::swarm::Features;

/// A kind of fault: how likely it is in one life, in percent, where it is on.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// What `--without` calls it.
    pub name: &'static str,
    percent: u32,
    plan: Option<fn(&mut Rng, &Weather)>,
}

/// Every kind of fault. Those that end a life, and those that befall a disk between two, are planned by the world.
pub const CLASSES: &[Class] = &[
    Class { name: "power-cut", percent: 60, plan: None },
    Class { name: "kill", percent: 30, plan: None },
    Class { name: "crash-in-recovery", percent: 40, plan: None },
    Class { name: "fault-in-recovery", percent: 20, plan: None },
    Class { name: "bit-rot", percent: 8, plan: None },
    Class { name: "stale-page", percent: 5, plan: None },
    Class { name: "one-error", percent: 20, plan: Some(one_error) },
    Class { name: "errors-for-good", percent: 8, plan: Some(errors_for_good) },
    Class { name: "failed-sync", percent: 10, plan: Some(failed_sync) },
    Class { name: "interrupted", percent: 20, plan: Some(interrupted) },
    Class { name: "short-calls", percent: 20, plan: Some(short_calls) },
    Class { name: "zero-writes", percent: 8, plan: Some(zero_writes) },
    Class { name: "no-space", percent: 15, plan: Some(no_space) },
    Class { name: "lost-write", percent: 5, plan: Some(lost_write) },
    Class { name: "misdirected-write", percent: 5, plan: Some(misdirected_write) },
];

/// Whether a kind of fault befalls a life. Draws the same number of times, on or off.
///
/// # Panics
/// When there is no such kind.
#[must_use]
pub fn befalls(rng: &mut Rng, features: &Features, name: &str) -> bool {
    let class = CLASSES.iter().find(|class| class.name == name).expect("the name of a kind of fault");
    let drawn = rng.u32(0..100) < class.percent;
    drawn && features.has(name)
}

/// What faults are planned with.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Calls that fail.
    pub faults: Faults,
    /// Writes that go astray.
    pub mischief: Mischief,
    /// The machine.
    pub machine: CrashFileSystem,
    /// Bytes of a page.
    pub page_bytes: u64,
}

impl Weather {
    /// Plans the faults of a life, and names them.
    #[must_use]
    pub fn plan(&self, rng: &mut Rng, features: &Features) -> Vec<&'static str> {
        let mut planned = Vec::new();
        for class in CLASSES {
            let mut own = rng.fork();
            if let Some(plan) = class.plan
                && befalls(&mut own, features, class.name)
            {
                plan(&mut own, self);
                planned.push(class.name);
            }
        }
        planned
    }

    /// Plans one failing call, of whatever kind.
    pub fn plan_one_error(&self, rng: &mut Rng) {
        one_error(rng, self);
    }
}

/// A number that is as likely to be small as it is to be large.
#[must_use]
pub fn log_uniform(rng: &mut Rng, end: u64) -> u64 {
    let bits = rng.u32(0..=end.max(1).ilog2());
    rng.u64(0..(2_u64 << bits)).min(end)
}

fn any_call(rng: &mut Rng) -> Operation {
    Operation::FALLIBLE[rng.usize(0..Operation::FALLIBLE.len())]
}

fn of_some_file(rng: &mut Rng, fault: Fault) -> Fault {
    match rng.u8(0..3) {
        0 => fault.on_paths_ending(".seg"),
        1 => fault.on_paths_ending(".braid"),
        _ => fault,
    }
}

fn one_error(rng: &mut Rng, weather: &Weather) {
    let fault = Fault::on(any_call(rng)).nth(1 + log_uniform(rng, 200));
    weather.faults.inject(of_some_file(rng, fault));
}

fn errors_for_good(rng: &mut Rng, weather: &Weather) {
    let fault = Fault::on(any_call(rng)).nth(1 + log_uniform(rng, 200)).sticky();
    weather.faults.inject(of_some_file(rng, fault));
}

fn failed_sync(rng: &mut Rng, weather: &Weather) {
    let fault = Fault::on_any(&[Operation::SyncData, Operation::SyncAll]).nth(1 + log_uniform(rng, 60));
    weather.machine.set_failed_sync(match rng.u8(0..3) {
        0 => CrashChoice::KeepNone,
        1 => CrashChoice::KeepAll,
        _ => CrashChoice::Subset { seed: rng.u64(..), unit: 512 },
    });
    weather.faults.inject(of_some_file(rng, fault));
}

fn interrupted(rng: &mut Rng, weather: &Weather) {
    let fault = Fault::on_any(&[Operation::Read, Operation::Write]).kind(ErrorKind::Interrupted);
    weather.faults.inject(fault.every(rng.u64(2..9)));
}

fn short_calls(rng: &mut Rng, weather: &Weather) {
    let fault = Fault::on_any(&[Operation::Read, Operation::Write]).short(rng.usize(1..600));
    weather.faults.inject(fault.every(rng.u64(2..9)));
}

fn zero_writes(rng: &mut Rng, weather: &Weather) {
    let fault = Fault::on(Operation::Write).short(0).nth(1 + log_uniform(rng, 100));
    weather.faults.inject(if rng.bool() { fault.sticky() } else { fault });
}

fn no_space(rng: &mut Rng, weather: &Weather) {
    if rng.bool() {
        weather.faults.set_quota(Some(weather.faults.bytes_used() + log_uniform(rng, 400_000)));
    } else {
        weather.faults.set_writable(Some(log_uniform(rng, 400_000)));
    }
}

fn lost_write(rng: &mut Rng, weather: &Weather) {
    weather.mischief.plan(Trick::Lose, 1 + log_uniform(rng, 60));
}

fn misdirected_write(rng: &mut Rng, weather: &Weather) {
    let pages = rng.u64(1..20);
    weather.mischief.plan(Trick::Misdirect { by: pages * weather.page_bytes }, 1 + log_uniform(rng, 60));
}

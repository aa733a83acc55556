//! Whether the machine still runs, and how much it has done.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Shared by a file system and all that was opened in it.
///
/// Every call holds [`Running`] from before it takes any other lock until its effect is done, and a crash holds
/// [`Stopped`] while it copies: so what it copies is the state between two calls, and a call that has answered is in it.
#[derive(Debug)]
pub(super) struct Power {
    calls: RwLock<()>,
    off: AtomicBool,
    steps: AtomicU64,
    steps_max: AtomicU64,
}

/// A call at work.
#[derive(Debug)]
pub(super) struct Running<'a> {
    power: &'a Power,
    _call: RwLockReadGuard<'a, ()>,
}

/// No call at work.
#[derive(Debug)]
pub(super) struct Stopped<'a> {
    power: &'a Power,
    _calls: RwLockWriteGuard<'a, ()>,
}

impl Power {
    pub(super) fn on() -> Self {
        Self {
            calls: RwLock::new(()),
            off: AtomicBool::new(false),
            steps: AtomicU64::new(0),
            steps_max: AtomicU64::new(u64::MAX),
        }
    }

    /// Begins a call. Refuses once the power is off.
    pub(super) fn running(&self) -> io::Result<Running<'_>> {
        let call = self.calls.read();
        if self.off.load(Ordering::SeqCst) { Err(off()) } else { Ok(Running { power: self, _call: call }) }
    }

    /// Waits for the calls at work, and lets no other begin.
    pub(super) fn stop(&self) -> Stopped<'_> {
        Stopped { power: self, _calls: self.calls.write() }
    }

    /// Ends everything once so many steps are done.
    pub(super) fn cut_after(&self, steps: u64) {
        self.steps_max.store(steps, Ordering::SeqCst);
    }

    /// How many steps were done.
    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }
}

impl Running<'_> {
    /// Does one step: a call that changes something or makes it durable. Refuses, and ends everything, past the last.
    pub(super) fn step(&self) -> io::Result<()> {
        let max = self.power.steps_max.load(Ordering::SeqCst);
        let stepped = self
            .power
            .steps
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |steps| (steps < max).then_some(steps + 1));
        if stepped.is_err() {
            self.power.off.store(true, Ordering::SeqCst);
            return Err(off());
        }
        Ok(())
    }
}

impl Stopped<'_> {
    /// Ends everything.
    pub(super) fn cut(&self) {
        self.power.off.store(true, Ordering::SeqCst);
    }
}

fn off() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "the power is off; go on with the file system after the crash",
    )
}

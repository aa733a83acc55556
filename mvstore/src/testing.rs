//! What tests share.

/// A small deterministic generator (xorshift64*).
#[cfg(not(any(shuttle, loom)))]
pub(crate) struct Rng(u64);

#[cfg(not(any(shuttle, loom)))]
impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `end`, of its type.
    pub(crate) fn below<T: TryFrom<u64> + TryInto<u64>>(&mut self, end: T) -> T {
        let end = end.try_into().ok().expect("the end is positive");
        ((self.next() >> 11) % end).try_into().ok().expect("it is below something of the type")
    }
}

/// A timestamp of that number.
pub(crate) fn ts(raw: u64) -> crate::Timestamp {
    crate::Timestamp::new(raw).expect("tests use small timestamps")
}

/// Commits what `write` puts into a write set, without validation.
#[cfg(not(any(shuttle, loom)))]
pub(crate) fn commit(
    rights: &mut crate::InstallRights,
    commit_ts: u64,
    watermark: u64,
    write: impl FnOnce(&mut crate::WriteSet),
) {
    let mut writes = crate::WriteSet::new();
    write(&mut writes);
    let generation = std::sync::Arc::clone(rights.generation());
    let guard = crate::pin();
    generation.prepare(&writes, &guard).install(rights, &mut writes, ts(commit_ts), || ts(watermark));
}

#[cfg(not(any(shuttle, loom)))]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts a step through the rows of a write set.
#[cfg(not(any(shuttle, loom)))]
pub(crate) fn count_step() {
    STEPS.set(STEPS.get() + 1);
}

/// The steps that this thread has made through the rows of write sets.
#[cfg(not(any(shuttle, loom)))]
pub(crate) fn steps() -> u64 {
    STEPS.get()
}

/// Checks every schedule, or those with no more switches that no thread asked for than `LOOM_MAX_PREEMPTIONS` says, and
/// every order in which memory lets the threads see each other. Says how many there were.
///
/// The scenario itself writes, and the threads that it spawns read: of an atomic that a thread reads and then writes, the
/// checker remembers the read alone, and forgets to try that write before an earlier read of another thread.
#[cfg(loom)]
pub(crate) fn check_schedules(scenario: impl Fn() + Sync + Send + 'static) {
    check_bounded(None, scenario);
}

/// The index has too many schedules for all of them: those with up to three switches that no thread asked for, or as many
/// as `LOOM_MAX_PREEMPTIONS` says.
#[cfg(loom)]
pub(crate) fn check_index(scenario: impl Fn() + Sync + Send + 'static) {
    check_bounded(Some(3), scenario);
}

/// As [`check_schedules`], with up to so many switches that no thread asked for, if `LOOM_MAX_PREEMPTIONS` says nothing.
#[cfg(loom)]
pub(crate) fn check_bounded(preemptions: Option<usize>, scenario: impl Fn() + Sync + Send + 'static) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(preemptions);
    let executions = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&executions);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    println!("executions={}", executions.load(Ordering::Relaxed));
}

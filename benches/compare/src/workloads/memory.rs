//! The memory that this process has resident, with pages of mapped files told apart: those the system takes back when it
//! wants to, but until then they are memory that is used.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::cell::{Better, Readings};
use crate::engine::Result;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// In bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resident {
    /// The most at once, of all.
    pub(super) peak: u64,
    /// The process's own.
    pub(super) own: u64,
    /// Of mapped files, among them the executable.
    pub(super) mapped: u64,
}

impl Resident {
    pub(super) fn now() -> Result<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/status")?)
            .ok_or_else(|| "no figures of memory".into())
    }

    fn parse(status: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let field = status.lines().find_map(|line| line.strip_prefix(name))?;
            field.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { peak: bytes("VmHWM:")?, own: bytes("RssAnon:")?, mapped: bytes("RssFile:")? })
    }

    /// The most of each.
    fn max(self, other: Self) -> Self {
        Self {
            peak: self.peak.max(other.peak),
            own: self.own.max(other.own),
            mapped: self.mapped.max(other.mapped),
        }
    }

    pub(super) fn add_to(self, readings: &mut Readings) {
        for (metric, bytes) in
            [("memory, peak", self.peak), ("own memory, peak", self.own), ("mapped files, peak", self.mapped)]
        {
            readings.add(metric, bytes as f64 / f64::from(1 << 20), "MiB", Better::Less);
        }
    }
}

/// Does something, and tells how much memory that took at most: exactly of all, by frequent looks of its parts.
pub(super) fn watch<T>(body: impl FnOnce() -> Result<T>) -> Result<(T, Resident)> {
    // Begins the peak anew; where the system refuses, it is that since the process began.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = Resident::now()?;
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(INTERVAL);
                most = most.max(Resident::now()?);
            }
            Ok(most)
        });
        let value = body();
        done.store(true, Ordering::Relaxed);
        let most: Result<Resident> = watcher.join().map_err(|_| "the watching thread panicked")?;
        Ok((value?, most?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_seen() {
        let used = 32 << 20;
        let work = || {
            let bytes = std::hint::black_box(vec![1_u8; used]);
            std::thread::sleep(INTERVAL * 3);
            Ok(bytes.len())
        };
        let (len, most) = watch(work).unwrap();
        assert_eq!(len, used);
        assert!(most.own >= used as u64 && most.peak >= most.own, "{most:?}");
    }

    #[test]
    fn fields_are_kibibytes() {
        let status = "VmHWM:\t 2048 kB\nRssAnon:\t 1024 kB\nRssFile:\t 4 kB\n";
        let expected = Resident { peak: 2 << 20, own: 1 << 20, mapped: 4 << 10 };
        assert_eq!(Resident::parse(status), Some(expected));
        assert_eq!(Resident::parse(""), None);
    }
}

//! The memory that this process has resident, with pages of mapped files told apart: those the system takes back when it
//! wants to, but until then they are memory that is used.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::cell::{Better, Readings, metrics};
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
    /// Of the executable and shared libraries, whose size says which engines were linked and not what one takes.
    pub(super) program: u64,
}

impl Resident {
    /// Without those of the program.
    fn now() -> Result<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/status")?)
            .ok_or_else(|| "no figures of memory".into())
    }

    fn parse(status: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let field = status.lines().find_map(|line| line.strip_prefix(name))?;
            field.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { peak: bytes("VmHWM:")?, own: bytes("RssAnon:")?, mapped: bytes("RssFile:")?, program: 0 })
    }

    /// The most of each.
    fn max(self, other: Self) -> Self {
        Self {
            peak: self.peak.max(other.peak),
            own: self.own.max(other.own),
            mapped: self.mapped.max(other.mapped),
            program: self.program.max(other.program),
        }
    }

    pub(super) fn add_to(self, readings: &mut Readings) {
        for (metric, bytes) in [
            ("memory, peak", self.peak),
            (metrics::MEMORY_WITHOUT_PROGRAM, self.peak.saturating_sub(self.program)),
            ("own memory, peak", self.own),
            ("mapped files, peak", self.mapped),
        ] {
            readings.add(metric, bytes as f64 / f64::from(1 << 20), "MiB", Better::Less);
        }
    }
}

/// What is resident of the executable and of shared libraries: [`Resident::program`].
fn program() -> Result<u64> {
    let executable = std::env::current_exe()?;
    Ok(program_in(&String::from_utf8_lossy(&std::fs::read("/proc/self/smaps")?), &executable)
        .ok_or("a mapping without its size")?)
}

/// The same, of what `/proc/PID/smaps` says: a line that begins with the addresses of a mapping and may end with its file, then
/// lines with a name and a size each.
fn program_in(smaps: &str, executable: &Path) -> Option<u64> {
    let (mut bytes, mut counts) = (0_u64, false);
    for line in smaps.lines() {
        if let Some(resident) = line.strip_prefix("Rss:") {
            let kib: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
            bytes += if counts { kib * 1024 } else { 0 };
        } else if line.split(' ').next().is_some_and(|first| first.contains('-')) {
            // Addresses, permissions, offset, device, inode: a path may have spaces.
            let path = line.find('/').and_then(|start| line.get(start..));
            counts = path.is_some_and(|path| is_program(Path::new(path), executable));
        }
    }
    Some(bytes)
}

fn is_program(path: &Path, executable: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path == executable || name.ends_with(".so") || name.contains(".so.")
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
        // Once, at the end: these pages come as code runs first, and stay.
        Ok((value?, Resident { program: program()?, ..most? }))
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
        let expected = Resident { peak: 2 << 20, own: 1 << 20, mapped: 4 << 10, program: 0 };
        assert_eq!(Resident::parse(status), Some(expected));
        assert_eq!(Resident::parse(""), None);
    }

    #[test]
    fn the_program_is_its_executable_and_its_libraries() {
        let mapping = |file: &str, kib: u64| {
            format!("7f00-7f08 r-xp 00000000 fe:00 12 {file}\nSize:  8 kB\nRss:  {kib} kB\nVmFlags: rd ex\n")
        };
        let smaps = [
            mapping("/opt/my engines/compare", 1),
            mapping("/lib/libc.so.6", 10),
            mapping("/lib/libz.so", 100),
            mapping("/data/data.mdb", 1000),
            mapping("/data/compare", 1000),
            mapping("[heap]", 1000),
            mapping("", 1000),
        ];
        assert_eq!(program_in(&smaps.concat(), Path::new("/opt/my engines/compare")), Some(111 * 1024));
        assert_eq!(program_in("Rss: much\n", Path::new("/")), None);
    }

    #[test]
    fn mapped_files_that_are_no_program_stay_in() {
        let ((), most) = watch(|| Ok(())).unwrap();
        // Of the tests' executable and the C library some pages are there.
        assert!(most.program > 64 << 10 && most.program < most.peak, "{most:?}");
        let mut readings = Readings::default();
        Resident { peak: 90 << 20, own: 60 << 20, mapped: 30 << 20, program: 10 << 20 }.add_to(&mut readings);
        let reading = readings.0.iter().find(|reading| reading.metric == metrics::MEMORY_WITHOUT_PROGRAM);
        assert_eq!(reading.map(|reading| reading.value), Some(80.0));
    }
}

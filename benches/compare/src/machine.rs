//! What the figures were measured on, and how much of it others used meanwhile.

use std::fmt::Write as _;
use std::path::Path;

/// Above this share of the whole machine, what others did disturbs a cell.
pub(crate) const DISTURBED: f64 = 0.10;

/// The machine, in words.
pub(crate) fn describe(dir: &Path) -> String {
    let mut text = String::new();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let _ = writeln!(text, "- processor: {}, {cores} cores", cpu_model());
    let _ = writeln!(text, "- memory: {}", field("/proc/meminfo", "MemTotal:"));
    let _ = writeln!(
        text,
        "- kernel: {} {}",
        read("/proc/sys/kernel/ostype"),
        read("/proc/sys/kernel/osrelease")
    );
    let _ = writeln!(text, "- file system: {}", file_system(dir));
    let _ = writeln!(text, "- load average at the start: {}", read("/proc/loadavg"));
    text
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap_or("unknown").trim().to_owned()
}

fn cpu_model() -> String {
    let text = field("/proc/cpuinfo", "model name");
    text.trim_start_matches([':', ' ', '\t']).to_owned()
}

/// Type and device of the mount that `dir` is in.
fn file_system(dir: &Path) -> String {
    let Ok(dir) = dir.canonicalize() else { return "unknown".to_owned() };
    let mounts = read("/proc/mounts");
    let place = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (device, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        dir.starts_with(point).then_some((point.len(), format!("{kind} on {device}")))
    });
    place.max_by_key(|(len, _)| *len).map_or_else(|| "unknown".to_owned(), |(_, place)| place)
}

/// The processor's time so far, in ticks: of everybody, and of this process with its children.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    total: u64,
    busy: u64,
    ours: u64,
}

impl Usage {
    /// `None` where there is no `/proc`.
    pub(crate) fn now() -> Option<Self> {
        Self::parse(&read("/proc/stat"), &read("/proc/self/stat"))
    }

    fn parse(machine: &str, process: &str) -> Option<Self> {
        // user nice system idle iowait irq softirq steal; guests are in user.
        let line = machine.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|tick| tick.parse().ok()).collect();
        let total = ticks.iter().sum();
        let idle: u64 = ticks.get(3..5)?.iter().sum();
        // After the name in brackets: 11 fields, then utime stime cutime cstime.
        let (_, fields) = process.rsplit_once(')')?;
        let ours =
            fields.split_whitespace().skip(11).take(4).filter_map(|tick| tick.parse::<u64>().ok()).sum();
        Some(Self { total, busy: total - idle, ours })
    }

    /// The share of the whole machine that others used since `before`; the kernel's own work counts as theirs.
    pub(crate) fn others_since(self, before: Self) -> f64 {
        let total = self.total.saturating_sub(before.total).max(1);
        let busy = self.busy.saturating_sub(before.busy);
        busy.saturating_sub(self.ours.saturating_sub(before.ours)) as f64 / total as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_is_others() {
        let parse = |machine, process| Usage::parse(machine, process).unwrap();
        let before = parse("cpu  0 0 0 0 0 0 0 0 0 0\n", "1 (a) b) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20");
        let after = parse("cpu  60 0 20 100 20 0 0 0 0 0\n", "1 (a) b) S 1 1 1 0 -1 0 0 0 0 0 30 5 20 5 20");
        assert!((after.others_since(before) - 0.1).abs() < 1e-9);
    }

    #[test]
    fn nonsense_is_no_usage() {
        assert!(Usage::parse("", "").is_none());
    }
}

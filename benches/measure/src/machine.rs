//! What the figures were measured on, and how much of it others used meanwhile.

use std::collections::HashMap;
use std::path::Path;

/// Above this share of the whole machine, what others did disturbs a measurement.
pub const DISTURBED: f64 = 0.10;

/// Set in the flags of a thread of the kernel itself.
const PF_KTHREAD: u64 = 0x0020_0000;

/// The machine, as names and values; `dir` is where the data lies.
#[must_use]
pub fn describe(dir: &Path) -> Vec<(&'static str, String)> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    vec![
        ("processor", cpu_model()),
        ("cores", cores.to_string()),
        ("memory", field("/proc/meminfo", "MemTotal:")),
        ("kernel", format!("{} {}", read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/osrelease"))),
        ("file system", file_system(dir)),
        ("load average at the start", read("/proc/loadavg")),
    ]
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

/// Type and device of the mount that `dir` is in, and whether the device has a cache that a sync has to flush.
fn file_system(dir: &Path) -> String {
    let Ok(dir) = dir.canonicalize() else { return "unknown".to_owned() };
    let mounts = read("/proc/mounts");
    let place = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (device, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        dir.starts_with(point).then(|| (point.len(), kind.to_owned(), device.to_owned()))
    });
    let Some((_, kind, device)) = place.max_by_key(|(len, _, _)| *len) else { return "unknown".to_owned() };
    let name = device.rsplit('/').next().unwrap_or_default();
    let cache = std::fs::read_to_string(format!("/sys/block/{name}/queue/write_cache"));
    let cache = cache.map_or_else(|_| String::new(), |cache| format!(", {} cache", cache.trim()));
    format!("{kind} on {device}{cache}")
}

/// The processors' time so far, in ticks: of everybody, of this process with its children that have ended, and of the
/// kernel's own threads.
#[derive(Clone, Debug)]
pub struct Usage {
    total: u64,
    idle: u64,
    /// In interrupts, which belong to no process.
    interrupts: u64,
    /// Taken by other virtual machines.
    stolen: u64,
    ours: u64,
    /// By id and time of start.
    kernel_threads: HashMap<(u64, u64), u64>,
    /// Of processes that are not ours, in the same way.
    foreign: HashMap<(u64, u64), u64>,
}

/// Who used which share of the whole machine between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// Processes that are not ours, and other virtual machines.
    pub others: f64,
    /// This process and its children.
    pub ours: f64,
    /// Interrupts and the kernel's threads, which write back, journal and complete I/O, ours for the most part.
    pub kernel: f64,
    /// The part of `others` that other virtual machines took.
    pub stolen: f64,
}

impl Usage {
    /// `None` where there is no `/proc`.
    #[must_use]
    pub fn now() -> Option<Self> {
        let processes = std::fs::read_dir("/proc").ok()?.filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let id: u64 = name.to_str()?.parse().ok()?;
            // A process may end while we look.
            Some((id, std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?))
        });
        Self::parse(&read("/proc/stat"), &read("/proc/self/stat"), processes)
    }

    fn parse(machine: &str, this: &str, processes: impl Iterator<Item = (u64, String)>) -> Option<Self> {
        // user nice system idle iowait irq softirq steal; guests are in user.
        let line = machine.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|tick| tick.parse().ok()).collect();
        let &[_, _, _, idle, waiting, hard, soft, stolen] = ticks.as_slice() else { return None };
        let (own, this) = (this.split(' ').next()?.parse::<u64>().ok()?, Process::parse(this)?);
        let (mut kernel_threads, mut foreign) = (HashMap::new(), HashMap::new());
        for (id, stat) in processes {
            let Some(process) = Process::parse(&stat) else { continue };
            let who = match process.flags & PF_KTHREAD {
                0 if id == own || process.parent == own => continue,
                0 => &mut foreign,
                _ => &mut kernel_threads,
            };
            who.insert((id, process.start), process.ticks);
        }
        Some(Self {
            total: ticks.iter().sum(),
            idle: idle + waiting,
            interrupts: hard + soft,
            stolen,
            ours: this.ticks + this.children_ticks,
            kernel_threads,
            foreign,
        })
    }

    /// Who used what since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Shares {
        let of = |field: fn(&Self) -> u64| field(self).saturating_sub(field(before));
        let total = of(|usage| usage.total).max(1);
        let used = |now: &HashMap<_, u64>, before: &HashMap<_, u64>| -> u64 {
            now.iter().map(|(who, ticks)| ticks.saturating_sub(*before.get(who).unwrap_or(&0))).sum()
        };
        let threads = used(&self.kernel_threads, &before.kernel_threads);
        let kernel = threads + of(|usage| usage.interrupts);
        let ours = of(|usage| usage.ours);
        // The machine's time is sampled, and that of a process is not: what is left of the one without the other may be less
        // than what others are known to have used, and what ended meanwhile is in the first only.
        let left = total.saturating_sub(of(|usage| usage.idle)).saturating_sub(ours + kernel);
        let known = used(&self.foreign, &before.foreign) + of(|usage| usage.stolen);
        let others = left.max(known);
        let share = |ticks: u64| ticks as f64 / total as f64;
        Shares {
            others: share(others),
            ours: share(ours),
            kernel: share(kernel),
            stolen: share(of(|usage| usage.stolen)),
        }
    }
}

/// What a line of `/proc/…/stat` says.
#[derive(Debug)]
struct Process {
    parent: u64,
    flags: u64,
    ticks: u64,
    children_ticks: u64,
    start: u64,
}

impl Process {
    fn parse(stat: &str) -> Option<Self> {
        // After the name in brackets: state, five ids, flags, four counts of faults, four times, four more, the start.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            parent: number(1)?,
            flags: number(6)?,
            ticks: number(11)? + number(12)?,
            children_ticks: number(13)? + number(14)?,
            start: number(19)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(flags: u64, own: u64, children: u64) -> String {
        format!("7 (a) b) S 1 1 1 0 -1 {flags} 0 0 0 0 {own} 0 {children} 0 20 0 1 0 77")
    }

    #[test]
    fn what_is_not_ours_nor_the_kernels_is_others() {
        let parse = |machine: &str, own, kernel: &[u64], other| {
            let threads =
                kernel.iter().enumerate().map(|(id, &ticks)| (id as u64, stat(PF_KTHREAD, ticks, 0)));
            let foreign = [(99, stat(0, 1_000_000, 0)), (98, stat(0, other, 0))];
            Usage::parse(machine, &stat(0, own, own), threads.chain(foreign)).unwrap()
        };
        let before = parse("cpu  0 0 0 0 0 0 0 0 0 0\n", 0, &[100], 0);
        let after = parse("cpu  50 0 30 95 5 5 5 10 0 0\n", 25, &[110, 5], 3);
        let shares = after.since(&before);
        assert_eq!(shares, Shares { others: 25.0 / 200.0, ours: 0.25, kernel: 0.125, stolen: 0.05 });
        // What others are known to have used counts, whatever the samples say.
        let after = parse("cpu  50 0 30 95 5 5 5 10 0 0\n", 25, &[110, 5], 30);
        assert_eq!(after.since(&before).others, 40.0 / 200.0);
    }

    #[test]
    fn nonsense_is_no_usage() {
        assert!(Usage::parse("", "", std::iter::empty()).is_none());
        assert!(Usage::parse("cpu  1 2 3\n", &stat(0, 1, 1), std::iter::empty()).is_none());
    }

    #[test]
    fn this_machine_can_be_read() {
        let before = Usage::now().unwrap();
        assert!(!before.kernel_threads.is_empty() || before.total > 0);
        let shares = Usage::now().unwrap().since(&before);
        assert!((0.0..=1.0).contains(&shares.others));
    }
}

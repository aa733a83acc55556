//! What the standard library does not do with processes: their priority, their groups, and their memory.
#![expect(unsafe_code, reason = "system calls without a safe wrapper in the standard library")]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use crate::engine::Durability;

/// How the scheduler treats a cell's threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Priority {
    /// `realtime` in durable cells, `nice` in others.
    ///
    /// Who waits for a disk is woken at once only before an ordinary process, and else at the next tick of the scheduler.
    /// Threads that compute would, in real time, keep the kernel's own from the processors, and take turns of a tenth of a
    /// second.
    Auto,
    /// Before everything that is not real-time (`SCHED_RR` 1).
    Realtime,
    /// The greatest share of an ordinary process (nice −20).
    Nice,
    /// As any other process.
    None,
}

impl Priority {
    /// What it is for a cell.
    pub(crate) fn of(self, durability: Durability) -> Self {
        match (self, durability) {
            (Self::Auto, Durability::Durable) => Self::Realtime,
            (Self::Auto, Durability::Deferred) => Self::Nice,
            (other, _) => other,
        }
    }

    /// Sets it for this thread and those that it starts; the error says that the system does not allow it.
    pub(crate) fn set(self) -> io::Result<()> {
        match self {
            Self::None | Self::Auto => Ok(()),
            Self::Nice => {
                // SAFETY: takes three integers.
                done(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) })?;
                // Where sessions are scheduled as groups, a nice value counts within its session only.
                match std::fs::write("/proc/self/autogroup", "-20") {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                }
            }
            Self::Realtime => {
                let parameter = libc::sched_param { sched_priority: 1 };
                // SAFETY: the pointer is to a live `sched_param`, which the call reads.
                done(unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameter) })
            }
        }
    }

    /// What setting it comes to, in words.
    pub(crate) fn try_out(self) -> String {
        match self.set() {
            Ok(()) => self.name().to_owned(),
            Err(error) => format!("none ({} was refused: {error})", self.name()),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Realtime => "realtime",
            Self::Nice => "nice",
            Self::None => "none",
        }
    }
}

/// Gives the process that this starts a session of its own, and with it a process group.
pub(crate) fn own_session(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes one system call, which is async-signal-safe, and allocates nothing.
    unsafe {
        command.pre_exec(|| if libc::setsid() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) });
    }
}

/// Lets this process end with the one that started it.
pub(crate) fn die_with_parent() {
    // SAFETY: takes integers; a system that refuses leaves all as it is.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Kills what is left of a process group.
pub(crate) fn kill_group(leader: u32) {
    if let Ok(group) = libc::pid_t::try_from(leader)
        && group > 1
    {
        // SAFETY: takes two integers. The group is the child's own; where nobody is left in it, nothing happens.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}

/// The most memory that this process has had resident, in bytes.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    field.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// The processor time that all threads of this process have used so far.
pub(crate) fn processor_time() -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live `timespec`, which the call writes.
    done(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) })?;
    let part = |part: i64| u64::try_from(part).map_err(io::Error::other);
    Ok(Duration::from_secs(part(time.tv_sec)?) + Duration::from_nanos(part(time.tv_nsec)?))
}

fn done(answer: libc::c_int) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_use() {
        let before = peak_memory_bytes().unwrap();
        std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(peak_memory_bytes().unwrap() > before.max(48 << 20));
    }

    #[test]
    fn only_durable_cells_are_real_time_of_themselves() {
        assert_eq!(Priority::Auto.of(Durability::Durable), Priority::Realtime);
        assert_eq!(Priority::Auto.of(Durability::Deferred), Priority::Nice);
        assert_eq!(Priority::None.of(Durability::Durable), Priority::None);
    }

    #[test]
    fn no_priority_is_always_allowed() {
        assert!(Priority::None.set().is_ok());
    }
}

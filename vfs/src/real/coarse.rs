//! The time of the kernel's last tick.
//!
//! A close look at the clock reads a counter of the processor, and takes a fifth of the time in which a snapshot begins and
//! ends (20 of 96 ns); this one reads memory that the kernel shares with every process.
#![expect(unsafe_code, reason = "the standard library has no coarse clock")]

use std::time::Duration;

/// Time since the machine's start, some milliseconds behind at most; `None` where the kernel does not tell.
pub(super) fn now() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: 1. `time` is a whole timespec that nobody else can reach, valid for the write. 2. The call keeps no pointer
    // to it. 3. Whatever it answers, `time` has been initialized above.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (answer == 0).then(|| Duration::new(seconds, nanos))
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_and_never_back() {
        let first = now().unwrap();
        let mut last = first;
        while last == first {
            std::thread::yield_now();
            let next = now().unwrap();
            assert!(next >= last);
            last = next;
        }
        assert!(last - first < Duration::from_secs(60));
    }
}

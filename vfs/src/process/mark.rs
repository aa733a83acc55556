//! A mark that a fork makes stale.

/// Remembers the process that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessMark(Mark);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// How many forks lie between the first process of the program and this one.
    #[cfg(unix)]
    Generation(u64),
    /// The process id, where forks cannot be counted.
    #[cfg(unix)]
    Process(u32),
    /// Nothing forks here.
    #[cfg(not(unix))]
    Only,
}

#[cfg(unix)]
impl ProcessMark {
    /// The mark of this process.
    #[must_use]
    pub fn current() -> Self {
        if super::fork_hook::install() {
            Self(Mark::Generation(super::fork_hook::generation()))
        } else {
            Self(Mark::Process(std::process::id()))
        }
    }

    /// Whether this process made the mark, and not one that it was forked from.
    #[must_use]
    #[inline]
    pub fn is_current(&self) -> bool {
        match self.0 {
            Mark::Generation(generation) => generation == super::fork_hook::generation(),
            Mark::Process(process) => process == std::process::id(),
        }
    }

    /// The same by one look at memory: `false` also where that does not tell.
    #[must_use]
    #[inline(always)]
    pub fn is_surely_current(&self) -> bool {
        matches!(self.0, Mark::Generation(generation) if generation == super::fork_hook::generation())
    }
}

#[cfg(not(unix))]
impl ProcessMark {
    /// The mark of this process.
    #[must_use]
    pub fn current() -> Self {
        Self(Mark::Only)
    }

    /// Whether this process made the mark; always so, because nothing forks here.
    #[must_use]
    pub fn is_current(&self) -> bool {
        matches!(self.0, Mark::Only)
    }

    /// The same by one look at memory: `false` also where that does not tell.
    #[must_use]
    #[inline(always)]
    pub fn is_surely_current(&self) -> bool {
        self.is_current()
    }
}

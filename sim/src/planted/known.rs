//! What is known to find each bug: tried first, and listed in `docs/testing.md`.
//!
//! A line names a test program and a test in it (`wal the_test`), or a command (`sim run --seeds 0..10`).

/// What finds a bug, the quickest first.
pub fn known(bug: &str) -> impl Iterator<Item = &'static str> + use<> {
    KNOWN.iter().find(|(name, _)| *name == bug).into_iter().flat_map(|(_, lines)| lines.iter().copied())
}

/// Everything that finds some bug, each once.
pub fn all_known() -> std::collections::BTreeSet<&'static str> {
    KNOWN.iter().flat_map(|(_, lines)| lines.iter().copied()).collect()
}

const KNOWN: &[(&str, &[&str])] = &[];

//! What was asked, and how often.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Operation;

/// Calls and bytes by operation and path. A call counts when it is made, whether or not it then fails; bytes count
/// when they were read or written.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    calls: BTreeMap<(Operation, PathBuf), Count>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    calls: u64,
    bytes: u64,
}

impl Counters {
    /// How often an operation was asked for, on any path.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        self.sum(operation, "", |count| count.calls)
    }

    /// How often an operation was asked for on paths that end so.
    #[must_use]
    pub fn calls_on(&self, operation: Operation, path_suffix: &str) -> u64 {
        self.sum(operation, path_suffix, |count| count.calls)
    }

    /// How many bytes an operation read or wrote, on any path.
    #[must_use]
    pub fn bytes(&self, operation: Operation) -> u64 {
        self.sum(operation, "", |count| count.bytes)
    }

    /// How many bytes an operation read or wrote on paths that end so.
    #[must_use]
    pub fn bytes_on(&self, operation: Operation, path_suffix: &str) -> u64 {
        self.sum(operation, path_suffix, |count| count.bytes)
    }

    /// How often anything was asked for that changes what is on disk: zero says "not a byte written".
    #[must_use]
    pub fn changes(&self) -> u64 {
        Operation::CHANGES.into_iter().map(|operation| self.calls(operation)).sum()
    }

    /// How often files were made durable, directories left out.
    #[must_use]
    pub fn file_syncs(&self) -> u64 {
        self.calls(Operation::SyncData) + self.calls(Operation::SyncAll)
    }

    pub(super) fn count_call(&mut self, operation: Operation, path: &Path) {
        self.entry(operation, path).calls += 1;
    }

    pub(super) fn count_bytes(&mut self, operation: Operation, path: &Path, bytes: usize) {
        self.entry(operation, path).bytes += bytes as u64;
    }

    fn entry(&mut self, operation: Operation, path: &Path) -> &mut Count {
        self.calls.entry((operation, path.to_path_buf())).or_default()
    }

    fn sum(&self, operation: Operation, path_suffix: &str, field: impl Fn(&Count) -> u64) -> u64 {
        self.calls
            .iter()
            .filter(|((of, path), _)| *of == operation && path.to_string_lossy().ends_with(path_suffix))
            .map(|(_, count)| field(count))
            .sum()
    }
}

//! Doors for the fuzzer to what is private: bytes in, invariants asserted. Compiled for tests and under `cfg(fuzzing)`,
//! which cargo-fuzz sets; the programs that call in are in `fuzz/`.
//!
//! Each function must end with every input: an error of the parser is an answer, a panic is a defect.

use crate::base::fuzzing as base;
use crate::record::{Change, changes, encode_change};

/// A page of a tree, of a free list, or a meta block, as its type says; see `base/fuzzing.rs`.
pub fn page(data: &[u8]) {
    match data.split_first() {
        Some((0xff, block)) => base::meta_block(block),
        _ => base::page(data),
    }
}

/// The payload of a commit: what is read is written the same way again.
///
/// # Panics
/// When it is not.
pub fn record(data: &[u8]) {
    let mut read: Vec<Change<'_>> = Vec::new();
    let mut malformed = false;
    for change in changes(data) {
        match change {
            Ok(change) => read.push(change),
            Err(_) => malformed = true,
        }
    }
    let bytes: usize = read.iter().map(|c| c.key.len() + c.value.map_or(0, <[u8]>::len)).sum();
    assert!(bytes + 3 * read.len() <= data.len(), "more was read than there is");
    let mut again = braid_wal::EncodedRecord::new();
    read.iter().for_each(|change| encode_change(&mut again, *change));
    let reread: Result<Vec<_>, _> = changes(again.payload()).collect();
    assert!(reread.is_ok_and(|reread| reread == read), "what was written is read otherwise");
    // A number may be written longer than need be; nothing else may differ.
    assert!(malformed || again.payload().len() <= data.len());
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the inputs are files of the repository")]

    use std::fs;
    use std::path::Path;

    /// Runs every input that is kept of a target; how many there were.
    fn replay(target: &str, run: fn(&[u8])) -> usize {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        let folders = [fuzz.join("corpus").join(target), fuzz.join("regressions").join(target)];
        let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        files.map(|file| run(&fs::read(file.unwrap().path()).unwrap())).count()
    }

    #[test]
    fn every_kept_input_still_passes() {
        assert!(replay("page_decode", super::page) > 10);
        assert!(replay("record_decode", super::record) > 10);
    }
}

//! Records that are left out: counted, named, and written to a file where that is wanted.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::exit::{Failure, Result};
use crate::output::{count, printable};
use crate::progress::note;

/// How many are named on standard error.
const SHOWN: usize = 20;

/// The rejected records of a load, told by any thread.
#[derive(Debug)]
pub(super) struct Rejects(Mutex<State>);

#[derive(Debug)]
struct State {
    total: u64,
    /// Those with the lowest lines, in the order of the lines.
    shown: Vec<(u64, String)>,
    file: Option<(PathBuf, BufWriter<File>)>,
    /// The first error of the file.
    failed: Option<Failure>,
}

impl Rejects {
    pub(super) fn new(path: Option<&Path>) -> Result<Self> {
        let file = path.map(|path| match File::create(path) {
            Ok(file) => Ok((path.to_owned(), BufWriter::new(file))),
            Err(error) => Err(Failure::file(path, &error)),
        });
        Ok(Self(Mutex::new(State { total: 0, shown: Vec::new(), file: file.transpose()?, failed: None })))
    }

    pub(super) fn add(&self, line: u64, reason: String) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { total, shown, file, failed } = &mut *state;
        *total += 1;
        if let Some((path, out)) = file
            && let Err(error) = writeln!(out, "{line}\t{}", printable(&reason))
        {
            failed.get_or_insert(Failure::file(path, &error));
        }
        let at = shown.partition_point(|(earlier, _)| *earlier <= line);
        if at < SHOWN {
            shown.insert(at, (line, reason));
            shown.truncate(SHOWN);
        }
    }

    /// Names them on standard error, and returns how many there were, and why they are not all in the file.
    pub(super) fn tell(self) -> (u64, Option<Failure>) {
        let mut state = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (line, reason) in &state.shown {
            note(&format!("rejected: line {line}: {reason}"));
        }
        let more = state.total - state.shown.len() as u64;
        if more > 0 {
            let all = if state.file.is_none() { "; name a file with --rejects to see them all" } else { "" };
            note(&format!("rejected: and {} more{all}", count(more)));
        }
        if let Some((path, out)) = &mut state.file
            && let Err(error) = out.flush()
        {
            state.failed.get_or_insert(Failure::file(path, &error));
        }
        (state.total, state.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_lines_are_shown_whoever_tells_them_first() {
        let rejects = Rejects::new(None).unwrap();
        for line in (1..=50).rev() {
            rejects.add(line, "bad".into());
        }
        let lines: Vec<_> = rejects.0.lock().unwrap().shown.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, (1..=SHOWN as u64).collect::<Vec<_>>());
        assert_eq!(rejects.tell().0, 50);
    }
}

//! What the disk can do: one record stored and synced, in a file laid out like a log segment.
//!
//! All blocks of the file are written before, so that a sync has data to write and no change of the file's own records.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cell::{Better, Reading};
use crate::rows::{KEY_BYTES, VALUE_BYTES};

/// The metric's name in every durable cell.
pub(crate) const METRIC: &str = "raw syncs";

/// Bytes of the file.
const FILE_BYTES: u64 = 32 << 20;
/// Bytes of a commit of one row in a log: a header, the row with its lengths, padded to eight.
const RECORD_BYTES: usize = (48 + 3 + KEY_BYTES + VALUE_BYTES).next_multiple_of(8);
/// Bytes in one write while the file is made.
const PIECE_BYTES: usize = 1 << 20;

/// A file to store records in, one after the other.
#[derive(Debug)]
pub(crate) struct RawLog {
    path: PathBuf,
    file: File,
    offset: u64,
    syncs: u64,
    elapsed: Duration,
}

impl RawLog {
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let zeros = vec![0; PIECE_BYTES];
        for offset in (0..FILE_BYTES).step_by(PIECE_BYTES) {
            file.write_all_at(&zeros, offset)?;
        }
        file.sync_all()?;
        Ok(Self { path, file, offset: 0, syncs: 0, elapsed: Duration::ZERO })
    }

    /// Beside the directory of an engine's files, on the same disk.
    pub(crate) fn beside(dir: &Path) -> io::Result<Self> {
        Self::create(dir.with_extension("raw"))
    }

    /// Stores a record and syncs it, again and again, for a time.
    pub(crate) fn run(&mut self, duration: Duration) -> io::Result<()> {
        let began = Instant::now();
        while began.elapsed() < duration {
            self.append()?;
            self.syncs += 1;
        }
        self.elapsed += began.elapsed();
        Ok(())
    }

    fn append(&mut self) -> io::Result<()> {
        if self.offset + RECORD_BYTES as u64 > FILE_BYTES {
            self.offset = 0;
        }
        self.file.write_all_at(&[b'r'; RECORD_BYTES], self.offset)?;
        self.offset += RECORD_BYTES as u64;
        self.file.sync_data()
    }

    /// Removes the file, and tells the rate of all its runs.
    pub(crate) fn finish(self) -> io::Result<Reading> {
        std::fs::remove_file(&self.path)?;
        let rate = self.syncs as f64 / self.elapsed.as_secs_f64();
        Ok(Reading {
            metric: METRIC.to_owned(),
            value: rate,
            unit: "1/s".to_owned(),
            better: Better::Neither,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_counts_every_run_and_the_file_is_gone() {
        let dir = std::env::temp_dir().join(format!("braid-compare-raw-{}", std::process::id()));
        let mut log = RawLog::beside(&dir).unwrap();
        for _ in 0..2 {
            log.run(Duration::from_millis(20)).unwrap();
        }
        assert!(log.elapsed >= Duration::from_millis(40));
        assert!(log.syncs >= 2);
        assert_eq!(log.offset, log.syncs * RECORD_BYTES as u64);
        let (path, rate) = (log.path.clone(), log.syncs as f64 / log.elapsed.as_secs_f64());
        assert_eq!(log.finish().unwrap().value, rate);
        assert!(!path.exists());
    }

    #[test]
    fn a_full_file_is_begun_again() {
        let path = std::env::temp_dir().join(format!("braid-compare-full-{}.raw", std::process::id()));
        let mut log = RawLog::create(path).unwrap();
        log.offset = FILE_BYTES - 1;
        log.append().unwrap();
        assert_eq!(log.offset, RECORD_BYTES as u64);
        assert_eq!(log.file.metadata().unwrap().len(), FILE_BYTES);
        std::fs::remove_file(&log.path).unwrap();
    }
}

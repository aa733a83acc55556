//! Sorted rows in a file beside the database.
//!
//! The file has no name from the moment it is made: whatever happens, nothing of it stays. A run is its rows one after the
//! other, each as the lengths of key and value (u32, little-endian), the key and the value; where it lies in the file and its
//! CRC-32 are kept in memory. What is read and does not check is damage, found before the table gets its name.

use std::io;
use std::path::Path;

use braid_vfs::sync::Arc;
use braid_vfs::{File, FileSystem, OpenMode, OpenOptions};

use super::chunk::{Rows, length};
use crate::base::BaseError;

/// One read or write.
const BUFFER_BYTES: usize = 256 << 10;

/// One read where many runs share the memory.
const LEAST_BUFFER_BYTES: usize = 16 << 10;

/// Names that may be taken before it is given up to find one.
const NAMES_TRIED: u32 = 1000;

/// A sorted run of rows.
#[derive(Clone, Copy, Debug)]
struct Run {
    at: u64,
    bytes: u64,
    checksum: u32,
}

/// The file of all runs of a load.
#[derive(Debug)]
pub(super) struct RunFile {
    file: Arc<dyn File>,
    end: u64,
    runs: Vec<Run>,
}

impl RunFile {
    /// Makes the file, at `path` or, where there is something, with a number behind: what is there may be anybody's.
    pub(super) fn create(files: &dyn FileSystem, path: &Path) -> io::Result<Self> {
        let mut tried = 0;
        loop {
            let mut name = path.as_os_str().to_owned();
            if tried > 0 {
                name.push(format!("-{tried}"));
            }
            match files.open(name.as_ref(), OpenOptions::new(OpenMode::CreateNew)) {
                Ok(file) => {
                    files.remove_file(name.as_ref())?;
                    return Ok(Self { file, end: 0, runs: Vec::new() });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tried < NAMES_TRIED => {
                    tried += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes a run.
    pub(super) fn write(&mut self, rows: Rows<'_>) -> io::Result<()> {
        let at = self.end;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        let mut hasher = crc32fast::Hasher::new();
        let mut end = at;
        let mut flush = |buffer: &mut Vec<u8>| {
            hasher.update(buffer);
            self.file.write_all_at(buffer, end)?;
            end += buffer.len() as u64;
            buffer.clear();
            io::Result::Ok(())
        };
        for (key, value) in rows {
            if buffer.len() + 8 + key.len() + value.len() > BUFFER_BYTES && !buffer.is_empty() {
                flush(&mut buffer)?;
            }
            buffer.extend_from_slice(&length(key).to_le_bytes());
            buffer.extend_from_slice(&length(value).to_le_bytes());
            buffer.extend_from_slice(key);
            buffer.extend_from_slice(value);
        }
        flush(&mut buffer)?;
        self.end = end;
        self.runs.push(Run { at, bytes: end - at, checksum: hasher.finalize() });
        Ok(())
    }

    /// Reads every run from its start, the oldest first. The buffers share `memory`, unless there are too many.
    pub(super) fn readers(&self, memory: usize) -> impl Iterator<Item = RunReader> {
        let buffer_bytes = (memory / self.runs.len().max(1)).clamp(LEAST_BUFFER_BYTES, BUFFER_BYTES);
        self.runs.iter().map(move |run| RunReader {
            file: Arc::clone(&self.file),
            next: run.at,
            end: run.at + run.bytes,
            checksum: run.checksum,
            hasher: crc32fast::Hasher::new(),
            buffer_bytes,
            buffer: Vec::new(),
            at: 0,
            key: 0,
            value: 0,
        })
    }
}

/// The rows of a run, one after the other. Of a long value no more than the buffer is in memory until it is asked for: many
/// readers stand on a row each, and only one of these is wanted at a time.
#[derive(Debug)]
pub(super) struct RunReader {
    file: Arc<dyn File>,
    /// What was not read yet.
    next: u64,
    end: u64,
    checksum: u32,
    hasher: crc32fast::Hasher,
    buffer_bytes: usize,
    buffer: Vec<u8>,
    /// Where in the buffer the row is that the reader stands on: its key, then as much of its value as was read.
    at: usize,
    /// Bytes of its key and of its value.
    key: usize,
    value: usize,
}

impl RunReader {
    /// Goes to the next row; whether there is one.
    pub(super) fn advance(&mut self) -> Result<bool, BaseError> {
        // Also what nobody asked for is read, for the checksum.
        self.at += self.have(self.key.saturating_add(self.value))?.len();
        (self.key, self.value) = (0, 0);
        if self.at == self.buffer.len() && self.next == self.end {
            let whole = self.hasher.clone().finalize() == self.checksum;
            return if whole { Ok(false) } else { Err(damaged()) };
        }
        let header = self.have(8)?;
        let length =
            |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
        let (key, value) = header.split_at(4);
        let (key, value) = (length(key), length(value));
        self.at += 8;
        self.have(key)?;
        (self.key, self.value) = (key, value);
        Ok(true)
    }

    /// The key of the row that the reader stands on.
    pub(super) fn key(&self) -> &[u8] {
        self.buffer.get(self.at..self.at + self.key).unwrap_or_default()
    }

    /// The key and the value of the row that the reader stands on.
    pub(super) fn row(&mut self) -> Result<(&[u8], &[u8]), BaseError> {
        let key = self.key;
        self.have(key.saturating_add(self.value)).map(|row| row.split_at(key))
    }

    /// The next `count` bytes of the run, from where the reader stands.
    fn have(&mut self, count: usize) -> Result<&[u8], BaseError> {
        if self.buffer.len() - self.at < count {
            self.buffer.drain(..self.at);
            self.at = 0;
            let kept = self.buffer.len();
            let left = self.end - self.next;
            let wanted = (count - kept).max(self.buffer_bytes);
            let reads = usize::try_from(left).map_or(wanted, |left| left.min(wanted));
            if kept.saturating_add(reads) < count {
                return Err(damaged());
            }
            // A long value that was here does not keep its memory.
            if self.buffer.capacity() / 2 > kept + reads {
                self.buffer.shrink_to(kept + reads);
            }
            self.buffer.resize(kept + reads, 0);
            let fresh = self.buffer.get_mut(kept..).unwrap_or_default();
            self.file
                .read_exact_at(fresh, self.next)
                .map_err(|source| BaseError::Io { doing: "reading the sorted rows of a load", source })?;
            self.hasher.update(fresh);
            self.next += reads as u64;
        }
        self.buffer.get(self.at..self.at + count).ok_or_else(damaged)
    }
}

fn damaged() -> BaseError {
    let source = io::Error::new(io::ErrorKind::InvalidData, "they are not what was written");
    BaseError::Io { doing: "reading the sorted rows of a load", source }
}

#[cfg(test)]
#[cfg(not(any(shuttle, loom)))]
mod tests {
    use super::super::chunk::Chunk;
    use super::*;
    use braid_vfs::Env;

    type Row = (Vec<u8>, Vec<u8>);

    fn runs(rows: &[Row]) -> RunFile {
        let env = Env::in_memory();
        let mut file = RunFile::create(&*env.files, Path::new("runs")).unwrap();
        assert_eq!(env.files.read_dir(Path::new("")).unwrap().len(), 0, "the file has a name");
        let mut chunk = Chunk::default();
        for (key, value) in rows {
            chunk.push(key, value);
        }
        chunk.sort();
        file.write(chunk.rows()).unwrap();
        file
    }

    fn read(file: &RunFile) -> Result<Vec<Row>, BaseError> {
        let mut reader = file.readers(BUFFER_BYTES).next().unwrap();
        let mut rows = Vec::new();
        while reader.advance()? {
            let (key, value) = reader.row()?;
            rows.push((key.to_vec(), value.to_vec()));
        }
        Ok(rows)
    }

    #[test]
    fn rows_come_back_whatever_their_lengths() {
        let lengths = [0, 1, 100, BUFFER_BYTES - 9, BUFFER_BYTES, 3 * BUFFER_BYTES + 1, 5];
        let rows: Vec<_> =
            lengths.iter().zip(b"abcdefg").map(|(length, key)| (vec![*key], vec![7; *length])).collect();
        assert_eq!(read(&runs(&rows)).unwrap(), rows);
        assert_eq!(read(&runs(&[])).unwrap(), []);
    }

    #[test]
    fn what_has_the_name_already_is_left_alone() {
        let files = Env::in_memory().files;
        let options = OpenOptions::new(OpenMode::CreateNew);
        let taken = ["runs", "runs-1"].map(|name| files.open(Path::new(name), options).unwrap());
        taken.iter().for_each(|file| file.write_all_at(b"somebody's", 0).unwrap());
        let (one, other) =
            (RunFile::create(&*files, Path::new("runs")), RunFile::create(&*files, Path::new("runs")));
        assert!(one.is_ok() && other.is_ok());
        assert_eq!(files.read_dir(Path::new("")).unwrap().len(), 2);
        assert!(taken.iter().all(|file| file.len().unwrap() == 10));
    }

    #[test]
    fn a_long_value_is_in_memory_while_it_is_wanted() {
        let long = 16 * BUFFER_BYTES;
        let file = runs(&[(vec![1], vec![1; long]), (vec![2], vec![2; long]), (vec![3], vec![])]);
        let mut reader = file.readers(0).next().unwrap();
        assert!(reader.advance().unwrap());
        assert_eq!(reader.key(), [1]);
        assert!(reader.buffer.capacity() < BUFFER_BYTES);
        assert_eq!(reader.row().unwrap().1, vec![1; long]);
        assert!(reader.advance().unwrap());
        assert_eq!(reader.key(), [2]);
        assert!(reader.buffer.capacity() < BUFFER_BYTES);
        // Passed over, and in the checksum all the same.
        assert!(reader.advance().unwrap());
        assert_eq!(reader.row().unwrap(), (&[3][..], &[][..]));
        assert!(!reader.advance().unwrap());
    }

    #[test]
    fn damage_is_found() {
        let rows: Vec<_> = (0..50_u8).map(|n| (vec![n], vec![n; 40])).collect();
        for at in 0..50 * 49 {
            let file = runs(&rows);
            let mut byte = [0];
            file.file.read_exact_at(&mut byte, at).unwrap();
            file.file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
            assert!(read(&file).is_err(), "byte {at}");
        }
    }
}

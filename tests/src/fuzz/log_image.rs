//! A log without its zeros: what of each segment is worth changing.
//!
//! ```text
//! start     2 bytes   where replay starts, in units of eight bytes from the first position
//! proven    2         how far the log is said to be durable, likewise; zero: nothing is said
//! segments  each: sequence (1), tail (1) in units of eight zero bytes, length of the records (2), header (128), records
//! ```

use std::path::Path;

use braid::vfs::memory::MemoryFileSystem;
use braid::vfs::{FileSystem, OpenMode, OpenOptions};
use braid_wal::Lsn;
use fastrand::Rng;

use super::bytes::{get, put, take, telling, u16_at, u32_at, u64_at};

const BLOCK: usize = 4096;
const HEADER: usize = 128;
const RECORD: usize = 48;
/// Pieces of a segment that come before its records in an image.
const PREAMBLE: usize = 4 + HEADER;

/// The identity that every log of an image has.
pub(super) const UUID: [u8; 16] = [7; 16];

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogImage {
    start: u16,
    proven: u16,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    sequence: u8,
    tail: u8,
    header: [u8; HEADER],
    records: Vec<u8>,
}

impl LogImage {
    /// Any bytes are an image.
    #[must_use]
    pub fn parse(mut data: &[u8]) -> Self {
        let head = take(&mut data, 4);
        let (start, proven) = (u16::from_le_bytes(get(head, 0)), u16::from_le_bytes(get(head, 2)));
        let mut segments = Vec::new();
        while data.len() >= PREAMBLE {
            let head = take(&mut data, 4);
            let (sequence, tail) = (get::<1>(head, 0)[0], get::<1>(head, 1)[0]);
            let header = get(take(&mut data, HEADER), 0);
            let records = take(&mut data, u16_at(head, 2)).to_vec();
            segments.push(Segment { sequence, tail, header, records });
        }
        Self { start, proven, segments }
    }

    /// The image of a log as it lies in a directory.
    ///
    /// # Panics
    /// When the files cannot be read.
    #[must_use]
    pub fn of(files: &dyn FileSystem, dir: &Path, start: Lsn, proven: Lsn) -> Self {
        let in_units = |lsn: Lsn| u16::try_from(lsn.get().saturating_sub(Lsn::FIRST.get()) / 8).unwrap_or(0);
        let mut names = files.read_dir(dir).expect("the log has a directory");
        names.sort();
        let segments = names.iter().map(|name| {
            let file =
                files.open(&dir.join(name), OpenOptions::new(OpenMode::ReadOnly)).expect("it is there");
            let len = usize::try_from(file.len().expect("it has a length")).expect("it fits in memory");
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, 0).expect("it can be read");
            let digits = name.to_str().and_then(|name| name.split('.').next()).unwrap_or_default();
            let sequence = u64::from_str_radix(digits, 16).ok().and_then(|n| u8::try_from(n).ok());
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1).max(BLOCK);
            let records = bytes.get(BLOCK..used.next_multiple_of(8).min(len)).unwrap_or_default().to_vec();
            Segment { sequence: sequence.unwrap_or(0), tail: 4, header: get(&bytes, 0), records }
        });
        let mut image =
            Self { start: in_units(start), proven: in_units(proven), segments: segments.collect() };
        image.repair_headers();
        image
    }

    /// The bytes that [`parse`](Self::parse) reads as this image.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.start.to_le_bytes());
        out.extend_from_slice(&self.proven.to_le_bytes());
        for segment in &self.segments {
            let len = u16::try_from(segment.records.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&[segment.sequence, segment.tail]);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&segment.header);
            out.extend_from_slice(segment.records.get(..usize::from(len)).unwrap_or_default());
        }
        out
    }

    /// Where replay starts.
    #[must_use]
    pub fn start(&self) -> Lsn {
        Lsn::new(Lsn::FIRST.get() + 8 * u64::from(self.start))
    }

    /// How far the log is said to be durable.
    #[must_use]
    pub fn proven(&self) -> Lsn {
        if self.proven == 0 { Lsn::ZERO } else { Lsn::new(Lsn::FIRST.get() + 8 * u64::from(self.proven)) }
    }

    /// Bytes of all records, good or bad. The last one of a segment may end in the zeros at the file's end.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.records.len() + segment.tail_bytes()).sum()
    }

    /// Lays the segments out in a directory.
    ///
    /// # Panics
    /// Never: memory takes what it is given.
    pub fn mount(&self, files: &MemoryFileSystem, dir: &Path) {
        files.create_dir(dir, 0o700).expect("memory takes a directory");
        for segment in &self.segments {
            let path = dir.join(format!("{:016x}.seg", segment.sequence));
            let options = OpenOptions::new(OpenMode::ReadWriteCreate);
            let file = files.open(&path, options).expect("memory takes a file");
            let write = |bytes: &[u8], at| file.write_all_at(bytes, at).expect("memory takes bytes");
            write(&segment.header, 0);
            write(&segment.records, BLOCK as u64);
            file.set_len(segment.file_bytes()).expect("memory takes zeros");
        }
    }

    /// Changes something that a log is made of.
    pub fn vary(&mut self, rng: &mut Rng) {
        let count = self.segments.len();
        match rng.u8(0..10) {
            0 => self.start = rng.u16(..),
            1 => self.proven = rng.u16(..),
            2 if count > 1 => {
                self.segments.remove(rng.usize(..count));
            }
            3 if count > 0 && count < 6 => {
                let mut copy = self.segments[rng.usize(..count)].clone();
                copy.sequence = copy.sequence.wrapping_add(rng.u8(0..3));
                self.segments.push(copy);
            }
            4 if count > 0 => {
                let segment = &mut self.segments[rng.usize(..count)];
                let at = *rng.choice(&[8, 32, 40, 48, 56, 64, 72, 76]).unwrap_or(&40);
                let value = telling(rng, u64_at(&segment.header, at));
                put(&mut segment.header, at, &value.to_le_bytes());
            }
            _ if count > 0 => self.segments[rng.usize(..count)].vary(rng),
            _ => {}
        }
    }

    /// Makes right what random changes always break. `all`: as a log would have it; otherwise the checksums alone.
    pub fn repair(&mut self, all: bool) {
        self.repair_headers();
        for segment in &mut self.segments {
            segment.repair_records(all);
        }
    }

    fn repair_headers(&mut self) {
        for segment in self.segments.iter_mut().filter(|segment| segment.header.iter().any(|b| *b != 0)) {
            let (sequence, bytes) = (u64::from(segment.sequence), segment.file_bytes());
            let header = &mut segment.header;
            put(header, 0, b"BRAIDLOG");
            put(header, 8, &1_u32.to_le_bytes());
            put(header, 16, &UUID);
            put(header, 32, &sequence.to_le_bytes());
            put(header, 76, &bytes.to_le_bytes());
            put(header, 12, &[0; 4]);
            let checksum = crc32fast::hash(header);
            put(header, 12, &checksum.to_le_bytes());
        }
    }
}

impl Segment {
    fn file_bytes(&self) -> u64 {
        (BLOCK + self.records.len() + self.tail_bytes()) as u64
    }

    fn tail_bytes(&self) -> usize {
        8 * usize::from(self.tail)
    }

    /// Where records start that have room for their payloads.
    fn places(&self) -> Vec<usize> {
        let mut places = Vec::new();
        let mut at = 0;
        while at + RECORD <= self.records.len() {
            places.push(at);
            at = at.saturating_add(RECORD + u32_at(&self.records, at + 4) as usize).next_multiple_of(8);
        }
        places
    }

    fn vary(&mut self, rng: &mut Rng) {
        let places = self.places();
        let Some(&at) = rng.choice(&places) else {
            self.records.resize(RECORD, 0);
            return;
        };
        match rng.u8(0..8) {
            0 => {
                let value = telling(rng, u64::from(u32_at(&self.records, at + 4)));
                put(&mut self.records, at + 4, &value.to_le_bytes()[..4]);
            }
            1 => {
                let kind = *rng.choice(&[1, 2, 3, 4, 5, 0xEF, 0xF0, 0xF1, 0xF2, 0xF3]).unwrap_or(&1);
                put(&mut self.records, at + 44, &[kind]);
            }
            2 => {
                let field = at + *rng.choice(&[8, 16, 24, 32]).unwrap_or(&8);
                let value = telling(rng, u64_at(&self.records, field));
                put(&mut self.records, field, &value.to_le_bytes());
            }
            3 => self.records.truncate(at),
            4 => {
                let copy = self.records.get(at..).unwrap_or_default().to_vec();
                self.records.extend_from_slice(&copy);
                self.records.truncate(4096);
            }
            5 => {
                let own = [0; RECORD];
                self.records.splice(at..at, own);
                put(&mut self.records, at + 44, &[*rng.choice(&[0xF0, 0xF1, 0xF2]).unwrap_or(&0xF0)]);
                put(&mut self.records, at + 32, &u64::from(self.sequence.wrapping_add(1)).to_le_bytes());
            }
            6 => self.tail = rng.u8(..),
            _ => {
                let end = self.records.len();
                if let Some(byte) = self.records.get_mut(rng.usize(at..end)) {
                    *byte = rng.u8(..);
                }
            }
        }
    }

    fn repair_records(&mut self, all: bool) {
        let (base, salt) = (u64_at(&self.header, 40), u64_at(&self.header, 48));
        for at in self.places() {
            let records = &mut self.records;
            let len = u32_at(records, at + 4) as usize;
            if all {
                let lsn = base.wrapping_add(at as u64);
                let durable = u64_at(records, at + 16).min(lsn);
                put(records, at + 8, &lsn.to_le_bytes());
                put(records, at + 16, &durable.to_le_bytes());
                put(records, at + 24, &salt.to_le_bytes());
                put(records, at + 45, &[0; 3]);
            }
            let padded = at + RECORD..(at + RECORD).saturating_add(len).next_multiple_of(8);
            if let Some(payload) = records.get(padded) {
                let checksum = crc32fast::hash(payload);
                put(records, at + 40, &checksum.to_le_bytes());
            }
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&UUID);
            hasher.update(records.get(at + 4..at + RECORD).unwrap_or_default());
            put(records, at, &hasher.finalize().to_le_bytes());
        }
    }
}

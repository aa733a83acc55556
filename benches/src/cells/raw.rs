//! What the disk can do: one record stored and synced, in a file laid out like a log segment.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use braid::vfs::{Env, File, LogMapping, OpenMode, OpenOptions};

use crate::Result;
use crate::cell::{Context, Readings};
use crate::measure::{Repeated, for_a_time};
use crate::rows::{KEY_BYTES, VALUE_BYTES};

/// Bytes of the file, as of the largest log segment.
const FILE_BYTES: usize = 32 << 20;
/// Bytes of one commit of one row in the log: a header, the row with its lengths, padded to eight.
const RECORD_BYTES: usize = (48 + 3 + KEY_BYTES + VALUE_BYTES).next_multiple_of(8);
/// A segment is filled in blocks of this size.
const BLOCK_BYTES: usize = 4096;

/// A file whose blocks are all written, to store records in one after the other.
#[derive(Debug)]
pub(crate) struct RawLog {
    file: Arc<dyn File>,
    mapping: Option<Box<dyn LogMapping>>,
    offset: usize,
    stored: u64,
}

impl RawLog {
    pub(crate) fn create(path: &Path, mapped: bool) -> Result<Self> {
        let file = Env::real().files.open(path, OpenOptions::new(OpenMode::CreateNew))?;
        for offset in (0..FILE_BYTES).step_by(BLOCK_BYTES) {
            file.write_all_at(&[0; BLOCK_BYTES], offset as u64)?;
        }
        file.sync_all()?;
        let mapping = if mapped {
            Some(file.map_for_append(FILE_BYTES)?.ok_or("this file system takes no mapped log")?)
        } else {
            None
        };
        Ok(Self { file, mapping, offset: 0, stored: 0 })
    }

    /// Records stored so far.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// Stores one record.
    pub(super) fn store(&mut self) -> Result<()> {
        if self.offset + RECORD_BYTES > FILE_BYTES {
            self.offset = 0;
        }
        let record = [b'r'; RECORD_BYTES];
        match &mut self.mapping {
            Some(mapping) => mapping.write(self.offset, &record),
            None => self.file.write_all_at(&record, self.offset as u64)?,
        }
        self.offset += RECORD_BYTES;
        self.stored += 1;
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<()> {
        Ok(self.file.sync_data()?)
    }

    /// Stores one record and syncs it.
    fn append(&mut self) -> Result<()> {
        self.store()?;
        self.sync()
    }

    /// Appends for a time.
    pub(crate) fn run(&mut self, duration: Duration) -> Result<Repeated> {
        let log = std::sync::Mutex::new(self);
        for_a_time(1, duration, |_, _| log.lock().map_err(|_| "a panic")?.append())
    }
}

pub(super) fn run(cx: &Context) -> Result<Readings> {
    const SLICES: u32 = 4;
    let mut logs = [
        ("mapped store + fdatasync", RawLog::create(&cx.dir.join("mapped"), true)?, Repeated::none()?),
        ("pwrite + fdatasync", RawLog::create(&cx.dir.join("written"), false)?, Repeated::none()?),
    ];
    let slice = Duration::from_secs_f64(cx.size.seconds / 2.0 / f64::from(SLICES));
    for _ in 0..SLICES {
        for (_, log, all) in &mut logs {
            all.then(&log.run(slice)?)?;
        }
    }
    let mut readings = Readings::default();
    for (name, _, all) in &logs {
        readings.add(*name, all.per_second(), "1/s");
    }
    Ok(readings)
}

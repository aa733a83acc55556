//! The bytes of one file, live and durable, and the changes between.

use std::io;

use super::choice::{CrashChoice, Fates};
use crate::memory::Contents;

/// A file's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    live: Contents,
    durable: Contents,
    unsynced: Vec<Unsynced>,
}

/// A change that no sync has covered.
#[derive(Clone, Debug)]
pub(super) struct Unsynced {
    /// Its place among all changes of the file system.
    pub(super) order: u64,
    pub(super) change: Change,
}

/// A change to a file's bytes.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: u64, bytes: Box<[u8]> },
    SetLen(u64),
}

impl Image {
    /// A file as it is after a restart: everything that is there is durable.
    pub(super) fn restarted(contents: Contents) -> Self {
        Self { live: contents.clone(), durable: contents, unsynced: Vec::new() }
    }

    pub(super) fn live(&self) -> &Contents {
        &self.live
    }

    pub(super) fn durable(&self) -> &Contents {
        &self.durable
    }

    pub(super) fn unsynced(&self) -> &[Unsynced] {
        &self.unsynced
    }

    pub(super) fn write_at(&mut self, order: u64, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.live.write_at(bytes, offset)?;
        if !bytes.is_empty() {
            self.unsynced.push(Unsynced { order, change: Change::Write { offset, bytes: bytes.into() } });
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, order: u64, len: u64) -> io::Result<()> {
        self.live.set_len(len)?;
        self.unsynced.push(Unsynced { order, change: Change::SetLen(len) });
        Ok(())
    }

    /// Makes the changes durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.settle(CrashChoice::KeepAll)
    }

    /// A sync that failed: of the changes so far those of the choice have reached the disk, and no others ever will.
    pub(super) fn fail_sync(&mut self, reached: CrashChoice) -> io::Result<()> {
        self.settle(reached)
    }

    fn settle(&mut self, choice: CrashChoice) -> io::Result<()> {
        let mut fates = Fates::new(choice);
        for unsynced in self.unsynced.drain(..) {
            unsynced.change.apply(&mut self.durable, &mut fates)?;
        }
        Ok(())
    }
}

impl Change {
    /// Bytes that it writes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Write { bytes, .. } => bytes.len(),
            Self::SetLen(_) => 0,
        }
    }

    /// Does to `contents` what fate leaves of the change.
    pub(super) fn apply(&self, contents: &mut Contents, fates: &mut Fates) -> io::Result<()> {
        match self {
            Self::SetLen(len) => {
                if fates.keeps_whole() {
                    contents.set_len(*len)?;
                }
            }
            Self::Write { offset, bytes } => {
                let torn = fates.tear(*offset, bytes.len());
                for piece in torn.pieces {
                    contents.write_at(&bytes[piece.clone()], offset + piece.start as u64)?;
                }
                let end = offset + bytes.len() as u64;
                if torn.keeps_length && end > contents.len() {
                    contents.set_len(end)?;
                }
            }
        }
        Ok(())
    }
}

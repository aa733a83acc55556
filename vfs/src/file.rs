//! One open file: positional I/O, syncs, the lock, and the mapping that the log appends through.

use std::fmt::Debug;
use std::io;

use crate::FileIdentity;

/// Which advisory lock to take on a whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Many holders, none of them writing.
    Shared,
    /// One holder.
    Exclusive,
}

/// The answer to an attempt at a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockAttempt {
    /// The lock is ours until the file is dropped.
    Acquired,
    /// Somebody else holds it; the process id where the system tells it.
    HeldBy(Option<u32>),
}

/// An open file. All I/O is positional, so one file serves any number of threads without a lock.
///
/// Offsets and lengths are bytes. `read_at` and `write_at` are the system calls: they may be short or interrupted.
/// `read_exact_at` and `write_all_at` finish the work, retry `Interrupted`, and refuse to spin: a write of zero bytes
/// is [`io::ErrorKind::WriteZero`], a read past the end [`io::ErrorKind::UnexpectedEof`].
///
/// A database calls its files with locks held: no method may call that database, or wait for a thread that does. One
/// that panics has failed, and a sync that does so fails for good.
pub trait File: Debug + Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset`; `0` means end of file.
    ///
    /// # Errors
    /// Whatever the system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes up to `buf.len()` bytes at `offset`, growing the file where needed.
    ///
    /// # Errors
    /// Whatever the system says; a full disk is [`io::ErrorKind::StorageFull`] or `QuotaExceeded`.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// The length of the file in bytes.
    ///
    /// # Errors
    /// Whatever the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds no bytes.
    ///
    /// # Errors
    /// Whatever the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file to `len` bytes, or extends it with a hole of zeros.
    ///
    /// # Errors
    /// Whatever the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the file's data, and the length needed to read it back, durable (`fdatasync`).
    ///
    /// After an error nothing is known about any byte written since the last success, and a second call that
    /// succeeds proves nothing: the system may have dropped the pages.
    ///
    /// # Errors
    /// Whatever the system says.
    fn sync_data(&self) -> io::Result<()>;

    /// Begins to make `len` bytes at `offset` durable, without waiting: a hint that spreads what a later
    /// [`sync_data`](File::sync_data) would do at once. It promises nothing, and need not do anything.
    fn start_writeback(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// [`sync_data`](File::sync_data) and the file's other attributes (`fsync`).
    ///
    /// # Errors
    /// Whatever the system says.
    fn sync_all(&self) -> io::Result<()>;

    /// What makes this file the same file under every name it has, now.
    ///
    /// # Errors
    /// Whatever the system says.
    fn identity(&self) -> io::Result<FileIdentity>;

    /// The permission bits of the file (`0o600` and the like); `0o600` where the platform has none.
    ///
    /// # Errors
    /// Whatever the system says.
    fn mode(&self) -> io::Result<u32>;

    /// Tries to lock the whole file without waiting. The lock belongs to this open file and not to the process, so
    /// that another open and close of the same file does not release it (`flock`, never POSIX record locks). A mapping
    /// keeps the file open and so the lock; a forked child does too, until it ends or starts another program.
    ///
    /// An open file that asks for the other kind gives up the one it has, and has none left when that is refused.
    ///
    /// # Errors
    /// Whatever the system says, other than that the lock is held.
    fn try_lock(&self, kind: LockKind) -> io::Result<LockAttempt>;

    /// Gives the lock up now, if this open file has one. Dropping the file may come too late: a child process that was
    /// forked and has not yet replaced its program holds the open file, and with it the lock, a moment longer.
    ///
    /// # Errors
    /// Whatever the system says.
    fn unlock(&self) -> io::Result<()>;

    /// Maps the first `len` bytes for writing, or `None` where that cannot be had. The caller has already written
    /// every one of these bytes, so a store never meets a hole or a missing block; and while the mapping lives nobody
    /// cuts the file, which this file's `set_len` refuses to do (`ResourceBusy`).
    ///
    /// # Errors
    /// `InvalidInput` when the file is shorter; otherwise whatever the system says, other than that mapping is not
    /// supported.
    fn map_for_append(&self, len: usize) -> io::Result<Option<Box<dyn LogMapping>>>;

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends first; otherwise whatever the system says.
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buf = buf.get_mut(n..).unwrap_or_default();
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `buf` at `offset`.
    ///
    /// # Errors
    /// `WriteZero` when the system accepts no byte; otherwise whatever the system says. Some bytes may have been
    /// written.
    fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    buf = buf.get(n..).unwrap_or_default();
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A file's first bytes mapped for writing: a store is a memory copy and no system call.
///
/// It keeps the file open. What it stores is visible at once to `read_at` on the same file, survives the death of
/// the process, and becomes durable with the next [`File::sync_data`].
pub trait LogMapping: Debug + Send {
    /// Copies `bytes` to `offset`.
    ///
    /// # Panics
    /// When the range does not lie within the mapping.
    fn write(&mut self, offset: usize, bytes: &[u8]);

    /// The mapped length in bytes.
    fn len(&self) -> usize;

    /// Whether nothing is mapped.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

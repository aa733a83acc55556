//! The machine after every call that changes something on it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use braid::vfs::faulty::CrashFileSystem;
use braid::vfs::{File, FileIdentity, FileSystem, LockAttempt, LockKind, LogMapping, OpenMode, OpenOptions};
use braid_tests::oracle::{Life, Marks};

/// A machine as it was once, and what had been promised by then.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) machine: CrashFileSystem,
    pub(super) marks: Marks,
    /// Nothing changed on the machine since the moment before, but more is promised.
    pub(super) told_only: bool,
}

/// Watches the calls to a machine. A clone watches the same.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    machine: CrashFileSystem,
    tape: Arc<Tape>,
}

#[derive(Debug)]
struct Tape {
    marks: Arc<Mutex<Marks>>,
    moments: Mutex<Vec<Moment>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Watches `machine`, on which `life` goes on.
    pub(super) fn new(machine: &CrashFileSystem, life: &Life) -> Self {
        let tape = Tape { marks: life.shared_marks(), moments: Mutex::default() };
        let this = Self { machine: machine.clone(), tape: Arc::new(tape) };
        this.note(false);
        this
    }

    fn note(&self, told_only: bool) {
        let marks = *lock(&self.tape.marks);
        let mut moments = lock(&self.tape.moments);
        if told_only && moments.last().is_some_and(|last| last.marks == marks) {
            return;
        }
        moments.push(Moment { machine: self.machine.after_kill(), marks, told_only });
    }

    /// A moment between two calls: something may have been promised.
    pub(super) fn told(&self) {
        self.note(true);
    }

    /// How many moments there are.
    pub(super) fn len(&self) -> usize {
        lock(&self.tape.moments).len()
    }

    /// Every moment so far.
    pub(super) fn take(&self) -> Vec<Moment> {
        std::mem::take(&mut *lock(&self.tape.moments))
    }

    fn after<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if done.is_ok() {
            self.note(false);
        }
        done
    }
}

impl FileSystem for Recorder {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn File>> {
        let creates = matches!(options.mode, OpenMode::ReadWriteCreate | OpenMode::CreateNew)
            && self.machine.identity(path)?.is_none();
        let inner = self.machine.open(path, options)?;
        if creates {
            self.note(false);
        }
        Ok(Arc::new(Watched { inner, recorder: self.clone() }))
    }

    fn create_dir(&self, path: &Path, permissions: u32) -> io::Result<()> {
        self.after(self.machine.create_dir(path, permissions))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.machine.read_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.after(self.machine.remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.after(self.machine.remove_dir(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.after(self.machine.rename(from, to))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.after(self.machine.rename_new(from, to))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.after(self.machine.sync_dir(path))
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        self.machine.identity(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.machine.resolve(path)
    }
}

/// An open file of a watched machine.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn File>,
    recorder: Recorder,
}

impl File for Watched {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.recorder.after(self.inner.write_at(buf, offset))
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.recorder.after(self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.recorder.after(self.inner.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.recorder.after(self.inner.sync_all())
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        self.inner.identity()
    }

    fn mode(&self) -> io::Result<u32> {
        self.inner.mode()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<LockAttempt> {
        self.inner.try_lock(kind)
    }

    fn unlock(&self) -> io::Result<()> {
        self.inner.unlock()
    }

    fn map_for_append(&self, len: usize) -> io::Result<Option<Box<dyn LogMapping>>> {
        let mapping = self.inner.map_for_append(len)?;
        Ok(mapping.map(|inner| Box::new(WatchedMapping { inner, recorder: self.recorder.clone() }) as _))
    }
}

/// A mapping of a watched machine.
#[derive(Debug)]
struct WatchedMapping {
    inner: Box<dyn LogMapping>,
    recorder: Recorder,
}

impl LogMapping for WatchedMapping {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.inner.write(offset, bytes);
        self.recorder.note(false);
    }

    fn len(&self) -> usize {
        self.inner.len()
    }
}

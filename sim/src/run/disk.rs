//! A disk that lies: writes of the database file that never arrive, or arrive elsewhere, and say that all is well.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use braid::vfs::{File, FileIdentity, FileSystem, LockAttempt, LockKind, LogMapping, OpenOptions};

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// It never arrives.
    Lose,
    /// It arrives so many bytes further on, or at the start of the file where that lies beyond the end.
    Misdirect {
        /// A multiple of the page.
        by: u64,
    },
}

/// The tricks to come; a clone is the same ones.
#[derive(Clone, Debug, Default)]
pub struct Mischief {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    planned: Vec<(Trick, u64)>,
    played: u64,
}

impl Mischief {
    /// Plans a trick for the `nth` write from now, the first being 1.
    pub fn plan(&self, trick: Trick, nth: u64) {
        self.with(|state| state.planned.push((trick, nth)));
    }

    /// Forgets what has not happened yet.
    pub fn clear(&self) {
        self.with(|state| state.planned.clear());
    }

    /// How many tricks were played.
    #[must_use]
    pub fn played(&self) -> u64 {
        self.with(|state| state.played)
    }

    fn meet(&self) -> Option<Trick> {
        self.with(|state| {
            let mut met = None;
            state.planned.retain_mut(|(trick, left)| {
                *left -= 1;
                if *left == 0 {
                    met = Some(*trick);
                }
                *left > 0
            });
            state.played += u64::from(met.is_some());
            met
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Any file system, on a disk that plays tricks on the file at one path.
#[derive(Clone, Debug)]
pub struct LyingDisk {
    inner: Arc<dyn FileSystem>,
    path: PathBuf,
    mischief: Mischief,
}

impl LyingDisk {
    /// Tricks for the file at `path`.
    #[must_use]
    pub fn new(inner: Arc<dyn FileSystem>, path: &Path, mischief: Mischief) -> Self {
        Self { inner, path: path.to_owned(), mischief }
    }
}

impl FileSystem for LyingDisk {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn File>> {
        let file = self.inner.open(path, options)?;
        if path == self.path {
            Ok(Arc::new(LyingFile { inner: file, mischief: self.mischief.clone() }))
        } else {
            Ok(file)
        }
    }

    fn create_dir(&self, path: &Path, permissions: u32) -> io::Result<()> {
        self.inner.create_dir(path, permissions)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.inner.read_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename_new(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_dir(path)
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        self.inner.identity(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.resolve(path)
    }
}

#[derive(Debug)]
struct LyingFile {
    inner: Arc<dyn File>,
    mischief: Mischief,
}

impl File for LyingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        match self.mischief.meet() {
            None => self.inner.write_at(buf, offset),
            Some(Trick::Lose) => Ok(buf.len()),
            Some(Trick::Misdirect { by }) => {
                let elsewhere = offset.saturating_add(by);
                let end = elsewhere.saturating_add(buf.len() as u64);
                self.inner.write_at(buf, if end <= self.inner.len()? { elsewhere } else { 0 })
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.inner.sync_all()
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
        self.inner.map_for_append(len)
    }
}

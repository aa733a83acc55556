//! A file system that fails when a fault says so.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Faults, FaultyFile, Operation};
use crate::{File, FileIdentity, FileSystem, OpenMode, OpenOptions};

/// Any file system, under faults. Paths are matched and counted as they are given, links unresolved.
#[derive(Clone, Debug)]
pub struct FaultyFileSystem {
    inner: Arc<dyn FileSystem>,
    faults: Faults,
}

impl FaultyFileSystem {
    /// `inner`, under no fault yet.
    #[must_use]
    pub fn new(inner: Arc<dyn FileSystem>) -> Self {
        Self { inner, faults: Faults::new() }
    }

    /// The handle to plan faults with.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// The file that a name stands for itself, and not by a symbolic link.
    fn own_file(&self, path: &Path) -> Option<FileIdentity> {
        let name = path.file_name()?;
        let parent = self.inner.resolve(path.parent()?).ok()?;
        let is_own = self.inner.resolve(path).is_ok_and(|resolved| resolved == parent.join(name));
        if is_own { self.inner.identity(path).ok().flatten() } else { None }
    }

    /// Takes a file whose last name went out of the bound. Where it has other names it counts again at its next open.
    fn forget(&self, file: Option<FileIdentity>) {
        if let Some(file) = file {
            self.faults.with_quota(|quota| quota.forget(file));
        }
    }
}

impl FileSystem for FaultyFileSystem {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn File>> {
        let verdict = self.faults.meet(Operation::Open, path)?;
        let creates = matches!(options.mode, OpenMode::ReadWriteCreate | OpenMode::CreateNew)
            && self.inner.identity(path)?.is_none();
        let created = if creates { Some(self.faults.meet(Operation::Create, path)?) } else { None };
        let inner = verdict.finish(self.inner.open(path, options))?;
        let inner = created.unwrap_or_default().finish(Ok(inner))?;
        Ok(Arc::new(FaultyFile::new(inner, path.to_path_buf(), self.faults.clone())?))
    }

    fn create_dir(&self, path: &Path, permissions: u32) -> io::Result<()> {
        let verdict = self.faults.meet(Operation::CreateDir, path)?;
        verdict.finish(self.inner.create_dir(path, permissions))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.inner.read_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let verdict = self.faults.meet(Operation::Remove, path)?;
        let file = self.own_file(path);
        self.inner.remove_file(path)?;
        self.forget(file);
        verdict.finish(Ok(()))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let verdict = self.faults.meet(Operation::Remove, path)?;
        verdict.finish(self.inner.remove_dir(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let verdict = self.faults.meet(Operation::Rename, from)?;
        let (moved, replaced) = (self.own_file(from), self.own_file(to));
        self.inner.rename(from, to)?;
        if replaced != moved {
            self.forget(replaced);
        }
        verdict.finish(Ok(()))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let verdict = self.faults.meet(Operation::Rename, from)?;
        verdict.finish(self.inner.rename_new(from, to))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Option<Arc<dyn File>>> {
        self.inner.open_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let verdict = self.faults.meet(Operation::SyncDir, path)?;
        verdict.finish(self.inner.sync_dir(path))
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        self.inner.identity(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.resolve(path)
    }

    fn check_own_dir(&self, directory: &Path, file: &Path) -> io::Result<()> {
        self.inner.check_own_dir(directory, file)
    }
}

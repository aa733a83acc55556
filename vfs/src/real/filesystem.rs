//! The operating system's tree of names.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::RealFile;
use super::platform;
use crate::{File, FileIdentity, FileSystem, OpenOptions};

/// How many symbolic links a last name may lead through: the kernel's own bound.
const LINKS_MAX: usize = 40;

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFileSystem;

#[expect(clippy::disallowed_methods, reason = "this is where the workspace calls the file system")]
impl FileSystem for RealFileSystem {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(RealFile::new(platform::open(path, options)?)))
    }

    fn create_dir(&self, path: &Path, permissions: u32) -> io::Result<()> {
        platform::create_dir(path, permissions)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn open_dir(&self, path: &Path) -> io::Result<Option<Arc<dyn File>>> {
        let directory = platform::open_dir(path)?;
        Ok(directory.map(|directory| Arc::new(RealFile::new(directory)) as Arc<dyn File>))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        platform::sync_dir(path)
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        match std::fs::metadata(path) {
            Ok(metadata) => platform::identity(&metadata).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        resolve(path)
    }
}

/// The path without links and dots; its last name may be absent.
#[expect(clippy::disallowed_methods, reason = "this is where the workspace resolves paths")]
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..=LINKS_MAX {
        match std::fs::canonicalize(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
        // Something on the way is absent: the last name, what a link in its place leads to, or more than that.
        let Some(name) = path.file_name() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let parent = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        let parent = std::fs::canonicalize(parent)?;
        if !parent.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let place = parent.join(name);
        match std::fs::read_link(&place) {
            Ok(target) => path = parent.join(target),
            // Not a link (`InvalidInput`), or nothing.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
                return Ok(place);
            }
            Err(error) => return Err(error),
        }
    }
    Err(crate::memory::too_many_links())
}

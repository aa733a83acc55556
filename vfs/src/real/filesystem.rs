//! The operating system's tree of names.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::RealFile;
use super::platform;
use super::resolve::resolve;
use crate::{File, FileIdentity, FileSystem, OpenOptions};

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

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match platform::rename_new(from, to) {
            Err(error) if platform::lacks_rename_new(&error) => {}
            renamed => return renamed,
        }
        link_then_remove(from, to)
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

    fn check_own_dir(&self, directory: &Path, file: &Path) -> io::Result<()> {
        let found = std::fs::symlink_metadata(directory)?;
        if !found.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let beside = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        let beside = std::fs::metadata(beside.unwrap_or(Path::new(".")))?;
        platform::check_owner(&found, &beside, &std::fs::metadata(file)?)
    }
}

/// What stands for [`FileSystem::rename_new`] where a rename may replace: a second name is made only where there is none.
#[expect(clippy::disallowed_methods, reason = "this is where the workspace calls the file system")]
pub(super) fn link_then_remove(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => std::fs::remove_file(from),
        Err(error) if platform::lacks_links(&error) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this file system can neither rename without replacing nor give a file a second name; write to another one, \
             and copy from there",
        )),
        Err(error) => Err(error),
    }
}

//! Names: opening, renaming, removing, listing, and making directory entries durable.

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::File;

/// What makes two names the same file: device and inode, or what the platform has instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileIdentity {
    /// The file system that the file lives on.
    pub device: u64,
    /// The file within it.
    pub inode: u64,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading; nothing is ever written.
    ReadOnly,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// For reading and writing; created where it does not exist.
    ReadWriteCreate,
    /// For reading and writing; it is an error (`AlreadyExists`) where it exists, as whatever kind of entry.
    CreateNew,
}

/// How a file is opened, and the permission bits of one that this creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// Access and creation.
    pub mode: OpenMode,
    /// Permission bits of a new file, given to it exactly, whatever the umask; ignored where the platform has none.
    pub permissions: u32,
}

impl OpenOptions {
    /// `mode`, and `0o600` for a new file.
    #[must_use]
    pub const fn new(mode: OpenMode) -> Self {
        Self { mode, permissions: 0o600 }
    }

    /// The same with other permission bits for a new file.
    #[must_use]
    pub const fn with_permissions(self, permissions: u32) -> Self {
        Self { permissions, ..self }
    }
}

/// A tree of names. A name becomes durable only with [`sync_dir`](FileSystem::sync_dir) of the directory that holds it.
pub trait FileSystem: Debug + Send + Sync {
    /// Opens a file. Symbolic links are followed, except by [`OpenMode::CreateNew`].
    ///
    /// # Errors
    /// Whatever the system says.
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn File>>;

    /// Creates one directory with the given permission bits; `AlreadyExists` where there is an entry.
    ///
    /// # Errors
    /// Whatever the system says.
    fn create_dir(&self, path: &Path, permissions: u32) -> io::Result<()>;

    /// The names in a directory, in no order.
    ///
    /// # Errors
    /// Whatever the system says.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// Whatever the system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// Whatever the system says.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Renames atomically; a file of the new name is replaced.
    ///
    /// # Errors
    /// Whatever the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Opens a directory for [`File::try_lock`] and nothing else; `None` where directories cannot be locked.
    ///
    /// # Errors
    /// Whatever the system says.
    fn open_dir(&self, path: &Path) -> io::Result<Option<Arc<dyn File>>> {
        let _ = path;
        Ok(None)
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Whatever the system says.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The identity of what a path leads to, symbolic links followed; `None` where there is nothing.
    ///
    /// # Errors
    /// Whatever the system says, other than that there is nothing.
    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>>;

    /// The path with every symbolic link and `..` resolved. The last component need not exist: then the rest is
    /// resolved and the last component kept, a dangling symbolic link there being followed to the name it gives.
    ///
    /// # Errors
    /// Whatever the system says.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;
}

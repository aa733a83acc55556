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
    /// Whether a symbolic link in the last place is followed. [`OpenMode::CreateNew`] follows none.
    pub follow_link: bool,
}

impl OpenOptions {
    /// `mode`, and `0o600` for a new file.
    #[must_use]
    pub const fn new(mode: OpenMode) -> Self {
        Self { mode, permissions: 0o600, follow_link: true }
    }

    /// The same with other permission bits for a new file.
    #[must_use]
    pub const fn with_permissions(self, permissions: u32) -> Self {
        Self { permissions, ..self }
    }

    /// The same, but a symbolic link in the last place is an error: for a name that nobody else has a reason to make.
    #[must_use]
    pub const fn without_link(self) -> Self {
        Self { follow_link: false, ..self }
    }
}

/// A tree of names. A name becomes durable only with [`sync_dir`](FileSystem::sync_dir) of the directory that holds it.
pub trait FileSystem: Debug + Send + Sync {
    /// Opens a file. Symbolic links are followed, except in the last place by [`OpenMode::CreateNew`] and
    /// [`OpenOptions::without_link`]. Where everybody may make entries, [`OpenMode::ReadWriteCreate`] refuses a file that
    /// is there already and belongs to somebody else: it was made to be taken for a new one.
    ///
    /// # Errors
    /// Whatever the system says; for a link that is not to be followed `InvalidInput`, for a planted file
    /// `PermissionDenied`.
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

    /// Gives a file a new name, unless there is anything of that name: nothing is ever replaced, whoever makes the name
    /// meanwhile. For names that are not one's own.
    ///
    /// Where the file system cannot do that in one step, the file has both names for a moment: whatever ends the process
    /// between, or an error in the second step, leaves both. Either is the whole file.
    ///
    /// # Errors
    /// `AlreadyExists` where there is an entry of the new name, be it the file itself; `Unsupported` where the file system
    /// has neither such a rename nor second names; whatever else the system says.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

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
    /// A link in a directory where everybody may make entries is followed only if it belongs to the user of this process
    /// or to the owner of that directory.
    ///
    /// # Errors
    /// Whatever the system says; for a planted link `PermissionDenied`.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;

    /// Makes sure that a directory is one to keep files of one's own in: not a symbolic link, and where everybody may make
    /// entries beside `file`, owned by the user of this process, by the owner of `file` or by the system's administrator.
    ///
    /// # Errors
    /// `NotFound`; `NotADirectory` for a link and whatever else is no directory; `PermissionDenied` for somebody else's.
    ///
    /// The default is for file systems that have neither links nor owners.
    fn check_own_dir(&self, directory: &Path, file: &Path) -> io::Result<()> {
        let _ = file;
        self.read_dir(directory).map(drop)
    }
}

//! The tree of names in memory.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::file::{Inode, MemoryFile};
use super::namespace::{Child, LastLink, Located, Namespace, ROOT};
use crate::sync::schedule_point;
use crate::{File, FileIdentity, FileSystem, OpenMode, OpenOptions};

/// Devices are numbered so that no two file systems of a process share an identity.
static NEXT_DEVICE: AtomicU64 = AtomicU64::new(1);

/// The device number of a new file system.
pub(crate) fn next_device() -> u64 {
    // Far above the numbers that real devices have.
    (1 << 48) + NEXT_DEVICE.fetch_add(1, Ordering::Relaxed)
}

/// A file system in memory. A clone is the same one; relative paths start at its root.
#[derive(Clone, Debug)]
pub struct MemoryFileSystem {
    tree: Arc<RwLock<Tree>>,
    device: u64,
}

#[derive(Debug)]
struct Tree {
    names: Namespace<Arc<Inode>>,
    next_inode: u64,
}

impl Tree {
    fn take_inode(&mut self) -> u64 {
        let inode = self.next_inode;
        self.next_inode += 1;
        inode
    }

    /// The place for a new name, which must not exist.
    fn vacant(&self, path: &Path) -> io::Result<Located<Arc<Inode>>> {
        let place = self.names.locate(path, LastLink::Keep)?;
        if place.child.is_some() { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(place) }
    }
}

impl MemoryFileSystem {
    /// An empty one: a root directory and nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tree: Arc::new(RwLock::new(Tree { names: Namespace::default(), next_inode: ROOT + 1 })),
            device: next_device(),
        }
    }

    /// Gives the file at `existing` a second name.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, and `PermissionDenied` for a directory.
    pub fn hard_link(&self, existing: &Path, link: &Path) -> io::Result<()> {
        let mut tree = self.tree.write();
        let child = match tree.names.locate(existing, LastLink::Keep)?.child {
            Some(Child::Directory(_)) => return Err(io::ErrorKind::PermissionDenied.into()),
            Some(child) => child,
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        let place = tree.vacant(link)?;
        tree.names.names_mut(place.parent).insert(place.name, child);
        Ok(())
    }

    /// Makes a symbolic link, which may lead nowhere.
    ///
    /// # Errors
    /// `AlreadyExists`, or `NotFound` for the directory that would hold the link.
    pub fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        let mut tree = self.tree.write();
        let place = tree.vacant(link)?;
        tree.names.names_mut(place.parent).insert(place.name, Child::Link(target.to_path_buf()));
        Ok(())
    }

    fn identity_of(&self, inode: u64) -> FileIdentity {
        FileIdentity { device: self.device, inode }
    }
}

impl Default for MemoryFileSystem {
    fn default() -> Self {
        Self::new()
    }
}

impl FileSystem for MemoryFileSystem {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn File>> {
        schedule_point();
        let writable = options.mode != OpenMode::ReadOnly;
        let mut tree = self.tree.write();
        let place = match options.mode {
            OpenMode::CreateNew => tree.names.locate(path, LastLink::Keep)?,
            _ => tree.names.locate_file(path, options.follow_link)?,
        };
        let inode = match (place.child, options.mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(Child::File(inode)), _) => inode,
            (Some(_), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (None, OpenMode::ReadOnly | OpenMode::ReadWrite) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            (None, OpenMode::ReadWriteCreate | OpenMode::CreateNew) => {
                let number = tree.take_inode();
                let inode = Arc::new(Inode {
                    identity: self.identity_of(number),
                    mode: options.permissions & 0o7777,
                    contents: RwLock::default(),
                    locks: super::FileLocks::default(),
                });
                tree.names.names_mut(place.parent).insert(place.name, Child::File(Arc::clone(&inode)));
                inode
            }
        };
        Ok(Arc::new(MemoryFile::new(inode, writable)))
    }

    fn create_dir(&self, path: &Path, _permissions: u32) -> io::Result<()> {
        schedule_point();
        let mut tree = self.tree.write();
        let place = tree.vacant(path)?;
        let inode = tree.take_inode();
        tree.names.names_mut(inode);
        tree.names.names_mut(place.parent).insert(place.name, Child::Directory(inode));
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        schedule_point();
        let tree = self.tree.read();
        let directory = tree.names.directory(path)?;
        Ok(tree.names.names(directory).into_iter().flat_map(|names| names.keys().cloned()).collect())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        schedule_point();
        let mut tree = self.tree.write();
        let place = tree.names.locate(path, LastLink::Keep)?;
        match place.child {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(Child::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            Some(_) => {
                tree.names.names_mut(place.parent).remove(&place.name);
                Ok(())
            }
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        schedule_point();
        let mut tree = self.tree.write();
        let place = tree.names.removable_directory(path)?;
        tree.names.names_mut(place.parent).remove(&place.name);
        tree.names.forget(place.inode);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        schedule_point();
        let mut tree = self.tree.write();
        let Some(moved) = tree.names.plan_rename(from, to, Arc::ptr_eq)? else {
            return Ok(());
        };
        tree.names.names_mut(moved.from.0).remove(&moved.from.1);
        tree.names.names_mut(moved.to.0).insert(moved.to.1, moved.child);
        if let Some(directory) = moved.replaced_directory {
            tree.names.forget(directory);
        }
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        schedule_point();
        let mut tree = self.tree.write();
        let moved = tree.names.plan_rename_new(from, to)?;
        tree.names.names_mut(moved.from.0).remove(&moved.from.1);
        tree.names.names_mut(moved.to.0).insert(moved.to.1, moved.child);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        schedule_point();
        self.tree.read().names.directory(path).map(drop)
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        schedule_point();
        let place = match self.tree.read().names.locate(path, LastLink::Follow) {
            Ok(place) => place,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(match place.child {
            Some(Child::File(inode)) => Some(inode.identity),
            Some(Child::Directory(inode)) => Some(self.identity_of(inode)),
            Some(Child::Link(_)) | None => None,
        })
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        schedule_point();
        self.tree.read().names.locate(path, LastLink::Follow).map(|place| place.path)
    }

    fn check_own_dir(&self, directory: &Path, _file: &Path) -> io::Result<()> {
        schedule_point();
        self.tree.read().names.check_directory(directory)
    }
}

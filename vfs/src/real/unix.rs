//! What Unix systems have: positional I/O, permission bits, `flock`, directories that can be synced.

use std::fs::{DirBuilder, File, Metadata, OpenOptions as StdOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use super::filesystem::resolve;
use crate::{FileIdentity, LockAttempt, LockKind, OpenMode, OpenOptions};

/// How often a name may change hands between "does not exist" and "exists" before an open gives up.
const CREATE_ATTEMPTS: usize = 16;

pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buf, offset)
}

pub(super) fn write_at(file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
    file.write_at(buf, offset)
}

#[expect(clippy::unnecessary_wraps, reason = "other platforms have no answer")]
pub(super) fn identity(metadata: &Metadata) -> io::Result<FileIdentity> {
    Ok(FileIdentity { device: metadata.dev(), inode: metadata.ino() })
}

pub(super) fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

pub(super) fn open(path: &Path, options: OpenOptions) -> io::Result<File> {
    match options.mode {
        OpenMode::ReadOnly => open_existing(path, false),
        OpenMode::ReadWrite => open_existing(path, true),
        OpenMode::CreateNew => create(path, options.permissions),
        OpenMode::ReadWriteCreate => open_or_create(path, options.permissions),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the workspace opens files")]
fn open_existing(path: &Path, write: bool) -> io::Result<File> {
    // Not waiting matters for a pipe under the given name, and for regular files not at all.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = StdOptions::new().read(true).write(write).custom_flags(bits(flags)).open(path)?;
    regular(file)
}

/// Only a regular file has bytes at offsets.
fn regular(file: File) -> io::Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        Ok(file)
    } else if kind.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "this is not a regular file; give the name of one"))
    }
}

/// `O_EXCL` refuses every entry that exists, a symbolic link too, wherever that leads.
#[expect(clippy::disallowed_methods, reason = "this is where the workspace creates files")]
fn create(path: &Path, permissions: u32) -> io::Result<File> {
    let permissions = permissions & 0o7777;
    let file = StdOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(permissions)
        .custom_flags(bits(OFlags::NOFOLLOW))
        .open(path)?;
    // The umask may have taken bits away, never added any. File systems without such bits refuse the change: what
    // they have instead was decided at their mount.
    if mode(&file.metadata()?) != permissions {
        match file.set_permissions(Permissions::from_mode(permissions)) {
            Err(error)
                if !matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) =>
            {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(file)
}

/// Opens, else creates: only the one who creates a file sets its permission bits.
fn open_or_create(path: &Path, permissions: u32) -> io::Result<File> {
    for _ in 0..CREATE_ATTEMPTS {
        match open_existing(path, true) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        // A symbolic link that leads nowhere yet is a name for the file that it gives.
        match create(&resolve(path)?, permissions) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created,
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        "others keep creating and removing the file; try again later",
    ))
}

pub(super) fn create_dir(path: &Path, permissions: u32) -> io::Result<()> {
    DirBuilder::new().mode(permissions & 0o7777).create(path)?;
    #[expect(clippy::disallowed_methods, reason = "this is where the workspace looks at files")]
    let given = mode(&std::fs::metadata(path)?);
    // A new directory may inherit the group bit of its parent, which is not ours to take away.
    if given & 0o777 != permissions & 0o777 {
        std::fs::set_permissions(path, Permissions::from_mode((given & 0o7000) | (permissions & 0o777)))?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is where the workspace opens directories")]
fn directory(path: &Path) -> io::Result<File> {
    StdOptions::new().read(true).custom_flags(bits(OFlags::DIRECTORY)).open(path)
}

pub(super) fn open_dir(path: &Path) -> io::Result<Option<File>> {
    directory(path).map(Some)
}

pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    match directory(path)?.sync_all() {
        // What a file system answers that keeps no directories of its own: there is nothing to sync.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        result => result,
    }
}

pub(super) fn try_lock(file: &File, kind: LockKind) -> io::Result<LockAttempt> {
    let operation = match kind {
        LockKind::Shared => FlockOperation::NonBlockingLockShared,
        LockKind::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        match rustix::fs::flock(file, operation) {
            Ok(()) => return Ok(LockAttempt::Acquired),
            Err(Errno::WOULDBLOCK) => return Ok(LockAttempt::HeldBy(lock_holder(file))),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

pub(super) fn unlock(file: &File) -> io::Result<()> {
    Ok(rustix::fs::flock(file, FlockOperation::Unlock)?)
}

fn lock_holder(file: &File) -> Option<u32> {
    #[cfg(target_os = "linux")]
    return super::lock_holder::holder_of(file);
    #[cfg(not(target_os = "linux"))]
    return {
        let _ = file;
        None
    };
}

/// Flags as the standard library takes them.
fn bits(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

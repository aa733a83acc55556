//! What Unix systems have: positional I/O, permission bits, `flock`, directories that can be synced.

use std::fs::{DirBuilder, File, Metadata, OpenOptions as StdOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use super::resolve::resolve;
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

/// Whether everybody may make entries in a directory.
fn is_public(directory: &Metadata) -> bool {
    directory.mode() & 0o002 != 0
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

const ADMINISTRATOR: u32 = 0;

/// Refuses to follow a link that somebody else has put where everybody may.
pub(super) fn check_link(link: &Metadata, directory: &Metadata) -> io::Result<()> {
    if !is_public(directory) || link.uid() == own_user() || link.uid() == directory.uid() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "another user's symbolic link stands there, in a directory where everybody may put one; give the path that it \
         leads to, if that is what you mean",
    ))
}

/// Refuses a directory of somebody else's beside a file, where everybody may make one.
pub(super) fn check_owner(found: &Metadata, beside: &Metadata, file: &Metadata) -> io::Result<()> {
    if !is_public(beside) || [own_user(), file.uid(), ADMINISTRATOR].contains(&found.uid()) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "the directory belongs to another user"))
}

pub(super) fn open(path: &Path, options: OpenOptions) -> io::Result<File> {
    match options.mode {
        OpenMode::ReadOnly => open_existing(path, false, options.follow_link),
        OpenMode::ReadWrite => open_existing(path, true, options.follow_link),
        OpenMode::CreateNew => create(path, options.permissions),
        OpenMode::ReadWriteCreate => open_or_create(path, options),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the workspace opens files")]
fn open_existing(path: &Path, write: bool, follow_link: bool) -> io::Result<File> {
    // Not waiting matters for a pipe under the given name, and for regular files not at all.
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if !follow_link {
        flags |= OFlags::NOFOLLOW;
    }
    match StdOptions::new().read(true).write(write).custom_flags(bits(flags)).open(path) {
        Ok(file) => regular(file),
        Err(error) if !follow_link && error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            Err(crate::memory::link_refused())
        }
        Err(error) => Err(error),
    }
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
fn open_or_create(path: &Path, options: OpenOptions) -> io::Result<File> {
    for _ in 0..CREATE_ATTEMPTS {
        match open_existing(path, true, options.follow_link) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(file) => return check_planted(file, path),
            Err(error) => return Err(error),
        }
        // A symbolic link that leads nowhere yet is a name for the file that it gives.
        let place = if options.follow_link { resolve(path)? } else { path.to_path_buf() };
        match create(&place, options.permissions) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created,
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        "others keep creating and removing the file; try again later",
    ))
}

/// Refuses a file that somebody else has put where everybody may, for it to be taken for one's own: what Linux does with
/// `fs.protected_regular`.
#[expect(clippy::disallowed_methods, reason = "this is where the workspace looks at directories")]
fn check_planted(file: File, path: &Path) -> io::Result<File> {
    let owner = file.metadata()?.uid();
    if owner == own_user() {
        return Ok(file);
    }
    let place = resolve(path)?;
    let directory = std::fs::metadata(place.parent().unwrap_or(&place))?;
    if !is_public(&directory) || owner == directory.uid() || owner == ADMINISTRATOR {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "the file belongs to another user, in a directory where everybody may put one; move it to a directory of your own",
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

/// Renames without replacing, in one step.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    return {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
    };
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    return {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    };
}

/// Whether an error of [`rename_new`] may say that there is no such thing here: the system has no such call, a filter of
/// calls does not know it, or the file system does not take the flag. What is wrong besides, a link will find too.
pub(super) fn lacks_rename_new(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || is_one_of(error, &[Errno::NOSYS, Errno::INVAL, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::PERM])
}

/// Whether an error says that a file can have no second name. The kernel says `EPERM` of a directory too, and of a file of
/// somebody else's that is not to be linked.
pub(super) fn lacks_links(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || is_one_of(error, &[Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::PERM])
}

fn is_one_of(error: &io::Error, known: &[Errno]) -> bool {
    known.iter().any(|known| error.raw_os_error() == Some(known.raw_os_error()))
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

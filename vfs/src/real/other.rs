//! Systems other than Unix: what the standard library has, and a typed refusal of the rest.

use std::fs::{File, Metadata, OpenOptions as StdOptions, TryLockError};
use std::io;
use std::path::Path;

use crate::{FileIdentity, LockAttempt, LockKind, OpenMode, OpenOptions};

#[cfg(windows)]
pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    use std::os::windows::fs::FileExt;
    match file.seek_read(buf, offset) {
        // Reading at the end of a file is an error there and nothing but the end here.
        Err(error) if error.raw_os_error() == Some(38) => Ok(0),
        result => result,
    }
}

#[cfg(windows)]
pub(super) fn write_at(file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, buf, offset)
}

#[cfg(not(windows))]
pub(super) fn read_at(_file: &File, _buf: &mut [u8], _offset: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(windows))]
pub(super) fn write_at(_file: &File, _buf: &[u8], _offset: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The standard library has no stable way to a file's number here.
pub(super) fn identity(_metadata: &Metadata) -> io::Result<FileIdentity> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "files have no identity on this platform; use one in memory",
    ))
}

pub(super) fn mode(_metadata: &Metadata) -> u32 {
    0o600
}

/// There are no owners to compare here.
pub(super) fn check_link(_link: &Metadata, _directory: &Metadata) -> io::Result<()> {
    Ok(())
}

/// See [`check_link`].
pub(super) fn check_owner(_found: &Metadata, _beside: &Metadata, _file: &Metadata) -> io::Result<()> {
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is where the workspace opens files")]
pub(super) fn open(path: &Path, options: OpenOptions) -> io::Result<File> {
    let mut std_options = StdOptions::new();
    std_options.read(true).write(options.mode != OpenMode::ReadOnly);
    match options.mode {
        OpenMode::ReadOnly | OpenMode::ReadWrite => {}
        OpenMode::ReadWriteCreate => {
            std_options.create(true).truncate(false);
        }
        OpenMode::CreateNew => {
            std_options.create_new(true);
        }
    }
    std_options.open(path)
}

#[expect(clippy::disallowed_methods, reason = "this is where the workspace creates directories")]
pub(super) fn create_dir(path: &Path, _permissions: u32) -> io::Result<()> {
    std::fs::create_dir(path)
}

/// Names are durable with their files on these systems; there is nothing to call.
#[expect(clippy::disallowed_methods, reason = "this is where the workspace looks at files")]
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// The standard library has no rename that does not replace.
pub(super) fn rename_new(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// See [`rename_new`].
pub(super) fn lacks_rename_new(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

/// Whether an error says that a file can have no second name.
pub(super) fn lacks_links(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

pub(super) fn try_lock(file: &File, kind: LockKind) -> io::Result<LockAttempt> {
    let attempt = match kind {
        LockKind::Shared => file.try_lock_shared(),
        LockKind::Exclusive => file.try_lock(),
    };
    match attempt {
        Ok(()) => Ok(LockAttempt::Acquired),
        Err(TryLockError::WouldBlock) => Ok(LockAttempt::HeldBy(None)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

pub(super) fn unlock(file: &File) -> io::Result<()> {
    file.unlock()
}

#[expect(clippy::unnecessary_wraps, reason = "other platforms can lock directories")]
pub(super) fn open_dir(path: &Path) -> io::Result<Option<File>> {
    let _ = path;
    Ok(None)
}

//! The operating system's files behave as the engine expects.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{OsRandom, RealFileSystem, ThreadSpawn};
use crate::{Env, FileSystem, OpenMode, OpenOptions, Random, Spawn};

/// A directory of its own for each test, removed with everything in it.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("braid-vfs-{}-{number}-{:x}", std::process::id(), OsRandom::new().next_u64());
        let path = std::env::temp_dir().join(name);
        RealFileSystem.create_dir(&path, 0o700).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
#[cfg(unix)]
fn it_conforms() {
    let directory = TempDir::new();
    crate::conformance::check(&RealFileSystem, &directory.0);
}

#[test]
#[cfg(unix)]
fn a_second_name_stands_for_a_rename_that_replaces_nothing() {
    let directory = TempDir::new();
    let rename_new = |from: &Path, to: &Path| super::filesystem::link_then_remove(from, to);
    crate::conformance::renames_to_new_names(&RealFileSystem, &directory.0, &rename_new);
    // A directory has no second name, nor has a file of a file system without links.
    let refused = rename_new(&directory.0, &directory.at("other")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::Unsupported, "{refused}");
}

#[test]
#[cfg(unix)]
fn links_conform() {
    let directory = TempDir::new();
    crate::conformance::check_links(
        &RealFileSystem,
        &directory.0,
        |target, link| std::os::unix::fs::symlink(target, link),
        |existing, link| std::fs::hard_link(existing, link),
    );
}

#[test]
#[cfg(unix)]
fn a_mapped_file_is_not_cut() {
    let directory = TempDir::new();
    let file = RealFileSystem.open(&directory.at("f"), OpenOptions::new(OpenMode::CreateNew)).unwrap();
    file.write_all_at(&[1; 8192], 0).unwrap();
    let Some(mapping) = file.map_for_append(8192).unwrap() else { return };
    assert_eq!(file.set_len(0).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    file.set_len(16384).unwrap();
    drop(mapping);
    file.set_len(0).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn the_lock_names_its_holder() {
    use crate::{LockAttempt, LockKind};

    let directory = TempDir::new();
    let options = OpenOptions::new(OpenMode::ReadWriteCreate);
    let first = RealFileSystem.open(&directory.at("f"), options).unwrap();
    let second = RealFileSystem.open(&directory.at("f"), options).unwrap();
    assert_eq!(first.try_lock(LockKind::Exclusive).unwrap(), LockAttempt::Acquired);
    let LockAttempt::HeldBy(holder) = second.try_lock(LockKind::Exclusive).unwrap() else {
        panic!("the lock is held");
    };
    assert!(holder.is_none_or(|holder| holder == std::process::id()));
}

#[test]
#[cfg(unix)]
fn what_is_no_regular_file_is_refused_without_waiting() {
    let directory = TempDir::new();
    let pipe = directory.at("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for mode in [OpenMode::ReadOnly, OpenMode::ReadWrite, OpenMode::ReadWriteCreate] {
        let error = RealFileSystem.open(&pipe, OpenOptions::new(mode)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    let error =
        RealFileSystem.open(Path::new("/dev/null"), OpenOptions::new(OpenMode::ReadOnly)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
#[cfg(unix)]
fn a_directory_gets_its_bits_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;

    let directory = TempDir::new();
    for bits in [0o700, 0o777] {
        let path = directory.at("d");
        RealFileSystem.create_dir(&path, bits).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the test looks behind the crate")]
        let given = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(given & 0o777, bits);
        RealFileSystem.remove_dir(&path).unwrap();
    }
}

#[test]
#[cfg(unix)]
fn a_relative_path_resolves_from_the_working_directory() {
    let resolved = RealFileSystem.resolve(Path::new("no-such-file-here")).unwrap();
    assert!(resolved.is_absolute());
    assert!(resolved.ends_with("no-such-file-here"));
    assert!(RealFileSystem.resolve(Path::new("")).is_err());
}

#[test]
fn time_goes_on() {
    let clock = Env::real().clock;
    let before = clock.now();
    clock.sleep(Duration::from_millis(2));
    assert!(clock.now() >= before + Duration::from_millis(2));
}

#[test]
fn random_numbers_do_not_repeat() {
    let random = OsRandom::new();
    let mut numbers: Vec<u64> = (0..64).map(|_| random.next_u64()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 64);
}

#[test]
fn a_task_runs_under_its_name_and_is_joined() {
    let ran = Arc::new(parking_lot::Mutex::new(None));
    let seen = Arc::clone(&ran);
    let work = move || *seen.lock() = std::thread::current().name().map(str::to_owned);
    ThreadSpawn.spawn("braid-test", Box::new(work)).unwrap().join();
    assert_eq!(ran.lock().as_deref(), Some("braid-test"));
}

#[test]
fn a_panic_in_a_task_ends_only_the_task() {
    ThreadSpawn.spawn("braid-test", Box::new(|| panic!("a planned one"))).unwrap().join();
}

/// What another user has put into a directory where everybody may. Only the administrator can set this up.
#[cfg(unix)]
#[test]
#[expect(clippy::disallowed_methods, reason = "the test makes what the file system is to refuse")]
fn what_others_have_planted_is_not_used() {
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
    const STRANGER: Option<u32> = Some(12_345);
    let place = TempDir::new();
    let shared = place.0.canonicalize().unwrap().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let at = |name: &str| shared.join(name);
    for name in ["target", "theirs", "mine"] {
        std::fs::write(at(name), b"").unwrap();
    }
    for name in ["link", "dangling", "own-link"] {
        symlink(if name == "dangling" { at("none") } else { at("target") }, at(name)).unwrap();
    }
    for name in ["their-dir", "own-dir"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    let given = lchown(at("link"), STRANGER, None)
        .and_then(|()| lchown(at("dangling"), STRANGER, None))
        .and_then(|()| chown(at("theirs"), STRANGER, None))
        .and_then(|()| chown(at("their-dir"), STRANGER, None));
    if given.is_err() {
        eprintln!("not tried: only the administrator can give files away");
        return;
    }
    let files = RealFileSystem;
    let refused = |result: io::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    };
    refused(files.resolve(&at("link")).map(drop));
    refused(files.resolve(&at("dangling")).map(drop));
    refused(files.resolve(&at("link").join("below")).map(drop));
    assert_eq!(files.resolve(&at("own-link")).unwrap(), at("target"));
    let create = OpenOptions::new(OpenMode::ReadWriteCreate).without_link();
    refused(files.open(&at("theirs"), create).map(drop));
    files.open(&at("mine"), create).unwrap();
    files.open(&at("theirs"), OpenOptions::new(OpenMode::ReadOnly)).unwrap();
    refused(files.check_own_dir(&at("their-dir"), &at("mine")));
    files.check_own_dir(&at("own-dir"), &at("mine")).unwrap();
    files.check_own_dir(&at("their-dir"), &at("theirs")).unwrap();
    // In a directory that not everybody may write to, whoever may is trusted.
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o775)).unwrap();
    assert_eq!(files.resolve(&at("link")).unwrap(), at("target"));
    files.open(&at("theirs"), create).unwrap();
    files.check_own_dir(&at("their-dir"), &at("mine")).unwrap();
}

//! What every file system of this crate does alike; each one's tests run it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{File, FileSystem, LockAttempt, LockKind, OpenMode, OpenOptions};

/// Runs everything but links in an empty directory, which is empty again afterwards.
pub(crate) fn check(files: &dyn FileSystem, base: &Path) {
    open_modes(files, &base.join("modes"));
    bytes(files, &base.join("bytes"));
    permissions(files, &base.join("permissions"));
    locks(files, &base.join("locks"));
    removed_while_open(files, &base.join("removed"));
    renames(files, base);
    renames_to_new_names(files, base, &|from, to| files.rename_new(from, to));
    directories(files, &base.join("directory"));
    mappings(files, &base.join("mapping"));
    resolved_without_links(files, base);
    assert_eq!(names(files, base), Vec::<OsString>::new(), "each check cleans up");
}

fn open(files: &dyn FileSystem, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
    files.open(path, OpenOptions::new(mode))
}

fn kind_of<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.expect_err("this must be refused").kind()
}

fn names(files: &dyn FileSystem, path: &Path) -> Vec<OsString> {
    let mut names = files.read_dir(path).unwrap();
    names.sort();
    names
}

fn contents(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn open_modes(files: &dyn FileSystem, path: &Path) {
    for mode in [OpenMode::ReadOnly, OpenMode::ReadWrite] {
        assert_eq!(kind_of(open(files, path, mode)), io::ErrorKind::NotFound);
    }
    assert_eq!(files.identity(path).unwrap(), None);
    let created = open(files, path, OpenMode::CreateNew).unwrap();
    assert_eq!(kind_of(open(files, path, OpenMode::CreateNew)), io::ErrorKind::AlreadyExists);
    created.write_all_at(b"kept", 0).unwrap();
    let again = open(files, path, OpenMode::ReadWriteCreate).unwrap();
    assert_eq!(contents(&*again), b"kept", "an existing file is not cut");
    assert_eq!(again.identity().unwrap(), created.identity().unwrap());
    assert_eq!(files.identity(path).unwrap(), Some(created.identity().unwrap()));
    let reader = open(files, path, OpenMode::ReadOnly).unwrap();
    assert!(reader.write_at(b"x", 0).is_err());
    assert!(reader.set_len(0).is_err());
    assert_eq!(contents(&*reader), b"kept");
    files.remove_file(path).unwrap();
    assert_eq!(kind_of(files.remove_file(path)), io::ErrorKind::NotFound);
}

fn bytes(files: &dyn FileSystem, path: &Path) {
    let file = open(files, path, OpenMode::ReadWriteCreate).unwrap();
    assert!(file.is_empty().unwrap());
    file.write_all_at(b"world", 6).unwrap();
    assert_eq!(contents(&*file), b"\0\0\0\0\0\0world", "a hole reads as zeros");
    file.write_all_at(b"hello ", 0).unwrap();
    let mut buf = [0; 16];
    assert_eq!(file.read_at(&mut buf, 6).unwrap(), 5, "a read stops at the end");
    assert_eq!(file.read_at(&mut buf, 11).unwrap(), 0);
    assert_eq!(file.read_at(&mut buf, 1 << 40).unwrap(), 0);
    assert_eq!(kind_of(file.read_exact_at(&mut buf, 0)), io::ErrorKind::UnexpectedEof);
    file.set_len(5).unwrap();
    file.set_len(7).unwrap();
    assert_eq!(contents(&*file), b"hello\0\0");
    assert_eq!(file.write_at(b"", 100).unwrap(), 0);
    assert_eq!(file.len().unwrap(), 7, "writing nothing extends nothing");
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    files.remove_file(path).unwrap();
}

fn permissions(files: &dyn FileSystem, path: &Path) {
    if cfg!(not(unix)) {
        return;
    }
    for bits in [0o600, 0o640, 0o666, 0o400] {
        for mode in [OpenMode::CreateNew, OpenMode::ReadWriteCreate] {
            let file = files.open(path, OpenOptions::new(mode).with_permissions(bits)).unwrap();
            assert_eq!(file.mode().unwrap(), bits, "exactly, whatever the umask");
            file.write_all_at(b"x", 0).unwrap();
            files.remove_file(path).unwrap();
        }
    }
    let first = open(files, path, OpenMode::CreateNew).unwrap();
    let options = OpenOptions::new(OpenMode::ReadWriteCreate).with_permissions(0o666);
    let second = files.open(path, options).unwrap();
    assert_eq!((first.mode().unwrap(), second.mode().unwrap()), (0o600, 0o600), "an open changes no bits");
    files.remove_file(path).unwrap();
}

fn locks(files: &dyn FileSystem, path: &Path) {
    let held = |attempt: io::Result<LockAttempt>| matches!(attempt.unwrap(), LockAttempt::HeldBy(_));
    let first = open(files, path, OpenMode::CreateNew).unwrap();
    let second = open(files, path, OpenMode::ReadWrite).unwrap();
    assert_eq!(first.try_lock(LockKind::Exclusive).unwrap(), LockAttempt::Acquired);
    assert_eq!(
        first.try_lock(LockKind::Exclusive).unwrap(),
        LockAttempt::Acquired,
        "one's own is no obstacle"
    );
    assert!(held(second.try_lock(LockKind::Exclusive)));
    assert!(held(second.try_lock(LockKind::Shared)));
    if let LockAttempt::HeldBy(Some(holder)) = second.try_lock(LockKind::Shared).unwrap() {
        assert_eq!(holder, std::process::id());
    }
    drop(open(files, path, OpenMode::ReadWrite).unwrap());
    assert!(held(second.try_lock(LockKind::Shared)), "another open and close releases nothing");
    drop(first);
    assert_eq!(second.try_lock(LockKind::Shared).unwrap(), LockAttempt::Acquired);
    let third = open(files, path, OpenMode::ReadOnly).unwrap();
    assert_eq!(third.try_lock(LockKind::Shared).unwrap(), LockAttempt::Acquired);
    assert!(held(third.try_lock(LockKind::Exclusive)));
    drop(second);
    assert_eq!(third.try_lock(LockKind::Exclusive).unwrap(), LockAttempt::Acquired);
    let fourth = open(files, path, OpenMode::ReadWrite).unwrap();
    assert!(held(fourth.try_lock(LockKind::Shared)));
    third.unlock().unwrap();
    assert_eq!(
        fourth.try_lock(LockKind::Shared).unwrap(),
        LockAttempt::Acquired,
        "given up while the file is open"
    );
    fourth.unlock().unwrap();
    assert_eq!(third.try_lock(LockKind::Exclusive).unwrap(), LockAttempt::Acquired);
    drop(third);
    drop(fourth);
    files.remove_file(path).unwrap();
}

fn removed_while_open(files: &dyn FileSystem, path: &Path) {
    let old = open(files, path, OpenMode::CreateNew).unwrap();
    old.write_all_at(b"old", 0).unwrap();
    files.remove_file(path).unwrap();
    assert_eq!(files.identity(path).unwrap(), None);
    let new = open(files, path, OpenMode::CreateNew).unwrap();
    assert_ne!(old.identity().unwrap(), new.identity().unwrap());
    old.write_all_at(b"still", 3).unwrap();
    assert_eq!(contents(&*old), b"oldstill");
    assert!(new.is_empty().unwrap());
    files.remove_file(path).unwrap();
}

fn renames(files: &dyn FileSystem, base: &Path) {
    let (a, b) = (base.join("a"), base.join("b"));
    assert_eq!(kind_of(files.rename(&a, &b)), io::ErrorKind::NotFound);
    let file_a = open(files, &a, OpenMode::CreateNew).unwrap();
    let file_b = open(files, &b, OpenMode::CreateNew).unwrap();
    file_b.write_all_at(b"b", 0).unwrap();
    files.rename(&a, &b).unwrap();
    assert_eq!(names(files, base), ["b"]);
    assert_eq!(
        files.identity(&b).unwrap(),
        Some(file_a.identity().unwrap()),
        "the new name's file is replaced"
    );
    assert_eq!(contents(&*file_b), b"b", "and lives on where it is open");
    files.rename(&b, &b).unwrap();
    files.create_dir(&a, 0o700).unwrap();
    assert_eq!(kind_of(files.rename(&b, &a)), io::ErrorKind::IsADirectory);
    files.rename(&b, &a.join("b")).unwrap();
    assert_eq!((names(files, base), names(files, &a)), (vec!["a".into()], vec!["b".into()]));
    assert_eq!(kind_of(files.rename(&a, &a.join("inside"))), io::ErrorKind::InvalidInput);
    files.remove_file(&a.join("b")).unwrap();
    files.remove_dir(&a).unwrap();
}

/// A rename that replaces nothing, by whatever means.
pub(crate) fn renames_to_new_names(
    files: &dyn FileSystem,
    base: &Path,
    rename_new: &dyn Fn(&Path, &Path) -> io::Result<()>,
) {
    let (a, b, d) = (base.join("a"), base.join("b"), base.join("d"));
    assert_eq!(kind_of(rename_new(&a, &b)), io::ErrorKind::NotFound);
    let file_a = open(files, &a, OpenMode::CreateNew).unwrap();
    file_a.write_all_at(b"a", 0).unwrap();
    let file_b = open(files, &b, OpenMode::CreateNew).unwrap();
    files.create_dir(&d, 0o700).unwrap();
    for taken in [&b, &d, &a] {
        assert_eq!(kind_of(rename_new(&a, taken)), io::ErrorKind::AlreadyExists, "{}", taken.display());
    }
    assert_eq!(names(files, base), ["a", "b", "d"], "what is refused changes nothing");
    assert_eq!(files.identity(&b).unwrap(), Some(file_b.identity().unwrap()), "and nothing is replaced");
    files.remove_file(&b).unwrap();
    rename_new(&a, &b).unwrap();
    assert_eq!(names(files, base), ["b", "d"]);
    assert_eq!(files.identity(&b).unwrap(), Some(file_a.identity().unwrap()));
    assert_eq!(contents(&*open(files, &b, OpenMode::ReadOnly).unwrap()), b"a");
    rename_new(&b, &d.join("b")).unwrap();
    assert_eq!((names(files, base), names(files, &d)), (vec!["d".into()], vec!["b".into()]));
    assert_eq!(kind_of(rename_new(&d.join("b"), &base.join("none/b"))), io::ErrorKind::NotFound);
    files.remove_file(&d.join("b")).unwrap();
    files.remove_dir(&d).unwrap();
}

fn directories(files: &dyn FileSystem, path: &Path) {
    assert_eq!(kind_of(files.sync_dir(path)), io::ErrorKind::NotFound);
    files.create_dir(path, 0o700).unwrap();
    assert_eq!(kind_of(files.create_dir(path, 0o700)), io::ErrorKind::AlreadyExists);
    assert_eq!(kind_of(open(files, path, OpenMode::ReadOnly)), io::ErrorKind::IsADirectory);
    assert_eq!(kind_of(open(files, path, OpenMode::ReadWriteCreate)), io::ErrorKind::IsADirectory);
    assert_eq!(kind_of(open(files, path, OpenMode::CreateNew)), io::ErrorKind::AlreadyExists);
    assert!(files.identity(path).unwrap().is_some());
    let file = path.join("file");
    open(files, &file, OpenMode::CreateNew).unwrap();
    files.sync_dir(path).unwrap();
    assert_eq!(kind_of(files.sync_dir(&file)), io::ErrorKind::NotADirectory);
    assert_eq!(
        kind_of(open(files, &file.join("x"), OpenMode::ReadWriteCreate)),
        io::ErrorKind::NotADirectory
    );
    assert_eq!(kind_of(files.create_dir(&path.join("no/such"), 0o700)), io::ErrorKind::NotFound);
    assert_eq!(kind_of(files.remove_dir(path)), io::ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind_of(files.remove_dir(&file)), io::ErrorKind::NotADirectory);
    assert!(files.remove_file(path).is_err());
    files.remove_file(&file).unwrap();
    files.remove_dir(path).unwrap();
    assert_eq!(kind_of(files.read_dir(path)), io::ErrorKind::NotFound);
}

fn mappings(files: &dyn FileSystem, path: &Path) {
    let file = open(files, path, OpenMode::CreateNew).unwrap();
    assert!(file.map_for_append(0).unwrap().is_none());
    file.write_all_at(&[1; 10_000], 0).unwrap();
    let Some(mut mapping) = file.map_for_append(10_000).unwrap() else {
        files.remove_file(path).unwrap();
        return;
    };
    assert_eq!(kind_of(file.map_for_append(10_001)), io::ErrorKind::InvalidInput);
    assert_eq!((mapping.len(), mapping.is_empty()), (10_000, false));
    mapping.write(4090, b"across a page");
    mapping.write(9_999, b"!");
    mapping.write(10_000, b"");
    let mut read = [0; 13];
    file.read_exact_at(&mut read, 4090).unwrap();
    assert_eq!(&read, b"across a page", "a store is seen by reads at once");
    file.write_all_at(b"more", 10_000).unwrap();
    assert_eq!(mapping.len(), 10_000);
    for (offset, bytes) in [(10_000, &b"x"[..]), (9_999, b"xy"), (usize::MAX, b"x")] {
        let store = std::panic::AssertUnwindSafe(|| mapping.write(offset, bytes));
        assert!(std::panic::catch_unwind(store).is_err(), "a store past the end is refused");
    }
    file.sync_data().unwrap();
    assert_eq!(file.try_lock(LockKind::Exclusive).unwrap(), LockAttempt::Acquired);
    drop(file);
    let other = open(files, path, OpenMode::ReadWrite).unwrap();
    assert_ne!(
        other.try_lock(LockKind::Exclusive).unwrap(),
        LockAttempt::Acquired,
        "a mapping keeps the file open, and so locked"
    );
    mapping.write(0, b"late");
    drop(mapping);
    assert_eq!(other.try_lock(LockKind::Exclusive).unwrap(), LockAttempt::Acquired);
    assert_eq!(contents(&*other)[..4], *b"late");
    files.remove_file(path).unwrap();
}

fn resolved_without_links(files: &dyn FileSystem, base: &Path) {
    let base = files.resolve(base).unwrap();
    let spelled: PathBuf = [&base, Path::new("."), Path::new("new")].iter().collect();
    assert_eq!(files.resolve(&spelled).unwrap(), base.join("new"), "the last name need not exist");
    files.create_dir(&base.join("d"), 0o700).unwrap();
    assert_eq!(files.resolve(&base.join("d/../new")).unwrap(), base.join("new"));
    assert_eq!(files.resolve(&base.join("d/..")).unwrap(), base);
    assert_eq!(kind_of(files.resolve(&base.join("none/new"))), io::ErrorKind::NotFound);
    open(files, &base.join("f"), OpenMode::CreateNew).unwrap();
    assert_eq!(kind_of(files.resolve(&base.join("f/new"))), io::ErrorKind::NotADirectory);
    files.remove_file(&base.join("f")).unwrap();
    files.remove_dir(&base.join("d")).unwrap();
}

/// Runs everything about links in an empty directory, with the system's own way to make them.
pub(crate) fn check_links(
    files: &dyn FileSystem,
    base: &Path,
    symlink: impl Fn(&Path, &Path) -> io::Result<()>,
    hard_link: impl Fn(&Path, &Path) -> io::Result<()>,
) {
    let base = files.resolve(base).unwrap();
    let at = |name: &str| base.join(name);

    let file = open(files, &at("file"), OpenMode::CreateNew).unwrap();
    hard_link(&at("file"), &at("hard")).unwrap();
    symlink(Path::new("file"), &at("soft")).unwrap();
    let identity = Some(file.identity().unwrap());
    assert_eq!(files.identity(&at("hard")).unwrap(), identity);
    assert_eq!(files.identity(&at("soft")).unwrap(), identity);
    assert_eq!(files.resolve(&at("soft")).unwrap(), at("file"));
    assert_eq!(files.resolve(&at("hard")).unwrap(), at("hard"));
    assert_eq!(file.try_lock(LockKind::Exclusive).unwrap(), LockAttempt::Acquired);
    for name in ["hard", "soft"] {
        let other = open(files, &at(name), OpenMode::ReadWrite).unwrap();
        assert_ne!(
            other.try_lock(LockKind::Shared).unwrap(),
            LockAttempt::Acquired,
            "{name} is the same file"
        );
        assert_eq!(kind_of(open(files, &at(name), OpenMode::CreateNew)), io::ErrorKind::AlreadyExists);
    }
    files.remove_file(&at("file")).unwrap();
    assert_eq!(files.identity(&at("hard")).unwrap(), identity, "a file lives while it has a name");
    assert_eq!(files.identity(&at("soft")).unwrap(), None, "a link lives on without what it leads to");

    // Where no link is wanted, none is followed, whether it leads anywhere or not.
    for target in ["file", "hard"] {
        let soft = at("refused");
        symlink(Path::new(target), &soft).unwrap();
        for mode in [OpenMode::ReadOnly, OpenMode::ReadWrite, OpenMode::ReadWriteCreate] {
            let refused = files.open(&soft, OpenOptions::new(mode).without_link());
            assert_eq!(kind_of(refused), io::ErrorKind::InvalidInput);
        }
        files.remove_file(&soft).unwrap();
    }
    assert_eq!(files.identity(&at("file")).unwrap(), None, "and nothing was made");
    files.open(&at("hard"), OpenOptions::new(OpenMode::ReadWriteCreate).without_link()).unwrap();
    files.create_dir(&at("own"), 0o700).unwrap();
    symlink(Path::new("own"), &at("to-own")).unwrap();
    files.check_own_dir(&at("own"), &at("hard")).unwrap();
    for name in ["to-own", "hard", "soft"] {
        assert_eq!(kind_of(files.check_own_dir(&at(name), &at("hard"))), io::ErrorKind::NotADirectory);
    }
    assert_eq!(kind_of(files.check_own_dir(&at("none"), &at("hard"))), io::ErrorKind::NotFound);
    files.remove_file(&at("to-own")).unwrap();
    files.remove_dir(&at("own")).unwrap();

    // A dangling link in the last place is a name for the file that it leads to.
    assert_eq!(files.resolve(&at("soft")).unwrap(), at("file"));
    assert_eq!(kind_of(open(files, &at("soft"), OpenMode::CreateNew)), io::ErrorKind::AlreadyExists);
    assert_eq!(kind_of(open(files, &at("soft"), OpenMode::ReadWrite)), io::ErrorKind::NotFound);
    let through = open(files, &at("soft"), OpenMode::ReadWriteCreate).unwrap();
    assert_eq!(files.identity(&at("file")).unwrap(), Some(through.identity().unwrap()));

    files.create_dir(&at("d"), 0o700).unwrap();
    symlink(&at("d"), &at("to-d")).unwrap();
    symlink(Path::new("../to-d/new"), &at("d/chain")).unwrap();
    assert_eq!(files.resolve(&at("to-d/chain")).unwrap(), at("d/new"));
    assert_eq!(files.resolve(&at("to-d/../file")).unwrap(), at("file"), "dots are taken after links");

    symlink(Path::new("loop-b"), &at("loop-a")).unwrap();
    symlink(Path::new("loop-a"), &at("loop-b")).unwrap();
    assert!(files.resolve(&at("loop-a")).is_err(), "a loop of links ends");
    assert!(open(files, &at("loop-a"), OpenMode::ReadWriteCreate).is_err());

    // A rename moves the link and not what it leads to.
    files.rename(&at("to-d"), &at("moved")).unwrap();
    assert_eq!(files.resolve(&at("moved/x")).unwrap(), at("d/x"));
    // Whatever stands there is no new name: a link, even one that leads nowhere, and the file itself.
    symlink(Path::new("nowhere"), &at("dangling")).unwrap();
    hard_link(&at("hard"), &at("hard-2")).unwrap();
    for taken in ["dangling", "hard-2"] {
        assert_eq!(kind_of(files.rename_new(&at("hard"), &at(taken))), io::ErrorKind::AlreadyExists);
    }
    files.rename_new(&at("dangling"), &at("dangling-2")).unwrap();
    assert_eq!(files.resolve(&at("dangling-2")).unwrap(), at("nowhere"), "it moves a link as such");
    files.remove_file(&at("dangling-2")).unwrap();
    // Two names of one file: a rename between them changes nothing.
    files.rename(&at("hard"), &at("hard-2")).unwrap();
    assert!(files.identity(&at("hard")).unwrap().is_some());

    for name in ["file", "hard", "hard-2", "soft", "d/chain", "moved", "loop-a", "loop-b"] {
        files.remove_file(&at(name)).unwrap();
    }
    files.remove_dir(&at("d")).unwrap();
    assert_eq!(names(files, &base), Vec::<OsString>::new());
}

//! An image that a crash left: told from others, opened, read and checked.

use std::hash::Hasher as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use braid::vfs::faulty::CrashFileSystem;
use braid::vfs::{FileSystem, OpenMode, OpenOptions};
use braid::{Database, Options};
use braid_tests::oracle::{Backup, Contents, Life, Marks};
use foldhash::fast::FixedState;

use crate::outside::{PATH, still};

/// Told of a state that cannot be.
pub(super) type Verdict<T> = Result<T, String>;

/// A number that tells images apart: all names, lengths and bytes.
pub(super) fn fingerprint(image: &CrashFileSystem) -> Verdict<u64> {
    let mut hasher = std::hash::BuildHasher::build_hasher(&FixedState::with_seed(0));
    let mut buffer = Vec::new();
    for directory in ["/".into(), log_dir()] {
        let mut names = match image.read_dir(&directory) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.to_string()),
        };
        names.sort();
        for name in names {
            hasher.write(name.as_encoded_bytes());
            hasher.write_u8(b'/');
            let path = directory.join(&name);
            let Ok(file) = image.open(&path, OpenOptions::new(OpenMode::ReadOnly)) else { continue };
            let length = file.len().map_err(|error| error.to_string())?;
            hasher.write_u64(length);
            buffer.resize(usize::try_from(length).map_err(|error| error.to_string())?, 0);
            file.read_exact_at(&mut buffer, 0).map_err(|error| error.to_string())?;
            hasher.write(&buffer);
        }
    }
    Ok(hasher.finish())
}

fn log_dir() -> PathBuf {
    PathBuf::from(format!("{PATH}-wal"))
}

/// Opens the database of a machine.
pub(super) fn open(files: Arc<dyn FileSystem>, options: &Options, seed: u64) -> Verdict<Database> {
    Database::open_in(still(files, seed), PATH, options.clone())
        .map_err(|error| format!("the open says: {error}"))
}

/// Opens an image, reads and checks all of it; with `deep`, commits to it and cuts the power once more.
pub(crate) fn examine(image: &CrashFileSystem, options: &Options, deep: bool) -> Verdict<Contents> {
    let db = open(Arc::new(image.clone()), options, 1)?;
    let contents = Contents::of(&db).map_err(|error| format!("a read says: {error}"))?;
    check(&db)?;
    if deep {
        let committed = db.table("after the crash").and_then(|table| db.put(&table, "key", "value"));
        committed.map_err(|error| format!("the next commit says: {error}"))?;
        let after = Contents::of(&db).map_err(|error| format!("a read says: {error}"))?;
        check(&db)?;
        let cut = image.after_crash(braid::vfs::faulty::CrashChoice::KeepNone);
        if examine(&cut, options, false)? != after {
            return Err("the next commit does not survive a power cut".to_owned());
        }
    }
    Ok(contents)
}

fn check(db: &Database) -> Verdict<()> {
    let report = db.check().map_err(|error| format!("the check says: {error}"))?;
    if report.is_ok() { Ok(()) } else { Err(format!("the check finds {:?}", report.findings)) }
}

/// Looks at everything beside the rows, where state `found` is there: backups, the consumer, ids and tokens.
pub(crate) fn examine_beside(
    image: impl Fn() -> CrashFileSystem,
    life: &Life,
    (found, marks): (usize, Marks),
    options: &Options,
) -> Verdict<()> {
    examine_backups(&image(), life.backups(), marks, options)?;
    examine_mirror(&image(), life, marks, options)?;
    examine_issued(&image(), life, (found, marks), options)
}

/// Looks for the consumer of the changes: where it stands, with what it missed, its copy is what is there.
fn examine_mirror(image: &CrashFileSystem, life: &Life, marks: Marks, options: &Options) -> Verdict<()> {
    if !life.mirror().is_used() {
        return Ok(());
    }
    let db = open(Arc::new(image.clone()), options, 5)?;
    life.mirror()
        .examine(&db, marks.mirrored)
        .map_err(|error| format!("the consumer of the changes: {error}"))
}

/// Looks at the ids and tokens that were given out, where state `found` is there.
fn examine_issued(
    image: &CrashFileSystem,
    life: &Life,
    (found, marks): (usize, Marks),
    options: &Options,
) -> Verdict<()> {
    if !life.gave_out() {
        return Ok(());
    }
    let db = open(Arc::new(image.clone()), options, 6)?;
    let examined = life.examine_issued(&db, found, marks, options.token_retention);
    examined.map_err(|error| format!("what was given out: {error}"))
}

/// Looks for the backups that were made: there and whole, or not there.
fn examine_backups(
    image: &CrashFileSystem,
    backups: &[Backup],
    marks: Marks,
    options: &Options,
) -> Verdict<()> {
    for (number, backup) in backups.iter().enumerate().take(marks.backups_begun) {
        let path = backup.path.as_path();
        let told = |what: &dyn std::fmt::Display| format!("the backup {}: {what}", path.display());
        if image.identity(Path::new(path)).map_err(|error| told(&error))?.is_none() {
            if number < marks.backups_done {
                return Err(told(&"was made, and is not there"));
            }
            continue;
        }
        let env = still(Arc::new(image.clone()), 2);
        let contents = Database::open_in(env, path, options.clone()).and_then(|db| Contents::of(&db));
        if contents.map_err(|error| told(&error))? != *backup.contents {
            return Err(told(&"holds something else"));
        }
    }
    Ok(())
}

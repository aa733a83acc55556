//! A directory of its own for one database, seen from outside as files and bytes.
#![expect(clippy::disallowed_methods, reason = "the tests look at the files from outside the engine")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use braid::vfs::faulty::{Faults, FaultyFileSystem};
use braid::vfs::{Env, RealFileSystem};
use braid::{Database, JournalMode, Options, Result};
use tempfile::TempDir;

/// A temporary directory that holds one database and nothing else.
#[derive(Debug)]
pub struct Place {
    directory: TempDir,
}

impl Place {
    /// An empty one.
    ///
    /// # Panics
    /// When the system has no room for it.
    #[must_use]
    pub fn new() -> Self {
        Self { directory: TempDir::with_prefix("braid-test-").expect("a temporary directory can be made") }
    }

    /// An empty one in memory where the system has a place for that, else on the disk: for what ends no power.
    ///
    /// # Panics
    /// When the system has no room for it.
    #[must_use]
    pub fn in_memory() -> Self {
        TempDir::with_prefix_in("braid-test-", "/dev/shm")
            .map_or_else(|_| Self::new(), |directory| Self { directory })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the database file is, or will be.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory().join("data.braid")
    }

    /// Another name in the same directory.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// Opens the database with the default options.
    ///
    /// # Errors
    /// Those of the open.
    pub fn open(&self) -> Result<Database> {
        Database::open(self.path())
    }

    /// Opens the database.
    ///
    /// # Errors
    /// Those of the open.
    pub fn open_with(&self, options: Options) -> Result<Database> {
        Database::open_with(self.path(), options)
    }

    /// Opens the database and puts it into [`JournalMode::Mvcc`].
    ///
    /// # Errors
    /// Those of the open and of the switch.
    pub fn open_mvcc(&self, options: Options) -> Result<Database> {
        let db = self.open_with(options)?;
        db.set_journal_mode(JournalMode::Mvcc)?;
        Ok(db)
    }

    /// Every file below the directory, by its path relative to it.
    ///
    /// # Panics
    /// When the directory cannot be read.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(self.directory(), &mut found).expect("the directory can be read");
        found.sort();
        found
    }

    /// The files other than the database file itself: the log.
    #[must_use]
    pub fn log_files(&self) -> Vec<PathBuf> {
        let main = self.path();
        self.files().into_iter().filter(|path| *path != main).collect()
    }

    /// Names, bytes, lengths and times of all files and directories.
    ///
    /// # Panics
    /// When something cannot be read.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut entries = BTreeMap::new();
        for path in self.files() {
            let modified = fs::metadata(&path).and_then(|m| m.modified()).expect("a file has a time");
            entries.insert(path.clone(), (fs::read(&path).expect("a file can be read"), modified));
        }
        let names =
            fs::metadata(self.directory()).and_then(|m| m.modified()).expect("a directory has a time");
        Fingerprint { entries, names }
    }

    /// A copy of all files in a directory of their own, as a backup tool that knows nothing would make it.
    ///
    /// # Panics
    /// When the copy fails.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        for path in self.files() {
            let name = path.strip_prefix(self.directory()).expect("a file lies below its directory");
            let target = copy.directory().join(name);
            fs::create_dir_all(target.parent().expect("a file has a directory"))
                .expect("a directory can be made");
            fs::copy(&path, &target).expect("a file can be copied");
        }
        copy
    }

    /// All bytes of a file.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn read(path: &Path) -> Vec<u8> {
        fs::read(path).expect("a file can be read")
    }

    /// Replaces all bytes of a file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(path: &Path, bytes: &[u8]) {
        fs::write(path, bytes).expect("a file can be written");
    }

    /// Makes a directory.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn make_directory(path: &Path) {
        fs::create_dir(path).expect("a directory can be made");
    }

    /// Removes a file.
    ///
    /// # Panics
    /// When it cannot be removed.
    pub fn remove(path: &Path) {
        fs::remove_file(path).expect("a file can be removed");
    }

    /// Opens, reads and closes a file without the engine.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn touch(path: &Path) {
        drop(fs::OpenOptions::new().read(true).write(true).open(path).expect("a file can be opened"));
        drop(fs::read(path).expect("a file can be read"));
    }

    /// The length of a file.
    ///
    /// # Panics
    /// When there is no such file.
    #[must_use]
    pub fn len(path: &Path) -> u64 {
        fs::metadata(path).expect("a file has a length").len()
    }

    /// The bytes of all files together, while files come and go: one that has gone meanwhile counts nothing.
    #[must_use]
    pub fn total_bytes_now(&self) -> u64 {
        let mut found = Vec::new();
        // A directory that goes meanwhile ends the walk early.
        let _ = walk(self.directory(), &mut found);
        found.iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum()
    }

    /// Leaves the directory where it is, for a person to look at, and says where.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        self.directory.keep()
    }

    /// The bytes of disk that all files take together.
    ///
    /// # Panics
    /// When a file cannot be looked at.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.files().iter().map(|path| Self::len(path)).sum()
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

/// What a directory looked like at one moment.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    entries: BTreeMap<PathBuf, (Vec<u8>, SystemTime)>,
    names: SystemTime,
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes = self.entries.iter().map(|(path, (bytes, modified))| (path, bytes.len(), modified));
        f.debug_list().entries(sizes).entry(&self.names).finish()
    }
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// Asserts that a full integrity check finds nothing.
///
/// # Errors
/// Those of the check itself.
///
/// # Panics
/// When the check finds something.
pub fn assert_clean(db: &Database) -> Result<()> {
    let report = db.check()?;
    assert!(report.is_ok(), "the integrity check found {:?}", report.findings);
    Ok(())
}

/// Asserts that no transaction has written to the log since it had `before` bytes. Whoever is slow finds a mark there that an
/// idle log is durable to its end: a record without contents.
///
/// # Panics
/// When something else was appended.
pub fn assert_nothing_logged(db: &Database, before: u64) {
    const MARK: u64 = 48;
    let appended = db.stats().log.bytes_appended - before;
    assert!([0, MARK].contains(&appended), "{appended} bytes were written");
}

/// The real outside, with files that fail and count as the returned [`Faults`] say.
#[must_use]
pub fn faulty_env() -> (Env, Faults) {
    let files = FaultyFileSystem::new(Arc::new(RealFileSystem));
    let faults = files.faults().clone();
    (Env::with_files(Arc::new(files)), faults)
}

//! Databases on a disk that is not one: in memory, where damage and power cuts cost nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use braid::vfs::memory::MemoryFileSystem;
use braid::vfs::{Env, FileSystem, OpenMode, OpenOptions};

use crate::Place;

/// The files of a database as bytes, to be damaged at will.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Names relative to the directory of the database, and bytes.
    pub files: Vec<(PathBuf, Vec<u8>)>,
}

impl Disk {
    /// What lies at a place now. Taken while the database is open it is what a kill would leave.
    #[must_use]
    pub fn of(place: &Place) -> Self {
        let relative = |path: &Path| path.strip_prefix(place.directory()).map(Path::to_path_buf);
        let files = place.files();
        let read = |path: &PathBuf| (relative(path).unwrap_or_default(), Place::read(path));
        Self { files: files.iter().map(read).collect() }
    }

    /// Whether a file is the database file; the others are its log.
    #[must_use]
    pub fn is_main(name: &Path) -> bool {
        name == Path::new("data.braid")
    }

    /// The files in a memory of their own, and the path of the database there.
    ///
    /// # Panics
    /// Never: memory takes what it is given.
    #[must_use]
    pub fn mount(&self) -> (Env, PathBuf) {
        let memory = MemoryFileSystem::new();
        for (name, bytes) in &self.files {
            let path = Path::new("/").join(name);
            if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("/")) {
                // It is there already for every file but the first in it.
                let _ = memory.create_dir(parent, 0o700);
            }
            let file =
                memory.open(&path, OpenOptions::new(OpenMode::CreateNew)).expect("memory takes a file");
            file.write_all_at(bytes, 0).expect("memory takes bytes");
        }
        (Env::with_files(Arc::new(memory)), PathBuf::from("/data.braid"))
    }
}

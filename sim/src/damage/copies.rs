//! Files as bytes, and machines that hold them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use braid::vfs::faulty::CrashFileSystem;
use braid::vfs::{FileSystem, OpenMode, OpenOptions};

use crate::outside::PATH;

/// The files of a database by their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files(pub(super) BTreeMap<PathBuf, Arc<[u8]>>);

/// The directory of the log.
pub(super) fn log_dir() -> PathBuf {
    PathBuf::from(format!("{PATH}-wal"))
}

/// The path of a segment.
pub(super) fn segment(sequence: u64) -> PathBuf {
    log_dir().join(format!("{sequence:016x}.seg"))
}

fn told(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{} on the simulated disk: {error}", path.display())
}

impl Files {
    /// What is on a machine now: what a kill leaves.
    pub(super) fn of(machine: &CrashFileSystem) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        for directory in [PathBuf::from("/"), log_dir()] {
            for name in machine.read_dir(&directory).map_err(told(&directory))? {
                let path = directory.join(name);
                let Ok(file) = machine.open(&path, OpenOptions::new(OpenMode::ReadOnly)) else { continue };
                let length = file.len().map_err(told(&path))?;
                let mut bytes = vec![0; usize::try_from(length).map_err(|error| error.to_string())?];
                file.read_exact_at(&mut bytes, 0).map_err(told(&path))?;
                files.insert(path, bytes.into());
            }
        }
        Ok(Self(files))
    }

    /// A machine with these files, which are all on its disk.
    pub(super) fn mount(&self) -> Result<CrashFileSystem, String> {
        let machine = CrashFileSystem::new();
        if self.0.keys().any(|path| path.starts_with(log_dir())) {
            machine.create_dir(&log_dir(), 0o700).map_err(told(&log_dir()))?;
        }
        for (path, bytes) in &self.0 {
            let create = OpenOptions::new(OpenMode::CreateNew);
            let file = machine.open(path, create).map_err(told(path))?;
            file.write_all_at(bytes, 0).map_err(told(path))?;
        }
        Ok(machine.crash(braid::vfs::faulty::CrashChoice::KeepAll))
    }

    /// The database file alone.
    pub(super) fn main(&self) -> Self {
        self.only(|path| path == Path::new(PATH))
    }

    /// The log alone.
    pub(super) fn log(&self) -> Self {
        self.only(|path| path.starts_with(log_dir()))
    }

    fn only(&self, wanted: impl Fn(&Path) -> bool) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(path, _)| wanted(path))
                .map(|(path, bytes)| (path.clone(), Arc::clone(bytes)))
                .collect(),
        )
    }

    /// These, and others in addition or in their place.
    pub(super) fn with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Without one file.
    pub(super) fn without(mut self, path: &Path) -> Self {
        self.0.remove(path);
        self
    }

    /// With one file in addition or instead.
    pub(super) fn and(mut self, path: PathBuf, bytes: Arc<[u8]>) -> Self {
        self.0.insert(path, bytes);
        self
    }
}

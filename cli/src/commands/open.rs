//! Opening what must exist, and refusing to write over what does.

use std::path::Path;

use braid::{Database, Error, Options};
use clap::ValueEnum;

use crate::exit::{Code, Failure, Result};

/// Who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One writer at a time
    Wal,
    /// Concurrent writers
    Mvcc,
}

impl Mode {
    /// That of a database, if this program knows it.
    pub(crate) fn of(mode: braid::JournalMode) -> Option<Self> {
        Self::value_variants().iter().copied().find(|known| braid::JournalMode::from(*known) == mode)
    }

    /// Its name, as options, dumps and statistics have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Wal => "wal",
            Self::Mvcc => "mvcc",
        }
    }

    /// The one of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|mode| mode.name() == name)
    }
}

impl From<Mode> for braid::JournalMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Wal => Self::Wal,
            Mode::Mvcc => Self::Mvcc,
        }
    }
}

/// What a commit promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// It survives a power cut
    Sync,
    /// It survives the death of the process
    Deferred,
}

impl From<Durability> for braid::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Sync => Self::Sync,
            Durability::Deferred => Self::Deferred,
        }
    }
}

/// The database at `path`, for reading.
pub(crate) fn read_only(path: &Path) -> Result<Database> {
    Ok(Database::open_read_only(path)?)
}

/// The database at `path`, for writing; it is not created.
pub(crate) fn existing(path: &Path) -> Result<Database> {
    Ok(Database::open_with(path, Options::default().create(false))?)
}

/// Refuses a path at which there is nothing.
pub(crate) fn present(path: &Path) -> Result<()> {
    match path.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::NotFound(path.to_owned()).into()),
        Err(error) => Err(Failure::file(path, &error)),
    }
}

/// Refuses an output path at which there is something, or beside which there is a log.
pub(crate) fn absent(path: &Path) -> Result<()> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    is_free(path).and(is_free(Path::new(&log)))
}

fn is_free(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::file(path, &error)),
        Ok(_) => Err(Failure::new(
            Code::Usage,
            format!("{} exists already", path.display()),
            "give the path of a file that does not exist yet, or move that away",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_has_one_name() {
        for mode in Mode::value_variants() {
            let option = mode.to_possible_value().unwrap();
            assert_eq!(option.get_name(), mode.name());
            assert_eq!(Mode::named(mode.name()), Some(*mode));
            assert_eq!(Mode::of((*mode).into()), Some(*mode));
        }
    }
}

//! Opening what must exist, and refusing to write over what does.

use std::path::Path;
use std::str::FromStr;

use braid::{Database, Durability, Error, JournalMode, Options, ParseNameError};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::exit::{Code, Failure, Result};

/// The names of a mode, as an argument.
pub(crate) fn modes() -> impl TypedValueParser<Value = JournalMode> {
    named([("wal", "One writer at a time"), ("mvcc", "Concurrent writers")])
}

/// The names of a durability, as an argument.
pub(crate) fn durabilities() -> impl TypedValueParser<Value = Durability> {
    named([("sync", "It survives a power cut"), ("deferred", "It survives the death of the process")])
}

fn named<T, const N: usize>(names: [(&'static str, &'static str); N]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = ParseNameError> + Clone + Send + Sync + 'static,
{
    let names = names.map(|(name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(names).try_map(|name| name.parse())
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
    is_free(path).and(is_free(&braid::log_dir(path)))
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

    fn names(parser: &impl TypedValueParser) -> Vec<String> {
        parser.possible_values().unwrap().map(|value| value.get_name().to_owned()).collect()
    }

    #[test]
    fn every_name_is_an_argument() {
        assert_eq!(names(&modes()), "".parse::<JournalMode>().unwrap_err().names());
        assert_eq!(names(&durabilities()), "".parse::<Durability>().unwrap_err().names());
    }
}

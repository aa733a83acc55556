//! What a damaged copy may say when it is opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use braid::vfs::faulty::CrashFileSystem;
use braid::{Database, Error, Options, Result};
use braid_tests::oracle::{Contents, Rows};

use crate::outside::{PATH, still};

/// How a copy fared that fared well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An open or a read says by a typed error that something is wrong.
    Refused,
    /// All is there, and the check says that something is wrong.
    Noticed,
    /// All is there; the damage met nothing that counts.
    Harmless,
    /// The last commit is cut off, as the documents say that it may be.
    WithinTheLimit,
}

/// How a copy fared that did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Something is missing or wrong, and nothing says so.
    Silent(String),
    /// An error that is none of those that damage is told by.
    Untyped(String),
}

/// What there may be in a copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed<'a> {
    /// Everything that is known to have been there.
    pub(super) whole: &'a [&'a Contents],
    /// What is left without the last commits, where nothing can tell.
    pub(super) limit: &'a [&'a Contents],
}

fn is_typed(error: &Error) -> bool {
    matches!(
        error,
        Error::Corrupt(_)
            | Error::Mismatch(_)
            | Error::NotABraidDatabase { .. }
            | Error::NewerFormat { .. }
            | Error::NotFound(_)
    )
}

/// Opens a copy, reads all of it and checks it.
pub(super) fn judge(
    copy: &CrashFileSystem,
    allowed: Allowed<'_>,
    options: &Options,
    read_only: bool,
) -> Result<Verdict, Fault> {
    let env = still(Arc::new(copy.clone()), 7);
    let opened = if read_only {
        Database::open_read_only_in(env, PATH, Options::default())
    } else {
        Database::open_in(env, PATH, options.clone())
    };
    let db = match opened {
        Ok(db) => db,
        Err(error) => return refused(&error),
    };
    let expected = || allowed.whole.iter().chain(allowed.limit).copied();
    let found = match Contents::of(&db) {
        Ok(found) => found,
        Err(error) => {
            // Other reads go on, and what they give is right: at least one of the states gives the same.
            return if expected().any(|state| agrees(&db, state)) {
                refused(&error)
            } else {
                Err(Fault::Silent(format!("reads beside the one that says `{error}` give what never was")))
            };
        }
    };
    let report = match db.check() {
        Ok(report) => report,
        Err(error) => return refused(&error),
    };
    if allowed.whole.contains(&&found) {
        Ok(if report.is_ok() { Verdict::Harmless } else { Verdict::Noticed })
    } else if allowed.limit.contains(&&found) {
        Ok(Verdict::WithinTheLimit)
    } else {
        Err(Fault::Silent(difference(&found, expected().next())))
    }
}

fn refused(error: &Error) -> Result<Verdict, Fault> {
    if is_typed(error) { Ok(Verdict::Refused) } else { Err(Fault::Untyped(format!("{error:?}"))) }
}

/// Whether every read of the database that succeeds gives what `state` holds.
fn agrees(db: &Database, state: &Contents) -> bool {
    let Ok(snapshot) = db.snapshot() else { return true };
    let Ok(names) = db.tables() else { return true };
    names.iter().eq(state.tables.keys())
        && state.tables.iter().all(|(name, rows)| {
            let Ok(Some(table)) = db.existing_table(name) else { return false };
            let points = rows.iter().all(|(key, value)| match snapshot.get(&table, key) {
                Ok(found) => found.as_deref() == Some(&**value),
                Err(error) => is_typed(&error),
            });
            points && snapshot.scan(&table).is_ok_and(|scan| is_start_of(scan, rows))
        })
}

/// Whether a scan gives the rows in order up to its end, or to an error.
fn is_start_of(scan: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>, rows: &Rows) -> bool {
    let mut expected = rows.iter();
    for row in scan {
        match row {
            Ok((key, value)) => {
                if expected.next().is_none_or(|(k, v)| *k != key || **v != *value) {
                    return false;
                }
            }
            Err(error) => return is_typed(&error),
        }
    }
    expected.next().is_none()
}

/// What a person is told of contents that must not be.
fn difference(found: &Contents, expected: Option<&Contents>) -> String {
    let Some(expected) = expected else { return "opened without a word".to_owned() };
    let rows = |contents: &Contents| -> BTreeMap<(String, Vec<u8>), Arc<[u8]>> {
        let named = |(name, rows): (&String, &Rows)| {
            let name = name.clone();
            rows.clone().into_iter().map(move |(key, value)| ((name.clone(), key), value))
        };
        contents.tables.iter().flat_map(named).collect()
    };
    let (found, expected) = (rows(found), rows(expected));
    let missing = expected.keys().filter(|row| !found.contains_key(*row)).count();
    let extra = found.keys().filter(|row| !expected.contains_key(*row)).count();
    let other =
        found.iter().filter(|(row, value)| expected.get(*row).is_some_and(|other| other != *value)).count();
    format!(
        "opened without a word, with {missing} rows missing, {extra} too many and {other} of another value"
    )
}

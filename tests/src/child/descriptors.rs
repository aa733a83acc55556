//! No file descriptors are left, and then there are again.
//!
//! The lines are those of [`steps`](super::steps); what must hold in between makes the child fail.
#![expect(clippy::disallowed_methods, reason = "descriptors are used up beside the engine")]

use std::fs::File;
use std::path::Path;

use braid::{Database, Error, Result};

use super::steps::{begin, go_on};

pub(super) fn descriptors(path: &str) -> Result<()> {
    let (db, table) = begin(path, true)?;
    let must = |held: bool, what: &str| if held { Ok(()) } else { Err(Error::other(what)) };
    must(go_on(&db, &table, 1..=20).iter().all(|ok| *ok), "commits fail while there are descriptors")?;

    let mut hoard = Vec::new();
    let take_all = |hoard: &mut Vec<File>| {
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
    };
    take_all(&mut hoard);
    must(!hoard.is_empty(), "there was no descriptor to take")?;
    let scarce = go_on(&db, &table, 21..=160);
    must(scarce.len() == 140, "every commit has an answer")?;
    // What the log gave back meanwhile.
    take_all(&mut hoard);
    must(db.snapshot()?.get(&table, "last")?.is_some(), "a read needs no descriptor")?;
    must(matches!(Database::open(path), Err(Error::Io { .. })), "an open needs one")?;
    let other = Path::new(path).with_extension("other");
    must(matches!(Database::open(&other), Err(Error::Io { .. })), "an open of another needs one")?;
    must(matches!(db.backup(&other), Err(Error::Io { .. })), "a backup needs one")?;

    drop(hoard);
    must(go_on(&db, &table, 161..=180).iter().all(|ok| *ok), "commits fail after descriptors are back")?;
    drop(table);
    db.close()?;
    super::say("closed");
    Ok(())
}

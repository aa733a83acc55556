//! A disk that is full, and then is not.
//!
//! Everything is judged here, because the disk goes with this process. The last line has three numbers: whether the open
//! was refused, the commits before the disk was enlarged, and those that found no room.

use std::path::Path;
use std::process::Command;

use braid::{Database, Error, Result};

use super::say;
use super::steps::{begin, go_on};
use crate::{assert_clean, number};

/// Commits that are tried on the small disk.
const COMMITS: i64 = 400;

pub(super) fn full(path: &str) -> Result<()> {
    let must = |held: bool, what: &str| if held { Ok(()) } else { Err(Error::other(what)) };
    let mut small = match begin(path, true) {
        Ok(opened) => Some(opened),
        Err(Error::NoSpace(_)) => None,
        Err(error) => return Err(error),
    };
    let refused = small.is_none();
    let mut outcomes = Vec::new();
    if let Some((db, table)) = &small {
        for at in 1..=COMMITS {
            outcomes.extend(go_on(db, table, at..=at));
            // Each waits for a checkpoint that may find room, so a few tell enough.
            if outcomes.iter().filter(|ok| !**ok).count() == 6 {
                break;
            }
        }
        let stands = outcomes.iter().rposition(|ok| *ok).map_or(0, |at| i64::try_from(at).unwrap_or(0) + 1);
        let read = db.get(table, "last")?.map_or(0, |bytes| number(&bytes));
        must(read == stands, "reads do not show the last commit that was acknowledged")?;
        assert_clean(db)?;
        // Closed on the full disk and opened again, if there is room for that.
        if outcomes.len() % 2 == 0 {
            let (db, table) = small.take().ok_or(Error::Closed)?;
            drop(table);
            match db.close() {
                Ok(_) | Err(Error::NoSpace(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    enlarge(path)?;
    let (db, table) = match small {
        // What was open goes on by itself.
        Some(opened) => opened,
        None => begin(path, true)?,
    };
    let stands = outcomes.iter().rposition(|ok| *ok).map_or(0, |at| i64::try_from(at).unwrap_or(0) + 1);
    let read = db.get(&table, "last")?.map_or(0, |bytes| number(&bytes));
    must(read == stands, "what was acknowledged on the full disk is not there")?;
    let more = go_on(&db, &table, COMMITS + 1..=COMMITS + 40);
    must(more.iter().all(|ok| *ok), "commits fail after there is room again")?;
    db.checkpoint()?;
    assert_clean(&db)?;
    drop(table);
    db.close()?;
    let db = Database::open(path)?;
    let table = db.table("rows")?;
    let read = db.get(&table, "last")?.map_or(0, |bytes| number(&bytes));
    must(read == COMMITS + 40, "the reopened database is at another commit")?;
    assert_clean(&db)?;
    let kept = outcomes.iter().filter(|ok| **ok).count();
    say(&format!("{} {kept} {}", u8::from(refused), outcomes.len() - kept));
    Ok(())
}

/// Gives the file system room.
fn enlarge(path: &str) -> Result<()> {
    let directory = Path::new(path).parent().unwrap_or(Path::new("."));
    let mount = Command::new("mount").args(["-o", "remount,size=64m"]).arg(directory).status();
    match mount {
        Ok(status) if status.success() => Ok(()),
        other => Err(Error::other(format!("the disk could not be enlarged: {other:?}"))),
    }
}

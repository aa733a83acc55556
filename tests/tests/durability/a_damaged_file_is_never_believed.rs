//! Whatever byte of a database or its log is damaged, or wherever a file is cut off: an open or a read says so by a typed
//! error, or nothing is missing and nothing changed. It never panics, and never loses a row in silence.

use std::collections::BTreeMap;
use std::path::Path;

use braid::{Database, Error, Options, Result};
use braid_tests::{Disk, Place, contents, key, scale, value};

type Tables = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

fn options() -> Options {
    Options { page_bytes: 512, cache_bytes: 256 << 10, log_segment_bytes: 64 << 10, ..Options::default() }
}

/// A small database with everything in it: two tables, overflow pages, free pages, rows in the tree and in the log.
/// With what each of its last commits left, newest first.
fn sample(place: &Place) -> Result<(Database, Vec<Tables>)> {
    let db = place.open_mvcc(options())?;
    let (rows, notes) = (db.table("rows")?, db.table("notes")?);
    for number in 0..80 {
        db.put(&rows, key(number), value(1))?;
    }
    db.put(&notes, "large", vec![5; 3000])?;
    db.put(&notes, "gone", vec![6; 3000])?;
    db.checkpoint()?;
    db.delete(&notes, "gone")?;
    db.checkpoint()?;
    let mut states = Vec::new();
    for number in 60..100 {
        db.put(&rows, key(number), value(2))?;
        if number >= 97 {
            states.push(read_all(&db)?);
        }
    }
    states.reverse();
    Ok((db, states))
}

fn read_all(db: &Database) -> Result<Tables> {
    let snapshot = db.snapshot()?;
    let mut tables = Tables::new();
    for name in db.tables()? {
        let table = db.existing_table(&name)?.ok_or(Error::NoSuchTable(name.clone()))?;
        let rows = contents(&snapshot, &table)?;
        for (key, value) in &rows {
            assert_eq!(snapshot.get(&table, key)?.as_ref(), Some(value), "a point read and a scan agree");
        }
        tables.insert(name, rows);
    }
    Ok(tables)
}

fn is_typed(error: &Error) -> bool {
    matches!(
        error,
        Error::Corrupt(_) | Error::Mismatch(_) | Error::NotABraidDatabase { .. } | Error::NewerFormat { .. }
    )
}

/// Opens a damaged copy and judges it. `allowed` are the states that may be found, the newest first.
fn judge(disk: &Disk, allowed: &[Tables], read_only: bool, what: &str) -> Verdict {
    let (env, path) = disk.mount();
    let opened = if read_only {
        Database::open_read_only_in(env, path, Options::default())
    } else {
        Database::open_in(env, path, options())
    };
    let outcome = opened.and_then(|db| {
        let found = read_all(&db)?;
        Ok((found, db.check()?))
    });
    match outcome {
        Ok((found, report)) => {
            let place = allowed.iter().position(|tables| *tables == found);
            assert!(
                place.is_some(),
                "{what}: opened without a word, and the rows are not those that were written"
            );
            // Damage where nothing is kept any more, or in what a newer copy replaces, may go unnoticed.
            Verdict { refused: false, checked_clean: report.is_ok() }
        }
        Err(error) => {
            assert!(is_typed(&error), "{what}: {error:?}");
            Verdict { refused: true, checked_clean: false }
        }
    }
}

struct Verdict {
    refused: bool,
    checked_clean: bool,
}

fn flip_each(disk: &Disk, allowed: &[Tables], stride: usize, of: impl Fn(&Path) -> bool) -> (u64, u64) {
    let (mut refused, mut found_by_check) = (0, 0);
    for index in 0..disk.files.len() {
        let (name, bytes) = &disk.files[index];
        if !of(name) {
            continue;
        }
        for (turn, at) in (0..bytes.len()).step_by(stride).enumerate() {
            let bit = (at / stride + at) % 8;
            let mut damaged = disk.clone();
            damaged.files[index].1[at] ^= 1 << bit;
            let what = format!("bit {bit} of byte {at} of {}", name.display());
            let verdict = judge(&damaged, allowed, turn % 2 == 0, &what);
            refused += u64::from(verdict.refused);
            found_by_check += u64::from(!verdict.refused && !verdict.checked_clean);
        }
    }
    (refused, found_by_check)
}

/// How many bytes lie between two that are damaged; the scale makes it denser.
fn stride(usual: usize) -> usize {
    (usual / usize::try_from(scale()).unwrap_or(usual)).max(1)
}

#[test]
fn flipped_bits_of_a_closed_database() -> Result<()> {
    let place = Place::new();
    let (db, states) = sample(&place)?;
    db.close()?;
    let disk = Disk::of(&place);
    let (refused, _) = flip_each(&disk, &states[..1], stride(131), Disk::is_main);
    assert!(refused > 0, "some damage is in the way of every reader");
    flip_each(&disk, &states[..1], stride(997), |name| !Disk::is_main(name));
    Ok(())
}

#[test]
fn flipped_bits_of_the_log_of_a_killed_database() -> Result<()> {
    let place = Place::new();
    let (db, states) = sample(&place)?;
    let disk = Disk::of(&place);
    drop(db);
    // Damage to the very last commit cannot be told from a write that a power cut tore: it may be cut off, no more.
    let (refused, _) = flip_each(&disk, &states[..2], stride(307), |name| !Disk::is_main(name));
    assert!(refused > 0, "damage before the last commit is refused");
    Ok(())
}

#[test]
fn flipped_bits_in_the_records_of_a_log() -> Result<()> {
    // The stride above jumps over most of what is really there; this goes over the records byte by byte.
    let place = Place::new();
    let (db, states) = sample(&place)?;
    let disk = Disk::of(&place);
    drop(db);
    let (mut refused, mut tried) = (0, 0);
    for index in 0..disk.files.len() {
        let (name, bytes) = &disk.files[index];
        if Disk::is_main(name) {
            continue;
        }
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for (turn, at) in used.into_iter().step_by(stride(23)).enumerate() {
            let mut damaged = disk.clone();
            damaged.files[index].1[at] = !bytes[at];
            let what = format!("byte {at} of {}", name.display());
            refused += u64::from(judge(&damaged, &states[..2], turn % 2 == 0, &what).refused);
            tried += 1;
        }
    }
    assert!(tried > 50 && refused * 10 > tried, "{refused} of {tried} were refused");
    Ok(())
}

#[test]
fn files_that_were_cut_off() -> Result<()> {
    let place = Place::new();
    let (db, states) = sample(&place)?;
    let killed = Disk::of(&place);
    db.close()?;
    let closed = Disk::of(&place);
    for (disk, allowed) in [(killed, &states[..2]), (closed, &states[..1])] {
        for index in 0..disk.files.len() {
            let (name, bytes) = &disk.files[index];
            let step = if Disk::is_main(name) { stride(509) } else { stride(997) };
            for length in (0..bytes.len()).step_by(step) {
                let mut damaged = disk.clone();
                damaged.files[index].1.truncate(length);
                judge(&damaged, allowed, false, &format!("{} cut to {length} bytes", name.display()));
            }
        }
    }
    Ok(())
}

#[test]
fn pages_that_were_lost_or_went_astray() -> Result<()> {
    // A write that never happened, one that landed in another page's place, and a page of zeros.
    let place = Place::new();
    let (db, states) = sample(&place)?;
    db.close()?;
    let disk = Disk::of(&place);
    let main = disk.files.iter().position(|(name, _)| Disk::is_main(name)).expect("there is a database");
    let bytes = disk.files[main].1.clone();
    let pages = (bytes.len() - 8192) / 512;
    let mut refused = 0;
    for page in 0..pages {
        let at = 8192 + page * 512;
        let other = 8192 + (page + 1) % pages * 512;
        for source in [vec![0; 512], bytes[other..other + 512].to_vec()] {
            let mut damaged = disk.clone();
            damaged.files[main].1[at..at + 512].copy_from_slice(&source);
            refused += u64::from(judge(&damaged, &states[..1], false, &format!("page {page}")).refused);
        }
    }
    assert!(refused > 0, "pages that are in use are missed");
    Ok(())
}

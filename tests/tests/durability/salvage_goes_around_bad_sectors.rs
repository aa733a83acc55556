//! A disk that does not give some of its sectors any more: `salvage` saves what lies in the others and tells of these; an open
//! fails. What nothing can be read of is an error, and no rescue without rows.

use std::ops::Range;
use std::path::Path;

use braid::vfs::Env;
use braid::vfs::faulty::{Fault, Faults, Operation};
use braid::{Database, Durability, Error, Options, Result, SalvageReport, salvage_in};
use braid_tests::{Place, assert_clean, contents, faulty_env, key};

/// A database that was killed, with 300 rows in the file and 100 in the log alone, which is several segments long.
fn killed() -> Result<Place> {
    let place = Place::new();
    let db = place.open_with(Options {
        durability: Durability::Deferred,
        log_segment_bytes: 64 << 10,
        page_bytes: 4096,
        ..Options::default()
    })?;
    let table = db.table("rows")?;
    for number in 0..400 {
        db.put(&table, key(number), key(number).repeat(100))?;
        if number == 299 {
            db.checkpoint()?;
        }
    }
    db.sync()?;
    Ok(place.copy())
}

/// Reads that touch these bytes fail, as of a broken disk.
fn bad(path: &Path, bytes: Range<u64>) -> Fault {
    let path = path.to_owned();
    Fault::on(Operation::Read).on_paths(move |read| read == path).on_bytes(bytes).sticky()
}

/// How many rows are saved, each as it was, and what is told.
fn salvaged(env: &Env, place: &Place) -> Result<(usize, SalvageReport)> {
    let out = Place::in_memory();
    let report = salvage_in(env, place.path(), out.path())?;
    let saved = out.open()?;
    // Under a made-up name where its own is lost.
    let tables = saved.tables()?;
    let [table] = tables.as_slice() else { panic!("{tables:?}") };
    let rows = contents(&saved.snapshot()?, &saved.table(table)?)?;
    assert!(rows.iter().all(|(key, value)| *value == key.repeat(100)), "a row is as it was");
    assert_clean(&saved)?;
    Ok((rows.len(), report))
}

/// An open meets what a rescue goes around.
fn assert_does_not_open(env: &Env, place: &Place, context: &str) {
    let opened =
        Database::open_in(env.clone(), place.path(), Options { create: false, ..Options::default() });
    assert!(matches!(opened, Err(Error::Io { .. })), "{context}: {opened:?}");
}

fn setting() -> Result<(Place, Env, Faults)> {
    let place = killed()?;
    let (env, faults) = faulty_env();
    let (rows, report) = salvaged(&env, &place)?;
    assert!(rows == 400 && report.losses.is_empty(), "{report:?}");
    Ok((place, env, faults))
}

#[test]
fn of_the_log() -> Result<()> {
    let (place, env, faults) = setting()?;
    let mut lost = 0;
    for path in place.log_files() {
        for sector in (0..Place::read(&path).len() as u64 / 4096).step_by(3) {
            let context = format!("sector {sector} of {path:?}");
            faults.inject(bad(&path, sector * 4096 + 100..sector * 4096 + 612));
            if sector == 0 {
                assert_does_not_open(&env, &place, &context);
            }
            let (rows, report) = salvaged(&env, &place)?;
            faults.clear();
            // A row with its value is 800 bytes and more, so a sector holds parts of six at most.
            assert!((394..=400).contains(&rows), "{context}: {rows} rows, {report:?}");
            let told = report.losses.iter().any(|loss| loss.contains("of them cannot be read"));
            assert!(rows == 400 || told && report.more_lost_rows, "{context}: {rows} rows, {report:?}");
            lost += u64::from(rows < 400);
        }
    }
    assert!(lost > 0, "no sector mattered");
    Ok(())
}

#[test]
fn of_one_meta_page() -> Result<()> {
    let (place, env, faults) = setting()?;
    for slot in [0, 4096] {
        faults.inject(bad(&place.path(), slot + 512..slot + 1024));
        assert_does_not_open(&env, &place, "a meta page");
        let (rows, report) = salvaged(&env, &place)?;
        faults.clear();
        assert!(rows == 400, "{rows} rows, {report:?}");
        assert!(
            report.more_lost_rows && report.losses.iter().any(|loss| loss.contains("meta page")),
            "{report:?}"
        );
    }
    Ok(())
}

#[test]
fn of_pages() -> Result<()> {
    let (place, env, faults) = setting()?;
    let pages = (Place::read(&place.path()).len() as u64 - 8192) / 4096;
    let mut lost = 0;
    for page in (0..pages).step_by(2) {
        let at = 8192 + page * 4096;
        faults.inject(bad(&place.path(), at + 1024..at + 1536));
        let (rows, report) = salvaged(&env, &place)?;
        faults.clear();
        assert!(rows >= 390, "page {page}: {rows} rows, {report:?}");
        assert!(rows == 400 || report.lost_rows == 400 - rows as u64, "page {page}: {rows} rows, {report:?}");
        assert!(rows == 400 || !report.losses.is_empty(), "page {page}: {report:?}");
        lost += u64::from(rows < 400);
    }
    assert!(lost > 10, "{lost} of {pages}");
    Ok(())
}

#[test]
fn but_what_fails_everywhere_is_an_error() -> Result<()> {
    let (place, env, faults) = setting()?;
    let everything = Fault::on(Operation::Read).sticky();
    let both_meta_pages = bad(&place.path(), 0..8192);
    let log = |fault: Fault| fault.on_paths(|path| path.to_string_lossy().ends_with(".seg")).sticky();
    let the_log = log(Fault::on(Operation::Read));
    let denied = log(Fault::on(Operation::Open).kind(std::io::ErrorKind::PermissionDenied));
    let of_the_place = place.path();
    for (fault, advice) in
        [(everything, ""), (both_meta_pages, ""), (the_log, "-wal away"), (denied, "-wal away")]
    {
        faults.inject(fault);
        let out = Place::in_memory();
        let salvaged = salvage_in(&env, &of_the_place, out.path());
        faults.clear();
        let Err(Error::Io { .. }) = &salvaged else { panic!("{salvaged:?}") };
        let told = salvaged.map(drop).unwrap_err().to_string();
        assert!(told.contains(advice), "{told}");
    }
    Ok(())
}

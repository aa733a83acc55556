//! `salvage` writes everything that is readable of a damaged database into a new one, says what was lost, and leaves the
//! damaged files as they were.

use braid::{Database, Durability, Error, Loader, Options, Result, Timestamp, salvage};
use braid_tests::{Place, assert_clean, contents, key};

/// A closed database of some pages, with a row and its value told by its key.
fn filled() -> Result<Place> {
    let place = Place::new();
    let db = place.open_with(Options { page_bytes: 512, cache_bytes: 64 << 10, ..Options::default() })?;
    for name in ["one", "two"] {
        let table = db.table(name)?;
        let mut tx = db.begin_immediate()?;
        for number in 0..500 {
            tx.put(&table, key(number), key(number).repeat(5))?;
        }
        tx.commit()?;
    }
    db.close()?;
    Ok(place)
}

#[test]
fn of_a_whole_database_everything() -> Result<()> {
    let (place, out) = (filled()?, Place::new());
    let before = place.fingerprint();
    let report = salvage(place.path(), out.path())?;
    assert_eq!(place.fingerprint(), before, "the original is as it was");
    assert!(report.losses.is_empty() && report.lost_rows == 0, "{report:?}");
    let (db, saved) = (place.open()?, out.open()?);
    for name in ["one", "two"] {
        let rows = contents(&saved.snapshot()?, &saved.table(name)?)?;
        assert_eq!(rows, contents(&db.snapshot()?, &db.table(name)?)?);
    }
    assert_clean(&saved)
}

#[test]
fn of_a_damaged_one_all_but_the_damage() -> Result<()> {
    let place = filled()?;
    let whole = Place::read(&place.path());
    let pages = (whole.len() - 8192) / 512;
    let mut told = 0;
    for page in (0..pages).step_by(23) {
        let (damaged, out) = (place.copy(), Place::new());
        let mut bytes = whole.clone();
        bytes[8192 + page * 512 + 100] ^= 0x10;
        Place::write(&damaged.path(), &bytes);
        let before = damaged.fingerprint();
        let report = salvage(damaged.path(), out.path())?;
        assert_eq!(damaged.fingerprint(), before, "the original is as it was, page {page}");
        let saved = out.open()?;
        let mut rows = 0;
        for name in ["one", "two"] {
            let Some(table) = saved.existing_table(name)? else { continue };
            for (key, value) in contents(&saved.snapshot()?, &table)? {
                assert_eq!(value, key.repeat(5), "a row that was saved is as it was, page {page}");
                rows += 1;
            }
        }
        assert!(rows == 1000 || !report.losses.is_empty(), "{rows} rows of 1000 without a word: {report:?}");
        told += u64::from(!report.losses.is_empty());
        assert_clean(&saved)?;
    }
    assert!(told > 0, "some page was in use");
    Ok(())
}

#[test]
fn it_overwrites_nothing_and_respects_the_lock() -> Result<()> {
    let (place, out) = (filled()?, Place::new());
    Place::write(&out.path(), b"do not lose me");
    assert!(salvage(place.path(), out.path()).is_err());
    assert_eq!(Place::read(&out.path()), b"do not lose me");
    let missing = salvage(out.join("nothing"), out.join("fresh"));
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    let db: Database = place.open()?;
    let locked = salvage(place.path(), out.join("fresh"));
    assert!(matches!(locked, Err(Error::Locked { .. })), "{locked:?}");
    assert_clean(&db)
}

#[test]
fn of_a_young_database_without_its_newest_meta_page_what_the_log_holds() -> Result<()> {
    // Before the first checkpoint the other meta page is one from before the log.
    let (place, out) = (Place::new(), Place::new());
    let db = place.open()?;
    let table = db.table("rows")?;
    for number in 0..50 {
        db.put(&table, key(number), key(number).repeat(5))?;
    }
    let rows = contents(&db.snapshot()?, &table)?;
    drop((db, table));
    let mut bytes = Place::read(&place.path());
    bytes[4096] ^= 1;
    Place::write(&place.path(), &bytes);
    assert!(place.open().is_err());
    let report = salvage(place.path(), out.path())?;
    assert!(!report.losses.is_empty(), "{report:?}");
    let saved = out.open()?;
    assert_eq!(contents(&saved.snapshot()?, &saved.table("rows")?)?, rows);
    assert_clean(&saved)
}

/// A database that was killed, whose log fills several segments: its table, the first commits in the base, the others in the log
/// alone.
fn killed() -> Result<Place> {
    let place = Place::new();
    let db = place.open_with(Options {
        durability: Durability::Deferred,
        log_segment_bytes: 64 << 10,
        ..Options::default()
    })?;
    let table = db.table("rows")?;
    for number in 0..400 {
        db.put(&table, key(number), key(number).repeat(64))?;
        if number == 99 {
            db.checkpoint()?;
        }
    }
    db.sync()?;
    Ok(place.copy())
}

/// Salvages: how many rows there are, and whether losses are told.
fn salvaged(place: &Place) -> Result<(usize, bool)> {
    let out = Place::in_memory();
    let report = salvage(place.path(), out.path())?;
    assert_eq!(report.losses.is_empty(), !report.more_lost_rows, "{report:?}");
    let saved = out.open()?;
    let rows = contents(&saved.snapshot()?, &saved.table("rows")?)?;
    assert!(rows.iter().all(|(key, value)| *value == key.repeat(64)), "a row is as it was");
    assert_eq!(rows.len() as u64, report.rows + report.commits, "each commit is a row");
    Ok((rows.len(), !report.losses.is_empty()))
}

#[test]
fn of_a_log_that_is_gone_or_cut_not_without_a_word() -> Result<()> {
    let place = killed()?;
    assert_eq!(salvaged(&place)?, (400, false));
    let files = place.log_files();
    assert!(files.len() > 3, "{files:?}");
    let mut told = 0;
    for file in &files {
        let whole = Place::read(file);
        Place::remove(file);
        let (rows, lost) = salvaged(&place)?;
        assert!(rows == 400 || lost, "{rows} rows without {file:?}");
        told += u64::from(lost);
        for len in
            [0, 64, 128, 4096, 4096 + 64, 4096 + 640, 30_016, 60_032, whole.len() - 4096, whole.len() - 64]
        {
            Place::write(file, &whole[..len]);
            let (rows, lost) = salvaged(&place)?;
            assert!(rows == 400 || lost, "{rows} rows with {len} bytes of {file:?}");
        }
        Place::write(file, &whole);
    }
    assert!(told > 2, "{told} segments count");
    for file in &files {
        Place::remove(file);
    }
    assert_eq!(salvaged(&place)?, (100, true));
    Ok(())
}

#[test]
fn of_a_log_without_its_last_commits_what_it_has_and_a_word_where_the_base_knows_of_them() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    db.put(&table, key(1), key(1).repeat(64))?;
    let before = place.copy();
    db.put(&table, key(2), key(2).repeat(64))?;
    db.checkpoint()?;
    let after = place.copy();
    assert_eq!(salvaged(&after)?, (2, false));
    for file in after.log_files() {
        let name = file.strip_prefix(after.directory()).expect("it lies there");
        Place::write(&file, &Place::read(&before.directory().join(name)));
    }
    assert_eq!(salvaged(&after)?, (2, true), "the log ends before the checkpoint");
    Ok(())
}

#[test]
fn of_whole_databases_of_every_kind_all_and_no_word() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let lossless = |place: &Place| -> Result<u64> {
        let report = salvage(place.path(), Place::new().path())?;
        assert!(report.losses.is_empty() && !report.more_lost_rows, "{report:?}");
        Ok(report.rows + report.commits)
    };
    assert_eq!(lossless(&place.copy())?, 0, "a new one");
    let table = db.table("rows")?;
    db.put(&table, key(1), "one")?;
    lossless(&place.copy())?;
    db.checkpoint()?;
    assert_eq!(lossless(&place.copy())?, 1, "with nothing after the checkpoint");
    let backup = Place::new();
    db.backup(backup.path())?;
    assert_eq!(lossless(&backup)?, 1, "a backup has no log");
    db.put(&table, key(2), "two")?;
    assert_eq!(lossless(&place.copy())?, 2);
    drop(table);
    db.close()?;
    assert_eq!(lossless(&place)?, 2, "a closed one");
    for life in 0..3 {
        let db = place.open_with(Options { log_segment_bytes: 64 << 10, ..Options::default() })?;
        let table = db.table("rows")?;
        // As long as some segments, so that the checkpoint lets some of them go.
        for number in 0..40 {
            db.put(&table, key(number), vec![life; 8 << 10])?;
        }
        db.consumer("held", Timestamp::ZERO).map(drop)?;
        lossless(&place.copy())?;
        db.checkpoint()?;
        lossless(&place.copy())?;
        db.put(&table, key(41), "more")?;
        drop((db, table));
        lossless(&place)?;
    }
    Ok(())
}

/// A load into a database with nothing else, in steps of 64 KiB.
fn load(db: &Database) -> Result<Loader> {
    let mut load = db.load_table("loaded")?;
    for number in 0..3000 {
        load.put(key(number), key(number).repeat(5))?;
    }
    Ok(load)
}

#[test]
fn of_a_load_all_under_its_name_though_only_the_log_has_that() -> Result<()> {
    let (place, out) = (Place::new(), Place::new());
    let db = place.open_with(Options { row_store_bytes: 64 << 10, ..Options::default() })?;
    let (table, _) = load(&db)?.finish()?;
    db.put(&table, key(7), "written later")?;
    let rows = contents(&db.snapshot()?, &table)?;
    drop((db, table));
    let report = salvage(place.path(), out.path())?;
    assert!(report.losses.is_empty(), "{report:?}");
    let saved = out.open()?;
    assert_eq!(saved.tables()?, ["loaded"]);
    assert_eq!(contents(&saved.snapshot()?, &saved.table("loaded")?)?, rows);
    assert_clean(&saved)
}

#[test]
fn of_a_load_that_was_cut_short_nothing_unless_its_name_may_be_lost() -> Result<()> {
    let (place, out) = (Place::new(), Place::new());
    let db = place.open_with(Options { row_store_bytes: 64 << 10, ..Options::default() })?;
    db.table("other")?;
    let unfinished = load(&db)?;
    let killed = place.copy();
    let report = salvage(killed.path(), out.path())?;
    assert!(report.losses.is_empty() && report.rows == 0, "{report:?}");
    assert_eq!(out.open()?.tables()?, ["other"]);

    // Without its log nobody knows.
    for file in killed.log_files() {
        Place::write(&file, b"");
    }
    let out = Place::new();
    let report = salvage(killed.path(), out.path())?;
    assert!(!report.losses.is_empty() && report.rows > 0, "{report:?}");
    assert_eq!(out.open()?.tables()?, [format!("table-{}", unfinished.id())]);
    Ok(())
}

#[test]
fn of_a_table_that_its_transaction_drops_nothing() -> Result<()> {
    let (place, out) = (filled()?, Place::new());
    let db = place.open()?;
    let one = db.table("one")?;
    let mut tx = db.begin_immediate()?;
    tx.put(&one, "late", "")?;
    tx.drop_table("one")?;
    let passing = tx.create_table("passing")?;
    tx.put(&passing, "late", "")?;
    tx.drop_table("passing")?;
    let kept = tx.create_table("one")?;
    tx.put(&kept, "kept", "")?;
    tx.commit()?;
    // Not closed: it stays in the log.
    drop(db);
    let report = salvage(place.path(), out.path())?;
    assert!(report.losses.is_empty(), "{report:?}");
    let saved = out.open()?;
    assert_eq!(saved.tables()?, ["one", "two"]);
    assert_eq!(contents(&saved.snapshot()?, &saved.table("one")?)?.len(), 1);
    assert_clean(&saved)
}

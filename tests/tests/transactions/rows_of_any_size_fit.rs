//! Values from nothing to megabytes, keys up to their limit, and the limit itself.

use braid::{Error, Options, Result};
use braid_tests::{Place, assert_clean};

/// Bytes that tell their own position, so that a page out of place shows.
fn pattern(length: usize, salt: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 251 + at * 7 + salt).to_le_bytes()[0]).collect()
}

const LENGTHS: [usize; 16] =
    [0, 1, 2, 63, 255, 256, 511, 512, 1000, 4000, 4095, 4096, 4097, 65_535, 1 << 20, 5 << 20];

#[test]
fn values_of_every_size_come_back() -> Result<()> {
    for page_bytes in [512, 4096, 65_536] {
        let place = Place::new();
        let options =
            Options { page_bytes, cache_bytes: 1 << 20, log_segment_bytes: 256 << 10, ..Options::default() };
        let db = place.open_with(options.clone())?;
        let table = db.table("rows")?;
        for (at, &length) in LENGTHS.iter().enumerate() {
            db.put(&table, format!("{length:08}"), pattern(length, at))?;
        }
        let check = |db: &braid::Database| -> Result<()> {
            let snapshot = db.snapshot()?;
            for (at, &length) in LENGTHS.iter().enumerate() {
                let found = snapshot.get(&table, format!("{length:08}"))?;
                assert!(found == Some(pattern(length, at)), "{length} bytes in pages of {page_bytes}");
            }
            for (row, (at, &length)) in snapshot.scan(&table)?.zip(LENGTHS.iter().enumerate()) {
                assert!(row?.1 == pattern(length, at), "{length} bytes by a scan");
            }
            Ok(())
        };
        check(&db)?;
        db.checkpoint()?;
        check(&db)?;
        // Overwritten by shorter and longer ones, their overflow pages are given back and used anew.
        for (at, &length) in LENGTHS.iter().enumerate().rev() {
            db.put(&table, format!("{length:08}"), pattern(LENGTHS[LENGTHS.len() - 1 - at] / 3, at))?;
        }
        db.checkpoint()?;
        for (at, &length) in LENGTHS.iter().enumerate() {
            db.put(&table, format!("{length:08}"), pattern(length, at))?;
        }
        check(&db)?;
        db.checkpoint()?;
        assert_clean(&db)?;
        db.close()?;
        let db = place.open_with(options)?;
        let table = db.table("rows")?;
        let longest = db.get(&table, format!("{:08}", 5 << 20))?;
        assert!(longest == Some(pattern(5 << 20, LENGTHS.len() - 1)), "five megabytes after a reopen");
        assert_clean(&db)?;
    }
    Ok(())
}

#[test]
fn the_longest_key_fits_and_one_byte_more_is_refused() -> Result<()> {
    for page_bytes in [512, 4096, 65_536] {
        let place = Place::new();
        let db = place.open_with(Options { page_bytes, ..Options::default() })?;
        let table = db.table("rows")?;
        let too_long = vec![b'k'; 32 << 20];
        let Err(Error::Limit { actual, limit, .. }) = db.put(&table, &too_long, "value") else {
            panic!("a key of 32 MiB is refused");
        };
        assert_eq!(actual, too_long.len() as u64);
        let limit = usize::try_from(limit).expect("the limit fits into memory");
        assert!(limit >= 64, "a limit of {limit} is of little use");

        let mut tx = db.begin_immediate()?;
        for first in b'a'..=b'z' {
            tx.put(&table, [&[first], &too_long[1..limit]].concat(), [first; 3])?;
        }
        let refused = tx.put(&table, &too_long[..=limit], "value");
        assert!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
        let refused = tx.insert(&table, &too_long[..=limit], "value");
        assert!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
        tx.commit()?;
        db.checkpoint()?;
        let snapshot = db.snapshot()?;
        assert_eq!(snapshot.count(&table)?, 26);
        for first in b'a'..=b'z' {
            let key = [&[first], &too_long[1..limit]].concat();
            assert_eq!(snapshot.get(&table, key)?, Some(vec![first; 3]));
        }
        assert_eq!(snapshot.get(&table, &too_long)?, None, "a key that cannot be there is not there");
        drop(snapshot);
        assert_clean(&db)?;
    }
    Ok(())
}

#[test]
fn the_empty_key_is_a_key() -> Result<()> {
    let place = Place::new();
    let db = place.open()?;
    let table = db.table("rows")?;
    db.put(&table, "b", "2")?;
    db.put(&table, "", "empty")?;
    db.put(&table, [0_u8], "zero")?;
    for _ in 0..2 {
        let snapshot = db.snapshot()?;
        assert_eq!(snapshot.get(&table, "")?, Some(b"empty".to_vec()));
        let rows = snapshot.scan(&table)?.map(|row| row.map(|(key, _)| key)).collect::<Result<Vec<_>>>()?;
        assert_eq!(rows, [b"".to_vec(), vec![0], b"b".to_vec()]);
        db.checkpoint()?;
    }
    db.delete(&table, "")?;
    assert_eq!(db.get(&table, "")?, None);
    assert_clean(&db)
}

//! Records that nobody wrote, read as transactions.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use braid_mvstore::{TableId, Timestamp};
use braid_vfs::Env;
use braid_wal::{EncodedRecord, Log, LogOptions, Lsn};

use super::change::{Change, ChangedTable};
use super::change_set::ChangeSet;
use super::names::Names;
use super::place::{decode_position, encode_position};
use crate::core::{Anchor, CONSUMERS, NAMES, TABLES, timestamp};
use crate::error::{Error, Result};
use crate::record::{self, Change as Row, encode_change, kind};

/// What a feed makes of a commit with this payload.
fn read(payload: &[u8], names: &mut Names) -> Result<Option<Vec<Change>>> {
    let env = Env::in_memory();
    let (log, mut appender) = Log::create(&env, Path::new("/log"), [7; 16], LogOptions::default())
        .map_err(|error| Error::from_log(error, "a test"))?;
    let mut record = record::of_kind(kind::COMMIT, payload);
    while appender.append(&mut record, 5).is_err() {
        log.prepare(record.size()).unwrap();
    }
    log.sync_now().unwrap();
    let mut reader = log.history().reader(Lsn::FIRST);
    assert_eq!(reader.advance().unwrap().unwrap().tag, 5);
    let payload = reader.payload().unwrap();
    ChangeSet::new(timestamp(5), payload, names, None)?.map(Iterator::collect).transpose()
}

/// A table's id, a key, and a value or a deletion.
type Written<'a> = (u32, &'a [u8], Option<&'a [u8]>);

fn payload(rows: &[Written<'_>]) -> Vec<u8> {
    let mut record = EncodedRecord::new();
    for &(table, key, value) in rows {
        encode_change(&mut record, Row { table: TableId(table), key, value });
    }
    record.payload().to_vec()
}

fn table(id: u32, name: &str) -> ChangedTable {
    ChangedTable { id, name: Some(Arc::from(name)) }
}

#[test]
fn notes_tell_what_became_of_a_table() {
    let id = |id: u32, note: &[u8]| [&id.to_be_bytes(), note].concat();
    let mut names = Names::default();
    let (a, b, c, d) = (id(16, b""), id(17, b""), id(18, b""), id(19, b""));
    let made = payload(&[
        (NAMES.0, b"a", Some(&16_u32.to_le_bytes())),
        (TABLES.0, &a, Some(b"a")),
        (TABLES.0, &id(16, &[1]), None),
        (TABLES.0, &b, Some(b"b")),
        (TABLES.0, &id(17, &[2]), None),
        (TABLES.0, &c, None),
        (TABLES.0, &id(18, b"\x03old"), None),
        // Made and dropped at once: never seen.
        (TABLES.0, &d, None),
        (TABLES.0, &id(19, &[1]), None),
        (TABLES.0, &id(19, b"\x03gone"), None),
        (CONSUMERS.0, b"c", Some(b"?")),
        (16, b"k", Some(b"v")),
    ]);
    let put = Change::Put { table: table(16, "a"), key: b"k".to_vec(), value: b"v".to_vec() };
    let expected =
        [Change::Create(table(16, "a")), Change::Load(table(17, "b")), Change::Drop(table(18, "old")), put];
    assert_eq!(read(&made, &mut names).unwrap().unwrap(), expected);

    let renamed = payload(&[
        (NAMES.0, b"a", None),
        (TABLES.0, &a, Some(b"z")),
        (TABLES.0, &id(16, b"\x04a"), None),
        (16, b"k", None),
    ]);
    let expected = [
        Change::Rename { table: table(16, "z"), from: Some(Arc::from("a")) },
        Change::Delete { table: table(16, "z"), key: b"k".to_vec() },
    ];
    assert_eq!(read(&renamed, &mut names).unwrap().unwrap(), expected);
    // Away and back.
    let same = payload(&[(TABLES.0, &a, Some(b"z")), (TABLES.0, &id(16, b"\x04z"), None)]);
    assert_eq!(read(&same, &mut names).unwrap(), None, "nothing has changed");
    // By the name that it had before, and without what was written to it before.
    let dropped = payload(&[
        (TABLES.0, &a, None),
        (TABLES.0, &id(16, b"\x03y"), None),
        (TABLES.0, &id(16, b"\x04z"), None),
        (16, b"k", Some(b"v")),
    ]);
    assert_eq!(read(&dropped, &mut names).unwrap().unwrap(), [Change::Drop(table(16, "z"))]);

    for quiet in [payload(&[]), payload(&[(CONSUMERS.0, b"c", Some(b"?")), (3, b"x", None)])] {
        assert_eq!(read(&quiet, &mut names).unwrap(), None, "nothing of a user's");
    }
}

#[test]
fn what_is_malformed_is_an_error() {
    let whole = payload(&[
        (TABLES.0, &16_u32.to_be_bytes(), Some(b"name")),
        (16, b"key", Some(&[7; 300])),
        (17, b"key", None),
    ]);
    let whole_rows = |cut: usize| read(&whole[..cut], &mut Names::default());
    for cut in 0..whole.len() {
        assert!(
            !matches!(whole_rows(cut), Err(error) if !matches!(error, Error::Corrupt(_))),
            "cut at {cut}"
        );
    }
    let no_text = payload(&[(TABLES.0, &16_u32.to_be_bytes(), Some(&[0xff]))]);
    assert!(matches!(read(&no_text, &mut Names::default()), Err(Error::Corrupt(_))));
    // A length beyond the record, in one that is held and in one that is read in pieces.
    for filler in [0, 300_000] {
        let mut long = payload(&[(16, b"a", Some(&vec![1; filler]))]);
        long.extend([16, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, b'k']);
        assert!(matches!(read(&long, &mut Names::default()), Err(Error::Corrupt(_))));
    }
}

#[test]
fn long_transactions_come_in_pieces_and_whole() {
    let values: Vec<Vec<u8>> = (0..60_usize).map(|row| vec![row.to_le_bytes()[0]; row * 997]).collect();
    let keys: Vec<[u8; 2]> = (0..60_u16).map(u16::to_be_bytes).collect();
    let rows: Vec<_> =
        keys.iter().zip(&values).map(|(key, value)| (20, &key[..], Some(&value[..]))).collect();
    let payload = payload(&rows);
    assert!(payload.len() > 1 << 20);
    let changes = read(&payload, &mut Names::default()).unwrap().unwrap();
    let expected = keys.iter().zip(&values).map(|(key, value)| Change::Put {
        table: ChangedTable { id: 20, name: None },
        key: key.to_vec(),
        value: value.clone(),
    });
    assert!(changes.into_iter().eq(expected));
}

#[test]
fn positions_survive_the_round_trip_and_nothing_else_is_one() {
    let position = Anchor { timestamp: timestamp(77), lsn: Lsn::new(1 << 40) };
    let bytes = encode_position(position);
    assert_eq!(decode_position(&bytes), Some(position));
    for cut in 0..bytes.len() {
        assert_eq!(decode_position(&bytes[..cut]), None);
    }
    assert_eq!(decode_position(&[&bytes[..], &[0]].concat()), None);
    assert_eq!(decode_position(&[2; 17]), None, "a version that is not known");
    let mut beyond = bytes;
    beyond[1..9].fill(0xff);
    assert_eq!(
        decode_position(&beyond),
        Timestamp::new(u64::MAX).map(|timestamp| Anchor { timestamp, ..position })
    );
}

//! Random transactions on sibling handles, with a row store so small that it is sealed and folded all the time: what
//! every one of them read is what a replay of the commits in their order gives.

use std::sync::atomic::{AtomicU64, Ordering};

use braid::{
    Admission, Database, Durability, Isolation, JournalMode, Options, Result, Snapshot, Table, Transaction,
    TransactionOptions,
};
use braid_tests::{
    Blame, History, Kind, Op, Outcome, Place, Record, Rows, assert_clean, contents, scale, together,
};
use fastrand::Rng;

const KEYS: u64 = 48;
/// There is only one.
const TABLE: usize = 0;

fn random_key(rng: &mut Rng) -> Vec<u8> {
    format!("key {:02}", rng.u64(0..KEYS)).into_bytes()
}

fn random_value(rng: &mut Rng) -> Vec<u8> {
    let length = if rng.u8(0..20) == 0 { rng.usize(1000..9000) } else { rng.usize(8..80) };
    let mut bytes = rng.u64(..).to_be_bytes().to_vec();
    bytes.resize(length, b'.');
    bytes
}

fn read(snapshot: &Snapshot, table: &Table, rng: &mut Rng) -> Result<Op> {
    Ok(match rng.u8(0..10) {
        0..5 => {
            let key = random_key(rng);
            let found = snapshot.get(table, &key)?;
            Op::Get { table: TABLE, key, found }
        }
        5 => Op::Count { table: TABLE, found: snapshot.count(table)? },
        _ => {
            let (from, to) = (random_key(rng), random_key(rng));
            let (from, to) = if from <= to { (from, to) } else { (to, from) };
            let (backwards, limit) = (rng.bool(), rng.usize(1..30));
            let range = snapshot.range(table, from.clone()..to.clone())?;
            let found = if backwards {
                range.rev().take(limit).collect::<Result<Vec<_>>>()?
            } else {
                range.take(limit).collect::<Result<Vec<_>>>()?
            };
            Op::Range { table: TABLE, from, to, backwards, limit, found }
        }
    })
}

fn write(tx: &mut Transaction, table: &Table, rng: &mut Rng) -> Result<Op> {
    Ok(match rng.u8(0..20) {
        0..11 => {
            let (key, value) = (random_key(rng), random_value(rng));
            tx.put(table, &key, &value)?;
            Op::Put { table: TABLE, key, value }
        }
        11..14 => {
            let (key, bytes) = (random_key(rng), vec![rng.u8(..); 3]);
            tx.append(table, &key, &bytes)?;
            Op::Append { table: TABLE, key, bytes }
        }
        14..19 => {
            let key = random_key(rng);
            tx.delete(table, &key)?;
            Op::Delete { table: TABLE, key }
        }
        _ => {
            let first = rng.u64(0..KEYS);
            let (from, to) =
                (format!("key {first:02}").into_bytes(), format!("key {:02}", first + 3).into_bytes());
            let removed = tx.delete_range(table, from.clone()..to.clone())?;
            Op::DeleteRange { table: TABLE, from, to, removed }
        }
    })
}

/// One random transaction from begin to end.
fn transaction(db: &Database, table: &Table, options: TransactionOptions, rng: &mut Rng) -> Result<Record> {
    let (isolation, durability) = (options.isolation, options.durability.unwrap_or_default());
    let mut tx = db.begin_with(options)?;
    let begin_ts = Some(tx.timestamp().get());
    let kind = if tx.is_exclusive() { Kind::Exclusive } else { Kind::Concurrent };
    let mut ops = Vec::new();
    for _ in 0..rng.usize(1..8) {
        if rng.u8(0..8) == 0 {
            ops.push(Op::Untracked(Box::new(read(&tx.untracked(), table, rng)?)));
        } else if rng.bool() {
            ops.push(read(&tx, table, rng)?);
        } else {
            ops.push(write(&mut tx, table, rng)?);
        }
    }
    let mut record = Record {
        session: 0,
        kind,
        isolation,
        durability,
        begin_ts,
        outcome: Outcome::Aborted,
        ops,
        times: None,
    };
    if rng.u8(0..10) == 0 {
        tx.rollback();
        return Ok(record);
    }
    record.outcome = match tx.commit() {
        Ok(commit) => Outcome::Committed(record.writes().then(|| commit.timestamp.get())),
        Err(error) if error.is_retryable() => Outcome::Lost(error.conflict().and_then(|conflict| {
            let row = (TABLE, conflict.key.clone()?);
            Some(Blame { kind: conflict.kind, row, winner_ts: conflict.winner_ts?.get() })
        })),
        Err(error) => return Err(error),
    };
    Ok(record)
}

fn one_step(db: &Database, table: &Table, isolation: Isolation, rng: &mut Rng) -> Result<Record> {
    let durability = Some(if rng.u8(0..8) == 0 { Durability::Sync } else { Durability::Deferred });
    match rng.u8(0..20) {
        0..3 => {
            let snapshot = db.snapshot()?;
            let ops = (0..rng.usize(1..6)).map(|_| read(&snapshot, table, rng)).collect::<Result<_>>()?;
            let begin_ts = Some(snapshot.timestamp().get());
            Ok(Record {
                session: 0,
                kind: Kind::Snapshot,
                isolation,
                durability: Durability::Deferred,
                begin_ts,
                outcome: Outcome::Aborted,
                ops,
                times: None,
            })
        }
        3 => {
            let (key, value) = (random_key(rng), random_value(rng));
            let outcome = db.put(table, &key, &value);
            one_statement(outcome, Op::Put { table: TABLE, key, value })
        }
        4 => {
            let key = random_key(rng);
            let outcome = db.delete(table, &key);
            one_statement(outcome, Op::Delete { table: TABLE, key })
        }
        5 => {
            let admission = Admission::Immediate;
            let options = TransactionOptions { admission, isolation, durability, ..Default::default() };
            let record = transaction(db, table, options, rng)?;
            let lost = matches!(record.outcome, Outcome::Lost(_));
            assert!(!lost, "an exclusive transaction cannot lose: {record:?}");
            Ok(record)
        }
        _ => {
            let admission = Admission::Concurrent;
            transaction(
                db,
                table,
                TransactionOptions { admission, isolation, durability, ..Default::default() },
                rng,
            )
        }
    }
}

fn one_statement(outcome: Result<braid::Commit>, op: Op) -> Result<Record> {
    // A one-statement write may lose a race too; then it wrote nothing.
    let (outcome, ops) = match outcome {
        Ok(commit) => (Outcome::Committed(Some(commit.timestamp.get())), vec![op]),
        Err(error) if error.is_retryable() => (Outcome::Lost(None), Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(Record {
        session: 0,
        kind: Kind::OneStatement,
        isolation: Isolation::Snapshot,
        durability: Durability::Sync,
        begin_ts: None,
        outcome,
        ops,
        times: None,
    })
}

/// Each transaction runs at one of the levels.
fn workload(levels: &[Isolation], threads: usize, steps: u64, options: &Options, seed: u64) -> Result<()> {
    let place = Place::new();
    let db = place.open_mvcc(options.clone())?;
    let table = db.table("rows")?;
    let acknowledged = AtomicU64::new(0);
    let records = together(threads, |thread| -> Result<Vec<Record>> {
        let mut rng = Rng::with_seed(seed.wrapping_mul(1000) + thread as u64);
        let sibling = Database::open_with(place.path(), options.clone())?;
        let mut records = Vec::new();
        for step in 0..steps {
            let before = acknowledged.load(Ordering::SeqCst);
            let isolation = levels[rng.usize(0..levels.len())];
            let record = one_step(&sibling, &table, isolation, &mut rng)?;
            if let Some(begin_ts) = record.begin_ts {
                assert!(
                    begin_ts >= before,
                    "a snapshot at {begin_ts} misses the acknowledged commit at {before}"
                );
            }
            if let Some(commit_ts) = record.commit_ts() {
                acknowledged.fetch_max(commit_ts, Ordering::SeqCst);
            }
            records.push(record);
            if thread == 0 && step % 97 == 0 {
                sibling.checkpoint()?;
            }
        }
        Ok(records)
    })?;
    let records: Vec<Record> = records.into_iter().flatten().collect();
    let commits = records.iter().filter(|record| record.commit_ts().is_some()).count();
    let losses = records.iter().filter(|record| matches!(record.outcome, Outcome::Lost(Some(_)))).count();
    let verdict =
        History::of(records).check().unwrap_or_else(|violation| panic!("seed {seed}: {}", violation.0));
    assert!(commits > 0 && losses > 0, "the workload commits ({commits}) and conflicts ({losses})");
    let found = |db: &Database, table: &Table| -> Result<Rows> {
        Ok(contents(&db.snapshot()?, table)?.into_iter().map(|(key, value)| ((TABLE, key), value)).collect())
    };
    assert_eq!(found(&db, &table)?, verdict.rows, "the rows at the end, seed {seed}");
    assert_clean(&db)?;
    assert!(db.stats().checkpoints.count > 0, "generations were folded meanwhile");

    drop(db);
    let reopened = place.open_with(options.clone())?;
    assert_eq!(reopened.journal_mode(), JournalMode::Mvcc);
    let table = reopened.table("rows")?;
    assert_eq!(found(&reopened, &table)?, verdict.rows, "the rows after a reopen, seed {seed}");
    assert_clean(&reopened)
}

fn small() -> Options {
    Options {
        row_store_bytes: 64 << 10,
        cache_bytes: 64 << 10,
        log_segment_bytes: 64 << 10,
        log_bytes: 256 << 10,
        page_bytes: 512,
        ..Options::default()
    }
}

#[test]
fn under_snapshot_with_a_tiny_row_store() -> Result<()> {
    workload(&[Isolation::Snapshot], 6, 600 * scale(), &small(), 1)
}

#[test]
fn under_snapshot_with_the_usual_sizes() -> Result<()> {
    workload(&[Isolation::Snapshot], 6, 400 * scale(), &Options::default(), 2)
}

#[test]
fn under_serializable_with_a_tiny_row_store() -> Result<()> {
    workload(&[Isolation::Serializable], 6, 400 * scale(), &small(), 3)
}

#[test]
fn under_serializable_with_the_usual_sizes() -> Result<()> {
    workload(&[Isolation::Serializable], 6, 300 * scale(), &Options::default(), 4)
}

#[test]
fn under_both_levels_with_a_tiny_row_store() -> Result<()> {
    workload(&[Isolation::Snapshot, Isolation::Serializable], 6, 400 * scale(), &small(), 5)
}

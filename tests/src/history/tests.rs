//! A checker that finds nothing proves nothing: each rule is shown a history that breaks it, next to one that does not.

use braid::{ConflictKind, Durability, Isolation};

use super::*;

mod ids;
mod objects;

fn put(key: &str, value: &str) -> Op {
    Op::Put { table: 0, key: key.into(), value: value.into() }
}

fn get(key: &str, found: Option<&str>) -> Op {
    Op::Get { table: 0, key: key.into(), found: found.map(Into::into) }
}

fn range(found: &[(&str, &str)]) -> Op {
    Op::Range {
        table: 0,
        from: b"a".to_vec(),
        to: b"z".to_vec(),
        backwards: false,
        limit: 9,
        found: found.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
    }
}

fn record(begin_ts: u64, commit_ts: Option<u64>, ops: Vec<Op>) -> Record {
    Record {
        session: 0,
        kind: Kind::Concurrent,
        isolation: Isolation::Snapshot,
        durability: Durability::Sync,
        begin_ts: Some(begin_ts),
        outcome: commit_ts.map_or(Outcome::Aborted, |ts| Outcome::Committed(Some(ts))),
        ops,
        times: None,
    }
}

fn serializable(record: Record) -> Record {
    Record { isolation: Isolation::Serializable, ..record }
}

fn at(record: Record, times: [u64; 4]) -> Record {
    let [invoked, begun, committing, ended] = times;
    Record { times: Some(Times { invoked, begun, committing, ended }), ..record }
}

fn check(records: Vec<Record>) -> Result<Verdict, Violation> {
    History::of(records).check()
}

/// Says that the first is a fine history and the second is not, for a reason in these words.
#[track_caller]
fn bites(fine: Vec<Record>, broken: Vec<Record>, why: &str) {
    if let Err(violation) = check(fine) {
        panic!("{}", violation.0);
    }
    let violation = check(broken).expect_err("the checker misses it");
    assert!(violation.0.contains(why), "{}", violation.0);
}

const OTHER_ANSWER: &str = "has another answer";

#[test]
fn a_serial_history_passes() {
    let verdict = check(vec![
        record(0, Some(1), vec![get("a", None), put("a", "1"), get("a", Some("1"))]),
        record(1, Some(2), vec![get("a", Some("1")), put("a", "2"), Op::Count { table: 0, found: 1 }]),
        record(1, None, vec![get("a", Some("1"))]),
    ]);
    let rows = Rows::from([((0, b"a".to_vec()), b"2".to_vec())]);
    assert_eq!(verdict, Ok(Verdict { rows, ends: vec![2] }));
}

#[test]
fn tables_are_told_apart() {
    let other = Op::Put { table: 1, key: b"a".to_vec(), value: b"9".to_vec() };
    let fine = vec![record(0, Some(1), vec![other.clone()]), record(1, None, vec![get("a", None)])];
    let broken = vec![record(0, Some(1), vec![other]), record(1, None, vec![get("a", Some("9"))])];
    bites(fine, broken, OTHER_ANSWER);
}

#[test]
fn a_lost_update_is_found() {
    let first = record(0, Some(1), vec![put("a", "1")]);
    bites(
        vec![first.clone(), record(1, Some(2), vec![put("a", "2")])],
        vec![first, record(0, Some(2), vec![put("a", "2")])],
        "lost update",
    );
}

#[test]
fn a_stale_read_is_found() {
    let first = record(0, Some(1), vec![put("a", "1")]);
    bites(
        vec![first.clone(), record(0, None, vec![get("a", None)])],
        vec![first, record(1, None, vec![get("a", None)])],
        OTHER_ANSWER,
    );
}

#[test]
fn a_dirty_write_is_found() {
    // G0: the rows of two commits interleave.
    let one = record(0, Some(1), vec![put("a", "1"), put("b", "1")]);
    let two = record(1, Some(2), vec![put("a", "2"), put("b", "2")]);
    let end = |b| record(2, None, vec![get("a", Some("2")), get("b", Some(b))]);
    bites(vec![one.clone(), two.clone(), end("2")], vec![one, two, end("1")], OTHER_ANSWER);
}

#[test]
fn an_aborted_read_is_found() {
    // G1a
    let aborted = record(0, None, vec![put("a", "1")]);
    let reads = |found| record(0, Some(1), vec![get("a", found), put("b", "1")]);
    bites(vec![aborted.clone(), reads(None)], vec![aborted, reads(Some("1"))], OTHER_ANSWER);
}

#[test]
fn an_intermediate_read_is_found() {
    // G1b
    let writer = record(0, Some(1), vec![put("a", "1"), put("a", "2")]);
    let reads = |found| record(1, None, vec![get("a", Some(found))]);
    bites(vec![writer.clone(), reads("2")], vec![writer, reads("1")], OTHER_ANSWER);
}

#[test]
fn a_circular_flow_is_found() {
    // G1c
    let one = |found| record(0, Some(1), vec![put("a", "1"), get("b", found)]);
    let two = |found| record(0, Some(2), vec![put("b", "1"), get("a", found)]);
    bites(vec![one(None), two(None)], vec![one(Some("1")), two(Some("1"))], OTHER_ANSWER);
}

#[test]
fn a_long_fork_is_found() {
    let writers = [record(0, Some(1), vec![put("a", "1")]), record(0, Some(2), vec![put("b", "1")])];
    let reads = |begin_ts, a, b| record(begin_ts, None, vec![get("a", a), get("b", b)]);
    let mut fine = writers.to_vec();
    fine.extend([reads(1, Some("1"), None), reads(2, Some("1"), Some("1"))]);
    let mut broken = writers.to_vec();
    broken.extend([reads(1, Some("1"), None), reads(2, None, Some("1"))]);
    bites(fine, broken, OTHER_ANSWER);
}

#[test]
fn a_phantom_is_found() {
    let first = record(0, Some(1), vec![put("b", "1")]);
    bites(
        vec![first.clone(), record(1, None, vec![range(&[("b", "1")])])],
        vec![first.clone(), record(0, None, vec![range(&[("b", "1")])])],
        OTHER_ANSWER,
    );
    // Under Serializable the range must have stayed empty until the commit.
    let reader = |at| serializable(record(0, Some(at), vec![range(&[]), put("zz", "1")]));
    let writer = |at| serializable(record(0, Some(at), vec![put("b", "1")]));
    bites(vec![reader(1), writer(2)], vec![writer(1), reader(2)], OTHER_ANSWER);
}

#[test]
fn write_skew_is_found_among_serializable_transactions_only() {
    let one = record(0, Some(1), vec![get("b", None), put("a", "1")]);
    let two = record(0, Some(2), vec![get("a", None), put("b", "1")]);
    bites(vec![one.clone(), two.clone()], vec![serializable(one), serializable(two)], OTHER_ANSWER);
}

#[test]
fn a_commit_beside_an_exclusive_transaction_is_found() {
    let other = record(0, Some(1), vec![put("a", "1")]);
    let beside = record(0, Some(2), vec![get("a", None), put("b", "1")]);
    let exclusive = Record { kind: Kind::Exclusive, ..beside.clone() };
    bites(vec![other.clone(), beside], vec![other, exclusive], OTHER_ANSWER);
}

#[test]
fn a_reused_timestamp_is_found() {
    let one = record(0, Some(1), vec![put("a", "1")]);
    bites(
        vec![one.clone(), record(0, Some(2), vec![put("b", "1")])],
        vec![one.clone(), record(0, Some(1), vec![put("b", "1")])],
        "two commits at 1",
    );
    bites(vec![one], vec![record(1, Some(1), vec![put("b", "1")])], "before its snapshot");
}

#[test]
fn a_wrong_winner_is_found() {
    let winner = || record(0, Some(1), vec![put("a", "1")]);
    let lost = |kind, key: &str, winner_ts| {
        let blame = Blame { kind, row: (0, key.into()), winner_ts };
        Record { outcome: Outcome::Lost(Some(blame)), ..record(0, None, vec![put("a", "2"), get("c", None)]) }
    };
    let write = ConflictKind::WriteWrite;
    let broken = [
        (lost(write, "a", 2), "nobody wrote"),
        (lost(write, "b", 1), "nobody wrote"),
        (Record { begin_ts: Some(1), ..lost(write, "a", 1) }, "after it began"),
        (Record { kind: Kind::Exclusive, ..lost(write, "a", 1) }, "an exclusive transaction has lost"),
        // It read nothing that was written, and under Snapshot that would not matter.
        (lost(ConflictKind::ReadWrite, "a", 1), "never touched"),
        (serializable(lost(ConflictKind::ReadWrite, "a", 1)), "never touched"),
    ];
    for (loser, why) in broken {
        bites(vec![winner(), lost(write, "a", 1)], vec![winner(), loser], why);
    }
}

#[test]
fn who_begins_after_an_answer_must_see_it() {
    let writer = at(record(0, Some(1), vec![put("a", "1")]), [1, 2, 3, 4]);
    let reader = |begin_ts, found, times| at(record(begin_ts, None, vec![get("a", found)]), times);
    let later = [5, 6, 7, 8];
    let beside = [2, 6, 7, 8];
    bites(
        vec![writer.clone(), reader(1, Some("1"), later), reader(0, None, beside)],
        vec![writer.clone(), reader(0, None, later)],
        "misses 1",
    );
    // Without a snapshot it is the place in the history that must lie behind.
    let statement = |commit_ts, key: &str| {
        let statement = record(0, Some(commit_ts), vec![put(key, "2")]);
        Record { kind: Kind::OneStatement, begin_ts: None, ..statement }
    };
    let writer = Record { outcome: Outcome::Committed(Some(5)), ..writer };
    bites(
        vec![writer.clone(), at(statement(6, "b"), [5, 5, 5, 6])],
        vec![writer, at(statement(4, "b"), [5, 5, 5, 6])],
        "lies before 5",
    );
}

#[test]
fn nobody_sees_what_is_not_asked_for_yet() {
    let writer = at(record(0, Some(3), vec![put("a", "1")]), [1, 2, 7, 8]);
    let reader = |begin_ts| at(record(begin_ts, None, Vec::new()), [3, 4, 5, 6]);
    bites(vec![writer.clone(), reader(2)], vec![writer, reader(3)], "lies before 3");
}

/// A life of a few commits, each of which puts its timestamp into a row of its own, and what is found after it.
fn life(commits: &[(u64, Durability, bool)], end: End, found: &[u64]) -> Life {
    let records = commits.iter().map(|&(ts, durability, acknowledged)| {
        let outcome = if acknowledged { Outcome::Committed(Some(ts)) } else { Outcome::Unknown(ts) };
        Record { durability, outcome, ..record(ts - 1, None, vec![put(&ts.to_string(), "1")]) }
    });
    let rows = found.iter().map(|ts| ((0, ts.to_string().into_bytes()), b"1".to_vec())).collect();
    Life { end, found: Some(rows), ..Life::of(records.collect()) }
}

fn stands(lives: Vec<Life>) -> Result<Vec<u64>, String> {
    History { lives }.check().map(|verdict| verdict.ends).map_err(|violation| violation.0)
}

const SYNC: Durability = Durability::Sync;
const DEFERRED: Durability = Durability::Deferred;
const KILLED: End = End::Killed(u64::MAX);

#[test]
fn an_acknowledged_commit_that_a_crash_takes_is_found() {
    let commits = [(1, SYNC, true), (2, DEFERRED, true), (3, SYNC, false)];
    let left = |end, found: &[u64]| stands(vec![life(&commits, end, found)]);
    for found in [&[1][..], &[1, 2], &[1, 2, 3]] {
        assert_eq!(left(End::PowerCut, found), Ok(vec![found.len() as u64]), "what is deferred may go");
    }
    assert!(left(End::PowerCut, &[]).is_err_and(|why| why.contains("1 was promised")));
    assert_eq!(left(KILLED, &[1, 2]), Ok(vec![2]));
    assert!(
        left(KILLED, &[1]).is_err_and(|why| why.contains("2 was promised")),
        "a kill takes no answer back"
    );
    assert!(left(End::PowerCut, &[1, 3]).is_err_and(|why| why.contains("not the one after any commit")));
    assert!(
        left(End::PowerCut, &[1, 2, 3, 4]).is_err_and(|why| why.contains("not the one after any commit"))
    );
}

#[test]
fn what_was_synced_or_seen_by_a_snapshot_stays() {
    let commits = [(1, DEFERRED, true), (2, SYNC, false), (3, DEFERRED, true)];
    let synced = |synced| stands(vec![Life { synced, ..life(&commits, End::PowerCut, &[]) }]);
    assert_eq!(
        synced(0).map_err(|why| why.contains("2 was promised")),
        Err(true),
        "3 was told of, and 2 is durable"
    );
    let commits = [(1, DEFERRED, true), (2, SYNC, false)];
    let left = |reader: Option<Record>, synced| {
        let mut life = life(&commits, End::PowerCut, &[]);
        life.records.extend(reader);
        stands(vec![Life { synced, ..life }])
    };
    assert_eq!(left(None, 0), Ok(vec![0]));
    assert!(left(None, 1).is_err_and(|why| why.contains("1 was promised")), "an explicit sync is a promise");
    let snapshot = Record { kind: Kind::Snapshot, ..record(2, None, vec![get("2", Some("1"))]) };
    assert!(left(Some(snapshot), 0).is_err_and(|why| why.contains("2 was promised")), "a snapshot saw it");
}

#[test]
fn what_a_dead_process_says_promises_nothing() {
    let mut life = life(&[(1, SYNC, true), (2, DEFERRED, true)], End::Killed(10), &[1]);
    life.records[0] = at(life.records[0].clone(), [1, 2, 3, 4]);
    for (ended, fine) in [(9, false), (11, true)] {
        life.records[1] = at(life.records[1].clone(), [5, 6, 7, ended]);
        assert_eq!(stands(vec![life.clone()]).is_ok(), fine, "an answer at {ended}");
    }
}

#[test]
fn a_history_goes_on_with_what_stands() {
    let first = life(&[(1, SYNC, true), (2, DEFERRED, true)], End::PowerCut, &[1]);
    let next = |begin_ts, commit_ts, found| {
        let mut lives = vec![first.clone()];
        lives.push(Life::of(vec![record(begin_ts, Some(commit_ts), vec![get("2", found), put("x", "1")])]));
        stands(lives)
    };
    assert_eq!(next(8, 9, None), Ok(vec![1, 9]));
    assert!(
        next(8, 9, Some("1")).is_err_and(|why| why.contains(OTHER_ANSWER)),
        "a lost commit is seen again"
    );
    assert!(next(1, 2, None).is_err_and(|why| why.contains("issued again")), "its timestamp is taken");
    assert!(next(0, 9, None).is_err_and(|why| why.contains("misses 1")), "it misses what was recovered");
}

#[test]
fn appends_are_made_of_what_is_there_at_their_commit() {
    let append = |key: &str, bytes: &str| Op::Append { table: 0, key: key.into(), bytes: bytes.into() };
    let both = |read: Op| {
        vec![
            record(0, Some(1), vec![put("a", "1")]),
            record(1, Some(2), vec![append("a", "2")]),
            record(1, Some(3), vec![append("a", "3")]),
            record(3, None, vec![read]),
        ]
    };
    bites(both(get("a", Some("123"))), both(get("a", Some("13"))), "has another answer");
    let looked = |begin_ts, found| {
        vec![
            record(0, Some(1), vec![put("a", "1")]),
            record(1, Some(2), vec![append("a", "2")]),
            record(begin_ts, Some(3), vec![append("a", "3"), get("a", Some(found))]),
        ]
    };
    bites(looked(2, "123"), looked(1, "13"), "lost update");
}

//! Tables that come and go, tokens, savepoints, numbers and feeds.

use super::*;

fn name(name: &str, id: u32) -> Op {
    Op::Put { table: NAMES, key: name.into(), value: id.to_be_bytes().to_vec() }
}

fn unname(name: &str) -> Op {
    Op::Delete { table: NAMES, key: name.into() }
}

fn into(id: u32, key: &str, value: &str) -> Op {
    Op::Put { table: made_table(id), key: key.into(), value: value.into() }
}

fn from(id: u32, key: &str, found: Option<&str>) -> Op {
    Op::Get { table: made_table(id), key: key.into(), found: found.map(Into::into) }
}

#[test]
fn a_dropped_table_takes_its_rows_along() {
    let history = |found| {
        vec![
            record(0, Some(1), vec![name("t", 7), into(7, "a", "1")]),
            record(1, Some(2), vec![unname("t")]),
            record(1, None, vec![from(7, "a", Some("1"))]),
            record(2, None, vec![from(7, "a", found)]),
        ]
    };
    bites(history(None), history(Some("1")), OTHER_ANSWER);
    let both = vec![name("t", 7), into(7, "a", "1"), unname("t")];
    let rows = check(vec![record(0, Some(1), both)]).expect("it is a fine history").rows;
    assert_eq!(rows, Rows::new(), "made and dropped by one");
}

#[test]
fn who_wrote_to_a_table_that_was_changed_does_not_commit() {
    for change in [vec![unname("t")], vec![unname("t"), name("u", 7)]] {
        let history = |begin_ts, id| {
            vec![
                record(0, Some(1), vec![name("t", 7), name("other", 8)]),
                record(1, Some(2), change.clone()),
                record(begin_ts, Some(3), vec![into(id, "a", "1")]),
            ]
        };
        bites(history(1, 8), history(1, 7), "which was changed");
    }
}

#[test]
fn a_token_is_committed_once() {
    let token = |key: &str| vec![Op::Token { token: key.into() }, put(key, "1")];
    let history = |second| vec![record(0, Some(1), token("a")), record(1, Some(2), token(second))];
    bites(
        history("b"),
        vec![record(0, Some(1), token("a")), record(1, Some(2), token("a"))],
        "committed before",
    );
    let asked = |key: &str, ts| {
        let mut life = Life::of(vec![record(0, Some(1), token("a"))]);
        life.answers.push((key.into(), ts, 0));
        stands(vec![life])
    };
    assert_eq!(asked("a", 1), Ok(vec![1]));
    assert!(asked("a", 2).is_err() && asked("b", 1).is_err());
}

#[test]
fn a_token_that_a_crash_takes_is_found() {
    let tokened = |ts: u64| {
        let token = Op::Token { token: b"t".to_vec() };
        Record { durability: DEFERRED, ..record(ts - 1, Some(ts), vec![token, put("a", "1")]) }
    };
    let row = ((0, b"a".to_vec()), b"1".to_vec());
    let token = ((TOKENS, b"t".to_vec()), 1_u64.to_be_bytes().to_vec());
    let left = |found: &[(Row, Vec<u8>)]| {
        let found = Some(found.iter().cloned().collect());
        stands(vec![Life { end: End::PowerCut, found, ..Life::of(vec![tokened(1)]) }])
    };
    assert_eq!(left(&[row.clone(), token.clone()]), Ok(vec![1]));
    assert_eq!(left(&[]), Ok(vec![0]));
    assert!(left(&[row]).is_err() && left(&[token]).is_err(), "half of a commit");
}

#[test]
fn what_was_taken_back_was_never_written() {
    let writer = |back: bool| {
        let mut ops = vec![put("a", "1"), Op::Savepoint, put("a", "2"), put("b", "2"), get("a", Some("2"))];
        ops.push(if back { Op::TakenBack } else { Op::Released });
        ops.push(get("a", Some(if back { "1" } else { "2" })));
        record(0, Some(1), ops)
    };
    let reader = |a, b| record(1, None, vec![get("a", Some(a)), get("b", b)]);
    bites(vec![writer(true), reader("1", None)], vec![writer(true), reader("2", Some("2"))], OTHER_ANSWER);
    bites(vec![writer(false), reader("2", Some("2"))], vec![writer(false), reader("1", None)], OTHER_ANSWER);
}

#[test]
fn numbers_are_made_of_what_is_there_at_their_commit() {
    let change = |change| vec![Op::Number { table: 0, key: b"n".to_vec(), change }];
    let history = |found: i64| {
        let found = Some(found.to_le_bytes().to_vec());
        vec![
            record(0, Some(1), change(Number::Add(5))),
            record(0, Some(2), change(Number::Add(-2))),
            record(0, Some(3), change(Number::Max(2))),
            record(0, Some(4), change(Number::Min(9))),
            record(4, None, vec![Op::Get { table: 0, key: b"n".to_vec(), found }]),
        ]
    };
    bites(history(3), history(-2), OTHER_ANSWER);
}

fn set(key: &str, value: Option<&str>) -> Set {
    let rows = [((0, key.into()), value.map(Into::into))].into();
    Set { rows, ..Set::default() }
}

fn told(through: u64, sets: Vec<(u64, Set)>) -> Result<Vec<u64>, String> {
    let delete = Op::Delete { table: 0, key: b"a".to_vec() };
    let mut life = Life::of(vec![
        record(0, Some(2), vec![put("a", "0"), put("a", "1")]),
        record(2, Some(3), vec![Op::Token { token: b"t".to_vec() }]),
        record(3, Some(5), vec![delete]),
    ]);
    life.told.push(Told { after: 0, through, sets, when: 0 });
    stands(vec![life])
}

#[test]
fn a_feed_gives_each_commit_once_and_in_order() {
    let (first, last) = ((2, set("a", Some("1"))), (5, set("a", None)));
    assert_eq!(told(9, vec![first.clone(), last.clone()]), Ok(vec![5]), "a token is nothing of a user's");
    assert_eq!(told(4, vec![first.clone()]), Ok(vec![5]));
    let finds = |through, sets, why: &str| {
        let found = told(through, sets).expect_err("the checker misses it");
        assert!(found.contains(why), "{found}");
    };
    finds(5, vec![first.clone()], "passes over 5");
    finds(9, vec![last.clone()], "passes over 2");
    finds(9, vec![first.clone(), first.clone(), last.clone()], "gives 2 after 2");
    finds(9, vec![last.clone(), first.clone()], "passes over 2");
    finds(4, vec![first.clone(), last.clone()], "gives 5 after 2");
    finds(9, vec![(2, set("a", Some("0"))), last.clone()], "instead of");
    finds(9, vec![first.clone(), (3, set("b", None)), last.clone()], "instead of");
    finds(9, vec![first, (4, set("b", None)), last], "nobody committed");
}

#[test]
fn a_feed_tells_of_tables_as_they_are_after_the_commit() {
    let mut life = Life::of(vec![
        record(0, Some(1), vec![name("t", 7), into(7, "a", "1")]),
        record(1, Some(2), vec![unname("t"), name("u", 7)]),
        record(2, Some(3), vec![into(7, "b", "1"), unname("u")]),
        record(3, Some(4), vec![name("t", 8), unname("t")]),
    ]);
    let row = ((made_table(7), b"a".to_vec()), Some(b"1".to_vec()));
    let named = |name: Option<&str>| [(7, name.map(|name| name.as_bytes().to_vec()))].into();
    let sets = vec![
        (1, Set { rows: [row].into(), names: named(Some("t")) }),
        (2, Set { names: named(Some("u")), ..Set::default() }),
        (3, Set { names: named(None), ..Set::default() }),
    ];
    life.told.push(Told { after: 0, through: 4, sets, when: 0 });
    assert_eq!(stands(vec![life.clone()]), Ok(vec![4]));
    life.told[0].sets[1].1.names = named(Some("t"));
    assert!(stands(vec![life]).is_err());
}

#[test]
fn what_a_feed_gave_no_crash_takes_back() {
    let deferred =
        |ts| Record { durability: DEFERRED, ..record(ts - 1, Some(ts), vec![put("a", &ts.to_string())]) };
    let left = |end, when| {
        let mut life = Life::of(vec![deferred(1), deferred(2)]);
        life.told.push(Told { after: 0, through: 1, sets: vec![(1, set("a", Some("1")))], when });
        // Nobody else was told of anything.
        for record in &mut life.records {
            record.outcome = Outcome::Unknown(record.commit_ts().unwrap_or(0));
        }
        stands(vec![Life { end, found: Some(Rows::new()), ..life }])
    };
    assert!(left(End::PowerCut, 3).is_err_and(|why| why.contains("1 was promised")));
    assert!(left(End::Killed(5), 3).is_err());
    assert_eq!(left(End::Killed(5), 6), Ok(vec![0]), "it was dead");
}

/// The delete of a row that is not there leaves nothing but its record in the log, which a power cut may take.
#[test]
fn of_a_commit_that_left_no_row_a_feed_may_tell_after_a_crash_or_not() {
    let delete = Op::Delete { table: 0, key: b"none".to_vec() };
    let first = Life {
        end: End::PowerCut,
        found: Some([((0, b"a".to_vec()), b"1".to_vec())].into()),
        ..Life::of(vec![
            record(0, Some(1), vec![put("a", "1")]),
            Record { durability: DEFERRED, ..record(1, Some(2), vec![delete]) },
        ])
    };
    let told = |behind: Option<Set>| {
        let sets = [(1, set("a", Some("1")))].into_iter().chain(behind.map(|set| (2, set))).collect();
        let mut next = Life::of(Vec::new());
        next.told.push(Told { after: 0, through: 2, sets, when: 0 });
        stands(vec![first.clone(), next])
    };
    assert_eq!(told(None), Ok(vec![1, 1]));
    assert_eq!(told(Some(set("none", None))), Ok(vec![1, 1]));
    assert!(told(Some(set("other", None))).is_err_and(|why| why.contains("instead of")));
}

/// Each is held to the level that it asked for, whichever those beside it have.
#[test]
fn levels_are_told_apart_within_a_history() {
    let skew = |one: fn(Record) -> Record, other: fn(Record) -> Record| {
        vec![
            one(record(0, Some(1), vec![get("a", None), put("b", "1")])),
            other(record(0, Some(2), vec![get("b", None), put("a", "1")])),
        ]
    };
    let snapshot = |record| record;
    bites(skew(serializable, snapshot), skew(snapshot, serializable), OTHER_ANSWER);
    bites(skew(snapshot, snapshot), skew(serializable, serializable), OTHER_ANSWER);
}

#[test]
fn an_untracked_read_is_of_the_snapshot_and_of_nothing_else() {
    let untracked = |op: Op| Op::Untracked(Box::new(op));
    let history = |read: Op, kind| {
        let reader = serializable(record(1, Some(3), vec![read, put("b", "1")]));
        vec![
            record(0, Some(1), vec![put("a", "1")]),
            record(1, Some(2), vec![put("a", "2")]),
            Record { kind, ..reader },
        ]
    };
    let read = |found| get("a", Some(found));
    for (read, found_then, found_now) in
        [(read as fn(&'static str) -> Op, "1", "2"), (|found| range(&[("a", found)]), "1", "2")]
    {
        let fine = || history(untracked(read(found_then)), Kind::Concurrent);
        bites(fine(), history(read(found_then), Kind::Concurrent), OTHER_ANSWER);
        bites(fine(), history(untracked(read(found_now)), Kind::Concurrent), OTHER_ANSWER);
        // Nobody commits beside an exclusive one.
        bites(fine(), history(untracked(read(found_then)), Kind::Exclusive), OTHER_ANSWER);
    }
}

#[test]
fn nobody_loses_for_what_is_not_tracked() {
    let loser = |read: Op| {
        let blame = Blame { kind: ConflictKind::ReadWrite, row: (0, b"a".to_vec()), winner_ts: 1 };
        let outcome = Outcome::Lost(Some(blame));
        let loser = serializable(record(0, None, vec![read, put("b", "1")]));
        vec![record(0, Some(1), vec![put("a", "1")]), Record { outcome, ..loser }]
    };
    let untracked = Op::Untracked(Box::new(get("a", None)));
    bites(loser(get("a", None)), loser(untracked), "never touched");
}

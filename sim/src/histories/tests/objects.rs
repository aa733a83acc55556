//! Numbers, tables that come and go, and their rows: each telling is shown what it must refuse, next to what it must
//! not.

use braid_tests::{NAMES, Number, made_table};

use super::elements::{END, NUMBERS};
use super::*;

const T: u32 = 7;

fn change(key: &str, change: Number) -> Op {
    Op::Number { table: NUMBERS, key: key.into(), change }
}

/// Adds a bit to a sum; odd ones count down.
fn add(sum: u8, bit: u8) -> Op {
    let one = 1 << bit;
    change(&format!("sum {sum:04}"), Number::Add(if sum.is_multiple_of(2) { one } else { -one }))
}

/// Finds these bits in a sum.
fn sum(sum: u8, bits: &[u8]) -> Op {
    let found: i64 = bits.iter().map(|bit| 1 << bit).sum();
    let found = if sum.is_multiple_of(2) { found } else { -found };
    number(&format!("sum {sum:04}"), (!bits.is_empty()).then_some(found))
}

fn number(key: &str, found: Option<i64>) -> Op {
    let found = found.map(|found| found.to_le_bytes().to_vec());
    Op::Get { table: NUMBERS, key: key.into(), found }
}

fn untracked(op: Op) -> Op {
    Op::Untracked(Box::new(op))
}

fn find(name: &str, id: Option<u32>) -> Op {
    Op::Get { table: NAMES, key: name.into(), found: id.map(|id| id.to_be_bytes().to_vec()) }
}

fn name(name: &str, id: Option<u32>) -> Op {
    match id {
        Some(id) => Op::Put { table: NAMES, key: name.into(), value: id.to_be_bytes().to_vec() },
        None => Op::Delete { table: NAMES, key: name.into() },
    }
}

fn put(row: u8, value: u8) -> Op {
    Op::Put { table: made_table(T), key: elements::made_key(row), value: vec![value] }
}

fn delete(row: u8) -> Op {
    Op::Delete { table: made_table(T), key: elements::made_key(row) }
}

fn row(row: u8, found: Option<u8>) -> Op {
    let found = found.map(|value| vec![value]);
    Op::Get { table: made_table(T), key: elements::made_key(row), found }
}

fn scan(found: &[(u8, u8)]) -> Op {
    let found = found.iter().map(|(row, value)| (elements::made_key(*row), vec![*value])).collect();
    let (from, to) = (Vec::new(), END.to_vec());
    Op::Range { table: made_table(T), from, to, backwards: false, limit: usize::MAX, found }
}

/// What one did between two ticks, on a snapshot of this moment.
fn tx(values: Elements, (invoked, ended): (u64, u64), begin_ts: u64, ops: &[Op]) -> Tx {
    let mut tx = Tx::new(values, invoked, ended);
    tx.record.begin_ts = Some(begin_ts);
    tx.record.ops = ops.to_vec();
    tx
}

/// Makes a transaction between two ticks, on a snapshot of a moment.
type Make<'a> = &'a dyn Fn((u64, u64), u64, &[Op]) -> Tx;

/// The first of each is fine, the second shows an anomaly of this name; at both levels, beside lists and registers.
#[track_caller]
fn bites(history: impl Fn(Make<'_>, bool) -> Vec<Record>, anomaly: &str) {
    for values in BOTH {
        let of = |times: (u64, u64), begin_ts: u64, ops: &[Op]| tx(values, times, begin_ts, ops);
        passes(values, &history(&of, false));
        shows(values, &history(&of, true), anomaly);
    }
}

#[test]
fn lost_additions_are_found() {
    for which in [0, 1] {
        bites(
            |tx, lost| {
                let found: &[u8] = if lost { &[0, 2] } else { &[0, 1, 2] };
                vec![
                    tx((1, 2), 0, &[add(which, 0)]).at(1),
                    tx((3, 9), 1, &[add(which, 1)]).at(2),
                    tx((4, 9), 1, &[add(which, 2)]).at(3),
                    tx((10, 11), 3, &[sum(which, found)]).reads(),
                ]
            },
            "realtime",
        );
    }
}

#[test]
fn additions_that_were_taken_back_or_that_nobody_made_are_found() {
    let taken_back = [Op::Savepoint, add(0, 4), Op::TakenBack, add(0, 5)];
    bites(
        |tx, seen| {
            let found: &[u8] = if seen { &[4, 5] } else { &[5] };
            vec![tx((1, 2), 0, &taken_back).at(1), tx((3, 4), 1, &[sum(0, found)]).reads()]
        },
        "G1a",
    );
    bites(
        |tx, seen| {
            let found: &[u8] = if seen { &[1] } else { &[] };
            vec![
                tx((1, 2), 0, &[add(0, 1)]).aborts(),
                tx((1, 2), 0, &[add(2, 1)]).at(1),
                tx((3, 4), 1, &[sum(0, found), sum(2, &[1])]).reads(),
            ]
        },
        "G1a",
    );
    bites(
        |tx, half| {
            let found: &[u8] = if half { &[0] } else { &[0, 1] };
            vec![tx((1, 9), 0, &[add(0, 0), add(0, 1)]).at(1), tx((2, 9), 1, &[sum(0, found)]).reads()]
        },
        "G1b",
    );
}

#[test]
fn half_of_a_commit_is_found_in_sums() {
    bites(
        |tx, half| {
            let found: &[u8] = if half { &[] } else { &[3] };
            vec![
                tx((1, 9), 0, &[add(0, 3), add(1, 3)]).at(1),
                tx((2, 9), 1, &[sum(0, &[3]), sum(1, found)]).reads(),
            ]
        },
        "G-single-item",
    );
}

#[test]
fn who_looked_at_a_sum_loses_no_update_of_it() {
    let history = |tx: Make<'_>, looks: &[Op]| {
        let with = |bit| [looks, &[add(0, bit)]].concat();
        vec![
            tx((1, 2), 0, &[add(0, 0)]).at(1),
            tx((3, 9), 1, &with(1)).at(2),
            tx((4, 9), 1, &with(2)).at(3),
            tx((10, 11), 3, &[sum(0, &[0, 1, 2])]).reads(),
        ]
    };
    let looks = |looked: bool| if looked { vec![sum(0, &[0])] } else { vec![] };
    bites(|tx, looked| history(tx, &looks(looked)), "lost-update");
    // Also where something else is updated blindly beside it.
    bites(
        |tx, looked| {
            let blind = add(2, if looked { 8 } else { 9 });
            let mut records = history(tx, &looks(looked));
            records[2].ops.push(blind);
            records
        },
        "lost-update",
    );
    for values in BOTH {
        let of = |times: (u64, u64), begin_ts: u64, ops: &[Op]| tx(values, times, begin_ts, ops);
        passes(values, &history(&of, &[untracked(sum(0, &[0]))]));
    }
}

#[test]
fn lost_and_overtaken_raises_are_told_apart() {
    for (key, of) in [("highest 0000", 1), ("lowest 0000", -1)] {
        let to = |number: i64| change(key, if of > 0 { Number::Max(number) } else { Number::Min(-number) });
        let found = |found: i64| number(key, Some(of * found));
        // Whoever has less to say than what is there changes nothing.
        bites(
            |tx, wrong| {
                vec![
                    tx((1, 2), 0, &[to(9)]).at(1),
                    tx((3, 4), 1, &[to(5)]).at(2),
                    tx((5, 6), 2, &[found(if wrong { 5 } else { 9 })]).reads(),
                ]
            },
            "G1a",
        );
        bites(
            |tx, lost| {
                vec![
                    tx((1, 2), 0, &[to(5)]).at(1),
                    tx((3, 4), 1, &[to(9)]).at(2),
                    tx((5, 6), 2, &[found(if lost { 5 } else { 9 })]).reads(),
                ]
            },
            "realtime",
        );
        bites(
            |tx, aborted| {
                let raise = tx((3, 4), 1, &[to(9)]);
                vec![
                    tx((1, 2), 0, &[to(5)]).at(1),
                    if aborted { raise.aborts() } else { raise.unknown(2) },
                    tx((5, 6), 2, &[found(9)]).reads(),
                ]
            },
            "G1a",
        );
        bites(
            |tx, half| {
                let sees: &[u8] = if half { &[] } else { &[1] };
                vec![
                    tx((1, 9), 0, &[to(5), add(0, 1)]).at(1),
                    tx((2, 9), 1, &[found(5), sum(0, sees)]).reads(),
                ]
            },
            "G-single-item",
        );
    }
}

#[test]
fn stale_and_aborted_names_are_found() {
    bites(
        |tx, stale| {
            vec![
                tx((1, 2), 0, &[find("one", None), name("one", Some(T))]).at(1),
                tx((3, 4), 1, &[find("one", (!stale).then_some(T))]).reads(),
            ]
        },
        "realtime",
    );
    bites(
        |tx, aborted| {
            let makes = tx((1, 2), 0, &[find("one", None), name("one", Some(T))]);
            vec![
                if aborted { makes.aborts() } else { makes.at(1) },
                tx((3, 4), 1, &[find("one", Some(T)), find("other", None)]).reads(),
            ]
        },
        "G1a",
    );
    // By each drop nothing is left: who finds that has seen the newest one that it may have seen.
    bites(
        |tx, stale| {
            vec![
                tx((1, 2), 0, &[find("one", None), name("one", Some(T))]).at(1),
                tx((3, 4), 1, &[find("one", Some(T)), name("one", None)]).at(2),
                tx((5, 6), 2, &[find("one", stale.then_some(T))]).reads(),
            ]
        },
        "realtime",
    );
    let rename = |from, to| [find(from, Some(T)), find(to, None), name(from, None), name(to, Some(T))];
    bites(
        |tx, stale| {
            vec![
                tx((1, 2), 0, &[find("one", None), name("one", Some(T))]).at(1),
                tx((3, 4), 1, &rename("one", "other")).at(2),
                tx((5, 6), 2, &rename("other", "one")).at(3),
                tx((7, 8), 3, &[find(if stale { "other" } else { "one" }, Some(T))]).reads(),
            ]
        },
        "realtime",
    );
}

#[test]
fn of_two_who_make_a_table_of_one_name_one_does() {
    bites(
        |tx, both| {
            let other = if both { "one" } else { "other" };
            vec![
                tx((1, 9), 0, &[find("one", None), name("one", Some(T))]).at(1),
                tx((2, 9), 0, &[find(other, None), name(other, Some(8))]).at(2),
            ]
        },
        "lost-update",
    );
}

#[test]
fn half_of_a_commit_is_found_in_a_name() {
    bites(
        |tx, half| {
            let sees: &[u8] = if half { &[] } else { &[1] };
            vec![
                tx((1, 9), 0, &[find("one", None), name("one", Some(T)), add(0, 1)]).at(1),
                tx((2, 9), 1, &[find("one", Some(T)), sum(0, sees)]).reads(),
            ]
        },
        "G-single-item",
    );
    // A change of a name and back is none.
    for values in BOTH {
        let there_and_back = [
            find("one", None),
            name("one", Some(T)),
            find("one", Some(T)),
            name("one", None),
            find("one", None),
            add(0, 1),
        ];
        let reader = [find("one", None), sum(0, &[1])];
        passes(
            values,
            &[tx(values, (1, 2), 0, &there_and_back).at(1), tx(values, (3, 4), 1, &reader).reads()],
        );
    }
}

/// What one does with a table that another drops meanwhile, who would have seen it do so if it had come first.
fn beside_a_drop(values: Elements, level: fn(Tx) -> Tx, uses: &[Op], changes: &[Op]) -> Result<(), String> {
    let user = [&[find("one", Some(T))], uses, &[add(0, 1)]].concat();
    let dropper = [&[sum(0, &[])], changes].concat();
    let makes = [find("one", None), name("one", Some(T)), put(0, 1)];
    let history = vec![
        tx(values, (1, 2), 0, &makes).at(1),
        level(tx(values, (3, 9), 1, &user)).at(3),
        tx(values, (4, 9), 1, &dropper).serializable().at(2),
        tx(values, (10, 11), 3, &[sum(0, &[1])]).reads(),
    ];
    as_they_are(vec![history], &[ALL], values).map(drop)
}

#[test]
fn who_used_a_table_that_was_changed_does_not_commit() {
    let drops = [find("one", Some(T)), name("one", None)];
    let renames = [find("one", Some(T)), find("other", None), name("one", None), name("other", Some(T))];
    let back = [&renames[..], &[name("other", None), name("one", Some(T))]].concat();
    for values in BOTH {
        for level in [|tx| tx, Tx::serializable] {
            for uses in [vec![put(0, 2)], vec![delete(3)], vec![row(0, Some(1))], vec![scan(&[(0, 1)])]] {
                for changes in [&drops[..], &renames] {
                    let why = beside_a_drop(values, level, &uses, changes).expect_err("adya misses it");
                    assert!(why.contains("not strict-serializable") && why.contains("G2-item"), "{why}");
                }
                assert_eq!(beside_a_drop(values, level, &uses, &back), Ok(()), "there and back");
                assert_eq!(beside_a_drop(values, level, &uses, &[add(2, 1)]), Ok(()), "it changes another");
            }
        }
        let taken_back = vec![Op::Savepoint, put(0, 2), row(0, Some(2)), Op::TakenBack];
        for no_use in [vec![], taken_back, vec![untracked(row(0, Some(1)))]] {
            assert_eq!(beside_a_drop(values, |tx| tx, &no_use, &drops), Ok(()), "{no_use:?}");
        }
    }
}

/// Also where nobody has asked for more than snapshots: what is updated blindly comes after who came after the drop.
#[test]
fn who_used_a_table_comes_before_its_drop() {
    for values in BOTH {
        let history = |uses: &[Op]| {
            let user = [&[find("one", Some(T))], uses, &[add(0, 1)]].concat();
            vec![
                tx(values, (1, 2), 0, &[find("one", None), name("one", Some(T))]).at(1),
                tx(values, (3, 9), 1, &user).at(4),
                tx(values, (4, 5), 1, &[find("one", Some(T)), name("one", None)]).at(2),
                tx(values, (6, 7), 2, &[add(0, 2)]).at(3),
                tx(values, (10, 11), 4, &[sum(0, &[1, 2])]).reads(),
            ]
        };
        let not_used = check(vec![history(&[])], &[ALL], Isolation::Snapshot, values);
        assert_eq!(not_used, Ok(()));
        shows(values, &history(&[put(0, 1)]), "G-single-item");
    }
}

#[test]
fn rows_of_tables_that_come_and_go_are_told() {
    let made = [find("one", None), name("one", Some(T)), put(0, 1)];
    let reader = |read: Op| [find("one", Some(T)), read];
    for (right, wrong) in [
        (row(0, Some(1)), row(0, None)),
        (scan(&[(0, 1)]), scan(&[])),
        (untracked(row(0, Some(1))), untracked(row(0, None))),
    ] {
        bites(
            |tx, stale| {
                let read = if stale { &wrong } else { &right };
                vec![tx((1, 2), 0, &made).at(1), tx((3, 4), 1, &reader(read.clone())).reads()]
            },
            "G-single-item",
        );
    }
    bites(
        |tx, aborted| {
            let writes = tx((3, 4), 1, &[find("one", Some(T)), put(0, 2)]);
            vec![
                tx((1, 2), 0, &made).at(1),
                if aborted { writes.aborts() } else { writes.at(2) },
                tx((5, 6), 2, &reader(row(0, Some(2)))).reads(),
            ]
        },
        "G1a",
    );
    // Its own writes on top, and what is left of them.
    bites(
        |tx, wrong| {
            let own = [
                find("one", Some(T)),
                put(0, 2),
                row(0, Some(if wrong { 1 } else { 2 })),
                Op::Savepoint,
                delete(0),
                row(0, None),
                Op::TakenBack,
                row(0, Some(2)),
            ];
            vec![tx((1, 2), 0, &made).at(1), tx((3, 4), 1, &own).at(2)]
        },
        "internal",
    );
}

/// What a crash took is nobody's any more, and what was overtaken by it is not.
#[test]
fn what_a_crash_takes_of_objects_is_gone() {
    let to = |number| change("highest 0000", Number::Max(number));
    for values in BOTH {
        for isolation in LEVELS {
            let lives = |highest, id| {
                let reader = [number("highest 0000", Some(highest)), find("one", id)];
                vec![
                    vec![
                        tx(values, (1, 2), 0, &[to(3)]).at(1),
                        tx(values, (3, 4), 1, &[to(9), find("one", None), name("one", Some(T))]).at(2),
                    ],
                    vec![tx(values, (5, 6), 1, &[to(5)]).at(7), tx(values, (7, 8), 7, &reader).reads()],
                ]
            };
            let check = |lives, end| check(lives, &[end, ALL], isolation, values);
            assert_eq!(check(lives(5, None), 1), Ok(()));
            assert_eq!(check(lives(9, Some(T)), 2), Ok(()));
            for (highest, id) in [(9, None), (5, Some(T))] {
                let why = check(lives(highest, id), 1).expect_err("adya misses it");
                assert!(why.contains("G1a"), "{why}");
                assert!(check(lives(highest, id), 2).is_err(), "half of it");
            }
        }
    }
}

//! The workload passes both checkers; and adya, told by us what happened, finds what is planted.

use braid::vfs::Env;
use braid::{Durability, Isolation};
use braid_tests::{End, History, Kind, Life, Op, Outcome, Record, Times, Verdict};

use super::elements::{self, ELEMENTS};
use super::*;

mod objects;

#[test]
fn random_histories_pass_both_checkers() {
    let mut figures = Figures::default();
    for seed in 0..16 {
        let plan = Plan::of(seed, 150);
        let played = play(&plan, &Env::with_files);
        figures += judge(&plan, &played).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    assert!(figures.transactions > 400 && figures.crashes > 5 && figures.busy > 0, "{figures:?}");
    assert!(figures.mixed > 0 && figures.transactions < figures.replayed, "{figures:?}");
}

fn lists(elements: &[u32]) -> Vec<u8> {
    elements.iter().fold(Vec::new(), |list, element| elements::appended(Some(&list), *element))
}

fn bytes(values: Elements, value: &[u32]) -> Vec<u8> {
    match values {
        Elements::Lists => lists(value),
        Elements::Registers => elements::register(*value.last().expect("a register has a value"), 3),
    }
}

/// A transaction between two ticks.
struct Tx {
    values: Elements,
    record: Record,
}

impl Tx {
    fn new(values: Elements, invoked: u64, ended: u64) -> Self {
        let times = Times { invoked, begun: invoked, committing: ended, ended };
        let record = Record {
            session: usize::try_from(invoked).expect("ticks are small"),
            kind: Kind::Concurrent,
            isolation: Isolation::Snapshot,
            durability: Durability::Sync,
            begin_ts: Some(0),
            outcome: Outcome::Committed(None),
            ops: Vec::new(),
            times: Some(times),
        };
        Self { values, record }
    }

    /// Reads an element; of a list all, of a register the last.
    fn read(mut self, key: u64, found: &[u32]) -> Self {
        let found = (!found.is_empty()).then(|| bytes(self.values, found));
        self.record.ops.push(Op::Get { table: ELEMENTS, key: elements::key(key), found });
        self
    }

    /// Writes an element, so that it holds all this; its last is what is new.
    fn write(mut self, key: u64, value: &[u32]) -> Self {
        let value = bytes(self.values, value);
        self.record.ops.push(Op::Put { table: ELEMENTS, key: elements::key(key), value });
        self
    }

    /// Appends to a list without a look at it.
    fn append(mut self, key: u64, element: u32) -> Self {
        let (key, bytes) = (elements::key(key), lists(&[element]));
        self.record.ops.push(Op::Append { table: ELEMENTS, key, bytes });
        self
    }

    fn op(mut self, op: Op) -> Self {
        self.record.ops.push(op);
        self
    }

    /// Makes an untracked read of the last.
    fn untracked(mut self) -> Self {
        let read = self.record.ops.pop().expect("it has read something");
        self.op(Op::Untracked(Box::new(read)))
    }

    fn serializable(mut self) -> Self {
        self.record.isolation = Isolation::Serializable;
        self
    }

    fn at(self, commit_ts: u64) -> Record {
        Record { outcome: Outcome::Committed(Some(commit_ts)), ..self.record }
    }

    fn unknown(self, commit_ts: u64) -> Record {
        Record { outcome: Outcome::Unknown(commit_ts), ..self.record }
    }

    fn reads(self) -> Record {
        self.record
    }

    fn aborts(self) -> Record {
        Record { outcome: Outcome::Aborted, ..self.record }
    }
}

fn check(
    lives: Vec<Vec<Record>>,
    ends: &[u64],
    isolation: Isolation,
    values: Elements,
) -> Result<(), String> {
    let at_level =
        |life: Vec<Record>| life.into_iter().map(|record| Record { isolation, ..record }).collect();
    as_they_are(lives.into_iter().map(at_level).collect(), ends, values).map(drop)
}

/// The same at the levels that the transactions have.
fn as_they_are(lives: Vec<Vec<Record>>, ends: &[u64], values: Elements) -> Result<u64, String> {
    let history = History { lives: lives.into_iter().map(Life::of).collect() };
    let verdict = Verdict { rows: std::collections::BTreeMap::new(), ends: ends.to_vec() };
    check_by_adya(&history, &verdict, values)
}

const ALL: u64 = u64::MAX;
const BOTH: [Elements; 2] = [Elements::Lists, Elements::Registers];
const LEVELS: [Isolation; 2] = [Isolation::Snapshot, Isolation::Serializable];

/// Says that a history shows this anomaly, whichever level was asked for.
#[track_caller]
fn shows(values: Elements, records: &[Record], anomaly: &str) {
    for isolation in LEVELS {
        let why = check(vec![records.to_vec()], &[ALL], isolation, values).expect_err("adya misses it");
        assert!(why.contains(anomaly), "{why}");
    }
}

#[track_caller]
fn passes(values: Elements, records: &[Record]) {
    for isolation in LEVELS {
        assert_eq!(check(vec![records.to_vec()], &[ALL], isolation, values), Ok(()), "{isolation:?}");
    }
}

#[test]
fn dirty_writes_are_found() {
    let tx = |invoked, ended| Tx::new(Elements::Lists, invoked, ended);
    let [one, two] = [tx(1, 9).write(0, &[1]).write(1, &[1]), tx(2, 9).write(0, &[1, 2]).write(1, &[2])];
    let (one, two) = (one.at(1), two.at(2));
    let end = |y: &[u32]| tx(10, 11).read(0, &[1, 2]).read(1, y).reads();
    passes(Elements::Lists, &[one.clone(), two.clone(), end(&[1, 2])]);
    shows(Elements::Lists, &[one, two, end(&[2, 1])], "G0");
}

#[test]
fn aborted_reads_are_found() {
    for values in BOTH {
        let aborted = Tx::new(values, 1, 2).write(0, &[1]).aborts();
        let other = Tx::new(values, 1, 9).write(1, &[7]).at(1);
        let reader = |found: &[u32]| Tx::new(values, 3, 4).read(0, found).read(1, &[7]).reads();
        passes(values, &[aborted.clone(), other.clone(), reader(&[])]);
        shows(values, &[aborted, other, reader(&[1])], "G1a");
    }
}

#[test]
fn intermediate_reads_are_found() {
    for values in BOTH {
        let writer = Tx::new(values, 1, 2).write(0, &[1]).write(0, &[1, 2]).at(1);
        let reader = |found: &[u32]| Tx::new(values, 3, 4).read(0, found).reads();
        passes(values, &[writer.clone(), reader(&[1, 2])]);
        shows(values, &[writer, reader(&[1])], "G1b");
    }
}

#[test]
fn circular_flows_are_found() {
    for values in BOTH {
        let one = |found: &[u32]| Tx::new(values, 1, 9).write(0, &[1]).read(1, found).at(1);
        let two = |found: &[u32]| Tx::new(values, 2, 9).write(1, &[2]).read(0, found).at(2);
        passes(values, &[one(&[]), two(&[1])]);
        shows(values, &[one(&[2]), two(&[1])], "G1c");
    }
}

#[test]
fn lost_updates_are_found() {
    for values in BOTH {
        let base = Tx::new(values, 1, 2).write(0, &[1]).at(1);
        let one = Tx::new(values, 3, 9).read(0, &[1]).write(0, &[1, 2]).at(2);
        let two = Tx::new(values, 4, 9).read(0, &[1]).write(0, &[1, 3]).at(3);
        passes(values, &[base.clone(), one.clone()]);
        shows(values, &[base, one, two], "lost-update");
    }
}

#[test]
fn write_skew_is_found_among_serializable_transactions_only() {
    for values in BOTH {
        let skew = vec![
            Tx::new(values, 1, 9).read(0, &[]).read(1, &[]).write(0, &[1]).at(1),
            Tx::new(values, 2, 9).read(0, &[]).read(1, &[]).write(1, &[2]).at(2),
        ];
        assert_eq!(check(vec![skew.clone()], &[ALL], Isolation::Snapshot, values), Ok(()));
        let why = check(vec![skew], &[ALL], Isolation::Serializable, values).expect_err("adya misses it");
        assert!(why.contains("G2-item"), "{why}");
    }
}

#[test]
fn long_forks_are_found() {
    for values in BOTH {
        let reader =
            |invoked, x: &[u32], y: &[u32]| Tx::new(values, invoked, 9).read(0, x).read(1, y).reads();
        let mut history = vec![
            Tx::new(values, 1, 9).write(0, &[1]).at(1),
            Tx::new(values, 2, 9).write(1, &[2]).at(2),
            reader(3, &[1], &[]),
        ];
        passes(values, &history);
        history.push(reader(4, &[], &[2]));
        shows(values, &history, "G-nonadjacent");
    }
}

#[test]
fn stale_reads_are_found() {
    for values in BOTH {
        let writer = Tx::new(values, 1, 2).write(0, &[1]).at(1);
        let reader = |invoked, found: &[u32]| Tx::new(values, invoked, 9).read(0, found).reads();
        passes(values, &[writer.clone(), reader(1, &[]), reader(3, &[1])]);
        shows(values, &[writer, reader(3, &[])], "realtime");
    }
}

#[test]
fn a_commit_that_a_crash_takes_is_found() {
    for values in BOTH {
        let life = |record: Record| vec![vec![record, Tx::new(values, 1, 2).read(0, &[]).reads()]];
        let history = |committed: Record, found: &[u32]| {
            let mut lives = life(committed);
            lives.push(vec![
                Tx::new(values, 5, 6).write(1, &[8]).at(9),
                Tx::new(values, 7, 8).read(0, found).reads(),
            ]);
            lives
        };
        let kept = || Tx::new(values, 3, 4).write(0, &[1]).at(1);
        let unknown = || Tx::new(values, 3, 4).write(0, &[1]).unknown(1);
        for isolation in LEVELS {
            let check = |lives, end| check(lives, &[end, ALL], isolation, values);
            assert_eq!(check(history(kept(), &[1]), 1), Ok(()));
            let why = check(history(kept(), &[]), 1).expect_err("adya misses it");
            assert!(why.contains("realtime"), "{why}");
            // In doubt: there, or not; and once it was not there, never again.
            assert_eq!(check(history(unknown(), &[1]), 1), Ok(()));
            assert_eq!(check(history(unknown(), &[]), 0), Ok(()));
            assert_eq!(check(history(kept(), &[]), 0), Ok(()), "a deferred commit may go");
            let why = check(history(kept(), &[1]), 0).expect_err("adya misses it");
            assert!(why.contains("G1a"), "{why}");
        }
    }
}

#[test]
fn what_a_crash_took_is_checked_with_those_who_saw_it() {
    for values in BOTH {
        let life = |found: &[u32]| {
            let writer = Tx::new(values, 1, 2).write(0, &[1]).at(5);
            let reader = Tx::new(values, 3, 4).read(0, found).reads();
            vec![writer, Record { begin_ts: Some(5), ..reader }]
        };
        for isolation in LEVELS {
            assert_eq!(check(vec![life(&[1])], &[0], isolation, values), Ok(()));
            let why = check(vec![life(&[])], &[0], isolation, values).expect_err("adya misses it");
            assert!(why.contains("before crash 0"), "{why}");
        }
    }
}

#[test]
fn what_a_dead_process_says_nobody_hears() {
    let values = Elements::Lists;
    let lives = |died, isolation| {
        let mut life = Life::of(vec![
            Tx::new(values, 1, 2).write(0, &[1]).at(1),
            Tx::new(values, 3, 9).write(0, &[1, 2]).at(2),
        ]);
        life.end = End::Killed(died);
        let next = Life::of(vec![Tx::new(values, 10, 11).read(0, &[1]).write(1, &[9]).at(7)]);
        let mut lives = vec![life, next];
        lives.iter_mut().flat_map(|life| &mut life.records).for_each(|record| record.isolation = isolation);
        History { lives }
    };
    let verdict = Verdict { rows: std::collections::BTreeMap::new(), ends: vec![2, ALL] };
    for isolation in LEVELS {
        assert!(check_by_adya(&lives(5, isolation), &verdict, values).is_ok());
        assert!(check_by_adya(&lives(ALL, isolation), &verdict, values).is_err(), "it was alive");
    }
}

/// Each level is judged by what it promises, also beside the other: the only cycle of these three goes through a read
/// that the first one answers for if it is serializable.
#[test]
fn a_serializable_one_is_held_to_its_word_beside_others() {
    for values in BOTH {
        let history = |serializable: bool, tracked: bool| {
            let one = Tx::new(values, 1, 9).read(0, &[]);
            let one = if tracked { one } else { one.untracked() }.write(1, &[2]);
            let one = if serializable { one.serializable() } else { one };
            let beside = Tx::new(values, 2, 3).read(2, &[]).write(0, &[1]).at(1);
            let other = Tx::new(values, 6, 7).serializable().write(3, &[3]).at(3);
            let reader = Tx::new(values, 4, 5).read(0, &[1]).read(1, &[]).reads();
            as_they_are(vec![vec![one.at(2), beside, reader, other]], &[ALL], values)
        };
        assert_eq!(history(false, true), Ok(4), "a snapshot's level does not promise it");
        assert_eq!(history(true, false), Ok(4), "nor is it promised of what is not tracked");
        let why = history(true, true).expect_err("adya misses it");
        assert!(why.contains("not strict-serializable") && why.contains("G2-item"), "{why}");
    }
}

#[test]
fn untracked_reads_are_of_the_snapshot() {
    for values in BOTH {
        let history = |invoked, found: &[u32]| {
            let writer = Tx::new(values, 1, 2).serializable().write(0, &[1]).at(1);
            let reader = Tx::new(values, invoked, 9).serializable().read(0, found).untracked().write(1, &[5]);
            as_they_are(vec![vec![writer, reader.at(2)]], &[ALL], values)
        };
        assert_eq!((history(1, &[]), history(3, &[1])), (Ok(2), Ok(2)));
        let why = history(3, &[]).expect_err("adya misses it");
        assert!(why.contains("not strong-snapshot-isolation") && why.contains("realtime"), "{why}");
    }
}

#[test]
fn lost_and_reordered_appends_are_found() {
    let tx = |invoked, ended| Tx::new(Elements::Lists, invoked, ended);
    let history = |one: &[u32], other: &[u32]| {
        vec![
            tx(1, 2).append(0, 1).at(1),
            tx(3, 9).append(0, 2).append(1, 7).at(2),
            tx(3, 9).append(0, 3).append(1, 8).at(3),
            tx(10, 11).read(0, one).read(1, other).reads(),
        ]
    };
    passes(Elements::Lists, &history(&[1, 2, 3], &[7, 8]));
    passes(Elements::Lists, &history(&[1, 3, 2], &[8, 7]));
    shows(Elements::Lists, &history(&[1, 3], &[8, 7]), "G-single-item");
    shows(Elements::Lists, &history(&[2, 1, 3], &[7, 8]), "realtime");
    shows(Elements::Lists, &history(&[1, 2, 3], &[8, 7]), "G0");
    shows(Elements::Lists, &history(&[1, 2, 2, 3], &[7, 8]), "duplicate-elements");
}

/// What is appended blindly comes after whatever was committed meanwhile, and what is read beside it is the snapshot's.
#[test]
fn reads_beside_an_append_are_of_the_snapshot() {
    let tx = |invoked, ended| Tx::new(Elements::Lists, invoked, ended);
    let with = |looks: fn(Tx) -> Tx, level: fn(Tx) -> Tx, found: &[u32], other: &[u32]| {
        let one = looks(tx(1, 9).read(0, found).append(1, 3));
        let history = vec![
            level(one).at(3),
            tx(2, 3).append(0, 1).append(2, 1).at(1),
            tx(4, 5).read(0, &[1]).append(1, 2).at(2),
            tx(6, 7).read(2, other).read(1, &[2]).reads(),
            tx(10, 11).read(1, &[2, 3]).reads(),
        ];
        as_they_are(vec![history], &[ALL], Elements::Lists)
    };
    let history = |level, found: &[u32], other: &[u32]| with(|tx| tx, level, found, other);
    assert_eq!(history(|tx| tx, &[], &[1]), Ok(5));
    // Who looks at what it appended has a write, and nobody comes in between.
    let looked = with(|tx| tx.read(1, &[3]), |tx| tx, &[], &[1]);
    assert!(looked.is_err_and(|why| why.contains("incompatible-order")));
    assert!(history(Tx::serializable, &[], &[1]).is_err_and(|why| why.contains("not strict-serializable")));
    assert!(history(|tx| tx, &[], &[]).is_err_and(|why| why.contains("realtime")));
    assert!(history(|tx| tx, &[7], &[1]).is_err(), "nobody appended that");
}

/// A transaction that touches nothing of what adya looks at is none that it has judged.
#[test]
fn only_what_was_told_counts() {
    for values in BOTH {
        let elsewhere = Op::Put { table: elements::ROWS, key: b"a".to_vec(), value: b"1".to_vec() };
        let history = vec![
            Tx::new(values, 1, 2).write(0, &[1]).at(1),
            Tx::new(values, 1, 2).op(elsewhere).at(2),
            Tx::new(values, 1, 2).write(1, &[2]).aborts(),
            Tx::new(values, 3, 4).read(0, &[1]).reads(),
            Tx::new(values, 3, 4).write(0, &[1, 3]).unknown(3),
        ];
        assert_eq!(as_they_are(vec![history], &[ALL], values), Ok(3));
    }
}

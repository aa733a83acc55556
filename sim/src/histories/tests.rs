//! The workload passes both checkers; and adya, told by us what happened, finds what is planted.

use braid::vfs::Env;
use braid::{Durability, Isolation};
use braid_tests::{End, History, Kind, Life, Op, Outcome, Record, Times, Verdict};

use super::elements::{self, ELEMENTS};
use super::*;

#[test]
fn random_histories_pass_both_checkers() {
    let mut figures = Figures::default();
    for seed in 0..16 {
        let plan = Plan::of(seed, 150);
        let played = play(&plan, &Env::with_files);
        if let Err(why) = judge(&plan, &played) {
            panic!("seed {seed}: {why}");
        }
        figures += Figures::of(&played);
    }
    assert!(figures.transactions > 500 && figures.crashes > 5 && figures.busy > 0, "{figures:?}");
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
    let history = History { lives: lives.into_iter().map(Life::of).collect() };
    let verdict = Verdict { rows: std::collections::BTreeMap::new(), ends: ends.to_vec() };
    check_by_adya(&history, &verdict, isolation, values)
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
    let lives = |died| {
        let mut life = Life::of(vec![
            Tx::new(values, 1, 2).write(0, &[1]).at(1),
            Tx::new(values, 3, 9).write(0, &[1, 2]).at(2),
        ]);
        life.end = End::Killed(died);
        let next = Life::of(vec![Tx::new(values, 10, 11).read(0, &[1]).write(1, &[9]).at(7)]);
        History { lives: vec![life, next] }
    };
    let verdict = Verdict { rows: std::collections::BTreeMap::new(), ends: vec![2, ALL] };
    for isolation in LEVELS {
        assert_eq!(check_by_adya(&lives(5), &verdict, isolation, values), Ok(()));
        assert!(check_by_adya(&lives(ALL), &verdict, isolation, values).is_err(), "it was alive");
    }
}

//! A history in the words of the crate `adya`, and its judgement.
//!
//! Adya sees what the sessions saw: the reads and writes of elements, in the order of questions and answers, and which
//! transactions ended well (`ok`), badly (`fail`) or in doubt (`info`). It builds the dependencies between them by itself.
//! Only of registers it is told the commit order, since they hide what they held before.
//!
//! What a power cut took back did happen, and then it did not. So each life that lost something is judged twice: with
//! what was lost as it ended, and in the whole history, where it is `fail`: from then on nobody may see it. Those who only
//! read what was lost are left out there.
//!
//! Transactions of both levels run beside each other, and so a history is told in two ways, each judged by what it
//! promises: whole, for what all see is a snapshot; and without the reads that no commit answers for, those of `Snapshot`
//! writers and untracked ones, for what is left has a serial order.
//!
//! An append without a look is made of what is there at the commit, while the reads beside it are of the snapshot: in the
//! first way such a transaction is two, one that reads and one that writes.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use adya::history::{History as Told, Id, Interner, Mop, Op as Event, OpType, ReadValue, Scalar};
use adya::{Opts, Valid, Workload};
use braid::Isolation;
use braid_tests::{End, History, Kind, Op, Outcome, Record, Verdict};

use super::Elements;
use super::elements::{self, ELEMENTS};

/// Checks what the verdict of the replay leaves to be checked: that the transactions depend on each other as their levels
/// allow, in real time. Says how many adya was told something of, a read or write of an element in an answered transaction
/// or one in doubt.
///
/// # Errors
/// What was found, in words.
pub fn check(history: &History, verdict: &Verdict, elements: Elements) -> Result<u64, String> {
    let mut judged = BTreeSet::new();
    let mut judge = |ends: &[u64], lives: usize| {
        let all = history.lives[..lives].iter().flat_map(|life| &life.records);
        let whole = tell(history, ends, lives, elements, Promise::Snapshots);
        judged.extend(whole.judged.iter().copied());
        if all.clone().all(|record| record.isolation != Isolation::Serializable) {
            return whole.judge(elements);
        }
        // Who has a serial order with everything that was read has read snapshots.
        let serial = tell(history, ends, lives, elements, Promise::SerialOrder);
        if serial.left_out {
            whole.judge(elements)?;
        }
        serial.judge(elements)
    };
    for (life, end) in verdict.ends.iter().enumerate() {
        let lost = history.lives[life].records.iter().filter_map(Record::commit_ts).any(|ts| ts > *end);
        if lost {
            judge(&verdict.ends[..life], life + 1).map_err(|why| format!("before crash {life}: {why}"))?;
        }
    }
    judge(&verdict.ends, history.lives.len())?;
    Ok(judged.len() as u64)
}

/// What is promised of the reads that a history is told with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// All of them, and each transaction's are of one moment.
    Snapshots,
    /// Those that a commit answers for, and there is an order in which one transaction after the other would read the same.
    SerialOrder,
}

impl Promise {
    /// Whether a transaction is told with a read of this kind.
    fn holds_for(self, record: &Record, tracked: bool) -> bool {
        // Nobody commits beside an exclusive one, and who wrote nothing stands where its snapshot is.
        let answers = record.kind != Kind::Concurrent || record.commit_ts().is_none();
        self == Self::Snapshots || answers || (tracked && record.isolation == Isolation::Serializable)
    }
}

/// A history as adya wants it.
struct Telling {
    promise: Promise,
    told: Told,
    /// The places in the history, by the index of the answer.
    order: HashMap<u64, i64>,
    /// Of whom something was told that counts, by life and number.
    judged: BTreeSet<(usize, usize)>,
    /// Some reads are not told.
    left_out: bool,
}

/// Tells the first lives; those with an end, as they ended.
fn tell(history: &History, ends: &[u64], lives: usize, elements: Elements, promise: Promise) -> Telling {
    let mut interner = Interner::default();
    let mut events: Vec<(u64, Event, Option<u64>)> = Vec::new();
    let (mut judged, mut left_out) = (BTreeSet::new(), false);
    for (number, life) in history.lives[..lives].iter().enumerate() {
        let end = ends.get(number).copied().unwrap_or(u64::MAX);
        let first_lost = life.records.iter().filter_map(Record::commit_ts).filter(|ts| *ts > end).min();
        for (index, record) in life.records.iter().enumerate() {
            let Some(times) = record.times else { continue };
            let answered = answer(record, first_lost.unwrap_or(u64::MAX));
            let Some(kind) = in_doubt(answered, record, life.end) else { continue };
            let mut keeps = |tracked| {
                let told = promise.holds_for(record, tracked);
                left_out |= kind == OpType::Ok && !told;
                kind == OpType::Ok && told
            };
            let value = micro_operations(&record.ops, elements, &mut keeps, &mut interner);
            if value.is_empty() {
                continue;
            }
            if kind != OpType::Fail {
                judged.insert((number, index));
            }
            let whole = promise == Promise::SerialOrder || !is_two(record);
            let (value, reads) = if whole { (value, Vec::new()) } else { apart(value) };
            for (process, value) in [(record.session, value), (READING + record.session, reads)] {
                let process = Some(i64::try_from(number * 1000 + process).unwrap_or(i64::MAX));
                let event = |kind, value| Event { index: 0, kind, process, value, time: None };
                let asked = value.iter().map(|mop| match mop {
                    Mop::Read { key, .. } => Mop::Read { key: *key, value: ReadValue::Nil },
                    write => write.clone(),
                });
                let asked: Vec<_> = asked.collect();
                if !asked.is_empty() {
                    events.push((times.invoked, event(OpType::Invoke, asked), None));
                    events.push((times.ended, event(kind, value), record.commit_ts()));
                }
            }
        }
    }
    events.sort_by_key(|(tick, event, _)| (*tick, event.kind != OpType::Invoke));
    let mut order = HashMap::new();
    let mut told = Vec::with_capacity(events.len());
    for (index, (_, event, commit_ts)) in (0..).zip(events) {
        if let Some(commit_ts) = commit_ts {
            order.insert(index, i64::try_from(commit_ts).unwrap_or(i64::MAX));
        }
        told.push(Event { index, ..event });
    }
    Telling { promise, told: Told::from_ops(told, interner), order, judged, left_out }
}

/// The reads of a transaction that appended without a look count as a session of their own.
const READING: usize = 500;

/// Whether a transaction has done what is made of what others committed beside it.
fn is_two(record: &Record) -> bool {
    let appends = |op: &Op| matches!(op, Op::Append { table: ELEMENTS, .. });
    record.kind == Kind::Concurrent && record.ops.iter().any(appends)
}

/// What a transaction wrote, and what it read of what others wrote.
fn apart(mops: Vec<Mop>) -> (Vec<Mop>, Vec<Mop>) {
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for mop in mops {
        let own = |key: Id| writes.iter().any(|write: &Mop| write.key() == key);
        match mop {
            Mop::Read { key, .. } if own(key) => {}
            Mop::Read { .. } => reads.push(mop),
            _ => writes.push(mop),
        }
    }
    (writes, reads)
}

/// How a transaction ended in the end; `None` for one that only read what is gone.
fn answer(record: &Record, first_lost: u64) -> Option<OpType> {
    let saw_lost = record.begin_ts.is_some_and(|begin_ts| begin_ts >= first_lost);
    match &record.outcome {
        _ if record.commit_ts().is_some_and(|ts| ts >= first_lost) => Some(OpType::Fail),
        Outcome::Committed(None) if saw_lost => None,
        Outcome::Committed(_) => Some(OpType::Ok),
        Outcome::Unknown(_) => Some(OpType::Info),
        Outcome::Lost(_) | Outcome::Aborted => Some(OpType::Fail),
    }
}

/// What a process says after its death nobody hears.
fn in_doubt(answer: Option<OpType>, record: &Record, end: End) -> Option<OpType> {
    let ended = record.times.map_or(0, |times| times.ended);
    match (answer?, end) {
        (OpType::Ok, End::Killed(at)) if ended > at => {
            (record.kind != Kind::Snapshot && record.commit_ts().is_some()).then_some(OpType::Info)
        }
        (answer, _) => Some(answer),
    }
}

/// The reads and writes of elements; of the reads those that are kept, asked with whether they are tracked.
fn micro_operations(
    ops: &[Op],
    elements: Elements,
    keeps: &mut impl FnMut(bool) -> bool,
    interner: &mut Interner,
) -> Vec<Mop> {
    let mut mops = Vec::new();
    let mut saved = Vec::new();
    for op in ops {
        let (op, tracked) = match op {
            Op::Untracked(read) => (&**read, false),
            op => (op, true),
        };
        match op {
            Op::Savepoint => saved.push(mops.len()),
            Op::TakenBack => take_back(&mut mops, saved.last().copied().unwrap_or(0)),
            Op::Released => drop(saved.pop()),
            Op::Get { table: ELEMENTS, key, found } if keeps(tracked) => {
                mops.extend(read(key, found.as_deref(), elements, interner));
            }
            Op::Range { table: ELEMENTS, found, .. } if keeps(tracked) => {
                mops.extend(
                    found.iter().filter_map(|(key, value)| read(key, Some(value), elements, interner)),
                );
            }
            Op::Append { table: ELEMENTS, key, bytes } => {
                let (Some(key), Some(value)) = (elements::number(key), elements::written(elements, bytes))
                else {
                    continue;
                };
                let (key, value) = (interner.intern(Scalar::Int(key)), of(value, interner));
                mops.push(Mop::Append { key, value });
            }
            Op::Put { table: ELEMENTS, key, value } => {
                let (key, value) = (elements::number(key), elements::written(elements, value));
                let (Some(key), Some(value)) = (key, value) else { continue };
                let (key, value) = (interner.intern(Scalar::Int(key)), of(value, interner));
                mops.push(match elements {
                    Elements::Lists => Mop::Append { key, value },
                    Elements::Registers => Mop::Write { key, value },
                });
            }
            _ => {}
        }
    }
    mops
}

/// Forgets what was written from a place on, and who read that.
fn take_back(mops: &mut Vec<Mop>, from: usize) {
    let mut written = Vec::new();
    for mop in mops.split_off(from) {
        match mop {
            Mop::Append { key, .. } | Mop::Write { key, .. } => written.push(key),
            Mop::Read { key, .. } if written.contains(&key) => {}
            read => mops.push(read),
        }
    }
}

fn read(key: &[u8], found: Option<&[u8]>, elements: Elements, interner: &mut Interner) -> Option<Mop> {
    let key = interner.intern(Scalar::Int(elements::number(key)?));
    let value = match (found, elements) {
        (None, _) => ReadValue::Nil,
        (Some(found), Elements::Lists) => {
            ReadValue::List(elements::list(found).map(|element| of(element, interner)).collect())
        }
        (Some(found), Elements::Registers) => {
            ReadValue::Scalar(of(elements::written(elements, found)?, interner))
        }
    };
    Some(Mop::Read { key, value })
}

fn of(element: u32, interner: &mut Interner) -> Id {
    interner.intern(Scalar::Int(element.into()))
}

/// How long one search for a cycle may take; there is none to be searched in a good history.
const SEARCH: Duration = Duration::from_secs(5);

impl Telling {
    fn judge(self, elements: Elements) -> Result<(), String> {
        let model = match self.promise {
            Promise::Snapshots => "strong-snapshot-isolation",
            Promise::SerialOrder => "strict-serializable",
        };
        let (workload, transaction_order) = match elements {
            Elements::Lists => (Workload::ListAppend, None),
            Elements::Registers => (Workload::RwRegister, Some(self.order)),
        };
        let options =
            Opts { models: vec![model.to_owned()], timeout: SEARCH, transaction_order, ..Opts::default() };
        let report = adya::check(&self.told, workload, &options);
        // A history in which no transaction depends on another is too short to say anything.
        let says_nothing = report.anomaly_types == ["empty-transaction-graph"];
        if report.valid == Valid::True || says_nothing {
            return Ok(());
        }
        let all = report.anomalies.values().flatten();
        let words: Vec<_> =
            all.take(3).map(|anomaly| format!("{}: {}", anomaly.kind, anomaly.explanation)).collect();
        Err(format!("not {model}: {}\n{}", report.anomaly_types.join(", "), words.join("\n")))
    }
}

//! A history in the words of the crate `adya`, and its judgement.
//!
//! Adya sees what the sessions saw: the reads and writes of elements, in the order of questions and answers, and which
//! transactions ended well (`ok`), badly (`fail`) or in doubt (`info`). It builds the dependencies between them by itself.
//! Only of registers it is told the commit order, since they hide what they held before.
//!
//! What a power cut took back did happen, and then it did not. So each life that lost something is judged twice: with
//! what was lost as it ended, and in the whole history, where it is `fail`: from then on nobody may see it. Those who only
//! read what was lost are left out there.

use std::collections::HashMap;
use std::time::Duration;

use adya::history::{History as Told, Id, Interner, Mop, Op as Event, OpType, ReadValue, Scalar};
use adya::{Opts, Valid, Workload};
use braid::Isolation;
use braid_tests::{End, History, Kind, Op, Outcome, Record, Verdict};

use super::Elements;
use super::elements::{self, ELEMENTS};

/// Checks what the verdict of the replay leaves to be checked: that the transactions depend on each other as the level
/// allows, in real time.
///
/// # Errors
/// What was found, in words.
pub fn check(
    history: &History,
    verdict: &Verdict,
    isolation: Isolation,
    elements: Elements,
) -> Result<(), String> {
    for (life, end) in verdict.ends.iter().enumerate() {
        let lost = history.lives[life].records.iter().filter_map(Record::commit_ts).any(|ts| ts > *end);
        if lost {
            let told = tell(history, &verdict.ends[..life], life + 1, elements);
            told.judge(isolation, elements).map_err(|why| format!("before crash {life}: {why}"))?;
        }
    }
    tell(history, &verdict.ends, history.lives.len(), elements).judge(isolation, elements)
}

/// A history as adya wants it.
struct Telling {
    told: Told,
    /// The places in the history, by the index of the answer.
    order: HashMap<u64, i64>,
}

/// Tells the first lives; those with an end, as they ended.
fn tell(history: &History, ends: &[u64], lives: usize, elements: Elements) -> Telling {
    let mut interner = Interner::default();
    let mut events: Vec<(u64, Event, Option<u64>)> = Vec::new();
    for (number, life) in history.lives[..lives].iter().enumerate() {
        let end = ends.get(number).copied().unwrap_or(u64::MAX);
        let first_lost = life.records.iter().filter_map(Record::commit_ts).filter(|ts| *ts > end).min();
        for record in &life.records {
            let Some(times) = record.times else { continue };
            let answered = answer(record, first_lost.unwrap_or(u64::MAX));
            let Some(kind) = in_doubt(answered, record, life.end) else { continue };
            let keeps_reads = kind == OpType::Ok;
            let value = micro_operations(&record.ops, elements, keeps_reads, &mut interner);
            let process = Some(i64::try_from(number * 1000 + record.session).unwrap_or(i64::MAX));
            let event = |kind, value| Event { index: 0, kind, process, value, time: None };
            let asked = value.iter().map(|mop| match mop {
                Mop::Read { key, .. } => Mop::Read { key: *key, value: ReadValue::Nil },
                write => write.clone(),
            });
            events.push((times.invoked, event(OpType::Invoke, asked.collect()), None));
            events.push((times.ended, event(kind, value), record.commit_ts()));
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
    Telling { told: Told::from_ops(told, interner), order }
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

/// The reads and writes of elements.
fn micro_operations(ops: &[Op], elements: Elements, keeps_reads: bool, interner: &mut Interner) -> Vec<Mop> {
    let mut mops = Vec::new();
    let mut saved = Vec::new();
    for op in ops {
        match op {
            Op::Savepoint => saved.push(mops.len()),
            Op::TakenBack => take_back(&mut mops, saved.last().copied().unwrap_or(0)),
            Op::Released => drop(saved.pop()),
            Op::Get { table: ELEMENTS, key, found } if keeps_reads => {
                mops.extend(read(key, found.as_deref(), elements, interner));
            }
            Op::Range { table: ELEMENTS, found, .. } if keeps_reads => {
                mops.extend(
                    found.iter().filter_map(|(key, value)| read(key, Some(value), elements, interner)),
                );
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
    fn judge(self, isolation: Isolation, elements: Elements) -> Result<(), String> {
        let model = if isolation == Isolation::Serializable {
            "strict-serializable"
        } else {
            "strong-snapshot-isolation"
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

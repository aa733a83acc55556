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
//! An update without a look is made of what is there at the commit, while the reads beside it are of the snapshot: in
//! the first way such a transaction is two, one that reads and one that writes. Of a row that it looked at it is a
//! write like any other, and nobody writes it between the snapshot and the commit: so the second one has read that row
//! too.
//!
//! Numbers, tables that come and go, and their rows are told as lists ([`objects`](super::objects)), beside elements
//! that are lists, and in a telling of their own where elements are registers.

mod words;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use adya::history::{History as Told, Id, Interner, Mop, Op as Event, OpType, ReadValue};
use adya::{Opts, Valid, Workload};
use braid::Isolation;
use braid_tests::{End, History, Kind, Outcome, Record, Verdict};

use self::words::Words;
use super::Elements;
use super::objects::{Effects, Versions};

/// Checks what the verdict of the replay leaves to be checked: that the transactions depend on each other as their levels
/// allow, in real time. Says how many adya was told something of, a read or write of an element in an answered transaction
/// or one in doubt.
///
/// # Errors
/// What was found, in words.
pub fn check(history: &History, verdict: &Verdict, elements: Elements) -> Result<u64, String> {
    let mut judged = BTreeSet::new();
    let known = Known::of(history);
    let mut judge = |ends: &[u64], lives: usize| {
        let told = known.up_to(ends, lives);
        let all = || history.lives[..lives].iter().flat_map(|life| &life.records);
        let any_serializable = all().any(|record| record.isolation == Isolation::Serializable);
        for subject in Subject::all(elements) {
            let whole = tell(&told, subject, Promise::Snapshots);
            judged.extend(whole.judged.iter().copied());
            if !any_serializable {
                whole.judge()?;
                continue;
            }
            // Who has a serial order with everything that was read has read snapshots.
            let serial = tell(&told, subject, Promise::SerialOrder);
            if serial.left_out {
                whole.judge()?;
            }
            serial.judge()?;
        }
        Ok::<_, String>(())
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

/// What adya is told of.
#[derive(Clone, Copy, Debug)]
struct Subject {
    elements: Option<Elements>,
    objects: bool,
}

impl Subject {
    fn all(elements: Elements) -> Vec<Self> {
        let elements_alone = Self { elements: Some(elements), objects: false };
        match elements {
            Elements::Lists => vec![Self { objects: true, ..elements_alone }],
            Elements::Registers => vec![elements_alone, Self { elements: None, objects: true }],
        }
    }
}

/// A history with what its transactions leave, by life and number.
struct Known<'a> {
    history: &'a History,
    effects: Vec<Vec<Effects>>,
}

impl<'a> Known<'a> {
    fn of(history: &'a History) -> Self {
        let of_life = |(life, records): (usize, &'a [Record])| {
            let numbers = (0_u32..).map(|index| (life as i64) << 24 | i64::from(index));
            records.iter().zip(numbers).map(|(record, number)| Effects::of(record, number)).collect()
        };
        let lives = history.lives.iter().map(|life| &*life.records).enumerate();
        Self { history, effects: lives.map(of_life).collect() }
    }

    /// The first lives; those with an end, as they ended.
    fn up_to(&'a self, ends: &[u64], lives: usize) -> Beginning<'a> {
        let mut first_lost = Vec::with_capacity(lives);
        let mut all = Vec::new();
        for (life, effects) in self.history.lives[..lives].iter().zip(&self.effects) {
            let end = ends.get(first_lost.len()).copied().unwrap_or(u64::MAX);
            let stamps = life.records.iter().filter_map(Record::commit_ts);
            let lost = stamps.filter(|ts| *ts > end).min().unwrap_or(u64::MAX);
            first_lost.push(lost);
            let stands = |record: &Record| record.commit_ts().filter(|ts| *ts < lost);
            all.extend(life.records.iter().map(stands).zip(effects));
        }
        all.sort_by_key(|(commit_ts, _)| *commit_ts);
        Beginning { known: self, first_lost, versions: Versions::of(all.into_iter()) }
    }
}

/// The first lives of a history.
struct Beginning<'a> {
    known: &'a Known<'a>,
    /// The first commit of each that was lost.
    first_lost: Vec<u64>,
    versions: Versions,
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

    /// The moment of what is told as read.
    fn moment(self, record: &Record) -> u64 {
        let at_commit = record.commit_ts().map(|commit_ts| commit_ts - 1);
        match self {
            Self::Snapshots => record.begin_ts.or(at_commit),
            Self::SerialOrder => at_commit.or(record.begin_ts),
        }
        .unwrap_or(0)
    }
}

/// A history as adya wants it.
struct Telling {
    promise: Promise,
    subject: Subject,
    told: Told,
    /// The places in the history, by the index of the answer.
    order: HashMap<u64, i64>,
    /// Of whom something was told that counts, by life and number.
    judged: BTreeSet<(usize, usize)>,
    /// Some reads are not told.
    left_out: bool,
}

fn tell(beginning: &Beginning<'_>, subject: Subject, promise: Promise) -> Telling {
    let Known { history, effects } = beginning.known;
    let mut interner = Interner::default();
    let mut events: Vec<(u64, Event, Option<u64>)> = Vec::new();
    let (mut judged, mut left_out) = (BTreeSet::new(), false);
    for (number, first_lost) in beginning.first_lost.iter().enumerate() {
        let life = &history.lives[number];
        for (index, record) in life.records.iter().enumerate() {
            let Some(times) = record.times else { continue };
            let answered = answer(record, *first_lost);
            let Some(kind) = in_doubt(answered, record, life.end) else { continue };
            let mut keeps = |tracked| {
                let told = promise.holds_for(record, tracked);
                left_out |= kind == OpType::Ok && !told;
                kind == OpType::Ok && told
            };
            let mut words = Words {
                subject,
                versions: &beginning.versions,
                effects: &effects[number][index],
                commit_ts: record.commit_ts().filter(|ts| ts < first_lost),
                moment: promise.moment(record),
                interner: &mut interner,
            };
            let mut value = words.micro_operations(&record.ops, &mut keeps);
            // Whatever its level, its tables are as it knew them when it commits.
            if kind == OpType::Ok {
                value.extend(words.uses());
            }
            if value.is_empty() {
                continue;
            }
            if kind != OpType::Fail {
                judged.insert((number, index));
            }
            let blind = words.blind(&record.ops);
            let whole =
                promise == Promise::SerialOrder || record.kind != Kind::Concurrent || blind.is_empty();
            let (value, reads) = if whole {
                (value, Vec::new())
            } else {
                let (mut writes, reads) = apart(value, &blind);
                if kind == OpType::Ok {
                    words.moment = Promise::SerialOrder.moment(record);
                    writes.extend(words.uses());
                }
                (writes, reads)
            };
            for (process, value) in [(record.session, value), (READING + record.session, reads)] {
                let process = Some(i64::try_from(number * 1000 + process).unwrap_or(i64::MAX));
                if !value.is_empty() {
                    events.push((times.invoked, event(OpType::Invoke, process, asked(&value)), None));
                    events.push((times.ended, event(kind, process, value), record.commit_ts()));
                }
            }
        }
    }
    if subject.elements != Some(Elements::Registers) {
        let by_nobody = by_nobody(&events);
        if !by_nobody.is_empty() {
            events.push((0, event(OpType::Invoke, Some(-1), by_nobody.clone()), None));
            events.push((0, event(OpType::Fail, Some(-1), by_nobody), None));
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
    Telling { promise, subject, told: Told::from_ops(told, interner), order, judged, left_out }
}

fn event(kind: OpType, process: Option<i64>, value: Vec<Mop>) -> Event {
    Event { index: 0, kind, process, value, time: None }
}

/// What was asked before it was answered.
fn asked(value: &[Mop]) -> Vec<Mop> {
    let ask = |mop: &Mop| match mop {
        Mop::Read { key, .. } => Mop::Read { key: *key, value: ReadValue::Nil },
        write => write.clone(),
    };
    value.iter().map(ask).collect()
}

/// Of lists, what was read and nobody is told to have written: somebody has who failed, and nobody may see it.
fn by_nobody(events: &[(u64, Event, Option<u64>)]) -> Vec<Mop> {
    let mops = || events.iter().flat_map(|(_, event, _)| &event.value);
    let written: HashSet<(Id, Id)> = mops()
        .filter_map(|mop| match mop {
            Mop::Append { key, value } => Some((*key, *value)),
            _ => None,
        })
        .collect();
    let mut missing = BTreeSet::new();
    for mop in mops() {
        if let Mop::Read { key, value: ReadValue::List(list) } = mop {
            missing.extend(list.iter().map(|value| (*key, *value)).filter(|one| !written.contains(one)));
        }
    }
    missing.into_iter().map(|(key, value)| Mop::Append { key, value }).collect()
}

/// The reads of a transaction that updated something without a look count as a session of their own.
const READING: usize = 500;

/// What a transaction wrote, with its reads of what it did not write blindly; and what it read of what others wrote.
fn apart(mops: Vec<Mop>, blind: &HashSet<Id>) -> (Vec<Mop>, Vec<Mop>) {
    let is_write = |mop: &&Mop| !matches!(mop, Mop::Read { .. });
    let written: HashSet<Id> = mops.iter().filter(is_write).map(Mop::key).collect();
    let (mut writes, mut reads, mut own) = (Vec::new(), Vec::new(), HashSet::new());
    for mop in mops {
        let key = mop.key();
        if !matches!(mop, Mop::Read { .. }) {
            own.insert(key);
            writes.push(mop);
            continue;
        }
        if written.contains(&key) && !blind.contains(&key) {
            writes.push(mop.clone());
        }
        if !own.contains(&key) {
            reads.push(mop);
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

/// How long one search for a cycle may take; there is none to be searched in a good history.
const SEARCH: Duration = Duration::from_secs(5);

impl Telling {
    fn judge(self) -> Result<(), String> {
        let model = match self.promise {
            Promise::Snapshots => "strong-snapshot-isolation",
            Promise::SerialOrder => "strict-serializable",
        };
        let (workload, transaction_order) = match self.subject.elements {
            Some(Elements::Registers) => (Workload::RwRegister, Some(self.order)),
            Some(Elements::Lists) | None => (Workload::ListAppend, None),
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

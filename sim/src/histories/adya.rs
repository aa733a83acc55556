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

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use adya::history::{History as Told, Id, Interner, Mop, Op as Event, OpType, ReadValue, Scalar};
use adya::{Opts, Valid, Workload};
use braid::Isolation;
use braid_tests::{End, History, Kind, Op, Outcome, Record, Verdict};

use super::Elements;
use super::elements::{self, ELEMENTS};
use super::objects::{self, Effects, Object, Versions};

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

/// One transaction in adya's words.
struct Words<'a> {
    subject: Subject,
    versions: &'a Versions,
    effects: &'a Effects,
    /// Its place, if it stands.
    commit_ts: Option<u64>,
    /// What it read is of this moment.
    moment: u64,
    interner: &'a mut Interner,
}

impl Words<'_> {
    /// The reads and writes of what adya is told of; of the reads those that are kept, asked with whether they are
    /// tracked.
    fn micro_operations(&mut self, ops: &[Op], keeps: &mut impl FnMut(bool) -> bool) -> Vec<Mop> {
        let mut mops = Vec::new();
        let mut saved = Vec::new();
        // What it has written itself to objects, taken back or not; of names only what is left in the end is told.
        let mut own: Vec<(usize, Object)> = Vec::new();
        for (at, op) in ops.iter().enumerate() {
            let (op, tracked) = match op {
                Op::Untracked(read) => (&**read, false),
                op => (op, true),
            };
            match op {
                Op::Savepoint => saved.push((mops.len(), own.len())),
                Op::TakenBack => {
                    let (from, own_from) = saved.last().copied().unwrap_or_default();
                    take_back(&mut mops, from);
                    let is_name = |(_, object): &(usize, Object)| matches!(object, Object::Name(_));
                    let names: Vec<_> = own.split_off(own_from).into_iter().filter(is_name).collect();
                    own.extend(names);
                }
                Op::Released => drop(saved.pop()),
                Op::Get { table, key, found } => {
                    mops.extend(self.read(*table, key, found.as_deref(), &own, || keeps(tracked)));
                }
                Op::Range { table, from, to, limit, found, .. } => {
                    let mut keeps = || keeps(tracked);
                    for (key, value) in found {
                        mops.extend(self.read(*table, key, Some(value), &own, &mut keeps));
                    }
                    // Of a table that comes and goes all keys are known, and a scan says which are not there.
                    let whole = from.is_empty() && **to == elements::END && *limit == usize::MAX;
                    for key in elements::made_keys().filter(|_| whole && *table >= elements::MADE_FROM) {
                        if found.iter().all(|(known, _)| *known != key) {
                            mops.extend(self.read(*table, &key, None, &own, &mut keeps));
                        }
                    }
                }
                Op::Append { table: ELEMENTS, key, bytes: value }
                | Op::Put { table: ELEMENTS, key, value } => {
                    mops.extend(self.write_element(key, value));
                }
                Op::Put { table, key, .. } | Op::Delete { table, key } | Op::Number { table, key, .. } => {
                    if let Some(object) = Object::of(*table, key) {
                        own.push((at, object));
                    }
                    mops.extend(self.write_object(at));
                }
                _ => {}
            }
        }
        if self.subject.objects {
            let changes = self.effects.changes.iter();
            let appends = changes.map(|write| append(&write.object, write.element, self.interner));
            mops.extend(appends);
        }
        mops
    }

    fn read(
        &mut self,
        table: usize,
        key: &[u8],
        found: Option<&[u8]>,
        own: &[(usize, Object)],
        mut keeps: impl FnMut() -> bool,
    ) -> Option<Mop> {
        if table == ELEMENTS {
            let elements = self.subject.elements.filter(|_| keeps())?;
            return read(key, found, elements, self.interner);
        }
        let object = Object::of(table, key).filter(|_| self.subject.objects)?;
        let wrote = |(_, of): &&(usize, Object)| *of == object;
        if matches!(object, Object::Name(_)) && own.iter().any(|one| wrote(&one)) || !keeps() {
            return None;
        }
        let kept = |at: usize| self.effects.writes.iter().find(|(of, _)| *of == at).map(|(_, write)| write);
        let own: Option<Vec<_>> = own.iter().filter(wrote).map(|(at, _)| kept(*at).cloned()).collect();
        // Where some of it is taken back later, nobody else has seen what it found.
        let own = own?;
        let own = self.commit_ts.map(|commit_ts| (commit_ts, &*own));
        let list = self.versions.read(&object, found, self.moment, own);
        Some(read_of(&object, &list, self.interner))
    }

    fn write_element(&mut self, key: &[u8], value: &[u8]) -> Option<Mop> {
        let elements = self.subject.elements?;
        let (key, value) = (elements::number(key)?, elements::written(elements, value)?);
        let (key, value) = (self.interner.intern(Scalar::Int(key)), of(value, self.interner));
        Some(match elements {
            Elements::Lists => Mop::Append { key, value },
            Elements::Registers => Mop::Write { key, value },
        })
    }

    /// What is written to an object there, and not taken back.
    fn write_object(&mut self, at: usize) -> Option<Mop> {
        let (_, write) = self.effects.writes.iter().find(|(of, _)| *of == at)?;
        let tells = self.subject.objects && self.versions.tells(write, self.commit_ts.is_some());
        tells.then(|| append(&write.object, write.element, self.interner))
    }

    /// The tables that it used, as they were when it knew their names.
    fn uses(&mut self) -> Vec<Mop> {
        let uses = self.effects.uses.iter().filter(|_| self.subject.objects);
        uses.map(|(table, name)| {
            let list = self.versions.read(table, Some(name), self.moment, None);
            read_of(table, &list, self.interner)
        })
        .collect()
    }

    /// The rows that it updated without a look.
    fn blind(&mut self, ops: &[Op]) -> HashSet<Id> {
        let key_of = |(table, key)| match Object::of(table, key) {
            Some(object) if self.subject.objects => Some(key_of(&object, self.interner)),
            None if table == ELEMENTS && self.subject.elements.is_some() => {
                Some(self.interner.intern(Scalar::Int(elements::number(key)?)))
            }
            _ => None,
        };
        objects::blind(ops).filter_map(key_of).collect()
    }
}

fn key_of(object: &Object, interner: &mut Interner) -> Id {
    interner.intern(Scalar::Str(object.name()))
}

fn append(object: &Object, element: i64, interner: &mut Interner) -> Mop {
    Mop::Append { key: key_of(object, interner), value: interner.intern(Scalar::Int(element)) }
}

fn read_of(object: &Object, list: &[i64], interner: &mut Interner) -> Mop {
    let key = key_of(object, interner);
    let list: Vec<Id> = list.iter().map(|element| interner.intern(Scalar::Int(*element))).collect();
    Mop::Read { key, value: if list.is_empty() { ReadValue::Nil } else { ReadValue::List(list) } }
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

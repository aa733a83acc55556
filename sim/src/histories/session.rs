//! One session: random transactions one after the other, on a handle of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use braid::vfs::sync::thread;
use braid::{
    Admission, Commit, CommitFuture, Database, Durability, Error, Isolation, JournalMode, Result,
    RetryPolicy, Sequence, SequenceOptions, Snapshot, SnapshotOptions, Timestamp, Transaction,
    TransactionOptions,
};
use braid_tests::{Blame, Ids, Kind, Number, Op, Outcome, Record, Times};
use fastrand::Rng;

use super::Modes;
use super::elements::{ELEMENTS, MARKS, TABLES};
use super::futures::wait_or_drop;
use super::life::{Stage, lock};
use super::work::Work;

/// How many writes an element gets before the next takes its place.
const WRITES_PER_ELEMENT: u64 = 20;

pub(super) struct Session<'a> {
    stage: &'a Stage,
    number: usize,
    db: Database,
    pub(super) work: Work,
    records: Vec<Record>,
    /// A handle of the sequence, and its number.
    sequence: Option<(Sequence, u64)>,
    /// A commit that nobody awaits yet.
    pub(super) pending: Option<(CommitFuture, Record)>,
    /// A snapshot that is kept for a while, and what was read in it.
    held: Option<(Snapshot, Record)>,
    /// A transaction that is open for a while beside others of this session.
    open: Option<(Transaction, Record)>,
}

/// The sequence that all draw from.
pub(super) const SEQUENCE: &str = "ids";

/// Whatever is kept open beside others counts as a session of its own.
const HOLDING: usize = 16;
const OPEN: usize = 32;

/// What an error means for the session.
enum After {
    GoesOn,
    Ends,
}

impl<'a> Session<'a> {
    /// Runs one to its end.
    pub(super) fn run(stage: &'a Arc<Stage>, number: usize) -> Vec<Record> {
        let mut session = match Self::open(stage, number) {
            Ok(session) => session,
            Err(error) => {
                if !stage.may_fail() {
                    stage.trouble(format!("session {number} could not open: {error}"));
                }
                return Vec::new();
            }
        };
        for step in 0..stage.plan.steps {
            if number == 0 && stage.killing.as_ref().is_some_and(|killing| killing.step == step) {
                stage.kill();
            }
            if let Err(error) = session.step()
                && matches!(session.after(&error), After::Ends)
            {
                // After a failed sync reads go on.
                for _ in 0..2 {
                    if session.snapshot().is_err() {
                        break;
                    }
                }
                break;
            }
        }
        session.release();
        session.records
    }

    fn open(stage: &'a Stage, number: usize) -> Result<Self> {
        let db = stage.open()?;
        let tables = stage.tables(&db)?;
        let who = (stage.life << 4) | number as u64;
        let work = Work {
            tables,
            elements: stage.plan.elements,
            numbers: Arc::clone(&stage.numbers),
            first_element: 0,
            rng: Rng::with_seed(stage.plan.seed.wrapping_mul(1_000_003).wrapping_add(who)),
            fresh: u32::try_from(who << 20).unwrap_or(u32::MAX),
        };
        let (records, sequence, pending) = (Vec::new(), None, None);
        Ok(Self { stage, number, db, work, records, sequence, pending, held: None, open: None })
    }

    fn after(&self, error: &Error) -> After {
        match error {
            Error::Busy(_)
            | Error::BusySnapshot { .. }
            | Error::JournalMode
            | Error::AlreadyCommitted { .. }
            | Error::WriteTransactionsOpen { .. } => After::GoesOn,
            Error::CommitUnknown { .. } | Error::Poisoned { .. } | Error::Io { .. } | Error::NoSpace(_)
                if self.stage.may_fail() =>
            {
                After::Ends
            }
            other => {
                self.stage.trouble(format!("session {} met: {other}", self.number));
                After::Ends
            }
        }
    }

    fn step(&mut self) -> Result<()> {
        self.work.first_element = self.stage.elements.load(Ordering::Relaxed) / WRITES_PER_ELEMENT;
        match self.work.rng.u8(0..105) {
            100 | 104 => self.draw(),
            101 => self.ask_token(),
            102 | 103 => self.await_pending(),
            0..12 => self.snapshot(),
            12..18 => self.hold(),
            18..25 => self.lone_write(),
            25..29 => self.transaction(Admission::Immediate),
            29..34 => self.transact(),
            34 => self.care(),
            35..38 => self.transaction(Admission::Concurrent),
            // Where the mode is to change, that must find no write transaction open now and then.
            38..60 if self.stage.plan.modes != Modes::Switching => self.keep_open(),
            38..40 => self.keep_open(),
            _ => self.transaction(Admission::ByMode),
        }
    }

    /// What is no transaction.
    fn care(&mut self) -> Result<()> {
        match self.work.rng.u8(0..6) {
            0 => {
                let answered = self.stage.answered.load(Ordering::SeqCst);
                self.db.sync()?;
                self.stage.synced.fetch_max(answered, Ordering::SeqCst);
                Ok(())
            }
            1 => {
                let answered = self.stage.answered.load(Ordering::SeqCst);
                self.db.checkpoint()?;
                self.stage.synced.fetch_max(answered, Ordering::SeqCst);
                Ok(())
            }
            2 => self.db.compact().map(drop),
            3 => {
                // A sibling takes over before the old one goes.
                self.db = self.stage.open()?;
                self.work.tables = self.stage.tables(&self.db)?;
                Ok(())
            }
            _ if self.stage.plan.modes == Modes::Switching => {
                let mvcc = self.work.rng.u8(0..3) != 0;
                self.db.set_journal_mode(if mvcc { JournalMode::Mvcc } else { JournalMode::Wal })
            }
            _ => Ok(()),
        }
    }

    fn record(&self, kind: Kind, begin_ts: Option<u64>, durability: Durability, times: Times) -> Record {
        Record {
            session: self.number,
            kind,
            isolation: Isolation::Snapshot,
            durability,
            begin_ts,
            outcome: Outcome::Aborted,
            ops: Vec::new(),
            times: Some(times),
        }
    }

    fn begin_snapshot(&mut self) -> Result<(Snapshot, Record)> {
        let options = SnapshotOptions { max_age: self.max_age(), ..SnapshotOptions::default() };
        let invoked = self.stage.tick();
        let snapshot = self.db.snapshot_with(options)?;
        let begun = self.stage.tick();
        let times = Times { invoked, begun, committing: begun, ended: begun };
        let begin_ts = Some(snapshot.timestamp().get());
        let record = self.record(Kind::Snapshot, begin_ts, Durability::Sync, times);
        Ok((snapshot, Record { outcome: Outcome::Committed(None), ..record }))
    }

    fn end_snapshot(&mut self, mut record: Record) {
        let now = self.stage.tick();
        if let Some(times) = &mut record.times {
            (times.committing, times.ended) = (now, now);
        }
        self.records.push(record);
    }

    fn snapshot(&mut self) -> Result<()> {
        let (snapshot, mut record) = self.begin_snapshot()?;
        let read = self.read_some(&snapshot, &mut record.ops);
        self.end_snapshot(record);
        read
    }

    fn read_some(&mut self, snapshot: &Snapshot, ops: &mut Vec<Op>) -> Result<()> {
        for _ in 0..self.work.rng.usize(1..6) {
            self.work.read(snapshot, ops)?;
        }
        Ok(())
    }

    /// Reads in a snapshot that others have left behind, and sometimes takes a new one.
    fn hold(&mut self) -> Result<()> {
        let (snapshot, mut record) = match self.held.take() {
            Some(held) => held,
            None => {
                let (snapshot, mut record) = self.begin_snapshot()?;
                record.session += HOLDING;
                (snapshot, record)
            }
        };
        let read = self.read_some(&snapshot, &mut record.ops);
        if read.is_err() || self.work.rng.u8(0..4) == 0 {
            drop(snapshot);
            self.end_snapshot(record);
        } else {
            self.held = Some((snapshot, record));
        }
        read
    }

    /// Goes on with a transaction that others of this session have passed, or begins one.
    fn keep_open(&mut self) -> Result<()> {
        let (mut tx, mut record) = match self.open.take() {
            Some(open) => open,
            None => {
                let (tx, mut record) = self.begin(Admission::ByMode)?;
                record.session += OPEN;
                (tx, record)
            }
        };
        let worked = work(&mut self.work, self.number, &mut tx, &mut record.ops);
        // Nobody else would get a turn beside an exclusive one, this session neither.
        if worked.is_err() || tx.is_exclusive() || self.work.rng.bool() {
            return self.commit(tx, record, worked);
        }
        self.open = Some((tx, record));
        Ok(())
    }

    /// Ends what is held.
    fn release(&mut self) {
        // What becomes of it is in its record.
        let _ended = self.await_pending();
        if let Some((tx, record)) = self.open.take() {
            // What becomes of it is in its record.
            let _ended = self.commit(tx, record, Ok(()));
        }
        if let Some((snapshot, record)) = self.held.take() {
            drop(snapshot);
            self.end_snapshot(record);
        }
    }

    fn durability(&mut self) -> Option<Durability> {
        match self.work.rng.u8(0..4) {
            0 => Some(Durability::Sync),
            1 | 2 => Some(Durability::Deferred),
            _ => None,
        }
    }

    fn options(&mut self, admission: Admission) -> TransactionOptions {
        let isolation = self.stage.plan.levels.draw(&mut self.work.rng);
        let (durability, max_age) = (self.durability(), self.max_age());
        let options = TransactionOptions { admission, isolation, durability, max_age, ..Default::default() };
        match self.token() {
            Some(token) => options.token(token),
            None => options,
        }
    }

    /// Some may not stay for long.
    fn max_age(&mut self) -> Option<Duration> {
        (self.work.rng.u8(0..8) == 0).then(|| Duration::from_millis(self.work.rng.u64(0..6)))
    }

    /// A token for some transactions: a new one, or now and then one that may be committed already.
    fn token(&mut self) -> Option<Vec<u8>> {
        if self.work.rng.u8(0..8) > 0 {
            return None;
        }
        let mut tokens = lock(&self.stage.tokens);
        if self.work.rng.u8(0..4) == 0 && !tokens.is_empty() {
            return tokens.keys().nth(self.work.rng.usize(0..tokens.len())).cloned();
        }
        let token = format!("token {:08x}", self.work.fresh()).into_bytes();
        tokens.insert(token.clone(), None);
        Some(token)
    }

    /// Somebody says that a token was committed there.
    fn known(&self, token: &[u8], place: u64) {
        let known = lock(&self.stage.tokens).get(token).copied().flatten();
        if known.is_some_and(|known| known != place) {
            self.stage.trouble(format!("{} is told at {place} and {known:?}", token.escape_ascii()));
        }
    }

    /// Asks whether a token was committed: what was told of it is what is answered.
    fn ask_token(&mut self) -> Result<()> {
        let asked = {
            let tokens = lock(&self.stage.tokens);
            let at = self.work.rng.usize(0..tokens.len().max(1));
            tokens.iter().nth(at).map(|(token, place)| (token.clone(), *place))
        };
        let Some((token, told)) = asked else { return Ok(()) };
        let found = self.db.was_committed(&token)?.map(Timestamp::get);
        if told.is_some() && found != told {
            self.stage.trouble(format!("{} is {found:?} and not {told:?}", token.escape_ascii()));
        }
        if let Some(found) = found {
            self.known(&token, found);
            lock(&self.stage.answers).push((token, found, self.stage.tick()));
        }
        Ok(())
    }

    /// Draws ids, raises or drops the sequence now and then, or asks how far it has come.
    fn draw(&mut self) -> Result<()> {
        let stage = self.stage;
        if self.work.rng.u8(0..12) == 0 {
            let drop = || self.db.drop_sequence(SEQUENCE);
            stage.tell_ids(Some(Ids::Dropped(true)), drop, |was_there| Ids::Dropped(*was_there))?;
            // Its successor is to be raised about as far as it has come itself.
            stage.newest_id.store(0, Ordering::Relaxed);
            return Ok(());
        }
        let (sequence, handle) = match self.sequence.take() {
            Some(known) => known,
            None => self.open_sequence()?,
        };
        let gone = |error: Error| match error {
            Error::NoSuchSequence(_) => Ok(Ids::Gone { handle }),
            error => Err(error),
        };
        let mut is_gone = false;
        match self.work.rng.u8(0..8) {
            0 | 1 => {
                // About as far as the blocks reach that others have.
                let newest = stage.newest_id.load(Ordering::Relaxed);
                let first = newest.saturating_sub(5) + self.work.rng.u64(0..40);
                let raised = Ids::RaisedTo(first);
                let raise = || sequence.raise_to(first).map(|()| raised).or_else(gone);
                is_gone = stage.tell_ids(Some(raised), raise, |told| *told)? != raised;
            }
            2 => {
                let ask = || self.db.unreserved_id(SEQUENCE);
                stage.tell_ids(None, ask, |next| Ids::Unreserved(*next))?;
            }
            _ => {
                for _ in 0..self.work.rng.u8(1..10) {
                    // One that fails may have cost a block.
                    let lost = Ids::Given { handle, id: 0 };
                    let draw = || sequence.next().map(|id| Ids::Given { handle, id }).or_else(gone);
                    match stage.tell_ids(Some(lost), draw, |told| *told)? {
                        Ids::Given { id, .. } => _ = stage.newest_id.fetch_max(id, Ordering::Relaxed),
                        _ => is_gone = true,
                    }
                }
            }
        }
        // One that is gone stays so: it is asked again now and then.
        if self.work.rng.u8(0..if is_gone { 2 } else { 3 }) > 0 {
            self.sequence = Some((sequence, handle));
        }
        Ok(())
    }

    fn open_sequence(&mut self) -> Result<(Sequence, u64)> {
        let (stage, block) = (self.stage, self.work.rng.u64(1..20));
        let options = SequenceOptions { block, ..SequenceOptions::default() };
        let handle = stage.handles.fetch_add(1, Ordering::Relaxed);
        let opened = Ids::Opened { handle, block };
        let open = || self.db.sequence_with(SEQUENCE, options);
        Ok((stage.tell_ids(Some(opened), open, |_| opened)?, handle))
    }

    fn promised(&self, durability: Option<Durability>) -> Durability {
        durability.unwrap_or(self.stage.plan.options.durability)
    }

    fn lone_write(&mut self) -> Result<()> {
        let op = self.work.lone_write();
        let invoked = self.stage.tick();
        let tables = &self.work.tables;
        let result = match &op {
            Op::Put { table, key, value } => self.db.put(&tables[*table], key, value),
            Op::Append { table, key, bytes } => self.db.append(&tables[*table], key, bytes),
            Op::Delete { table, key } => self.db.delete(&tables[*table], key),
            Op::Number { table, key, change } => match change {
                Number::Add(number) => self.db.add(&tables[*table], key, *number),
                Number::Max(number) => self.db.max(&tables[*table], key, *number),
                Number::Min(number) => self.db.min(&tables[*table], key, *number),
            },
            _ => return Ok(()),
        };
        let times = Times { invoked, begun: invoked, committing: invoked, ended: self.stage.tick() };
        let mut record = self.record(Kind::OneStatement, None, self.promised(None), times);
        record.ops = vec![op];
        self.conclude(record, result.map(|commit| commit.timestamp.get()))
    }

    fn begin(&mut self, admission: Admission) -> Result<(Transaction, Record)> {
        let options = self.options(admission);
        let (durability, token) = (self.promised(options.durability), options.token.clone());
        let isolation = options.isolation;
        let invoked = self.stage.tick();
        let tx = self.db.begin_with(options).inspect_err(|error| self.refused(token.as_deref(), error))?;
        let begun = self.stage.tick();
        let kind = if tx.is_exclusive() { Kind::Exclusive } else { Kind::Concurrent };
        let times = Times { invoked, begun, committing: begun, ended: begun };
        let begin_ts = Some(tx.timestamp().get());
        let mut record = Record { isolation, ..self.record(kind, begin_ts, durability, times) };
        record.ops.extend(token.map(|token| Op::Token { token: token.to_vec() }));
        Ok((tx, record))
    }

    /// A transaction with a token was refused because it was committed before: where that is, it is.
    fn refused(&self, token: Option<&[u8]>, error: &Error) {
        if let (Some(token), Error::AlreadyCommitted { timestamp, .. }) = (token, error) {
            self.known(token, timestamp.get());
        }
    }

    fn transaction(&mut self, admission: Admission) -> Result<()> {
        let (mut tx, mut record) = self.begin(admission)?;
        let worked = work(&mut self.work, self.number, &mut tx, &mut record.ops);
        self.commit(tx, record, worked)
    }

    /// Commits a transaction that has done its work, mostly.
    fn commit(&mut self, tx: Transaction, mut record: Record, worked: Result<()>) -> Result<()> {
        if let Some(times) = &mut record.times {
            times.committing = self.stage.tick();
        }
        if worked.is_err() || self.work.rng.u8(0..16) == 0 {
            tx.rollback();
            self.give_up(record);
            return worked;
        }
        if self.work.rng.u8(0..4) == 0 {
            return self.commit_by_future(tx, record);
        }
        let committed = tx.commit();
        self.answered(record, committed)
    }

    /// Writes down a transaction of which nobody is told how it ends.
    pub(super) fn give_up(&mut self, mut record: Record) {
        if let Some(times) = &mut record.times {
            times.ended = self.stage.tick();
        }
        self.records.push(record);
    }

    /// A commit is answered.
    pub(super) fn answered(&mut self, mut record: Record, committed: Result<Commit>) -> Result<()> {
        if let Some(times) = &mut record.times {
            times.ended = self.stage.tick();
        }
        self.conclude(record, committed.map(|commit| commit.timestamp.get()))
    }

    /// The same by the engine's own retry loop; written down is the last attempt.
    fn transact(&mut self) -> Result<()> {
        let options = self.options(Admission::ByMode);
        let (durability, token) = (self.promised(options.durability), options.token.clone());
        let isolation = options.isolation;
        let policy = RetryPolicy { exclusive_after: 2, transaction: options, ..RetryPolicy::default() };
        let mut times = Times { invoked: self.stage.tick(), begun: 0, committing: 0, ended: 0 };
        let mut last = None;
        // By a future now and then, of which a few are dropped on the way.
        let by_future = self.work.rng.bool();
        let most_polls = (self.work.rng.u8(0..8) == 0).then(|| self.work.rng.u8(1..6));
        let (stage, number, work_of) = (self.stage, self.number, &mut self.work);
        let body = |tx: &mut Transaction| {
            if last.is_some() {
                times.invoked = times.committing;
            }
            times.begun = stage.tick();
            let kind = if tx.is_exclusive() { Kind::Exclusive } else { Kind::Concurrent };
            let mut ops: Vec<Op> = token.iter().map(|token| Op::Token { token: token.to_vec() }).collect();
            let begin_ts = tx.timestamp().get();
            let worked = work(work_of, number, tx, &mut ops);
            last = Some((kind, begin_ts, ops));
            times.committing = stage.tick();
            worked
        };
        let (result, installed) = if by_future {
            let mut future = self.db.transact_async_with(policy, body);
            let result = wait_or_drop(&mut future, most_polls);
            (result, future.timestamp())
        } else {
            (Some(self.db.transact_with(policy, body)), None)
        };
        times.ended = self.stage.tick();
        if let Some(Err(error)) = &result {
            self.refused(token.as_deref(), error);
        }
        let Some((kind, begin_ts, ops)) = last else {
            return result.map_or(Ok(()), |result| result.map(drop));
        };
        let record = self.record(kind, Some(begin_ts), durability, times);
        let mut record = Record { ops, isolation, ..record };
        let Some(result) = result else {
            // Nobody is told how the last attempt ends.
            if let Some(ts) = installed {
                record.outcome = Outcome::Unknown(ts.get());
            }
            self.records.push(record);
            return Ok(());
        };
        self.conclude(record, result.map(|outcome| outcome.commit.timestamp.get()))
    }

    /// Writes down how a commit ended.
    fn conclude(&mut self, mut record: Record, result: Result<u64>) -> Result<()> {
        let writes = record.writes();
        let (outcome, result) = match result {
            Ok(commit_ts) => {
                self.stage.answered.fetch_max(commit_ts, Ordering::SeqCst);
                let fills = |op: &Op| matches!(op, Op::Put { table, .. } | Op::Append { table, .. } if *table == ELEMENTS);
                if record.ops.iter().any(fills) {
                    self.stage.elements.fetch_add(1, Ordering::Relaxed);
                }
                (Outcome::Committed(writes.then_some(commit_ts)), Ok(()))
            }
            Err(error) => {
                let outcome = match &error {
                    Error::CommitUnknown { commit_ts, .. } if writes => Outcome::Unknown(commit_ts.get()),
                    Error::Busy(conflict) => Outcome::Lost(conflict.key.as_ref().and_then(|key| {
                        let table = conflict.table.as_ref()?;
                        let table = TABLES.iter().position(|name| name == table)?;
                        let winner_ts = conflict.winner_ts?.get();
                        Some(Blame { kind: conflict.kind, row: (table, key.clone()), winner_ts })
                    })),
                    Error::BusySnapshot { .. } => Outcome::Lost(None),
                    _ => Outcome::Aborted,
                };
                (outcome, Err(error))
            }
        };
        record.outcome = outcome;
        for op in &record.ops {
            let Op::Token { token } = op else { continue };
            if let Some(place) = record.commit_ts() {
                self.known(token, place);
                // One in doubt is asked for later.
                if matches!(record.outcome, Outcome::Committed(_)) {
                    lock(&self.stage.tokens).insert(token.clone(), Some(place));
                }
            } else if let Err(error) = &result {
                self.refused(Some(token), error);
            }
        }
        self.records.push(record);
        result
    }
}

/// Fills one transaction, and leaves a mark of its own if it wrote something.
fn work(work: &mut Work, session: usize, tx: &mut Transaction, ops: &mut Vec<Op>) -> Result<()> {
    let mut savepoints = Vec::new();
    for _ in 0..work.rng.usize(1..7) {
        match work.rng.u8(0..48) {
            0..6 => thread::yield_now(),
            6 | 7 => {
                savepoints.push(tx.savepoint()?);
                ops.push(Op::Savepoint);
            }
            8..16 => {
                if let Some(savepoint) = savepoints.last() {
                    tx.rollback_to(savepoint)?;
                    ops.push(Op::TakenBack);
                }
            }
            16..20 => {
                if let Some(savepoint) = savepoints.pop() {
                    tx.release(savepoint)?;
                    ops.push(Op::Released);
                }
            }
            _ => {}
        }
        if work.rng.bool() {
            if work.rng.u8(0..6) == 0 { work.read_untracked(tx, ops)? } else { work.read(tx, ops)? }
        } else {
            work.write(tx, ops)?;
        }
    }
    if ops.iter().any(|op| op.writes() && !matches!(op, Op::Token { .. })) {
        work.fresh += 1;
        let key = format!("{session} {:08x}", work.fresh).into_bytes();
        tx.put(&work.tables[MARKS], &key, b"")?;
        ops.push(Op::Put { table: MARKS, key, value: Vec::new() });
    }
    Ok(())
}

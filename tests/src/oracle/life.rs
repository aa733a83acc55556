//! The books of a life.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use braid::{Commit, Database, Durability, Error, Result, Transaction, TransactionOptions};

use super::issued::{self, SEQUENCES, Token};
use super::{Action, Contents, Drawn, FutureEnd, Mirror, Step, Update, Write, future, leases};

/// How far a life has come, as numbers of its states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// A power cut must leave this, or later.
    pub promised: usize,
    /// A kill must leave this, or later.
    pub acknowledged: usize,
    /// Nothing later can be found.
    pub begun: usize,
    /// So many backups may be found.
    pub backups_begun: usize,
    /// So many must be.
    pub backups_done: usize,
    /// The consumer of the changes must be there.
    pub mirrored: bool,
    /// What the sequences have given out.
    pub drawn: [Drawn; SEQUENCES.len()],
    /// How much time has passed.
    pub now: Duration,
}

/// What is told of everything that was done until now.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// Nothing new.
    Nothing,
    /// The newest commit is installed, and nobody waits for it.
    Unwatched,
    /// A kill takes nothing of it.
    Done,
    /// A power cut neither.
    Durable,
}

impl Told {
    fn of(durability: Durability) -> Self {
        if durability == Durability::Sync { Self::Durable } else { Self::Done }
    }
}

/// A copy that was made on the way.
#[derive(Clone, Debug)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub contents: Arc<Contents>,
}

/// Every state that a database was ever asked to be in, and how far it promised to stay.
#[derive(Clone)]
pub struct Life {
    /// The contents after each action that changed something, the first being what the life began with.
    states: Vec<Arc<Contents>>,
    fingerprints: Vec<u64>,
    backups: Vec<Backup>,
    mirror: Mirror,
    tokens: Vec<Token>,
    /// The newest state that was made by a commit whose future was dropped: it may be seen before anybody is told of it.
    unwatched: usize,
    /// Shared with whoever watches the files while an action runs.
    marks: Arc<Mutex<Marks>>,
}

impl Default for Life {
    fn default() -> Self {
        Self::of(vec![Arc::default()], Vec::new(), Marks::default())
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").field("states", &self.states.len()).field("marks", &self.marks()).finish()
    }
}

impl Life {
    fn of(states: Vec<Arc<Contents>>, backups: Vec<Backup>, marks: Marks) -> Self {
        let fingerprints = states.iter().map(|state| state.fingerprint()).collect();
        let mirror = Mirror::default();
        let marks = Arc::new(Mutex::new(marks));
        Self { states, fingerprints, backups, mirror, tokens: Vec::new(), unwatched: 0, marks }
    }

    /// The life that goes on from state `found`, everything else being gone. A power cut may still take it back to
    /// what `marks` promised, unless `durable`.
    #[must_use]
    pub fn go_on(&self, found: usize, marks: Marks, durable: bool) -> Self {
        let states: Vec<_> = self.states.iter().take(found + 1).cloned().collect();
        let promised = if durable { found } else { marks.promised.min(found) };
        let mut tokens = self.tokens.clone();
        for token in tokens.iter_mut().filter(|token| token.state > found) {
            token.state = usize::MAX;
        }
        let marks =
            Marks { promised, acknowledged: found, begun: found, backups_begun: 0, backups_done: 0, ..marks };
        Self { mirror: self.mirror.fork(), tokens, ..Self::of(states, Vec::new(), marks) }
    }

    /// How far it has come.
    #[must_use]
    pub fn marks(&self) -> Marks {
        *self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it has come, now and later, for one who watches.
    #[must_use]
    pub fn shared_marks(&self) -> Arc<Mutex<Marks>> {
        Arc::clone(&self.marks)
    }

    fn mark(&self, change: impl FnOnce(&mut Marks)) {
        change(&mut self.marks.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The newest contents.
    #[must_use]
    pub fn newest(&self) -> &Contents {
        static NOTHING: std::sync::LazyLock<Contents> = std::sync::LazyLock::new(Contents::default);
        self.states.last().map_or(&NOTHING, |state| state)
    }

    /// The copies that were made.
    #[must_use]
    pub fn backups(&self) -> &[Backup] {
        &self.backups
    }

    /// The copy that a consumer of the changes keeps.
    #[must_use]
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Says that everything that was done is durable from now on, as it is after an open and after a close.
    pub fn promise_everything(&mut self) {
        self.mark(|marks| (marks.promised, marks.acknowledged) = (marks.begun, marks.begun));
    }

    /// Does an action. What it would leave may be found from its beginning on; where it fails in a way that says that
    /// nothing was applied, it never will be.
    ///
    /// # Errors
    /// Those of the action.
    pub fn act(&mut self, db: &Database, action: &Action) -> Result<()> {
        let effect = action.effect(self.newest());
        let changes = effect.is_some();
        if let Some(effect) = effect {
            self.fingerprints.push(effect.fingerprint());
            self.states.push(Arc::new(effect));
            self.mark(|marks| marks.begun += 1);
        }
        let done = self.perform(db, action, changes);
        match &done {
            Ok(Told::Unwatched) => self.unwatched = self.marks().begun,
            Ok(Told::Done) => self.mark(|marks| marks.acknowledged = marks.begun),
            Ok(Told::Durable) => self.promise_everything(),
            // A change of the mode does not tell the two apart.
            Ok(Told::Nothing) | Err(Error::CommitUnknown { .. }) => {}
            Err(Error::Poisoned { .. }) if matches!(action, Action::Mode(_)) => {}
            Err(_) if changes => {
                self.states.pop();
                self.fingerprints.pop();
                self.mark(|marks| marks.begun -= 1);
            }
            Err(_) => {}
        }
        done.map(drop)
    }

    /// What is told of everything until now, the action with it, which `changes` something or does not.
    fn perform(&mut self, db: &Database, action: &Action, changes: bool) -> Result<Told> {
        match action {
            Action::Commit { writes, durability } => {
                let options = TransactionOptions { durability: Some(*durability), ..Default::default() };
                write_all(db, options, writes)?;
                return Ok(Told::of(*durability));
            }
            Action::Tokened { token, writes, durability } => {
                let (state, written) = (self.states.len() - 1, self.marks().now);
                self.tokens.push(Token { name: token.clone(), state, timestamp: None, written });
                let options = TransactionOptions { durability: Some(*durability), ..Default::default() };
                let committed = write_all(db, options.token(token.as_bytes()), writes);
                if let (Ok(commit), Some(token)) = (&committed, self.tokens.last_mut()) {
                    token.timestamp = Some(commit.timestamp);
                } else if !matches!(committed, Err(Error::CommitUnknown { .. })) {
                    self.tokens.pop();
                }
                committed?;
                return Ok(Told::of(*durability));
            }
            Action::Schema { steps, durability } => {
                let options = TransactionOptions { durability: Some(*durability), ..Default::default() };
                let mut tx = db.begin_with(options)?;
                for step in steps {
                    perform_step(&mut tx, step)?;
                }
                tx.commit()?;
                return Ok(Told::of(*durability));
            }
            Action::Update { table, updates, durability } => {
                let options = TransactionOptions { durability: Some(*durability), ..Default::default() };
                update_all(db, options, table, updates)?;
                return Ok(Told::of(*durability));
            }
            Action::ByFuture { writes, durability, end } => {
                let options = TransactionOptions { durability: Some(*durability), ..Default::default() };
                let tx = written(db, options, writes)?;
                return Ok(match (future::commit(db, tx, *end)?, *end) {
                    (Some(_), _) => Told::of(*durability),
                    (None, FutureEnd::Unwatched) => Told::Unwatched,
                    (None, _) => Told::Nothing,
                });
            }
            Action::CreateTable(name) => drop(db.table(name)?),
            Action::Load { table, rows } => {
                let mut load = db.load_table(table)?;
                for (key, value) in rows {
                    load.put(key, value)?;
                }
                load.finish()?;
            }
            Action::DropTable(name) => drop(db.drop_table(name)?),
            Action::Mode(mode) => db.set_journal_mode(*mode)?,
            Action::Sync => db.sync()?,
            Action::Checkpoint => drop(db.checkpoint()?),
            Action::Compact => drop(db.compact()?),
            Action::KeepUp => {
                self.mirror.keep_up(db)?;
                self.mark(|marks| marks.mirrored = true);
            }
            Action::Backup(path) => return self.back_up(db, path).map(|()| Told::Nothing),
            Action::Draw { sequence, block, ids } => {
                let at = sequence % SEQUENCES.len();
                // A new handle reserves a block at least, by a commit that waits for the disk.
                issued::draw(db, at, (*block, *ids), |change| {
                    self.mark(|marks| change(&mut marks.drawn[at]));
                })?;
            }
            Action::Raise { sequence, by } => {
                let at = sequence % SEQUENCES.len();
                issued::raise(db, at, *by, |change| self.mark(|marks| change(&mut marks.drawn[at])))?;
            }
            Action::DropSequence { sequence } => {
                let at = sequence % SEQUENCES.len();
                let dropped = issued::drop(db, at, |change| self.mark(|marks| change(&mut marks.drawn[at])))?;
                return Ok(if dropped { Told::Durable } else { Told::Nothing });
            }
            Action::Revoke { table } => leases::revoke(db, table)?,
            Action::Wait(time) => {
                self.mark(|marks| marks.now += *time);
                return Ok(Told::Nothing);
            }
        }
        // Found in place, a table may be of a commit that nobody waited for.
        let may_be_found = matches!(action, Action::CreateTable(_) | Action::DropTable(_) | Action::Mode(_));
        Ok(if may_be_found && !changes { Told::Nothing } else { Told::Durable })
    }

    fn back_up(&mut self, db: &Database, path: &Path) -> Result<()> {
        let contents = self.states.last().cloned().unwrap_or_default();
        self.backups.push(Backup { path: path.to_path_buf(), contents });
        self.mark(|marks| marks.backups_begun += 1);
        match db.backup(path) {
            Ok(_) => {
                self.mark(|marks| marks.backups_done = marks.backups_begun);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The number of the state that was found, the highest where several are alike.
    ///
    /// # Errors
    /// A sentence, where it is none that `marks` allow; a power cut is told from a kill by `killed`.
    pub fn judge(&self, fingerprint: u64, marks: Marks, killed: bool) -> Result<usize, String> {
        let least = if killed { marks.acknowledged } else { marks.promised };
        let places = || (0..self.fingerprints.len()).rev().filter(|at| self.fingerprints[*at] == fingerprint);
        if let Some(found) = places().find(|at| (least..=marks.begun).contains(at)) {
            return Ok(found);
        }
        let outcome = match places().next() {
            None => "a state that never was".to_owned(),
            Some(at) if at > marks.begun => format!("state {at}, which was not begun"),
            Some(at) => format!("state {at}, which lacks what was promised"),
        };
        Err(format!("{outcome} is left; {least} to {} may be", marks.begun))
    }

    /// Whether ids were drawn, or tokens used.
    #[must_use]
    pub fn gave_out(&self) -> bool {
        !self.tokens.is_empty() || self.marks().drawn.iter().any(|drawn| drawn.begun)
    }

    /// Looks at what was given out beside the rows, where state `found` is there and `marks` hold: ids do not come
    /// again, and tokens are answered as their transactions are there, those that are older than `retention` aside.
    ///
    /// # Errors
    /// Those of the database, and `Other` where something is not as it should be.
    pub fn examine_issued(
        &self,
        db: &Database,
        found: usize,
        marks: Marks,
        retention: Duration,
    ) -> Result<()> {
        self.examine_tokens(db, found, marks, retention)?;
        issued::examine_sequences(db, &marks.drawn)
    }

    /// Asks for every token, where state `found` is there and `marks` hold.
    ///
    /// # Errors
    /// As for [`examine_issued`](Self::examine_issued).
    pub fn examine_tokens(
        &self,
        db: &Database,
        found: usize,
        marks: Marks,
        retention: Duration,
    ) -> Result<()> {
        issued::examine_tokens(db, &self.tokens, found, (marks.now, retention))
    }

    /// Whether a read may give this now: what was acknowledged, or what a commit has left that nobody waits for.
    #[must_use]
    pub fn may_be_read(&self, found: &Contents) -> bool {
        let least = self.marks().acknowledged;
        (least..=self.unwatched.max(least)).any(|number| self.state(number) == Some(found))
    }

    /// The state of a number.
    #[must_use]
    pub fn state(&self, number: usize) -> Option<&Contents> {
        self.states.get(number).map(|state| &**state)
    }

    /// Judges what an open found, and goes on from there.
    ///
    /// # Errors
    /// Those of the reads.
    ///
    /// # Panics
    /// When something is found that must not be.
    pub fn settle(&mut self, db: &Database, killed: bool, context: &str) -> Result<()> {
        let contents = Contents::of(db)?;
        let found = self.judge(contents.fingerprint(), self.marks(), killed);
        let found = found.unwrap_or_else(|error| panic!("{context}: {error}\nfound {contents:?}"));
        crate::assert_clean(db)?;
        *self = self.go_on(found, self.marks(), false);
        Ok(())
    }
}

fn write_all(db: &Database, options: TransactionOptions, writes: &[Write]) -> Result<Commit> {
    written(db, options, writes)?.commit()
}

/// A transaction that has written these.
fn written(db: &Database, options: TransactionOptions, writes: &[Write]) -> Result<Transaction> {
    let mut tx = db.begin_with(options)?;
    for write in writes {
        let table =
            db.existing_table(&write.table)?.ok_or_else(|| Error::NoSuchTable(write.table.clone()))?;
        match &write.value {
            Some(value) => tx.put(&table, &write.key, value)?,
            None => tx.delete(&table, &write.key)?,
        }
    }
    Ok(tx)
}

fn update_all(
    db: &Database,
    options: TransactionOptions,
    table: &str,
    updates: &[(Vec<u8>, Update)],
) -> Result<Commit> {
    let mut tx = db.begin_with(options)?;
    let table = db.existing_table(table)?.ok_or_else(|| Error::NoSuchTable(table.to_owned()))?;
    let savepoint = tx.savepoint()?;
    for (key, _) in updates.iter().filter(|(_, update)| matches!(update, Update::Append(_))) {
        tx.delete(&table, key)?;
    }
    tx.put(&table, "taken back", "")?;
    tx.rollback_to(&savepoint)?;
    for (key, update) in updates {
        match update {
            Update::Add(number) => tx.add(&table, key, *number)?,
            Update::Max(number) => tx.max(&table, key, *number)?,
            Update::Min(number) => tx.min(&table, key, *number)?,
            Update::Append(bytes) => tx.append(&table, key, bytes)?,
        }
    }
    tx.commit()
}

fn perform_step(tx: &mut Transaction, step: &Step) -> Result<()> {
    match step {
        Step::Create(name) => drop(tx.create_table(name)?),
        Step::Drop(name) => drop(tx.drop_table(name)?),
        Step::Rename(from, to) => tx.rename_table(from, to)?,
        Step::Write(write) => {
            let table = tx.existing_table(&write.table)?;
            let table = table.ok_or_else(|| Error::NoSuchTable(write.table.clone()))?;
            match &write.value {
                Some(value) => tx.put(&table, &write.key, value)?,
                None => tx.delete(&table, &write.key)?,
            }
        }
    }
    Ok(())
}

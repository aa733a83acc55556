//! Interleavings written as text, in the notation of the literature on isolation, run by sessions on sibling handles.
//!
//! ```text
//! b1           session 1 begins a concurrent transaction (those that never say so begin before the first step)
//! x1  x1!      session 1 begins an exclusive one and gets its turn; does not get it
//! s1           session 1 takes a read-only snapshot
//! r1(2)=20     reads row 2 and finds 20; `=none`: finds no row
//! p1(%3)={}    scans for values divisible by 3 and finds none; `=30`: values equal to 30; `*`: all
//!              `={1:10,2:20}`: what it finds, as key:value
//! w1(1=11)     writes row 1; i1(3=30): inserts row 3; d1(1): deletes row 1
//! W1(*+10)     adds 10 to every row; W1(=10,12): sets the rows that hold 10 to 12; D1(=20): deletes those that hold 20
//! c1  c1!      commits and succeeds; is told Busy
//! c1~          commits under Snapshot, is told Busy under Serializable
//! a1           rolls back
//! m1           makes a savepoint; t1: takes everything back to the last one; l1: releases it
//! o1(1=11)     a one-statement put outside any transaction
//! ```
//! Rows 1→10 and 2→20 are there at the start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use braid::{
    Admission, ConflictKind, Database, Error, Isolation, JournalMode, Options, Result, Savepoint, Snapshot,
    Table, Transaction, TransactionOptions,
};

use crate::{Place, Session, assert_clean, contents, key, number, number_at, value};

/// Where the rows are while a script runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layering {
    /// In the row store only.
    Store,
    /// The first rows in the tree, what the script writes in the row store.
    Tree,
    /// A checkpoint after every step moves everything down at once.
    Moving,
}

/// Runs a script among concurrent transactions in [`JournalMode::Mvcc`] under every [`Layering`], and compares the
/// rows that it leaves, written as `"1=11 2=21"`.
///
/// # Errors
/// What no script expects.
///
/// # Panics
/// When a step ends otherwise than the script says.
pub fn run_script(isolation: Isolation, steps: &str, rows: &str) -> Result<()> {
    for layering in [Layering::Store, Layering::Tree, Layering::Moving] {
        run(JournalMode::Mvcc, isolation, layering, steps, rows)?;
    }
    Ok(())
}

/// The same in [`JournalMode::Wal`], where the writers of the script begin by `x`: no level makes a difference there, so it is
/// run at both.
///
/// # Errors
/// What no script expects.
///
/// # Panics
/// When a step ends otherwise than the script says.
pub fn run_script_in_wal(steps: &str, rows: &str) -> Result<()> {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        for layering in [Layering::Store, Layering::Tree, Layering::Moving] {
            run(JournalMode::Wal, isolation, layering, steps, rows)?;
        }
    }
    Ok(())
}

fn run(mode: JournalMode, isolation: Isolation, layering: Layering, steps: &str, rows: &str) -> Result<()> {
    let place = Place::new();
    let db = place.open_with(Options {
        cache_bytes: 1 << 20,
        log_segment_bytes: 64 << 10,
        ..Options::default()
    })?;
    db.set_journal_mode(mode)?;
    let table = db.table("rows")?;
    db.put(&table, key(1), value(10))?;
    db.put(&table, key(2), value(20))?;
    if layering != Layering::Store {
        db.checkpoint()?;
    }

    let tokens: Vec<Token> = steps.split_whitespace().map(Token::parse).collect();
    let mut sessions = BTreeMap::new();
    for token in &tokens {
        sessions.entry(token.session).or_insert_with(|| {
            let path = place.path();
            Session::start(move || Desk::sit_down(path, isolation))
        });
    }
    for (&number, session) in &sessions {
        let begins = |token: &&Token| token.session == number && matches!(token.op, 'b' | 'x' | 's' | 'o');
        if !tokens.iter().any(|token| begins(&token)) {
            session
                .run(|desk| desk.begin(Admission::Concurrent, None))
                .unwrap_or_else(|e| panic!("begin: {e}"));
        }
    }
    for token in &tokens {
        let session = sessions.get(&token.session).expect("every session of the script has been started");
        let step = token.clone();
        let (done, context) =
            (session.run(move |desk| desk.take(&step)), format!("{} in `{steps}`", token.text));
        done.unwrap_or_else(|difference| panic!("{context}, {layering:?}, {isolation:?}: {difference}"));
        if layering == Layering::Moving {
            db.checkpoint()?;
        }
    }
    drop(sessions);

    let left = contents(&db.snapshot()?, &table)?;
    let expected: BTreeMap<Vec<u8>, Vec<u8>> = parse_pairs(rows, ' ', '=')
        .into_iter()
        .map(|(number, number_value)| (key(number).to_vec(), value(number_value)))
        .collect();
    assert_eq!(left, expected, "the rows that `{steps}` leaves, {layering:?}, {isolation:?}");
    assert_clean(&db)
}

/// One step of a script.
#[derive(Clone, Debug)]
struct Token {
    text: String,
    op: char,
    session: u32,
    argument: String,
    result: String,
}

impl Token {
    fn parse(text: &str) -> Self {
        let mut chars = text.chars();
        let op = chars.next().expect("a step has a letter");
        let session = chars.next().and_then(|c| c.to_digit(10)).expect("a step has a session number");
        let rest = chars.as_str();
        let (argument, result) = match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(')').expect("a step closes its parenthesis"),
            None => ("", rest),
        };
        let (argument, result) = (argument.to_owned(), result.to_owned());
        Self { text: text.to_owned(), op, session, argument, result }
    }
}

/// `"1=11 2=21"` and the like, as numbers.
fn parse_pairs(text: &str, between: char, within: char) -> Vec<(u64, i64)> {
    let pair = |text: &str| {
        let (left, right) = text.split_once(within).expect("a pair has two sides");
        (left.parse().expect("a key is a number"), right.parse().expect("a value is a number"))
    };
    text.split(between).filter(|part| !part.is_empty()).map(pair).collect()
}

type Filter = Box<dyn Fn(i64) -> bool>;
type Change = Box<dyn Fn(i64) -> i64>;

/// What a scan looks for, and what it does to what it finds.
fn parse_predicate(text: &str) -> (Filter, Change) {
    let number = |text: &str| text.parse::<i64>().expect("a predicate has a number");
    if let Some(rest) = text.strip_prefix('%') {
        let divisor = number(rest);
        return (Box::new(move |v| v % divisor == 0), Box::new(|v| v));
    }
    if let Some(rest) = text.strip_prefix('=') {
        let (wanted, new) = rest.split_once(',').map_or((rest, rest), |(wanted, new)| (wanted, new));
        let (wanted, new) = (number(wanted), number(new));
        return (Box::new(move |v| v == wanted), Box::new(move |_| new));
    }
    let rest = text.strip_prefix('*').expect("a predicate is `*`, `=` or `%`");
    let add = if rest.is_empty() { 0 } else { number(rest) };
    (Box::new(|_| true), Box::new(move |v| v + add))
}

#[derive(Debug)]
enum Open {
    Nothing,
    Writing(Transaction),
    Reading(Snapshot),
}

/// The state of one session: a handle of its own and what it has begun.
#[derive(Debug)]
struct Desk {
    db: Database,
    table: Table,
    isolation: Isolation,
    open: Open,
    savepoints: Vec<Savepoint>,
}

type Step = std::result::Result<(), String>;

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` takes")]
fn said(error: Error) -> String {
    format!("{error} ({error:?})")
}

fn expect<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T) -> Step {
    if found == expected { Ok(()) } else { Err(format!("found {found:?}, and it should be {expected:?}")) }
}

impl Desk {
    fn sit_down(path: PathBuf, isolation: Isolation) -> Self {
        let db = Database::open(path).unwrap_or_else(|error| panic!("a sibling handle opens: {error}"));
        let table = db.table("rows").unwrap_or_else(|error| panic!("a sibling opens the table: {error}"));
        Self { db, table, isolation, open: Open::Nothing, savepoints: Vec::new() }
    }

    fn begin(&mut self, admission: Admission, busy_timeout: Option<Duration>) -> Result<()> {
        let options =
            TransactionOptions { admission, isolation: self.isolation, busy_timeout, ..Default::default() };
        self.open = Open::Writing(self.db.begin_with(options)?);
        Ok(())
    }

    fn snapshot(&self) -> &Snapshot {
        match &self.open {
            Open::Writing(tx) => tx,
            Open::Reading(snapshot) => snapshot,
            Open::Nothing => panic!("the session has begun nothing"),
        }
    }

    fn transaction(&mut self) -> (&mut Transaction, &Table) {
        match &mut self.open {
            Open::Writing(tx) => (tx, &self.table),
            Open::Reading(_) | Open::Nothing => panic!("the session has begun no write transaction"),
        }
    }

    fn found_by(&self, predicate: &dyn Fn(i64) -> bool) -> Result<Vec<(u64, i64)>> {
        let mut found = Vec::new();
        for row in self.snapshot().scan(&self.table)? {
            let (row_key, row_value) = row?;
            let row_key: [u8; 8] = row_key.try_into().expect("a key is the key that was written");
            if predicate(number(&row_value)) {
                found.push((u64::from_be_bytes(row_key), number(&row_value)));
            }
        }
        Ok(found)
    }

    fn take(&mut self, step: &Token) -> Step {
        match step.op {
            'b' => self.begin(Admission::Concurrent, None).map_err(said),
            'x' => self.begin_exclusive(step.result == "!"),
            's' => {
                self.open = Open::Reading(self.db.snapshot().map_err(said)?);
                Ok(())
            }
            'r' | 'p' => self.read(step),
            'w' | 'i' | 'd' | 'W' | 'D' => self.write(step).map_err(said),
            'o' => {
                let &[(at, new)] = parse_pairs(&step.argument, ' ', '=').as_slice() else {
                    panic!("one row is written");
                };
                self.db.put(&self.table, key(at), value(new)).map(drop).map_err(said)
            }
            'm' | 't' | 'l' => self.savepoint(step.op).map_err(said),
            'c' => self.commit(&step.result),
            'a' => {
                if let Open::Writing(tx) = std::mem::replace(&mut self.open, Open::Nothing) {
                    tx.rollback();
                }
                Ok(())
            }
            other => panic!("no step is called `{other}`"),
        }
    }

    fn savepoint(&mut self, op: char) -> Result<()> {
        let last = self.savepoints.last().copied();
        let (tx, _) = self.transaction();
        match (op, last) {
            ('m', _) => {
                let made = tx.savepoint()?;
                self.savepoints.push(made);
            }
            ('t', Some(last)) => tx.rollback_to(&last)?,
            ('l', Some(last)) => {
                tx.release(last)?;
                self.savepoints.pop();
            }
            _ => panic!("there is no savepoint"),
        }
        Ok(())
    }

    fn begin_exclusive(&mut self, expect_locked: bool) -> Step {
        // Whether the turn is to be had is decided by the script, so there is nothing to wait for.
        let begun = self.begin(Admission::Immediate, expect_locked.then_some(Duration::ZERO));
        match begun {
            Ok(()) if expect_locked => Err("the turn was given away twice".to_owned()),
            Ok(()) => Ok(()),
            Err(error) if expect_locked => {
                expect(&error.conflict().map(|conflict| conflict.kind), &Some(ConflictKind::Timeout))
            }
            Err(error) => Err(said(error)),
        }
    }

    fn read(&self, step: &Token) -> Step {
        let result = step.result.strip_prefix('=').expect("a read has a result");
        if step.op == 'r' {
            let at = step.argument.parse().expect("a read has a key");
            let expected = (result != "none").then(|| result.parse().expect("a result is a number"));
            return expect(&number_at(self.snapshot(), &self.table, at).map_err(said)?, &expected);
        }
        let (predicate, _) = parse_predicate(&step.argument);
        let expected = result.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let expected = parse_pairs(expected.expect("a scan has a set as its result"), ',', ':');
        expect(&self.found_by(&predicate).map_err(said)?, &expected)
    }

    fn write(&mut self, step: &Token) -> Result<()> {
        match step.op {
            'w' | 'i' => {
                for (at, new) in parse_pairs(&step.argument, ' ', '=') {
                    let (tx, table) = self.transaction();
                    if step.op == 'w' {
                        tx.put(table, key(at), value(new))?;
                    } else {
                        tx.insert(table, key(at), value(new))?;
                    }
                }
            }
            'd' => {
                let at = step.argument.parse().expect("a delete has a key");
                let (tx, table) = self.transaction();
                tx.delete(table, key(at))?;
            }
            _ => {
                let (predicate, change) = parse_predicate(&step.argument);
                for (at, old) in self.found_by(&predicate)? {
                    let (tx, table) = self.transaction();
                    if step.op == 'W' {
                        tx.put(table, key(at), value(change(old)))?;
                    } else {
                        tx.delete(table, key(at))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn commit(&mut self, result: &str) -> Step {
        let expect_busy = match result {
            "" => false,
            "!" => true,
            "~" => self.isolation == Isolation::Serializable,
            other => panic!("no commit ends in `{other}`"),
        };
        let tx = match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Writing(tx) => tx,
            Open::Reading(_) => return Ok(()),
            Open::Nothing => panic!("the session has begun nothing"),
        };
        let begin_ts = tx.timestamp();
        match tx.commit() {
            Ok(_) if expect_busy => Err("the commit went through".to_owned()),
            Ok(commit) if commit.timestamp < begin_ts => Err("the commit lies before its begin".to_owned()),
            Ok(_) => Ok(()),
            Err(error) if expect_busy => self.lost(&error, begin_ts),
            Err(error) => Err(said(error)),
        }
    }

    /// A loser is told the truth about whom it lost to.
    fn lost(&self, error: &Error, begin_ts: braid::Timestamp) -> Step {
        let Some(conflict) = error.conflict() else {
            return Err(format!("the commit failed otherwise: {error} ({error:?})"));
        };
        expect(&error.is_retryable(), &true)?;
        expect(&conflict.table.as_deref(), &Some("rows"))?;
        expect(&conflict.begin_ts, &begin_ts)?;
        expect(&conflict.winner_ts.is_some_and(|winner| winner > begin_ts), &true)?;
        expect(&conflict.key.is_some(), &true)?;
        if self.isolation == Isolation::Snapshot {
            expect(&conflict.kind, &ConflictKind::WriteWrite)?;
        }
        Ok(())
    }
}

//! The replay of a life in the order of its commits.
//!
//! 1. No two commits have one timestamp, each lies after its snapshot, and an exclusive one right after it.
//! 2. Every read, of losers too, is answered from the state at its snapshot with its own writes on top.
//! 3. The tracked reads of a `Serializable` transaction that wrote and committed are answered the same at its own place.
//! 4. Of two that committed a write of one row the later began after the earlier; an update is made of what was there
//!    right before its commit.
//! 5. A loser lost to a commit that is there, after its snapshot, that wrote the row it is blamed for. Over a row that it
//!    updated and did not look at it does not lose. An update that was refused could not be made.
//! 6. Timestamps are given out without gaps: what nobody made is a commit of nobody's.
//! 7. Who wrote to a table, or as `Serializable` read all of a range of it, commits only if nobody dropped or renamed it since
//!    the transaction began. A table that was dropped, or never came to be, is there for nobody.
//! 8. What was not acknowledged as durable, and then turned out unknown, was in no snapshot.

use std::collections::BTreeMap;
use std::ops::Bound;

use braid::{Conflict, ConflictKind, Durability, Isolation};

use super::Verdict;
use super::history::{Act, Dump, Glimpse, History, Outcome, Transaction, What};
use super::model::{Model, NAMES, Span, Start, TABLES, Table, id_datum, id_key, is_exact};
use super::own::{Kept, Own, OwnRow};
use crate::run::rows::{Datum, Key, Rows};

/// Replays a life, and returns every version of its rows.
///
/// # Errors
/// The first thing that is wrong.
pub fn replay(start: &Start, history: &History) -> Result<Model, String> {
    let mut model = Model::new(start, &history.schema)?;
    model.exact.extend(history.transactions.iter().flat_map(|one| &one.acts).filter_map(made));
    let mut commits: BTreeMap<u64, &Transaction> = BTreeMap::new();
    for one in &history.transactions {
        let Some(ts) = one.outcome.place() else { continue };
        if !has_writes(one) {
            continue;
        }
        if ts <= one.begin_ts.unwrap_or(start.ts) {
            return Err(format!("the commit at {ts} lies before its snapshot: {one:?}"));
        }
        if let Some(other) = commits.insert(ts, one) {
            return Err(format!("two commits at {ts}: {one:?} and {other:?}"));
        }
    }
    gaps(history, &commits)?;
    for (&ts, one) in &commits {
        model.commits.insert(ts);
        commit(&mut model, one, ts).map_err(|why| format!("{why}, in the commit at {ts}: {one:?}"))?;
    }
    for one in &history.transactions {
        rest(&model, one).map_err(|why| format!("{why}, in {one:?}"))?;
    }
    for glimpse in &history.glimpses {
        glimpsed(&model, glimpse)?;
    }
    for dump in &history.dumps {
        dumped(&model, dump).map_err(|why| format!("a copy of the moment {} is wrong: {why}", dump.ts))?;
    }
    unknown_was_unseen(history)?;
    Ok(model)
}

fn made(act: &Act) -> Option<u32> {
    match act.what {
        What::Make { id, .. } => Some(id),
        _ => None,
    }
}

fn has_writes(one: &Transaction) -> bool {
    one.token.is_some() || !Kept::of(&one.acts).writes.is_empty()
}

/// Rules 1, 2 and 4 for one that committed; then its writes.
fn commit(model: &mut Model, one: &Transaction, ts: u64) -> Verdict {
    let mut own = Own::new();
    answers(model, one.begin_ts.unwrap_or(ts - 1), &one.acts, &mut own)?;
    for (table, rows) in &own.rows {
        let dropped = model.tables.get(table).and_then(|table| table.dropped);
        if dropped.is_some_and(|dropped| dropped.is_past(ts)) {
            return Err(format!("it wrote to table {table}, which was dropped at {dropped:?}"));
        }
        let is_write = |row: &OwnRow, key: &Key| matches!(row, OwnRow::Is(_)) || own.has_seen(*table, key);
        for key in rows.iter().filter(|(key, row)| is_write(row, key)).map(|(key, _)| key) {
            let newest = model.newest(*table, key);
            if let (Some(begin), Some(newest)) = (one.begin_ts, newest)
                && newest > begin
            {
                return Err(format!("a lost update of `{key:?}`, written at {newest}"));
            }
        }
    }
    if let (true, Some(begin)) = (one.exclusive, one.begin_ts)
        && let Some(between) = model.commits.range(begin + 1..ts).next()
    {
        return Err(format!("it was alone, and another committed at {between}"));
    }
    if let Some(begin) = one.begin_ts {
        let scanned = one.acts.iter().filter(|act| {
            act.tracked
                && matches!(act.what, What::Count { .. } | What::Range { ended: true, .. })
                && !reads_nothing(&act.what)
        });
        for table in own.rows.keys().copied().chain(scanned.map(|act| act.table)) {
            if let Some(withdrawn) = model.withdrawn_after(table, begin) {
                return Err(format!("it used table {table}, which was dropped or renamed at {withdrawn}"));
            }
        }
    }
    model.apply_names(&own, ts);
    model.install(own.rows, ts)
}

/// Whether it asks for a range in which no key can lie: it reads nothing, and hangs on no table.
fn reads_nothing(what: &What) -> bool {
    let (What::Count { from, to, .. } | What::Range { from, to, .. }) = what else { return false };
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from >= to
        }
    }
}

/// Everything that does not need the moment of the commit itself.
fn rest(model: &Model, one: &Transaction) -> Verdict {
    let wrote = has_writes(one);
    if let (Outcome::Committed { ts, .. }, Some(begin)) = (&one.outcome, one.begin_ts)
        && !wrote
        && *ts != begin
    {
        return Err(format!("it wrote nothing and committed at {ts}"));
    }
    let mut own = Own::new();
    match (&one.outcome, one.begin_ts) {
        (Outcome::Committed { ts, .. } | Outcome::Unknown { ts } | Outcome::Unwatched { ts }, _) if wrote => {
            if one.isolation == Isolation::Serializable {
                let tracked = one.acts.iter().filter(|act| act.tracked && !reads_nothing(&act.what));
                let tracked: Vec<_> = tracked.cloned().collect();
                answers(model, ts - 1, &tracked, &mut Own::new())
                    .map_err(|why| format!("{why} (at the place of its commit)"))?;
            }
        }
        (_, Some(begin)) => answers(model, begin, &one.acts, &mut own)?,
        (_, None) => {}
    }
    match &one.outcome {
        Outcome::Lost(conflict) => lost(model, one, conflict, &own),
        Outcome::Refused { key } => refused(model, one, key, &own),
        _ => Ok(()),
    }
}

/// Asks everything again that a transaction asked, and does what it did.
fn answers(model: &Model, ts: u64, acts: &[Act], own: &mut Own) -> Verdict {
    for act in acts {
        if let Some(expected) = answer(model, ts, act, own) {
            return Err(format!("{act:?} should be {expected} at {ts}"));
        }
    }
    Ok(())
}

/// What the answer should have been, where it was not.
fn answer(model: &Model, ts: u64, act: &Act, own: &mut Own) -> Option<String> {
    let table = act.table;
    if let Some(answer) = name_answer(model, ts, act, own) {
        return answer;
    }
    if model.exact.contains(&table) {
        let there = match own.get(TABLES, &id_key(table)) {
            Some(own) => matches!(own, OwnRow::Is(Some(_))),
            // One that is made later is empty; one that never came to be is not there.
            None => model
                .tables
                .get(&table)
                .is_some_and(|table| !table.dropped.is_some_and(|dropped| dropped.is_past(ts))),
        };
        let later =
            model.tables.get(&table).is_some_and(|table| table.created.is_some_and(|made| !made.is_past(ts)));
        match (&act.what, there) {
            (What::Gone, true) if later => return None,
            (What::Gone, true) => return Some("there".to_owned()),
            (What::Gone, false) => return None,
            (_, false) => return Some("refused, as there is no such table".to_owned()),
            (_, true) => {}
        }
    } else if act.what == What::Gone {
        let may_be = model.tables.get(&table).is_some_and(|table| {
            let is_later = |created: Span| !created.is_past(ts);
            table.dropped.is_some_and(|dropped| dropped.may_be_past(ts))
                || (table.loaded && table.created.is_some_and(is_later))
        });
        return (!may_be).then(|| "there".to_owned());
    }
    // At the place of its commit a table may be gone that a transaction has read: the rows are looked at all the same.
    match &act.what {
        What::Put { key, value } => own.write(table, key, Some(*value)),
        What::Delete { key } => own.write(table, key, None),
        What::Update { key, step } => {
            return own.update(model, ts, table, key, step).then(|| "refused".to_owned());
        }
        What::NotUpdated { key, step } => {
            let before = own.clone();
            if own.update(model, ts, table, key, step) {
                return None;
            }
            // A cursor may have come to the row as the first one beyond its range, which makes the update a write.
            *own = before;
            own.look(model, ts, table, key);
            return (!own.update(model, ts, table, key, step)).then(|| "taken".to_owned());
        }
        What::Get { key, found } => {
            see(act, own, key);
            let expected = look(model, ts, table, key, own);
            return (expected != *found).then(|| format!("{expected:?}"));
        }
        What::Contains { key, found } => {
            see(act, own, key);
            let expected = look(model, ts, table, key, own);
            return (expected.is_some() != *found).then(|| format!("{expected:?}"));
        }
        What::Range { from, to, front, back, ended } => {
            let rows = model.range(table, (from, to), ts, own);
            let enough = front.len() + back.len() <= rows.len();
            let complete = !ended || front.len() + back.len() == rows.len();
            let agrees = enough
                && complete
                && rows.iter().zip(front).all(|((key, value), found)| (key, value) == (&found.0, &found.1))
                && rows
                    .iter()
                    .rev()
                    .zip(back)
                    .all(|((key, value), found)| (key, value) == (&found.0, &found.1));
            if *ended {
                own.look_at_all(model, ts, table, (from, to));
            }
            for (key, _) in front.iter().chain(back) {
                own.look(model, ts, table, key);
            }
            if act.tracked {
                let last = (front.last().map(|(key, _)| key), back.last().map(|(key, _)| key));
                saw_range(own, table, (from, to), last, *ended);
            }
            return (!agrees).then(|| listed(&rows));
        }
        What::Count { from, to, found } => {
            let expected = model.range(table, (from, to), ts, own).len() as u64;
            own.look_at_all(model, ts, table, (from, to));
            if act.tracked {
                own.saw(table, from.clone(), to.clone());
            }
            return (expected != *found).then(|| expected.to_string());
        }
        What::DeleteRange { from, to, removed } => {
            let rows = model.range(table, (from, to), ts, own);
            rows.keys().for_each(|key| own.write(table, key, None));
            own.saw(table, from.clone(), to.clone());
            return (rows.len() as u64 != *removed).then(|| listed(&rows));
        }
        What::Savepoint { .. }
        | What::TakenBack { .. }
        | What::Released { .. }
        | What::NoSavepoint { .. } => return own.savepoint(&act.what),
        _ => {}
    }
    None
}

/// The same of an act upon names; `None` for any other.
fn name_answer(model: &Model, ts: u64, act: &Act, own: &mut Own) -> Option<Option<String>> {
    let id_of = |own: &mut Own, name: &Key| look(model, ts, NAMES, name, own);
    let unless = |expected: Option<Datum>, found: Option<u32>| {
        (expected != found.map(id_datum)).then(|| format!("{expected:?}"))
    };
    let write = |own: &mut Own, name: &Key, id: u32, there: bool| {
        own.write(NAMES, name, there.then(|| id_datum(id)));
        own.write(TABLES, &id_key(id), there.then(|| Datum::of(name.as_ref())));
    };
    Some(match &act.what {
        What::Named { name, found } => unless(id_of(own, name), *found),
        What::Names { found } => {
            let rows = model.range(NAMES, (&Bound::Unbounded, &Bound::Unbounded), ts, own);
            (!rows.keys().eq(found)).then(|| format!("{:?}", rows.keys()))
        }
        What::Make { name, id } => {
            let wrong = unless(id_of(own, name), None);
            write(own, name, *id, true);
            wrong
        }
        What::Unmake { name, id } => {
            let wrong = unless(id_of(own, name), Some(*id));
            write(own, name, *id, false);
            wrong
        }
        What::RenameAlone { from, to } => {
            let id = id_of(own, from).and_then(Datum::as_number).and_then(|id| u32::try_from(id).ok());
            let Some(id) = id else { return Some(Some(format!("refused, as there is no {from:?}"))) };
            let wrong = unless(id_of(own, to), None);
            write(own, from, id, false);
            write(own, to, id, true);
            wrong
        }
        What::Rename { from, to, id } => {
            let wrong = unless(id_of(own, from), Some(*id)).or_else(|| unless(id_of(own, to), None));
            write(own, from, *id, false);
            write(own, to, *id, true);
            wrong
        }
        _ => return None,
    })
}

/// A row is looked up. What the transaction itself wrote to it is not in what others may change.
fn see(act: &Act, own: &mut Own, key: &Key) {
    let is_seen = match own.get(act.table, key) {
        Some(OwnRow::Is(_)) => false,
        Some(OwnRow::Updated(_)) => true,
        None => act.tracked,
    };
    if is_seen {
        let at = Bound::Included(key.clone());
        own.saw(act.table, at.clone(), at);
    }
}

/// A range was passed: from each end to the last row that it gave there, or to where the ends have met.
fn saw_range(
    own: &mut Own,
    table: u32,
    (from, to): (&Bound<Key>, &Bound<Key>),
    (front, back): (Option<&Key>, Option<&Key>),
    ended: bool,
) {
    if ended {
        return own.saw(table, from.clone(), to.clone());
    }
    if let Some(last) = front {
        own.saw(table, from.clone(), Bound::Included(last.clone()));
    }
    if let Some(last) = back {
        own.saw(table, Bound::Included(last.clone()), to.clone());
    }
}

fn look(model: &Model, ts: u64, table: u32, key: &Key, own: &mut Own) -> Option<Datum> {
    own.look(model, ts, table, key);
    match own.get(table, key) {
        Some(OwnRow::Is(value)) => *value,
        Some(OwnRow::Updated(_)) => Some(Datum::of(b"refused")),
        None => model.get(table, key, ts),
    }
}

/// Rows as a person reads them.
pub(super) fn listed(rows: &Rows) -> String {
    let rows: Vec<_> = rows.iter().map(|(key, value)| format!("{key:?} {value:?}")).collect();
    format!("[{}]", rows.join(", "))
}

/// Rule 5, of an update that the commit refused.
fn refused(model: &Model, one: &Transaction, key: &Key, own: &Own) -> Verdict {
    let Some(begin) = one.begin_ts else { return Ok(()) };
    let refuses = |row: &OwnRow, before| matches!(row, OwnRow::Updated(_)) && row.value(before).is_none();
    let may_be = model
        .values_since(key, begin)
        .any(|(table, value)| own.get(table, key).is_some_and(|row| refuses(row, value)));
    // A table that it made itself is empty.
    let own_tables = own.rows.iter().filter(|(table, _)| !model.tables.contains_key(table));
    let in_own = own_tables.filter_map(|(_, rows)| rows.get(key)).any(|row| refuses(row, None));
    if may_be || in_own { Ok(()) } else { Err(format!("the update of `{key:?}` could be made")) }
}

/// Rule 5.
fn lost(model: &Model, one: &Transaction, conflict: &Conflict, own: &Own) -> Verdict {
    if let Some(begin) = one.begin_ts
        && conflict.begin_ts.get() != begin
        && conflict.kind != ConflictKind::Timeout
    {
        return Err(format!("its conflict tells of another snapshot: {conflict:?}"));
    }
    if one.exclusive && conflict.kind != ConflictKind::Timeout {
        return Err(format!("it was alone and lost: {conflict:?}"));
    }
    let Some(winner) = conflict.winner_ts.map(braid::Timestamp::get) else {
        let may_be = matches!(conflict.kind, ConflictKind::Timeout | ConflictKind::Schema);
        return if may_be { Ok(()) } else { Err(format!("it lost to nobody: {conflict:?}")) };
    };
    if winner <= conflict.begin_ts.get() {
        return Err(format!("it lost to one before its snapshot: {conflict:?}"));
    }
    let name = conflict.table.as_deref().unwrap_or_default();
    // What an exact table was called when, and to whom, is for the rules above.
    let is_meant = |table: &Table| if table.exact { is_exact(name.as_bytes()) } else { table.name == name };
    let mut tables = model.tables.iter().filter(|(_, table)| is_meant(table));
    let blamed_rightly = match (conflict.kind, &conflict.key) {
        (ConflictKind::Schema, _) if model.changed_names_at(winner) => true,
        (ConflictKind::Schema, _) => {
            // A list of all names may be wrong by any change.
            let lists = one.acts.iter().any(|act| matches!(act.what, What::Names { .. }));
            let perhaps = model.perhaps.iter().any(|(_, at)| lists && at.holds(winner));
            let at_winner = |at: Option<Span>| at.is_some_and(|at| at.holds(winner));
            perhaps
                || tables.any(|(_, table)| at_winner(table.dropped) || (lists && at_winner(table.created)))
        }
        (kind, Some(key)) => {
            let Kept { reads, writes } = Kept::of(&one.acts);
            let blamed = if kind == ConflictKind::WriteWrite { writes } else { reads };
            // An update that is looked at by whatever way has looked at its row.
            let looks = |act: &Act| matches!(&act.what, What::Update { key: updated, .. } if updated.as_ref() == &**key);
            let is_own = blamed.iter().any(|act| act.tracked && touches(act, kind, key))
                || (kind == ConflictKind::ReadWrite && one.acts.iter().any(looks));
            let key = Key::from(key.as_slice());
            is_own
                && tables.any(|(id, _)| {
                    model.has_version(*id, &key, winner)
                        && !(kind == ConflictKind::WriteWrite && is_blind(one, own, *id, &key))
                })
        }
        (_, None) => false,
    };
    if blamed_rightly { Ok(()) } else { Err(format!("nobody did what it lost to: {conflict:?}")) }
}

/// Whether a row was updated, and not looked at. What lies ahead of a cursor may count as looked at, too.
fn is_blind(one: &Transaction, own: &Own, table: u32, key: &Key) -> bool {
    use std::ops::RangeBounds as _;
    let may_have_passed = |act: &Act| {
        act.tracked
            && act.table == table
            && matches!(&act.what, What::Range { from, to, .. } if (from.as_ref(), to.as_ref()).contains(key))
    };
    matches!(own.get(table, key), Some(OwnRow::Updated(_)))
        && !own.has_seen(table, key)
        && !one.acts.iter().any(may_have_passed)
}

/// Whether a conflict of this kind may come of the act.
fn touches(act: &Act, kind: ConflictKind, blamed: &[u8]) -> bool {
    match (&act.what, kind) {
        (
            What::Put { key, .. } | What::Delete { key } | What::Update { key, .. },
            ConflictKind::WriteWrite,
        )
        | (What::Get { key, .. } | What::Contains { key, .. }, ConflictKind::ReadWrite) => {
            key.as_ref() == blamed
        }
        (What::DeleteRange { from, to, .. }, ConflictKind::WriteWrite | ConflictKind::Range)
        | (What::Range { from, to, .. } | What::Count { from, to, .. }, ConflictKind::Range) => {
            use std::ops::RangeBounds as _;
            (from.as_ref().map(Key::as_ref), to.as_ref().map(Key::as_ref)).contains(blamed)
        }
        _ => false,
    }
}

/// Rule 6, as far as it can be told: a change of the catalog does not tell its timestamp.
fn gaps(history: &History, commits: &BTreeMap<u64, &Transaction>) -> Verdict {
    let mut ahead = commits.keys().peekable();
    while let Some(ts) = ahead.next()
        && let Some(next) = ahead.peek()
    {
        for gap in ts + 1..**next {
            let mut others =
                history.schema.iter().map(|schema| schema.at).chain(history.own_commits.iter().copied());
            if !others.any(|at| at.holds(gap)) {
                return Err(format!("nobody made the commit at {gap}"));
            }
        }
    }
    Ok(())
}

fn glimpsed(model: &Model, glimpse: &Glimpse) -> Verdict {
    let Glimpse { at: Span { after, until }, table, key, found, .. } = glimpse;
    let never = model.exact.contains(table) && !model.tables.contains_key(table);
    if never && found.is_some() {
        return Err(format!("table {table} never came to be: {glimpse:?}"));
    }
    let Some(found) = found else {
        // A table of a transaction that did not commit is there for nobody.
        if never {
            return Ok(());
        }
        let known = model.tables.get(table);
        let dropped = known.and_then(|table| table.dropped);
        // Whoever makes a table has it before the commit does.
        let made = known.filter(|table| table.exact).and_then(|table| table.created);
        let may_be = dropped.is_some_and(|dropped| dropped.may_be_past(*until))
            || made.is_some_and(|made| !made.is_past(*after));
        return if may_be { Ok(()) } else { Err(format!("table {table} was there: {glimpse:?}")) };
    };
    let moments =
        std::iter::once(after).chain(model.commits.range(after + 1..).take_while(|ts| *ts <= until));
    let mut seen = moments.map(|ts| model.get(*table, key, *ts));
    if seen.any(|value| value == *found) { Ok(()) } else { Err(format!("it was never so: {glimpse:?}")) }
}

/// A copy of the database against the moment that it shows.
pub(super) fn dumped(model: &Model, dump: &Dump) -> Verdict {
    let Dump { ts, tables, .. } = dump;
    for (name, (id, rows)) in tables {
        if is_exact(name.as_bytes()) {
            if model.get(NAMES, &Key::from(name.as_bytes()), *ts) != Some(id_datum(*id)) {
                return Err(format!("table {id} should not be there as `{name}`"));
            }
            let expected = model.rows(*id, *ts);
            if expected != *rows {
                let (rows, expected) = (listed(rows), listed(&expected));
                return Err(format!("table `{name}` holds {rows} instead of {expected}"));
            }
            continue;
        }
        let Some(table) = model.tables.get(id) else {
            let perhaps = model.perhaps.iter().any(|(other, at)| other == name && at.may_be_past(*ts));
            if perhaps && rows.is_empty() {
                continue;
            }
            return Err(format!("table {id} `{name}` should not be there"));
        };
        if table.name != *name {
            return Err(format!("table {id} `{}` has become `{name}`", table.name));
        }
        let too_early = table.created.is_some_and(|created| !created.may_be_past(*ts));
        let too_late = table.dropped.is_some_and(|dropped| dropped.is_past(*ts));
        if too_early || too_late {
            return Err(format!("table {id} `{name}` should not be there"));
        }
        let expected = model.rows(*id, *ts);
        if expected != *rows {
            return Err(format!("table `{name}` holds {} instead of {}", listed(rows), listed(&expected)));
        }
    }
    for name in model.rows(NAMES, *ts).keys() {
        if !tables.keys().any(|found| found.as_bytes() == name.as_ref()) {
            return Err(format!("table {name:?} should be there"));
        }
    }
    for (id, table) in model.tables.iter().filter(|(_, table)| !table.exact) {
        let must_be = table.created.is_none_or(|created| created.is_past(*ts))
            && table.dropped.is_none_or(|dropped| !dropped.may_be_past(*ts));
        if must_be && !tables.contains_key(&table.name) {
            return Err(format!("table {id} `{}` should be there", table.name));
        }
    }
    Ok(())
}

/// Rule 8.
fn unknown_was_unseen(history: &History) -> Verdict {
    let seen = history.transactions.iter().filter(|one| one.read_only).filter_map(|one| one.begin_ts).max();
    let Some(seen) = seen else { return Ok(()) };
    for one in &history.transactions {
        if let Outcome::Unknown { ts } = one.outcome
            && one.durability == Durability::Sync
            && has_writes(one)
            && ts <= seen
        {
            return Err(format!("a snapshot at {seen} saw the unknown commit at {ts}: {one:?}"));
        }
    }
    Ok(())
}

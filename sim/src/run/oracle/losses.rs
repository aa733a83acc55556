//! What transactions lost, against the report of those who lost.
//!
//! Of a transaction that is tried once its owner knows all: whether it lost, and over what. Of one that a runner tries
//! again the closure sees the attempts; how the lost ones were lost only the last tells. Calls of one statement, and
//! those that change the catalog or a consumer, are runs that nobody sees into: *hidden* ones.
//!
//! 1. Each lost attempt but a run's last is followed by another one, and each other loss is told to somebody. So there
//!    are exactly as many losses as retries and told losses together.
//! 2. Each loss has one kind and one name: both add up to that; those over rows and tables have a table, those over rows
//!    a key. A name has the losses of those who bear it.
//! 3. What a run lost that won is absorbed, all else escaped. Retries that no known run made are the hidden ones', and
//!    so are their attempts, and turns that were taken for having lost often.
//! 4. Each kind, table and key has the losses that were told; none has more than what nobody was told of allows. Only
//!    `Serializable` transactions lose over what they read.
//! 5. A hot key's count is not too low, and too high by its error at most. Where there is room for more keys, none is
//!    missing and there is no error.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use braid::{ConflictKind, ConflictReport, ConflictStats, Error, HotKey, Stats, WastedWork};

use super::Verdict;

/// How many keys a report has room for.
const HOT_KEYS: usize = 32;
/// After so many losses a run of the default policy is alone.
const USUALLY_ALONE_AFTER: u64 = 8;

/// A number that is known to be between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Between {
    /// At least.
    pub least: u64,
    /// At most.
    pub most: u64,
}

impl Between {
    /// One that is known.
    #[must_use]
    pub const fn exactly(number: u64) -> Self {
        Self { least: number, most: number }
    }

    const fn holds(self, number: u64) -> bool {
        self.least <= number && number <= self.most
    }

    const fn less(self, known: u64) -> Self {
        Self { least: self.least.saturating_sub(known), most: self.most.saturating_sub(known) }
    }
}

impl AddAssign for Between {
    fn add_assign(&mut self, more: Self) {
        self.least += more.least;
        self.most += more.most;
    }
}

/// What is known of the losses of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its name.
    pub name: Option<String>,
    /// How many attempts it took.
    pub attempts: Between,
    /// How many of these were lost.
    pub losses: Between,
    /// It ended with a loss, and that was told.
    pub told: bool,
    /// It committed.
    pub won: bool,
    /// At that level.
    pub serializable: bool,
    /// Attempts that were told in a statement that they were revoked, but for one that ended it.
    pub revoked: u64,
    /// Attempts that were to be alone as so many had been lost before.
    pub escalated: Between,
}

impl Run {
    fn retries(&self) -> Between {
        self.losses.less(u64::from(self.told))
    }
}

/// What sessions know of losses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Those that were told, by kind.
    kinds: BTreeMap<&'static str, u64>,
    /// By table and kind.
    tables: BTreeMap<(String, &'static str), u64>,
    /// By table and key.
    keys: BTreeMap<(String, Vec<u8>), u64>,
    /// Those of transactions that are tried once, by their names.
    names: BTreeMap<Option<String>, u64>,
    /// Runs whose attempts were seen.
    runs: Vec<Run>,
    /// Losses that hidden runs ended with.
    hidden_told: u64,
    /// Hidden runs that did not commit, for whatever reason.
    hidden_failed: u64,
    /// Rows that lost transactions had written, at least.
    rows: u64,
}

impl Losses {
    /// A transaction that is tried once is over; with this error, if it was one. It had written so many rows, or more.
    pub fn alone(&mut self, name: Option<&str>, error: Option<&Error>, rows: u64) {
        let lost = error.is_some_and(|error| self.told(error));
        *self.names.entry(name.map(str::to_owned)).or_default() += u64::from(lost);
        self.rows += if lost { rows } else { 0 };
    }

    /// A run is over; with this error, if it was one.
    pub fn ran(&mut self, run: Run, error: Option<&Error>) {
        if let Some(error) = error {
            self.told(error);
        }
        self.runs.push(run);
    }

    /// A call is over that runs a transaction on its own.
    pub fn hidden(&mut self, error: Option<&Error>) {
        if let Some(error) = error {
            self.hidden_failed += 1;
            self.hidden_told += u64::from(self.told(error));
        }
    }

    /// The same of one that was not awaited.
    pub fn hidden_and_dropped(&mut self) {
        self.hidden_failed += 1;
    }

    /// Somebody was told of a loss, if it was one.
    fn told(&mut self, error: &Error) -> bool {
        let Some(kind) = kind_of(error) else { return false };
        *self.kinds.entry(kind).or_default() += 1;
        if let Some(conflict) = error.conflict()
            && let Some(table) = &conflict.table
        {
            *self.tables.entry((table.clone(), kind)).or_default() += 1;
            if let Some(key) = &conflict.key {
                *self.keys.entry((table.clone(), key.clone())).or_default() += 1;
            }
        }
        true
    }

    /// Adds another session's.
    pub fn merge(&mut self, other: Self) {
        add(&mut self.kinds, other.kinds);
        add(&mut self.tables, other.tables);
        add(&mut self.keys, other.keys);
        add(&mut self.names, other.names);
        self.runs.extend(other.runs);
        self.hidden_told += other.hidden_told;
        self.hidden_failed += other.hidden_failed;
        self.rows += other.rows;
    }

    /// Holds the figures of a life that took so long to them, once nobody works any more.
    ///
    /// # Errors
    /// What is wrong.
    pub fn judge(&self, stats: &Stats, life: Duration) -> Verdict {
        let judged = self.adds_up(stats, life).and_then(|()| {
            let hidden = self.hidden_retries(stats.retries)?;
            self.absorbed(stats, hidden)?;
            self.by_name(&stats.conflicts, hidden)?;
            self.by_kind(&stats.conflicts)?;
            self.by_table(&stats.conflicts)?;
            self.by_key(&stats.conflicts)?;
            self.attempts(stats, hidden)
        });
        judged.map_err(|why| {
            let Stats { conflicts, retries, escalations, max_attempts, .. } = stats;
            format!(
                "{why}: {retries} retries, {escalations} escalations, {max_attempts} attempts, {conflicts:?} of {self:?}"
            )
        })
    }

    fn told_in_all(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// Rules 1 and 2.
    fn adds_up(&self, stats: &Stats, life: Duration) -> Verdict {
        let ConflictReport { kinds, absorbed, escaped, tables, names, wasted, .. } = &stats.conflicts;
        let total = kinds.total();
        let losses = stats.retries + self.told_in_all();
        check(total == losses, || format!("{losses} losses are known"))?;
        check(absorbed + escaped == total, || "some are neither absorbed nor escaped".to_owned())?;
        let named: u64 = names.iter().map(|named| named.conflicts).sum();
        check(named == total, || format!("{named} losses have names"))?;
        let mut sum = WastedWork::default();
        for one in names.iter().map(|named| named.wasted) {
            (sum.time, sum.rows, sum.bytes) =
                (sum.time + one.time, sum.rows + one.rows, sum.bytes + one.bytes);
        }
        check(sum == *wasted, || format!("by names it is {sum:?} that was wasted"))?;
        let most = life.saturating_mul(u32::try_from(total).unwrap_or(u32::MAX));
        check(wasted.time <= most, || format!("more time was wasted than {total} times {life:?}"))?;
        check(wasted.rows >= self.rows, || format!("{} rows were written for nothing", self.rows))?;
        for kind in ["write-write", "read-write", "range", "schema"] {
            let in_tables: u64 = tables.iter().map(|one| of(&one.kinds, kind)).sum();
            check(in_tables == of(kinds, kind), || {
                format!("{in_tables} losses of the kind {kind} are by table")
            })?;
        }
        Ok(())
    }

    /// Rule 3: how many of the retries no known run made.
    fn hidden_retries(&self, retries: u64) -> Result<Between, String> {
        let mut known = Between::default();
        self.runs.iter().for_each(|run| known += run.retries());
        check(known.least <= retries, || format!("{known:?} retries were seen"))?;
        Ok(Between { least: retries.saturating_sub(known.most), most: retries - known.least })
    }

    fn absorbed(&self, stats: &Stats, hidden: Between) -> Verdict {
        let mut known = Between::default();
        self.runs.iter().filter(|run| run.won).for_each(|run| known += run.losses);
        known += if self.hidden_failed == 0 { hidden } else { Between { least: 0, ..hidden } };
        check(known.holds(stats.conflicts.absorbed), || format!("{known:?} losses were absorbed"))
    }

    fn by_name(&self, report: &ConflictReport, mut hidden: Between) -> Verdict {
        let mut known: BTreeMap<Option<String>, Between> = BTreeMap::new();
        for (name, lost) in &self.names {
            *known.entry(name.clone()).or_default() += Between::exactly(*lost);
        }
        for run in &self.runs {
            *known.entry(run.name.clone()).or_default() += run.losses;
        }
        hidden += Between::exactly(self.hidden_told);
        *known.entry(None).or_default() += hidden;
        for named in &report.names {
            check(known.contains_key(&named.name), || format!("nobody is called {:?}", named.name))?;
        }
        for (name, known) in &known {
            let named = report.names.iter().find(|named| named.name == *name);
            let reported = named.map_or(0, |named| named.conflicts);
            check(known.holds(reported), || format!("{name:?} has lost {known:?}"))?;
        }
        let sorted = report.names.is_sorted_by_key(|named| std::cmp::Reverse(named.conflicts));
        check(sorted, || "the names are out of order".to_owned())
    }

    /// Rule 4.
    fn by_kind(&self, report: &ConflictReport) -> Verdict {
        let untold = report.kinds.total() - self.told_in_all();
        let told = |kind| self.kinds.get(kind).copied().unwrap_or(0);
        for kind in KINDS {
            let known = Between { least: told(kind), most: told(kind) + untold };
            check(known.holds(of(&report.kinds, kind)), || {
                format!("{known:?} losses are of the kind {kind}")
            })?;
        }
        let revoked = told("snapshot") + self.runs.iter().map(|run| run.revoked).sum::<u64>();
        check(report.kinds.snapshot >= revoked, || format!("{revoked} were revoked"))?;
        let serializable = self.runs.iter().filter(|run| run.serializable).map(|run| run.retries().most);
        let read = told("read-write") + told("range") + serializable.sum::<u64>();
        check(report.kinds.read_write + report.kinds.range <= read, || {
            format!("{read} lost over reads at most")
        })
    }

    fn by_table(&self, report: &ConflictReport) -> Verdict {
        for ((table, kind), told) in &self.tables {
            let reported = report.tables.iter().find(|one| one.table == *table);
            check(reported.map_or(0, |one| of(&one.kinds, kind)) >= *told, || {
                format!("{told} losses of the kind {kind} in `{table}` were told")
            })?;
        }
        let sorted = report.tables.is_sorted_by_key(|one| std::cmp::Reverse(one.kinds.total()));
        check(sorted, || "the tables are out of order".to_owned())
    }

    /// Rule 5.
    fn by_key(&self, report: &ConflictReport) -> Verdict {
        let ConflictReport { kinds, hot_keys, .. } = report;
        let over_keys = kinds.write_write + kinds.read_write + kinds.range;
        let sure = |hot: &HotKey| hot.count.saturating_sub(hot.error);
        check(hot_keys.iter().all(|hot| sure(hot) > 0), || "a hot key has not conflicted".to_owned())?;
        check(hot_keys.is_sorted_by_key(|hot| std::cmp::Reverse(hot.count)), || {
            "the hot keys are out of order".to_owned()
        })?;
        let surely: u64 = hot_keys.iter().map(sure).sum();
        check(surely <= over_keys, || format!("{over_keys} losses are over keys, and {surely} are listed"))?;
        // One that was dropped, or never had room, has conflicted no more often than the last one that is listed.
        let unlisted = if hot_keys.len() < HOT_KEYS { 0 } else { hot_keys.last().map_or(0, |hot| hot.count) };
        if unlisted == 0 {
            let exact = surely == over_keys && hot_keys.iter().all(|hot| hot.error == 0);
            check(exact, || {
                format!("{over_keys} losses are over keys, and {surely} are listed with room for more")
            })?;
        }
        for ((table, key), told) in &self.keys {
            let hot = hot_keys.iter().find(|hot| hot.table == *table && hot.key == *key);
            check(hot.map_or(unlisted, |hot| hot.count) >= *told, || {
                format!("{told} losses over {key:?} of `{table}` were told")
            })?;
        }
        Ok(())
    }

    /// Rule 3, of how many attempts runs took.
    fn attempts(&self, stats: &Stats, hidden: Between) -> Verdict {
        let buckets = &stats.conflicts.attempts;
        let bucket = |attempts| buckets.iter().position(|one| (one.from..=one.to).contains(&attempts));
        let mut sure = vec![0; buckets.len()];
        // Losses of runs that may be in one bucket or another, or in none.
        let mut unsure = hidden.most + self.hidden_told;
        for run in self.runs.iter().filter(|run| run.losses.most > 0) {
            let at = |attempts| u32::try_from(attempts).ok().and_then(bucket);
            match (at(run.attempts.least), at(run.attempts.most)) {
                (Some(least), Some(most)) if least == most && run.losses.least > 0 => sure[least] += 1,
                _ => unsure += run.losses.most,
            }
        }
        let mut at_least = 0;
        for (one, sure) in buckets.iter().zip(&sure) {
            check(one.transactions >= *sure, || format!("{sure} took {} to {} attempts", one.from, one.to))?;
            // Each has lost all of its attempts but one, and one at least.
            at_least += (one.transactions - sure) * u64::from(one.from.saturating_sub(1).max(1));
        }
        check(at_least <= unsure, || {
            format!("runs that nobody saw took {at_least} attempts, of {unsure} at most")
        })?;
        let most_seen = |bound: fn(&Run) -> u64| self.runs.iter().map(bound).max().unwrap_or(0);
        let most = Between {
            least: most_seen(|run| run.attempts.least),
            most: most_seen(|run| run.attempts.most).max(1 + hidden.most),
        };
        check(most.holds(stats.max_attempts), || format!("one took {most:?} attempts"))?;
        let mut alone = Between { least: 0, most: hidden.most / USUALLY_ALONE_AFTER };
        self.runs.iter().for_each(|run| alone += run.escalated);
        check(alone.holds(stats.escalations), || format!("{alone:?} attempts were to be alone"))
    }
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn add<K: Ord>(all: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    for (key, more) in more {
        *all.entry(key).or_default() += more;
    }
}

const KINDS: [&str; 6] = ["write-write", "read-write", "range", "schema", "timeout", "snapshot"];

/// The kind of a loss; `None` of any other error.
fn kind_of(error: &Error) -> Option<&'static str> {
    match error {
        Error::BusySnapshot { .. } => Some("snapshot"),
        Error::Busy(conflict) => Some(match conflict.kind {
            ConflictKind::WriteWrite => "write-write",
            ConflictKind::ReadWrite => "read-write",
            ConflictKind::Range => "range",
            ConflictKind::Schema => "schema",
            ConflictKind::Timeout => "timeout",
            _ => "another",
        }),
        _ => None,
    }
}

fn of(kinds: &ConflictStats, kind: &str) -> u64 {
    match kind {
        "write-write" => kinds.write_write,
        "read-write" => kinds.read_write,
        "range" => kinds.range,
        "schema" => kinds.schema,
        "timeout" => kinds.timeout,
        "snapshot" => kinds.snapshot,
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use braid::{Database, JournalMode, RetryPolicy, TransactionOptions};

    use super::*;

    const LIFE: Duration = Duration::from_secs(600);

    /// A database in which one named transaction has lost, a run has lost once and won, and what both were told.
    fn lost() -> (Losses, Stats) {
        let db = Database::in_memory().unwrap();
        db.set_journal_mode(JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        let mut losses = Losses::default();
        let mut tx = db.begin_with(TransactionOptions::default().name("one")).unwrap();
        tx.put(&table, "k", "1").unwrap();
        db.put(&table, "k", "2").unwrap();
        losses.alone(Some("one"), tx.commit().err().as_ref(), 1);
        let mut attempts = 0;
        let ran = db.transact_with(RetryPolicy::without_backoff().name("run"), |tx| {
            attempts += 1;
            tx.put(&table, "k", "3")?;
            if attempts == 1 {
                db.put(&table, "k", "4")?;
            }
            Ok(())
        });
        losses.ran(won_after(1), ran.err().as_ref());
        (losses, db.stats())
    }

    fn won_after(losses: u64) -> Run {
        Run {
            name: Some("run".to_owned()),
            attempts: Between::exactly(losses + 1),
            losses: Between::exactly(losses),
            told: false,
            won: true,
            serializable: false,
            revoked: 0,
            escalated: Between::default(),
        }
    }

    #[test]
    fn a_report_says_what_was_told_and_seen() {
        let (losses, stats) = lost();
        losses.judge(&stats, LIFE).unwrap();
        let refused = |rule: &str, change: fn(&mut Losses)| {
            let mut losses = losses.clone();
            change(&mut losses);
            is_refused(losses.judge(&stats, LIFE), rule);
        };
        refused("losses are known", |losses| *losses.kinds.get_mut("write-write").unwrap() += 1);
        refused("losses are known", |losses| _ = losses.kinds.remove("write-write"));
        refused("most: 1 } losses are of the kind write-write", |losses| {
            losses.kinds = BTreeMap::from([("timeout", 1)]);
        });
        refused("losses of the kind write-write in `other`", |losses| {
            _ = losses.tables.insert(("other".to_owned(), "write-write"), 1);
        });
        refused("losses of the kind write-write in `t`", |losses| {
            *losses.tables.values_mut().next().unwrap() += 2;
        });
        refused("losses over [107] of `t`", |losses| *losses.keys.values_mut().next().unwrap() += 2);
        refused("losses over [111, 116, 104, 101, 114] of `t`", |losses| {
            _ = losses.keys.insert(("t".to_owned(), b"other".to_vec()), 1);
        });
        refused("\"one\") has lost", |losses| _ = losses.names.insert(Some("one".to_owned()), 2));
        refused("\"one\") has lost", |losses| _ = losses.names.insert(Some("one".to_owned()), 0));
        refused("nobody is called Some(\"one\")", |losses| losses.names.clear());
        refused("rows were written for nothing", |losses| losses.rows += 2);
        refused("retries were seen", |losses| losses.runs[0] = won_after(2));
        refused("has lost", |losses| losses.runs[0] = won_after(0));
        refused("losses were absorbed", |losses| losses.runs[0].won = false);
        refused("nobody is called Some(\"run\")", |losses| losses.runs[0].name = None);
        refused("3 to 4 attempts", |losses| losses.runs[0].attempts = Between::exactly(3));
        refused("attempts were to be alone", |losses| losses.runs[0].escalated = Between::exactly(1));
        refused("were revoked", |losses| losses.runs[0].revoked = 1);
    }

    #[track_caller]
    fn is_refused(judged: Verdict, rule: &str) {
        let why = judged.expect_err(rule);
        let why = why.split(" retries, ").next().unwrap_or_default();
        assert!(why.contains(rule), "refused as `{why}`, not by `{rule}`");
    }

    #[test]
    fn a_report_that_does_not_add_up_is_refused() {
        let (losses, stats) = lost();
        let refused = |rule: &str, change: fn(&mut Stats)| {
            let mut stats = stats.clone();
            change(&mut stats);
            is_refused(losses.judge(&stats, LIFE), rule);
        };
        refused("losses are known", |stats| stats.conflicts.kinds.timeout += 1);
        refused("Between { least: 1, most: 2 } losses are of the kind write-write", |stats| {
            stats.conflicts.kinds.write_write -= 2;
            stats.conflicts.kinds.timeout += 2;
            stats.conflicts.tables.clear();
        });
        refused("lost over reads at most", |stats| {
            stats.conflicts.kinds.write_write -= 1;
            stats.conflicts.kinds.range += 1;
            stats.conflicts.tables[0].kinds.write_write -= 1;
            stats.conflicts.tables[0].kinds.range += 1;
        });
        refused("are neither absorbed nor escaped", |stats| stats.conflicts.absorbed += 1);
        refused("are neither absorbed nor escaped", |stats| stats.conflicts.escaped -= 1);
        refused("losses were absorbed", |stats| {
            stats.conflicts.absorbed -= 1;
            stats.conflicts.escaped += 1;
        });
        refused("losses have names", |stats| stats.conflicts.names[0].conflicts += 1);
        refused("losses have names", |stats| stats.conflicts.names.clear());
        refused("has lost", |stats| {
            stats.conflicts.names[0].conflicts += 1;
            stats.conflicts.names[1].conflicts -= 1;
        });
        refused("the names are out of order", |stats| {
            let mut first = stats.conflicts.names[0].clone();
            (first.name, first.conflicts, first.wasted) = (None, 0, WastedWork::default());
            stats.conflicts.names.insert(0, first);
        });
        refused("that was wasted", |stats| stats.conflicts.names[0].wasted.rows += 1);
        refused("more time was wasted", |stats| {
            stats.conflicts.wasted.time += 3 * LIFE;
            stats.conflicts.names[0].wasted.time += 3 * LIFE;
        });
        refused("write-write are by table", |stats| stats.conflicts.tables.clear());
        refused("the tables are out of order", |stats| {
            let mut first = stats.conflicts.tables[0].clone();
            (first.table, first.kinds) = ("other".to_owned(), ConflictStats::default());
            stats.conflicts.tables.insert(0, first);
        });
        refused("are listed with room for more", |stats| stats.conflicts.hot_keys.clear());
        refused("are listed with room for more", |stats| stats.conflicts.hot_keys[0].count -= 1);
        refused("3 are listed:", |stats| stats.conflicts.hot_keys[0].count += 1);
        refused("a hot key has not conflicted", |stats| stats.conflicts.hot_keys[0].error += 2);
        refused("the hot keys are out of order", |stats| {
            let mut first = stats.conflicts.hot_keys[0].clone();
            first.count = 1;
            stats.conflicts.hot_keys.insert(0, first);
        });
        refused("runs that nobody saw", |stats| stats.conflicts.attempts[0].transactions += 1);
        refused("took 2 to 2 attempts", |stats| stats.conflicts.attempts[1].transactions -= 1);
        refused("losses are known", |stats| stats.retries += 1);
        refused("one took", |stats| stats.max_attempts += 1);
        refused("attempts were to be alone", |stats| stats.escalations += 1);
    }

    /// What the last attempt of a run that failed had come to may be unknown, and what calls of one statement went
    /// through is.
    #[test]
    fn what_nobody_saw_has_bounds() {
        let (mut losses, stats) = lost();
        losses.runs[0].losses = Between { least: 0, most: 1 };
        losses.judge(&stats, LIFE).unwrap();
        losses.runs.clear();
        losses.judge(&stats, LIFE).unwrap_err();
        let mut hidden = stats.clone();
        for named in &mut hidden.conflicts.names {
            named.name = named.name.take().filter(|name| name != "run");
        }
        losses.judge(&hidden, LIFE).unwrap();
        hidden.conflicts.attempts[2].transactions = 1;
        losses.judge(&hidden, LIFE).unwrap_err();
    }
}

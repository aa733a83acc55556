//! What is found at the beginning of a life, and whether that is right.

use std::time::Duration;

use braid::vfs::Clock as _;
use braid::{Database, Error, Timestamp};
use braid_vfs::simulation::SimulatedClock;

use super::{Past, World};
use crate::run::oracle::{self, Dump, Ending, Start};
use crate::run::show::dump;

impl World {
    /// Looks at what is there, and has it judged; whether to go on.
    pub(super) fn take_stock(&mut self, db: &Database, past: &Past) -> Result<bool, String> {
        let found = match dump(db) {
            Ok(found) => found,
            Err(error @ (Error::Corrupt(_) | Error::Mismatch(_))) if self.damaged => {
                self.trace.say(format_args!("damage is found: {error}"));
                self.figures.refused += 1;
                return Ok(false);
            }
            Err(error) => return Err(format!("what is left cannot be read: {error}")),
        };
        self.trace.say(format_args!("found {}: {} tables", found.ts, found.tables.len()));
        let ending = past.power_cut.map_or(Ending::Stop, |after| Ending::PowerCut { after });
        let interval = self.plan.options.deferred_sync_interval;
        let promised = if past.log_rotten {
            (self.start.ts, "it was there when the log was opened before".to_owned())
        } else {
            oracle::promise(&self.start, &past.history, ending, interval)
        };
        oracle::judge(&past.model, &found, &promised)?;
        oracle::judge_mode(&self.start, &past.history, found.mode)?;
        self.look_for_tokens(db, past, found.ts)?;
        let end = Timestamp::new(found.ts).unwrap_or_default();
        self.memo.found(db.stats().past_conflicts.as_ref(), end, self.damaged)?;
        let written = past.model.written(self.start.ts).into_iter();
        self.settled.extend(written.take_while(|(ts, _)| *ts <= found.ts));
        let report = db.check().map_err(|error| format!("the check fails: {error}"));
        match report {
            Ok(report) if report.is_ok() || self.damaged => {}
            Ok(report) => return Err(format!("the check finds {:?}", report.findings)),
            Err(_) if self.damaged => {}
            Err(error) => return Err(error),
        }
        let Dump { ts, mode, tables } = found;
        self.start = Start { ts, mode, tables };
        Ok(true)
    }

    /// Tokens are there exactly as far as the history is that was found.
    fn look_for_tokens(&mut self, db: &Database, past: &Past, end: u64) -> Result<(), String> {
        let mut gone = Vec::new();
        for one in &past.history.transactions {
            let (Some(ts), Some(token)) = (one.outcome.place(), &one.token) else { continue };
            let since = past.history.token_times.get(token).copied().unwrap_or_default();
            if ts <= end {
                self.tokens.insert(token.clone(), (ts, since));
            } else {
                gone.push((token, None, Duration::MAX));
            }
        }
        let there = self.tokens.iter().map(|(token, (ts, since))| (token, Some(*ts), *since));
        for (token, place, since) in there.chain(gone) {
            match db.was_committed(token) {
                Ok(found) if found.map(Timestamp::get) == place => {}
                Ok(None) if self.plan.may_forget(since, SimulatedClock.now()) => {}
                Err(Error::Corrupt(_)) if self.damaged => {}
                found => return Err(format!("`{token}` is {found:?} instead of {place:?}")),
            }
        }
        let known = self.tokens.len() as u64;
        let now = SimulatedClock.now();
        let kept =
            self.tokens.values().filter(|(_, since)| !self.plan.may_forget(*since, now)).count() as u64;
        match db.remembered_tokens() {
            Ok(remembered) if (kept..=known).contains(&remembered) => Ok(()),
            _ if self.damaged => Ok(()),
            found => Err(format!("{found:?} tokens are remembered, of {known}, {kept} of them young")),
        }
    }

    /// However many lives there were: what only a checkpoint lets go of the log takes no more than it may, but for what the
    /// last checkpoint left of a segment, and the one that the open has begun.
    pub(super) fn log_is_bounded(&self, db: &Database) -> Result<(), String> {
        let (options, stats) = (&self.plan.options, db.stats());
        let unfolded = stats.log.retained_bytes - stats.feed.retained_bytes;
        let segment = options.log_segment_bytes + 2 * options.max_transaction_bytes as u64;
        let most = options.log_bytes + 2 * segment;
        let (kept, may_keep) = (stats.feed.retained_bytes, options.max_retained_log_bytes);
        if kept > may_keep && !self.damaged && !stats.log.poisoned {
            return Err(format!("{kept} bytes of log are kept for feeds and consumers; {may_keep} may be"));
        }
        if unfolded > most && !self.damaged && !stats.log.poisoned {
            return Err(format!(
                "{unfolded} bytes of log are left by earlier lives; {most} at most were to be"
            ));
        }
        Ok(())
    }
}

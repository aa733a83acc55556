//! What the next life may find.

use std::time::Duration;

use braid::{Durability, JournalMode};

use super::Verdict;
use super::history::{Dump, History, Moment, Outcome, Transaction};
use super::model::{Model, Start};
use super::replay::dumped;

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The process went and the machine stayed.
    Stop,
    /// The power went; some time after this moment.
    PowerCut {
        /// The last sign of life.
        after: Duration,
    },
}

/// How long a background sync may take once it is due: the threads beside it run too.
const SYNC_TIME: Duration = Duration::from_millis(250);

/// The oldest moment that the next life may find, and why.
///
/// `interval` is how long a `Deferred` commit may wait for its sync.
#[must_use]
pub fn promise(start: &Start, history: &History, ending: Ending, interval: Duration) -> (u64, String) {
    let mut promised = (start.ts, "it was there at the start".to_owned());
    let mut raise = |ts: u64, why: String| {
        if ts > promised.0 {
            promised = (ts, why);
        }
    };
    let last_promise = history.promises.iter().map(|promise| promise.began.number).max().unwrap_or(0);
    let stays = |durability: Durability, acked: Moment| match ending {
        Ending::Stop => true,
        Ending::PowerCut { after } => {
            durability == Durability::Sync
                || acked.number < last_promise
                || acked.time.saturating_add(interval).saturating_add(SYNC_TIME) < after
        }
    };
    for one in &history.transactions {
        if let Outcome::Committed { ts, acked } = one.outcome
            && one.begin_ts.is_none_or(|begin| begin < ts)
            && one.stands
            && stays(one.durability, acked)
        {
            raise(ts, format!("session {} was told of its commit, {:?}", one.session, one.durability));
        }
    }
    for one in &history.schema {
        if let Some(acked) = one.acked
            && stays(one.durability, acked)
        {
            // No later than this did it happen; where exactly is not known.
            raise(one.at.after.saturating_add(1), format!("session {} was told of {one:?}", one.session));
        }
    }
    for told in history.told.iter().filter(|told| told.stands) {
        if let Some((ts, _)) = told.sets.last() {
            raise(*ts, format!("a feed told session {} of it", told.session));
        }
    }
    // What a snapshot sees stands: every `Sync` commit up to it, or all of them where nothing is taken away.
    let seen = seen(history);
    match ending {
        Ending::Stop => raise(seen, "a snapshot saw it".to_owned()),
        Ending::PowerCut { .. } => {
            for one in &history.transactions {
                if let Some(ts) = one.outcome.place()
                    && one.begin_ts.is_none_or(|begin| begin < ts)
                    && one.durability == Durability::Sync
                    && ts <= seen
                {
                    raise(ts, "a snapshot saw it".to_owned());
                }
            }
        }
    }
    promised
}

/// The newest moment that a reader was told to stand.
fn seen(history: &History) -> u64 {
    let stands = |one: &Transaction| match (&one.outcome, one.begin_ts) {
        (_, Some(begin)) if one.stands && one.read_only => Some(begin),
        (Outcome::Committed { .. }, Some(begin)) if one.stands => Some(begin),
        _ => None,
    };
    let snapshots = history.transactions.iter().filter_map(stands);
    snapshots.chain(history.stood.iter().map(|stood| stood.ts)).max().unwrap_or(0)
}

/// Whether what was found is a moment of the history, and none that is too old.
///
/// # Errors
/// What is wrong.
pub fn judge(model: &Model, found: &Dump, promised: &(u64, String)) -> Verdict {
    if found.ts < promised.0 {
        return Err(format!(
            "what is left ends at {}, and {} was promised: {}",
            found.ts, promised.0, promised.1
        ));
    }
    dumped(model, found).map_err(|why| format!("what is left at {} is wrong: {why}", found.ts))
}

/// Whether a journal mode may be the one that a life has left: one that was set, or may have been, and was not followed
/// by another.
///
/// # Errors
/// What is wrong.
pub fn judge_mode(start: &Start, history: &History, found: JournalMode) -> Verdict {
    let followed = |ended: Moment| history.modes.iter().any(|other| other.stands && other.began > ended);
    let may_be = (found == start.mode && !followed(Moment::default()))
        || history.modes.iter().any(|change| change.mode == found && !followed(change.ended));
    if may_be { Ok(()) } else { Err(format!("the journal mode is {found:?} after {:?}", history.modes)) }
}

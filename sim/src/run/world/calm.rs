//! The end of a life, when the sessions and the faults are over: the database is at rest, has counted what happened, and works.

use braid::{Database, Error, Isolation, Stats, Timestamp, TransactionOptions};

use crate::run::oracle::{self, History, What};
use crate::run::session::Shared;

/// Once the faults are over, a database that is not poisoned takes commits again.
pub(super) fn still_works(db: &Database, shared: &Shared) -> Result<(), String> {
    match db.checkpoint() {
        Ok(_) => Ok(()),
        // A failed sync; only the next open helps.
        Err(Error::Poisoned { .. }) if shared.may_fail() => Ok(()),
        // The power is cut here as anywhere.
        Err(_) if !shared.has_power() => Ok(()),
        Err(error) => Err(format!("the faults are over, and a checkpoint still fails: {error}")),
    }
}

/// Nothing is open any more, and nobody waits.
pub(super) fn is_at_rest(stats: &Stats) -> Result<(), String> {
    let waits = stats.futures.to_commit + stats.futures.for_sync;
    if stats.open_snapshots + stats.feed.open + waits + stats.pinned_bytes > 0 {
        return Err(format!("nobody works any more, and something is open: {stats:?}"));
    }
    Ok(())
}

/// Savepoints and refused tokens: each was seen.
pub(super) fn are_counted(stats: &Stats, history: &History) -> Result<(), String> {
    let made = |what: &What| matches!(what, What::Savepoint { .. });
    let taken_back = |act: &&oracle::Act| matches!(act.what, What::TakenBack { .. });
    let all = &history.transactions;
    let transactions = all.iter().filter(|one| one.acts.iter().any(|act| made(&act.what))).count() as u64;
    let rollbacks = all.iter().flat_map(|one| &one.acts).filter(taken_back).count() as u64;
    let refused = history.tokens_refused;
    if (stats.savepoints.transactions, stats.savepoints.rollbacks) != (transactions, rollbacks) {
        return Err(format!("{:?}, and {transactions} with {rollbacks} were seen", stats.savepoints));
    }
    if stats.tokens.refused != refused {
        return Err(format!("{:?} tokens were refused, and {refused} were seen", stats.tokens));
    }
    Ok(())
}

/// Commits once more, and folds that; where it is folded to.
pub(super) fn fold_one_more(db: &Database, shared: &Shared, history: &mut History) -> Option<Timestamp> {
    let token = shared.token();
    history.token_times.insert(token.clone(), shared.env.clock.now());
    let tx = db.begin_with(TransactionOptions::default().token(token.as_bytes())).ok()?;
    let (begin, exclusive) = (tx.timestamp().get(), tx.is_exclusive());
    let committed = tx.commit();
    let stands = shared.has_power();
    let outcome = match &committed {
        Ok(commit) => {
            let acked = shared.moment();
            if stands {
                history.alive = acked.time;
            }
            oracle::Outcome::Committed { ts: commit.timestamp.get(), acked }
        }
        Err(Error::CommitUnknown { commit_ts, .. }) => oracle::Outcome::Unknown { ts: commit_ts.get() },
        Err(_) => oracle::Outcome::Nothing,
    };
    history.transactions.push(oracle::Transaction {
        session: u32::MAX,
        begin_ts: Some(begin),
        read_only: false,
        exclusive,
        isolation: Isolation::Snapshot,
        durability: shared.plan.options.durability,
        stands,
        token: Some(token),
        acts: Vec::new(),
        outcome,
    });
    committed.ok()?;
    db.checkpoint().ok().map(|folded| folded.timestamp)
}

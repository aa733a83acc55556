//! Idempotency tokens: did my commit survive?
//!
//! A transaction that was given a token writes one more row with its commit, into the system table [`TOKENS`]:
//!
//! ```text
//! key    the token
//! value  when it was committed, in seconds since 1970 by the system's clock (u64, little-endian)
//!        its commit timestamp (u64, little-endian)
//! ```
//!
//! So the row is in the history exactly when the transaction is, whatever a crash leaves; and validation refuses the
//! second of two transactions that race with one token, as it refuses any two that insert one key. The timestamp is known
//! only inside the commit section: these transactions encode their record there.
//!
//! Tokens that are older than `Options::token_retention` are forgotten by those who commit tokens: each of their
//! transactions looks at a few rows further on, and deletes what is too old. No two look at the same row within a
//! round, and a round begins well after the one before has ended: so they do not conflict over it.

use std::time::Duration;

use braid_mvstore::{Direction, Timestamp, WriteSet};
use braid_vfs::planted;
use braid_vfs::sync::Mutex;

use crate::core::{Core, TOKENS};
use crate::error::{Error, Result};
use crate::limits::MAX_TOKEN_BYTES;
use crate::transaction::{Layers, Snapshot};

/// Rows that one commit looks at to find old ones.
const LOOKED_AT: usize = 8;
/// A round of looking begins at most so many times within the retention.
const ROUNDS: u32 = 8;
/// And no sooner than this after the one before, so that transactions of one have ended when the next looks at their rows.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// A token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    bytes: std::sync::Arc<[u8]>,
}

impl Token {
    /// Refuses what cannot be a token.
    pub(crate) fn new(bytes: &std::sync::Arc<[u8]>) -> Result<Self> {
        check(bytes)?;
        Ok(Self { bytes: std::sync::Arc::clone(bytes) })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Puts the row into the write set of a transaction that is about to commit, its time and timestamp still open, and whatever
    /// old ones have their turn. The transaction began at `begin_ts` and is still registered.
    pub(crate) fn put(&self, core: &Core, begin_ts: Timestamp, writes: &mut WriteSet) -> Result<()> {
        if writes.get(TOKENS, &self.bytes).is_none() {
            writes.put(TOKENS, &self.bytes, &encode(core.env.clock.unix_time(), Timestamp::ZERO));
            forget_old(core, begin_ts, writes)?;
        }
        Ok(())
    }

    /// In the commit section: the row's value as it will be. Only now is it known when the transaction commits, which
    /// may have been open for long, or have waited for its turn.
    pub(crate) fn complete(&self, core: &Core, writes: &mut WriteSet, commit_ts: Timestamp) {
        if !planted!(TokenWithoutTimestamp) {
            writes.complete(TOKENS, &self.bytes, &encode(core.env.clock.unix_time(), commit_ts));
        }
    }
}

/// How far the present round of looking for old tokens has come.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    state: Mutex<Round>,
}

#[derive(Debug, Default)]
struct Round {
    /// The last key looked at; empty where a round is to begin.
    at: Vec<u8>,
    /// No round begins before, by the clock that never goes back.
    next: Duration,
}

/// The commit of the transaction that had this token, as `snapshot` sees it.
pub(crate) fn find(snapshot: &Snapshot, token: &[u8]) -> Result<Option<Timestamp>> {
    check(token)?;
    let found = snapshot.read_system_row(TOKENS, token, |value| decode(value).map(|(_, ts)| ts))?;
    found.transpose()
}

/// How many tokens a snapshot sees.
pub(crate) fn count(snapshot: &Snapshot) -> Result<u64> {
    snapshot.count_system_rows(TOKENS)
}

/// Deletes tokens that are too old, as far as the turn of a transaction goes. That it is registered keeps the newest base
/// readable too.
fn forget_old(core: &Core, begin_ts: Timestamp, writes: &mut WriteSet) -> Result<()> {
    let retention = core.options.token_retention;
    let oldest = core.env.clock.unix_time().saturating_sub(retention);
    let mut looked_at = [const { Vec::new() }; LOOKED_AT];
    {
        // Somebody else looks: that will do.
        let Some(mut round) = core.tokens.state.try_lock() else { return Ok(()) };
        let now = core.env.clock.now_coarse();
        if round.at.is_empty() && now < round.next {
            return Ok(());
        }
        // What is there now: a snapshot may still show what others have deleted since.
        let view = core.current_view();
        let mut rows = Layers::over(&core.base, &view, TOKENS, core.installed_ts());
        let from = std::ops::Bound::Excluded(&*round.at);
        let mut found = rows.seek(&view, None, from, Direction::Forward)?;
        for key in &mut looked_at {
            let Some((token, value)) = rows.row()?.filter(|_| found) else { break };
            token.clone_into(&mut round.at);
            let (written, commit_ts) = decode(value)?;
            // The row tells whole seconds: up to one more may have been left out.
            let latest = written.saturating_add(Duration::from_secs(1));
            if (latest < oldest || planted!(TokenForgottenEarly)) && commit_ts <= begin_ts {
                token.clone_into(key);
            }
            found = rows.step(&view, None, Direction::Forward)?;
        }
        if !found {
            round.at.clear();
            round.next = now.saturating_add(LEAST_PAUSE.max(retention / ROUNDS));
        }
    }
    for key in looked_at.iter().filter(|key| !key.is_empty()) {
        writes.delete(TOKENS, key);
    }
    Ok(())
}

fn check(token: &[u8]) -> Result<()> {
    if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
        return Err(Error::Limit {
            what: "the token's length in bytes",
            actual: token.len() as u64,
            limit: if token.is_empty() { 1 } else { MAX_TOKEN_BYTES as u64 },
        });
    }
    Ok(())
}

fn encode(written: Duration, commit_ts: Timestamp) -> [u8; 16] {
    let mut value = [0; 16];
    let (first, second) = value.split_at_mut(8);
    first.copy_from_slice(&written.as_secs().to_le_bytes());
    second.copy_from_slice(&commit_ts.get().to_le_bytes());
    value
}

/// The commit that a row of the table names.
pub(crate) fn committed_at(row: &[u8]) -> Option<Timestamp> {
    decode(row).ok().map(|(_, commit_ts)| commit_ts)
}

fn decode(value: &[u8]) -> Result<(Duration, Timestamp)> {
    let malformed = || Error::Corrupt("a row of the table of tokens is malformed".to_owned());
    let (first, second) = value.split_first_chunk::<8>().ok_or_else(malformed)?;
    let second: [u8; 8] = second.try_into().map_err(|_| malformed())?;
    let commit_ts = Timestamp::new(u64::from_le_bytes(second)).ok_or_else(malformed)?;
    Ok((Duration::from_secs(u64::from_le_bytes(*first)), commit_ts))
}

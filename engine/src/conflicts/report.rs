//! The report, as a program reads it.

use std::time::Duration;

use crate::statistics::ConflictStats;

/// Who lost what to whom in a session: the present one, from when the database was opened until now, or a
/// [past](crate::Stats::past_conflicts) one. It is made of what losers recorded; the lists are bounded, and say how far they
/// can be off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConflictReport {
    /// By kind.
    pub kinds: ConflictStats,
    /// Lost attempts that [`Database::transact`](crate::Database::transact) or
    /// [`transact_async`](crate::Database::transact_async) made up for: the caller saw a commit. An attempt whose closure passed
    /// on what another transaction had lost is none of these: that is counted where it was lost.
    pub absorbed: u64,
    /// Lost attempts of which the caller was told, or that led to nothing: those of a runner that gave up too. An
    /// attempt of a runner that is still at it is in neither.
    pub escaped: u64,
    /// The rows that conflict most, the hottest first. Each count says how far it can be
    /// off.
    pub hot_keys: Vec<HotKey>,
    /// By table, the one with most conflicts first. Tables beyond the 64th may go by `(others)`.
    pub tables: Vec<TableConflicts>,
    /// By the name that [`TransactionOptions::name`](crate::TransactionOptions::name) gave, the one with most conflicts
    /// first. Names beyond the 64th may go by `(others)`.
    pub names: Vec<NamedConflicts>,
    /// What the lost attempts cost.
    pub wasted: WastedWork,
    /// How many attempts it took the transactions of `transact` and `transact_async` that lost at least one.
    pub attempts: Vec<AttemptsBucket>,
}

/// A row that conflicts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HotKey {
    /// Its table.
    pub table: String,
    /// The first 128 bytes of its key.
    pub key: Vec<u8>,
    /// The length of the key.
    pub key_len: usize,
    /// How many transactions lost over it, at most.
    pub count: u64,
    /// By how much `count` may be too high: at least `count - error` lost over it.
    pub error: u64,
}

/// What was lost over the rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableConflicts {
    /// The table.
    pub table: String,
    /// By kind.
    pub kinds: ConflictStats,
}

/// What the transactions of a name lost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedConflicts {
    /// The name; `None` for those that have none.
    pub name: Option<String>,
    /// How often they lost.
    pub conflicts: u64,
    /// What that cost.
    pub wasted: WastedWork,
}

/// What lost attempts cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WastedWork {
    /// From their begin to their loss, to a few milliseconds each.
    pub time: Duration,
    /// Rows that they wrote, for nothing.
    pub rows: u64,
    /// Bytes that these took in memory.
    pub bytes: u64,
}

/// Transactions that took about so many attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptsBucket {
    /// At least so many attempts.
    pub from: u32,
    /// At most so many.
    pub to: u32,
    /// How many transactions did, those included that gave up: those of one attempt all have.
    pub transactions: u64,
}

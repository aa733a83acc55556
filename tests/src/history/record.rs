//! What a workload writes down.

use std::collections::BTreeMap;
use std::fmt;

use braid::{ConflictKind, Durability, Isolation};

/// A row: the number of its table, and its key.
pub type Row = (usize, Vec<u8>);
/// The rows of all tables.
pub type Rows = BTreeMap<Row, Vec<u8>>;

type Key = Vec<u8>;
type Value = Vec<u8>;

/// The table of tables that come and go: name → id, four bytes, the highest first.
pub const NAMES: usize = usize::MAX - 4;
/// The table of tokens: token → commit timestamp, eight bytes, the highest first.
pub const TOKENS: usize = usize::MAX - 2;
const FIRST_MADE: usize = 1000;

/// The number of a table that comes and goes.
#[must_use]
pub const fn made_table(id: u32) -> usize {
    FIRST_MADE + id as usize
}

/// The id of a table that comes and goes.
pub(super) fn made_id(table: usize) -> Option<u32> {
    u32::try_from(table.checked_sub(FIRST_MADE)?).ok()
}

/// What becomes of a number, eight bytes with the lowest first, that nobody looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// This is added; one that is not there counts as 0.
    Add(i64),
    /// It is at least this.
    Max(i64),
    /// It is at most this.
    Min(i64),
}

impl Number {
    /// What it makes of a row.
    pub(super) fn of(self, before: Option<&Value>) -> Value {
        let before = before.and_then(|value| <[u8; 8]>::try_from(&**value).ok()).map(i64::from_le_bytes);
        let after = match (self, before) {
            (Self::Add(number) | Self::Max(number) | Self::Min(number), None) => number,
            (Self::Add(number), Some(before)) => before.wrapping_add(number),
            (Self::Max(number), Some(before)) => before.max(number),
            (Self::Min(number), Some(before)) => before.min(number),
        };
        after.to_le_bytes().to_vec()
    }
}

/// One operation of a transaction, with its answer. Tables are numbered as the workload likes.
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    /// A read of one key.
    Get {
        /// The table.
        table: usize,
        /// The key.
        key: Key,
        /// What was found.
        found: Option<Value>,
    },
    /// A read of the keys from `from` up to but without `to`.
    Range {
        /// The table.
        table: usize,
        /// The first key that belongs to it.
        from: Key,
        /// The first key that no longer does.
        to: Key,
        /// Whether it was read from its end.
        backwards: bool,
        /// How many rows were asked for at most.
        limit: usize,
        /// What was found, in the order in which it was found.
        found: Vec<(Key, Value)>,
    },
    /// A count of all rows of a table.
    Count {
        /// The table.
        table: usize,
        /// What it came to.
        found: u64,
    },
    /// A read that the commit does not answer for.
    Untracked(Box<Op>),
    /// A write of one row.
    Put {
        /// The table.
        table: usize,
        /// The key.
        key: Key,
        /// The value.
        value: Value,
    },
    /// Bytes appended to one row without a look at it.
    Append {
        /// The table.
        table: usize,
        /// The key.
        key: Key,
        /// The bytes.
        bytes: Value,
    },
    /// A number changed without a look at it.
    Number {
        /// The table.
        table: usize,
        /// The key.
        key: Key,
        /// What becomes of it.
        change: Number,
    },
    /// A savepoint inside those that are open.
    Savepoint,
    /// Everything written since the innermost savepoint, which stays open, taken back.
    TakenBack,
    /// The innermost savepoint closed; what was written since stays.
    Released,
    /// If it commits, it is known by this token.
    Token {
        /// The token.
        token: Vec<u8>,
    },
    /// A delete of one row.
    Delete {
        /// The table.
        table: usize,
        /// The key.
        key: Key,
    },
    /// A delete of the rows from `from` up to but without `to`.
    DeleteRange {
        /// The table.
        table: usize,
        /// The first key that belongs to it.
        from: Key,
        /// The first key that no longer does.
        to: Key,
        /// How many rows it removed.
        removed: u64,
    },
}

impl Op {
    /// Whether it changed something.
    #[must_use]
    pub fn writes(&self) -> bool {
        match self {
            Self::Put { .. }
            | Self::Append { .. }
            | Self::Number { .. }
            | Self::Delete { .. }
            | Self::Token { .. } => true,
            Self::DeleteRange { removed, .. } => *removed > 0,
            Self::Get { .. }
            | Self::Range { .. }
            | Self::Count { .. }
            | Self::Untracked(_)
            | Self::Savepoint
            | Self::TakenBack
            | Self::Released => false,
        }
    }

    /// Whether its answer depends on a row, and the commit answers for that.
    pub(super) fn reads(&self, row: &Row) -> bool {
        let within = |table: usize, from: &Key, to: &Key| row.0 == table && *from <= row.1 && row.1 < *to;
        match self {
            Self::Get { table, key, .. } => row.0 == *table && row.1 == *key,
            Self::Range { table, from, to, .. } | Self::DeleteRange { table, from, to, .. } => {
                within(*table, from, to)
            }
            Self::Count { table, .. } => row.0 == *table,
            Self::Untracked(_)
            | Self::Put { .. }
            | Self::Append { .. }
            | Self::Number { .. }
            | Self::Savepoint
            | Self::TakenBack
            | Self::Released
            | Self::Token { .. }
            | Self::Delete { .. } => false,
        }
    }
}

impl fmt::Debug for Op {
    /// As short as a history of thousands must be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get { table, key, found: None } => write!(f, "get {table} {} none", Short(key)),
            Self::Get { table, key, found: Some(found) } => {
                write!(f, "get {table} {} {}", Short(key), Short(found))
            }
            Self::Range { table, from, to, backwards, limit, found } => {
                let direction = if *backwards { "backwards" } else { "forwards" };
                write!(f, "range {table} {}..{} {direction} {limit} ", Short(from), Short(to))?;
                f.debug_map().entries(found.iter().map(|(key, value)| (Short(key), Short(value)))).finish()
            }
            Self::Count { table, found } => write!(f, "count {table} {found}"),
            Self::Untracked(read) => write!(f, "untracked {read:?}"),
            Self::Put { table, key, value } => write!(f, "put {table} {} {}", Short(key), Short(value)),
            Self::Append { table, key, bytes } => write!(f, "append {table} {} {}", Short(key), Short(bytes)),
            Self::Number { table, key, change } => write!(f, "{change:?} {table} {}", Short(key)),
            Self::Savepoint => f.write_str("savepoint"),
            Self::TakenBack => f.write_str("taken back"),
            Self::Released => f.write_str("released"),
            Self::Token { token } => write!(f, "token {}", Short(token)),
            Self::Delete { table, key } => write!(f, "delete {table} {}", Short(key)),
            Self::DeleteRange { table, from, to, removed } => {
                write!(f, "delete {table} {}..{} {removed}", Short(from), Short(to))
            }
        }
    }
}

/// Bytes, as text where they are; of many the first and the last, and how many.
struct Short<'a>(&'a [u8]);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ENDS: usize = 16;
        match (self.0.first_chunk::<ENDS>(), self.0.last_chunk::<ENDS>()) {
            (Some(first), Some(last)) if self.0.len() > 2 * ENDS => {
                write!(f, "\"{}…{}\" ({})", first.escape_ascii(), last.escape_ascii(), self.0.len())
            }
            _ => write!(f, "\"{}\"", self.0.escape_ascii()),
        }
    }
}

impl fmt::Debug for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A read-only snapshot, which sees only what stands.
    Snapshot,
    /// A transaction beside others.
    Concurrent,
    /// A transaction that nobody commits beside.
    Exclusive,
    /// A write of one row without a transaction around it.
    OneStatement,
}

/// What a loser was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// Why it lost.
    pub kind: ConflictKind,
    /// The row that it lost on.
    pub row: Row,
    /// The commit that it lost to.
    pub winner_ts: u64,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well; at this place in the history if it wrote something.
    Committed(Option<u64>),
    /// In doubt: if it is there, it is there.
    Unknown(u64),
    /// Busy; to blame is a row, except where the turn did not come or the snapshot was given up.
    Lost(Option<Blame>),
    /// Rolled back, or refused.
    Aborted,
}

/// When a transaction was asked and answered, in ticks that all sessions share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Before its begin.
    pub invoked: u64,
    /// After its begin.
    pub begun: u64,
    /// Before its commit.
    pub committing: u64,
    /// After its commit.
    pub ended: u64,
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who ran it: the transactions of one session follow each other.
    pub session: usize,
    /// What it is.
    pub kind: Kind,
    /// The level that it asked for.
    pub isolation: Isolation,
    /// What its commit promises.
    pub durability: Durability,
    /// The snapshot that it read at; `None` for a one-statement write.
    pub begin_ts: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it did, in order.
    pub ops: Vec<Op>,
    /// When; `None` where nobody looked.
    pub times: Option<Times>,
}

impl Record {
    /// Its place in the history, whether or not it is known to stand there.
    #[must_use]
    pub fn commit_ts(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Committed(commit_ts) => commit_ts,
            Outcome::Unknown(commit_ts) => Some(commit_ts),
            Outcome::Lost(_) | Outcome::Aborted => None,
        }
    }

    /// Whether it changed something, if it committed.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.ops.iter().any(Op::writes)
    }

    /// The state that somebody was told stands, by this transaction's answer, and when.
    pub(super) fn observed(&self) -> Option<(u64, Option<u64>)> {
        match (self.kind, &self.outcome) {
            (Kind::Snapshot, _) => Some((self.begin_ts?, self.times.map(|times| times.begun))),
            (_, Outcome::Committed(commit_ts)) => {
                Some(((*commit_ts).or(self.begin_ts)?, self.times.map(|times| times.ended)))
            }
            _ => None,
        }
    }
}

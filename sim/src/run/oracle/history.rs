//! What sessions write down.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use braid::{Conflict, Durability, Isolation, JournalMode};

use crate::run::oracle::{Losses, Span, Step};
use crate::run::rows::{Datum, Key, Rows};

/// A place in the order of everything that happened in a life, and the time on its clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Later moments have larger numbers.
    pub number: u64,
    /// The simulated time.
    pub time: Duration,
}

/// Something that a transaction did to a table, with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// The table's id.
    pub table: u32,
    /// A `Serializable` commit answers for it, if it is a read.
    pub tracked: bool,
    /// The rest.
    pub what: What,
}

/// See [`Act`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A look at one key.
    Get {
        /// The key.
        key: Key,
        /// What was there.
        found: Option<Datum>,
    },
    /// A question whether a key is there.
    Contains {
        /// The key.
        key: Key,
        /// The answer.
        found: bool,
    },
    /// Rows read from both ends of a range.
    Range {
        /// Where it begins.
        from: Bound<Key>,
        /// Where it ends.
        to: Bound<Key>,
        /// What came from its front, in order.
        front: Vec<(Key, Datum)>,
        /// What came from its back, in order.
        back: Vec<(Key, Datum)>,
        /// There was no more.
        ended: bool,
    },
    /// A count of a range.
    Count {
        /// Where it begins.
        from: Bound<Key>,
        /// Where it ends.
        to: Bound<Key>,
        /// The answer.
        found: u64,
    },
    /// A write.
    Put {
        /// The key.
        key: Key,
        /// The value.
        value: Datum,
    },
    /// An update that was taken.
    Update {
        /// The key.
        key: Key,
        /// What is to be done.
        step: Step,
    },
    /// An update that was refused at once.
    NotUpdated {
        /// The key.
        key: Key,
        /// What was to be done.
        step: Step,
    },
    /// A delete.
    Delete {
        /// The key.
        key: Key,
    },
    /// A delete of a range.
    DeleteRange {
        /// Where it begins.
        from: Bound<Key>,
        /// Where it ends.
        to: Bound<Key>,
        /// How many rows it says it has removed.
        removed: u64,
    },
    /// A savepoint was made. It and the next three are about no table.
    Savepoint {
        /// Which one, counted from the transaction's first.
        number: u32,
    },
    /// Everything since a savepoint was taken back.
    TakenBack {
        /// To this one.
        to: u32,
    },
    /// A savepoint was released.
    Released {
        /// Which one.
        number: u32,
    },
    /// A savepoint was said not to be open.
    NoSavepoint {
        /// Which one.
        number: u32,
    },
    /// The table was said not to be there.
    Gone,
    /// A look for a table of this name; the table of the act itself means nothing, here and below.
    Named {
        /// The name.
        name: Key,
        /// The id of the table.
        found: Option<u32>,
    },
    /// The names of all tables that [`is_exact`](super::model::is_exact).
    Names {
        /// In order.
        found: Vec<Key>,
    },
    /// A table was made.
    Make {
        /// Its name.
        name: Key,
        /// Its id.
        id: u32,
    },
    /// A table was dropped.
    Unmake {
        /// Its name.
        name: Key,
        /// Its id.
        id: u32,
    },
    /// A table was renamed by a call that does not say which one it was.
    RenameAlone {
        /// Its name before.
        from: Key,
        /// Its name since.
        to: Key,
    },
    /// A table was renamed.
    Rename {
        /// Its name before.
        from: Key,
        /// Its name since.
        to: Key,
        /// Its id.
        id: u32,
    },
}

/// What became of a transaction.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was only read in, or rolled back, or failed: nothing of it was applied.
    Nothing,
    /// It committed.
    Committed {
        /// Its place.
        ts: u64,
        /// When the commit returned.
        acked: Moment,
    },
    /// It lost.
    Lost(Box<Conflict>),
    /// An update of this row could not be made.
    Refused {
        /// The key.
        key: Key,
    },
    /// It may have committed, and then here.
    Unknown {
        /// Its place, if it has.
        ts: u64,
    },
    /// It was installed here, and nobody waited to hear whether it stands.
    Unwatched {
        /// Its place.
        ts: u64,
    },
}

impl Outcome {
    /// Its place, if it committed or may have.
    #[must_use]
    pub const fn place(&self) -> Option<u64> {
        match self {
            Self::Committed { ts, .. } | Self::Unknown { ts } | Self::Unwatched { ts } => Some(*ts),
            Self::Refused { .. } | Self::Nothing | Self::Lost(_) => None,
        }
    }
}

/// A snapshot or a transaction.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Who did it.
    pub session: u32,
    /// The moment that it read; `None` for a one-statement write, which does not say.
    pub begin_ts: Option<u64>,
    /// A snapshot for reading only.
    pub read_only: bool,
    /// It was admitted alone.
    pub exclusive: bool,
    /// The level that it asked for.
    pub isolation: Isolation,
    /// What its commit asked for.
    pub durability: Durability,
    /// The machine still ran when it began, or when it committed: what it was told, somebody was told.
    pub stands: bool,
    /// The token that it was to be known by.
    pub token: Option<String>,
    /// What it did, in order.
    pub acts: Vec<Act>,
    /// What became of it.
    pub outcome: Outcome,
}

/// A read through the database itself, which does not say at which moment: one between two that are known.
#[derive(Clone, Debug)]
pub struct Glimpse {
    /// Who did it.
    pub session: u32,
    /// The moments that it may have read, from just after the first one before: `(lo, hi]` and `lo` itself.
    pub at: Span,
    /// The table's id.
    pub table: u32,
    /// The key.
    pub key: Key,
    /// What was there; `None` where the table was said to be gone.
    pub found: Option<Option<Datum>>,
}

/// A change of the catalog.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Who did it.
    pub session: u32,
    /// The table's name.
    pub name: String,
    /// The rest.
    pub change: SchemaChange,
    /// Its place: one of these. Without an end where it may never have happened: what is unknown may also be what the
    /// call has looked at, and not what it did.
    pub at: Span,
    /// Larger than that of any change of the same name before it.
    pub order: u64,
    /// What its commit asked for.
    pub durability: Durability,
    /// When it was acknowledged; `None` where it may not have happened.
    pub acked: Option<Moment>,
}

/// See [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaChange {
    /// A table of this id came to be; the id is not known where the outcome is not.
    Create(Option<u32>),
    /// A table of this id came to be with all its rows; no older snapshot sees it.
    Load(u32),
    /// The table of that name ceased to be.
    Drop,
}

/// Everything that a copy of the database showed.
#[derive(Clone, Debug)]
pub struct Dump {
    /// The moment that it shows.
    pub ts: u64,
    /// The journal mode.
    pub mode: JournalMode,
    /// Tables by name, with their ids.
    pub tables: BTreeMap<String, (u32, Rows)>,
}

/// A call that, once it has returned, makes everything durable that was acknowledged before it began.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// When it began.
    pub began: Moment,
}

/// A moment up to which everything was said to stand.
#[derive(Clone, Copy, Debug)]
pub struct Stood {
    /// That moment's timestamp.
    pub ts: u64,
}

/// What a change feed has told from one timestamp to another.
#[derive(Clone, Debug)]
pub struct Told {
    /// Who read it.
    pub session: u32,
    /// Where the feed stood.
    pub after: u64,
    /// Where it came to.
    pub through: u64,
    /// The transactions that it gave.
    pub sets: Vec<(u64, Vec<ToldChange>)>,
    /// The machine still ran: somebody was told.
    pub stands: bool,
}

/// A change that a feed told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToldChange {
    /// A row has this value, or none.
    Row {
        /// The table's id.
        table: u32,
        /// The key.
        key: Key,
        /// The value.
        value: Option<Datum>,
    },
    /// A table came to be.
    Made {
        /// Its id.
        table: u32,
        /// Its name.
        name: String,
        /// By a load.
        loaded: bool,
    },
    /// A table ceased to be.
    Dropped {
        /// Its id.
        table: u32,
    },
    /// A table has another name.
    Renamed {
        /// Its id.
        table: u32,
        /// Its name since.
        name: String,
    },
}

impl ToldChange {
    /// The table that it is about as a whole.
    #[must_use]
    pub const fn of_table(&self) -> Option<u32> {
        match self {
            Self::Row { .. } => None,
            Self::Made { table, .. } | Self::Dropped { table } | Self::Renamed { table, .. } => Some(*table),
        }
    }
}

/// A call that sets the journal mode.
#[derive(Clone, Copy, Debug)]
pub struct ModeChange {
    /// To this one.
    pub mode: JournalMode,
    /// When it began.
    pub began: Moment,
    /// When it returned.
    pub ended: Moment,
    /// It said that the mode is set; if not, nobody knows.
    pub stands: bool,
}

/// What happened in one life, in no order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Transactions and snapshots.
    pub transactions: Vec<Transaction>,
    /// Reads beside them.
    pub glimpses: Vec<Glimpse>,
    /// Changes of the catalog.
    pub schema: Vec<Schema>,
    /// Where the engine may have made commits of its own, which change nothing of the users'.
    pub own_commits: Vec<Span>,
    /// Copies that were made.
    pub dumps: Vec<Dump>,
    /// Calls that make things durable.
    pub promises: Vec<Promise>,
    /// Calls that set the journal mode, but for those that were refused.
    pub modes: Vec<ModeChange>,
    /// What was said to stand beside what acknowledged commits and snapshots say.
    pub stood: Vec<Stood>,
    /// What change feeds have told.
    pub told: Vec<Told>,
    /// What transactions lost.
    pub losses: Losses,
    /// Transactions that were refused for their token.
    pub tokens_refused: u64,
    /// For each token: a time at which its transaction had not committed yet.
    pub token_times: BTreeMap<String, Duration>,
    /// When the machine was last seen to run after a commit was acknowledged. An answer alone is no such sign: one that needs no
    /// disk, or has waited in a future since before, comes without power too.
    pub alive: Duration,
}

impl History {
    /// Adds what another session wrote down.
    pub fn merge(&mut self, other: Self) {
        self.transactions.extend(other.transactions);
        self.glimpses.extend(other.glimpses);
        self.schema.extend(other.schema);
        self.own_commits.extend(other.own_commits);
        self.dumps.extend(other.dumps);
        self.promises.extend(other.promises);
        self.modes.extend(other.modes);
        self.stood.extend(other.stood);
        self.told.extend(other.told);
        self.losses.merge(other.losses);
        self.tokens_refused += other.tokens_refused;
        self.token_times.extend(other.token_times);
        self.alive = self.alive.max(other.alive);
    }

    /// Commits of transactions that were acknowledged and changed something.
    #[must_use]
    pub fn commits_of_transactions(&self) -> u64 {
        let wrote = |one: &&Transaction| matches!(one.outcome, Outcome::Committed { ts, .. } if one.begin_ts.is_none_or(|begin| ts > begin));
        self.transactions.iter().filter(wrote).count() as u64
    }

    /// Commits that were acknowledged and changed something.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits_of_transactions() + self.schema.iter().filter(|one| one.acked.is_some()).count() as u64
    }

    /// Answers that were written down.
    #[must_use]
    pub fn reads(&self) -> u64 {
        let is_read = |act: &&Act| {
            !matches!(
                act.what,
                What::Put { .. } | What::Delete { .. } | What::Update { .. } | What::Make { .. }
            )
        };
        let acts = self.transactions.iter().map(|one| one.acts.iter().filter(is_read).count() as u64);
        acts.sum::<u64>() + self.glimpses.len() as u64 + self.dumps.len() as u64
    }
}

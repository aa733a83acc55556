//! The core: one per open file, shared by its handles, its transactions and its background threads.
//!
//! In which order its locks may be taken, and what each is held across, stands in one place: `docs/ARCHITECTURE.md`, Locks.
//! None is held across a subscriber of traces, a waker or a closure (`braid_vfs::events`). The files and the page cache,
//! which may be a user's, are called with the checkpoint lock held, and files in the commit section too.

use std::collections::BTreeSet;
use std::path::PathBuf;

use arc_swap::ArcSwap;
use braid_mvstore::{InstallRights, SnapshotRegistry, TableId, Timestamp};
use braid_vfs::events::tell;
use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use braid_vfs::sync::{Arc, Mutex, Weak};
use braid_vfs::{Env, File, ProcessMark};
use braid_wal::{Appender, Log, LogHistory, Lsn};
use crossbeam_utils::CachePadded;

use super::background::Background;
use super::budget::Budget;
use super::checkpoint::Seal;
use super::clock::{CommitClock, timestamp};
use super::gate::Gate;
use super::journal_mode::ModeCell;
use super::recent::Recent;
use super::retention::{Anchor, Retention};
use super::sequences::Sequences;
use super::stats::Counters;
use super::tables::Tables;
use super::view::View;
use crate::base::BaseStore;
use crate::conflicts::{PastConflicts, Recorder};
use crate::error::{Error, Result};
use crate::options::{JournalMode, Options};
use crate::tokens;

/// See the module.
#[derive(Debug)]
pub(crate) struct Core {
    /// Tells the cores of a process apart.
    pub(crate) id: u64,
    pub(crate) env: Env,
    /// `None` for a database in memory.
    pub(crate) path: Option<PathBuf>,
    pub(crate) options: Options,
    pub(crate) base: Arc<BaseStore>,
    pub(crate) tables: Tables,
    pub(crate) sequences: Sequences,
    pub(crate) registry: SnapshotRegistry<View>,
    pub(crate) counters: Counters,
    pub(crate) conflicts: Recorder,
    /// What the file told of an earlier session when it was opened.
    pub(crate) past_conflicts: Option<PastConflicts>,
    pub(crate) mode: ModeCell,
    /// Every snapshot has a limit to keep to.
    pub(super) leases_all: bool,
    /// The views that somebody may read.
    pub(super) views: Mutex<Vec<Weak<View>>>,
    /// `None` when the file is open read-only.
    pub(super) writer: Option<Writer>,
    pub(super) view: ArcSwap<View>,
    /// The id of `view`, stored after it.
    pub(super) view_id: CachePadded<AtomicU64>,
    /// The newest commit that read-write transactions see.
    pub(super) installed_ts: CachePadded<AtomicU64>,
    /// The newest timestamp up to which every commit has what its durability asks; read-only snapshots begin here.
    pub(super) acked_ts: CachePadded<AtomicU64>,
    /// How far old tokens have been looked for.
    pub(crate) tokens: tokens::Rounds,
    /// The log of a core that only reads.
    pub(super) history: Option<LogHistory>,
    /// Whether the core was shut down, or is being.
    pub(super) shut: AtomicBool,
    /// Trees that may be there though no table has their id: those of loads.
    pub(super) unnamed: Mutex<BTreeSet<TableId>>,
    /// What is locked, until the core is shut down: the file, then the directory of its log.
    locks: Mutex<Vec<Arc<dyn File>>>,
    process: ProcessMark,
}

/// The half of a core that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) log: Arc<Log>,
    pub(super) gate: Gate,
    pub(super) section: Mutex<Section>,
    pub(super) budget: Budget,
    /// Commits whose reads are being validated: others are noted for them.
    pub(super) validating: CachePadded<AtomicUsize>,
    pub(super) background: Background,
    pub(crate) retention: Retention,
    /// Held while leases are looked at, and those that are over a limit revoked.
    pub(super) looks_at_leases: Mutex<()>,
    /// Held by the one checkpoint that runs. What it says was sealed by one that failed.
    pub(super) checkpoint: Mutex<Option<Seal>>,
    pub(super) closed: AtomicBool,
}

/// The commit section: what exactly one commit at a time may touch.
#[derive(Debug)]
pub(crate) struct Section {
    /// Taken out at the close.
    pub(super) appender: Option<Appender>,
    pub(super) clock: CommitClock,
    /// The end of the newest commit that asked for a sync: what a later commit must see durable before it returns.
    pub(super) last_sync_end: Lsn,
    /// The journal mode that the log tells so far.
    pub(super) mode: JournalMode,
    /// The current view.
    pub(super) view: Arc<View>,
    /// The right to install into the view's active generation.
    pub(super) rights: InstallRights,
    /// The keys of the newest commits, while somebody asks for them.
    pub(super) recent: Recent,
}

/// What a core needs to write.
#[derive(Debug)]
pub(super) struct WriterParts {
    pub(super) log: Arc<Log>,
    pub(super) appender: Appender,
    pub(super) clock: CommitClock,
    pub(super) rights: InstallRights,
}

/// What [`Core::new`] joins.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) id: u64,
    pub(super) env: Env,
    pub(super) path: Option<PathBuf>,
    pub(super) options: Options,
    pub(super) base: Arc<BaseStore>,
    pub(super) locks: Vec<Arc<dyn File>>,
    pub(super) tables: Tables,
    pub(super) mode: JournalMode,
    pub(super) view: View,
    pub(super) last_ts: Timestamp,
    /// The log, to open read-only.
    pub(super) history: Option<LogHistory>,
    /// `None` to open read-only.
    pub(super) writer: Option<WriterParts>,
}

impl Core {
    pub(super) fn new(parts: Parts) -> Self {
        let view = Arc::new(parts.view);
        let writer = parts.writer.map(|WriterParts { log, appender, clock, rights }| Writer {
            gate: Gate::new(&parts.env, Arc::clone(&log)),
            section: Mutex::new(Section {
                appender: Some(appender),
                clock,
                last_sync_end: log.durable(),
                mode: parts.mode,
                view: Arc::clone(&view),
                rights,
                recent: Recent::default(),
            }),
            budget: Budget::new(parts.options.row_store_bytes, Arc::clone(&log)),
            validating: CachePadded::new(AtomicUsize::new(0)),
            background: Background::default(),
            retention: Retention::new(
                Anchor {
                    timestamp: timestamp(view.base.state().checkpoint_ts),
                    lsn: Lsn::new(view.base.state().checkpoint_lsn),
                },
                log.spans().first().map_or(log.durable(), |span| span.base),
            ),
            looks_at_leases: Mutex::new(()),
            checkpoint: Mutex::new(None),
            closed: AtomicBool::new(false),
            log,
        });
        Self {
            id: parts.id,
            env: parts.env,
            path: parts.path,
            registry: SnapshotRegistry::new(parts.options.max_snapshots),
            leases_all: parts.options.snapshot_max_age.is_some()
                || parts.options.snapshot_max_pinned_bytes.is_some(),
            views: Mutex::new(vec![Arc::downgrade(&view)]),
            options: parts.options,
            base: parts.base,
            tables: parts.tables,
            sequences: Sequences::default(),
            counters: Counters::default(),
            conflicts: Recorder::default(),
            past_conflicts: PastConflicts::decode(view.base.memo()),
            mode: ModeCell::new(parts.mode),
            writer,
            view_id: CachePadded::new(AtomicU64::new(view.id)),
            view: ArcSwap::new(view),
            installed_ts: CachePadded::new(AtomicU64::new(parts.last_ts.get())),
            acked_ts: CachePadded::new(AtomicU64::new(parts.last_ts.get())),
            tokens: tokens::Rounds::default(),
            history: parts.history,
            shut: AtomicBool::new(false),
            unnamed: Mutex::default(),
            locks: Mutex::new(parts.locks),
            process: ProcessMark::current(),
        }
    }

    /// The writing half, or why there is none.
    pub(crate) fn writer(&self) -> Result<&Writer> {
        // An error made ahead, by `ok_or`, would have to be dropped by everybody who has no use for it.
        match &self.writer {
            Some(writer) => Ok(writer),
            None => Err(Error::ReadOnly),
        }
    }

    /// What can be read of the log; `None` where there is none yet.
    pub(crate) fn history(&self) -> Option<LogHistory> {
        self.writer.as_ref().map(|writer| writer.log.history()).or_else(|| self.history.clone())
    }

    /// Whether the core was shut down, or is being.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::SeqCst)
    }

    /// A commit whose record is durable stands: whoever hears of it now finds it in a snapshot that begins next.
    pub(crate) fn found_durable(&self, ts: Timestamp) {
        let Some(writer) = &self.writer else { return };
        if self.installed_ts() < ts {
            // It is between its append and its installation; both are done in one hold of the section.
            drop(writer.section.lock());
        }
        self.raise_acked(ts);
    }

    /// Lets other processes have the file; that comes last, so that whoever gets it finds nothing locked beside it.
    pub(super) fn release_lock(&self) {
        for locked in std::mem::take(&mut *self.locks.lock()).into_iter().rev() {
            if let Err(error) = locked.unlock() {
                // It goes with the file then.
                tell(move || tracing::debug!(%error, "a lock could not be given up by itself"));
            }
        }
    }

    /// Whether this process opened the file, and not one that it is a fork of.
    #[inline]
    pub(crate) fn is_own_process(&self) -> bool {
        self.process.is_current()
    }

    /// The mark of the process that opened the file.
    pub(crate) fn process_mark(&self) -> ProcessMark {
        self.process
    }

    /// Refuses a process that is a fork of the one that opened the file.
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.is_own_process() { Ok(()) } else { Err(Error::Forked) }
    }

    /// The newest timestamp that stands.
    pub(crate) fn acked_ts(&self) -> Timestamp {
        timestamp(self.acked_ts.load(Ordering::SeqCst))
    }

    /// The newest commit that writers see.
    pub(crate) fn installed_ts(&self) -> Timestamp {
        timestamp(self.installed_ts.load(Ordering::SeqCst))
    }

    /// The coarse clock in nanoseconds, for ages.
    pub(crate) fn now_nanos(&self) -> u64 {
        u64::try_from(self.env.clock.now_coarse().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The view that a snapshot would begin with now.
    pub(crate) fn current_view(&self) -> Arc<View> {
        self.view.load_full()
    }
}

impl Writer {
    /// Whether the core is being shut down: work in the background is not worth finishing.
    pub(super) fn is_closing(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Refuses to write when it could not be made to last.
    pub(crate) fn check(&self) -> Result<()> {
        if planted!(PoisonedCoreAdmits) { Ok(()) } else { self.log.check().map_err(Error::from_sync) }
    }
}

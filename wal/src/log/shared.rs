//! What every thread sees of the log.
//!
//! # Locks
//!
//! `making` is held across the I/O that makes segments ready or removes them; `segments` for moments. Who holds both
//! took `making` first. Neither is ever held while the other side waits for a sync.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use braid_vfs::events::{keep, tell};
use braid_vfs::planted;
use braid_vfs::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use braid_vfs::sync::{Mutex, WakerPlace};
use braid_vfs::{Clock, Env, FileSystem, Random};

use super::folios::Fit;
use super::making::Making;
use super::segments::{LiveSegment, Segments};
use super::stats::Counters;
use super::{Appender, FreshSegment, LogStats};
use crate::group::{GroupCommit, SyncTarget, Who};
use crate::history::LogHistory;
use crate::record::HeaderKey;
use crate::segment::{SEGMENT_SUFFIX, TEMPORARY_SUFFIX, sequence_of};
use crate::{LogError, LogOptions, Lsn, SyncError};

/// A log that is open for appends, shared by every thread that waits for it or looks after it.
#[derive(Debug)]
pub struct Log {
    pub(crate) files: Arc<dyn FileSystem>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    pub(crate) dir: PathBuf,
    pub(crate) uuid: [u8; 16],
    pub(crate) key: HeaderKey,
    pub(crate) options: LogOptions,
    pub(super) group: GroupCommit,
    pub(super) appended: AtomicU64,
    /// Past this position the current segment is more than half full.
    pub(super) half_full: AtomicU64,
    pub(super) has_spare: AtomicBool,
    pub(super) fit: Fit,
    pub(crate) segments: Mutex<Segments>,
    /// See [`slack`](Self::slack). Written under the lock of `segments`.
    pub(super) slack: AtomicU64,
    /// The number of the next watcher.
    pub(super) watchers: AtomicU64,
    pub(super) making: Mutex<Making>,
    pub(super) counters: Counters,
}

/// A segment, by what it holds of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Span {
    /// Where it starts.
    pub base: Lsn,
    /// Where it ends; the last position there is for the one that takes the appends.
    pub end: Lsn,
    /// Length of its file.
    pub bytes: u64,
}

/// Segments that are kept for readers stay ready for use again, up to so many.
const KEPT_OPEN: usize = 4;

/// What a log starts with: a fresh segment, and what recovery found before it.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) dir: PathBuf,
    pub(crate) uuid: [u8; 16],
    pub(crate) options: LogOptions,
    pub(crate) fresh: FreshSegment,
    pub(crate) before: Vec<LiveSegment>,
}

impl Log {
    /// Creates the log of a new database in `dir`, which is made where it does not exist.
    ///
    /// # Errors
    /// [`LogError::AlreadyExists`] where the directory holds segments; [`LogError::Io`].
    pub fn create(
        env: &Env,
        dir: &Path,
        uuid: [u8; 16],
        options: LogOptions,
    ) -> Result<(Arc<Self>, Appender), LogError> {
        let options = options.normalized();
        // Whoever may read a file of the directory may search it.
        let permissions = options.permissions | 0o100 | (options.permissions & 0o044) >> 2;
        match env.files.create_dir(dir, permissions) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("create", dir)(error));
            }
            _ => {}
        }
        for name in env.files.read_dir(dir).map_err(failed("list", dir))? {
            if sequence_of(&name, SEGMENT_SUFFIX).is_some() {
                return Err(LogError::AlreadyExists { path: dir.to_path_buf() });
            }
            if sequence_of(&name, TEMPORARY_SUFFIX).is_some() {
                let path = dir.join(name);
                env.files.remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty())
            && !planted!(LogFolderNotSynced)
        {
            env.files.sync_dir(parent).map_err(failed("sync", parent))?;
        }
        let fresh = FreshSegment::first(env, dir, uuid, &options)?;
        Self::start(env, Start { dir: dir.to_path_buf(), uuid, options, fresh, before: Vec::new() })
    }

    /// Whether there are segments in `dir`, of whatever log.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn exists(files: &dyn FileSystem, dir: &Path) -> Result<bool, LogError> {
        match files.read_dir(dir) {
            Ok(names) => Ok(names.iter().any(|name| sequence_of(name, SEGMENT_SUFFIX).is_some())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("list", dir)(error)),
        }
    }

    /// Removes every segment in `dir`: for a database whose creation was cut short. The directory stays, as a file system may be
    /// mounted there. Does nothing where there is none.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn remove_segments(files: &dyn FileSystem, dir: &Path) -> Result<(), LogError> {
        let names = match files.read_dir(dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("list", dir)(error)),
        };
        for name in names {
            if sequence_of(&name, SEGMENT_SUFFIX).or(sequence_of(&name, TEMPORARY_SUFFIX)).is_some() {
                let path = dir.join(name);
                files.remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        files.sync_dir(dir).map_err(failed("sync", dir))
    }

    pub(crate) fn start(env: &Env, start: Start) -> Result<(Arc<Self>, Appender), LogError> {
        let Start { dir, uuid, options, fresh, before } = start;
        let end = fresh.end;
        let sequence = fresh.segment.sequence.checked_add(1).ok_or(LogError::Exhausted)?;
        let next = options.first_segment_bytes.saturating_mul(2).min(options.max_segment_bytes);
        let log = Arc::new(Self {
            files: Arc::clone(&env.files),
            random: Arc::clone(&env.random),
            clock: Arc::clone(&env.clock),
            dir,
            uuid,
            key: HeaderKey::new(&uuid),
            options,
            group: GroupCommit::new(end),
            appended: AtomicU64::new(end.get()),
            half_full: AtomicU64::new(0),
            has_spare: AtomicBool::new(false),
            fit: Fit::default(),
            segments: Mutex::new(Segments { live: before.into(), ..Segments::default() }),
            slack: AtomicU64::new(0),
            watchers: AtomicU64::new(0),
            making: Mutex::new(Making::new(sequence, next)),
            counters: Counters::default(),
        });
        log.count_slack_from(Lsn::ZERO);
        log.counters.created.add(1);
        let appender = Appender::new(Arc::clone(&log), fresh)?;
        Ok((log, appender))
    }

    /// The end, exclusive, of what has been appended.
    #[must_use]
    pub fn appended(&self) -> Lsn {
        Lsn::new(self.appended.load(Ordering::Acquire))
    }

    /// The end, exclusive, of what is known to be on the disk.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.group.durable()
    }

    /// Returns once everything before `lsn`, the answer of an append, is on the disk. One sync serves all threads
    /// that wait.
    ///
    /// # Errors
    /// [`SyncError`]; then it is not known whether the records are on the disk, and the log is poisoned.
    pub fn sync_through(&self, lsn: Lsn) -> Result<(), SyncError> {
        self.group.sync_through(self, lsn)
    }

    /// The same for a thread that commits, and is likely to be back with its next commit: the sync may be put off for a moment
    /// for others that do, so that it serves all of them.
    ///
    /// # Errors
    /// As for [`sync_through`](Self::sync_through).
    pub fn commit_through(&self, lsn: Lsn) -> Result<(), SyncError> {
        self.fit.commit_waits();
        self.group.commit_through(self, lsn)
    }

    /// [`sync_through`](Self::sync_through) the present end; costs nothing when that is durable.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn sync_now(&self) -> Result<(), SyncError> {
        self.sync_through(self.appended())
    }

    /// The same for a future: whether everything before `lsn` is on the disk. If it is not yet, `waker` is called by
    /// the thread that [serves](Self::serve_futures) when it is, or never will be. `place` is where the future waits:
    /// `None` at first, and to be [left](Self::leave) by one that waits no longer.
    ///
    /// # Errors
    /// As for [`sync_through`](Self::sync_through).
    pub fn poll_through(
        &self,
        lsn: Lsn,
        place: &mut Option<WakerPlace>,
        waker: &Waker,
    ) -> Poll<Result<(), SyncError>> {
        self.group.poll_through(self, Who::Visitor, lsn, place, waker)
    }

    /// The same for a commit: the sync may be put off for other futures that commit, and later ones for this one.
    ///
    /// # Errors
    /// As for [`sync_through`](Self::sync_through).
    pub fn poll_commit_through(
        &self,
        lsn: Lsn,
        place: &mut Option<WakerPlace>,
        waker: &Waker,
    ) -> Poll<Result<(), SyncError>> {
        if lsn > self.durable() {
            self.fit.commit_waits();
        }
        self.group.poll_through(self, Who::Committer, lsn, place, waker)
    }

    /// Gives up the place of a future.
    pub fn leave(&self, place: WakerPlace) {
        self.group.leave(place);
    }

    /// Serves futures on the calling thread, until [`stop_serving`](Self::stop_serving): syncs where only futures wait
    /// for it, and calls wakers.
    pub fn serve_futures(&self) {
        self.group.serve(self);
    }

    /// Has the thread that serves futures return.
    pub fn stop_serving(&self) {
        self.group.stop_serving();
    }

    /// Has the thread that serves futures call wakers that wait for something else.
    pub fn wake_soon(&self, wakers: Vec<Waker>) {
        self.group.wake_soon(wakers);
    }

    /// Whether a sync failed, or [`poison`](Self::poison) was called. It never ends.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.group.is_poisoned()
    }

    /// Fails once the log is poisoned, with why.
    ///
    /// # Errors
    /// [`SyncError::Poisoned`].
    #[inline]
    pub fn check(&self) -> Result<(), SyncError> {
        if self.is_poisoned() { self.group.check() } else { Ok(()) }
    }

    /// Ends the log's life as one that takes records, as a failed sync does: every waiter fails, and is told of `cause`.
    pub fn poison(&self, cause: &Arc<io::Error>) {
        if self.group.poison(Arc::clone(cause)) {
            let (dir, durable, cause) = (self.dir.clone(), self.durable(), Arc::clone(cause));
            tell(
                move || tracing::error!(dir = %dir.display(), %durable, %cause, "log poisoned by its owner"),
            );
        }
    }

    /// Poisons because of a write of which it is not known how much arrived. The owner is in its commit section, and has it told
    /// afterwards (`braid_vfs::events`).
    pub(super) fn poison_after(&self, error: &Arc<io::Error>) {
        if self.group.poison(Arc::clone(error)) {
            let (dir, error) = (self.dir.clone(), Arc::clone(error));
            keep(move || tracing::error!(dir = %dir.display(), %error, "log poisoned by a failed write"));
        }
    }

    /// What of it can be read back.
    #[must_use]
    pub fn history(self: &Arc<Self>) -> LogHistory {
        LogHistory::live(Arc::clone(self))
    }

    /// The segments in use, oldest first.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let span = |live: &LiveSegment| Span {
            base: Lsn::new(live.base),
            end: Lsn::new(live.end),
            bytes: live.bytes,
        };
        self.segments.lock().live.iter().map(span).collect()
    }

    /// Has the segments that lie wholly before `lsn` hold no open file and no mapping, all but the newest few: they are kept
    /// for readers alone, may be many, and are never used again.
    pub fn set_aside_before(&self, lsn: Lsn) {
        let lsn = lsn.min(self.durable()).get();
        let set_aside: Vec<_> = {
            let mut segments = self.segments.lock();
            let count = segments.live.iter().take_while(|segment| segment.end <= lsn).count();
            let oldest = segments.live.iter_mut().take(count.saturating_sub(KEPT_OPEN));
            oldest.map(|segment| (segment.file.take(), segment.mapping.take())).collect()
        };
        // Closed here, outside the lock.
        drop(set_aside);
    }

    /// Bytes of the segment files that hold what is not yet released: what a checkpoint can give back.
    #[must_use]
    pub fn retained_bytes(&self) -> u64 {
        self.segments.lock().live_bytes()
    }

    /// Bytes of the files of full segments beyond what they hold of the log: what a life that was cut short left unused of its
    /// last one, and ends into which the next record did not fit. With the length of the log itself, what its files take, but for
    /// the part of the current one that is still free. One load.
    #[must_use]
    #[inline]
    pub fn slack(&self) -> u64 {
        self.slack.load(Ordering::Relaxed)
    }

    /// Has [`slack`](Self::slack) count the segments that hold something at `lsn` or later: the others are kept for readers
    /// alone.
    pub fn count_slack_from(&self, lsn: Lsn) {
        let segments = self.segments.lock();
        let counted = segments.live.iter().filter(|segment| segment.end > lsn.get());
        self.slack.store(counted.map(LiveSegment::slack).sum(), Ordering::Relaxed);
    }

    /// Counts since the open, and sizes now.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let segments = self.segments.lock();
        LogStats {
            records: self.counters.records.get(),
            bytes: self.counters.bytes.get(),
            syncs: self.counters.syncs.get(),
            rotations: self.counters.rotations.get(),
            created: self.counters.created.get(),
            recycled: self.counters.recycled.get(),
            removed: self.counters.removed.get(),
            live_segments: segments.live.len() as u64,
            spare_segments: segments.spares.len() as u64,
            spare_bytes: segments.spare_bytes(),
            file_bytes: segments.live_bytes() + segments.spare_bytes(),
        }
    }

    /// Ends the log in good order: syncs it, adds the record that says so, syncs that, and removes spare segments.
    ///
    /// The closing record is written only after everything before it is on the disk, so that it proves this even if
    /// it was itself only in the page cache when the process died.
    ///
    /// # Errors
    /// [`LogError::Sync`] or [`LogError::Append`]; recovery then treats the log as after a crash.
    pub fn close(&self, mut appender: Appender) -> Result<(), LogError> {
        if !planted!(ClosedBeforeSync) {
            self.sync_now()?;
        }
        let end = appender.append_close()?;
        if !planted!(ClosedWithoutSync) {
            self.sync_through(end)?;
        }
        let _making = self.making.lock();
        let spares = std::mem::take(&mut self.segments.lock().spares);
        self.has_spare.store(false, Ordering::Relaxed);
        for spare in spares {
            // The log is closed whether or not the space comes back now; the next open removes what is left.
            let _ = self.remove_segment(spare.sequence);
        }
        Ok(())
    }

    pub(super) fn random(&self) -> u64 {
        self.random.next_u64()
    }
}

impl SyncTarget for Log {
    fn appended(&self) -> Lsn {
        Self::appended(self)
    }

    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn sync(&self, through: Lsn) -> io::Result<()> {
        if planted!(LogSyncSkipped) {
            return Ok(());
        }
        let durable = self.durable().get();
        let files = self.segments.lock().files_between(durable, through.get());
        self.fit.synced(through.get().saturating_sub(durable));
        for file in files {
            self.counters.syncs.add(1);
            let mut synced = file.sync_data();
            if synced.is_err() && planted!(FailedSyncRetried) {
                synced = file.sync_data();
            }
            synced.inspect_err(|error| {
                let (dir, error) = (self.dir.clone(), error.to_string());
                tell(move || tracing::error!(dir = %dir.display(), %error, "log poisoned by a failed sync"));
            })?;
        }
        Ok(())
    }
}

/// Wraps what the system said about `path`.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError + use<> {
    let path = path.to_path_buf();
    move |source| LogError::Io { action, path, source }
}

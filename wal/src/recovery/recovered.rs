//! From what a scan found to a log that takes records again.
//!
//! What was read past the last proof of a sync may be in the page cache alone: a killed process leaves that, and so
//! does a failed sync, after which the system takes the pages for clean. So it is copied: the fresh segment starts
//! with the first record that is not proven, at the same positions, under its own salt, and is synced before it
//! counts. The old segments keep what is proven; what they hold past that is void from then on, whatever it is, as
//! the fresh segment says where they end.

use std::path::PathBuf;
use std::sync::Arc;

use braid_vfs::Env;
use braid_vfs::events::tell;
use braid_vfs::planted;

use super::reader::{Found, Identity, SegmentReader};
use super::spares::{Look, remove_stray};
use crate::history::{Extent, LogHistory};
use crate::log::{Appender, Copier, FreshSegment, LiveSegment, Log, Plan, Start, failed};
use crate::record::HeaderKey;
use crate::segment::BLOCK;
use crate::{LogError, LogOptions, Lsn, RecoveryError};

/// What a scan found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// Where the scan began.
    pub start: Lsn,
    /// The end, exclusive, of the last whole record.
    pub end: Lsn,
    /// The end, exclusive, of what is proven to have been synced. The rest may be in the page cache alone until
    /// [`into_log`](Self::into_log) has returned.
    pub durable: Lsn,
    /// The torn tail, if there was one.
    pub cut: Option<CutTail>,
    /// Whether the log was closed in good order.
    pub clean_close: bool,
    /// Records delivered.
    pub records: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    pub(super) dir: PathBuf,
    pub(super) uuid: [u8; 16],
    /// The segments before the one that the scan began in, as far as they lead up to it: kept for who reads history.
    pub(super) history: Vec<Part>,
    pub(super) parts: Vec<Part>,
    pub(super) last_sequence: u64,
    pub(super) temporaries: Vec<PathBuf>,
    /// The segments behind the end whose headers are zeros, without the one that the log says it went on in.
    pub(super) spares: Vec<(u64, PathBuf)>,
    pub(super) files: Vec<(u64, PathBuf)>,
}

/// A tail that was not whole, and of which nothing says that it was ever synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutTail {
    /// The segment that was cut.
    pub segment: u64,
    /// Where in its file.
    pub offset: u64,
    /// How far the furthest record that was started would have reached, in this segment or a later one.
    pub reached: Lsn,
}

/// A segment that the scan read, up to where.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) sequence: u64,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) identity: Identity,
    pub(super) end: u64,
}

impl Recovered {
    /// Starts the log in a fresh segment. Once this returns, everything that the scan delivered is on the disk, a cut
    /// tail cannot come back, and files that are no part of the log are gone. A crash on the way leaves a log that a
    /// scan finds the same in. Where the disk is full, the room of segments that were made ready and not used is taken.
    ///
    /// # Errors
    /// [`LogError`]; the log is as it was, and another scan may be tried.
    pub fn into_log(self, env: &Env, options: LogOptions) -> Result<(Arc<Log>, Appender), LogError> {
        let options = options.normalized();
        // The name of a segment that the scan has read may be in the page cache alone, where the recovery that gave it was
        // cut short. The fresh one will say that all before it is on the disk, so that must come first.
        env.files.sync_dir(&self.dir).map_err(failed("sync", &self.dir))?;
        let durable = if planted!(PageCacheTrusted) { self.end } else { self.durable };
        let base = durable.clamp(self.start, self.end).get();
        let kept = self.parts.iter().take_while(|part| part.identity.base < base).count();
        let (before, void) = self.parts.split_at(kept);
        let plan = Plan {
            dir: &self.dir,
            uuid: self.uuid,
            options: &options,
            sequence: self.last_sequence.checked_add(1).ok_or(LogError::Exhausted)?,
            previous: before.last().or(self.history.last()).map_or(0, |part| part.sequence),
            base,
            copied_end: self.end.get(),
        };
        let copied = before.last().into_iter().chain(void);
        // They count for nothing, and the fresh segment may need their room.
        for path in &self.temporaries {
            remove_stray(&*env.files, path);
        }
        let key = HeaderKey::new(&self.uuid);
        let max_record_bytes = options.max_record_bytes;
        let look = Look { files: &*env.files, key: &key, max_record_bytes, start: self.start };
        let mut gone = Vec::new();
        let fresh = FreshSegment::write(
            env,
            &plan,
            |copier| self.copy(env, &options, copied.clone(), base, copier),
            || {
                gone = look.remove_spares(&self.spares);
                !gone.is_empty()
            },
        )?;
        let (dir, segment, end) = (self.dir.clone(), plan.sequence, fresh.end.get());
        tell(move || {
            tracing::info!(dir = %dir.display(), segment, base, end, "log goes on in a fresh segment");
        });
        let before: Vec<_> = self.history.iter().chain(before).collect();
        self.remove_strays(env, &before, &gone);
        let before = before
            .into_iter()
            .map(|part| LiveSegment {
                sequence: part.sequence,
                base: part.identity.base,
                end: part.end.min(base),
                bytes: part.bytes,
                file: None,
                mapping: None,
                filled_by: BLOCK,
            })
            .collect();
        Log::start(env, Start { dir: self.dir, uuid: self.uuid, options, fresh, before })
    }

    /// The log for reading alone, up to what is proven to have been synced. Writes nothing.
    #[must_use]
    pub fn into_history(self, env: &Env, options: &LogOptions) -> LogHistory {
        let through = self.durable.clamp(self.start, self.end);
        let segments = self.history.into_iter().chain(self.parts);
        let extent = |part: Part| Extent {
            sequence: part.sequence,
            base: part.identity.base,
            end: part.end,
            bytes: part.bytes,
        };
        let segments = segments.map(extent).collect();
        LogHistory::closed(env, self.dir, self.uuid, options, segments, through)
    }

    /// Copies the records from `from` to the end.
    fn copy<'p>(
        &self,
        env: &Env,
        options: &LogOptions,
        parts: impl Iterator<Item = &'p Part>,
        from: u64,
        copier: &mut Copier<'_>,
    ) -> Result<(), LogError> {
        let key = HeaderKey::new(&self.uuid);
        let changed = || LogError::Changed { path: self.dir.clone() };
        let mut lsn = from;
        for part in parts.filter(|part| part.end > from) {
            let limit = options.max_record_bytes;
            let mut reader = SegmentReader::open(&*env.files, &part.path, &key, limit)
                .map_err(|error| reread(error, changed))?;
            while lsn < part.end {
                match reader.record(part.identity, lsn).map_err(|error| reread(error, changed))? {
                    Found::Record(header, padded) => {
                        copier.copy(&header, padded).map_err(failed("copy", &part.path))?;
                        lsn = header.end().ok_or(LogError::Exhausted)?;
                    }
                    _ => return Err(changed()),
                }
            }
        }
        Ok(())
    }

    /// Removes the files that are no longer part of the log, but for those that are `gone` already.
    fn remove_strays(&self, env: &Env, kept: &[&Part], gone: &[u64]) {
        let strays = self.files.iter().filter(|(sequence, _)| {
            !kept.iter().any(|part| part.sequence == *sequence) && !gone.contains(sequence)
        });
        for (_, path) in strays {
            remove_stray(&*env.files, path);
        }
    }
}

/// A failure to read again what a scan has read.
fn reread(error: RecoveryError, changed: impl FnOnce() -> LogError) -> LogError {
    match error {
        RecoveryError::Io { action, path, source } => LogError::Io { action, path, source },
        _ => changed(),
    }
}

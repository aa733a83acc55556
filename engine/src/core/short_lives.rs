//! What many short lives of one file leave of its log, and how an open bounds it.
//!
//! Every life begins a segment of its own: the end of the one before may be torn, and must never come back (see
//! `wal/src/log/fresh.rs`). A process that opens, commits and is gone again leaves most of that segment unused, and ends
//! before a checkpoint in the background gets anywhere. So the open itself folds, before anybody has the handle, when it
//! finds
//!
//! * more than [`SPARSE_SEGMENTS`] segments that are not half full, or
//! * more than [`Options::log_bytes`](crate::Options::log_bytes), by the bytes of the files,
//!
//! of what only a checkpoint lets go. A file with one life that ended badly has one sparse segment, and its open does not
//! fold. Nor is there waste in a long life: a segment is as long as those before it in its life together. So of all short lives,
//! however they ended, one in nine pays for a fold of what these nine have written.
//!
//! What is kept for change feeds and consumers does not count: it has a bound of its own (`retention.rs`). A fold that fails
//! leaves the log as it was, and the open does not fail for it, unless it poisons: a full disk must not keep anybody from what
//! is there.

use braid_vfs::events::tell;
use braid_wal::Span;

use super::budget::unfolded_log;
use super::shared::Core;
use crate::error::{Error, Result};

/// So many sparse segments an open leaves as they are.
const SPARSE_SEGMENTS: usize = 8;

impl Core {
    /// See the module. Before the core is shared with anybody.
    pub(super) fn fold_after_short_lives(&self) -> Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let view = self.current_view();
        let folded = view.base.state().checkpoint_lsn;
        let spans = writer.log.spans();
        let sparse = spans.iter().filter(|span| span.end.get() > folded && is_sparse(span)).count();
        let bytes = unfolded_log(writer, &view);
        if sparse <= SPARSE_SEGMENTS && bytes <= self.options.log_bytes {
            return Ok(());
        }
        drop(view);
        tell(move || {
            tracing::debug!(sparse, bytes, "the log of earlier lives is folded before the file is open");
        });
        // Why it failed was told; the next open tries again. But one that poisons the log leaves nothing to go on with.
        if self.checkpoint().is_err() {
            writer.log.check().map_err(Error::from_sync)?;
        }
        Ok(())
    }
}

/// Whether less than half of a segment was used. The one that takes the appends is not over yet.
fn is_sparse(span: &Span) -> bool {
    let used = span.end.get().saturating_sub(span.base.get());
    used < span.bytes / 2
}

//! Where snapshots come from, and how a new view becomes the one they begin with.

use braid_mvstore::{SnapshotKind, SnapshotSource, Timestamp};
use braid_vfs::planted;
use braid_vfs::sync::Arc;
use braid_vfs::sync::atomic::Ordering;

use super::shared::{Core, Section, Writer};
use super::view::View;

impl SnapshotSource<View> for Core {
    fn view_id(&self) -> u64 {
        self.view_id.load(Ordering::SeqCst)
    }

    fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    fn read_point(&self, kind: SnapshotKind) -> Timestamp {
        match kind {
            SnapshotKind::ReadOnly if planted!(SnapshotAtInstalled) => self.installed_ts(),
            SnapshotKind::ReadOnly => self.acked_ts(),
            SnapshotKind::ReadWrite => self.installed_ts(),
        }
    }
}

impl Core {
    /// Whether no view after this one is known to everybody. The next one may be stored already, and is published in full
    /// before anything is installed in it.
    pub(super) fn is_current(&self, view: &View) -> bool {
        self.view_id.load(Ordering::SeqCst) <= view.id
    }

    /// Makes `view` the current one. In the commit section, so that no commit is installed into a generation that the
    /// current view does not hold, and none is validated against half of the history.
    pub(super) fn publish(&self, section: &mut Section, view: View) -> Arc<View> {
        let view = Arc::new(view);
        let mut views = self.views.lock();
        views.retain(|view| view.strong_count() > 0);
        views.push(Arc::downgrade(&view));
        drop(views);
        section.view = Arc::clone(&view);
        self.view.store(Arc::clone(&view));
        self.view_id.store(view.id, Ordering::SeqCst);
        view
    }

    /// Lets go of the history that was kept for read-write transactions which have ended.
    pub(super) fn let_history_go(&self, writer: &Writer) {
        if self.view.load().retired.is_empty() {
            return;
        }
        let oldest_writer = self.oldest_writer();
        let mut section = writer.section.lock();
        let Some(view) = section.view.without_history_before(oldest_writer) else { return };
        let view = self.publish(&mut section, view);
        drop(section);
        self.registry.sweep_stale(view.id, drop);
    }

    /// The oldest version that a chain in a generation which starts at `start` must keep readable.
    pub(super) fn trim_watermark(&self, start: Timestamp) -> Timestamp {
        // Read before the registry is looked through: a snapshot that begins meanwhile begins at this or later.
        let acked = if planted!(TrimmedToInstalled) { self.installed_ts() } else { self.acked_ts() };
        self.registry.watermark_since(start, acked)
    }

    /// The oldest snapshot of a live read-write transaction, or the one that the next would get.
    pub(super) fn oldest_writer(&self) -> Timestamp {
        let installed = self.installed_ts();
        self.registry.oldest_read_write(installed)
    }
}

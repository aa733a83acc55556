//! The place of a view in a slot: it is put and taken as a whole, by one instruction.

use braid_vfs::sync::Arc;

#[cfg(not(loom))]
pub(super) use self::native::ViewCell;
#[cfg(loom)]
pub(super) use self::stand_in::ViewCell;

#[cfg(not(loom))]
mod native {
    use crossbeam_utils::atomic::AtomicCell;

    use super::Arc;

    pub(in super::super) struct ViewCell<V>(AtomicCell<Option<Arc<V>>>);

    const _: () =
        assert!(AtomicCell::<Option<Arc<u8>>>::is_lock_free(), "a view is moved by one instruction");

    impl<V> ViewCell<V> {
        pub(in super::super) fn new() -> Self {
            Self(AtomicCell::new(None))
        }

        #[inline]
        pub(in super::super) fn put(&self, view: Arc<V>) {
            self.0.store(Some(view));
        }

        #[inline]
        pub(in super::super) fn take(&self) -> Option<Arc<V>> {
            self.0.take()
        }
    }
}

/// `loom` does not see into the cell: to it, what is put and taken would be part of the step before.
#[cfg(loom)]
mod stand_in {
    use braid_vfs::sync::Mutex;

    use super::Arc;

    pub(in super::super) struct ViewCell<V>(Mutex<Option<Arc<V>>>);

    impl<V> ViewCell<V> {
        pub(in super::super) fn new() -> Self {
            Self(Mutex::new(None))
        }

        pub(in super::super) fn put(&self, view: Arc<V>) {
            *self.0.lock() = Some(view);
        }

        pub(in super::super) fn take(&self) -> Option<Arc<V>> {
            self.0.lock().take()
        }
    }
}

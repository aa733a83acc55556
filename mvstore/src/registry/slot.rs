//! One place for one live snapshot.

use std::fmt;
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};

use braid_vfs::sync::tracked::{AtomicBool, AtomicU64};
use braid_vfs::sync::{Arc, Mutex, schedule_point};

use super::SnapshotInfo;
use super::lease::Lease;
use super::pin::Pin;
use super::view_cell::ViewCell;

/// A slot. Whoever has claimed it writes to it alone, save for `view`, out of which a sweep may take.
pub(super) struct Slot<V> {
    pin: AtomicU64,
    /// The id of the view that its snapshot reads, or of the one that its last snapshot left in `view`.
    pub(super) view_id: AtomicU64,
    pub(super) started_at: AtomicU64,
    named: AtomicBool,
    view: ViewCell<V>,
    name: Mutex<Option<Box<str>>>,
    /// The lease of its snapshot, if that has one, from its begin to its end.
    pub(super) lease: Mutex<Option<Arc<Lease<V>>>>,
}

impl<V> Slot<V> {
    /// A closed one.
    pub(super) fn new() -> Self {
        Self {
            pin: AtomicU64::new(Pin::CLOSED.word()),
            view_id: AtomicU64::new(0),
            started_at: AtomicU64::new(0),
            named: AtomicBool::new(false),
            view: ViewCell::new(),
            name: Mutex::new(None),
            lease: Mutex::new(None),
        }
    }

    /// Claims the slot and publishes the pin, both at once.
    pub(super) fn claim(&self, pin: Pin) -> bool {
        self.pin.load(Relaxed) == Pin::IDLE.word()
            && self.pin.compare_exchange(Pin::IDLE.word(), pin.word(), SeqCst, Relaxed).is_ok()
    }

    /// The same of a closed one; whoever opens slots does.
    pub(super) fn claim_closed(&self, pin: Pin) -> bool {
        self.pin.compare_exchange(Pin::CLOSED.word(), pin.word(), SeqCst, Relaxed).is_ok()
    }

    /// Has it be claimed, if it is closed.
    pub(super) fn open(&self) {
        let _ = self.pin.compare_exchange(Pin::CLOSED.word(), Pin::IDLE.word(), SeqCst, Relaxed);
    }

    /// Has it not be claimed any more, if it is idle. Whether it is closed now.
    pub(super) fn close(&self) -> bool {
        match self.pin.load(Relaxed) {
            word if word == Pin::CLOSED.word() => true,
            word if word == Pin::IDLE.word() => {
                self.pin.compare_exchange(word, Pin::CLOSED.word(), SeqCst, Relaxed).is_ok()
            }
            _ => false,
        }
    }

    /// Raises the pin to its final place.
    pub(super) fn settle(&self, pin: Pin) {
        self.pin.store(pin.word(), Release);
    }

    /// Gives the slot up. Release: what its snapshot has read, it has read before.
    pub(super) fn release(&self) {
        self.pin.store(Pin::IDLE.word(), Release);
    }

    pub(super) fn pin(&self) -> Pin {
        Pin::from_word(self.pin.load(SeqCst))
    }

    /// What is known of its snapshot.
    pub(super) fn info<'a>(&self, pin: Pin, name: Option<&'a str>, max_age: Option<u64>) -> SnapshotInfo<'a> {
        SnapshotInfo {
            kind: pin.kind(),
            begin_ts: pin.timestamp(),
            view_id: self.view_id.load(Relaxed),
            started_at: self.started_at.load(Relaxed),
            name,
            max_age,
        }
    }

    /// Leaves a view for the next snapshot.
    pub(super) fn put_view(&self, view: Arc<V>) {
        schedule_point();
        self.view.put(view);
    }

    /// Takes out the view that was left, if it is still there.
    pub(super) fn take_view(&self) -> Option<Arc<V>> {
        schedule_point();
        self.view.take()
    }

    pub(super) fn set_name(&self, name: &str) {
        *self.name.lock() = Some(name.into());
        self.named.store(true, Relaxed);
    }

    pub(super) fn clear_name(&self) {
        if self.named.load(Relaxed) {
            self.named.store(false, Relaxed);
            *self.name.lock() = None;
        }
    }

    pub(super) fn with_name<R>(&self, read: impl FnOnce(Option<&str>) -> R) -> R {
        if self.named.load(Relaxed) { read(self.name.lock().as_deref()) } else { read(None) }
    }
}

impl<V> fmt::Debug for Slot<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pin().fmt(f)
    }
}

//! Pointers of `crossbeam_epoch`'s shape, as far as they are used here, for `loom`.
//!
//! A pointer is one of the checker's atomics. What it points to is watched by one of the checker's cells: a look at it
//! counts as a read of the cell, making or changing it as a write, so that the checker reports a version that somebody can
//! reach without having been shown its content.
//!
//! Nothing is ever freed before its owner drops it: when a reader is done is the real epoch's business, and it is not what
//! is checked here. What is destroyed is marked, which shows what is destroyed twice, or destroyed and still reachable.
#![expect(unsafe_code, reason = "it stands for a library of pointers")]

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

use braid_vfs::sync::atomic::AtomicUsize;
use crossbeam_epoch::Pointable;
use loom::cell::UnsafeCell;

/// The real one inside.
#[derive(Debug)]
#[repr(transparent)]
pub struct Guard(crossbeam_epoch::Guard);

/// Pins the thread.
#[must_use]
pub fn pin() -> Guard {
    Guard(crossbeam_epoch::pin())
}

/// # Safety
/// As for the real one.
pub(crate) unsafe fn unprotected() -> &'static Guard {
    // SAFETY: 1. the caller's obligations are the real one's. 2. `Guard` has the layout of what it wraps.
    unsafe { &*std::ptr::from_ref(crossbeam_epoch::unprotected()).cast() }
}

impl Deref for Guard {
    type Target = crossbeam_epoch::Guard;

    fn deref(&self) -> &crossbeam_epoch::Guard {
        &self.0
    }
}

impl Guard {
    /// Marks what was taken out of everybody's reach.
    ///
    /// # Safety
    /// As for the real one.
    #[expect(clippy::unused_self, reason = "the real one's shape")]
    pub(crate) unsafe fn defer_destroy<T: ?Sized + Pointable>(&self, pointer: Shared<'_, T>) {
        let node = pointer.node().expect("there is something to destroy");
        assert!(!node.destroyed.swap(true, Ordering::Relaxed), "destroyed twice");
    }
}

/// An object and what the checker knows of it. Nodes of destroyed objects stay where they are.
struct Node {
    address: usize,
    content: UnsafeCell<()>,
    /// Not a step of the schedule.
    destroyed: AtomicBool,
}

/// A pointer that threads share.
pub(crate) struct Atomic<T: ?Sized> {
    node: AtomicUsize,
    object: PhantomData<*mut T>,
}

// SAFETY: a pointer to an object that may be shared and sent, as the real one's.
unsafe impl<T: ?Sized + Send + Sync> Send for Atomic<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for Atomic<T> {}

impl<T: ?Sized + Pointable> Atomic<T> {
    pub(crate) fn null() -> Self {
        Self { node: AtomicUsize::new(0), object: PhantomData }
    }

    pub(crate) fn init(init: T::Init) -> Self {
        // SAFETY: the object is dropped by `Owned` alone.
        let node = Node {
            address: unsafe { T::init(init) },
            content: UnsafeCell::new(()),
            destroyed: AtomicBool::new(false),
        };
        node.content.with_mut(|_| ());
        Self {
            node: AtomicUsize::new(Box::into_raw(Box::new(node)).expose_provenance()),
            object: PhantomData,
        }
    }

    pub(crate) fn load<'g>(&self, order: Ordering, _guard: &'g Guard) -> Shared<'g, T> {
        Shared::from_word(self.node.load(order))
    }

    pub(crate) fn store(&self, new: Shared<'_, T>, order: Ordering) {
        self.node.store(new.word, order);
    }

    pub(crate) fn swap<'g>(&self, new: Shared<'_, T>, order: Ordering, _guard: &'g Guard) -> Shared<'g, T> {
        Shared::from_word(self.node.swap(new.word, order))
    }

    pub(crate) fn compare_exchange<'g>(
        &self,
        current: Shared<'_, T>,
        new: Owned<T>,
        success: Ordering,
        failure: Ordering,
        _guard: &'g Guard,
    ) -> Result<Shared<'g, T>, Lost<'g, T>> {
        match self.node.compare_exchange(current.word, new.word, success, failure) {
            Ok(_) => {
                let word = new.word;
                std::mem::forget(new);
                Ok(Shared::from_word(word))
            }
            Err(word) => Err(Lost { current: Shared::from_word(word), new }),
        }
    }
}

/// A compare-exchange that came too late.
pub(crate) struct Lost<'g, T: ?Sized + Pointable> {
    pub(crate) current: Shared<'g, T>,
    pub(crate) new: Owned<T>,
}

/// A pointer to what a guard protects, or to nothing.
pub(crate) struct Shared<'g, T: ?Sized> {
    word: usize,
    object: PhantomData<(&'g (), *const T)>,
}

impl<T: ?Sized> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Shared<'_, T> {}

impl<'g, T: ?Sized + Pointable> Shared<'g, T> {
    fn from_word(word: usize) -> Self {
        Self { word, object: PhantomData }
    }

    pub(crate) fn null() -> Self {
        Self::from_word(0)
    }

    pub(crate) fn is_null(&self) -> bool {
        self.word == 0
    }

    fn node(&self) -> Option<&'g Node> {
        // SAFETY: a node is freed by its object's owner alone, after whom nobody has a pointer to it.
        unsafe { std::ptr::with_exposed_provenance::<Node>(self.word).as_ref() }
    }

    /// # Safety
    /// As for the real one.
    pub(crate) unsafe fn as_ref(&self) -> Option<&'g T> {
        let node = self.node()?;
        node.content.with(|_| ());
        // SAFETY: 1. the object lives as long as its node. 2. The checker has just seen that nobody changes it.
        Some(unsafe { T::deref(node.address) })
    }

    /// # Safety
    /// As for the real one.
    pub(crate) unsafe fn try_into_owned(self) -> Option<Owned<T>> {
        assert!(self.node()?.destroyed.load(Ordering::Relaxed) == false, "destroyed, and still reachable");
        Some(Owned { word: self.word, object: PhantomData })
    }
}

/// A pointer to what nobody else can reach.
pub(crate) struct Owned<T: ?Sized + Pointable> {
    word: usize,
    object: PhantomData<Box<T>>,
}

impl<T: ?Sized + Pointable> Owned<T> {
    fn node(&self) -> &Node {
        // SAFETY: the node lives until its owner is dropped.
        unsafe { &*std::ptr::with_exposed_provenance(self.word) }
    }
}

impl<T: ?Sized + Pointable> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.node().content.with(|_| ());
        // SAFETY: the object is ours.
        unsafe { T::deref(self.node().address) }
    }
}

impl<T: ?Sized + Pointable> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.node().content.with_mut(|_| ());
        // SAFETY: the object is ours.
        unsafe { T::deref_mut(self.node().address) }
    }
}

impl<T: ?Sized + Pointable> Drop for Owned<T> {
    fn drop(&mut self) {
        self.node().content.with_mut(|_| ());
        // SAFETY: 1. object and node are ours, 2. and made by `init` and `Box`.
        unsafe {
            T::drop(self.node().address);
            drop(Box::from_raw(std::ptr::with_exposed_provenance_mut::<Node>(self.word)));
        }
    }
}

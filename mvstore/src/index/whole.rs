//! A mark by which `loom` sees that nobody comes to something before its content is there.

/// Nothing, but that `loom` takes making it for a write and [`look`](Self::look) for a read: so it reports what somebody
/// can reach before its content.
pub(super) struct Whole {
    #[cfg(loom)]
    watched: loom::cell::UnsafeCell<()>,
}

impl Whole {
    #[inline]
    pub(super) fn new() -> Self {
        #[cfg(loom)]
        {
            let watched = loom::cell::UnsafeCell::new(());
            watched.with_mut(|_| ());
            Self { watched }
        }
        #[cfg(not(loom))]
        Self {}
    }

    #[inline]
    #[cfg_attr(not(loom), expect(clippy::unused_self, reason = "it is for the checker"))]
    pub(super) fn look(&self) {
        #[cfg(loom)]
        self.watched.with(|_| ());
    }
}

//! A page that a reader holds.

use std::ops::Deref;

use super::Page;

/// A page held in memory for as long as this lives, whatever the cache does meanwhile.
#[derive(Debug)]
pub struct CachedPage(Held);

#[derive(Debug)]
enum Held {
    /// Holds by a slot of the thread: no shared counter was touched.
    Guard(arc_swap::Guard<Page>),
    /// Holds by the reference count.
    Shared(Page),
}

impl CachedPage {
    /// What a slot of the cache of this crate gives. No conversion of the public interface, as `arc-swap` is not a part of that.
    pub(super) fn guarded(page: arc_swap::Guard<Page>) -> Self {
        Self(Held::Guard(page))
    }

    /// The page with a reference count of its own, to be held for longer.
    #[must_use]
    pub fn into_shared(self) -> Page {
        match self.0 {
            Held::Guard(guard) => arc_swap::Guard::into_inner(guard),
            Held::Shared(page) => page,
        }
    }
}

impl Deref for CachedPage {
    type Target = Page;

    fn deref(&self) -> &Page {
        match &self.0 {
            Held::Guard(guard) => guard,
            Held::Shared(page) => page,
        }
    }
}

impl From<Page> for CachedPage {
    fn from(page: Page) -> Self {
        Self(Held::Shared(page))
    }
}

//! A page that a reader holds.

use std::ops::Deref;
use std::sync::Arc;

use super::Page;

/// A page held in memory for as long as this lives, whatever the cache does meanwhile.
#[derive(Debug)]
pub struct CachedPage(Held);

#[derive(Debug)]
enum Held {
    /// Holds by a slot of the thread: no shared counter was touched.
    Guard(arc_swap::Guard<Arc<Page>>),
    /// Holds by the reference count.
    Shared(Arc<Page>),
}

impl CachedPage {
    /// The page with a reference count of its own, to be held for longer.
    #[must_use]
    pub fn into_shared(self) -> Arc<Page> {
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

impl From<Arc<Page>> for CachedPage {
    fn from(page: Arc<Page>) -> Self {
        Self(Held::Shared(page))
    }
}

impl From<arc_swap::Guard<Arc<Page>>> for CachedPage {
    fn from(guard: arc_swap::Guard<Arc<Page>>) -> Self {
        Self(Held::Guard(guard))
    }
}

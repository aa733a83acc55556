//! The page cache is a trait: one of the user's own serves every handle of the file, and correctness does not depend on
//! what it keeps.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use braid::{CachedPage, Options, Page, PageCache, PageGeneration, PageId, Result};
use braid_tests::{Place, assert_clean, byte, contents, key, together};

/// Keeps nothing.
#[derive(Debug, Default)]
struct Nothing {
    asked: AtomicU64,
}

impl PageCache for Nothing {
    fn get(&self, _: PageId, _: PageGeneration) -> Option<CachedPage> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        None
    }
    fn insert(&self, _: Page) {}
    fn capacity_bytes(&self) -> usize {
        0
    }
    fn resident_bytes(&self) -> usize {
        0
    }
    fn evictions(&self) -> u64 {
        0
    }
}

/// Keeps everything.
#[derive(Debug, Default)]
struct Everything {
    pages: Mutex<HashMap<PageId, Page>>,
    found: AtomicU64,
}

impl PageCache for Everything {
    fn get(&self, page: PageId, generation: PageGeneration) -> Option<CachedPage> {
        let pages = self.pages.lock().expect("no test thread panics with the lock");
        let page = pages.get(&page).filter(|page| page.generation() == generation)?;
        self.found.fetch_add(1, Ordering::Relaxed);
        Some(CachedPage::from(page.clone()))
    }
    fn insert(&self, page: Page) {
        self.pages.lock().expect("no test thread panics with the lock").insert(page.id(), page);
    }
    fn capacity_bytes(&self) -> usize {
        usize::MAX
    }
    fn resident_bytes(&self) -> usize {
        self.pages.lock().expect("no test thread panics with the lock").len() * 512
    }
    fn evictions(&self) -> u64 {
        0
    }
}

fn exercise(cache: Arc<dyn PageCache>) -> Result<()> {
    let place = Place::new();
    let options =
        Options { page_cache: Some(cache), page_bytes: 512, row_store_bytes: 64 << 10, ..Options::default() };
    let db = place.open_mvcc(options.clone())?;
    let table = db.table("rows")?;
    together(3, |thread| -> Result<()> {
        let sibling = place.open_with(options.clone())?;
        for round in 0..20 {
            let mut tx = sibling.begin_concurrent()?;
            for number in 0..20 {
                tx.put(&table, key(thread as u64 * 10_000 + round * 13 + number), [byte(round); 100])?;
            }
            tx.commit()?;
            if thread == 0 {
                sibling.checkpoint()?;
            }
        }
        Ok(())
    })?;
    db.checkpoint()?;
    let rows = contents(&db.snapshot()?, &table)?;
    assert_eq!(rows.len(), 3 * (19 * 13 + 20));
    assert_eq!(db.snapshot()?.count(&table)?, rows.len() as u64);
    assert_clean(&db)
}

#[test]
fn one_that_keeps_nothing() -> Result<()> {
    let cache = Arc::new(Nothing::default());
    exercise(Arc::clone(&cache) as Arc<dyn PageCache>)?;
    assert!(cache.asked.load(Ordering::Relaxed) > 0, "it was asked");
    Ok(())
}

#[test]
fn one_that_keeps_everything() -> Result<()> {
    let cache = Arc::new(Everything::default());
    exercise(Arc::clone(&cache) as Arc<dyn PageCache>)?;
    assert!(cache.found.load(Ordering::Relaxed) > 0, "it was of use");
    Ok(())
}

use std::thread;

use super::*;
use crate::base::ids::{StoreNumber, TreeId};
use crate::base::page::{Entry, Expected, PageBuilder, PageIdentity, PageSize};
use crate::base::refs::ChildRef;

const PAGE_BYTES: u32 = 512;
const GENERATION: PageGeneration = PageGeneration(1);

fn page(id: u32) -> Page {
    page_of(id, GENERATION, 0)
}

/// A leaf with a row, or a branch with one child.
fn page_of(id: u32, generation: PageGeneration, level: u8) -> Page {
    let identity = PageIdentity { page: PageId(id), tree: TreeId(1), generation, level };
    let mut builder = PageBuilder::new(PAGE_BYTES as usize);
    let child = ChildRef { page: PageId(id), checksum: 0, generation, rows: 1, overflow: false };
    let body: &[u8] = if level == 0 { b"v" } else { &child.encode() };
    let checksum = builder.build(&identity, std::iter::once(Entry { key: b"k", body, overflow: false }));
    let expected = Expected { tree: TreeId(1), child: ChildRef { checksum, ..child }, level };
    Page::built(builder.bytes(), &expected, PageSize::new(PAGE_BYTES).unwrap(), StoreNumber::NONE).unwrap()
}

/// As often as a full cache wants it.
fn take_in(cache: &ClockCache, id: u32) {
    cache.insert(page(id));
    if !has(cache, id) {
        cache.insert(page(id));
    }
}

fn cache_for(pages: usize) -> ClockCache {
    ClockCache::for_pages_of(PAGE_BYTES, pages * page(0).memory_bytes())
}

fn has(cache: &ClockCache, id: u32) -> bool {
    cache.get(PageId(id), GENERATION).is_some_and(|found| found.id() == PageId(id))
}

/// What stands in the slots, by what the slots themselves say; and that no tag hides a page.
fn pages_of(cache: &ClockCache) -> Vec<u32> {
    let mut pages = Vec::new();
    for set in (0..cache.sets).filter_map(|set| cache.set_at(set)) {
        for way in 0..WAYS {
            let id = set.pages[way].load().id().0;
            if id != NO_PAGE {
                assert_ne!(set.tag(way), NO_TAG, "the hand passes over page {id}");
                pages.push(id);
            }
        }
    }
    pages
}

#[test]
fn a_page_is_found_until_it_goes_and_the_bytes_are_those_of_the_slots() {
    let cache = cache_for(100);
    for id in 0..3000 {
        take_in(&cache, id);
        assert!(has(&cache, id), "{id}");
        let pages = pages_of(&cache);
        assert_eq!(pages.len() * page(0).memory_bytes(), cache.resident_bytes());
        assert_eq!(pages.len(), 100.min(id as usize + 1), "it is full as soon as there are enough");
        assert!(pages.iter().all(|id| has(&cache, *id)));
        assert_eq!(cache.evictions(), u64::from(id + 1) - pages.len() as u64);
    }
    assert!(!has(&cache, 0));
    assert!(cache.get(PageId(2999), PageGeneration(2)).is_none());
}

#[test]
fn a_leaf_enters_a_full_cache_when_it_comes_again() {
    let cache = cache_for(100);
    (0..100).for_each(|id| cache.insert(page(id)));
    for cold in 1000..6000 {
        cache.insert(page(cold));
    }
    assert!((0..100).all(|id| has(&cache, id)), "what comes once puts nothing out");
    assert_eq!((pages_of(&cache).len(), cache.evictions()), (100, 0));

    cache.insert(page(5999));
    assert!(has(&cache, 5999));
    // What came long ago is forgotten.
    cache.insert(page(1000));
    assert!(!has(&cache, 1000));
    // All reads pass a branch.
    cache.insert(page_of(7000, GENERATION, 1));
    assert!(has(&cache, 7000));
    assert_eq!((pages_of(&cache).len(), cache.evictions()), (100, 2));
}

#[test]
fn a_leaf_takes_the_place_of_an_older_one_with_its_id_at_once() {
    let cache = cache_for(100);
    (0..100).for_each(|id| cache.insert(page(id)));
    let newer = PageGeneration(2);
    cache.insert(page_of(50, newer, 0));
    assert!(cache.get(PageId(50), newer).is_some() && !has(&cache, 50));
    assert_eq!((pages_of(&cache).len(), cache.evictions()), (100, 0));
}

#[test]
fn pages_that_are_used_mostly_stay_while_others_come_and_go() {
    let cache = cache_for(200);
    let mut lost = 0;
    for cold in 1000..6000 {
        take_in(&cache, cold);
        let hot = cold % 20 * 20;
        if !has(&cache, hot) {
            lost += 1;
            take_in(&cache, hot);
        }
    }
    // Were it not for the marks, each of the twenty would go once for every 200 pages that come: 500 times.
    assert!(lost < 150, "{lost}");
}

#[test]
fn pages_that_share_a_tag_put_each_other_out_and_are_not_taken_for_each_other() {
    let cache = cache_for(8);
    let sharing = u32::try_from(cache.sets * NEIGHBOURS * (1 << 14)).unwrap();
    assert_eq!(cache.tag_of(PageId(5)), cache.tag_of(PageId(5 + sharing)));
    cache.insert(page(5));
    assert!(!has(&cache, 5 + sharing));
    cache.insert(page(5 + sharing));
    assert!(has(&cache, 5 + sharing) && !has(&cache, 5));
    assert_eq!((pages_of(&cache), cache.evictions()), (vec![5 + sharing], 1));
    // The last tag there could be says that a slot is empty.
    let last = sharing - 1;
    cache.insert(page(last));
    assert!(has(&cache, last));
}

#[test]
fn threads_that_bring_pages_in_and_drive_them_out_lose_none() {
    let cache = cache_for(24);
    let rounds = if cfg!(miri) { 60 } else { 20_000_u32 };
    for _ in 0..if cfg!(miri) { 1 } else { 3 } {
        thread::scope(|scope| {
            for thread in 0..4_u32 {
                let cache = &cache;
                scope.spawn(move || {
                    for round in 0..rounds {
                        let id = (round.wrapping_mul(2_654_435_761) >> 8).wrapping_add(thread) % 64;
                        if let Some(found) = cache.get(PageId(id), GENERATION) {
                            assert_eq!(found.id(), PageId(id));
                            continue;
                        }
                        cache.insert(page(id));
                    }
                });
            }
        });
        let pages = pages_of(&cache);
        assert_eq!(pages.len() * page(0).memory_bytes(), cache.resident_bytes());
        assert!(pages.len() <= 24, "{pages:?}");
    }
}

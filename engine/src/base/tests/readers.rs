//! Readers of old and new bases while folds go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;

use super::file::TestFile;
use super::kit::*;
use crate::base::*;

fn rows(value: u8) -> Changes {
    (0..400_u32).map(|n| ((TreeId(1), n.to_be_bytes().to_vec()), Some(vec![value; 30]))).collect()
}

#[test]
fn an_old_base_stays_readable_and_pins_only_its_own() {
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 4096);
    let old = fold(&store, &base, &rows(1), &[]).unwrap();
    let mut base = Arc::clone(&old);
    let mut sizes = Vec::new();
    for value in 2..80 {
        base = fold(&store, &base, &rows(value), &[]).unwrap();
        sizes.push(store.space_stats().file_pages);
        if value % 10 == 0 {
            assert_sound(&store, &base);
            assert_sound(&store, &old);
            assert!(rows_of(&store, &old, TreeId(1)).unwrap().values().all(|value| *value == [1; 30]));
        }
    }
    // One tree for the reader, one that stands, one that is written; the pages freed meanwhile are used again.
    assert!(sizes[70] <= sizes[5], "{sizes:?}");
    drop(old);
    base = fold(&store, &base, &rows(200), &[]).unwrap();
    base = fold(&store, &base, &rows(201), &[]).unwrap();
    assert_sound(&store, &base);
    assert!(store.space_stats().withheld_pages < sizes[70] / 2, "{:?}", store.space_stats());
}

#[test]
fn a_cursor_outlives_everything() {
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 1024);
    let mut base = fold(&store, &base, &rows(1), &[]).unwrap();
    let mut cursor = BaseCursor::new(Arc::clone(&store), Arc::clone(&base), TreeId(1));
    assert!(cursor.first().unwrap());
    for n in 1..400_u32 {
        if n % 20 == 0 {
            base = fold(&store, &base, &rows((n / 20) as u8 + 1), &[]).unwrap();
        }
        assert!(cursor.next().unwrap());
        assert_eq!((cursor.key(), cursor.value().unwrap()), (n.to_be_bytes().as_slice(), [1; 30].as_slice()));
    }
    assert!(!cursor.next().unwrap());
}

#[test]
fn many_threads_read_while_folds_go_on() {
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 8 * 512);
    let base = fold(&store, &base, &rows(1), &[]).unwrap();
    let newest = arc_swap::ArcSwap::new(base);
    let stop = AtomicBool::new(false);
    let reads = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        let readers = [0, 1, 2, 3].map(|seed| {
            let (store, newest, stop, reads) = (&store, &newest, &stop, &reads);
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                while !stop.load(Ordering::Relaxed) {
                    let base = newest.load_full();
                    let stamp = base.state().checkpoint_ts as u8;
                    for _ in 0..20 {
                        let key = (rng.below(400) as u32).to_be_bytes();
                        let value = store.get(&base, TreeId(1), &key, <[u8]>::to_vec).unwrap().unwrap();
                        assert_eq!(value, [stamp; 30]);
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                    if rng.below(4) == 0 {
                        assert_eq!(rows_of(store, &base, TreeId(1)).unwrap().len(), 400);
                    }
                }
            })
        });
        for value in 2..120 {
            let base = newest.load_full();
            newest.store(fold(&store, &base, &rows(value), &[]).unwrap());
        }
        // On a busy machine the folds may be over before the readers had their turn.
        while reads.load(Ordering::Relaxed) <= 100 && !readers.iter().any(ScopedJoinHandle::is_finished) {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let stats = store.cache_stats();
    assert!(stats.hits > 0 && stats.misses > 0 && stats.evictions > 0, "{stats:?}");
    assert!(stats.resident_bytes <= stats.capacity_bytes, "{stats:?}");
    assert_sound(&store, &newest.load_full());
}

#[test]
fn a_cached_page_is_not_read_again() {
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 1 << 20);
    let mut base = fold(&store, &base, &rows(1), &[]).unwrap();
    for value in 2..6 {
        base = fold(&store, &base, &rows(value), &[]).unwrap();
    }
    let read_all = || rows_of(&store, &base, TreeId(1)).unwrap().len();
    assert_eq!(read_all(), 400);
    let reads = file.reads();
    assert_eq!(read_all(), 400);
    assert_eq!(file.reads(), reads);
}

/// Not even where the pages of both are the same, byte for byte: nothing but a checksum of 32 bits would tell others apart.
#[test]
fn a_page_of_another_file_is_none_of_ones_own() {
    let cache: Arc<dyn PageCache> = Arc::new(ClockCache::for_pages_of(512, 1 << 20));
    let params = CreateParams { page_bytes: 512, uuid: [7; 16], state: EngineState::default() };
    let made = [(); 2].map(|()| {
        let file = TestFile::new();
        let (store, base) = BaseStore::create(Arc::clone(&file) as _, Arc::clone(&cache), &params).unwrap();
        let base = fold(&store, &base, &rows(1), &[]).unwrap();
        (file, store, base)
    });
    let root = made.each_ref().map(|(_, _, base)| base.root(TreeId(1)).unwrap().child);
    assert_eq!(root[0], root[1], "a parent says the same of both");
    for _ in 0..2 {
        // Each time the pages of the other one are in the cache, and then those of this one.
        for (file, store, base) in &made {
            for in_cache in [false, true] {
                let reads = file.reads();
                assert_eq!(rows_of(store, base, TreeId(1)).unwrap().len(), 400);
                assert_eq!(file.reads() == reads, in_cache);
            }
        }
    }
}

/// A page is read into the memory of one that went: what is left of that is never taken for the new one's.
#[test]
fn reads_that_fail_leave_nothing_behind() {
    for (seed, cache_bytes) in [(1, 0), (2, 3 * 576), (3, 20 * 576)] {
        let mut rng = Rng::new(seed);
        let file = TestFile::new();
        let (store, base) = create(&file, 512, cache_bytes);
        let mut base = fold(&store, &base, &rows(1), &[]).unwrap();
        let (mut good, mut bad) = (0, 0);
        for value in 2..30 {
            let old = Arc::clone(&base);
            file.read_badly(rng.clone());
            for _ in 0..400 {
                let key = (rng.below(400) as u32).to_be_bytes();
                match store.get(&base, TreeId(1), &key, <[u8]>::to_vec) {
                    Ok(read) => {
                        assert_eq!(read, Some(vec![value - 1; 30]));
                        good += 1;
                    }
                    Err(error) => {
                        assert!(error.is_corruption() || matches!(error, BaseError::Io { .. }), "{error}");
                        bad += 1;
                    }
                }
            }
            base = loop {
                match fold(&store, &base, &rows(value), &[]) {
                    Ok(folded) => break folded,
                    Err(error) => {
                        assert!(error.is_corruption() || matches!(error, BaseError::Io { .. }), "{error}");
                        // Half of all reads are too bad for a fold ever to come to its end.
                        file.heal();
                    }
                }
            };
            file.heal();
            assert_sound(&store, &base);
            for (base, value) in [(&base, value), (&old, value - 1)] {
                let read = rows_of(&store, base, TreeId(1)).unwrap();
                assert!(read.len() == 400 && read.values().all(|row| *row == [value; 30]));
            }
        }
        assert!(good > 1000 && bad > 100, "{good} {bad}");
    }
}

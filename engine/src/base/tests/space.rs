//! Space that is freed is used again, or given back.

use std::sync::Arc;

use super::file::TestFile;
use super::kit::*;
use crate::base::ids::PageGeneration;
use crate::base::meta::Meta;
use crate::base::space::{Extent, Extents, Freed, Space, joined, without};
use crate::base::*;

#[test]
fn compaction_gives_back() {
    for seed in 0..5 {
        let mut rng = Rng::new(seed);
        let file = TestFile::new();
        let (store, mut base) = create(&file, 512, 1 << 16);
        let shape = Shape { trees: 3, key_space: 3000, max_key: 20, max_value: 2000, deletes: 0 };
        let mut model = Model::new();
        for _ in 0..4 {
            let changes = random_changes(&shape, 1500, &mut rng);
            base = fold(&store, &base, &changes, &[]).unwrap();
            apply(&mut model, &changes, &[]);
        }
        let gone: Changes = model
            .iter()
            .flat_map(|(tree, rows)| rows.keys().map(|key| (*tree, key.clone())))
            .filter(|_| rng.below(10) > 0)
            .map(|key| (key, None))
            .collect();
        base = fold(&store, &base, &gone, &[]).unwrap();
        apply(&mut model, &gone, &[]);
        let reader = Arc::clone(&base);
        let before = file.image().len();
        let mut steps = 0;
        let compact = |base: &mut Arc<Base>, steps: &mut u32| loop {
            let done = store.compact_step(base, 40, &|| Ok(())).unwrap();
            *base = done.base;
            assert_sound(&store, base);
            *steps += 1;
            assert!(*steps < 1000, "compaction does not end");
            if done.moved_pages == 0 && done.returned_pages == 0 {
                break done.held_pages;
            }
        };
        let held = compact(&mut base, &mut steps);
        assert!(held > 0, "the reader holds nothing");
        assert!(content(&store, &reader).unwrap() == model);
        drop(reader);
        compact(&mut base, &mut steps);
        assert!(content(&store, &base).unwrap() == model);
        let after = file.image().len();
        let stats = store.space_stats();
        let in_use = (stats.file_pages - stats.free_pages - stats.withheld_pages) as usize * 512;
        assert!(after * 3 < before, "from {before} to {after} with {in_use} in use");
        assert!(after - 8192 < in_use * 5 / 4 + 40 * 512, "{after} for {in_use}");
        let opened = open_ready(file.image());
        assert!(content(&opened.store, &opened.base).unwrap() == model);
    }
}

#[test]
fn a_file_does_not_grow_under_steady_change() {
    let mut rng = Rng::new(8);
    let file = TestFile::new();
    let (store, mut base) = create(&file, 512, 1 << 16);
    let shape = Shape { trees: 2, key_space: 800, max_key: 20, max_value: 1200, deletes: 45 };
    let mut largest_early = 0;
    for round in 0..120 {
        let changes = random_changes(&shape, 300, &mut rng);
        base = fold(&store, &base, &changes, &[]).unwrap();
        let pages = store.space_stats().file_pages;
        if round < 30 {
            largest_early = largest_early.max(pages);
        } else {
            assert!(pages < largest_early * 3 / 2, "{pages} pages in round {round}, {largest_early} early");
        }
    }
    assert_sound(&store, &base);
}

#[test]
fn dropping_a_tree_frees_it_all() {
    let mut rng = Rng::new(2);
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 1 << 16);
    let shape = Shape { trees: 1, key_space: 3000, max_key: 20, max_value: 2000, deletes: 0 };
    let mut base = fold(&store, &base, &random_changes(&shape, 1000, &mut rng), &[]).unwrap();
    base = fold(&store, &base, &Changes::new(), &[TreeId(1), TreeId(1), TreeId(99)]).unwrap();
    assert_sound(&store, &base);
    // The free list of the first one lies behind what was dropped, and is held until its base is gone.
    for _ in 0..2 {
        base = fold(&store, &base, &Changes::new(), &[]).unwrap();
        assert_sound(&store, &base);
    }
    assert!(store.space_stats().file_pages < 10, "{:?}", store.space_stats());
}

#[test]
fn extents_join_and_give_the_lowest() {
    let mut rng = Rng::new(6);
    let mut extents = Extents::default();
    let mut model = std::collections::BTreeSet::new();
    for _ in 0..4000 {
        if rng.below(2) == 0 {
            let extent = Extent { start: rng.below(300) as u32, pages: 1 + rng.below(6) as u32 };
            let fits = (extent.start..extent.end()).all(|page| !model.contains(&page));
            assert_eq!(extents.add(extent), fits);
            if fits {
                model.extend(extent.start..extent.end());
            }
        } else {
            let pages = 1 + rng.below(7) as u32;
            let lowest = model
                .iter()
                .copied()
                .filter(|start| (0..pages).all(|n| model.contains(&(start + n))))
                // A run is taken from its start.
                .find(|start| *start == 0 || !model.contains(&(start - 1)));
            let taken = extents.take(pages);
            assert_eq!(taken, lowest);
            if let Some(start) = taken {
                model.retain(|page| *page < start || *page >= start + pages);
            }
        }
        assert_eq!(extents.pages() as usize, model.len());
        let listed: Vec<u32> = extents.iter().flat_map(|extent| extent.start..extent.end()).collect();
        assert!(listed.iter().eq(model.iter()));
        let runs: Vec<Extent> = extents.iter().collect();
        assert!(runs.windows(2).all(|pair| pair[0].end() < pair[1].start));
    }
}

#[test]
fn a_memo_is_carried_from_block_to_block() {
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 1 << 16);
    assert_eq!(base.memo(), b"");
    let long = vec![7; MEMO_BYTES];
    store.keep_memo(long.clone().into());
    let base = fold(&store, &base, &Changes::new(), &[]).unwrap();
    assert_eq!(base.memo(), long);
    let base = fold(&store, &base, &Changes::new(), &[]).unwrap();
    let opened = open_ready(file.image());
    opened.store.confirm().unwrap();
    assert_eq!(opened.base.memo(), base.memo());
    store.keep_memo(b"short".as_slice().into());
    assert_eq!(open_ready(file.image()).base.memo(), long, "it comes with the next block");
    let base = fold(&store, &base, &Changes::new(), &[]).unwrap();
    assert_eq!((base.memo(), open_ready(file.image()).base.memo()), (&b"short"[..], &b"short"[..]));
    // One that is longer than its place is none; in a block that has its checksum.
    let mut image = file.image();
    for block in [0..4096, 4096..8192] {
        image[block.start + 176..block.start + 178].copy_from_slice(&0xffff_u16.to_le_bytes());
        Meta::seal(&mut image[block]);
    }
    assert_eq!(open_ready(image).base.memo(), b"");
}

#[test]
fn extents_that_are_joined_at_once_are_those_that_are_added() {
    let mut rng = Rng::new(3);
    for _ in 0..200 {
        let mut pages: Vec<u32> = (0..rng.below(60)).map(|_| rng.below(100) as u32).collect();
        pages.sort_unstable();
        pages.dedup();
        let mut runs: Vec<_> = pages.iter().map(|page| Extent { start: *page, pages: 1 }).collect();
        let mut added = Extents::default();
        assert!(runs.iter().all(|run| added.add(*run)));
        // Few by many, or all at once; again they change nothing.
        let mut in_parts = Extents::default();
        while !runs.is_empty() && in_parts.pages() < added.pages() {
            let part = runs.iter().copied().filter(|_| rng.below(4) == 0).collect();
            in_parts.add_all(part);
        }
        assert!(in_parts.iter().eq(added.iter()) && in_parts.pages() == added.pages());
        for at in (1..runs.len()).rev() {
            runs.swap(at, rng.below(at as u64 + 1) as usize);
        }
        let mut all = joined(runs.iter().copied()).unwrap();
        assert!(all.iter().copied().eq(added.iter()));
        let twice = runs.iter().chain(runs.first()).copied();
        assert_eq!(joined(twice).is_ok(), runs.is_empty());
        assert!(joined(std::iter::once(Extent { start: 1, pages: 0 })).is_err());
        // What is taken out is gone, and nothing else.
        let out: Vec<u32> = (0..rng.below(12)).map(|_| rng.below(110) as u32).collect();
        pages.retain(|page| !out.contains(page));
        all = without(&all, out);
        let single = pages.iter().map(|page| Extent { start: *page, pages: 1 });
        assert_eq!(all, joined(single).unwrap());
        let mut all = Extents::from(all);
        assert_eq!(all.pages() as usize, pages.len());
        // It serves like any other.
        if let Some(first) = pages.first() {
            assert_eq!(all.take(1), Some(*first));
        }
    }
}

/// A page that was freed is withheld as long as there is a base that reaches it, for the oldest such base, and free afterwards.
#[test]
fn freed_pages_are_withheld_for_the_oldest_base_that_reaches_them() {
    struct Gone {
        born: u64,
        freed_at: u64,
        extent: Extent,
    }
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut space = Space::new(Extents::default(), 0);
        let (mut used, mut withheld) = (Vec::<(u64, Extent)>::new(), Vec::<Gone>::new());
        let mut live: Vec<u64> = Vec::new();
        let generations = |live: &[u64]| live.iter().copied().map(PageGeneration).collect::<Vec<_>>();
        for generation in 1..=200 {
            for _ in 0..rng.below(20) {
                let pages = 1 + rng.below(3) as u32;
                let start = space.allocate(pages).unwrap().0;
                used.push((generation, Extent { start, pages }));
            }
            let mut freed = Freed::default();
            let most = rng.below(40);
            for _ in 0..most.min(used.len() as u64) {
                let (born, extent) = used.swap_remove(rng.below(used.len() as u64) as usize);
                freed.add(PageGeneration(born), extent);
                withheld.push(Gone { born, freed_at: generation, extent });
            }
            live.retain(|_| rng.below(8) > 0);
            live.push(generation);
            if rng.below(2) == 0 {
                space.release(&generations(&live[..live.len() - 1]));
            }
            space.published(PageGeneration(generation), freed, &generations(&live));
            let holder =
                |gone: &Gone| live.iter().copied().find(|base| (gone.born..gone.freed_at).contains(base));
            withheld.retain(|gone| holder(gone).is_some());
            let mut by_base = std::collections::BTreeMap::new();
            for gone in &withheld {
                *by_base.entry(PageGeneration(holder(gone).unwrap())).or_insert(0) += gone.extent.pages;
            }
            assert_eq!(space.withheld_by_base(), by_base.into_iter().collect::<Vec<_>>());
            let in_use: u32 = used.iter().map(|(_, extent)| extent.pages).sum();
            assert_eq!(space.free_pages() + space.withheld_pages() + in_use, space.end());
            // All that is not in use, and each page once.
            let listed = space.free_with(&Freed::default()).unwrap();
            assert_eq!(listed.iter().map(|extent| extent.pages).sum::<u32>() + in_use, space.end());
            assert!(used.iter().all(|(_, extent)| {
                listed.iter().all(|run| run.end() <= extent.start || extent.end() <= run.start)
            }));
        }
        space.release(&[]);
        assert_eq!(space.withheld_pages(), 0);
    }
}

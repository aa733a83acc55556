//! A damaged file is found out: reads give what was stored, or an error.

use std::collections::{BTreeMap, BTreeSet};

use super::file::TestFile;
use super::kit::*;
use crate::base::open::OpenedBase;
use crate::base::page::{Expected, Value};
use crate::base::*;

fn small_database() -> (Vec<u8>, Model) {
    let mut rng = Rng::new(77);
    let shape = Shape { trees: 2, key_space: 150, max_key: 20, max_value: 1300, deletes: 30 };
    let file = TestFile::new();
    let (store, mut base) = create(&file, 512, 1 << 16);
    let mut model = Model::new();
    for _ in 0..3 {
        let changes = random_changes(&shape, 60, &mut rng);
        base = fold(&store, &base, &changes, &[]).unwrap();
        apply(&mut model, &changes, &[]);
    }
    assert_sound(&store, &base);
    let mut image = file.image();
    image.truncate(8192 + store.space_stats().file_pages as usize * 512);
    (image, model)
}

#[test]
fn every_flipped_byte_is_found_or_harmless() {
    let (image, model) = small_database();
    let newest = open_ready(image.clone()).base.generation();
    let mut found = 0;
    for at in 0..image.len() {
        let mut damaged = image.clone();
        damaged[at] ^= 1 << (at % 8);
        let opened = match open(damaged) {
            Ok(Opened::Ready(opened)) => opened,
            Ok(Opened::Unfinished) => panic!("byte {at}: a database passes for none"),
            Err(error) => {
                assert!(error.is_corruption() || matches!(error, BaseError::NewerFormat { .. }), "{error}");
                found += 1;
                continue;
            }
        };
        if opened.base.generation() != newest {
            // The engine sees from its log that this is not the newest base.
            assert!(opened.other_damaged && at < 8192, "byte {at}");
            found += 1;
            continue;
        }
        match content(&opened.store, &opened.base) {
            Ok(content) => assert!(content == model, "byte {at}"),
            Err(error) => {
                assert!(error.is_corruption(), "byte {at}: {error}");
                found += 1;
                let report = opened.store.check(&opened.base, &mut |_, _| Ok(())).unwrap();
                assert!(!report.findings.is_empty(), "byte {at}: the check finds nothing");
            }
        }
    }
    assert!(found > image.len() / 3, "only {found} of {} flips were met", image.len());
}

#[test]
fn a_cut_file_is_found() {
    let (image, model) = small_database();
    for len in (0..image.len()).step_by(97) {
        match open(image[..len].to_vec()) {
            Ok(Opened::Ready(opened)) => match content(&opened.store, &opened.base) {
                Ok(content) => assert!(content == model),
                Err(error) => assert!(error.is_corruption(), "{error}"),
            },
            Ok(Opened::Unfinished) => assert!(len < 4096),
            Err(error) => assert!(error.is_corruption(), "cut at {len}: {error}"),
        }
    }
}

#[test]
fn stale_and_misdirected_pages_are_found() {
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 1 << 16);
    let tree = TreeId(1);
    let rows = |value: u8| -> Changes {
        (0..200_u32).map(|n| ((tree, n.to_be_bytes().to_vec()), Some(vec![value; 20]))).collect()
    };
    let mut base = fold(&store, &base, &rows(1), &[]).unwrap();
    let before = file.image();
    for value in 2..6 {
        base = fold(&store, &base, &rows(value), &[]).unwrap();
    }
    let after = file.image();
    let pages = (after.len() - 8192) / 512;
    let mut met = 0;
    for page in 0..pages {
        let at = 8192 + page * 512;
        for (source, from) in [(&before, at), (&after, 8192 + (page + 1) % pages * 512)] {
            let Some(bytes) = source.get(from..from + 512) else { continue };
            let mut image = after.clone();
            image[at..at + 512].copy_from_slice(bytes);
            let Ok(Opened::Ready(opened)) = open(image) else {
                met += 1;
                continue;
            };
            match rows_of(&opened.store, &opened.base, tree) {
                Ok(rows) => assert!(rows.len() == 200 && rows.values().all(|value| *value == [5; 20])),
                Err(error) => {
                    assert!(error.is_corruption());
                    met += 1;
                }
            }
        }
    }
    assert!(met > 10, "{met}");
}

/// A row by its tree and key.
type Row = (TreeId, Vec<u8>);

/// The pages that each row lies in: its leaf, and the run of its value.
fn places(image: &[u8]) -> BTreeMap<Row, Vec<u32>> {
    let opened = open_ready(image.to_vec());
    let mut places = BTreeMap::new();
    for tree in opened.base.trees() {
        let top = opened.base.top(tree).unwrap();
        let mut leaves = vec![top];
        while let Some(at) = leaves.pop() {
            let page = opened.store.read_page(&at).unwrap();
            for index in 0..page.entries() {
                if at.level > 0 {
                    leaves.push(Expected { tree, child: page.child(index), level: at.level - 1 });
                    continue;
                }
                let mut key = Vec::new();
                page.copy_key(index, &mut key);
                let mut pages = vec![page.id().0];
                if let Value::Overflow(run) = page.value(index) {
                    pages.extend(run.page.0..run.page.0 + run.pages);
                }
                places.insert((tree, key), pages);
            }
        }
    }
    places
}

/// What a salvage gives of all trees, and whether some of it may be old.
fn salvage_all(image: Vec<u8>) -> (Model, Vec<Loss>, bool) {
    let file = TestFile::of(image);
    file.forbid_writes();
    let cache = std::sync::Arc::new(ClockCache::new(1 << 16));
    let (damaged, lost_trees) = BaseStore::open_damaged(file, cache).unwrap();
    let OpenedBase { store, base, other_damaged, has_unknown_pages: _ } = &damaged;
    let orphans = store.find_orphans(base, !lost_trees.is_empty(), *other_damaged);
    let mut seen = store.no_pages();
    let (mut model, mut losses) = (Model::new(), lost_trees);
    let trees: BTreeSet<_> = base.trees().chain(orphans.trees()).collect();
    for tree in trees {
        let saved = salvage(store, base, tree, &orphans, &mut seen);
        losses.extend(saved.lost);
        model.insert(tree, saved.rows);
    }
    model.retain(|_, rows| !rows.is_empty());
    (model, losses, orphans.may_be_old())
}

/// Byte 40 is of the prefix, a slot or the value: the checksum covers all of them.
fn damage(image: &[u8], page: usize) -> Vec<u8> {
    let mut damaged = image.to_vec();
    damaged[8192 + page * 512 + 40] ^= 0xff;
    damaged
}

#[test]
fn salvage_gives_the_rest() {
    for (image, model) in [small_database(), old_database()] {
        let places = places(&image);
        let (mut losses, mut found) = (0, 0);
        for page in 0..(image.len() - 8192) / 512 {
            let (saved, lost, may_be_old) = salvage_all(damage(&image, page));
            assert!(!may_be_old, "page {page}: the free list or the trees are whole");
            let hit = |tree: TreeId, key: &Vec<u8>| places[&(tree, key.clone())].contains(&(page as u32));
            let mut expected = model.clone();
            for (tree, rows) in &mut expected {
                rows.retain(|key, _| !hit(*tree, key));
            }
            expected.retain(|_, rows| !rows.is_empty());
            assert!(saved == expected, "page {page}: every row comes back that is in no damaged page");
            assert_eq!(lost.is_empty(), !reached(&image, page), "page {page}: {lost:?}");
            for (tree, key) in places.keys().filter(|(tree, key)| hit(*tree, key)) {
                assert!(lost.iter().any(|loss| loss.tree == TreeId::DIRECTORY
                    || loss.tree == *tree
                        && loss.lower <= *key
                        && loss.upper.as_ref().is_none_or(|upper| key < upper || *key == loss.lower)));
            }
            losses += lost.len();
            found += usize::from(lost.iter().any(|loss| loss.rows > 20 || loss.tree == TreeId::DIRECTORY));
        }
        assert!(losses > 5 && found > 2, "{losses} losses, of which {found} were of branches");
    }
}

/// Whether a page is of a tree, and not of the free list or free.
fn reached(image: &[u8], page: usize) -> bool {
    let opened = open(damage(image, page));
    let Ok(Opened::Ready(opened)) = opened else {
        let meta = open_ready(image.to_vec()).base.meta.clone();
        return meta.free_list.is_none_or(|list| list.first.page.0 as usize != page);
    };
    content(&opened.store, &opened.base).is_err()
}

#[test]
fn salvage_says_where_it_cannot_know_what_is_old() {
    let (image, model) = old_database();
    let opened = open_ready(image.clone());
    let list = opened.base.meta.free_list.unwrap().first.page.0 as usize;
    let mut old = 0;
    for page in (0..(image.len() - 8192) / 512).filter(|page| *page != list) {
        let (saved, lost, may_be_old) = salvage_all(damage(&damage(&image, page), list));
        // What a descent comes to is never replaced by what it does not come to.
        let (without, ..) = salvage_all(damage(&image, page));
        for (tree, rows) in &without {
            assert!(rows.iter().all(|(key, value)| saved[tree].get(key) == Some(value)), "page {page}");
        }
        if saved != without {
            assert!(may_be_old && !lost.is_empty(), "page {page}");
            old += 1;
        }
    }
    assert!(old > 0, "nothing old was there to be found");
    // One of the meta blocks is damaged, and where it is the newer one, what only it knew of is found, and the newest
    // of each row.
    for slot in [0, 1] {
        let mut damaged = image.clone();
        damaged[slot * 4096 + 33] ^= 0xff;
        let (saved, _, may_be_old) = salvage_all(damaged);
        for (tree, rows) in &model {
            assert!(rows.iter().all(|(key, value)| saved[tree].get(key) == Some(value)), "slot {slot}");
        }
        assert!(may_be_old || saved == model, "slot {slot}");
    }
}

/// A file of many checkpoints: rows that were changed and deleted, long values among them, are in pages that are free.
fn old_database() -> (Vec<u8>, Model) {
    let file = TestFile::new();
    let (store, mut base) = create(&file, 512, 1 << 16);
    let mut model = Model::new();
    let mut rng = Rng::new(5);
    for round in 0..6_u8 {
        let mut changes = Changes::new();
        for _ in 0..120 {
            let tree = TreeId(16 + u32::try_from(rng.below(3)).unwrap());
            let key = rng.below(400).to_be_bytes().to_vec();
            let len = if rng.below(40) == 0 { 900 } else { 30 };
            let value = (rng.below(3) > 0 || round < 2).then(|| vec![round; len]);
            changes.insert((tree, key), value);
        }
        base = fold(&store, &base, &changes, &[]).unwrap();
        apply(&mut model, &changes, &[]);
    }
    let mut image = file.image();
    image.truncate(8192 + store.space_stats().file_pages as usize * 512);
    (image, model)
}

#[test]
fn other_files_are_left_alone() {
    let cache = || std::sync::Arc::new(ClockCache::new(1 << 16));
    let params = CreateParams { page_bytes: 4096, uuid: [1; 16], state: EngineState::default() };
    for image in [b"hello".to_vec(), vec![b'x'; 5000], vec![b'x'; 100_000], vec![0; 100_000]] {
        let file = TestFile::of(image.clone());
        file.forbid_writes();
        let opened = BaseStore::open(file.clone(), cache(), false);
        assert!(matches!(opened, Err(BaseError::NotABraidFile)), "{opened:?}");
        assert!(matches!(BaseStore::create(file, cache(), &params), Err(BaseError::NotABraidFile)));
    }
    let file = TestFile::new();
    assert!(matches!(BaseStore::open(file.clone(), cache(), false), Ok(Opened::Unfinished)));
    BaseStore::create(file.clone(), cache(), &params).unwrap();
    file.forbid_writes();
    assert!(matches!(BaseStore::create(file.clone(), cache(), &params), Err(BaseError::AlreadyExists)));
    let Ok(Opened::Ready(opened)) = BaseStore::open(file, cache(), true) else { panic!("no database") };
    let refused = fold(&opened.store, &opened.base, &Changes::new(), &[]);
    assert!(matches!(refused, Err(BaseError::ReadOnly)));
    for page_bytes in [0, 256, 1000, 131_072] {
        let params = CreateParams { page_bytes, ..params };
        let created = BaseStore::create(TestFile::new(), cache(), &params);
        assert!(matches!(created, Err(BaseError::InvalidParameter { .. })));
    }
}

#[test]
fn a_newer_format_is_refused() {
    let (mut image, _) = small_database();
    image[8] = 2;
    let checksum = crc32fast::hash(&image[..4092]);
    image[4092..4096].copy_from_slice(&checksum.to_le_bytes());
    assert!(matches!(open(image), Err(BaseError::NewerFormat { found: 2, supported: 1 })));
}

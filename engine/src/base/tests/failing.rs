//! Writes that fail, syncs that fail, and power cuts at any moment.

use std::io::ErrorKind;
use std::sync::Arc;

use super::file::{Fault, TestFile};
use super::kit::*;
use crate::base::*;

const SHAPE: Shape = Shape { trees: 3, key_space: 300, max_key: 20, max_value: 1500, deletes: 35 };

/// A store with some history, and what it holds.
fn started(rng: &mut Rng) -> (Arc<TestFile>, Arc<BaseStore>, Arc<Base>, Model) {
    let file = TestFile::new();
    let (store, mut base) = create(&file, 512, 1 << 14);
    let mut model = Model::new();
    for _ in 0..3 {
        let changes = random_changes(&SHAPE, 150, rng);
        base = fold(&store, &base, &changes, &[]).unwrap();
        apply(&mut model, &changes, &[]);
    }
    (file, store, base, model)
}

#[test]
fn a_fold_that_fails_anywhere_can_be_tried_again() {
    let mut done = false;
    let mut poisonings = 0;
    for after in 0.. {
        let mut rng = Rng::new(5);
        let (file, store, base, mut model) = started(&mut rng);
        let changes = random_changes(&SHAPE, 200, &mut rng);
        let (fault, sticky) = match after % 4 {
            0 => (Fault::Error(ErrorKind::StorageFull), false),
            1 => (Fault::Short(ErrorKind::StorageFull), true),
            2 => (Fault::Error(ErrorKind::Other), true),
            _ => (Fault::Short(ErrorKind::Other), false),
        };
        file.fail(after / 4, fault, sticky);
        let failed = fold(&store, &base, &changes, &[TreeId(1)]);
        file.heal();
        let base = match failed {
            Ok(folded) => {
                done = after % 4 == 3;
                apply(&mut model, &changes, &[TreeId(1)]);
                folded
            }
            Err(BaseError::SyncFailed { .. }) => {
                poisonings += 1;
                assert!(matches!(fold(&store, &base, &changes, &[]), Err(BaseError::Poisoned { .. })));
                assert!(content(&store, &base).unwrap() == model);
                continue;
            }
            Err(BaseError::NoSpace { .. }) => {
                assert!(after % 4 < 2);
                base
            }
            Err(BaseError::Io { .. }) => base,
            Err(error) => panic!("{error}"),
        };
        assert!(content(&store, &base).unwrap() == model);
        let mut base = base;
        for _ in 0..3 {
            let changes = random_changes(&SHAPE, 80, &mut rng);
            base = fold(&store, &base, &changes, &[]).unwrap();
            apply(&mut model, &changes, &[]);
            assert_sound(&store, &base);
            assert!(content(&store, &base).unwrap() == model);
        }
        let opened = open_ready(file.image());
        assert!(content(&opened.store, &opened.base).unwrap() == model);
        if done {
            break;
        }
    }
    assert!(poisonings >= 4, "{poisonings}");
}

#[test]
fn a_power_cut_leaves_the_old_base_or_the_new_one() {
    let (mut old_ones, mut new_ones) = (0, 0);
    for seed in 0..4 {
        for after in 0.. {
            let mut rng = Rng::new(seed);
            let (file, store, base, old) = started(&mut rng);
            let changes = random_changes(&SHAPE, 150, &mut rng);
            let mut new = old.clone();
            apply(&mut new, &changes, &[]);
            // From this operation on nothing reaches the file: the process is gone.
            file.fail(after, Fault::Short(ErrorKind::Other), true);
            let done = fold(&store, &base, &changes, &[]).is_ok();
            for cut in 0..4 {
                let image = file.crash(&mut Rng::new(seed * 1000 + after * 10 + cut));
                let opened = open_ready(image.clone());
                let found = content(&opened.store, &opened.base).unwrap();
                if found == new {
                    new_ones += 1;
                    assert!(opened.base.generation() > base.generation());
                } else {
                    assert!(found == old && !done, "seed {seed}, operation {after}");
                    old_ones += 1;
                }
                assert_sound(&opened.store, &opened.base);
                // Life goes on from there.
                let more = random_changes(&SHAPE, 50, &mut rng);
                let next = fold(&opened.store, &opened.base, &more, &[]).unwrap();
                let mut expected = found;
                apply(&mut expected, &more, &[]);
                assert!(content(&opened.store, &next).unwrap() == expected);
                assert_sound(&opened.store, &next);
            }
            if done {
                break;
            }
        }
    }
    assert!(old_ones > 20 && new_ones > 8, "{old_ones} {new_ones}");
}

#[test]
fn an_uncertain_meta_block_does_no_harm() {
    // The write of the meta block takes effect and fails all the same; then the process goes on, and is cut off in the
    // middle of its next fold. Either of three bases may be found, each whole.
    let mut finds = [0; 3];
    for after_failure in 0..16 {
        let mut rng = Rng::new(after_failure);
        let (file, store, base, old) = started(&mut rng);
        let first = random_changes(&SHAPE, 100, &mut rng);
        let second = random_changes(&SHAPE, 100, &mut rng);
        file.fail_head(Fault::Late(ErrorKind::StorageFull));
        let failed = fold(&store, &base, &first, &[]);
        assert!(matches!(failed, Err(BaseError::NoSpace { .. })));
        assert!(content(&store, &base).unwrap() == old);
        let with = |changes| {
            let mut model = old.clone();
            apply(&mut model, changes, &[]);
            model
        };
        file.fail(after_failure, Fault::Error(ErrorKind::Other), true);
        let done = fold(&store, &base, &second, &[]).is_ok();
        for cut in 0..6 {
            let opened = open_ready(file.crash(&mut Rng::new(after_failure * 100 + cut)));
            let found = content(&opened.store, &opened.base).unwrap();
            let which = [&old, &with(&first), &with(&second)].into_iter().position(|model| *model == found);
            let which = which.expect("the base that is found is one of three");
            assert!(which == 2 || !done);
            finds[which] += 1;
            assert_sound(&opened.store, &opened.base);
        }
    }
    assert!(finds.iter().all(|finds| *finds > 0), "{finds:?}");
}

#[test]
fn a_file_whose_creation_was_cut_off_is_absent_or_opens() {
    let params = CreateParams { page_bytes: 512, uuid: [3; 16], state: EngineState::default() };
    let cache = || Arc::new(ClockCache::new(1 << 14));
    let (mut absent, mut opens) = (0, 0);
    for after in 0..8 {
        for cut in 0..20 {
            let file = TestFile::new();
            file.fail(after, Fault::Short(ErrorKind::Other), true);
            let done = BaseStore::create(file.clone(), cache(), &params).is_ok();
            let file = TestFile::of(file.crash(&mut Rng::new(cut)));
            match BaseStore::open(file.clone(), cache(), false).unwrap() {
                Opened::Ready(_) => opens += 1,
                Opened::Unfinished => {
                    assert!(!done);
                    absent += 1;
                    let (store, base) = BaseStore::create(file, cache(), &params).unwrap();
                    assert_sound(&store, &base);
                }
            }
        }
    }
    assert!(absent > 20 && opens > 20, "{absent} {opens}");
}

#[test]
fn counters_end_in_a_typed_error() {
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 1 << 14);
    store.writer.lock().next_generation = None;
    assert!(matches!(fold(&store, &base, &Changes::new(), &[]), Err(BaseError::Exhausted { .. })));
    let (store, base) = create(&TestFile::new(), 512, 1 << 14);
    store.writer.lock().space = space::Space::new(Default::default(), u32::MAX - 3);
    let rows = Changes::from([((TreeId(1), vec![1]), Some(vec![0; 5000]))]);
    assert!(matches!(fold(&store, &base, &rows, &[]), Err(BaseError::Exhausted { what: "page ids" })));
}

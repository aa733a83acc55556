//! A damaged file is found out: reads give what was stored, or an error.

use super::file::TestFile;
use super::kit::*;
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

#[test]
fn salvage_gives_the_rest() {
    let (image, model) = small_database();
    let opened = open_ready(image.clone());
    let mut losses = 0;
    for page in 0..(image.len() - 8192) / 512 {
        let mut damaged = image.clone();
        damaged[8192 + page * 512 + 40] ^= 0xff;
        let file = TestFile::of(damaged);
        file.forbid_writes();
        let cache = std::sync::Arc::new(ClockCache::new(1 << 16));
        let (damaged, lost_trees) = BaseStore::open_damaged(file, cache).unwrap();
        let mut seen = damaged.store.no_pages();
        for (tree, rows) in &model {
            if damaged.base.root(*tree).is_none() {
                assert!(!lost_trees.is_empty());
                continue;
            }
            let mut saved = Rows::new();
            let mut lost = Vec::new();
            damaged
                .store
                .salvage(
                    &damaged.base,
                    *tree,
                    &mut seen,
                    &mut |key, value| {
                        saved.insert(key.to_vec(), value.to_vec());
                        Ok(())
                    },
                    &mut |loss| lost.push(loss),
                )
                .unwrap();
            let lost_rows: u64 = lost.iter().map(|loss| loss.rows).sum();
            assert_eq!(saved.len() as u64 + lost_rows, rows.len() as u64);
            for (key, value) in rows {
                match saved.get(key) {
                    Some(found) => assert_eq!(found, value),
                    None => assert!(lost.iter().any(|loss| loss.lower <= *key
                        && loss.upper.as_ref().is_none_or(|upper| key < upper || *key == loss.lower))),
                }
            }
            losses += lost.len();
        }
    }
    assert!(losses > 5);
    assert!(content(&opened.store, &opened.base).unwrap() == model);
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

//! Files made up by somebody: checksums are right, the rest is not.

use std::cmp::Ordering;

use super::file::TestFile;
use super::kit::*;
use crate::base::error::Result;
use crate::base::ids::StoreNumber;
use crate::base::open::OpenedBase;
use crate::base::page::{Entry, Expected, Page, PageBuilder, PageIdentity, PageSize, seal};
use crate::base::refs::ChildRef;
use crate::base::*;

/// Makes every checksum right from the leaves up, as far as the tree can be followed, so that only structure is wrong.
fn reseal(image: &mut [u8], page_bytes: usize, at: &mut [u8], level: u8) {
    let child = ChildRef::decode(at);
    let start = 8192 + child.page.0 as usize * page_bytes;
    let Some(mut page) = image.get(start..start + page_bytes).map(<[u8]>::to_vec) else { return };
    if level > 0 {
        let entries = usize::from(u16::from_le_bytes([page[6], page[7]]));
        let prefix = usize::from(u16::from_le_bytes([page[24], page[25]]));
        let children = 32 + prefix + entries.saturating_sub(1) * 8;
        for index in 0..entries {
            let at = children + index * ChildRef::BYTES;
            let Some(mut child) = page.get(at..at + ChildRef::BYTES).map(<[u8]>::to_vec) else { break };
            reseal(image, page_bytes, &mut child, level - 1);
            page[at..at + ChildRef::BYTES].copy_from_slice(&child);
        }
    }
    let checksum = seal(&mut page);
    image[start..start + page_bytes].copy_from_slice(&page);
    at[4..8].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn a_hostile_page_never_panics() {
    let mut rng = Rng::new(9);
    let file = TestFile::new();
    let (store, base) = create(&file, 512, 1 << 16);
    let shape = Shape { trees: 1, key_space: 600, max_key: 30, max_value: 900, deletes: 0 };
    let all = random_changes(&shape, 500, &mut rng);
    let base = fold(&store, &base, &all, &[]).unwrap();
    let keys: Vec<&[u8]> = all.keys().map(|(_, key)| &**key).collect();
    let image = file.image();
    let tree = TreeId(1);
    let root = base.root(tree).unwrap();
    assert!(root.level > 0);
    let meta = store.writer.lock().current.clone();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..1000 {
        let mut image = image.clone();
        for _ in 0..=rng.below(3) {
            let page = rng.below(store.space_stats().file_pages.into()) as usize;
            // Mostly headers and slots, where the structure is.
            let reach = if rng.below(3) == 0 { 508 } else { 80 };
            let at = 8192 + page * 512 + 4 + rng.below(reach) as usize;
            image[at] = match rng.below(4) {
                0 => 0,
                1 => 0xff,
                2 => image[at].wrapping_add(1),
                _ => rng.next() as u8,
            };
        }
        let mut top = root.child.encode();
        reseal(&mut image, 512, &mut top, root.level);
        let opened = open_ready({
            let mut clean = file.image();
            clean.truncate(8192);
            clean.extend_from_slice(&image[8192..]);
            // The directory names the root with its new checksum.
            let named = clean.windows(24).position(|bytes| bytes == root.child.encode());
            let Some(place) = named else { continue };
            clean[place..place + 24].copy_from_slice(&top);
            let mut meta = meta.clone();
            let mut directory = meta.directory.unwrap();
            let mut child = directory.child.encode();
            reseal(&mut clean, 512, &mut child, directory.level);
            directory.child = ChildRef::decode(&child);
            meta.directory = Some(directory);
            let slot = usize::from(meta.generation.get() % 2 == 1) * 4096;
            clean[slot..slot + 4096].copy_from_slice(&meta.encode());
            // Pages of the directory and of the free list are not what is tried here.
            if open(clean.clone()).is_err() {
                continue;
            }
            clean
        });
        let mut cursor = BaseCursor::new(opened.store.clone(), opened.base.clone(), tree);
        let mut read = || -> Result<()> {
            while cursor.next()? {
                cursor.value()?;
            }
            while cursor.prev()? {
                cursor.value()?;
            }
            Ok(())
        };
        if let Err(error) = read() {
            assert!(error.is_corruption() || matches!(error, BaseError::OutOfMemory { .. }), "{error}");
            refused += 1;
        } else {
            accepted += 1;
        }
        for key in keys.iter().step_by(7) {
            // The second time through what the base holds.
            for _ in 0..2 {
                let read = opened.store.get(&opened.base, tree, key, <[u8]>::len);
                let is_refused = |error: &BaseError| {
                    error.is_corruption() || matches!(error, BaseError::OutOfMemory { .. })
                };
                assert!(read.as_ref().err().is_none_or(is_refused), "{read:?}");
            }
        }
        for pair in keys.windows(20).step_by(11) {
            let [from, .., to] = pair else { continue };
            run_to_fence(&opened, tree, (from, to), BaseDirection::Forward);
            run_to_fence(&opened, tree, (to, from), BaseDirection::Backward);
        }
        drop(opened.store.check(&opened.base, &mut |_, _| Ok(())).unwrap());
        // Other values of the same length in all leaves.
        let same: Changes =
            all.iter().map(|(key, value)| (key.clone(), value.as_ref().map(|v| vec![9; v.len()]))).collect();
        let few = random_changes(&shape, 10, &mut rng);
        let mut base = opened.base;
        for (changes, dropped) in [(&few, None), (&same, None), (&Changes::new(), Some(tree))] {
            if let Ok(folded) = fold(&opened.store, &base, changes, dropped.as_slice()) {
                base = folded;
            }
        }
        drop(opened.store.compact_step(&base, 10, &|| Ok(())));
    }
    assert!(accepted > 50 && refused > 200, "{accepted} {refused}");
}

/// Goes from one key to another as a merge does that has a row of another layer there.
fn run_to_fence(opened: &OpenedBase, tree: TreeId, (from, to): (&[u8], &[u8]), direction: BaseDirection) {
    let mut cursor = BaseCursor::new(opened.store.clone(), opened.base.clone(), tree);
    let found = match direction {
        BaseDirection::Forward => cursor.seek_ge(from, || {}),
        BaseDirection::Backward => cursor.seek_le(from, || {}),
    };
    let mut on_row = found.unwrap_or(false);
    while on_row && cursor.meet(Some(to), direction) == Ordering::Less {
        loop {
            while cursor.step_in_run(direction) {
                assert!(if direction == BaseDirection::Forward {
                    cursor.key() < to
                } else {
                    cursor.key() > to
                });
            }
            if cursor.step_to_fence(to, direction).is_some() || !cursor.step_in_run(direction) {
                break;
            }
        }
        on_row = match direction {
            BaseDirection::Forward => cursor.next().unwrap_or(false),
            BaseDirection::Backward => cursor.prev().unwrap_or(false),
        };
    }
}

#[test]
fn random_bytes_are_no_page() {
    let mut rng = Rng::new(4);
    let size = PageSize::new(512).unwrap();
    let mut accepted = 0;
    for _ in 0..20_000 {
        let level = rng.below(2) as u8;
        let mut bytes = vec![0; 512];
        bytes[4] = level + 1;
        bytes[5] = level;
        bytes[6] = rng.below(6) as u8;
        bytes[16] = 1;
        bytes[24] = rng.below(4) as u8;
        bytes[28..30].copy_from_slice(&(32 + rng.below(480) as u16).to_le_bytes());
        for byte in &mut bytes[32..] {
            *byte = if rng.below(3) == 0 { rng.next() as u8 } else { 0 };
        }
        let checksum = seal(&mut bytes);
        let rows = u64::from(bytes[6]);
        let child =
            ChildRef { page: PageId(0), checksum, generation: PageGeneration(1), rows, overflow: false };
        let expected = Expected { tree: TreeId(0), child, level };
        if let Ok(page) = Page::check(&bytes, &expected, size, StoreNumber::NONE) {
            accepted += 1;
            let mut key = Vec::new();
            for row in 0..page.entries() {
                if level == 0 {
                    page.copy_key(row, &mut key);
                    assert_eq!(page.find_row(&key), Ok(row));
                    assert!(matches!(page.value(row), page::Value::Inline(_)));
                }
            }
            assert!(page.find_child(b"abc") <= page.entries() && page.find_child(&[]) <= page.entries());
        }
    }
    assert!(accepted < 10_000);
}

#[test]
fn keys_must_ascend_within_a_page() {
    let size = PageSize::new(512).unwrap();
    let child_of = |rows| ChildRef {
        page: PageId(3),
        checksum: 1,
        generation: PageGeneration(1),
        rows,
        overflow: false,
    };
    let below = [child_of(1).encode(), child_of(1).encode(), child_of(1).encode()];
    let check = |level: u8, keys: [&[u8]; 3]| {
        let identity =
            PageIdentity { page: PageId(0), tree: TreeId(1), generation: PageGeneration(1), level };
        let entries = keys.iter().zip(&below).map(|(key, child)| Entry {
            key,
            body: if level == 0 { b"value" } else { child },
            overflow: false,
        });
        let mut builder = PageBuilder::new(512);
        let checksum = builder.build(&identity, entries);
        let child = ChildRef { page: PageId(0), checksum, ..child_of(3) };
        Page::check(builder.bytes(), &Expected { tree: TreeId(1), child, level }, size, StoreNumber::NONE)
    };
    for level in [0, 1] {
        assert!(check(level, [b"", b"a", b"a\0"]).is_ok());
        assert!(check(level, [b"", b"same", b"same head"]).is_ok());
        for keys in [[b"".as_slice(), b"b", b"a"], [b"", b"twice", b"twice"], [b"", b"same head", b"same"]] {
            assert!(check(level, keys).is_err_and(|error| error.is_corruption()), "level {level}: {keys:?}");
        }
    }
}

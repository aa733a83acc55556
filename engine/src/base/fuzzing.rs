//! What a fuzzer asks of pages: whatever the bytes, they are refused or they are sound.
//!
//! The checksum, and what a parent would say of the page, are made to fit, so that only structure decides.

use super::bytes::{get_u16, get_u32, get_u64};
use super::error::BaseError;
use super::ids::{PageGeneration, PageId, StoreNumber, TreeId};
use super::meta::{META_BYTES, Meta, Slot};
use super::page::{
    Entry, Expected, HEADER_BYTES, MAX_LEVEL, Measure, Page, PageBuilder, PageIdentity, PageKind, PageSize,
    SLOT_BYTES, Value, at, seal,
};
use super::refs::ChildRef;
use super::space::{FreeListRef, read_free_list};

/// Reads bytes as the page that they say they are.
pub(crate) fn page(data: &[u8]) {
    let bytes = data.len().clamp(512, 65_536).next_power_of_two();
    let Ok(size) = u32::try_from(bytes).map_err(drop).and_then(|bytes| PageSize::new(bytes).map_err(drop))
    else {
        return;
    };
    let mut page = vec![0; bytes];
    if let Some(start) = page.get_mut(..data.len()) {
        start.copy_from_slice(data);
    }
    let checksum = seal(&mut page);
    if page.get(at::KIND) == Some(&(PageKind::FreeList as u8)) {
        return free_list(&page, checksum, size);
    }
    let level = page.get(at::LEVEL).copied().unwrap_or_default();
    let (rows, overflow) = sums(&page, level);
    let child = ChildRef {
        page: PageId(get_u32(&page, at::PAGE)),
        checksum,
        generation: PageGeneration(get_u64(&page, at::GENERATION)),
        rows,
        overflow,
    };
    let expected = Expected { tree: TreeId(get_u32(&page, at::TREE)), child, level };
    match Page::check(&page, &expected, size, StoreNumber::NONE) {
        Ok(page) => sound(&page, &expected, size),
        Err(error) => assert!(matches!(error, BaseError::Corrupt { .. }), "{error}"),
    }
}

/// What a parent would count, as far as the page can be followed.
fn sums(page: &[u8], level: u8) -> (u64, bool) {
    let entries = usize::from(get_u16(page, at::ENTRIES));
    let slots = HEADER_BYTES + usize::from(get_u16(page, at::PREFIX));
    if level == 0 {
        let overflow = (0..entries).any(|row| get_u16(page, slots + row * SLOT_BYTES + 6) >> 15 == 1);
        return (entries as u64, overflow);
    }
    let children = slots + entries.saturating_sub(1) * SLOT_BYTES;
    (0..entries)
        .filter_map(|index| page.get(children + index * ChildRef::BYTES..)?.get(..ChildRef::BYTES))
        .map(ChildRef::decode)
        .fold((0, false), |(rows, overflow), child| {
            (u64::wrapping_add(rows, child.rows), overflow || child.overflow)
        })
}

/// Asserts what every reader relies on.
fn sound(page: &Page, expected: &Expected, size: PageSize) {
    assert!(page.is(expected, StoreNumber::NONE) && page.level() <= MAX_LEVEL && page.entries() > 0);
    let leaf = page.is_leaf();
    let first_keyed = usize::from(!leaf);
    let (mut key, mut last) = (Vec::new(), Vec::new());
    for entry in first_keyed..page.entries() {
        let slot = entry - first_keyed;
        page.copy_key(slot, &mut key);
        assert!(key.len() <= size.max_key());
        assert!(slot == 0 || last < key, "keys ascend");
        assert_eq!(page.find_row(&key), Ok(slot));
        assert_eq!(page.find_child(&key), slot + 1);
        if leaf && let Value::Overflow(run) = page.value(entry) {
            assert!(run.pages > 0 && run.len <= u64::from(run.pages) * u64::from(size.get()));
            assert!(page.overflow_at(entry).is_some());
        }
        // Right behind a key comes the next one.
        key.push(0);
        assert!(page.find_row(&key) == Err(slot + 1) || page.find_row(&key) == Ok(slot + 1));
        key.pop();
        std::mem::swap(&mut key, &mut last);
    }
    assert!(page.find_row(&[]).unwrap_or_else(|place| place) == 0);
    rebuilt(page, expected, size);
}

/// Laid out anew, the same entries make a page that holds the same, and that is no larger.
fn rebuilt(page: &Page, expected: &Expected, size: PageSize) {
    let leaf = page.is_leaf();
    let keys: Vec<Vec<u8>> = (0..page.entries())
        .map(|entry| {
            let mut key = Vec::new();
            if leaf {
                page.copy_key(entry, &mut key);
            } else if entry > 0 {
                page.copy_separator(entry, &mut key);
            }
            key
        })
        .collect();
    let references: Vec<_> =
        (0..page.entries()).map(|entry| if leaf { [0; 24] } else { page.child(entry).encode() }).collect();
    let entries = keys.iter().enumerate().map(|(index, key)| {
        let (body, overflow) = if leaf { page.body(index) } else { (&references[index][..], false) };
        Entry { key, body, overflow }
    });
    let mut measure = Measure::default();
    let mut first = None;
    for entry in entries.clone() {
        measure = measure.with(leaf, &entry, first);
        if first.is_none() && (leaf || measure.entries() > 1) {
            first = Some(entry.key);
        }
    }
    assert!(measure.bytes() <= size.usable(), "{} bytes fitted before", measure.bytes());
    let ChildRef { page: id, generation, .. } = expected.child;
    let identity = PageIdentity { page: id, tree: expected.tree, generation, level: expected.level };
    let mut builder = PageBuilder::new(size.bytes());
    let checksum = builder.build(&identity, entries);
    assert_eq!(get_u32(builder.bytes(), at::END) as usize, measure.bytes());
    let expected = Expected { child: ChildRef { checksum, ..expected.child }, ..*expected };
    let again = Page::check(builder.bytes(), &expected, size, StoreNumber::NONE);
    let again = again.unwrap_or_else(|error| panic!("a page that was built is refused: {error}"));
    for (index, key) in keys.iter().enumerate() {
        if leaf {
            assert_eq!((again.find_row(key), again.body(index)), (Ok(index), page.body(index)));
        } else {
            assert_eq!(again.child(index), page.child(index));
        }
    }
}

/// A chain that comes back to its only page as often as the head allows.
fn free_list(page: &[u8], checksum: u32, size: PageSize) {
    let first = ChildRef {
        page: PageId(get_u32(page, at::PAGE)),
        checksum,
        generation: PageGeneration(get_u64(page, at::GENERATION)),
        rows: 0,
        overflow: false,
    };
    let end = get_u32(page, at::TREE);
    let pages = 1 + u32::from(get_u16(page, at::ZERO) % 4);
    let mut reads = 0;
    let list = read_free_list(Some(FreeListRef { first, pages }), end, size, &mut |_, bytes| {
        reads += 1;
        bytes.copy_from_slice(page);
        Ok(())
    });
    assert!(reads <= pages);
    if let Ok((free, chain)) = list {
        assert_eq!(chain.len(), pages as usize);
        assert!(free.iter().all(|extent| extent.pages > 0 && extent.end() <= end));
        assert_eq!(free.iter().map(|extent| u64::from(extent.pages)).sum::<u64>(), u64::from(free.pages()));
    }
}

/// Reads bytes as a meta block with the right magic and checksum; what is accepted is written the same again.
pub(crate) fn meta_block(data: &[u8]) {
    let mut block = vec![0; META_BYTES];
    for (to, from) in block.iter_mut().zip(data) {
        *to = *from;
    }
    Meta::seal(&mut block);
    if let Ok(Slot::Valid(meta)) = Meta::decode(&block) {
        assert_eq!(Meta::decode(&meta.encode()).ok(), Some(Slot::Valid(meta)));
    }
}

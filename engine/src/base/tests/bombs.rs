//! Small files that somebody made up so that a walk over them would not end: every reference is right, and many pages
//! have many parents.

use super::file::TestFile;
use super::kit::*;
use crate::base::error::Result;
use crate::base::page::{Entry, PageBuilder, PageIdentity};
use crate::base::refs::{ChildRef, OverflowRef, Root};
use crate::base::store::Base;
use crate::base::*;
use std::sync::Arc;

const TREE: TreeId = TreeId(16);

/// Pages of 512 bytes behind the meta blocks of an empty database.
struct Bomb {
    image: Vec<u8>,
    pages: u32,
}

impl Bomb {
    fn new() -> Self {
        let file = TestFile::new();
        drop(create(&file, 512, 1 << 16));
        let mut image = file.image();
        image.resize(8192, 0);
        Self { image, pages: 0 }
    }

    fn page(&mut self, level: u8, rows: &[(&[u8], &[u8], bool)], below: u64) -> ChildRef {
        let generation = PageGeneration(1);
        let identity = PageIdentity { page: PageId(self.pages), tree: TREE, generation, level };
        let mut builder = PageBuilder::new(512);
        let entries = rows.iter().map(|(key, body, overflow)| Entry { key, body, overflow: *overflow });
        let checksum = builder.build(&identity, entries);
        self.image.extend_from_slice(builder.bytes());
        self.pages += 1;
        let overflow = rows.iter().any(|(.., overflow)| *overflow);
        ChildRef { page: identity.page, checksum, generation, rows: below, overflow }
    }

    /// Opens the file as one in which these pages are a tree.
    fn lit(self, child: ChildRef, level: u8) -> (Arc<BaseStore>, Arc<Base>) {
        let opened = open_ready(self.image);
        let mut meta = opened.base.meta.clone();
        meta.end = self.pages;
        opened.store.end.store(self.pages, std::sync::atomic::Ordering::Release);
        (opened.store, Arc::new(Base::new(meta, vec![(TREE, Root { child, level })])))
    }
}

/// Forty branches, each of which names the one below it twice: 2⁴⁰ rows in 41 pages.
fn doubling() -> (Arc<BaseStore>, Arc<Base>) {
    let mut bomb = Bomb::new();
    let mut child = bomb.page(0, &[(b"key", b"value", false)], 1);
    for level in 1..=40 {
        let below = child.encode();
        child = bomb.page(level, &[(b"", &below, false), (b"m", &below, false)], child.rows * 2);
    }
    assert_eq!(child.rows, 1 << 40);
    bomb.lit(child, 40)
}

fn walk(mut step: impl FnMut() -> Result<bool>) -> (u32, Result<()>) {
    let mut rows = 0;
    loop {
        match step() {
            Ok(true) => rows += 1,
            Ok(false) => return (rows, Ok(())),
            Err(error) => return (rows, Err(error)),
        }
        assert!(rows < 100, "the walk does not end");
    }
}

#[test]
fn a_walk_ends_where_it_comes_to_a_page_again() {
    let (store, base) = doubling();
    let mut cursor = BaseCursor::new(Arc::clone(&store), Arc::clone(&base), TREE);
    let (rows, end) = walk(|| cursor.next());
    assert!(rows == 1 && end.is_err_and(|error| error.is_corruption()), "{rows} rows");
    assert_eq!(cursor.last_key(), b"key", "a step that fails forgets nothing");
    assert!(cursor.last().unwrap());
    let (rows, end) = walk(|| cursor.prev());
    assert!(rows == 0 && end.is_err_and(|error| error.is_corruption()), "{rows} rows");
}

#[test]
fn check_and_salvage_read_every_page_once() {
    let (store, base) = doubling();
    let report = store.check(&base, &mut |_, _| Ok(())).unwrap();
    assert_eq!((report.rows, report.pages), (1, 81));
    assert!(report.findings.len() >= 40);
    let saved = salvage(&store, &base, TREE, &Orphans::default(), &mut store.no_pages());
    assert_eq!((saved.given, saved.lost.len()), (1, 40));
}

#[test]
fn a_value_with_many_rows_comes_out_once() {
    let mut bomb = Bomb::new();
    let run = OverflowRef {
        page: PageId(1),
        checksum: 0,
        generation: PageGeneration(1),
        pages: 100,
        len: 100 * 512 - 32,
    };
    let mut bytes = Vec::new();
    let identity = PageIdentity { page: run.page, tree: TREE, generation: run.generation, level: 0 };
    let value = vec![7; usize::try_from(run.len).unwrap()];
    let checksum = overflow::build_run(&mut bytes, &value, &identity, 100 * 512);
    let reference = OverflowRef { checksum, ..run }.encode();
    let leaf =
        bomb.page(0, &[(b"a", &reference, true), (b"b", &reference, true), (b"c", &reference, true)], 3);
    bomb.image.extend_from_slice(&bytes);
    bomb.pages += 100;
    let (store, base) = bomb.lit(leaf, 0);
    let saved = salvage(&store, &base, TREE, &Orphans::default(), &mut store.no_pages());
    assert_eq!((saved.bytes, saved.lost.len()), (run.len, 2));
    let report = store.check(&base, &mut |_, _| Ok(())).unwrap();
    assert!(report.findings.len() >= 2, "{:?}", report.findings);
}

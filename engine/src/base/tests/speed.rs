//! Figures, on demand: `cargo test --release -p braid -- --ignored --nocapture base::tests::speed`.

use std::sync::Arc;

use super::file::TestFile;
use super::kit::*;
use crate::base::error::Result;
use crate::base::*;

struct Numbered {
    next: u64,
    end: u64,
    key: [u8; 8],
    value: [u8; 100],
}

impl ChangeSource for Numbered {
    fn next(&mut self) -> Result<Option<Change<'_>>> {
        if self.next == self.end {
            return Ok(None);
        }
        self.key = self.next.to_be_bytes();
        self.next += 1;
        Ok(Some(Change { tree: TreeId(1), key: &self.key, value: Some(&self.value) }))
    }
}

#[test]
#[ignore = "measures, asserts nothing about speed"]
#[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
fn figures() {
    const ROWS: u64 = 1_000_000;
    const TURN: u64 = 10_000;
    let now = std::time::Instant::now;
    let file = TestFile::plain();
    let (store, base) = create(&file, 4096, 512 << 20);
    let mut source = Numbered { next: 0, end: ROWS, key: [0; 8], value: [7; 100] };
    let start = now();
    let base = store.fold(&base, &mut source, &[], EngineState::default(), &|| Ok(())).unwrap();
    let load = start.elapsed();
    let stats = store.space_stats();
    println!(
        "load: {:.2} M rows/s, {:.1} bytes a row",
        ROWS as f64 / load.as_secs_f64() / 1e6,
        f64::from(stats.file_pages) * 4096.0 / ROWS as f64
    );
    let mut cursor = BaseCursor::new(Arc::clone(&store), Arc::clone(&base), TreeId(1));
    for turn in 0..3 {
        let start = now();
        let mut bytes = 0;
        cursor.first().unwrap();
        while cursor.is_on_row() {
            bytes += cursor.key().len() + cursor.value().unwrap().len();
            cursor.next().unwrap();
        }
        assert_eq!(bytes as u64, ROWS * 108);
        println!("scan {turn}: {:.1} M rows/s", ROWS as f64 / start.elapsed().as_secs_f64() / 1e6);
    }
    let mut rng = Rng::new(1);
    for (what, within) in [("all rows", ROWS), ("100,000 rows", 100_000), ("1,000 rows", 1000)] {
        // The best of many short turns: what the code costs when nobody else has the processor.
        let mut best = f64::MAX;
        for _ in 0..60 {
            let keys: Vec<[u8; 8]> = (0..TURN).map(|_| rng.below(within).to_be_bytes()).collect();
            let start = now();
            let mut sum = 0;
            for key in &keys {
                sum += store.get(&base, TreeId(1), key, <[u8]>::len).unwrap().unwrap();
            }
            best = best.min(start.elapsed().as_nanos() as f64 / TURN as f64);
            assert_eq!(sum as u64, TURN * 100);
        }
        println!("get among {what}: {best:.0} ns");
    }
    let changes: Changes = (0..10_000)
        .map(|_| ((TreeId(1), rng.below(ROWS).to_be_bytes().to_vec()), Some(vec![9; 100])))
        .collect();
    let start = now();
    fold(&store, &base, &changes, &[]).unwrap();
    println!("fold of 10,000 random updates: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
}

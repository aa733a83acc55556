use crate::epoch::pin;

use super::*;
use crate::testing::Rng;

fn ts(raw: u64) -> Timestamp {
    Timestamp::new(raw).unwrap()
}

fn push(chain: &Chain, commit_ts: u64, value: Option<&[u8]>) -> Pushed {
    chain.push(&mut Pending::new(value), ts(commit_ts), &pin())
}

#[test]
fn a_version_holds_values_of_every_length() {
    for len in [0, 1, 7, 8, 9, 100, 5000] {
        let value = vec![7; len];
        let pending = Pending::new(Some(&value));
        let version = pending.version().unwrap();
        assert_eq!(version.found(), Found::Value(&value));
        // The limits on memory hang on this sum.
        let allocated = layout(len).unwrap().size();
        assert_eq!(version.footprint(), allocated + ALLOCATION_OVERHEAD);
        assert!(allocated >= size_of::<Header>() + len);
    }
    assert_eq!(Pending::new(None).version().unwrap().found(), Found::Tombstone);
    assert_ne!(Pending::new(Some(&[])).version().unwrap().found(), Found::Tombstone);
}

#[test]
fn a_reader_sees_the_newest_version_that_is_not_later() {
    let chain = Chain::new();
    let guard = pin();
    assert!(chain.newest(&guard).is_none());
    assert!(push(&chain, 3, Some(b"three")).first);
    assert!(!push(&chain, 5, None).first);
    assert!(!push(&chain, 9, Some(b"nine")).first);
    let read = |at| chain.read(ts(at), &guard).map(Version::found);
    assert_eq!(read(2), None);
    assert_eq!(read(3), Some(Found::Value(b"three")));
    assert_eq!(read(4), Some(Found::Value(b"three")));
    assert_eq!(read(5), Some(Found::Tombstone));
    assert_eq!(read(8), Some(Found::Tombstone));
    assert_eq!(read(9), Some(Found::Value(b"nine")));
    assert_eq!(read(1000), Some(Found::Value(b"nine")));
}

#[test]
fn an_installed_value_is_gone_from_where_it_was() {
    let chain = Chain::new();
    let mut pending = Pending::new(Some(b"x"));
    let pushed = chain.push(&mut pending, ts(1), &pin());
    assert!(pending.version().is_none());
    assert!(pushed.bytes > 1);
}

#[test]
fn a_trim_keeps_what_every_timestamp_from_the_watermark_on_reads() {
    let rounds = if cfg!(miri) { 15 } else { 2000 };
    let mut rng = Rng::new(2);
    for _ in 0..rounds {
        let chain = Chain::new();
        let mut now = 0;
        let mut model: Vec<u64> = Vec::new();
        let (mut bytes, mut watermark) = (0, 0);
        for _ in 0..rng.below(30) {
            now += 1 + rng.below(3);
            model.push(now);
            bytes += push(&chain, now, Some(&now.to_le_bytes())).bytes;
            if rng.below(4) == 0 {
                watermark += rng.below(now - watermark + 1);
                let guard = pin();
                let before = model.len();
                let keeper = model.iter().rposition(|&version| version <= watermark).unwrap_or(0);
                model.drain(..keeper);
                let trimmed = chain.trim(ts(watermark), &guard);
                assert_eq!(trimmed.versions, before - model.len(), "cuts exactly what nobody reads");
                bytes -= trimmed.bytes;
            }
            let guard = pin();
            for at in watermark..=now + 1 {
                let expected = model.iter().rev().find(|&&version| version <= at);
                assert_eq!(
                    chain.read(ts(at), &guard).map(|found| found.commit_ts().get()),
                    expected.copied()
                );
            }
        }
        let guard = pin();
        let left = chain.trim(ts(now), &guard);
        assert_eq!(left.versions, model.len().saturating_sub(1));
        let newest = chain.newest(&guard).map_or(0, Version::footprint);
        assert_eq!(bytes - left.bytes, newest, "every byte that was added is accounted for");
    }
}

#[test]
fn trimming_is_due_when_the_chain_has_doubled() {
    let chain = Chain::new();
    let due = |commits: std::ops::RangeInclusive<u64>| -> Vec<u64> {
        commits.filter(|&commit| push(&chain, commit, None).trim_due).collect()
    };
    assert_eq!(due(1..=8), [8]);
    // A reader at 1 keeps all eight, so the next walk pays at sixteen.
    assert_eq!(chain.trim(ts(1), &pin()), Trimmed::default());
    assert_eq!(due(9..=16), [16]);
    assert_eq!(chain.trim(ts(16), &pin()).versions, 15);
    assert_eq!(due(17..=23), [23]);
}

#[test]
fn readers_and_trims_get_along() {
    let commits = if cfg!(miri) { 60 } else { 20_000 };
    let chain = Chain::new();
    // Each reader announces what it reads before it does; the committer trims below the oldest.
    let readers = [const { std::sync::atomic::AtomicU64::new(0) }; 2];
    let published = std::sync::atomic::AtomicU64::new(0);
    let seq = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        for slot in &readers {
            let (chain, published) = (&chain, &published);
            scope.spawn(move || {
                loop {
                    slot.store(published.load(seq), seq);
                    let at = published.load(seq);
                    let guard = pin();
                    let found =
                        chain.read(ts(at), &guard).map(|version| (version.commit_ts(), version.found()));
                    let value = at.to_le_bytes();
                    assert_eq!(found, (at > 0).then_some((ts(at), Found::Value(&value))));
                    if at == commits {
                        return;
                    }
                }
            });
        }
        for commit in 1..=commits {
            let guard = pin();
            let mut pending = Pending::new(Some(&commit.to_le_bytes()));
            let due = chain.push(&mut pending, ts(commit), &guard).trim_due;
            published.store(commit, seq);
            if due {
                let horizon = published.load(seq);
                let watermark = readers.iter().map(|slot| slot.load(seq)).fold(horizon, u64::min);
                chain.trim(ts(watermark), &guard);
            }
        }
    });
}

/// Counts what each thread has allocated and not freed.
struct Counting;

thread_local! {
    static LIVE_BYTES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl std::alloc::GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.set(LIVE_BYTES.get().wrapping_add(layout.size()));
        // SAFETY: the caller's obligations are the same.
        unsafe { std::alloc::System.alloc(layout) }
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        LIVE_BYTES.set(LIVE_BYTES.get().wrapping_sub(layout.size()));
        // SAFETY: the caller's obligations are the same.
        unsafe { std::alloc::System.dealloc(address, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_value_that_is_never_installed_is_freed() {
    let before = LIVE_BYTES.get();
    let pending = [Pending::new(Some(&[1; 100])), Pending::new(None)];
    assert!(LIVE_BYTES.get().wrapping_sub(before) >= 100);
    drop(pending);
    assert_eq!(LIVE_BYTES.get(), before);
}

#[test]
fn a_chain_frees_its_versions_when_it_goes() {
    // Makes what the epoch keeps for this thread.
    drop(pin());
    let before = LIVE_BYTES.get();
    let chain = Chain::new();
    for commit in 1..=20 {
        push(&chain, commit, (commit % 3 > 0).then_some(&[1; 100]));
    }
    assert!(LIVE_BYTES.get().wrapping_sub(before) >= 1300);
    drop(chain);
    assert_eq!(LIVE_BYTES.get(), before);
}

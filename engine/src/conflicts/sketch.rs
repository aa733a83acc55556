//! The rows that conflict most, in bounded memory: the space-saving sketch of Metwally, Agrawal and El Abbadi.
//!
//! It counts a fixed number of keys. A key that is not among them takes the place of the one with the lowest count, and
//! goes on from that count, which is then its error. So a count is never too low, is too high by its error at most, and
//! a key with more conflicts than the lowest count is always among them.

use std::hash::{DefaultHasher, Hash, Hasher};

use braid_vfs::planted;

/// How many keys a sketch counts.
pub(super) const KEYS: usize = 32;
/// How many bytes of a key are kept. Longer ones are told apart by their hash.
pub(super) const KEY_BYTES: usize = 128;

/// A key that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    hash: u64,
    pub(super) table: String,
    /// The first bytes of the key.
    pub(super) key: Vec<u8>,
    pub(super) key_len: usize,
    pub(super) count: u64,
    /// By how much the count may be too high.
    pub(super) error: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch(Vec<Counted>);

impl Counted {
    fn new(hash: u64, table: &str, key: &[u8], before: u64) -> Self {
        Self {
            hash,
            table: table.to_owned(),
            key: key.get(..KEY_BYTES).unwrap_or(key).to_vec(),
            key_len: key.len(),
            count: before + 1,
            error: before,
        }
    }

    fn is(&self, hash: u64, table: &str, key: &[u8]) -> bool {
        self.hash == hash
            && self.key_len == key.len()
            && self.table == table
            && self.key == key.get(..KEY_BYTES).unwrap_or(key)
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.hash, self.key_len, &self.key, &self.table)
            == (other.hash, other.key_len, &other.key, &other.table)
    }
}

impl Sketch {
    /// Counts a conflict.
    pub(super) fn count(&mut self, table: &str, key: &[u8]) {
        let mut hasher = DefaultHasher::new();
        (table, key).hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(counted) = self.0.iter_mut().find(|counted| counted.is(hash, table, key)) {
            counted.count += 1;
        } else if self.0.len() < KEYS {
            self.0.push(Counted::new(hash, table, key, 0));
        } else if planted!(HottestEvicted) {
            if let Some(hottest) = self.0.iter_mut().max_by_key(|counted| counted.count) {
                *hottest = Counted::new(hash, table, key, 0);
            }
        } else if let Some(lowest) = self.0.iter_mut().min_by_key(|counted| counted.count) {
            *lowest = Counted::new(hash, table, key, lowest.count);
        }
    }

    /// The most that a key can have been counted that is not among those here.
    fn missed(&self) -> u64 {
        if self.0.len() < KEYS { 0 } else { self.0.iter().map(|counted| counted.count).min().unwrap_or(0) }
    }

    /// The keys of several sketches, the most frequent first. What was promised of each still holds.
    pub(super) fn merged(sketches: &[Self]) -> Vec<Counted> {
        let mut all: Vec<Counted> = Vec::new();
        for sketch in sketches {
            for counted in &sketch.0 {
                if all.iter().any(|known| known.is_same(counted)) {
                    continue;
                }
                let mut sum = Counted { count: 0, error: 0, ..counted.clone() };
                for sketch in sketches {
                    // One that dropped it, or never had room for it, may have missed so many.
                    let (count, error) = sketch
                        .0
                        .iter()
                        .find(|other| other.is_same(counted))
                        .map_or((sketch.missed(), sketch.missed()), |other| (other.count, other.error));
                    sum.count += count;
                    sum.error += error;
                }
                all.push(sum);
            }
        }
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.table, &a.key).cmp(&(&b.table, &b.key))));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Counts are never too low, and too high by their error at most, in one sketch and in several.
    #[test]
    fn counts_are_within_their_errors() {
        let mut sketches = [Sketch::default(), Sketch::default(), Sketch::default()];
        let mut truth: HashMap<Vec<u8>, u64> = HashMap::new();
        let mut dice = 1_u64;
        for at in 0..20_000_usize {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // A few hot keys, many cold ones.
            let drawn = dice >> 33;
            let key =
                if drawn.is_multiple_of(3) { drawn % 5 } else { 100 + drawn % 1000 }.to_be_bytes().to_vec();
            sketches[at % 3].count("t", &key);
            *truth.entry(key).or_default() += 1;
        }
        let merged = Sketch::merged(&sketches);
        for counted in &merged {
            let real = truth[&counted.key];
            assert!(counted.count >= real, "{counted:?} of {real}");
            assert!(counted.count - counted.error <= real, "{counted:?} of {real}");
        }
        let hottest: Vec<_> =
            merged.iter().take(5).map(|counted| counted.key.last().copied().unwrap()).collect();
        assert!((0..5).all(|key| hottest.contains(&key)), "{hottest:?}");
        assert!(merged.windows(2).all(|pair| pair[0].count >= pair[1].count));
    }

    #[test]
    fn long_keys_are_told_apart_and_kept_in_part() {
        let mut sketch = Sketch::default();
        let (mut one, mut other) = (vec![7; 5000], vec![7; 5000]);
        one[4999] = 1;
        other[4999] = 2;
        for _ in 0..3 {
            sketch.count("t", &one);
        }
        sketch.count("t", &other);
        sketch.count("u", &other);
        let counts: Vec<_> =
            sketch.0.iter().map(|counted| (counted.count, counted.key.len(), counted.key_len)).collect();
        assert_eq!(counts, [(3, KEY_BYTES, 5000), (1, KEY_BYTES, 5000), (1, KEY_BYTES, 5000)]);
    }
}

//! Randomness: file identities, log salts, jitter.

use std::fmt::Debug;

/// A source of random bits that two databases or two runs do not share.
pub trait Random: Debug + Send + Sync {
    /// 64 random bits.
    fn next_u64(&self) -> u64;
}

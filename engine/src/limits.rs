//! Documented maxima.

/// The longest value: 1 GiB.
pub(crate) const MAX_VALUE_BYTES: u64 = 1 << 30;

//! Little-endian fields of fixed blocks.

/// The `u32` at `at`; zero past the end, which no caller reaches.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |field| u32::from_le_bytes(*field))
}

/// The `u64` at `at`; zero past the end, which no caller reaches.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |field| u64::from_le_bytes(*field))
}

/// Stores `field` at `at`; the caller's block is large enough.
pub(crate) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..field.len())) {
        place.copy_from_slice(field);
    } else {
        debug_assert!(false, "a field lies outside its block");
    }
}

/// `bytes` rounded up to a multiple of `unit`, a power of two; `None` where that is past `u64`.
pub(crate) const fn round_up(bytes: u64, unit: u64) -> Option<u64> {
    match bytes.checked_add(unit - 1) {
        Some(sum) => Some(sum & !(unit - 1)),
        None => None,
    }
}

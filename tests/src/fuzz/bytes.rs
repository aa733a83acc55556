//! Little-endian fields that may lie outside.

/// The `N` bytes at `at`; zeros outside.
pub(super) fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes(get(bytes, at)))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(get(bytes, at))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(get(bytes, at))
}

/// Stores `field` at `at`; does nothing outside.
pub(super) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..field.len())) {
        place.copy_from_slice(field);
    }
}

/// A number that tends to be one at the edge of something.
pub(super) fn telling(rng: &mut fastrand::Rng, near: u64) -> u64 {
    match rng.u8(0..10) {
        0 => 0,
        1 => 1,
        2 => u64::MAX,
        3 => 1 << rng.u32(0..64),
        4 => (1 << rng.u32(0..64)) - 1,
        5 => rng.u64(..),
        6 => near.wrapping_add(8),
        7 => near.wrapping_sub(8),
        8 => near.wrapping_add(1),
        _ => near.wrapping_sub(1),
    }
}

/// Takes the first `len` bytes off `rest`, or what there is.
pub(super) fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(len.min(rest.len()));
    *rest = left;
    taken
}

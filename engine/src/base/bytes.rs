//! Little-endian numbers in byte slices.
//!
//! The getters answer `0` outside the slice and the setters do nothing there: callers have checked the bounds of what
//! they read, and a number that cannot be read never passes their checks.

pub(crate) fn get_u16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

pub(crate) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub(crate) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(target) = bytes.get_mut(at..at + value.len()) {
        target.copy_from_slice(value);
    }
}

/// A length that is known to fit, as every length within a page does.
pub(crate) fn to_u16(n: usize) -> u16 {
    debug_assert!(u16::try_from(n).is_ok(), "{n} does not fit in two bytes");
    u16::try_from(n).unwrap_or(u16::MAX)
}

/// A length that is known to fit, as every number of pages does.
pub(crate) fn to_u32(n: usize) -> u32 {
    debug_assert!(u32::try_from(n).is_ok(), "{n} does not fit in four bytes");
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The number of leading bytes that two slices share.
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let mut shared = 0;
    for (x, y) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        if x != y {
            break;
        }
        shared += 8;
    }
    shared + a.iter().skip(shared).zip(b.iter().skip(shared)).take_while(|(x, y)| x == y).count()
}

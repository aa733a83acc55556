//! What the mutators share: bytes changed at random or field by field, then repaired, mostly.

use fastrand::Rng;

/// Changes `data[..size]` in place; its new size.
///
/// Half of the time the fuzzer's own mutations are used, half of the time `image` is asked to vary what it understands.
/// Then it is asked to repair: everything (`Some(true)`), the checksums alone (`Some(false)`), or nothing, one time in
/// eight each for the latter two.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    random: impl FnOnce(&mut [u8], usize, usize) -> usize,
    image: impl FnOnce(&[u8], &mut Rng, bool, Option<bool>) -> Vec<u8>,
) -> usize {
    let mut rng = Rng::with_seed(seed.into());
    let vary = rng.bool();
    let size = if vary { size } else { random(data, size, max_size) };
    let repair = match rng.u8(0..8) {
        0 => None,
        1 => Some(false),
        _ => Some(true),
    };
    let bytes = image(&data[..size], &mut rng, vary, repair);
    let size = bytes.len().min(max_size);
    data[..size].copy_from_slice(&bytes[..size]);
    size
}

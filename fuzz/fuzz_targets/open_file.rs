//! Database files with their logs: refused, or as good as their check says.
#![no_main]

use braid_tests::fuzz::{FileImage, open_file};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| open_file(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    braid_fuzz::mutate(data, size, max_size, seed, fuzzer_mutate, |bytes, rng, vary, repair| {
        let mut image = FileImage::parse(bytes);
        if vary {
            image.vary(rng);
        }
        if let Some(all) = repair {
            image.repair(all);
        }
        image.encode()
    })
});

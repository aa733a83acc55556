//! Logs: refused, or recovered to the same records however often.
#![no_main]

use braid_tests::fuzz::{LogImage, log_replay};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| log_replay(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    braid_fuzz::mutate(data, size, max_size, seed, fuzzer_mutate, |bytes, rng, vary, repair| {
        let mut image = LogImage::parse(bytes);
        if vary {
            image.vary(rng);
        }
        if let Some(all) = repair {
            image.repair(all);
        }
        image.encode()
    })
});

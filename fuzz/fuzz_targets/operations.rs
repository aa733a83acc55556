//! Operations on a machine that fails and loses its power, beside a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| braid_tests::fuzz::operations(data));

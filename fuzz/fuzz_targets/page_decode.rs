//! Pages and meta blocks: refused, or sound.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| braid::fuzzing::page(data));

//! Payloads of commits: refused, or read back the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| braid::fuzzing::record(data));

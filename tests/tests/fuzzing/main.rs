//! The inputs that the fuzzer keeps, run as ordinary tests, and what the fuzzer relies on.

mod blind_changes_pass;
mod every_kept_input_still_passes;
mod seeds;

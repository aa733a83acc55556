//! The report of the made-up results.

use super::run::write;
use super::sample;

/// Leaves the report of the sample where a person can look at it: `BRAID_SAMPLE=dir cargo test -- --ignored leaves_a_sample`.
#[test]
#[ignore = "for looking at"]
fn leaves_a_sample() {
    let out = std::env::var_os("BRAID_SAMPLE").expect("BRAID_SAMPLE names a directory");
    write(&sample::input(), out.as_ref()).unwrap();
}

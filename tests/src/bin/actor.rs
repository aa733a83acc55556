//! The child process of the tests that need one: see [`braid_tests::child`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    braid_tests::child::run(&arguments)
}

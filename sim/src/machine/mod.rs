//! The real machine in the long run: what `tests/machine/` tries a share of.

mod faults;
mod kill;
mod plateau;
mod soak;

pub use faults::faults;
pub use kill::kill;
pub use soak::soak;

use braid_tests::Program;

/// This program as the child of the trials.
fn child() -> std::io::Result<Program> {
    Ok(Program::new(std::env::current_exe()?).with_arguments(&["machine", "child"]))
}

/// The end of a command: what could not even begin is a failure too.
fn could_not_begin(what: &str, error: &dyn std::fmt::Display) -> std::process::ExitCode {
    eprintln!("{what} could not begin: {error}");
    std::process::ExitCode::FAILURE
}

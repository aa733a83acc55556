//! The committed corpus, and every input that once failed. What is private to the engine runs in the engine's own tests.

use braid_tests::fuzz::{kept_inputs, log_replay, open_file, operations};

fn replay(target: &str, run: fn(&[u8])) {
    for (name, bytes) in kept_inputs(target) {
        if let Err(panic) = std::panic::catch_unwind(|| run(&bytes)) {
            eprintln!("{name} fails");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn of_logs() {
    replay("log_replay", log_replay);
}

#[test]
fn of_files() {
    replay("open_file", open_file);
}

#[test]
fn of_operations() {
    replay("operations", operations);
}

//! The real machine: system calls that fail, disks and limits that are reached, files that are moved, processes that race.
//!
//! What the system does not allow here is skipped with a line on the standard error. `braid-sim machine` tries the same at
//! length.

mod a_full_disk_heals_when_there_is_room;
mod a_thousand_threads_commit;
mod failing_calls_lose_nothing;
mod files_that_are_moved_while_open;
mod limits_are_errors_and_lose_nothing;
mod odd_paths_are_refused_in_words;
mod two_processes_race_and_one_wins;

/// The child of the trials.
fn actor() -> braid_tests::Program {
    braid_tests::Program::new(env!("CARGO_BIN_EXE_actor"))
}

//! A child process commits from many threads and tells of each commit after it, until it is killed by `kill -9` at any
//! moment: while it opens, commits, checkpoints or closes. Every commit that it told of is there afterwards, the `Deferred`
//! ones too, since only the process died; and of a commit that is there, every row is.
//!
//! `braid-sim machine kill` does the same for as long as it is told to.

use braid_tests::machine::KillLoop;
use braid_tests::{Place, Program, scale};

#[test]
fn cycle_after_cycle() {
    let place = Place::new();
    let program = Program::new(env!("CARGO_BIN_EXE_actor"));
    let mut cycles = KillLoop::new(program, place.path(), 4, 9);
    for _ in 0..32 * scale() {
        if let Err(what) = cycles.cycle() {
            panic!("{what}");
        }
    }
    let figures = cycles.figures();
    assert!(cycles.found().iter().all(|last| *last > 0), "every thread got its turn: {figures:?}");
    assert!(figures.in_open > 0 && figures.in_close > 0, "kills fall everywhere: {figures:?}");
    assert!(figures.told > 0, "the consumer was told of something: {figures:?}");
}

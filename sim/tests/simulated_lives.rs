//! Some seeds of `braid-sim run`, in processes of their own.

use std::process::Command;

#[test]
fn some_seeds_go_well_and_twice_the_same() {
    let run = Command::new(env!("CARGO_BIN_EXE_braid-sim"))
        .args(["run", "--seeds", "0..25", "--twice"])
        .output()
        .expect("the program can be started");
    let printed = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{printed}{}", String::from_utf8_lossy(&run.stderr));
    let last = printed.lines().last().unwrap_or_default();
    assert!(last.starts_with("seeds=25 commits=") && last.ends_with(" failures=0"), "{last}");
}

#[test]
fn what_is_no_range_of_seeds_is_told_so() {
    let run = Command::new(env!("CARGO_BIN_EXE_braid-sim")).args(["run", "--seeds", "9..2"]).output();
    let run = run.expect("the program can be started");
    assert!(!run.status.success());
    assert!(String::from_utf8_lossy(&run.stderr).contains("the end must be above the start"), "{run:?}");
}

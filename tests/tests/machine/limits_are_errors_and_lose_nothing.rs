//! No descriptor, no memory, no longer file: an error that says so where there is one to give, and nothing acknowledged is
//! lost in any case.

use braid_tests::machine::{try_descriptors, try_file_size, try_memory};

use crate::actor;

#[test]
fn of_file_descriptors() {
    for allowed in [32, 40, 64] {
        if let Err(what) = try_descriptors(&actor(), allowed) {
            panic!("{allowed} descriptors: {what}");
        }
    }
}

#[test]
fn of_memory() {
    let mut ran = 0;
    for mib in [6, 8, 10, 12, 14, 16, 20, 24, 32, 48, 128] {
        let tried = try_memory(&actor(), mib << 10).unwrap_or_else(|what| panic!("{mib} MiB: {what}"));
        let steps = tried.or_say_so("commits in little memory");
        ran += u64::from(steps.is_some_and(|steps| steps.acknowledged == 40));
    }
    assert!(ran > 0, "in enough memory all goes well");
}

#[test]
fn of_file_length() {
    for kib in [4, 40, 64, 80, 200] {
        for heeded in [true, false] {
            if let Err(what) = try_file_size(&actor(), kib, heeded) {
                panic!("files of {kib} KiB, heeded {heeded}: {what}");
            }
        }
    }
}

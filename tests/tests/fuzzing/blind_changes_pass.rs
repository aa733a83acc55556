//! The fuzzer's own changes and repairs without its feedback, from what is kept: a share of it that needs no other
//! compiler. `BRAID_TEST_SCALE` makes it longer; `BRAID_TEST_SEED` runs one.

use braid_tests::fuzz::{FileImage, LogImage, kept_inputs, log_replay, open_file, operations};
use braid_tests::seeds;
use fastrand::Rng;

fn try_changes(target: &str, count: u64, change: impl Fn(&mut Vec<u8>, &mut Rng), run: fn(&[u8])) {
    let kept = kept_inputs(target);
    for seed in seeds(count) {
        let mut rng = Rng::with_seed(seed);
        let mut bytes = rng.choice(&kept).map(|(_, bytes)| bytes.clone()).unwrap_or_default();
        change(&mut bytes, &mut rng);
        if let Err(panic) = std::panic::catch_unwind(|| run(&bytes)) {
            eprintln!("BRAID_TEST_SEED={seed} fails: {}", bytes.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    }
}

fn any_bytes(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..rng.usize(1..5) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(0..4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.u8(..)),
            2 => {
                let copy = bytes[at..].to_vec();
                bytes.extend_from_slice(&copy[..copy.len().min(40)]);
            }
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.u8(..)),
        }
    }
}

#[test]
fn of_logs() {
    let change = |bytes: &mut Vec<u8>, rng: &mut Rng| {
        let mut image = LogImage::parse(bytes);
        (0..rng.usize(1..4)).for_each(|_| image.vary(rng));
        image.repair(rng.u8(0..6) > 0);
        *bytes = image.encode();
    };
    try_changes("log_replay", 3000, change, log_replay);
}

#[test]
fn of_files() {
    let change = |bytes: &mut Vec<u8>, rng: &mut Rng| {
        let mut image = FileImage::parse(bytes);
        (0..rng.usize(1..4)).for_each(|_| image.vary(rng));
        image.repair(rng.u8(0..6) > 0);
        *bytes = image.encode();
    };
    try_changes("open_file", 300, change, open_file);
}

#[test]
fn of_operations() {
    try_changes("operations", 200, any_bytes, operations);
}

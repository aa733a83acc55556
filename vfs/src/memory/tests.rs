//! Files in memory behave as files do.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::{Contents, MemoryFileSystem, SeededRandom, VirtualClock};
use crate::conformance;
use crate::{Clock, Env, File, FileSystem, OpenMode, OpenOptions, Random};

fn create(files: &MemoryFileSystem, path: &str) -> Arc<dyn File> {
    files.open(Path::new(path), OpenOptions::new(OpenMode::CreateNew)).unwrap()
}

#[test]
fn it_conforms() {
    let files = MemoryFileSystem::new();
    files.create_dir(Path::new("/base"), 0o700).unwrap();
    conformance::check(&files, Path::new("/base"));
}

#[test]
fn links_conform() {
    let files = MemoryFileSystem::new();
    files.create_dir(Path::new("/base"), 0o700).unwrap();
    conformance::check_links(
        &files,
        Path::new("/base"),
        |target, link| files.symlink(target, link),
        |existing, link| files.hard_link(existing, link),
    );
}

#[test]
fn contents_cross_blocks_and_keep_holes() {
    let mut contents = Contents::default();
    contents.write_at(&[7; 200_000], 65_000).unwrap();
    let mut read = vec![1; 300_000];
    assert_eq!(contents.read_at(&mut read, 0), 265_000);
    assert!(read[..65_000].iter().all(|byte| *byte == 0));
    assert!(read[65_000..265_000].iter().all(|byte| *byte == 7));
    contents.set_len(70_000).unwrap();
    contents.set_len(140_000).unwrap();
    let mut read = vec![1; 140_000];
    assert_eq!(contents.read_at(&mut read, 0), 140_000);
    assert!(read[65_000..70_000].iter().all(|byte| *byte == 7));
    assert!(read[70_000..].iter().all(|byte| *byte == 0), "what was cut off does not come back");
}

#[test]
fn a_far_offset_takes_no_memory_and_an_impossible_one_is_refused() {
    let mut contents = Contents::default();
    contents.write_at(b"x", 1 << 60).unwrap();
    assert_eq!(contents.len(), (1 << 60) + 1);
    for result in [
        contents.write_at(b"xy", i64::MAX as u64),
        contents.write_at(b"x", u64::MAX),
        contents.set_len(u64::MAX),
    ] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
    assert_eq!(contents.len(), (1 << 60) + 1, "a refused write changes nothing");
}

#[test]
fn a_copy_of_contents_is_its_own() {
    let mut contents = Contents::default();
    contents.write_at(b"before", 0).unwrap();
    let copy = contents.clone();
    contents.write_at(b"after!", 0).unwrap();
    let mut read = [0; 6];
    copy.read_at(&mut read, 0);
    assert_eq!(&read, b"before");
}

#[test]
fn writers_of_disjoint_ranges_do_not_disturb_each_other() {
    let files = MemoryFileSystem::new();
    let file = create(&files, "/file");
    std::thread::scope(|scope| {
        for number in 0..4u8 {
            let file = &file;
            scope.spawn(move || {
                for row in 0..500u64 {
                    let offset = (row * 4 + u64::from(number)) * 100;
                    file.write_all_at(&[number; 100], offset).unwrap();
                    let mut read = [9; 100];
                    file.read_exact_at(&mut read, offset).unwrap();
                    assert_eq!(read, [number; 100]);
                }
            });
        }
    });
    assert_eq!(file.len().unwrap(), 200_000);
}

#[test]
fn two_file_systems_share_no_identity() {
    let (one, two) = (MemoryFileSystem::new(), MemoryFileSystem::new());
    assert_ne!(create(&one, "/a").identity().unwrap(), create(&two, "/a").identity().unwrap());
    let clone = one.clone();
    assert!(clone.identity(Path::new("/a")).unwrap().is_some(), "a clone is the same one");
}

#[test]
fn each_environment_in_memory_is_its_own() {
    let (one, two) = (Env::in_memory(), Env::in_memory());
    one.files.open(Path::new("/a"), OpenOptions::new(OpenMode::CreateNew)).unwrap();
    assert_eq!(two.files.identity(Path::new("/a")).unwrap(), None);
}

#[test]
fn a_seed_repeats_its_stream() {
    let stream = |seed| {
        let random = SeededRandom::new(seed);
        [random.next_u64(), random.next_u64(), random.below(10)]
    };
    assert_eq!(stream(1), stream(1));
    assert_ne!(stream(1), stream(2));
    // The first output of SplitMix64 for seed 0, from its reference implementation.
    assert_eq!(SeededRandom::new(0).next_u64(), 0xe220_a839_7b1d_cdaf);
}

#[test]
fn a_virtual_clock_moves_when_asked() {
    use std::time::Duration;
    let clock = VirtualClock::new(Duration::from_micros(1));
    let first = clock.now();
    assert_eq!(clock.now() - first, Duration::from_micros(1));
    clock.sleep(Duration::from_secs(3600));
    assert!(clock.now() > Duration::from_secs(3600));
}
